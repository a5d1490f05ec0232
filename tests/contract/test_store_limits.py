"""The contract of the historian, on every store: so much of what a sender makes there may be, and one alarm says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.historian.port import Creation, Parking, Unreserved
from engine.model import REFUSED, ParkedItem
from tests.contract.stores import Store
from tests.integration.historian.outcomes import (
    T0_US,
    committed,
    dead_letter,
    facility_with_sensors,
    outcome,
    setup,
)


def item(number: int, facility_id: str = "x") -> ParkedItem:
    return ParkedItem("reading", facility_id, "s", T0_US + number, f"{number}", "unknown_facility")


async def alarms(store: Store) -> list[tuple[str, str]]:
    return [(each.alarm_key, each.transition) for each in await store.journal() if not each.facility_id]


async def test_as_many_facilities_as_there_may_be_and_no_more(store: Store) -> None:
    historian = await store.limited(facilities_max=2)
    assert [await historian.create_facility(setup(name)) for name in "aba"] == [
        Creation.MADE,
        Creation.MADE,
        Creation.KNOWN,
    ]
    assert await historian.create_facility(setup("c")) is Creation.NO_ROOM
    assert await historian.create_facility(setup("b")) is Creation.KNOWN
    assert await historian.facility_ids() == ["a", "b"]


async def test_as_many_sensors_in_all_as_there_may_be_and_no_more(store: Store) -> None:
    historian = await store.limited(sensors_max=3)
    await facility_with_sensors(historian, "f", 2)
    await facility_with_sensors(historian, "g", 1)
    assert await historian.reserve_sensor("fourth", "g") is Unreserved.NO_ROOM
    assert isinstance(await historian.reserve_sensor("f-s0", "f"), int), "one that is there keeps its place"


@pytest.mark.parametrize(
    ("limits", "reason", "key"),
    [
        ({"parked_max": 3}, "parked_max", "parked_max"),
        ({"parked_per_facility_max": 3}, "parked_per_facility_max", "parked_per_facility_max:x"),
    ],
)
async def test_what_finds_no_room_to_wait_is_a_dead_letter_and_one_alarm(
    store: Store, limits: dict[str, int], reason: str, key: str
) -> None:
    historian = await store.limited(**limits)
    assert await historian.park_unknown_facility([item(n) for n in range(3)]) == [Parking.PARKED] * 3
    assert await alarms(store) == []
    found = await historian.park_unknown_facility([item(n) for n in range(1, 6)])
    assert found == [Parking.PARKED] * 2 + [Parking(reason)] * 3, "what waits already is not refused"
    assert await historian.park_unknown_facility([item(4)]) == [Parking(reason)]
    assert len(await historian.parked("x")) == 3
    letters = sorted(await store.dead_letters(), key=lambda letter: letter.body)
    assert [(each.source, each.reason, each.body) for each in letters] == [(REFUSED, reason, b) for b in "345"]
    assert await alarms(store) == [(key, "activated")], "one alert, not one a row"
    elsewhere = await historian.park_unknown_facility([item(9, "y")])
    assert elsewhere == [Parking.PARKED if "per_facility" in reason else Parking.NO_ROOM]


async def test_rows_of_a_commit_find_the_same_limits_and_it_says_how_many(store: Store) -> None:
    historian = await store.limited(parked_per_facility_max=2)
    state, _ = await facility_with_sensors(historian, "f")
    rows = tuple(replace(item(n), facility_id="f") for n in range(3))
    answer = await committed(historian, replace(outcome(state, 2), parked=rows))
    assert dict(answer.not_parked) == {"parked_per_facility_max": 1}
    answer = await committed(historian, replace(outcome(state, 3), parked=rows[:2]))
    assert dict(answer.not_parked) == {}
    assert len(await historian.parked("f")) == 2
    assert await alarms(store) == [("parked_per_facility_max:f", "activated")]


async def test_a_letter_of_a_limit_raises_its_alarm_and_another_does_not(store: Store) -> None:
    await store.historian.record_dead_letters([dead_letter("1")])
    assert await alarms(store) == []
    refused = replace(dead_letter("2"), source=REFUSED, reason="facilities_max")
    await store.historian.record_dead_letters([refused, replace(refused, identity=("other",))])
    await store.historian.record_dead_letters([refused])
    assert await alarms(store) == [("facilities_max", "activated")]
