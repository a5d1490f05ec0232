"""Faults armed from outside: a process obeys the file it takes, once, and nobody else does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine import faultpoints
from tests.chaos.points import arm, disarm, taken

WALK = """
import asyncio
from engine import faultpoints

async def walk():
    faultpoints.install_from_environment()
    for point in ("received", "scored", "scored"):
        await faultpoints.reached(point)
        print(point, flush=True)

asyncio.run(walk())
"""


def walk(folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, faultpoints.ENVIRONMENT: str(folder)}
    return subprocess.Popen([sys.executable, "-c", WALK], env=environment, stdout=subprocess.PIPE, text=True)


def test_who_takes_the_order_to_die_dies_there_and_nobody_after(tmp_path: Path) -> None:
    arm(tmp_path, "scored", "kill")
    first = walk(tmp_path)
    told = first.communicate(timeout=30)[0].split()
    assert first.returncode == -signal.SIGKILL
    assert told == ["received"]
    assert [(point, pid) for point, pid, _ in taken(tmp_path)] == [("scored", first.pid)]
    assert walk(tmp_path).wait(30) == 0


def test_a_pause_stops_the_process_and_ends_by_itself(tmp_path: Path) -> None:
    arm(tmp_path, "scored", "pause 0.6")
    process = walk(tmp_path)
    while not taken(tmp_path):
        time.sleep(0.01)
    state = ""
    while state != "T":
        state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        assert process.poll() is None, "it ended without ever being stopped"
    told = process.communicate(timeout=30)[0].split()
    assert process.returncode == 0
    assert told == ["received", "scored", "scored"]


def test_an_order_can_be_taken_back(tmp_path: Path) -> None:
    arm(tmp_path, "received", "kill")
    assert disarm(tmp_path, "received")
    assert not disarm(tmp_path, "received")
    assert walk(tmp_path).wait(30) == 0


async def test_without_the_variable_nothing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(faultpoints.ENVIRONMENT, raising=False)
    faultpoints.install_from_environment()
    assert faultpoints.install(None) is None


async def test_an_order_that_nobody_understands_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(faultpoints.ENVIRONMENT, str(tmp_path))
    faultpoints.install_from_environment()
    try:
        arm(tmp_path, "loaded", "explode")
        with pytest.raises(ValueError, match="explode"):
            await faultpoints.reached("loaded")
    finally:
        faultpoints.install(None)
