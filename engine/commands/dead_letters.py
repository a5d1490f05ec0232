"""`gasinsight dead-letters`: input that waits or was given up, seen, sent through the engine again, deleted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from engine.client import DeadLetter, GasInSight, NotFound, Parked, Redrive
from engine.client.set_aside import AT_ONCE_MAX, Fits
from engine.client.set_aside_shapes import Origin
from engine.commands.login import LoginOptions, NotDone, asked
from engine.commands.steps import plain, print_line
from engine.errors import SettingsError
from engine.printable import escaped, escaped_lines

REFUSED_STATUS: Final = 1
SAID: Final = {
    "done": "in effect",
    "parked": "wait again",
    "refused": "are dead letters again",
    "waiting": "wait for the engine; does it run? `gasinsight status` says",
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """These `ids`, or without any all that fit."""

    origin: Origin
    ids: tuple[int, ...]
    fits: Fits

    def check(self) -> None:
        """Not everything there is by a slip of the hand."""
        if not self.ids and not any(self.fits.values()):
            raise SettingsError("say which: ids, --facility, --sensor or --reason")


def run_list(overrides: dict[str, object], options: LoginOptions, chosen: Chosen, limit: int, as_json: bool) -> None:
    """The newest, and of how many."""

    async def read(gis: GasInSight) -> tuple[Sequence[DeadLetter | Parked], int | None]:
        if chosen.origin == "parked":
            parked = await gis.set_aside.parked(limit=limit, **chosen.fits)
            return parked.rows, parked.total
        letters = await gis.set_aside.dead_letters(limit=limit, **chosen.fits)
        return letters.rows, letters.total

    rows, total = asked(overrides, options, read)
    if as_json:
        _print_json(rows)
        return
    if rows:
        _print_table(("id", "since", "from", "facility", "sensor", "reason"), [_cells(row) for row in rows])
    print_line(f"{len(rows)} of {total}" if rows else "None.")


def run_show(overrides: dict[str, object], options: LoginOptions, origin: Origin, row_id: int, as_json: bool) -> None:
    """One, with all that is kept of what came."""
    if origin == "parked":
        row = asked(overrides, options, lambda gis: gis.set_aside.parked_row(row_id))
        said = {**row.model_dump(mode="json"), "content": row.body}
    else:
        letter = asked(overrides, options, lambda gis: gis.set_aside.dead_letter(row_id))
        said = letter.model_dump(mode="json")
    if as_json:
        print_line(json.dumps(said))
        return
    for name, value in said.items():
        if name not in {"body", "content"} and value not in {None, ""}:
            print_line(escaped(f"{name}: {value}"))
    print_line("")
    print_line(escaped_lines(said["content"]))


def run_redrive(overrides: dict[str, object], options: LoginOptions, chosen: Chosen, as_json: bool) -> int:
    """Exit status 1 unless all of it is in effect or waits for its parent."""
    chosen.check()

    async def redrive(gis: GasInSight) -> tuple[list[Redrive], Counter[str]]:
        ids = await _ids(gis, chosen)
        rows: list[Redrive] = []
        left: Counter[str] = Counter()
        for start in range(0, len(ids), AT_ONCE_MAX):
            piece = ids[start : start + AT_ONCE_MAX]
            try:
                part = await gis.set_aside.redrive(chosen.origin, piece)
            except NotFound:  # none of them is there any more; what went before is done
                left["gone"] += len(piece)
                continue
            left.update(one.why for one in part.left)
            rows += await gis.set_aside.wait(part.redrive_id) if part.taken else []
            if len(ids) > AT_ONCE_MAX and not as_json:
                print_line(f"{min(start + AT_ONCE_MAX, len(ids))} of {len(ids)}")
        return rows, left

    rows, left = asked(overrides, options, redrive)
    states = Counter(row.state for row in rows)
    if as_json:
        _print_json(rows)
    else:
        for state, words in SAID.items():
            if states[state]:
                print_line(f"{states[state]} {words}")
        for why, count in Counter(row.outcome for row in rows if row.state in {"refused", "parked"}).most_common(5):
            print_line(escaped(f"  {count}: {why}"))
        for why, count in sorted(left.items()):
            print_line(f"{count} left: {why}")
    return REFUSED_STATUS if states["refused"] or states["waiting"] or left else 0


def run_delete(
    overrides: dict[str, object], options: LoginOptions, chosen: Chosen, because: str, as_json: bool
) -> None:
    """How many are gone."""
    chosen.check()

    async def delete(gis: GasInSight) -> int:
        ids = await _ids(gis, chosen)
        deleted = 0
        for start in range(0, len(ids), AT_ONCE_MAX):
            with suppress(NotFound):  # none of them is there any more; what went before is done
                deleted += await gis.set_aside.delete(chosen.origin, ids[start : start + AT_ONCE_MAX], because=because)
        return deleted

    deleted = asked(overrides, options, delete)
    print_line(json.dumps({"deleted": deleted}) if as_json else f"{deleted} deleted")


async def _ids(gis: GasInSight, chosen: Chosen) -> list[int]:
    """Oldest first, so that what was sent first takes effect first."""
    if chosen.ids:
        return sorted(chosen.ids)
    ask = gis.set_aside.parked if chosen.origin == "parked" else gis.set_aside.dead_letters
    found: set[int] = set()
    skip = 0
    while True:
        part = await ask(skip=skip, limit=AT_ONCE_MAX, **chosen.fits)
        found |= {row.id for row in part.rows}
        skip += len(part.rows)
        if len(part.rows) < AT_ONCE_MAX:
            break
    if not found:
        raise NotDone("none fits")
    return sorted(found)


def _cells(row: DeadLetter | Parked) -> tuple[str, ...]:
    if isinstance(row, DeadLetter):
        at, origin = row.recorded_at, f"{row.source} {row.queue or ''}".strip()
        why = f"{row.reason}: {row.detail}" if row.detail else row.reason
    else:
        at, origin, why = row.parked_at, row.kind, row.reason
    return str(row.id), f"{at:%Y-%m-%d %H:%M:%S}", origin, row.facility_id or "", row.sensor_id or "", why


def _print_table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    table = Table(box=None, pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*map(plain, row))
    Console(highlight=False).print(table)


def _print_json(shapes: Sequence[Any]) -> None:
    """One object a line, in ASCII, so that no terminal obeys what stands in it."""
    for shape in shapes:
        print_line(json.dumps(shape.model_dump(mode="json")))
