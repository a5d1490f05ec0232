"""What a queue of the local bus does with its messages, at the exact moment: clock moved by hand, real SQLite."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.clock import US_PER_S, ManualClock
from engine.local_bus.amqp_types import Described, Symbol, Timestamp, ULong
from engine.local_bus.broker import Broker
from engine.local_bus.codec import decode, encode
from engine.local_bus.errors import AmqpError
from engine.local_bus.locks import Delivery
from engine.local_bus.message import Content, parse_message
from engine.local_bus.queue import CANCELLED_MAX, CONSUMERS_MAX, REASON_CHARACTERS_MAX, Counts, Queue, Rules
from engine.local_bus.store import BusStoreError


def content(text: str, due_us: int | None = None) -> Content:
    octets = b"" if due_us is None else _annotations({"x-opt-scheduled-enqueue-time": Timestamp(due_us // 1_000)})
    return parse_message(octets + encode(Described(ULong(0x75), text.encode())))


def _annotations(entries: dict[str, object]) -> bytes:
    return encode(Described(ULong(0x72), {Symbol(name): value for name, value in entries.items()}))


def sections(message: Content) -> dict[int, Any]:
    found: dict[int, Any] = {}
    at = 0
    while at < len(message.sections):
        section, at = decode(message.sections, at)
        found[int(section.descriptor)] = section.value
    return found


def body(message: Content) -> str:
    octets: bytes = sections(message)[0x75]
    return octets.decode()


class Receiver:
    """Wants `credit` messages and keeps what it is given."""

    def __init__(self, credit: int, *, peek_lock: bool = True) -> None:
        self.peek_lock = peek_lock
        self.credit = credit
        self.got: list[Delivery] = []

    def wants(self) -> int:
        return self.credit

    def deliver(self, deliveries: list[Delivery]) -> None:
        assert len(deliveries) <= self.credit, "never more than it wants"
        self.credit -= len(deliveries)
        self.got += deliveries

    @property
    def bodies(self) -> list[str]:
        return [body(delivery.message.content) for delivery in self.got]


class House:
    """One broker over one file; `settled` waits until all that was asked for is on disk and dispatched."""

    def __init__(self, path: Path, **rules: Any) -> None:
        self.path = path
        self.rules = Rules(**rules)
        self.errors: list[Exception | None] = []

    async def __aenter__(self) -> House:
        self.clock = ManualClock()
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.broker.stop()

    async def open(self) -> None:
        self.broker = Broker(self.path / "bus.sqlite3", ["Readings"], self.clock, self.rules)
        await self.broker.start()
        self.queue = self.broker.find("readings")
        self.dead_letters = self.broker.find("readings/$DeadLetterQueue")

    async def restart(self) -> None:
        await self.broker.stop()
        await self.open()

    def done(self, error: Exception | None) -> None:
        self.errors.append(error)

    async def settled(self) -> None:
        for _ in range(4):
            await self.broker.flush()
            await self.clock.advance(0)
            for _ in range(5):
                await self.clock.sleep(0)

    async def put(self, *texts: str) -> None:
        self.queue.put([content(text) for text in texts], self.done)
        await self.settled()

    async def receive(self, count: int, queue: Queue | None = None) -> list[Delivery]:
        receiver = Receiver(count)
        queue = queue or self.queue
        queue.attach(receiver)
        queue.dispatch()
        await self.settled()
        queue.detach(receiver)
        return receiver.got

    @property
    def counts(self) -> Counts:
        return self.broker.counts["Readings"]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with House(tmp_path, lock_s=60.0) as house:
        yield house


async def test_a_message_is_received_only_once_it_is_stored(house: House) -> None:
    receiver = Receiver(10)
    house.queue.attach(receiver)
    house.queue.put([content("a")], house.done)
    house.queue.dispatch()
    assert (receiver.got, house.errors) == ([], [])
    await house.settled()
    assert (receiver.bodies, house.errors) == (["a"], [None])


async def test_a_lock_ends_at_its_second_and_the_message_comes_again(house: House) -> None:
    await house.put("a")
    (first,) = await house.receive(1)
    await house.clock.advance(59.999)
    assert await house.receive(1) == []
    await house.clock.advance(0.001)
    (second,) = await house.receive(1)
    assert (second.message.delivery_count, body(second.message.content)) == (1, "a")
    with pytest.raises(AmqpError, match="message-lock-lost"):
        house.queue.complete(first.token, house.done)
    house.queue.complete(second.token, house.done)
    await house.settled()
    assert house.counts == Counts(0, 0, 0, 0, 0)


async def test_a_renewed_lock_lasts_its_full_time_again(house: House) -> None:
    await house.put("a", "b")
    a, b = await house.receive(2)
    await house.clock.advance(40)
    assert house.queue.renew(a.token) == house.clock.now_us() + 60 * US_PER_S
    await house.clock.advance(40)
    assert [body(delivery.message.content) for delivery in await house.receive(5)] == ["b"]
    house.queue.complete(a.token, house.done)
    with pytest.raises(AmqpError, match="message-lock-lost"):
        house.queue.renew(b.token)


async def test_nothing_is_settled_twice(house: House) -> None:
    await house.put("a")
    (a,) = await house.receive(1)
    house.queue.complete(a.token, house.done)
    for again in (house.queue.complete, house.queue.abandon, house.queue.release, house.queue.defer):
        with pytest.raises(AmqpError, match="message-lock-lost"):
            again(a.token, house.done)


async def test_release_costs_no_delivery_and_keeps_the_order(house: House) -> None:
    await house.put("a", "b", "c")
    for delivery in await house.receive(2):
        house.queue.release(delivery.token, house.done)
    got = await house.receive(3)
    assert [(body(d.message.content), d.message.delivery_count) for d in got] == [("a", 0), ("b", 0), ("c", 0)]


async def test_the_tenth_failed_delivery_makes_a_dead_letter(house: House) -> None:
    await house.put("a")
    for delivery_count in range(10):
        (a,) = await house.receive(1)
        assert a.message.delivery_count == delivery_count
        house.queue.abandon(a.token, house.done)
    assert await house.receive(1) == []
    (dead,) = await house.receive(1, house.dead_letters)
    assert sections(dead.message.content)[0x74]["DeadLetterReason"] == "MaxDeliveryCountExceeded"
    assert (body(dead.message.content), dead.message.delivery_count) == ("a", 10)
    assert house.counts.dead_lettered == 1
    await house.restart()
    assert house.counts == Counts(0, 0, 0, 0, 1)


async def test_locks_that_run_out_count_as_failed_deliveries_too(house: House) -> None:
    await house.put("a")
    for _ in range(10):
        await house.receive(1)
        await house.clock.advance(60)
        await house.settled()
    assert house.counts == Counts(0, 0, 0, 0, 1)


async def test_delivery_counts_outlive_a_restart_and_locks_do_not(house: House) -> None:
    await house.put("a", "b")
    a, _ = await house.receive(2)
    house.queue.abandon(a.token, house.done)
    await house.settled()
    await house.restart()
    got = await house.receive(5)
    assert [(body(d.message.content), d.message.delivery_count) for d in got] == [("a", 1), ("b", 0)]


async def test_a_deferred_message_is_found_by_its_number_only(house: House) -> None:
    await house.put("a")
    (a,) = await house.receive(1)
    house.queue.defer(a.token, house.done)
    await house.settled()
    await house.restart()
    assert await house.receive(1) == []
    assert house.counts.deferred == 1
    number = a.message.sequence_number
    (again,) = await house.queue.receive_deferred([number], peek_lock=True)
    with pytest.raises(AmqpError, match="message-not-found"):
        await house.queue.receive_deferred([number], peek_lock=True)
    house.queue.abandon(again.token, house.done)
    assert house.counts.deferred == 1, "abandoned, it is deferred as before"
    (again,) = await house.queue.receive_deferred([number], peek_lock=True)
    assert again.message.delivery_count == 1
    house.queue.complete(again.token, house.done)
    await house.settled()
    assert house.counts == Counts(0, 0, 0, 0, 0)


async def test_a_deferred_message_can_be_taken_for_good(house: House) -> None:
    await house.put("a")
    (a,) = await house.receive(1)
    house.queue.defer(a.token, house.done)
    (taken,) = await house.queue.receive_deferred([a.message.sequence_number], peek_lock=False)
    assert body(taken.message.content) == "a"
    await house.restart()
    assert house.counts == Counts(0, 0, 0, 0, 0)


async def test_a_scheduled_message_comes_at_its_time_also_after_a_restart(house: House) -> None:
    now_us = house.clock.now_us()
    house.queue.put([content("later", now_us + 30 * US_PER_S), content("now")], house.done)
    (number,) = house.queue.put([content("never", now_us + 20 * US_PER_S)], house.done)
    await house.settled()
    house.queue.cancel_scheduled([number], house.done)
    with pytest.raises(AmqpError, match="message-not-found"):
        house.queue.cancel_scheduled([number], house.done)
    assert [body(d.message.content) for d in await house.receive(5)] == ["now"]
    await house.restart()
    assert house.counts.scheduled == 1
    await house.receive(5)
    await house.clock.advance(29)
    assert await house.receive(5) == []
    await house.clock.advance(1)
    (later,) = await house.receive(5)
    assert later.message.enqueued_us == now_us + 30 * US_PER_S


async def test_a_long_queue_is_kept_in_the_store_and_in_order(tmp_path: Path) -> None:
    async with House(tmp_path, memory_messages_max=10) as house:
        texts = [str(number) for number in range(3_000)]
        for at in range(0, 3_000, 500):
            await house.put(*texts[at : at + 500])
        assert house.counts.active == 3_000
        got = await house.receive(20)
        for delivery in got[5:10]:
            house.queue.abandon(delivery.token, house.done)
        await house.put("last")
        seen = [body(d.message.content) for d in got[:5] + got[10:]]
        rest = [body(d.message.content) for d in await house.receive(5_000)]
        assert rest[:5] == texts[5:10]
        assert seen[:5] + rest[:5] + seen[5:] + rest[5:] == [*texts, "last"]
        assert house.counts == Counts(0, 3_001, 0, 0, 0)


async def test_receivers_share_the_queue(house: House) -> None:
    one, two = Receiver(500), Receiver(500)
    house.queue.attach(one)
    house.queue.attach(two)
    await house.put(*(str(number) for number in range(600)))
    assert sorted(one.bodies + two.bodies, key=int) == [str(number) for number in range(600)]
    assert len(one.got) > 100 < len(two.got)


async def test_receive_and_delete_leaves_nothing(house: House) -> None:
    receiver = Receiver(5, peek_lock=False)
    house.queue.attach(receiver)
    await house.put("a", "b")
    assert receiver.bodies == ["a", "b"]
    await house.restart()
    assert house.counts == Counts(0, 0, 0, 0, 0)


async def test_what_the_disk_refuses_is_not_accepted_and_the_queue_lives_on(house: House) -> None:
    await house.put("a")

    def fill(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA max_page_count = 1")

    def empty(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA max_page_count = 100000")

    await house.broker._store.read(fill)
    house.errors.clear()
    await house.put("x" * 200_000)
    (error,) = house.errors
    assert isinstance(error, BusStoreError)
    assert "full" in str(error)
    await house.broker._store.read(empty)
    await house.put("b")
    assert [body(d.message.content) for d in await house.receive(5)] == ["a", "b"]


async def test_a_settlement_that_the_disk_refuses_leaves_the_message_locked_and_may_be_tried_again(
    house: House,
) -> None:
    await house.put("a")
    (delivery,) = await house.receive(1)

    def refuse(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA query_only = 1")

    def take(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA query_only = 0")

    await house.broker._store.read(refuse)
    house.errors.clear()
    house.queue.complete(delivery.token, house.done)
    await house.settled()
    assert isinstance(house.errors.pop(), BusStoreError)
    assert house.counts == Counts(0, 1, 0, 0, 0)
    await house.broker._store.read(take)
    house.queue.complete(delivery.token, house.done)
    await house.settled()
    assert house.errors == [None]
    assert house.counts == Counts(0, 0, 0, 0, 0)


async def test_a_turn_of_sends_is_one_transaction(house: House) -> None:
    statements: list[str] = []

    def watch(connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(statements.append)

    await house.broker._store.read(watch)
    for number in range(200):
        house.queue.put([content(str(number))], house.done)
    await house.settled()
    assert len([error for error in house.errors if error is None]) == 200
    assert statements.count("COMMIT") == 1


async def test_nothing_is_answered_before_it_is_on_disk(house: House) -> None:
    """SQLite is held at its COMMIT: until it goes on, nobody has been told anything."""
    await house.put("a", "b", "c", "d")
    a, b, c, d = await house.receive(4)
    at_commit, go_on = threading.Event(), threading.Event()

    def hold(statement: str) -> None:
        if statement == "COMMIT":
            at_commit.set()
            go_on.wait(10)

    house.errors.clear()
    await house.broker._store.read(lambda connection: connection.set_trace_callback(hold))
    house.queue.put([content("e")], house.done)
    house.queue.complete(a.token, house.done)
    house.queue.abandon(b.token, house.done)
    house.queue.defer(c.token, house.done)
    house.queue.dead_letter(d.token, "reason", None, house.done)
    while not at_commit.is_set():
        await asyncio.sleep(0.001)
    for _ in range(20):
        await asyncio.sleep(0.001)
    told = list(house.errors)
    go_on.set()
    await house.settled()
    assert told == []
    assert house.errors == [None] * 5
    assert house.counts == Counts(2, 0, 1, 0, 1)


async def test_a_second_bus_on_the_same_file_is_refused(house: House, tmp_path: Path) -> None:
    other = Broker(tmp_path / "bus.sqlite3", ["Readings"], house.clock, Rules())
    with pytest.raises(BusStoreError, match="another local bus is running"):
        await other.start()


async def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bus.sqlite3").write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(BusStoreError, match="not a database"):
        await Broker(tmp_path / "bus.sqlite3", ["Readings"], ManualClock(), Rules()).start()


async def test_what_was_cancelled_is_not_kept_until_its_time(tmp_path: Path) -> None:
    async with House(tmp_path) as house:
        far_us = house.clock.now_us() + 400 * 365 * 86_400 * US_PER_S
        (stays,) = house.queue.put([content("stays", far_us)], house.done)
        for _ in range(5):
            numbers = house.queue.put([content("a", far_us) for _ in range(CANCELLED_MAX)], house.done)
            await house.settled()
            house.queue.cancel_scheduled(numbers, house.done)
        await house.settled()
        assert list(house.queue._scheduled) == [stays]
        assert len(house.queue._due) <= CANCELLED_MAX + 2


@pytest.mark.parametrize("over", [0, 1])
async def test_receivers_of_a_queue_are_limited(tmp_path: Path, over: int) -> None:
    async with House(tmp_path) as house:
        for _ in range(CONSUMERS_MAX - 1 + over):
            house.queue.attach(Receiver(0))
        if over:
            with pytest.raises(AmqpError, match="1000 receivers are attached"):
                house.queue.attach(Receiver(0))
        else:
            house.queue.attach(Receiver(0))


@pytest.mark.parametrize("over", [0, 1])
async def test_reasons_of_dead_letters_have_the_length_that_azure_gives_them(tmp_path: Path, over: int) -> None:
    async with House(tmp_path) as house:
        await house.put("a")
        (held,) = await house.receive(1)
        house.queue.dead_letter(held.token, "r" * (REASON_CHARACTERS_MAX + over), "d" * 60_000, house.done)
        await house.settled()
        (dead,) = await house.receive(1, house.dead_letters)
        told = sections(dead.message.content)[0x74]
        assert {name: len(text) for name, text in told.items()} == {
            "DeadLetterReason": REASON_CHARACTERS_MAX,
            "DeadLetterErrorDescription": REASON_CHARACTERS_MAX,
        }
