"""What people ask of alarms in the tables: decided by the commit that carries it out, and folded into the present."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from engine.clock import ManualClock, SystemClock
from engine.historian.historian import Historian
from engine.historian.maintenance import Did, opened, planned
from engine.historian.port import FACILITY_RETIRED
from engine.model import AlarmCommand, CommandVerdict, FacilityState, LogEntry, Outcome, Verdict
from engine.settings import Settings
from tests.contract.stores import withdraw
from tests.integration.historian.outcomes import T0_US, committed, event, facility_with_sensors, load, outcome

pytestmark = pytest.mark.postgres

ASK = """
INSERT INTO alarm_commands (command_id, facility_id, alarm_key, command, asked_at, actor, actor_name, reason, until,
    state, refusal)
VALUES ($1, $2, '1:high', 'shelve', $3, 'user:7', 'ann', 'calibration', $4, 'waiting', '')
"""
DECIDED = "SELECT state, refusal, decided_at IS NOT NULL FROM alarm_commands WHERE command_id = $1"
FIRST = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
HOUR_US = 3_600_000_000


@pytest_asyncio.fixture
async def historian(database_url: str) -> AsyncIterator[Historian]:
    historian = await Historian.open(database_url, Settings(_env_file=None, group_commit_wait_ms=0), SystemClock())
    yield historian
    await historian.close()


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def ask(database: Any, command_id: str, facility_id: str = "f", after: dt.timedelta = HOUR) -> None:
    at = FIRST + after
    await database.execute(ASK, command_id, facility_id, at, at + HOUR)


def deciding(state: FacilityState, commit_no: int, *verdicts: CommandVerdict, **changes: Any) -> Outcome:
    return replace(outcome(state, commit_no), commands=verdicts, **changes)


async def decided(database: Any, command_id: str) -> tuple[Any, ...]:
    return tuple(await database.fetchrow(DECIDED, command_id))


async def test_what_waits_is_told_in_the_order_in_which_it_was_asked(historian: Historian, database: Any) -> None:
    await facility_with_sensors(historian, "f")
    await facility_with_sensors(historian, "g")
    for command_id, facility_id, hours in (("b", "f", 3), ("a", "g", 2), ("c", "f", 1)):
        await ask(database, command_id, facility_id, hours * HOUR)
    first, second, third = await historian.waiting_commands()
    assert [each.command_id for each in (first, second, third)] == ["b", "a", "c"]
    at_us = T0_US + 3 * 3_600_000_000
    assert first == AlarmCommand(
        "b", "f", "1:high", "shelve", at_us, "user:7", "calibration", until_us=at_us + 3_600_000_000
    )


async def test_the_commit_decides_and_the_first_decision_stays(historian: Historian, database: Any) -> None:
    state, _ = await facility_with_sensors(historian, "f")
    for number, command_id in enumerate(("done", "refused", "left"), start=1):
        await ask(database, command_id, after=number * HOUR)
    verdicts = CommandVerdict("done"), CommandVerdict("refused", "no sensor has the number 9"), CommandVerdict("absent")
    await committed(historian, deciding(state, 2, *verdicts))
    assert await decided(database, "done") == ("done", "", True)
    assert await decided(database, "refused") == ("refused", "no sensor has the number 9", True)
    assert await decided(database, "left") == ("waiting", "", False)
    await committed(historian, deciding(state, 3, CommandVerdict("done", "late"), CommandVerdict("refused")))
    assert await decided(database, "done") == ("done", "", True)
    assert await decided(database, "refused") == ("refused", "no sensor has the number 9", True)
    assert [each.command_id for each in await historian.waiting_commands()] == ["left"]


async def test_a_refusal_needs_no_entry_in_the_log(historian: Historian, database: Any) -> None:
    state, _ = await facility_with_sensors(historian, "f")
    await ask(database, "a")
    await committed(historian, replace(deciding(state, 2, CommandVerdict("a", "no")), entries=()))
    assert await decided(database, "a") == ("refused", "no", True)
    assert (await load(historian, "f")).last_commit_no == 1


async def test_an_outcome_that_may_not_be_written_decides_nothing(historian: Historian, database: Any) -> None:
    state, _ = await facility_with_sensors(historian, "f")
    await ask(database, "a")
    early = replace(
        deciding(state, 2, CommandVerdict("a")), entries=(LogEntry(9, outcome(state, 2).entries[0].kind, b""),)
    )
    assert (await historian.commit(early)).verdict is Verdict.UNKNOWN
    await load(historian, "f")
    assert (await historian.commit(deciding(state, 2, CommandVerdict("a")))).verdict is Verdict.FENCED
    assert await decided(database, "a") == ("waiting", "", False)


async def test_what_is_asked_of_a_facility_that_closed_is_refused(historian: Historian, database: Any) -> None:
    await facility_with_sensors(historian, "f")
    await ask(database, "a")
    await withdraw(database, "retire", "f")
    assert [each.command_id for each in await historian.waiting_commands()] == ["a"], "its core has not let go yet"
    await database.execute("UPDATE facilities SET closed_at = now()")
    assert await historian.waiting_commands() == []
    assert await decided(database, "a") == ("refused", FACILITY_RETIRED, True)


async def test_what_is_asked_of_a_facility_goes_with_it(historian: Historian, database: Any) -> None:
    await facility_with_sensors(historian, "f")
    await ask(database, "a")
    await withdraw(database, "remove", "f")
    assert await historian.waiting_commands() == []
    await historian.refuse_command("a", "gone")
    assert await database.fetchval("SELECT count(*) FROM alarm_commands") == 0


async def test_the_present_of_an_alarm_follows_its_journal(historian: Historian, database: Any) -> None:
    """In one commit and over several: each transition says its part and leaves the others."""
    state, (sensor_no,) = await facility_with_sensors(historian, "f")
    until_us = T0_US + 60_000_000
    shelved = replace(
        event(sensor_no, T0_US + 3, "shelved"),
        actor="user:7",
        reason="calibration",
        command_id="c2",
        explanation_json=f'{{"until_us": {until_us}, "work_order": "W-1"}}',
    )
    acknowledged = replace(event(sensor_no, T0_US + 2, "acknowledged"), actor="user:7", command_id="c1")
    first = [event(sensor_no, T0_US + 1), acknowledged]
    await committed(historian, replace(outcome(state, 2), events=tuple(first)))
    await committed(historian, replace(outcome(state, 3), events=(shelved, event(sensor_no, T0_US + 4, "returned"))))
    row = dict(await database.fetchrow("SELECT * FROM alarms"))
    newest = await database.fetchval("SELECT max(id) FROM alarm_events")
    us = dt.timedelta(microseconds=1)
    assert row == {
        "facility_id": "f",
        "alarm_key": f"{sensor_no}:high",
        "sensor_no": sensor_no,
        "rule": "high",
        "active": False,
        "acknowledged": True,
        "suppression": "shelved",
        "latched": False,
        "priority": "high",
        "since": FIRST + 4 * us,
        "last_event_id": newest,
        "message": "Problem detected",
        "value": 26.0,
        "limit_value": 25.0,
        "acknowledged_at": FIRST + 2 * us,
        "acknowledged_by": "user:7",
        "suppressed_at": FIRST + 3 * us,
        "suppressed_until": FIRST + dt.timedelta(minutes=1),
        "suppressed_by": "user:7",
        "suppression_reason": "calibration",
        "work_order": "W-1",
        "assignee": None,
    }
    told = await database.fetch("SELECT transition, command_id, actor FROM alarm_events ORDER BY id")
    assert [tuple(each) for each in told] == [
        ("activated", None, "system"),
        ("acknowledged", "c1", "user:7"),
        ("shelved", "c2", "user:7"),
        ("returned", None, "system"),
    ]

    await committed(historian, replace(outcome(state, 4), events=(event(sensor_no, T0_US + 5, "unshelved"),)))
    left = await database.fetchrow("SELECT suppression, suppressed_at, suppressed_until, work_order FROM alarms")
    assert tuple(left) == ("none", None, None, None)


async def test_an_alarm_that_was_never_active_can_be_shelved(historian: Historian, database: Any) -> None:
    state, (sensor_no,) = await facility_with_sensors(historian, "f")
    shelved = replace(event(sensor_no, T0_US, "shelved"), explanation_json='{"until_us": 1}')
    await committed(historian, replace(outcome(state, 2), events=(shelved,)))
    row = await database.fetchrow("SELECT active, acknowledged, latched, suppression, since, message FROM alarms")
    assert tuple(row) == (False, True, False, "shelved", FIRST, None)


async def test_only_what_was_refused_goes_and_not_before_its_time(database_url: str, database: Any) -> None:
    now = FIRST + dt.timedelta(days=20, hours=13)
    settings = Settings(_env_file=None, group_commit_wait_ms=0, retention_days=10)
    clock = ManualClock(T0_US + (20 * 24 + 13) * HOUR_US)
    historian = await Historian.open(database_url, settings, clock)
    try:
        state, numbers = await facility_with_sensors(historian, "f")
        for number, command_id in enumerate(("old", "young", "told", "done", "left"), start=1):
            await ask(database, command_id, after=number * HOUR)
        shown = replace(event(numbers[0]), alarm_key="1:high", command_id="told")  # refused, and carried out meanwhile
        refused = (CommandVerdict(command_id, "no") for command_id in ("old", "young", "told"))
        await committed(historian, deciding(state, 2, *refused, CommandVerdict("done"), events=(shown,)))
        decide = "UPDATE alarm_commands SET decided_at = $2 WHERE command_id = $1 OR ($1 = '' AND command_id <> 'left')"
        midnight = now.replace(hour=0) - dt.timedelta(days=10)
        await database.execute(decide, "", midnight - dt.timedelta(microseconds=1))
        await database.execute(decide, "young", midnight)
        did: list[Did] = []
        would: list[Did] = []
        async with opened(database_url, settings) as connection:
            await planned(connection, settings.retention, clock.now_us(), would.append)
        await historian.maintain(did.append)
        for told in (would, did):
            assert [each for each in told if each.what == "commands_expired"] == [
                Did("commands_expired", "refused commands", rows=1)
            ]
        rows = await database.fetch("SELECT command_id FROM alarm_commands ORDER BY id")
        assert [row["command_id"] for row in rows] == ["young", "told", "done", "left"]
    finally:
        await historian.close()
