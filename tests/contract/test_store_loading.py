"""The contract of the historian, on every store: epochs, and what a load brings back."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from engine.clock import US_PER_S, SystemClock
from engine.errors import CommitFenced
from engine.historian.port import Creation, HistorianPort
from engine.model import (
    Checkpoint,
    Detection,
    EntityChange,
    EntryKind,
    FacilityStatus,
    FacilityType,
    LogEntry,
    SensorStatus,
    SensorType,
    Verdict,
)
from tests.contract.stores import Store
from tests.integration.historian.outcomes import (
    T0_US,
    activation,
    committed,
    facility_with_sensors,
    load,
    outcome,
    reserved,
    setup,
)


async def test_a_facility_that_is_not_there_loads_as_none(historian: HistorianPort) -> None:
    assert await historian.load("nowhere") is None
    assert await historian.load("nowhere", 1) is None


async def test_a_facility_is_created_once(historian: HistorianPort) -> None:
    assert await historian.create_facility(setup("f")) is Creation.MADE
    assert await historian.create_facility(replace(setup("f"), name="another")) is Creation.KNOWN
    state = await load(historian, "f")
    assert (state.config.facility_id, state.config.name) == ("f", "Facility f")
    assert (state.config.type, state.config.status) == (FacilityType.PIPELINES, FacilityStatus.ACTIVE)
    assert (state.sensors, state.checkpoint, state.log, state.parked, state.last_commit_no) == ((), None, (), (), 0)
    assert state.detection == {}


async def test_facilities_are_listed_by_their_ids(historian: HistorianPort) -> None:
    assert await historian.facility_ids() == []
    for name in ("b", "c", "a"):
        await historian.create_facility(setup(name))
    assert await historian.facility_ids() == ["a", "b", "c"]


async def test_every_load_takes_a_higher_epoch_of_its_own_facility(historian: HistorianPort) -> None:
    for name in ("f", "g"):
        await historian.create_facility(setup(name))
    epochs = [(await load(historian, "f")).epoch for _ in range(3)]
    assert epochs == sorted(set(epochs))
    state, _ = await facility_with_sensors(historian, "h")
    await load(historian, "g")
    await committed(historian, outcome(state, 2))


async def test_a_load_fences_every_incarnation_before_it(store: Store) -> None:
    first, second = store.historian, await store.another()
    old, (sensor_no,) = await facility_with_sensors(first, "f")
    new = await load(second, "f")
    for historian in (first, second):
        answer = await historian.commit(outcome(old, 2, [(sensor_no, T0_US, 1.0, None)]))
        assert (answer.verdict, answer.not_stored) == (Verdict.FENCED, frozenset())
        assert answer.reason
    assert await first.recent_readings("f", [sensor_no], 10) == []
    await committed(first, outcome(new, 2))


async def test_two_loads_at_once_have_two_epochs_and_one_owner(store: Store) -> None:
    first, second = store.historian, await store.another()
    await facility_with_sensors(first, "f")
    states = await asyncio.gather(load(first, "f"), load(second, "f"))
    low, high = sorted(states, key=lambda state: state.epoch)
    assert low.epoch < high.epoch
    assert (await first.commit(outcome(low, 2))).verdict is Verdict.FENCED
    await committed(first, outcome(high, 2))


async def test_only_who_holds_the_present_epoch_loads_by_it(historian: HistorianPort) -> None:
    await historian.create_facility(setup("f"))
    first = await load(historian, "f")
    second = await historian.load("f", first.epoch)
    assert second is not None and second.epoch > first.epoch
    for over in (first.epoch, second.epoch + 1):
        with pytest.raises(CommitFenced, match=f"epoch {over} is over, {second.epoch} is the present one"):
            await historian.load("f", over)
    await committed(historian, outcome(second, 1))


async def test_a_load_brings_the_log_back_exactly_and_in_order(historian: HistorianPort) -> None:
    state, _ = await facility_with_sensors(historian, "f")
    entries = tuple(
        LogEntry(number, kind, bytes(range(256)) * number) for number, kind in zip(range(2, 6), EntryKind, strict=True)
    )
    await committed(historian, replace(outcome(state, 2), entries=entries))
    again = await load(historian, "f")
    assert again.log == (LogEntry(1, EntryKind.BATCH, b"batch 1"), *entries)
    assert again.last_commit_no == 5


async def test_a_checkpoint_takes_the_log_with_it_up_to_its_number(historian: HistorianPort) -> None:
    state, _ = await facility_with_sensors(historian, "f")
    await committed(historian, replace(outcome(state, 2), checkpoint=Checkpoint(2, 7, b"state\0\xff")))
    again = await load(historian, "f")
    assert (again.checkpoint, again.log, again.last_commit_no) == (Checkpoint(2, 7, b"state\0\xff"), (), 2)
    await committed(historian, outcome(again, 3))
    again = await load(historian, "f")
    assert (again.checkpoint, again.last_commit_no) == (Checkpoint(2, 7, b"state\0\xff"), 3)
    assert [entry.commit_no for entry in again.log] == [3]
    await committed(historian, replace(outcome(again, 4), entries=(), checkpoint=Checkpoint(3, 8, b"newer")))
    again = await load(historian, "f")
    assert (again.checkpoint, again.log, again.last_commit_no) == (Checkpoint(3, 8, b"newer"), (), 3)


async def test_sensors_come_in_the_order_of_their_numbers(historian: HistorianPort) -> None:
    await historian.create_facility(setup("f"))
    state = await load(historian, "f")
    numbers = [await reserved(historian, name, "f") for name in ("late", "early")]
    assert numbers[0] != numbers[1]
    changes = tuple(
        EntityChange("insert_sensor", name, activation=activation("f", name, 90), sensor_no=number)
        for name, number in zip(("early", "late"), reversed(numbers), strict=True)
    )
    await committed(historian, replace(outcome(state, 1), changes=changes))
    first, second = (await load(historian, "f")).sensors
    assert [(first.sensor_id, first.sensor_no), (second.sensor_id, second.sensor_no)] == [
        ("late", numbers[0]),
        ("early", numbers[1]),
    ]
    assert (first.facility_id, first.name, first.type) == ("f", "Sensor late", SensorType.TEMPERATURE)
    assert (first.status, first.expected_interval_s) == (SensorStatus.ACTIVE, 90)
    assert (first.installed_at_us, first.status_changed_at_us, first.detection) == (T0_US, T0_US, Detection())


async def test_a_status_change_is_of_the_facilitys_own_sensor(historian: HistorianPort) -> None:
    state, _ = await facility_with_sensors(historian, "f")
    await facility_with_sensors(historian, "g")
    for commit_no, sensor_id in enumerate(("f-s0", "g-s0", "nobody"), start=2):
        change = EntityChange("sensor_status", sensor_id, status=SensorStatus.INACTIVE, changed_at_us=T0_US + 5)
        await committed(historian, replace(outcome(state, commit_no), changes=(change,)))
    (own,), (strange,) = (await load(historian, "f")).sensors, (await load(historian, "g")).sensors
    assert (own.status, own.status_changed_at_us, own.installed_at_us) == (SensorStatus.INACTIVE, T0_US + 5, T0_US)
    assert (strange.status, strange.status_changed_at_us) == (SensorStatus.ACTIVE, T0_US)


async def test_a_status_of_a_clock_far_ahead_counts_as_of_the_load(historian: HistorianPort) -> None:
    """And of that load for good, or what is on its way meanwhile would be older again and again."""
    state, _ = await facility_with_sensors(historian, "f", sensors=2)
    far, near = (SystemClock().now_us() + seconds * US_PER_S for seconds in (86_400 * 3_650, 200))
    changes = tuple(
        EntityChange("sensor_status", sensor_id, status=SensorStatus.INACTIVE, changed_at_us=changed_at_us)
        for sensor_id, changed_at_us in (("f-s0", far), ("f-s1", near))
    )
    await committed(historian, replace(outcome(state, 2), changes=changes))
    before_us = SystemClock().now_us()
    mended, kept = (await load(historian, "f")).sensors
    assert before_us <= mended.status_changed_at_us <= SystemClock().now_us()
    assert kept.status_changed_at_us == near
    assert mended.status is kept.status is SensorStatus.INACTIVE
    assert (await load(historian, "f")).sensors == (mended, kept)


async def test_settings_of_detection_are_the_sensors_own_before_its_types(store: Store) -> None:
    await facility_with_sensors(store.historian, "f", sensors=2)
    await facility_with_sensors(store.historian, "g")
    of_type = Detection(budget_days=30, warming_readings=50, physical_low=-40, physical_high=90)
    await store.set_detection("f", SensorType.TEMPERATURE, of_type)
    await store.set_detection("f", SensorType.FLOW, Detection(is_on=False))
    await store.set_detection("f", "f-s1", Detection(budget_days=3, is_on=True))
    state = await load(store.historian, "f")
    assert state.detection == {SensorType.TEMPERATURE: of_type, SensorType.FLOW: Detection(is_on=False)}
    assert [sensor.detection for sensor in state.sensors] == [of_type, replace(of_type, budget_days=3, is_on=True)]
    other = await load(store.historian, "g")
    assert (other.detection, other.sensors[0].detection) == ({}, Detection())
