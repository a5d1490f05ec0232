"""The local bus's file says which version wrote it; what a newer one wrote is left alone."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from engine.local_bus.store import BusStoreError, Store


async def test_a_file_of_a_newer_version_is_refused_and_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "bus.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(BusStoreError, match="has version 2, this program reads 1; use the newer one"):
        await Store(path).open(["q"])
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
