"""What a commit writes, refuses and answers, on a real PostgreSQL."""

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
from engine.errors import CommitFenced, CommitRejected
from engine.historian.historian import Historian
from engine.model import Checkpoint, EntityChange, EntryKind, LogEntry, ParkedItem, SensorStatus, Verdict
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


async def test_unknown_facility_loads_as_none_and_is_created_once(historian: Historian) -> None:
    assert await historian.load("nowhere") is None
    assert await historian.create_facility(setup("f"))
    assert not await historian.create_facility(setup("f"))
    assert await historian.facility_ids() == ["f"]


async def test_only_who_holds_the_present_epoch_loads_by_it(historian: Historian) -> None:
    await historian.create_facility(setup("f"))
    first = await load(historian, "f")
    second = await historian.load("f", first.epoch)
    assert second is not None
    with pytest.raises(CommitFenced, match="epoch 1 is over, 2 is the present one"):
        await historian.load("f", first.epoch)
    assert await historian.load("nowhere", 1) is None
    assert (await load(historian, "f")).epoch == second.epoch + 1


async def test_an_older_epoch_is_fenced_and_writes_nothing(historian: Historian, database: Any) -> None:
    old, (sensor_no,) = await facility_with_sensors(historian, "f")
    new = await load(historian, "f")
    answer = await historian.commit(outcome(old, 2, readings(sensor_no, 3), [event(sensor_no)]))
    assert answer.verdict is Verdict.FENCED
    assert await database.fetchval("SELECT count(*) FROM sensor_records") == 0
    assert await database.fetchval("SELECT count(*) FROM alarm_events") == 0
    await committed(historian, outcome(new, 2, readings(sensor_no, 3)))


async def test_a_fenced_neighbour_is_left_out_of_the_group(historian: Historian, database: Any) -> None:
    states = [await facility_with_sensors(historian, f"f{index}") for index in range(3)]
    await load(historian, "f1")
    answers = await asyncio.gather(
        *(historian.commit(outcome(state, 2, readings(numbers[0], 2))) for state, numbers in states)
    )
    assert [answer.verdict for answer in answers] == [Verdict.COMMITTED, Verdict.FENCED, Verdict.COMMITTED]
    # One transaction wrote both: same xmin.
    assert await database.fetchval("SELECT count(DISTINCT xmin::text) FROM sensor_records") == 1


@pytest.mark.parametrize("numbers", [[1], [3], [2, 4], [2, 2], [3, 2]])
async def test_commit_numbers_must_follow_without_gap_or_repetition(
    historian: Historian, database: Any, numbers: list[int]
) -> None:
    state, (sensor_no,) = await facility_with_sensors(historian, "f")
    entries = tuple(LogEntry(number, EntryKind.BATCH, b"x") for number in numbers)
    answer = await historian.commit(replace(outcome(state, 2, readings(sensor_no, 1)), entries=entries))
    assert answer.verdict is Verdict.UNKNOWN and answer.reason.startswith("out_of_sequence")
    assert await database.fetchval("SELECT count(*) FROM sensor_records") == 0
    await committed(historian, outcome(state, 2, readings(sensor_no, 1)))


async def test_commit_numbers_go_on_after_a_checkpoint_has_emptied_the_log(historian: Historian, database: Any) -> None:
    state, _ = await facility_with_sensors(historian, "f")
    await committed(historian, replace(outcome(state, 2), checkpoint=Checkpoint(2, 7, b"state")))
    assert await database.fetchval("SELECT count(*) FROM facility_commits") == 0
    assert (await historian.commit(outcome(state, 1))).verdict is Verdict.UNKNOWN
    await committed(historian, outcome(state, 3))
    again = await load(historian, "f")
    assert again.checkpoint == Checkpoint(2, 7, b"state")
    assert [entry.commit_no for entry in again.log] == [3]
    assert again.last_commit_no == 3


async def test_checkpoint_ahead_of_the_log_is_refused(historian: Historian) -> None:
    state, _ = await facility_with_sensors(historian, "f")
    answer = await historian.commit(replace(outcome(state, 2), checkpoint=Checkpoint(3, 7, b"state")))
    assert answer.verdict is Verdict.UNKNOWN


async def test_redelivered_readings_are_told_and_stored_once(historian: Historian, database: Any) -> None:
    state, (sensor_no,) = await facility_with_sensors(historian, "f")
    await committed(historian, outcome(state, 2, readings(sensor_no, 3)))
    answer = await committed(historian, outcome(state, 3, readings(sensor_no, 5)))
    assert answer.not_stored == {(sensor_no, T0_US + index * 1_000_000) for index in range(3)}
    assert answer.conflicts == 0
    assert await database.fetchval("SELECT count(*) FROM sensor_records") == 5
    assert await database.fetchval("SELECT count(*) FROM reading_conflicts") == 0


async def test_a_conflict_keeps_the_first_value_and_is_recorded_once(historian: Historian, database: Any) -> None:
    state, (sensor_no,) = await facility_with_sensors(historian, "f")
    await committed(historian, outcome(state, 2, [(sensor_no, T0_US, 1.0, None)]))
    other: list[Reading] = [(sensor_no, T0_US, 2.0, None)]
    answer = await committed(historian, outcome(state, 3, other))
    assert (answer.not_stored, answer.conflicts) == ({(sensor_no, T0_US)}, 1)
    answer = await committed(historian, outcome(state, 4, other))
    assert (answer.not_stored, answer.conflicts) == ({(sensor_no, T0_US)}, 0)
    assert (await committed(historian, outcome(state, 5, [(sensor_no, T0_US, None, "x" * 9000)]))).conflicts == 1
    assert await database.fetchval("SELECT value FROM sensor_records") == 1.0
    assert [row["value"] for row in await database.fetch("SELECT value FROM reading_conflicts ORDER BY id")] == [
        2.0,
        None,
    ]


async def test_of_two_readings_of_one_time_in_one_batch_the_first_stays(historian: Historian, database: Any) -> None:
    state, (sensor_no,) = await facility_with_sensors(historian, "f")
    twins: list[Reading] = [(sensor_no, T0_US, 5.0, None), (sensor_no, T0_US, 6.0, None), (sensor_no, T0_US, 5.0, None)]
    answer = await committed(historian, outcome(state, 2, twins))
    assert answer.not_stored == frozenset()  # none was there before
    assert answer.conflicts == 1
    assert await database.fetchval("SELECT value FROM sensor_records") == 5.0
    assert await database.fetchval("SELECT value FROM reading_conflicts") == 6.0


async def test_not_stored_readings_are_told_to_their_own_facility(historian: Historian) -> None:
    (one, (no_one,)), (two, (no_two,)) = [await facility_with_sensors(historian, name) for name in ("f1", "f2")]
    await committed(historian, outcome(one, 2, readings(no_one, 1)))
    answers = await asyncio.gather(
        historian.commit(outcome(one, 3, readings(no_one, 1))), historian.commit(outcome(two, 2, readings(no_two, 1)))
    )
    assert [answer.not_stored for answer in answers] == [{(no_one, T0_US)}, frozenset()]


async def test_nineteen_commit_beside_one_poisoned_outcome(historian: Historian, database: Any) -> None:
    states = [await facility_with_sensors(historian, f"f{index:02}") for index in range(20)]
    wanted = [outcome(state, 2, readings(numbers[0], 2)) for state, numbers in states]
    wanted[7] = outcome(states[7][0], 2, [(states[7][1][0], T0_US, None, "a\0b")])  # PostgreSQL has no NUL in texts
    answers = await asyncio.gather(*(historian.commit(each) for each in wanted))
    assert [answer.verdict for answer in answers].count(Verdict.COMMITTED) == 19
    assert answers[7].verdict is Verdict.REJECTED and "0x00" in answers[7].reason
    assert await database.fetchval("SELECT count(*) FROM sensor_records") == 38
    # It was not fenced nor reloaded: the same incarnation goes on.
    await committed(historian, outcome(states[7][0], 2, readings(states[7][1][0], 2)))


async def test_rows_of_a_sensor_that_does_not_exist_are_rejected(historian: Historian, database: Any) -> None:
    state, (sensor_no,) = await facility_with_sensors(historian, "f")
    answer = await historian.commit(outcome(state, 2, [*readings(sensor_no, 1), (sensor_no + 1000, T0_US, 1.0, None)]))
    assert answer.verdict is Verdict.REJECTED and str(sensor_no + 1000) in answer.reason
    assert await database.fetchval("SELECT count(*) FROM sensor_records") == 0


@pytest.mark.parametrize("spoil", ["row count", "truncated", "garbage"])
async def test_broken_rows_are_rejected(historian: Historian, spoil: str) -> None:
    state, (sensor_no,) = await facility_with_sensors(historian, "f")
    good = outcome(state, 2, readings(sensor_no, 2))
    bad = {
        "row count": replace(good, rows=3),
        "truncated": replace(good, copy_rows=good.copy_rows[:-3]),
        "garbage": replace(good, copy_rows=b"\x00\x06garbage", rows=1),
    }[spoil]
    assert (await historian.commit(bad)).verdict is Verdict.REJECTED
    await committed(historian, good)


async def test_a_sensor_of_another_facility_is_not_reserved(historian: Historian) -> None:
    await facility_with_sensors(historian, "f1")
    await historian.create_facility(setup("f2"))
    assert await historian.reserve_sensor("f1-s0", "f2") is None
    assert await historian.reserve_sensor("f1-s0", "f1") == 1


async def test_status_changes_are_written(historian: Historian, database: Any) -> None:
    state, _ = await facility_with_sensors(historian, "f")
    change = EntityChange("sensor_status", "f-s0", status=SensorStatus.INACTIVE, changed_at_us=T0_US + 5)
    await committed(historian, replace(outcome(state, 2), changes=(change,)))
    sensor = (await load(historian, "f")).sensors[0]
    assert (sensor.status, sensor.status_changed_at_us) == (SensorStatus.INACTIVE, T0_US + 5)


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


async def test_parked_rows_come_and_go_with_the_commit(historian: Historian, database: Any) -> None:
    state, _ = await facility_with_sensors(historian, "f")
    items = tuple(
        ParkedItem("reading", "f", "later", T0_US + number, '{"data": "1"}', "unknown_sensor") for number in (2, 1)
    )
    refused = ParkedItem("refused", "f", "later", None, "{}", "missing_field")
    await committed(historian, replace(outcome(state, 2), parked=(*items, refused)))
    await committed(historian, replace(outcome(state, 3), parked=items))  # a redelivery parks nothing new
    stored = await historian.parked("f", "later")
    assert [each.item for each in stored] == [items[1], items[0]]
    assert await historian.parked("f", "other") == []
    assert [each[1] for each in (await load(historian, "f")).parked] == [items[1], items[0]]

    state = await load(historian, "f")
    ids = tuple(each.id for each in stored)
    await committed(historian, replace(outcome(state, 4), unparked_ids=ids))
    assert await historian.parked("f") == []
    answer = await historian.commit(replace(outcome(state, 5), unparked_ids=ids))
    assert answer.verdict is Verdict.UNKNOWN and "have gone" in answer.reason


async def test_parking_for_a_facility_and_creating_it_take_turns(historian: Historian) -> None:
    items = [ParkedItem("activation", "f", f"s{number}", T0_US, "{}", "unknown_facility") for number in range(5)]
    results = await asyncio.gather(
        historian.park_unknown_facility(items[:2]),
        historian.create_facility(setup("f")),
        historian.park_unknown_facility(items[2:]),
    )
    parked = [*results[0], *results[2]]
    kept = {each.item.sensor_id for each in await historian.parked("f")}
    assert kept == {item.sensor_id for item, is_parked in zip(items, parked, strict=True) if is_parked}
    assert await historian.park_unknown_facility(items[:1]) == [False]


async def test_texts_that_can_never_be_stored_are_refused_not_retried(historian: Historian) -> None:
    with pytest.raises(CommitRejected, match="0x00"):
        await historian.create_facility(replace(setup("f"), name="a\0b"))


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
    assert tuple(row) == (True, False, 3)  # late events tell of the past
    journal = await database.fetch("SELECT id, transition, late FROM alarm_events ORDER BY id")
    assert [(each["id"], each["transition"]) for each in journal] == [
        (1, "activated"),
        (2, "returned"),
        (3, "activated"),
        (4, "late_exceedance"),
        (5, "activated"),
    ]


async def test_the_same_event_again_adds_nothing(historian: Historian, database: Any) -> None:
    state, (sensor_no,) = await facility_with_sensors(historian, "f")
    for commit_no in (2, 3):
        await committed(historian, outcome(state, commit_no, (), [event(sensor_no)]))
    assert await database.fetchval("SELECT count(*) FROM alarm_events") == 1


async def test_event_of_a_reading_stored_before_is_dropped(historian: Historian, database: Any) -> None:
    state, (sensor_no,) = await facility_with_sensors(historian, "f")
    await committed(historian, outcome(state, 2, readings(sensor_no, 1)))
    causes = [
        event(sensor_no, T0_US + index * 1_000_000, late=True, only_if_stored=(sensor_no, T0_US + index * 1_000_000))
        for index in range(2)
    ]
    await committed(historian, outcome(state, 3, readings(sensor_no, 2), causes))
    times = await database.fetch("SELECT event_time FROM alarm_events")
    assert [row["event_time"] for row in times] == [dt.datetime(2026, 1, 1, 0, 0, 1, tzinfo=dt.UTC)]


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


async def test_status_and_dead_letters_are_kept(historian: Historian, database: Any) -> None:
    from engine.historian.port import DeadLetter

    await historian.write_engine_status("engine", {"state": "starting"})
    await historian.write_engine_status("engine", {"state": "running"})
    await historian.record_dead_letters([DeadLetter("bus", "q", "not_json", "detail", "{\0", "f", "s")])
    assert await database.fetchval("SELECT state->>'state' FROM engine_status") == "running"
    assert await database.fetchval("SELECT body FROM dead_letters") == "{\N{REPLACEMENT CHARACTER}"
