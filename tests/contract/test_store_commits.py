"""The contract of the historian, on every store: the verdicts of a commit, and that it is all or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from engine.historian.port import HistorianPort
from engine.model import Checkpoint, EntityChange, EntryKind, LogEntry, Outcome, ParkedItem, SensorStatus, Verdict
from tests.contract.stores import Store
from tests.integration.historian.outcomes import (
    T0_US,
    activation,
    committed,
    copy_rows,
    event,
    facility_with_sensors,
    load,
    outcome,
)


def everything(state: Any, commit_no: int, sensor_no: int) -> Outcome:
    """An outcome with a part of each kind."""
    return replace(
        outcome(state, commit_no, [(sensor_no, T0_US, 1.0, None)], [event(sensor_no)]),
        parked=(ParkedItem("reading", "f", "later", T0_US, "{}", "unknown_sensor"),),
        changes=(EntityChange("sensor_status", "f-s0", status=SensorStatus.FAULT, changed_at_us=T0_US + 1),),
        checkpoint=Checkpoint(commit_no, 7, b"state"),
    )


async def written(store: Store, sensor_no: int) -> tuple[int, int, int, bool, bool]:
    """How many readings, journal rows and parked rows there are; whether status and checkpoint were written."""
    readings = await store.historian.recent_readings("f", [sensor_no], 100)
    parked = await store.historian.parked("f")
    state = await load(store.historian, "f")
    is_changed = state.sensors[0].status is not SensorStatus.ACTIVE
    return len(readings), len(await store.journal()), len(parked), is_changed, state.checkpoint is not None


NOTHING = (0, 0, 0, False, False)


async def test_what_is_committed_is_all_there(store: Store) -> None:
    state, (sensor_no,) = await facility_with_sensors(store.historian, "f")
    answer = await committed(store.historian, everything(state, 2, sensor_no))
    assert (answer.not_stored, answer.conflicts) == (frozenset(), 0)
    assert await written(store, sensor_no) == (1, 1, 1, True, True)


async def test_a_fenced_outcome_leaves_no_trace(store: Store) -> None:
    old, (sensor_no,) = await facility_with_sensors(store.historian, "f")
    await load(store.historian, "f")
    assert (await store.historian.commit(everything(old, 2, sensor_no))).verdict is Verdict.FENCED
    assert await written(store, sensor_no) == NOTHING


async def test_an_outcome_of_a_facility_that_is_not_there_is_fenced(historian: HistorianPort) -> None:
    assert (
        await historian.commit(Outcome("nowhere", 1, (LogEntry(1, EntryKind.TICK, b""),)))
    ).verdict is Verdict.FENCED


@pytest.mark.parametrize("numbers", [[1], [3], [2, 4], [2, 2], [3, 2]])
async def test_commit_numbers_follow_without_gap_or_repetition(store: Store, numbers: list[int]) -> None:
    state, (sensor_no,) = await facility_with_sensors(store.historian, "f")
    entries = tuple(LogEntry(number, EntryKind.BATCH, b"x") for number in numbers)
    answer = await store.historian.commit(replace(everything(state, 2, sensor_no), entries=entries, checkpoint=None))
    assert answer.verdict is Verdict.UNKNOWN and answer.reason.startswith("out_of_sequence")
    assert await written(store, sensor_no) == NOTHING


async def test_a_refused_number_does_not_fence(historian: HistorianPort) -> None:
    state, _ = await facility_with_sensors(historian, "f")
    assert (await historian.commit(outcome(state, 3))).verdict is Verdict.UNKNOWN
    await committed(historian, outcome(state, 2))


async def test_the_same_outcome_again_is_out_of_sequence_and_has_no_second_effect(store: Store) -> None:
    state, (sensor_no,) = await facility_with_sensors(store.historian, "f")
    wanted = everything(state, 2, sensor_no)
    await committed(store.historian, wanted)
    again = await store.historian.commit(wanted)
    assert again.verdict is Verdict.UNKNOWN and again.reason.startswith("out_of_sequence")
    assert await written(store, sensor_no) == (1, 1, 1, True, True)


async def test_numbers_go_on_after_a_checkpoint_has_emptied_the_log(historian: HistorianPort) -> None:
    state, _ = await facility_with_sensors(historian, "f")
    await committed(historian, replace(outcome(state, 2), checkpoint=Checkpoint(2, 7, b"state")))
    for number in (1, 2, 4):
        assert (await historian.commit(outcome(state, number))).verdict is Verdict.UNKNOWN
    await committed(historian, outcome(state, 3))


@pytest.mark.parametrize("number", [0, 1, 3])
async def test_a_checkpoint_of_another_state_than_the_outcomes_own_is_refused(store: Store, number: int) -> None:
    state, (sensor_no,) = await facility_with_sensors(store.historian, "f")
    other = replace(everything(state, 2, sensor_no), checkpoint=Checkpoint(number, 7, b"state"))
    answer = await store.historian.commit(other)
    assert answer.verdict is Verdict.UNKNOWN and answer.reason.startswith("out_of_sequence")
    assert await written(store, sensor_no) == NOTHING


async def test_a_checkpoint_cannot_go_back_and_take_the_last_numbers_with_it(historian: HistorianPort) -> None:
    state, _ = await facility_with_sensors(historian, "f")
    await committed(historian, replace(outcome(state, 2), checkpoint=Checkpoint(2, 7, b"state")))
    back = replace(outcome(state, 3), entries=(), checkpoint=Checkpoint(1, 7, b"older"))
    assert (await historian.commit(back)).verdict is Verdict.UNKNOWN
    assert (await load(historian, "f")).last_commit_no == 2


async def test_a_step_without_entries_may_be_repeated(historian: HistorianPort) -> None:
    state, _ = await facility_with_sensors(historian, "f")
    point = replace(outcome(state, 1), entries=(), checkpoint=Checkpoint(1, 7, b"state"))
    for _ in range(2):
        await committed(historian, point)
    assert (await load(historian, "f")).last_commit_no == 1


async def test_of_two_commits_with_one_number_at_once_one_is_written(store: Store) -> None:
    first, second = store.historian, await store.another()
    state, (sensor_no,) = await facility_with_sensors(first, "f")
    wanted = [outcome(state, 2, [(sensor_no, T0_US + index, float(index), None)]) for index in range(2)]
    answers = await asyncio.gather(first.commit(wanted[0]), second.commit(wanted[1]))
    assert sorted(answer.verdict for answer in answers) == [Verdict.COMMITTED, Verdict.UNKNOWN]
    winner = [answer.verdict for answer in answers].index(Verdict.COMMITTED)
    assert await first.recent_readings("f", [sensor_no], 10) == [(sensor_no, T0_US + winner, str(float(winner)))]
    assert (await load(first, "f")).last_commit_no == 2


Spoil = Callable[[Outcome, int], Outcome]
INSERT = EntityChange("insert_sensor", "new", activation=activation("f", "new"), sensor_no=1000)

REFUSED: dict[str, Spoil] = {
    "a NUL in a reading": lambda good, no: with_readings(good, [(no, T0_US, None, "a\0b")]),
    "a NUL in a message": lambda good, no: replace(good, events=(replace(event(no), message="a\0b"),)),
    "half a pair of surrogates": lambda good, no: replace(good, events=(replace(event(no), message="\ud800"),)),
    "an explanation that is no JSON": lambda good, no: replace(
        good, events=(replace(event(no), explanation_json="{"),)
    ),
    "a NUL in an explanation": lambda good, no: replace(
        good, events=(replace(event(no), explanation_json='{"a": ["\\u0000"]}'),)
    ),
    "a NUL in a parked body": lambda good, _: replace(
        good, parked=(ParkedItem("reading", "f", "s", None, "a\0b", "unknown_sensor"),)
    ),
    "a NUL in a sensor's id": lambda good, _: replace(
        good, changes=(replace(INSERT, activation=activation("f", "a\0b")),)
    ),
    "a sensor that does not exist": lambda good, no: with_readings(
        good, [(no, T0_US, 1.0, None), (no + 1000, T0_US, 1.0, None)]
    ),
    "fewer rows than it says": lambda good, _: replace(good, rows=good.rows + 1),
    "more rows than none": lambda good, _: replace(good, rows=good.rows - 1),
    "half a row": lambda good, _: replace(good, copy_rows=good.copy_rows[:-3]),
    "no rows at all": lambda good, _: replace(good, copy_rows=b"\x00\x06garbage", rows=1),
    "an unknown change": lambda good, _: replace(good, changes=(EntityChange("rename_sensor", "f-s0"),)),
    "a sensor without a number": lambda good, _: replace(good, changes=(replace(INSERT, sensor_no=None),)),
    "a sensor without its activation": lambda good, _: replace(good, changes=(replace(INSERT, activation=None),)),
    "a status change without a status": lambda good, _: replace(
        good, changes=(EntityChange("sensor_status", "f-s0", changed_at_us=T0_US),)
    ),
    "a status change without a time": lambda good, _: replace(
        good, changes=(EntityChange("sensor_status", "f-s0", status=SensorStatus.FAULT),)
    ),
    "a sensor that is there": lambda good, _: replace(
        good, changes=(replace(INSERT, sensor_id="f-s0", activation=activation("f", "f-s0")),)
    ),
    "a sensor twice": lambda good, _: replace(good, changes=(INSERT, replace(INSERT, sensor_no=1001))),
    "a number that is taken": lambda good, no: replace(good, changes=(replace(INSERT, sensor_no=no),)),
    "a sensor of a facility that is not there": lambda good, _: replace(
        good, changes=(replace(INSERT, activation=activation("nowhere", "new")),)
    ),
}


def with_readings(good: Outcome, readings: list[Any]) -> Outcome:
    return replace(good, copy_rows=copy_rows(readings), rows=len(readings))


@pytest.mark.parametrize("what", REFUSED)
async def test_what_can_never_be_stored_is_rejected_whole_and_does_not_fence(store: Store, what: str) -> None:
    state, (sensor_no,) = await facility_with_sensors(store.historian, "f")
    good = everything(state, 2, sensor_no)
    answer = await store.historian.commit(REFUSED[what](good, sensor_no))
    assert answer.verdict is Verdict.REJECTED and answer.reason
    assert await store.historian.recent_readings("f", [sensor_no], 100) == []
    assert (await store.journal(), await store.historian.parked("f")) == ([], [])
    await committed(store.historian, good)
    assert await written(store, sensor_no) == (1, 1, 1, True, True)


async def test_neighbours_are_not_harmed(historian: HistorianPort) -> None:
    """Whoever shares a transaction with the fenced, the rejected and the early."""
    facilities = [await facility_with_sensors(historian, f"f{index}") for index in range(6)]
    await load(historian, "f1")
    wanted = [outcome(state, 2, [(numbers[0], T0_US, 1.0, None)]) for state, numbers in facilities]
    wanted[3] = with_readings(wanted[3], [(facilities[3][1][0], T0_US, None, "a\0b")])
    wanted[4] = outcome(facilities[4][0], 3)
    answers = await asyncio.gather(*(historian.commit(each) for each in wanted))
    assert [answer.verdict for answer in answers] == [
        Verdict.COMMITTED,
        Verdict.FENCED,
        Verdict.COMMITTED,
        Verdict.REJECTED,
        Verdict.UNKNOWN,
        Verdict.COMMITTED,
    ]
    numbers = [numbers[0] for _, numbers in facilities]
    stored = await historian.recent_readings("f0", numbers, 1)
    assert {row[0] for row in stored} == {numbers[0], numbers[2], numbers[5]}


@pytest.mark.parametrize("arrived", [True, False])
async def test_an_answer_that_was_lost_is_known_after_a_load(store: Store, arrived: bool) -> None:
    state, (sensor_no,) = await facility_with_sensors(store.historian, "f")
    wanted = everything(state, 2, sensor_no)
    store.lose_answer(arrived=arrived)
    answer = await store.historian.commit(wanted)
    assert answer.verdict is Verdict.UNKNOWN and not answer.reason.startswith("out_of_sequence")
    loaded = await store.historian.load("f", state.epoch)
    assert loaded is not None and loaded.last_commit_no == (2 if arrived else 1)
    if not arrived:
        await committed(store.historian, replace(wanted, epoch=loaded.epoch))
    assert await written(store, sensor_no) == (1, 1, 1, True, True)
