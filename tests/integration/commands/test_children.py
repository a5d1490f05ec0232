"""Supervised children as real processes: restarts, giving up, and an end that leaves nobody behind."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.errors import BAD_SETTINGS_STATUS, SettingsError
from engine.processes import children
from engine.processes.children import Child, ChildFailed, ChildSpec, last_lines
from engine.processes.process_table import descendants
from engine.turning_log import LogLimits, TurningLog

ROOT = Path(__file__).parents[3]
OWN_SESSION = "start_new_session=True"
SLEEP = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)


@pytest.fixture
def quick_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "RESTART_PAUSES_S", (0.01,))


def spec(script: str, **options: object) -> ChildSpec:
    return ChildSpec("part", [sys.executable, "-c", script], **options)  # type: ignore[arg-type]


async def until(condition: object, limit_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline_s, "it did not come to that"
        await asyncio.sleep(0.02)


def is_running(pid: int) -> bool:
    """Zombies have ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("number", "goes_on"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EACCES, False), (errno.EROFS, False)]
)
async def test_only_a_full_disk_makes_a_child_run_without_its_log(
    number: int, goes_on: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(TurningLog, "_open", refuse)
    child = Child(spec("print('up')"), tmp_path, print)
    if goes_on:
        await child.start()
        assert await child.ended() == 0
        await child.stop()
    else:
        with pytest.raises(SettingsError, match=f"cannot write .*part.log: {os.strerror(number)}"):
            await child.start()


async def test_a_killed_child_starts_again(tmp_path: Path, quick_pauses: None) -> None:
    told: list[str] = []
    child = Child(spec(SLEEP), tmp_path, told.append)
    await child.start()
    keeping = asyncio.create_task(child.keep())
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: child.restarts == 1 and child.pid not in {None, first})
    assert told == ["part ended with SIGKILL; it starts again in 0.01 s"]
    await child.stop()
    await asyncio.wait_for(keeping, 5)
    assert child.pid is None


async def test_a_child_that_cannot_stay_up_is_given_up_with_its_last_words(tmp_path: Path, quick_pauses: None) -> None:
    child = Child(spec("print('no such setting'); raise SystemExit(3)"), tmp_path, lambda _: None)
    await child.start()
    with pytest.raises(ChildFailed, match=r"exit status 3(.|\n)*no such setting"):
        await asyncio.wait_for(child.keep(), 30)
    assert child.restarts == children.FAILURES_MAX


async def test_a_child_whose_settings_are_bad_is_not_tried_again(tmp_path: Path) -> None:
    """It says why in its last line; a crash is another status."""
    told: list[str] = []
    script = f"print('working'); print('part: WEB_PORT: eighty is no port'); raise SystemExit({BAD_SETTINGS_STATUS})"
    child = Child(spec(script), tmp_path, told.append)
    await child.start()
    with pytest.raises(SettingsError, match=r"^part: WEB_PORT: eighty is no port$"):
        await asyncio.wait_for(child.keep(), 30)
    assert (child.restarts, told) == (0, [])


async def test_settings_that_were_good_once_are_tried_again(tmp_path: Path) -> None:
    """A certificate on a full disk passes; everything else goes on meanwhile."""
    marker = tmp_path / "began"
    script = (
        f"import pathlib, time; m = pathlib.Path({str(marker)!r}); n = len(m.read_text()) if m.exists() else 0\n"
        f"m.write_text('x' * (n + 1))\n"
        f"if n == 0: raise SystemExit(1)\n"
        f"if n == 1: raise SystemExit({BAD_SETTINGS_STATUS})\n"
        "time.sleep(60)"
    )
    told: list[str] = []
    child = Child(spec(script), tmp_path, told.append)
    await child.start()
    keeping = asyncio.create_task(child.keep())
    await until(lambda: marker.exists() and len(marker.read_text()) == 3)
    await child.stop()
    await keeping
    assert child.restarts == 2
    assert len(told) == 2


def test_a_process_whose_name_is_no_text_is_listed_like_any(tmp_path: Path) -> None:
    """The kernel cuts names at fifteen bytes, and anybody may choose one."""
    rename = "import ctypes, time; ctypes.CDLL(None).prctl(15, b'\\xff\\xc3', 0, 0, 0)"
    script = f"{rename}; print('up', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as odd:
        assert odd.stdout is not None
        odd.stdout.readline()
        assert odd.pid in descendants(os.getpid())
        odd.kill()


async def test_a_stubborn_child_is_killed_with_its_session(tmp_path: Path) -> None:
    script = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}], process_group=0); {STUBBORN}"
    child = Child(spec(script, stop_s=0.3), tmp_path, lambda _: None)
    await child.start()
    await until(lambda: child.log_path.read_text().count("up") == 2)
    pid = child.pid
    assert pid is not None
    session = {pid, *descendants(pid)}
    assert len(session) == 2
    started_s = time.monotonic()
    await child.stop()
    assert time.monotonic() - started_s < 3
    await until(lambda: not any(is_running(member) for member in session))


def starter(tmp_path: Path, after: str, grandchild_is: str) -> subprocess.Popen[str]:
    """A process that keeps a stubborn child with a grandchild, in a session or group of its own; prints both pids."""
    grandchild = "import os, subprocess, sys; "
    grandchild += f"p = subprocess.Popen([sys.executable, '-c', {STUBBORN!r}], {grandchild_is}); "
    grandchild += f"print(p.pid, flush=True); {STUBBORN}"
    script = f"""
import asyncio, pathlib, sys, time
from engine.processes.children import Child, ChildSpec, become_reaper, end_descendants
from engine.processes.undertaker import Undertaker
async def main():
    spec = ChildSpec("part", [sys.executable, "-c", {grandchild!r}])
    child = Child(spec, pathlib.Path({str(tmp_path)!r}), print, undertaker)
    await child.start()
    while len(child.log_path.read_text().split()) < 2:
        await asyncio.sleep(0.02)
    print(child.pid, child.log_path.read_text().split()[0], flush=True)
    {after}
become_reaper()
undertaker = Undertaker()
asyncio.run(main())
"""
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdin=pipe, stdout=pipe, text=True)


@pytest.mark.parametrize("grandchild_is", ["start_new_session=False", "process_group=0"])
async def test_kill_9_of_the_starter_ends_the_child_and_its_session(tmp_path: Path, grandchild_is: str) -> None:
    """Actors of Ray have a group of their own each, and below a reaper they do not notice that they are orphans."""
    process = starter(tmp_path, "time.sleep(600)", grandchild_is)
    assert process.stdout is not None
    child, grandchild = map(int, process.stdout.readline().split())
    assert is_running(child) and is_running(grandchild)
    process.kill()
    process.wait()
    await until(lambda: not is_running(child) and not is_running(grandchild), 3)
    process.stdout.close()


async def test_orphans_end_with_the_starter(tmp_path: Path) -> None:
    process = starter(tmp_path, "await child.stop(); print(end_descendants())", OWN_SESSION)
    assert process.stdout is not None
    child, grandchild = map(int, process.stdout.readline().split())
    output, _ = process.communicate(timeout=30)
    assert int(output) >= 1
    assert not is_running(child)
    assert not is_running(grandchild)


async def test_what_is_to_be_spared_lives_on_with_its_children(tmp_path: Path) -> None:
    after = "end_descendants(sparing=[child.pid]); print('spared', flush=True); sys.stdin.readline(); end_descendants()"
    process = starter(tmp_path, after, OWN_SESSION)
    assert process.stdout is not None and process.stdin is not None
    child, grandchild = map(int, process.stdout.readline().split())
    assert process.stdout.readline() == "spared\n"
    assert is_running(child) and is_running(grandchild)
    process.communicate("\n", timeout=30)
    assert not is_running(child) and not is_running(grandchild)


def test_the_end_of_a_log_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    assert last_lines(path) == "    (nothing)"
    path.write_text("".join(f"line {number}\n" for number in range(10_000)))
    assert last_lines(path, 2) == "    line 9998\n    line 9999"


def text_of(log: Path) -> str:
    """None while it turns over: then there is no file of the name for a moment."""
    try:
        return log.read_text()
    except FileNotFoundError:
        return ""


async def test_a_log_turns_over_while_its_child_runs(tmp_path: Path) -> None:
    script = "import time\nfor number in range(50_000): print(f'line {number}', flush=True)\ntime.sleep(600)"
    child = Child(spec(script), tmp_path, lambda _: None, limits=LogLimits(65_536, 30))
    await child.start()
    await until(lambda: "line 49999" in text_of(child.log_path))
    assert child.pid is not None
    files = [tmp_path / f"part.log.{number}" for number in range(30, 0, -1)] + [child.log_path]
    there = [file for file in files if file.exists()]
    assert len(there) > 3
    assert max(file.stat().st_size for file in there) <= 65_536 + len("line 49999\n"), "a line is never cut"
    assert "".join(file.read_text() for file in there).splitlines() == [f"line {number}" for number in range(50_000)]
    await child.stop()
