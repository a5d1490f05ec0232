"""Options of the fault runs (`--seeds N`, `--seed S`) and the world that all runs of a session share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from engine.historian import maintenance, partitions
from engine.historian.historian import Historian
from engine.imports import storing
from engine.settings import Settings
from tests.conftest import database_named
from tests.faults.run import World, WorldClock
from tests.faults.scheduler import InlineLoop

SEEDS_DEFAULT = 500
SMALL_PIECES = {
    partitions: {"ROWS_AT_ONCE": 4, "GIVEN_BACK_BYTES_MIN": 0},
    maintenance: {"ROWS_AT_ONCE": 4},
    storing: {"BATCH_ROWS": 8},
}
"""So that a few rows pass each point of maintenance and import, some of them several times."""
_numbers = count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("fault runs")
    group.addoption("--seeds", type=int, default=SEEDS_DEFAULT, help="how many seeded fault runs")
    group.addoption("--seed", type=int, default=None, help="replay the fault run of this seed alone")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        one = metafunc.config.getoption("--seed", default=None)
        many = metafunc.config.getoption("--seeds", default=SEEDS_DEFAULT)
        metafunc.parametrize("seed", range(many) if one is None else [one])


@pytest.fixture(scope="session")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=InlineLoop) as runner:
        yield runner


@pytest.fixture(scope="session")
def world(
    runner: asyncio.Runner, postgres_url: str, _template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A database of the fault runs alone; runs keep apart by the ids of their facilities."""
    name = f"faults_{next(_numbers)}"
    url = database_named(postgres_url, name)
    opened = runner.run(_open(postgres_url, url, name, tmp_path_factory.mktemp("faults")))
    yield opened
    runner.run(_close(opened))


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a test at a time: others in this process go on with pieces as they are."""
    for module, sizes in SMALL_PIECES.items():
        for name, size in sizes.items():
            monkeypatch.setattr(module, name, size)


async def _open(server_url: str, url: str, name: str, folder: Path) -> World:
    server = await asyncpg.connect(server_url)
    await server.execute(f"CREATE DATABASE {name} TEMPLATE gasinsight_template")
    settings = Settings(
        _env_file=None,
        data_dir=folder,
        database_url=url,
        group_commit_wait_ms=0,
        checkpoint_readings_max=8,
        checkpoint_s_max=25,
        tick_s=20,
        facilities_max=1_000_000,  # one database holds the runs of a session
        sensors_max=10_000_000,
        parked_max=10_000_000,
    )
    clock = WorldClock()
    return World(settings, await Historian.open(url, settings, clock), await asyncpg.connect(url), server, clock)


async def _close(world: World) -> None:
    await world.historian.close()
    await world.db.close()
    await world.server.close()
