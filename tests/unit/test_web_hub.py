"""The live hub's queues: one by one, then the newest a sensor, and never unbounded."""

from __future__ import annotations

from engine.metrics import Metrics
from web.live.hub import CONFLATED, QUEUE_FRAMES_MAX, Watcher


def counted(metrics: Metrics) -> float:
    return float(metrics.snapshot()["counters"].get(CONFLATED, {}).get("", 0))


async def test_a_client_that_keeps_up_gets_everything_in_order() -> None:
    metrics = Metrics()
    watcher = Watcher("s", metrics)
    for n in range(QUEUE_FRAMES_MAX):
        watcher.offer("s", n, b"%d" % n)
    assert await watcher.frames() == [b"%d" % n for n in range(QUEUE_FRAMES_MAX)]
    watcher.offer("s", 1, b"again")
    assert await watcher.frames() == [b"again"]
    assert counted(metrics) == 0


async def test_a_client_256_behind_gets_the_newest_a_sensor_and_the_rest_is_counted() -> None:
    metrics = Metrics()
    watcher = Watcher(None, metrics)
    for n in range(1000):
        watcher.offer(f"s{n % 3}", n, b"s%d %d" % (n % 3, n))
    watcher.offer("s0", 5, b"s0 late")
    assert sorted(await watcher.frames()) == [b"s0 999", b"s1 997", b"s2 998"]
    assert counted(metrics) == 998
    watcher.offer("s0", 1001, b"one")
    watcher.offer("s0", 1002, b"two")
    assert await watcher.frames() == [b"one", b"two"]
