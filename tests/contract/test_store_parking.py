"""The contract of the historian, on every store: what waits, who exists, and what is only written down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from engine.errors import CommitRejected
from engine.historian.port import Creation, HistorianPort, Parking, Unreserved
from engine.model import EntityChange, ParkedItem, Verdict
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


def parked_item(
    sensor_id: str, tracked_at_us: int | None = T0_US, facility_id: str = "f", kind: str = "reading", body: str = "{}"
) -> ParkedItem:
    return ParkedItem(kind, facility_id, sensor_id, tracked_at_us, body, "unknown_sensor")


async def test_parked_rows_come_by_their_time_and_may_be_asked_for_by_sensor(historian: HistorianPort) -> None:
    state, _ = await facility_with_sensors(historian, "f")
    timeless = parked_item("a", None)
    before_1970, later, twin = parked_item("a", -5), parked_item("a", T0_US + 2), parked_item("a", T0_US + 2, body="[]")
    other = parked_item("b", T0_US + 1)
    strange = parked_item("a", T0_US, facility_id="elsewhere")
    wanted = (later, twin, other, before_1970, strange, timeless)
    await committed(historian, replace(outcome(state, 2), parked=wanted))

    stored = await historian.parked("f")
    assert [each.item for each in stored] == [timeless, before_1970, other, later, twin]
    assert len({each.id for each in stored}) == 5
    assert [each.item for each in await historian.parked("f", "a")] == [timeless, before_1970, later, twin]
    assert await historian.parked("f", "nobody") == []
    assert [each.item for each in await historian.parked("elsewhere")] == [strange]
    assert (await load(historian, "f")).parked == tuple((each.id, each.item) for each in stored)


async def test_the_same_again_parks_nothing_new_whatever_the_reason(historian: HistorianPort) -> None:
    state, _ = await facility_with_sensors(historian, "f")
    item = parked_item("a")
    await committed(historian, replace(outcome(state, 2), parked=(item, item)))
    first = await historian.parked("f")
    await committed(historian, replace(outcome(state, 3), parked=(replace(item, reason="another"),)))
    await historian.park_unknown_facility([replace(item, reason="a third")])
    assert await historian.parked("f") == first
    assert [each.item for each in first] == [item]
    near = [replace(item, kind="activation"), replace(item, sensor_id="b"), replace(item, body="[]")]
    await committed(historian, replace(outcome(state, 4), parked=(*near, replace(item, tracked_at_us=T0_US + 1))))
    assert len(await historian.parked("f")) == 5


async def test_a_commit_takes_out_what_it_applies(historian: HistorianPort) -> None:
    state, _ = await facility_with_sensors(historian, "f")
    items = (parked_item("a"), parked_item("b", T0_US + 1))
    await committed(historian, replace(outcome(state, 2), parked=items))
    first, second = await historian.parked("f")
    await committed(historian, replace(outcome(state, 3), unparked_ids=(first.id, first.id), parked=items))
    left = await historian.parked("f")
    assert [each.item for each in left] == list(items)
    assert second in left and first not in left


async def test_applying_what_has_gone_is_unknown_and_changes_nothing(historian: HistorianPort) -> None:
    state, _ = await facility_with_sensors(historian, "f")
    await committed(historian, replace(outcome(state, 2), parked=(parked_item("a"), parked_item("b"))))
    first, second = await historian.parked("f")
    await committed(historian, replace(outcome(state, 3), unparked_ids=(first.id,)))
    answer = await historian.commit(replace(outcome(state, 4), unparked_ids=(second.id, first.id)))
    assert answer.verdict is Verdict.UNKNOWN and answer.reason.startswith("out_of_sequence")
    assert await historian.parked("f") == [second]
    assert (await load(historian, "f")).last_commit_no == 3


async def test_only_input_of_facilities_that_are_not_there_is_parked(historian: HistorianPort) -> None:
    await historian.create_facility(setup("f"))
    items = [parked_item("a"), parked_item("a", facility_id="g"), parked_item("b"), parked_item("b", facility_id="h")]
    assert await historian.park_unknown_facility(items) == [
        Parking.KNOWN,
        Parking.PARKED,
        Parking.KNOWN,
        Parking.PARKED,
    ]
    assert await historian.park_unknown_facility([]) == []
    assert await historian.parked("f") == []
    assert [[each.item for each in await historian.parked(name)] for name in ("g", "h")] == [[items[1]], [items[3]]]
    await historian.create_facility(setup("g"))
    assert [item for _, item in (await load(historian, "g")).parked] == [items[1]]


async def test_parking_for_a_facility_and_creating_it_take_turns(historian: HistorianPort) -> None:
    items = [parked_item(f"s{number}", kind="activation") for number in range(5)]
    before, created, after = await asyncio.gather(
        historian.park_unknown_facility(items[:2]),
        historian.create_facility(setup("f")),
        historian.park_unknown_facility(items[2:]),
    )
    assert created is Creation.MADE
    kept = {each.item.sensor_id for each in await historian.parked("f")}
    assert kept == {
        item.sensor_id for item, parked in zip(items, [*before, *after], strict=True) if parked is Parking.PARKED
    }
    assert await historian.park_unknown_facility(items[:1]) == [Parking.KNOWN]


async def test_a_number_is_the_sensors_own_or_a_new_one(historian: HistorianPort) -> None:
    state, (number,) = await facility_with_sensors(historian, "f")
    await historian.create_facility(setup("g"))
    assert await historian.reserve_sensor("f-s0", "f") == number
    assert await historian.reserve_sensor("f-s0", "g") is Unreserved.ELSEWHERE
    drawn = [await reserved(historian, "new", "f") for _ in range(3)]
    assert len({number, *drawn}) == 4
    change = EntityChange("insert_sensor", "new", activation=activation("f", "new"), sensor_no=drawn[1])
    await committed(historian, replace(outcome(state, 2), changes=(change,)))
    assert await historian.reserve_sensor("new", "f") == drawn[1]


async def test_the_engines_status_is_the_last_one_of_each_component(store: Store) -> None:
    for component, state in (
        ("a", {"state": "starting", "n": 1}),
        ("b", {}),
        ("a", {"state": "running", "of": [None]}),
    ):
        await store.historian.write_engine_status(component, state)
    assert await store.engine_status("a") == {"state": "running", "of": [None]}
    assert await store.engine_status("b") == {}


UNSTORABLE: dict[str, Callable[[HistorianPort], Awaitable[Any]]] = {
    "create_facility": lambda historian: historian.create_facility(replace(setup("f"), name="a\0b")),
    "park_unknown_facility": lambda historian: historian.park_unknown_facility([parked_item("a", body="a\0b")]),
    "write_engine_status": lambda historian: historian.write_engine_status("a", {"error": "a\0b"}),
}


@pytest.mark.parametrize("method", UNSTORABLE)
async def test_texts_that_can_never_be_stored_are_refused_and_leave_nothing(store: Store, method: str) -> None:
    await store.historian.write_engine_status("a", {})
    with pytest.raises(CommitRejected):
        await UNSTORABLE[method](store.historian)
    assert await store.historian.facility_ids() == []
    assert await store.historian.parked("f") == []
    assert await store.engine_status("a") == {}
