"""The processes of a chaos run by what they are. Only descendants of the run itself are ever looked at."""

from __future__ import annotations

import os
from pathlib import Path

from engine.processes.process_table import descendants

CommandLine = list[bytes]


def find(kind: str) -> list[int]:
    """Living processes of a kind, in the order of their pids."""
    return sorted(pid for pid in descendants(os.getpid()) if kind_of(_command_line(pid)) == kind)


def kind_of(command_line: CommandLine) -> str | None:
    """What a command line is; None: nothing that a blow is meant for (agents, helpers, our own children)."""
    title = command_line[0] if command_line else b""
    for start, kind in (
        (b"ray::IntakeActor", "reader"),
        (b"ray::FacilityActor", "facility actor"),
        (b"ray::HistorianActor", "historian"),
    ):
        if title.startswith(start):
            return kind
    program = Path(title.decode(errors="replace")).name
    if program in {"raylet", "gcs_server"}:
        return "raylet" if program == "raylet" else "GCS"
    if command_line[1:3] == [b"-m", b"engine"]:
        return "engine"
    if command_line[1:3] == [b"-m", b"engine.cluster.link"]:
        return "cluster link"
    if b"web.main:app" in command_line:
        return "web"
    return None


def _command_line(pid: int) -> CommandLine:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:  # ended meanwhile
        return []
