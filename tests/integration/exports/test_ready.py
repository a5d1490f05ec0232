"""Connections that wait for the next export: used once, passed over when they are gone, and not kept for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from bench.site import insert_sensors
from engine.clock import US_PER_S, ManualClock
from engine.exports.ready import ReadyConnections
from engine.exports.selection import Asked, find
from engine.exports.snapshot import CONNECTIONS, open_snapshot
from web.exports.kept import Kept, State, Wanted
from web.exports.making import READY_US_MAX, Exports

pytestmark = pytest.mark.postgres
IDLE = """
SELECT pid FROM pg_stat_activity
 WHERE application_name = 'gasinsight-export' AND state = 'idle' AND datname = current_database()
"""
WANTED = Wanted(dataset="records", facility_ids=[], sensor_ids=[], start_us=None, end_us=None, columns=[], format="csv")


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Any]:
    opened = await asyncpg.connect(database_url)
    yield opened
    await opened.close()


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await is_so():
            await asyncio.sleep(0.01)


async def idle(database: Any) -> list[int]:
    return [row["pid"] for row in await database.fetch(IDLE)]


async def test_one_that_is_ready_is_taken_once_and_one_that_is_gone_is_not(database_url: str, database: Any) -> None:
    ready = ReadyConnections(database_url)
    first = await ready.take()  # nothing is ready yet: made now
    ready.refill()
    await until(lambda: has(database, 2 + CONNECTIONS))
    taken = await ready.take()
    pids = {first.get_server_pid(), taken.get_server_pid()}
    assert len(pids) == 2 and len(await idle(database)) == 2 + CONNECTIONS  # none was made for it
    others = [pid for pid in await idle(database) if pid not in pids]
    for pid in others:
        await database.execute("SELECT pg_terminate_backend($1, 5000)", pid)
    fresh = await ready.take()
    assert fresh.get_server_pid() not in others and await fresh.fetchval("SELECT 1") == 1
    for connection in (first, taken, fresh):
        connection.terminate()
    ready.refill()
    await ready.let_go()  # also what is just being opened
    await until(lambda: has(database, 0))


async def test_who_goes_away_while_one_is_opened_leaves_it_to_the_next(database_url: str, database: Any) -> None:
    ready = ReadyConnections(database_url)
    ready.refill()
    waiting = asyncio.create_task(ready.take())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await until(lambda: has(database, 1 + CONNECTIONS))
    await ready.let_go()
    await until(lambda: has(database, 0))


async def has(database: Any, count: int) -> bool:
    return len(await idle(database)) == count


async def test_who_cannot_be_reached_is_told_of_when_one_is_taken() -> None:
    ready = ReadyConnections("postgresql://nobody@127.0.0.1:1/none")
    ready.refill()
    with pytest.raises(OSError):
        await ready.take()
    await ready.let_go()


async def test_an_export_finds_those_of_the_one_before_and_later_none_is_kept(
    database_url: str, database: Any, tmp_path: Path
) -> None:
    await insert_sensors(database, {"s": ("f", "Temperature", 60)})
    async with open_snapshot(database_url) as snapshot:
        selection = await find(snapshot.planner, Asked())
    clock, kept = ManualClock(), Kept(tmp_path / "exports")
    exports = Exports(kept, database_url, clock, 10**9)
    running = asyncio.create_task(exports.run())

    async def export() -> None:
        about = await exports.begin("user:1", "", WANTED, selection, 3600)

        async def is_done() -> bool:
            found = kept.find(about.id)
            return found is not None and found.state is State.DONE

        await until(is_done)

    await export()
    await until(lambda: has(database, 1 + CONNECTIONS))
    before = await idle(database)
    with_those = await database.fetchval("SELECT max(backend_start) FROM pg_stat_activity WHERE pid = ANY($1)", before)
    await export()
    await until(lambda: has(database, 1 + CONNECTIONS))
    assert not set(before) & set(await idle(database))  # each is used once
    assert with_those < await database.fetchval(
        "SELECT min(backend_start) FROM pg_stat_activity WHERE pid = ANY($1)", await idle(database)
    )
    await clock.advance(READY_US_MAX / US_PER_S - 60)
    await asyncio.sleep(0.05)
    assert await has(database, 1 + CONNECTIONS)

    async def are_let_go() -> bool:
        await clock.advance(60)
        return await has(database, 0)

    await until(are_let_go)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
