"""A schema is expanded while commits go on: none fails, none waits long, several may ask for it at once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from alembic import command

from engine.clock import SystemClock
from engine.errors import SettingsError
from engine.historian.historian import Historian
from engine.settings import Settings
from migrations import upgrade
from tests.integration.historian.outcomes import T0_US, committed, facility_with_sensors, outcome

pytestmark = pytest.mark.postgres
STEPS = Path(__file__).parent / "upgrade_steps"
ROOT = Path(__file__).parents[3]


def upgrade_to_next(database_url: str) -> None:
    """What `db upgrade` of the next version would do."""
    config = upgrade.alembic_config(database_url)
    ours = Path(config.get_main_option("script_location") or "") / "versions"
    config.set_main_option("version_locations", f"{ours} {STEPS}")
    config.set_main_option("path_separator", "space")
    command.upgrade(config, "head")


async def upgrading(database_url: str, told: Path) -> asyncio.subprocess.Process:
    """In a process of its own, as people do it: alembic keeps its context in a module."""
    code = f"from {__name__} import upgrade_to_next; upgrade_to_next({database_url!r})"
    with told.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
        )


@asynccontextmanager
async def committing(database_url: str) -> AsyncIterator[list[int]]:
    """One commit after the other by a historian of this version; those that committed so far."""
    settings = Settings(_env_file=None, database_url=database_url, group_commit_wait_ms=0)
    historian = await Historian.open(database_url, settings, SystemClock())
    state, (number,) = await facility_with_sensors(historian, "f")
    done: list[int] = []

    async def commit_on() -> None:
        while True:
            reading = (number, T0_US + len(done), 1.0, None)
            await committed(historian, outcome(state, len(done) + 2, [reading]))
            done.append(len(done))

    task = asyncio.create_task(commit_on())
    try:
        yield done
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await historian.close()
        if not task.cancelled():
            task.result()


async def until_more(done: list[int], count: int) -> None:
    wanted = len(done) + count
    async with asyncio.timeout(60):
        while len(done) < wanted:
            await asyncio.sleep(0.01)


async def test_a_schema_is_expanded_under_load(database_url: str, tmp_path: Path) -> None:
    rows = await asyncpg.connect(database_url)
    told = tmp_path / "told"
    async with committing(database_url) as done:
        transaction = rows.transaction()
        await transaction.start()
        await rows.fetch("SELECT * FROM sensors")  # somebody reads for long: the step does not get its lock
        runs = [await upgrading(database_url, told) for _ in range(2)]
        async with asyncio.timeout(60):
            while told.read_text().count("migration_gave_way") < 2:
                await asyncio.sleep(0.05)
        await until_more(done, 5)
        assert await upgrade.current_revision(database_url) == upgrade.newest_revision()
        await transaction.rollback()
        assert [await run.wait() for run in runs] == [0, 0], told.read_text()
        assert await upgrade.current_revision(database_url) == "next"
        await until_more(done, 5)  # this version works on, and a new process of it starts
        await upgrade.refuse_older_schema(database_url)
        await asyncio.to_thread(upgrade.upgrade, database_url)
        assert await upgrade.current_revision(database_url) == "next"
        count = len(done)
    assert await rows.fetchval("SELECT count(*) FROM sensor_records") >= count
    assert await rows.fetchval("SELECT bool_and(indisvalid) FROM pg_index")
    await rows.close()


async def test_a_program_that_needs_more_than_there_is_says_what_to_run(database_url: str) -> None:
    rows = await asyncpg.connect(database_url)
    await rows.execute("DELETE FROM alembic_version")
    await rows.close()
    with pytest.raises(SettingsError, match=r"has no schema yet, this program needs .*gasinsight db upgrade"):
        await upgrade.refuse_older_schema(database_url)
