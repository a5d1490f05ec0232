"""The default partition is hit: told once, moved at once, and over when nothing is left in it."""

from __future__ import annotations

from typing import Any, cast

import pytest
import structlog

from engine.cluster.strays import StrayWatch
from engine.errors import StoreUnavailable
from engine.historian.maintenance import Did, Told
from engine.historian.port import HousekeepingPort
from engine.metrics import STRAY_READINGS, Metrics


class Store:
    """`stays`: how many of the strays a run leaves where they are."""

    def __init__(self) -> None:
        self.strays, self.stays, self.runs = 0, 0, 0
        self.away = False

    async def stray_readings(self, at_most: int) -> int:
        return min(self.strays, at_most)

    async def maintain(self, told: Told) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.runs += 1
        self.strays = min(self.strays, self.stays)
        if self.strays:
            told(Did("put_off", "sensor_records_20260101", why="busy"))


async def test_each_hit_is_told_once_and_ends() -> None:
    store, metrics = Store(), Metrics()
    watch = StrayWatch(cast(HousekeepingPort, store), metrics)

    def gauge() -> Any:
        return metrics.snapshot()["gauges"][STRAY_READINGS][""]

    with structlog.testing.capture_logs() as logged:
        await watch.look()
        assert (store.runs, watch.readings, gauge()) == (0, 0, 0)
        store.strays, store.stays = 20_000, 3
        await watch.look()
        assert (store.runs, watch.readings, gauge()) == (1, 3, 3)
        await watch.look()
        store.away = True
        with pytest.raises(StoreUnavailable):
            await watch.look()
        assert watch.readings == 3
        store.away, store.stays = False, 0
        await watch.look()
        assert (store.runs, watch.readings, gauge()) == (3, 0, 0)
    events = [each["event"] for each in logged]
    assert events == ["default_partition_hit", "maintenance", "maintenance", "default_partition_empty"]
    assert logged[0]["readings"] == 10_000


async def test_what_is_found_is_told_also_when_it_cannot_be_moved() -> None:
    store = Store()
    store.strays, store.away = 5, True
    watch = StrayWatch(cast(HousekeepingPort, store), Metrics())
    with pytest.raises(StoreUnavailable):
        await watch.look()
    assert watch.readings == 5
