"""What all tests share: a real PostgreSQL, started once, and a freshly migrated database for each test that asks."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from unittest.mock import patch
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import pytest_asyncio

from engine.embedded import EmbeddedPostgres, roles
from migrations.upgrade import upgrade

_TEMPLATE = "gasinsight_template"
# Each new database costs two checkpoints, and nobody cuts the power of this server: it need not wait for the disk.
# The product has no such switch, and what is killed and what is measured runs on servers of its own.
_NO_WAITING = {"fsync": "off", "full_page_writes": "off"}
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests go first: where files run side by side, nothing long is left to wait for at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def database_named(url: str, name: str) -> str:
    """The same server and role, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A folder that PostgreSQL's account can reach also when the tests run as root (pytest's own are private)."""
    folder = Path(tempfile.mkdtemp(prefix="gasinsight-tests-"))
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_url(server_folder: Path) -> Iterator[str]:
    """The embedded PostgreSQL of this test session; its own database is empty and not migrated."""
    postgres = EmbeddedPostgres(server_folder / "session", shared_dir=server_folder / "shared")
    waiting = patch.dict("engine.embedded.postgres._CONFIGURATION", _NO_WAITING)
    with waiting, patch.object(roles, "RIGHTS", "LOGIN SUPERUSER"):  # tests make databases and roles on it
        url = postgres.start()
    yield url
    postgres.stop()


@pytest.fixture(scope="session")
def _template(postgres_url: str) -> str:
    """A migrated database that is only ever copied."""
    asyncio.run(_administer(postgres_url, f"CREATE DATABASE {_TEMPLATE}"))
    upgrade(database_named(postgres_url, _TEMPLATE))
    return _TEMPLATE


@pytest_asyncio.fixture
async def database_url(postgres_url: str, _template: str) -> AsyncIterator[str]:
    """A fresh, migrated database of this test alone."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    await _administer(postgres_url, f"CREATE DATABASE {name} TEMPLATE {_template} STRATEGY FILE_COPY")
    yield database_named(postgres_url, name)
    await _administer(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


async def _administer(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
