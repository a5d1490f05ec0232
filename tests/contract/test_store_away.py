"""The contract of the historian, on every store: while the store is away every call says so, and may be made again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from engine.errors import StoreUnavailable
from engine.historian.port import HistorianPort
from engine.model import ParkedItem
from tests.contract.stores import Store
from tests.integration.historian.outcomes import (
    T0_US,
    committed,
    dead_letter,
    event,
    facility_with_sensors,
    load,
    outcome,
    setup,
)

CALLS: dict[str, Callable[[HistorianPort], Awaitable[Any]]] = {
    "load": lambda historian: historian.load("f"),
    "recent_readings": lambda historian: historian.recent_readings("f", [1], 1),
    "told_alarms": lambda historian: historian.told_alarms("f"),
    "standing_commands": lambda historian: historian.standing_commands("f"),
    "create_facility": lambda historian: historian.create_facility(setup("g")),
    "park_unknown_facility": lambda historian: historian.park_unknown_facility(
        [ParkedItem("reading", "h", "s", T0_US, "{}", "unknown_facility")]
    ),
    "parked": lambda historian: historian.parked("f"),
    "reserve_sensor": lambda historian: historian.reserve_sensor("f-s0", "f"),
    "facility_ids": lambda historian: historian.facility_ids(),
    "record_dead_letters": lambda historian: historian.record_dead_letters([dead_letter("b")]),
    "write_engine_status": lambda historian: historian.write_engine_status("a", {"n": 1}),
}


def test_every_method_is_called() -> None:
    methods = {name for name in vars(HistorianPort) if not name.startswith("_")}
    assert {*CALLS, "commit"} == methods


@pytest.mark.parametrize("method", CALLS)
async def test_a_call_says_that_the_store_is_away_and_works_when_it_is_back(store: Store, method: str) -> None:
    await facility_with_sensors(store.historian, "f")
    await store.go_away()
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await CALLS[method](store.historian)
    store.come_back()
    assert await store.historian.facility_ids() == ["f"]
    assert await store.historian.parked("h") == []
    assert await store.dead_letters() == []
    await CALLS[method](store.historian)


async def test_a_commit_while_the_store_is_away_writes_nothing_and_may_be_sent_again(store: Store) -> None:
    state, (no,) = await facility_with_sensors(store.historian, "f")
    wanted = outcome(state, 2, [(no, T0_US, 1.0, None)], [event(no)])
    await store.go_away()
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await store.historian.commit(wanted)
    assert await store.journal() == []
    store.come_back()
    answer = await committed(store.historian, wanted)
    assert answer.not_stored == frozenset()
    assert len(await store.journal()) == 1


async def test_everybody_in_a_group_hears_that_the_store_is_away(store: Store) -> None:
    facilities = [await facility_with_sensors(store.historian, name) for name in ("f", "g", "h")]
    await store.go_away()
    wanted = [outcome(state, 2) for state, _ in facilities]
    said = await asyncio.gather(*(store.historian.commit(each) for each in wanted), return_exceptions=True)
    assert [type(each) for each in said] == [StoreUnavailable] * 3
    store.come_back()
    for each in wanted:
        await committed(store.historian, each)
    assert (await load(store.historian, "g")).last_commit_no == 2
