"""The processes of a chaos run by what they are. Only descendants of the run itself are ever looked at."""

from __future__ import annotations

import os
from pathlib import Path

from engine.processes.children import descendants

Words = list[bytes]


def find(kind: str) -> list[int]:
    """Living processes of a kind, in the order of their pids."""
    return sorted(pid for pid in descendants(os.getpid()) if kind_of(_words(pid)) == kind)


def kind_of(words: Words) -> str | None:
    """What a command line is; None: nothing that a blow is meant for (agents, helpers, our own children)."""
    title = words[0] if words else b""
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
    if words[1:3] == [b"-m", b"engine"]:
        return "engine"
    if words[1:3] == [b"-m", b"engine.cluster.link"]:
        return "cluster link"
    if b"web.main:app" in words:
        return "web"
    return None


def _words(pid: int) -> Words:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:  # ended meanwhile
        return []
