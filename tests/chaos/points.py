"""Orders to the processes of a house that was started with GASINSIGHT_FAULTPOINTS set; see engine/faultpoints.py."""

from __future__ import annotations

from pathlib import Path

from engine.faultpoints import ALL


def arm(folder: Path, point: str, order: str) -> None:
    """The next process that reaches `point` obeys: `kill`, or `pause SECONDS`. Replaces an order not yet taken."""
    assert point in ALL, point
    draft = folder / f".{point}"
    draft.write_text(order, encoding="utf-8")
    draft.rename(folder / point)


def disarm(folder: Path, point: str) -> bool:
    """Take an order back; False: somebody has taken it."""
    try:
        (folder / point).unlink()
    except FileNotFoundError:
        return False
    return True


def taken(folder: Path) -> list[tuple[str, int, float]]:
    """(point, pid, time) of each order that a process has taken, oldest first."""
    files = [path for path in folder.iterdir() if path.suffix.removeprefix(".").isdigit()]
    found = [(path.stem, int(path.suffix[1:]), path.stat().st_ctime) for path in files]
    return sorted(found, key=lambda order: order[2])
