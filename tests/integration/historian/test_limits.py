"""What the leader does about limits: the oldest dead letters go, counted; an alarm ends when there is room again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from engine.clock import US_PER_S, ManualClock
from engine.historian.historian import Historian
from engine.historian.limits import COUNT_AGAIN_S
from engine.historian.port import Parking
from engine.model import ParkedItem
from engine.settings import Settings
from tests.integration.historian.outcomes import T0_US, dead_letter, facility_with_sensors

pytestmark = pytest.mark.postgres
DAY_S = 86_400
LIMITS: dict[str, Any] = {"dead_letters_max": 10, "dead_letters_days_max": 5, "parked_per_facility_max": 10}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(T0_US)


@pytest_asyncio.fixture
async def historian(database_url: str, clock: ManualClock) -> AsyncIterator[Historian]:
    settings = Settings(_env_file=None, database_url=database_url, group_commit_wait_ms=0, **LIMITS)
    opened = await Historian.open(database_url, settings, clock)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Any]:
    opened = await asyncpg.connect(database_url)
    yield opened
    await opened.close()


async def alarms(database: Any) -> list[tuple[str, str, str]]:
    rows = await database.fetch(
        "SELECT alarm_key, transition, alert_type FROM alarm_events WHERE facility_id = '' ORDER BY id"
    )
    return [tuple(row) for row in rows]


async def test_of_too_many_dead_letters_the_oldest_go_and_one_alert_says_so(
    historian: Historian, database: Any, clock: ManualClock
) -> None:
    for number in range(10):
        await historian.record_dead_letters([dead_letter(f"{number:02d}")])
    assert await historian.bound_dead_letters() == {"dead_letters_max": 0, "dead_letters_days_max": 0}
    assert await alarms(database) == []
    for round in range(2):
        for number in range(10 + 2 * round, 12 + 2 * round):
            await historian.record_dead_letters([dead_letter(f"{number}")])
        assert (await historian.bound_dead_letters())["dead_letters_max"] == 2
        await historian.review_limits()
    left = [row["body"] for row in await database.fetch("SELECT body FROM dead_letters ORDER BY id")]
    assert left == [f"{number:02d}" for number in range(4, 14)]
    assert await alarms(database) == [("dead_letters_max", "activated", "System")]
    await clock.advance(6 * DAY_S)
    assert await historian.bound_dead_letters() == {"dead_letters_max": 0, "dead_letters_days_max": 10}
    await historian.review_limits()
    assert [event[1] for event in await alarms(database)] == ["activated", "returned"]


async def test_dead_letters_go_by_age_and_not_before(historian: Historian, database: Any, clock: ManualClock) -> None:
    await historian.record_dead_letters([dead_letter("old")])
    await clock.advance(5 * DAY_S)
    assert (await historian.bound_dead_letters())["dead_letters_days_max"] == 0
    await historian.record_dead_letters([dead_letter("new")])
    await clock.advance(1)
    assert (await historian.bound_dead_letters())["dead_letters_days_max"] == 1
    assert [row["body"] for row in await database.fetch("SELECT body FROM dead_letters")] == ["new"]


async def test_an_alarm_ends_when_a_tenth_is_free_and_the_next_flood_is_another_alert(
    historian: Historian, database: Any, clock: ManualClock
) -> None:
    def flood(first: int) -> list[ParkedItem]:
        return [
            ParkedItem("reading", "x", "s", T0_US + number * US_PER_S, f"{number}", "unknown_facility")
            for number in range(first, first + 11)
        ]

    found = await historian.park_unknown_facility(flood(0))
    assert found == [Parking.PARKED] * 10 + [Parking.NO_ROOM_IN_FACILITY]
    [usage] = [each for each in await historian.review_limits() if each.limit == "parked_per_facility_max"]
    assert (usage.used, usage.most, usage.subject) == (10, 10, "x")
    assert [event[:2] for event in await alarms(database)] == [("parked_per_facility_max:x", "activated")]

    await database.execute("DELETE FROM parked WHERE body = '0'")
    await historian.review_limits()
    assert [event[1] for event in await alarms(database)] == ["activated", "returned"]

    await clock.advance(COUNT_AGAIN_S)
    found = await historian.park_unknown_facility(flood(100))
    assert found.count(Parking.PARKED) == 1
    assert [event[1] for event in await alarms(database)] == ["activated", "returned", "activated"]
    message = await database.fetchval("SELECT message FROM alarm_events ORDER BY id DESC LIMIT 1")
    assert message.startswith("There are 10 parked rows of facility x, which is the most there may be")


async def test_what_there_is_is_counted_by_the_names_of_the_settings(historian: Historian) -> None:
    await facility_with_sensors(historian, "f", 2)
    await historian.record_dead_letters([replace(dead_letter("1"), reason="not_json")])
    found = {usage.limit: (usage.used, usage.subject) for usage in await historian.review_limits()}
    assert found == {
        "facilities_max": (1, ""),
        "sensors_per_facility_max": (2, "f"),
        "sensors_max": (2, ""),
        "parked_per_facility_max": (0, ""),
        "parked_max": (0, ""),
        "dead_letters_max": (1, ""),
    }
