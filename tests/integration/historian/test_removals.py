"""What was removed goes piece by piece, also over a crash, and its neighbours keep all of theirs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from engine.clock import US_PER_S, SystemClock
from engine.historian import removals
from engine.historian.historian import Historian
from engine.model import ParkedItem
from engine.settings import Settings
from tests.contract.stores import withdraw
from tests.integration.historian.outcomes import (
    T0_US,
    committed,
    dead_letter,
    event,
    facility_with_sensors,
    load,
    outcome,
)

pytestmark = pytest.mark.postgres
ROWS = 25
COUNTS = {
    "sensor_records": "SELECT count(*) FROM sensor_records WHERE sensor_no = ANY($1)",
    "reading_rollups": "SELECT count(*) FROM reading_rollups WHERE sensor_no = ANY($1)",
    "reading_conflicts": "SELECT count(*) FROM reading_conflicts WHERE sensor_no = ANY($1)",
    "alarm_events": "SELECT count(*) FROM alarm_events WHERE sensor_no = ANY($1)",
}
OF_FACILITY = ("parked", "dead_letters", "alarm_events", "alarms", "facility_commits", "checkpoints", "facility_epochs")


async def opened(database_url: str) -> Historian:
    return await Historian.open(database_url, Settings(_env_file=None, group_commit_wait_ms=0), SystemClock())


@pytest_asyncio.fixture
async def historian(database_url: str) -> AsyncIterator[Historian]:
    made = await opened(database_url)
    yield made
    await made.close()


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Any]:
    made = await asyncpg.connect(database_url)
    yield made
    await made.close()


async def full(historian: Historian, facility_id: str) -> list[int]:
    """A facility with two sensors and some of everything; their numbers."""
    state, numbers = await facility_with_sensors(historian, facility_id, 2)
    rows = [(number, T0_US + at * 60 * US_PER_S, 1.0, None) for number in numbers for at in range(ROWS)]
    waiting = ParkedItem("reading", facility_id, f"{facility_id}-s9", T0_US, "{}", "unknown_sensor")
    events = tuple(event(number) for number in numbers)
    whole = replace(outcome(state, 2, rows), events=events, parked=(waiting,))
    await committed(historian, replace(whole, dead_letters=(dead_letter("1", facility_id),)))
    other = [(number, T0_US, 2.0, None) for number in numbers]
    await committed(historian, outcome(state, 3, other))
    while await historian.rollup_pass():
        pass
    return numbers


async def counts(database: Any, numbers: list[int]) -> dict[str, int]:
    return {table: await database.fetchval(sql, numbers) for table, sql in COUNTS.items()}


async def of_facility(database: Any, facility_id: str) -> dict[str, int]:
    sql = "SELECT count(*) FROM {} WHERE facility_id = $1"
    return {table: await database.fetchval(sql.format(table), facility_id) for table in OF_FACILITY}


async def test_a_removed_facility_goes_with_everything_and_over_a_crash(
    historian: Historian, database: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, stays = await full(historian, "gone"), await full(historian, "stays")
    before = await counts(database, stays), await of_facility(database, "stays")
    assert all((await counts(database, gone)).values()), "there is some of everything"
    monkeypatch.setattr(removals, "ROWS_AT_ONCE", 10)
    await withdraw(database, "remove", "gone")
    assert await database.fetchval("SELECT count(*) FROM facilities WHERE id = 'gone'") == 0
    assert await database.fetchval("SELECT count(*) FROM sensors WHERE facility_id = 'gone'") == 0
    assert await database.fetchval("SELECT count(*) FROM locations") == 3, "of a facility and its two sensors"
    assert (await counts(database, gone))["sensor_records"] == 2 * ROWS, "the data follow in pieces"

    assert await historian.purge_removed() > 0
    left = (await counts(database, gone))["sensor_records"]
    assert left == 2 * ROWS - 10, "no piece is larger than it may be"
    await historian.close()
    successor = await opened(database_url)
    state = await load(successor, "stays")
    number = 4
    while await successor.purge_removed():
        await committed(successor, outcome(state, number, [(stays[0], T0_US + number * US_PER_S, 1.0, None)]))
        number += 1
    assert await counts(database, gone) == dict.fromkeys(COUNTS, 0)
    assert await of_facility(database, "gone") == dict.fromkeys(OF_FACILITY, 0)
    added = number - 4
    now = await counts(database, stays)
    assert {**now, "sensor_records": now["sensor_records"] - added} == before[0]
    after = await of_facility(database, "stays")
    assert {**after, "facility_commits": after["facility_commits"] - added} == before[1]
    assert await database.fetchval("SELECT sensor_nos = '{}' AND done_at IS NOT NULL FROM removals")
    assert await successor.purge_removed() == 0
    await successor.close()


async def test_a_removed_sensor_takes_what_is_its_own(historian: Historian, database: Any) -> None:
    numbers = await full(historian, "f")
    before = await counts(database, numbers[1:])
    await withdraw(database, "remove", "f", "f-s0")
    while await historian.purge_removed():
        pass
    assert await counts(database, numbers[:1]) == dict.fromkeys(COUNTS, 0)
    assert await counts(database, numbers[1:]) == before
    kept = await of_facility(database, "f")
    assert (kept["parked"], kept["dead_letters"], kept["facility_epochs"]) == (1, 1, 1)


async def test_two_who_remove_the_same_at_once_are_one_removal(database: Any, historian: Historian) -> None:
    await full(historian, "f")
    await withdraw(database, "remove", "f")
    assert await database.fetchval("SELECT facility_remove('f')") is False
    assert await database.fetchval("SELECT sensor_remove('f-s0')") is False
    assert await database.fetchval("SELECT count(*) FROM removals") == 1
    await asyncio.gather(*(historian.purge_removed() for _ in range(4)))


async def test_nobody_but_an_admin_retires_or_removes(database: Any, historian: Historian) -> None:
    await full(historian, "f")
    calls = {"facility_retire": "f", "facility_remove": "f", "sensor_retire": "f-s0", "sensor_remove": "f-s0"}
    for name, subject in calls.items():
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await database.fetchval(f"SELECT {name}($1)", subject)
    assert await database.fetchval("SELECT count(*) FROM sensors") == 2
