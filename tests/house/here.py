"""This very repository, for tests that hold it to the rules."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.house.rooms import DOORS, LEAVES, PACKAGES, ROOMS
from tests.house.rules import Rooms
from tests.house.tree import Tree

ROOT: Final = Path(__file__).resolve().parents[2]


@cache
def shipped() -> Tree:
    """What a wheel brings along."""
    return Tree(ROOT, PACKAGES)


@cache
def rooms() -> Rooms:
    return Rooms(shipped(), ROOMS, LEAVES, DOORS)


def tracked_files() -> list[str]:
    """What git knows, as paths from the root; skips the test where there is no git checkout."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
