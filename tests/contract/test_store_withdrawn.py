"""The contract of the historian, on every store: what is retired or removed writes nothing and takes nothing in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.clock import US_PER_S
from engine.historian.port import Creation, Parking
from engine.model import REFUSED, EntityChange, ParkedItem, SensorStatus, Verdict
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

DEEDS = ("retire", "remove")


def reading(number: int, sensor_id: str = "s", tracked_at_us: int = T0_US) -> ParkedItem:
    return ParkedItem("reading", "f", sensor_id, tracked_at_us + number, f"{number}", "unknown_facility")


@pytest.mark.parametrize("sensor_id", [None, "f-s0"])
@pytest.mark.parametrize("deed", DEEDS)
async def test_who_runs_writes_nothing_from_then_on(store: Store, deed: str, sensor_id: str | None) -> None:
    state, numbers = await facility_with_sensors(store.historian, "f", 2)
    await store.withdraw(deed, "f", sensor_id)
    row = [(numbers[1], T0_US, 1.0, None)]
    assert (await store.historian.commit(outcome(state, 2, row))).verdict is Verdict.FENCED
    if deed == "remove" and sensor_id is None:
        assert await store.historian.load("f") is None


async def test_a_retired_facility_is_loaded_once_more_and_then_left_alone(store: Store) -> None:
    await facility_with_sensors(store.historian, "f", 2)
    await store.withdraw("retire", "f")
    assert await store.historian.facility_ids() == ["f"]
    state = await load(store.historian, "f")
    assert state.config.is_retired
    assert {sensor.status for sensor in state.sensors} == {SensorStatus.INACTIVE}
    await committed(store.historian, replace(outcome(state, 2), changes=(EntityChange("facility_closed", ""),)))
    assert await store.historian.facility_ids() == []


async def test_only_a_later_setup_revives_a_retired_facility(store: Store) -> None:
    await facility_with_sensors(store.historian, "f")
    at_us = await store.withdraw("retire", "f")
    assert await store.historian.create_facility(setup("f")) is Creation.RETIRED
    later = replace(setup("f"), tracked_at_us=at_us + US_PER_S)
    assert await store.historian.create_facility(later) is Creation.REVIVED
    assert await store.historian.create_facility(later) is Creation.KNOWN
    assert not (await load(store.historian, "f")).config.is_retired
    assert await store.historian.facility_ids() == ["f"]


async def test_only_a_later_setup_makes_a_removed_facility_anew_and_the_old_one_stays_fenced(store: Store) -> None:
    old, _ = await facility_with_sensors(store.historian, "f")
    at_us = await store.withdraw("remove", "f")
    assert await store.historian.create_facility(setup("f")) is Creation.REMOVED
    later = replace(setup("f"), tracked_at_us=at_us + US_PER_S)
    assert await store.historian.create_facility(later) is Creation.MADE
    for epoch in range(old.epoch + 3):
        stale = replace(outcome(old, 1), epoch=epoch)
        if epoch <= old.epoch:
            assert (await store.historian.commit(stale)).verdict is Verdict.FENCED
    new = await load(store.historian, "f")
    assert new.epoch > old.epoch + 1
    assert (new.sensors, new.last_commit_no) == ((), 0)
    assert old.config.facility_id == "f" and T0_US < new.removed_us <= at_us
    assert (await store.historian.commit(outcome(old, 1))).verdict is Verdict.FENCED


async def test_a_removed_sensor_is_known_by_its_moment_and_its_id_is_free(store: Store) -> None:
    state, (number, _) = await facility_with_sensors(store.historian, "f", 2)
    at_us = await store.withdraw("remove", "f", "f-s0")
    state = await load(store.historian, "f")
    assert [sensor.sensor_id for sensor in state.sensors] == ["f-s1"]
    assert T0_US < state.removed["f-s0"] <= at_us
    new = await reserved(store.historian, "f-s0", "f")
    assert new != number
    change = EntityChange("insert_sensor", "f-s0", activation=activation("f", "f-s0"), sensor_no=new)
    await committed(store.historian, replace(outcome(state, 2), changes=(change,)))


async def test_a_later_activation_ends_the_retirement_of_a_sensor(store: Store) -> None:
    await facility_with_sensors(store.historian, "f")
    at_us = await store.withdraw("retire", "f", "f-s0")
    state = await load(store.historian, "f")
    assert [(one.is_retired, one.status) for one in state.sensors] == [(True, SensorStatus.INACTIVE)]
    assert T0_US < state.sensors[0].status_changed_at_us <= at_us
    for number, status in enumerate((SensorStatus.INACTIVE, SensorStatus.ACTIVE), start=2):
        change = EntityChange("sensor_status", "f-s0", status=status, changed_at_us=at_us + number)
        await committed(store.historian, replace(outcome(state, number), changes=(change,)))
        present = await load(store.historian, "f")
        assert present.sensors[0].is_retired == (status is SensorStatus.INACTIVE)
        state = present


@pytest.mark.parametrize("deed", DEEDS)
async def test_input_for_what_is_gone_has_no_effect_and_one_dead_letter_a_sensor(store: Store, deed: str) -> None:
    await facility_with_sensors(store.historian, "f")
    at_us = await store.withdraw(deed, "f")
    gone = Parking.RETIRED if deed == "retire" else Parking.REMOVED
    rows = [reading(1), reading(2), reading(3, "t"), reading(4, tracked_at_us=at_us + US_PER_S)]
    assert await store.historian.park_unknown_facility(rows) == [gone] * 4, "readings alone bring nothing back"
    early = replace(reading(5), kind="activation")
    late = replace(reading(6, tracked_at_us=at_us + US_PER_S), kind="activation")
    assert await store.historian.park_unknown_facility([early, late]) == [gone, Parking.PARKED]
    letters = [(each.source, each.reason, each.sensor_id, each.detail[:10]) for each in await store.dead_letters()]
    assert sorted({letter[:3] for letter in letters}) == [(REFUSED, gone.value, "s"), (REFUSED, gone.value, "t")]
    assert len(letters) == 3
    assert [each.item.body for each in await store.historian.parked("f")] == ["6"]
