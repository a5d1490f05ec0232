"""The scheduler and the model broker themselves: what the fault runs lean on must hold by itself."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from tests.fakes.broker import Chaos, ModelBroker
from tests.faults.menu import draw
from tests.faults.scheduler import InlineLoop, Process, Scheduler, Stuck


def run(work: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=InlineLoop) as runner:
        return runner.run(work)


async def workers(seed: int) -> list[str]:
    scheduler = Scheduler(random.Random(seed))
    done: list[str] = []

    async def work(process: Process) -> None:
        for number in range(3):
            await scheduler.step(process, f"step {number}")
            await process.sleep(1.0)
            done.append(f"{process.name}{number}")

    for name in "abc":
        process = Process(name, scheduler)
        process.spawn(work(process))
    await scheduler.run(lambda: len(done) == 9, steps_max=1000, until_us=scheduler.now_us + 60_000_000)
    return scheduler.trace + done


def test_a_seed_replays_the_whole_run() -> None:
    assert run(workers(1)) == run(workers(1))
    assert len({tuple(run(workers(seed))) for seed in range(10)}) > 5, "other seeds take other ways"


def test_the_same_seed_draws_the_same_faults() -> None:
    assert draw(random.Random(5)) == draw(random.Random(5))


def test_a_killed_process_goes_no_further_and_cleans_nothing_up() -> None:
    async def story() -> list[str]:
        scheduler = Scheduler(random.Random(0))
        seen: list[str] = []

        async def victim(process: Process) -> None:
            try:
                seen.append("before")
                await scheduler.step(process, "fatal")
                seen.append("after")
            finally:
                seen.append("cleaned up")

        process, other = Process("victim", scheduler), Process("other", scheduler)
        process.spawn(victim(process))
        await scheduler.settle()
        process.kill()
        waiting = other.spawn(other.sleep(1))
        await scheduler.run(waiting.done, steps_max=100, until_us=scheduler.now_us + 60_000_000)
        return list(seen)

    assert run(story()) == ["before"]


def test_a_paused_process_gets_its_answer_when_it_goes_on() -> None:
    async def story() -> list[str]:
        scheduler = Scheduler(random.Random(0))
        seen: list[str] = []
        process, other = Process("paused", scheduler), Process("other", scheduler)

        async def act() -> str:
            seen.append("happened")
            return "answer"

        async def work() -> None:
            seen.append(await scheduler.call(process, "remote", act))

        process.spawn(work())
        await scheduler.settle()
        process.pause()
        waiting = other.spawn(other.sleep(1))
        await scheduler.run(waiting.done, steps_max=100, until_us=scheduler.now_us + 60_000_000)
        seen.append("resumed")
        process.resume()
        await scheduler.settle()
        return seen

    assert run(story()) == ["happened", "resumed", "answer"]


def test_a_deadlock_is_told() -> None:
    async def story() -> None:
        scheduler = Scheduler(random.Random(0))
        await scheduler.run(lambda: False, steps_max=100, until_us=scheduler.now_us + 1)

    with pytest.raises(Stuck):
        run(story())


def test_chaos_bites_and_is_counted() -> None:
    async def story() -> ModelBroker:
        scheduler = Scheduler(random.Random(0))
        broker = ModelBroker(Process("broker", scheduler))
        source = broker.source("q", Chaos(lost_answer=0.5, forgotten=0.2), random.Random(1))
        for number in range(100):
            broker.send("q", b"%d" % number)
        for message in await source.receive(100, 1.0):
            try:
                await source.complete(message)
            except Exception as error:
                assert "connection" in str(error)
        return broker

    broker = run(story())
    assert broker.counts["lost_answers"] > 20
    assert broker.counts["forgotten"] > 5
    assert broker.waiting("q") == broker.counts["forgotten"]
