"""One receives or many settle, never both; who settles goes first; nobody is forgotten."""

from __future__ import annotations

import asyncio

from engine.bus.turns import Turns


async def test_many_settle_at_once_and_a_receive_waits_for_all_of_them() -> None:
    turns, events, release = Turns(), [], asyncio.Event()

    async def settle(number: int) -> None:
        async with turns.settle():
            events.append(f"settle {number}")
            await release.wait()

    async def receive() -> None:
        async with turns.receive():
            events.append("receive")

    settling = [asyncio.create_task(settle(number)) for number in range(3)]
    await asyncio.sleep(0)
    receiving = asyncio.create_task(receive())
    await asyncio.sleep(0.01)
    assert events == ["settle 0", "settle 1", "settle 2"]
    release.set()
    await asyncio.gather(receiving, *settling)
    assert events[-1] == "receive"


async def test_who_wants_to_settle_goes_before_the_next_receive() -> None:
    turns, events = Turns(), []

    async def receive(name: str) -> None:
        async with turns.receive():
            events.append(name)
            await asyncio.sleep(0.01)

    async def settle() -> None:
        async with turns.settle():
            events.append("settle")

    first = asyncio.create_task(receive("first"))
    await asyncio.sleep(0)
    second = asyncio.create_task(receive("second"))
    await asyncio.sleep(0)
    settling = asyncio.create_task(settle())
    await asyncio.gather(first, second, settling)
    assert events == ["first", "settle", "second"]


async def test_one_who_gives_up_waiting_stops_nobody() -> None:
    turns = Turns()
    async with turns.receive():
        waiting = asyncio.create_task(turns.settle().__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(1), turns.receive():
        pass
    async with asyncio.timeout(1), turns.settle():
        pass
