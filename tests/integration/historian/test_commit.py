"""What a commit leaves in the tables and how it groups; what it answers is the contract's (tests/contract)."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from engine.clock import SystemClock
from engine.historian.historian import Historian
from engine.model import EntityChange, Verdict
from engine.settings import Settings
from tests.integration.historian.outcomes import (
    MINUTE_US,
    T0_US,
    Reading,
    activation,
    committed,
    event,
    facility_with_sensors,
    load,
    outcome,
    setup,
)

pytestmark = pytest.mark.postgres


@pytest_asyncio.fixture
async def historian(database_url: str) -> AsyncIterator[Historian]:
    opened = await Historian.open(
        database_url, Settings(database_url=database_url, group_commit_wait_ms=1), SystemClock()
    )
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


def readings(sensor_no: int, count: int, start_us: int = T0_US) -> list[Reading]:
    return [(sensor_no, start_us + index * 1_000_000, 20.0 + index, None) for index in range(count)]


async def test_everything_of_an_outcome_is_written_and_loaded_again(historian: Historian, database: Any) -> None:
    state, (sensor_no,) = await facility_with_sensors(historian, "f")
    wanted = outcome(
        state, 2, [(sensor_no, T0_US, 24.61, None), (sensor_no, T0_US + 1, None, "open")], [event(sensor_no)]
    )
    answer = await committed(historian, wanted)
    assert answer.not_stored == frozenset() and answer.conflicts == 0

    rows = await database.fetch("SELECT * FROM sensor_records ORDER BY tracked_at")
    first = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    assert [tuple(row) for row in rows] == [
        (sensor_no, first, 24.61, None, 0.5, 0),
        (sensor_no, first + dt.timedelta(microseconds=1), None, "open", 0.5, 0),
    ]
    assert await database.fetchval("SELECT array_agg(minute) FROM rollup_dirty") == [first]

    again = await load(historian, "f")
    assert again.epoch == state.epoch + 1
    assert again.last_commit_no == 2
    assert [entry.payload for entry in again.log] == [b"batch 1", b"batch 2"]
    sensor = again.sensors[0]
    assert (sensor.sensor_id, sensor.sensor_no, sensor.expected_interval_s) == ("f-s0", sensor_no, 15)
    row = await database.fetchrow("SELECT name, status, expected_freq, installed_at FROM sensors")
    assert tuple(row) == ("Sensor f-s0", "Active", "15S", first)


async def test_a_fenced_neighbour_is_left_out_of_the_group(historian: Historian, database: Any) -> None:
    states = [await facility_with_sensors(historian, f"f{index}") for index in range(3)]
    await load(historian, "f1")
    answers = await asyncio.gather(
        *(historian.commit(outcome(state, 2, readings(numbers[0], 2))) for state, numbers in states)
    )
    assert [answer.verdict for answer in answers] == [Verdict.COMMITTED, Verdict.FENCED, Verdict.COMMITTED]
    # One transaction wrote both: same xmin.
    assert await database.fetchval("SELECT count(DISTINCT xmin::text) FROM sensor_records") == 1


async def test_a_conflict_is_recorded_once_beside_the_first_value(historian: Historian, database: Any) -> None:
    state, (sensor_no,) = await facility_with_sensors(historian, "f")
    tries: list[tuple[float | None, str | None]] = [(1.0, None), (2.0, None), (2.0, None), (None, "x" * 9000)]
    for commit_no, (value, text) in enumerate(tries, start=2):
        await committed(historian, outcome(state, commit_no, [(sensor_no, T0_US, value, text)]))
    assert await database.fetchval("SELECT array_agg(value) FROM sensor_records") == [1.0]
    kept = await database.fetch("SELECT value, text_value FROM reading_conflicts ORDER BY id")
    assert [tuple(row) for row in kept] == [(2.0, None), (None, "x" * 9000)]


@pytest.mark.parametrize(
    ("expected_interval_s", "spelling"), [(1, "1S"), (59, "59S"), (60, "1T"), (900, "15T"), (3600, "60T")]
)
async def test_expected_freq_is_spelt_as_the_contract_says(
    historian: Historian, database: Any, expected_interval_s: int, spelling: str
) -> None:
    await historian.create_facility(setup("f"))
    state = await load(historian, "f")
    change = EntityChange("insert_sensor", "s", activation=activation("f", "s", expected_interval_s), sensor_no=1)
    await committed(historian, replace(outcome(state, 1), changes=(change,)))
    assert await database.fetchval("SELECT expected_freq FROM sensors") == spelling


async def test_events_reach_the_journal_in_order_and_the_projection_is_their_fold(
    historian: Historian, database: Any
) -> None:
    state, (sensor_no,) = await facility_with_sensors(historian, "f")
    await committed(historian, outcome(state, 2, (), [event(sensor_no), event(sensor_no, T0_US + 1, "returned")]))
    row = await database.fetchrow("SELECT active, acknowledged, last_event_id FROM alarms")
    assert tuple(row) == (False, False, 2)
    again = [event(sensor_no, T0_US + 2), event(sensor_no, T0_US, "late_exceedance", late=True)]
    await committed(historian, outcome(state, 3, (), again))
    late = event(sensor_no, T0_US - 5, late=True)
    await committed(historian, outcome(state, 4, (), [late]))
    row = await database.fetchrow("SELECT active, acknowledged, last_event_id FROM alarms")
    assert tuple(row) == (True, False, 5)  # a late alert is told, and moves no condition
    journal = await database.fetch("SELECT id, transition, late FROM alarm_events ORDER BY id")
    assert [(each["id"], each["transition"]) for each in journal] == [
        (1, "activated"),
        (2, "returned"),
        (3, "activated"),
        (4, "late_exceedance"),
        (5, "activated"),
    ]


async def test_commits_with_events_wake_listeners_and_others_do_not(historian: Historian, database: Any) -> None:
    state, (sensor_no,) = await facility_with_sensors(historian, "f")
    heard: asyncio.Queue[str] = asyncio.Queue()
    await database.add_listener("alarm_events", lambda *_: heard.put_nowait("heard"))
    await committed(historian, outcome(state, 2, readings(sensor_no, 1)))
    await committed(historian, outcome(state, 3, (), [event(sensor_no)]))
    assert await asyncio.wait_for(heard.get(), 5) == "heard"
    await asyncio.sleep(0.05)
    assert heard.empty()


async def test_readings_far_in_time_are_stored(historian: Historian, database: Any) -> None:
    state, (sensor_no,) = await facility_with_sensors(historian, "f")
    far: list[Reading] = [(sensor_no, year * 31_556_952_000_000, 1.0, None) for year in range(230)]  # 1970 to 2199
    await committed(historian, outcome(state, 2, far))
    assert await database.fetchval("SELECT count(*) FROM sensor_records") == 230


async def test_many_facilities_share_transactions(historian: Historian, database: Any) -> None:
    states = [await facility_with_sensors(historian, f"f{index:02}") for index in range(30)]
    for commit_no in (2, 3):
        start_us = T0_US + commit_no * MINUTE_US
        answers = await asyncio.gather(
            *(
                historian.commit(outcome(state, commit_no, readings(numbers[0], 2, start_us)))
                for state, numbers in states
            )
        )
        assert {answer.verdict for answer in answers} == {Verdict.COMMITTED}
    assert await database.fetchval("SELECT count(DISTINCT xmin::text) FROM sensor_records") <= 4
