"""Rollups, parked rows that grow old, strays and leadership, beside running commits."""

from __future__ import annotations

import asyncio
import math
import os
import random
import signal
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from engine.clock import US_PER_S, ManualClock, SystemClock
from engine.errors import StoreUnavailable
from engine.historian import leadership
from engine.historian.historian import Historian
from engine.historian.port import Parking
from engine.model import EntityChange, ParkedItem
from engine.settings import Settings
from tests.integration.historian.outcomes import (
    T0_US,
    Reading,
    activation,
    committed,
    facility_with_sensors,
    outcome,
    setup,
)

pytestmark = pytest.mark.postgres
DAY_US = 86_400 * US_PER_S


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(T0_US + 10 * DAY_US + 3_600 * US_PER_S)


@pytest_asyncio.fixture
async def historian(database_url: str, clock: ManualClock) -> AsyncIterator[Historian]:
    settings = Settings(database_url=database_url, group_commit_wait_ms=0, parked_days_max=7)
    opened = await Historian.open(database_url, settings, clock)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Any]:
    opened = await asyncpg.connect(database_url)
    yield opened
    await opened.close()


# --- rollups ----------------------------------------------------------------------------------------------------------


async def expected_rollups(database: Any) -> dict[tuple[int, int, int], tuple[Any, ...]]:
    """The rollups as a plain fold over all stored readings, in time order, minutes into hours into days."""
    readings = await database.fetch(
        "SELECT sensor_no, (extract(epoch FROM tracked_at) * 1000000)::int8 AS us, value, flags "
        "FROM sensor_records ORDER BY sensor_no, tracked_at"
    )
    minutes: dict[tuple[int, int, int], list[Any]] = defaultdict(list)
    for row in readings:
        minutes[row["sensor_no"], 60, row["us"] - row["us"] % (60 * US_PER_S)].append(row)
    result: dict[tuple[int, int, int], tuple[Any, ...]] = {}
    for key, rows in minutes.items():
        numbers = [row["value"] for row in rows if row["value"] is not None and abs(row["value"]) < 1e150]
        good = sum(
            1 for row in rows if row["value"] is not None and abs(row["value"]) < 1e150 and not row["flags"] & 134
        )
        result[key] = (
            len(numbers),
            _sum(numbers),
            _sum([number * number for number in numbers]),
            min(numbers, default=None),
            max(numbers, default=None),
            numbers[0] if numbers else None,
            numbers[-1] if numbers else None,
            len(rows),
            good,
        )
    for width_s, narrower_s in ((3600, 60), (86_400, 3600)):
        wide: dict[tuple[int, int, int], list[tuple[Any, ...]]] = defaultdict(list)
        for (sensor_no, width, bucket), values in sorted(result.items()):
            if width == narrower_s:
                wide[sensor_no, width_s, bucket - bucket % (width_s * US_PER_S)].append(values)
        for key, parts in wide.items():
            full = [part for part in parts if part[0]]
            result[key] = (
                sum(part[0] for part in parts),
                _sum([part[1] for part in full]),
                _sum([part[2] for part in full]),
                min((part[3] for part in full), default=None),
                max((part[4] for part in full), default=None),
                full[0][5] if full else None,
                full[-1][6] if full else None,
                sum(part[7] for part in parts),
                sum(part[8] for part in parts),
            )
    return result


def _sum(numbers: list[float]) -> float | None:
    """Left to right, as PostgreSQL does; Python's own sum() compensates from 3.12 on."""
    total = 0.0
    for number in numbers:
        total += number
    return total if numbers else None


async def stored_rollups(database: Any) -> dict[tuple[int, int, int], tuple[Any, ...]]:
    rows = await database.fetch("SELECT *, (extract(epoch FROM bucket) * 1000000)::int8 AS us FROM reading_rollups")
    columns = ("n", "sum", "sum_sq", "min", "max", "first", "last", "readings", "good")
    for row in rows:
        assert math.isclose(row["good_fraction"], row["good"] / row["readings"])
    return {(row["sensor_no"], row["width_s"], row["us"]): tuple(row[column] for column in columns) for row in rows}


async def finish_rollups(historian: Historian) -> None:
    while await historian.rollup_pass():
        pass


async def test_rollups_are_a_function_of_the_stored_readings(historian: Historian, database: Any) -> None:
    chance = random.Random(7)
    state, sensors = await facility_with_sensors(historian, "f", sensors=3)
    other, (foreign,) = await facility_with_sensors(historian, "g")
    for commit_no in range(2, 12):
        rows: list[Reading] = []
        for _ in range(60):
            at_us = T0_US + chance.choice([0, 5 * DAY_US]) + chance.randrange(3 * 3600 * US_PER_S)
            rows.append((chance.choice(sensors), at_us, chance.uniform(-1, 1) * 10 ** chance.randint(-3, 3), None))
        rows.append((sensors[0], T0_US + commit_no, None, "open"))
        flags = chance.choice([0, 1, 8, 128])
        await committed(historian, outcome(state, commit_no, rows, flags=flags))
        await committed(historian, outcome(other, commit_no, [(foreign, T0_US + commit_no, 1.0, None)]))
        if commit_no % 3 == 0:  # the later commits are late data for these buckets
            await finish_rollups(historian)
    await finish_rollups(historian)
    assert await historian.rollup_pass() == 0
    assert await stored_rollups(database) == await expected_rollups(database)
    assert await database.fetchval("SELECT count(*) FROM rollup_dirty") == 0


async def test_rollups_survive_extreme_values(historian: Historian, database: Any) -> None:
    state, (sensor_no,) = await facility_with_sensors(historian, "f")
    extremes = [1e308, -1e308, 1e200, 1e-200, 5e-324, 3.0, math.nan, math.inf]
    rows: list[Reading] = [(sensor_no, T0_US + index, value, None) for index, value in enumerate(extremes)]
    await committed(historian, outcome(state, 2, rows))
    await finish_rollups(historian)
    row = await database.fetchrow("SELECT n, sum, sum_sq, readings FROM reading_rollups WHERE width_s = 60")
    assert tuple(row) == (3, 3.0, 9.0, 8)


async def test_rollup_passes_beside_commits_lose_nothing(
    historian: Historian, database_url: str, database: Any
) -> None:
    state, sensors = await facility_with_sensors(historian, "f", sensors=2)
    second = await Historian.open(database_url, Settings(database_url=database_url), SystemClock())
    done = asyncio.Event()

    async def commit_on() -> None:
        for commit_no in range(2, 60):
            at_us = T0_US + commit_no * 7 * US_PER_S
            await committed(
                historian, outcome(state, commit_no, [(number, at_us, 1.0 * commit_no, None) for number in sensors])
            )
        done.set()

    async def roll_on(whose: Historian) -> None:
        while not done.is_set():
            await whose.rollup_pass()

    await asyncio.gather(commit_on(), roll_on(historian), roll_on(second))
    await finish_rollups(historian)
    assert await stored_rollups(database) == await expected_rollups(database)
    await second.close()


# --- parked rows ------------------------------------------------------------------------------------------------------


async def test_parked_rows_expire_into_dead_letters(historian: Historian, clock: ManualClock, database: Any) -> None:
    state, _ = await facility_with_sensors(historian, "f")
    old = ParkedItem("reading", "f", "never", T0_US, "{}", "unknown_sensor")
    await committed(historian, replace(outcome(state, 2), parked=(old,)))
    await clock.advance(7 * 86_400 - 1)
    young = ParkedItem("activation", "g", "y", T0_US, "{}", "unknown_facility")
    assert await historian.park_unknown_facility([young]) == [Parking.PARKED]
    assert await historian.expire_parked() == 0
    await clock.advance(2)
    assert await historian.expire_parked() == 1
    letters = await database.fetch("SELECT source, reason, detail, sensor_id FROM dead_letters")
    assert [tuple(row) for row in letters] == [("parked", "parked_too_long", "reading: unknown_sensor", "never")]
    assert [each.item for each in await historian.parked("g")] == [young]


async def test_what_expires_again_after_a_redelivery_is_told_of_once(
    historian: Historian, clock: ManualClock, database: Any
) -> None:
    state, _ = await facility_with_sensors(historian, "f")
    never = ParkedItem("reading", "f", "never", T0_US, "{}", "unknown_sensor")
    for commit_no in (2, 3):
        await committed(historian, replace(outcome(state, commit_no), parked=(never,)))
        await clock.advance(7 * 86_400 + 1)
        assert await historian.expire_parked() == 1
    assert await database.fetchval("SELECT count(*) FROM dead_letters") == 1


async def test_sweep_names_facilities_whose_parked_rows_have_a_parent(historian: Historian) -> None:
    def item(kind: str, facility_id: str, sensor_id: str) -> ParkedItem:
        return ParkedItem(kind, facility_id, sensor_id, T0_US, "{}", "")

    waiting = [
        item("activation", "a", "s"),
        item("reading", "b", "late"),
        item("deactivation", "c", "c-s0"),
        item("reading", "d", "d-s0"),
    ]
    assert await historian.park_unknown_facility(waiting) == [Parking.PARKED] * 4
    assert await historian.sweep() == []
    for facility_id in ("a", "b"):
        await historian.create_facility(setup(facility_id))
    assert await historian.sweep() == ["a"]  # b has no sensor `late` yet
    state, _ = await facility_with_sensors(historian, "c")
    assert await historian.sweep() == ["a", "c"]
    # The same sensor id in another facility is not its parent.
    change = EntityChange("insert_sensor", "d-s0", activation=activation("c", "d-s0"), sensor_no=999)
    await committed(historian, replace(outcome(state, 2), changes=(change,)))
    await historian.create_facility(setup("d"))
    assert await historian.sweep() == ["a", "c"]


# --- leadership -------------------------------------------------------------------------------------------------------


async def test_the_own_session_of_before_is_no_other_engine(historian: Historian, database_url: str) -> None:
    """As after PostgreSQL hung: it comes to the end of our old session later than to our new one."""
    second = await Historian.open(database_url, Settings(database_url=database_url), SystemClock())
    leader = await historian.try_lead()
    assert leader is not None
    pid = leader._connection.get_server_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        await leader.release()
        with pytest.raises(StoreUnavailable, match="an abandoned session of this engine still has the lead"):
            await historian.try_lead()
        assert await second.try_lead() is None, "to others it is an engine that leads"
    finally:
        os.kill(pid, signal.SIGCONT)
    async with asyncio.timeout(5):
        while (again := await second.try_lead()) is None:
            await asyncio.sleep(0.02)
    assert await historian.try_lead() is None, "and now another one does lead"
    await again.release()
    await second.close()


async def test_a_lead_that_was_got_and_never_heard_of_is_ended(historian: Historian, database_url: str) -> None:
    """PostgreSQL may come to a question after the one who asked gave up, or across a cable that was cut since."""
    never_heard_of = await leadership.try_lead(database_url, Settings(database_url=database_url), historian._leads_as)
    assert never_heard_of is not None
    with pytest.raises(StoreUnavailable, match="an abandoned session of this engine"):
        await historian.try_lead()
    async with asyncio.timeout(5):
        while True:
            with suppress(StoreUnavailable):
                leader = await historian.try_lead()
                break
            await asyncio.sleep(0.02)
        while never_heard_of.held:
            await asyncio.sleep(0.02)
    assert leader is not None
    await leader.release()


async def test_there_is_one_leader_until_its_connection_dies(
    historian: Historian, database_url: str, database: Any
) -> None:
    second = await Historian.open(database_url, Settings(database_url=database_url), SystemClock())
    leader = await historian.try_lead()
    assert leader is not None and leader.held
    assert await second.try_lead() is None
    await database.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
    )
    async with asyncio.timeout(5):
        while leader.held:
            await asyncio.sleep(0.01)
    successor = await second.try_lead()
    assert successor is not None
    await successor.release()
    assert not successor.held
    async with asyncio.timeout(5):
        while (again := await historian.try_lead()) is None:
            await asyncio.sleep(0.02)
    await again.release()
    await second.close()
