"""The command as people run it, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "engine.commands.cli.app", *words]


def environment(database_url: str = "", **more: str) -> dict[str, str]:
    return {**os.environ, "DATABASE_URL": database_url, **more}


def gasinsight(*words: str, database_url: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    """`more`: of the environment."""
    return subprocess.run(
        command(*words),
        cwd=ROOT,
        env=environment(database_url, **more),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
