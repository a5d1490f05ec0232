"""The contract of the historian, on every store: readings once, the journal in order, alarms as last told."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from engine.historian.port import HistorianPort
from engine.model import AlarmEvent, Verdict
from tests.contract.stores import Store
from tests.integration.historian.outcomes import (
    T0_US,
    Reading,
    committed,
    event,
    facility_with_sensors,
    outcome,
)

S_US = 1_000_000


def readings(sensor_no: int, *seconds: int) -> list[Reading]:
    return [(sensor_no, T0_US + at_s * S_US, 20.0 + at_s, None) for at_s in seconds]


async def test_recent_readings_are_the_newest_of_each_sensor_oldest_first(historian: HistorianPort) -> None:
    state, (one, two) = await facility_with_sensors(historian, "f", sensors=2)
    await committed(historian, outcome(state, 2, [*readings(one, 9, 1, 5), *readings(two, 2, 30, 4)]))
    assert await historian.recent_readings("f", [two, one, two + 1000], 2) == [
        (one, T0_US + 5 * S_US, "25.0"),
        (one, T0_US + 9 * S_US, "29.0"),
        (two, T0_US + 4 * S_US, "24.0"),
        (two, T0_US + 30 * S_US, "50.0"),
    ]
    assert await historian.recent_readings("f", [], 2) == []


async def test_readings_come_back_as_they_were_received(historian: HistorianPort) -> None:
    state, (no,) = await facility_with_sensors(historian, "f")
    said = [
        (1e300, None, "1e+300"),
        (-0.0, None, "-0.0"),
        (24.6, "24.60", "24.60"),
        (None, "offen ü", "offen ü"),
        (None, "", ""),
    ]
    rows: list[Reading] = [(no, T0_US + at, value, text) for at, (value, text, _) in enumerate(said)]
    await committed(historian, outcome(state, 2, rows))
    assert [data for _, _, data in await historian.recent_readings("f", [no], 10)] == [data for _, _, data in said]


async def test_readings_that_were_there_are_told_and_stored_once(historian: HistorianPort) -> None:
    state, (no,) = await facility_with_sensors(historian, "f")
    await committed(historian, outcome(state, 2, readings(no, 0, 1, 2)))
    answer = await committed(historian, outcome(state, 3, readings(no, 0, 1, 2, 3, 4)))
    assert answer.not_stored == {(no, T0_US + at_s * S_US) for at_s in (0, 1, 2)}
    assert answer.conflicts == 0
    assert len(await historian.recent_readings("f", [no], 10)) == 5


async def test_the_first_value_of_a_moment_stays_and_another_is_a_conflict_once(
    historian: HistorianPort,
) -> None:
    state, (no,) = await facility_with_sensors(historian, "f")
    await committed(historian, outcome(state, 2, [(no, T0_US, 1.0, None)]))
    tries: list[tuple[Reading, int]] = [
        ((no, T0_US, 2.0, None), 1),
        ((no, T0_US, 2.0, None), 0),
        ((no, T0_US, 1.0, "1.00"), 1),
        ((no, T0_US, None, "x" * 9000), 1),
        ((no, T0_US, 1.0, None), 0),
    ]
    for commit_no, (reading, conflicts) in enumerate(tries, start=3):
        answer = await committed(historian, outcome(state, commit_no, [reading]))
        assert (answer.not_stored, answer.conflicts) == (frozenset({(no, T0_US)}), conflicts)
    assert await historian.recent_readings("f", [no], 10) == [(no, T0_US, "1.0")]


async def test_of_two_readings_of_one_moment_in_one_outcome_the_first_stays(historian: HistorianPort) -> None:
    """None of them was there before."""
    state, (no,) = await facility_with_sensors(historian, "f")
    twins: list[Reading] = [(no, T0_US, value, None) for value in (5.0, 6.0, 5.0, 6.0)]
    answer = await committed(historian, outcome(state, 2, twins))
    assert (answer.not_stored, answer.conflicts) == (frozenset(), 1)
    assert await historian.recent_readings("f", [no], 10) == [(no, T0_US, "5.0")]


async def test_each_facility_is_told_of_its_own_readings(historian: HistorianPort) -> None:
    (one, (no_one,)), (two, (no_two,)) = [await facility_with_sensors(historian, name) for name in ("f", "g")]
    await committed(historian, outcome(one, 2, readings(no_one, 0)))
    other: list[Reading] = [(no_one, T0_US, 1.0, None)]
    answers = await asyncio.gather(
        historian.commit(outcome(one, 3, other)), historian.commit(outcome(two, 2, readings(no_two, 0)))
    )
    assert [answer.not_stored for answer in answers] == [{(no_one, T0_US)}, frozenset()]
    assert [answer.conflicts for answer in answers] == [1, 0]


async def test_the_journal_is_in_the_order_of_the_commits_and_of_the_events_in_each(store: Store) -> None:
    historian = store.historian
    (one, (no_one,)), (two, (no_two,)) = [await facility_with_sensors(historian, name) for name in ("f", "g")]
    await committed(historian, outcome(one, 2, (), [event(no_one, T0_US + 9), event(no_one, T0_US + 1, "returned")]))
    await committed(historian, outcome(two, 2, (), [event(no_two, T0_US)]))
    await committed(historian, outcome(one, 3, (), [event(no_one, T0_US + 5, "late_exceedance", late=True)]))
    journal = await store.journal()
    assert [row[1:] for row in journal] == [
        ("f", f"{no_one}:high", "activated", T0_US + 9),
        ("f", f"{no_one}:high", "returned", T0_US + 1),
        ("g", f"{no_two}:high", "activated", T0_US),
        ("f", f"{no_one}:high", "late_exceedance", T0_US + 5),
    ]
    ids = [row.id for row in journal]
    assert ids == sorted(set(ids))


async def test_a_transition_of_a_moment_under_a_rule_is_journaled_once(store: Store) -> None:
    state, (no,) = await facility_with_sensors(store.historian, "f")
    first = event(no)
    others = [
        replace(first, rule_version=2),
        event(no, transition="returned"),
        event(no, T0_US + 1),
        event(no, rule="low"),
    ]
    await committed(store.historian, outcome(state, 2, (), [first, first]))
    await committed(store.historian, outcome(state, 3, (), [replace(first, message="in other words"), *others]))
    other, _ = await facility_with_sensors(store.historian, "g")
    await committed(store.historian, outcome(other, 2, (), [first]))
    rows = [(row.facility_id, row.alarm_key, row.transition, row.event_time_us) for row in await store.journal()]
    expected = [("f", each.alarm_key, each.transition, each.event_time_us) for each in (first, *others)]
    assert rows == [*expected, ("g", first.alarm_key, first.transition, first.event_time_us)]


async def test_an_event_is_dropped_when_its_reading_was_there_before(store: Store) -> None:
    state, (no,) = await facility_with_sensors(store.historian, "f")
    await committed(store.historian, outcome(state, 2, readings(no, 0)))
    causes = [event(no, T0_US + at_s * S_US, late=True, only_if_stored=(no, T0_US + at_s * S_US)) for at_s in (0, 1)]
    await committed(store.historian, outcome(state, 3, readings(no, 0, 1), causes))
    assert [row.event_time_us for row in await store.journal()] == [T0_US + S_US]


def of(sensor_no: int | None, key: str, transition: str, at_s: int, *, late: bool = False) -> AlarmEvent:
    return replace(
        event(1, T0_US + at_s * S_US, transition, late=late), alarm_key=key, sensor_no=sensor_no, rule=key.split(":")[1]
    )


@pytest.mark.parametrize("together", [True, False], ids=["in one commit", "one by one"])
async def test_alarms_are_as_their_last_transition_left_them(historian: HistorianPort, together: bool) -> None:
    """Of what is late only alerts count, and move no condition; other transitions say nothing of either."""
    state, (no,) = await facility_with_sensors(historian, "f")
    other, _ = await facility_with_sensors(historian, "g")
    events = [
        of(no, f"{no}:low", "activated", 1),
        of(no, f"{no}:low", "returned", 2),
        of(None, "facility:together", "activated", 3),
        of(no, f"{no}:high", "activated", 4),
        of(no, f"{no}:high", "returned", 5, late=True),
        of(no, f"{no}:high", "late_exceedance", 6),
        of(no, f"{no}:stale", "returned", 7),
        of(no, f"{no}:anomaly", "activated", 8, late=True),
        of(no, f"{no}:low", "shelved", 9),
    ]
    for commit_no, said in enumerate([events] if together else [[each] for each in events], start=2):
        await committed(historian, outcome(state, commit_no, (), said))
    assert await historian.told_alarms("f") == [
        (no, "anomaly", False, False, T0_US + 8 * S_US),
        (no, "high", True, False, T0_US + 4 * S_US),
        (no, "low", False, False, T0_US + 2 * S_US),
        (no, "stale", False, True, T0_US + 7 * S_US),
        (None, "together", True, False, T0_US + 3 * S_US),
    ]
    assert await historian.told_alarms("g") == []
    assert (await historian.commit(outcome(other, 2))).verdict is Verdict.COMMITTED
