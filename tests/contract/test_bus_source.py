"""One contract for every bus source: the model broker of the fault runs and the azure SDK on the local bus.

Only what the model broker promises here may the fault runs lean on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient

from engine.bus.service_bus import ServiceBusSource
from engine.bus.source import BusMessage, BusSource
from engine.clock import ManualClock, SystemClock
from engine.errors import BusUnavailable, LockLost
from engine.local_bus import LocalBus
from tests.fakes.broker import ModelBroker

LOCK_S = 2.0
WAIT_S = 1.0
QUEUE = "sensor-data-queue"

pytestmark = pytest.mark.slow


class Broker(Protocol):
    """What the suite needs beside the source itself: the sender's side, the dead letters and time."""

    async def open(self) -> BusSource: ...

    async def send(self, *bodies: bytes) -> None: ...

    async def dead_letters(self) -> list[tuple[bytes, str, str]]: ...

    async def receive(self, source: BusSource, max_messages: int, wait_s: float = WAIT_S) -> list[BusMessage]: ...

    async def pass_time(self, seconds: float) -> None: ...

    async def stop(self) -> None: ...

    async def start(self) -> None: ...


class Model:
    """The broker in memory on a clock moved by hand."""

    def __init__(self) -> None:
        self._clock = ManualClock()
        self._broker = ModelBroker(self._clock, lock_s=LOCK_S)

    async def open(self) -> BusSource:
        return self._broker.source(QUEUE)

    async def send(self, *bodies: bytes) -> None:
        for body in bodies:
            self._broker.send(QUEUE, body)

    async def dead_letters(self) -> list[tuple[bytes, str, str]]:
        return [(dead.body, dead.reason, dead.description) for dead in self._broker.dead_letters(QUEUE)]

    async def receive(self, source: BusSource, max_messages: int, wait_s: float = WAIT_S) -> list[BusMessage]:
        answer = asyncio.ensure_future(source.receive(max_messages, wait_s))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        while not answer.done():
            await self._clock.advance(0.1)
        return await answer

    async def pass_time(self, seconds: float) -> None:
        await self._clock.advance(seconds)

    async def stop(self) -> None:
        self._broker.stop()

    async def start(self) -> None:
        self._broker.start()


class Real:
    """The azure SDK over AMQP to a local bus of this process; time is real."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bus = self._bus_on(port=0)

    def _bus_on(self, port: int) -> LocalBus:
        return LocalBus(self._folder, [QUEUE], port, key="c2VjcmV0", lock_s=LOCK_S)

    async def open(self) -> BusSource:
        return ServiceBusSource(self._bus.connection_string, QUEUE, SystemClock(), silence_s_max=60)

    async def send(self, *bodies: bytes) -> None:
        async with self._client() as client, client.get_queue_sender(QUEUE) as sender:
            for body in bodies:
                await sender.send_messages(ServiceBusMessage(body))

    async def dead_letters(self) -> list[tuple[bytes, str, str]]:
        async with (
            self._client() as client,
            client.get_queue_receiver(QUEUE, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as receiver,
        ):
            dead = await receiver.peek_messages(max_message_count=10)
        return [
            (b"".join(message.body), message.dead_letter_reason or "", message.dead_letter_error_description or "")
            for message in dead
        ]

    async def receive(self, source: BusSource, max_messages: int, wait_s: float = WAIT_S) -> list[BusMessage]:
        return await source.receive(max_messages, wait_s)

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def stop(self) -> None:
        await self._bus.stop()

    async def start(self) -> None:
        self._bus = self._bus_on(self._bus.port)
        await self._bus.start()

    def _client(self) -> ServiceBusClient:
        return ServiceBusClient.from_connection_string(self._bus.connection_string)


@pytest.fixture(params=["model", pytest.param("azure-servicebus on the local bus", marks=pytest.mark.bus)])
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Broker]:
    if request.param == "model":
        yield Model()
        return
    real = Real(tmp_path)
    await real.start()
    yield real
    await real.stop()


async def test_messages_come_in_order_with_rising_sequence_numbers(broker: Broker) -> None:
    source = await broker.open()
    await broker.send(b"one", b"two", b"three")
    messages = await receive_all(broker, source, 3)
    assert [message.body for message in messages] == [b"one", b"two", b"three"]
    numbers = [message.sequence_number for message in messages]
    assert numbers == sorted(set(numbers))
    assert {message.delivery_count for message in messages} == {0}
    assert all(message.locked_until_us > message.enqueued_at_us for message in messages)
    await source.close()


async def test_no_more_than_asked_for(broker: Broker) -> None:
    source = await broker.open()
    await broker.send(*(b"%d" % number for number in range(5)))
    first = await broker.receive(source, 2)
    assert 1 <= len(first) <= 2
    rest = await receive_all(broker, source, 5 - len(first))
    assert [message.body for message in first + rest] == [b"0", b"1", b"2", b"3", b"4"]
    await source.close()


async def test_an_empty_queue_answers_empty_when_the_wait_is_over(broker: Broker) -> None:
    source = await broker.open()
    assert await broker.receive(source, 10) == []
    await source.close()


async def test_a_waiting_receive_gets_what_arrives(broker: Broker) -> None:
    source = await broker.open()
    waiting = asyncio.ensure_future(broker.receive(source, 1, wait_s=30))
    await asyncio.sleep(0)
    await broker.send(b"late")
    messages = await asyncio.wait_for(waiting, 10)
    assert [message.body for message in messages] == [b"late"]
    await source.close()


async def test_what_came_between_two_receives_is_there_at_once(broker: Broker) -> None:
    source = await broker.open()
    await broker.send(b"first")
    await broker.receive(source, 10, wait_s=5)
    await broker.send(b"between")
    await broker.pass_time(0.3)
    async with asyncio.timeout(LOCK_S - 0.5):
        got = await broker.receive(source, 10, wait_s=20)
    assert [message.body for message in got] == [b"between"]
    await source.close()


async def test_settling_does_not_wait_for_a_receive_that_waits(broker: Broker) -> None:
    source = await broker.open()
    await broker.send(*(b"%d" % number for number in range(20)))
    messages = await receive_all(broker, source, 20)
    waiting = asyncio.ensure_future(broker.receive(source, 1, wait_s=30))
    await asyncio.sleep(0)
    await asyncio.wait_for(asyncio.gather(*(source.complete(message) for message in messages)), 20)
    assert not waiting.done()
    await broker.send(b"next")
    assert [message.body for message in await waiting] == [b"next"]
    await source.close()


async def test_bytes_are_bytes(broker: Broker) -> None:
    """Bodies that are not JSON, not UTF-8 or large travel unchanged; judging them is the reader's business."""
    bodies = [b"\xff\xfe\x00", bytes(range(256)), b"x" * 200_000, "ø".encode()]
    source = await broker.open()
    await broker.send(*bodies)
    assert [message.body for message in await receive_all(broker, source, len(bodies))] == bodies
    await source.close()


async def test_completed_never_comes_again(broker: Broker) -> None:
    source = await broker.open()
    await broker.send(b"done")
    [message] = await broker.receive(source, 1)
    await source.complete(message)
    await broker.pass_time(LOCK_S + 0.5)
    assert await broker.receive(source, 1) == []
    assert await broker.dead_letters() == []
    await source.close()


async def test_a_locked_message_is_nobody_elses_until_the_lock_expires(broker: Broker) -> None:
    mine, yours = await broker.open(), await broker.open()
    await broker.send(b"once")
    [first] = await broker.receive(mine, 1)
    assert await broker.receive(yours, 1, wait_s=0.2) == []
    await broker.pass_time(LOCK_S)
    [second] = await broker.receive(yours, 1)
    assert (second.body, second.sequence_number) == (first.body, first.sequence_number)
    assert second.delivery_count == 1
    await yours.complete(second)
    await mine.close()
    await yours.close()


async def test_a_stale_settle_says_lock_lost_and_changes_nothing(broker: Broker) -> None:
    source = await broker.open()
    await broker.send(b"a", b"b", b"c", b"d")
    stale = await receive_all(broker, source, 4)
    await broker.pass_time(LOCK_S + 0.2)
    with pytest.raises(LockLost):
        await source.complete(stale[0])
    with pytest.raises(LockLost):
        await source.abandon(stale[1])
    with pytest.raises(LockLost):
        await source.dead_letter(stale[2], "reason", "description")
    with pytest.raises(LockLost):
        await source.renew_lock(stale[3])
    again = await receive_all(broker, source, 4)
    assert [message.body for message in again] == [b"a", b"b", b"c", b"d"]
    assert {message.delivery_count for message in again} == {1}
    assert await broker.dead_letters() == []
    await source.close()


async def test_a_renewed_lock_holds_a_full_duration_more(broker: Broker) -> None:
    mine, yours = await broker.open(), await broker.open()
    await broker.send(b"long work")
    [message] = await broker.receive(mine, 1)
    for _ in range(3):
        await broker.pass_time(LOCK_S * 0.6)
        assert await mine.renew_lock(message) > message.locked_until_us
    assert await broker.receive(yours, 1, wait_s=0.1) == []
    await mine.complete(message)
    await mine.close()
    await yours.close()


async def test_an_abandoned_message_comes_back_at_once_with_its_count_up(broker: Broker) -> None:
    source = await broker.open()
    await broker.send(b"again")
    for count in range(3):
        [message] = await broker.receive(source, 1)
        assert message.delivery_count == count
        await source.abandon(message)
    [message] = await broker.receive(source, 1)
    await source.complete(message)
    await source.close()


async def test_ten_failed_deliveries_are_dead(broker: Broker) -> None:
    source = await broker.open()
    await broker.send(b"cursed")
    for count in range(10):
        [message] = await broker.receive(source, 1)
        assert message.delivery_count == count
        await source.abandon(message)
    assert await broker.receive(source, 1, wait_s=0.2) == []
    [(body, reason, _)] = await broker.dead_letters()
    assert (body, reason) == (b"cursed", "MaxDeliveryCountExceeded")
    await source.close()


async def test_a_dead_letter_carries_reason_and_description(broker: Broker) -> None:
    source = await broker.open()
    await broker.send(b"bad", b"good")
    bad, good = await receive_all(broker, source, 2)
    await source.dead_letter(bad, "not_json", "expected value at line 1 column 1")
    await source.complete(good)
    assert await broker.dead_letters() == [(b"bad", "not_json", "expected value at line 1 column 1")]
    await broker.pass_time(LOCK_S + 0.2)
    assert await broker.receive(source, 1, wait_s=0.2) == []
    await source.close()


async def test_settles_may_run_side_by_side(broker: Broker) -> None:
    source = await broker.open()
    await broker.send(*(b"%d" % number for number in range(60)))
    messages = await receive_all(broker, source, 60)
    await asyncio.gather(*(source.complete(message) for message in messages))
    await broker.pass_time(LOCK_S + 0.2)
    assert await broker.receive(source, 1, wait_s=0.2) == []
    await source.close()


async def test_locks_outlive_a_closed_source(broker: Broker) -> None:
    """What was received and not settled is redelivered when its lock ends, never lost."""
    first = await broker.open()
    await broker.send(b"orphan")
    [message] = await broker.receive(first, 1)
    await first.close()
    await first.close()
    second = await broker.open()
    await broker.pass_time(LOCK_S + 0.2)
    [again] = await broker.receive(second, 1)
    assert (again.body, again.sequence_number) == (b"orphan", message.sequence_number)
    await second.complete(again)
    await second.close()


async def test_a_closed_source_says_so(broker: Broker) -> None:
    source = await broker.open()
    await broker.send(b"one", b"two")
    messages = await receive_all(broker, source, 2)
    await source.close()
    with pytest.raises(BusUnavailable):
        await broker.receive(source, 1)
    with pytest.raises(BusUnavailable):
        await source.complete(messages[0])
    with pytest.raises(BusUnavailable):
        await source.renew_lock(messages[1])


async def test_a_broker_that_is_away_is_told_and_is_no_empty_queue(broker: Broker) -> None:
    source = await broker.open()
    await broker.send(b"held")
    [held] = await broker.receive(source, 1)
    waiting = asyncio.ensure_future(broker.receive(source, 1, wait_s=30))
    await asyncio.sleep(0)
    await broker.stop()
    with pytest.raises(BusUnavailable):
        await asyncio.wait_for(waiting, 10)
    with pytest.raises(BusUnavailable):
        await broker.receive(source, 1)
    with pytest.raises(BusUnavailable):
        await source.complete(held)
    await broker.start()
    [again] = await broker.receive(source, 1, wait_s=5)
    assert (again.body, again.sequence_number) == (b"held", held.sequence_number)
    await source.complete(again)
    await source.close()


async def test_locks_end_with_the_broker(broker: Broker) -> None:
    source = await broker.open()
    await broker.send(b"held")
    [held] = await broker.receive(source, 1)
    await broker.stop()
    await broker.start()
    try:
        [again] = await broker.receive(source, 1, wait_s=5)
    except BusUnavailable:  # a connection that has been cut may be found out only when it is used
        [again] = await broker.receive(source, 1, wait_s=5)
    with pytest.raises(LockLost):
        await source.complete(held)
    await source.complete(again)
    await broker.pass_time(LOCK_S + 0.2)
    assert await broker.receive(source, 1, wait_s=0.2) == []
    await source.close()


async def receive_all(broker: Broker, source: BusSource, count: int) -> list[BusMessage]:
    """A source may answer with fewer than asked for; this asks until `count` are here."""
    messages: list[BusMessage] = []
    while len(messages) < count:
        more = await broker.receive(source, count - len(messages))
        assert more, f"{len(messages)} of {count} messages came"
        messages += more
    return messages
