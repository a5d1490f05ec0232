"""Watchers follow a facility, fall behind, come back; and none of them slows the facility down."""

from __future__ import annotations

import asyncio
import threading
import time

from engine.clock import ManualClock
from engine.facility import publisher as module
from engine.facility.facility import Facility
from engine.facility.port import Cursor
from engine.facility.publisher import Publisher
from engine.live import LiveFrame
from engine.metrics import Metrics
from engine.settings import Settings
from tests.fakes.historian import FakeHistorian
from tests.fakes.messages import T0_US, activation, batch, setup


def frame(number: int) -> LiveFrame:
    return "s", number, b"%d" % number


class Owner:
    """Stands for the facility: knows the latest value."""

    def __init__(self) -> None:
        self.newest = 0
        self.publisher = Publisher("f", ManualClock(), self.latest)

    async def latest(self) -> tuple[Cursor, list[LiveFrame]]:
        return self.publisher.here(), [frame(self.newest)]

    def publish(self, *numbers: int) -> None:
        self.newest = numbers[-1]
        self.publisher.publish([frame(number) for number in numbers])


def numbers(chunks: tuple[object, ...]) -> list[int]:
    return [each[1] for chunk in chunks for each in chunk.frames]  # type: ignore[attr-defined]


async def test_a_watcher_gets_everything_from_its_first_question_on_once_and_in_order() -> None:
    owner = Owner()
    owner.publish(1)
    cursor, chunks = await owner.publisher.watch(None, 0)
    assert chunks == ()
    owner.publish(2, 3)
    owner.publish(4)
    cursor, chunks = await owner.publisher.watch(cursor, 0)
    assert numbers(chunks) == [2, 3, 4]
    assert await owner.publisher.watch(cursor, 0) == (cursor, ())


async def test_a_waiting_watcher_is_woken() -> None:
    owner = Owner()
    cursor, _ = await owner.publisher.watch(None, 0)
    waiting = asyncio.create_task(owner.publisher.watch(cursor, 60))
    await asyncio.sleep(0.01)
    assert owner.publisher.watched
    owner.publish(1)
    _, chunks = await waiting
    assert numbers(chunks) == [1]


async def test_who_fell_out_of_the_ring_gets_the_latest_values_and_the_number_missed(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(module, "RING_FRAMES_MAX", 10)
    owner = Owner()
    cursor, _ = await owner.publisher.watch(None, 0)
    for number in range(1, 31):
        owner.publish(number)
    cursor, chunks = await owner.publisher.watch(cursor, 0)
    assert [(chunk.snapshot, chunk.skipped, numbers((chunk,))) for chunk in chunks] == [(True, 30, [30])]
    owner.publish(31)
    _, chunks = await owner.publisher.watch(cursor, 0)
    assert numbers(chunks) == [31]


async def test_what_passed_unwatched_and_a_reload_are_told_as_latest_values() -> None:
    owner = Owner()
    cursor, _ = await owner.publisher.watch(None, 0)
    owner.newest = 7
    owner.publisher.skip(7)
    cursor, chunks = await owner.publisher.watch(cursor, 0)
    assert numbers(chunks) == [7]
    owner.publisher.restart()
    cursor, chunks = await owner.publisher.watch(cursor, 0)
    assert (numbers(chunks), chunks[0].snapshot) == ([7], True)


async def test_a_watcher_in_another_thread_is_served() -> None:
    owner = Owner()
    owner.publisher.restart()
    got: list[int] = []

    async def follow() -> None:
        cursor: Cursor | None = None
        while len(got) < 3:
            cursor, chunks = await owner.publisher.watch(cursor, 1)
            got.extend(numbers(chunks))

    thread = threading.Thread(target=lambda: asyncio.run(follow()))
    thread.start()
    number = 0
    while thread.is_alive():
        number += 1
        owner.publish(number)
        await asyncio.sleep(0.002)
    assert got == sorted(got)
    assert len(got) >= 3


async def test_five_hundred_idle_watchers_do_not_change_ingest_times() -> None:
    historian = FakeHistorian()
    await historian.create_facility(setup())
    settings = Settings(_env_file=None)
    facility = Facility("f", historian, settings, ManualClock(T0_US), Metrics())
    await facility.apply([activation()])
    at_s = 0

    async def median_s() -> float:
        nonlocal at_s
        times = []
        for _ in range(100):
            at_s += 1
            prepared = batch(("s", at_s, "21"))
            began_s = time.perf_counter()
            await facility.ingest(prepared)
            times.append(time.perf_counter() - began_s)
        return sorted(times)[len(times) // 2]

    await median_s()
    alone_s = await median_s()
    watchers = [asyncio.create_task(facility.watch(("an incarnation before", 0), 0)) for _ in range(500)]
    await asyncio.gather(*watchers)  # 500 that asked once and never come back for more
    idle = [Facility(f"idle {n}", historian, settings, ManualClock(T0_US), Metrics()) for n in range(500)]
    waiting = [asyncio.create_task(each.watch(None, 60)) for each in idle]  # and 500 that wait where nothing comes
    await asyncio.sleep(0)
    watched_s = await median_s()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert watched_s < 3 * alone_s + 0.001
