"""What AMQP 1.0 promises both sides: credit, windows, frames, ranges, limits, heartbeats, TLS and a clean end."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.local_bus import Counts, LocalBus, bus_status
from engine.local_bus.amqp_types import Described, ULong
from engine.local_bus.codec import decode
from engine.local_bus.frames import (
    SASL_HEADER,
    TYPE_SASL,
    Begin,
    Close,
    Detach,
    Disposition,
    End,
    Flow,
    SaslInit,
    SaslOutcome,
    Transfer,
    encode_frame,
)
from engine.local_bus.places import Places
from engine.local_bus.status import bus_answers
from engine.local_bus.store import Store
from engine.processes.ports import free_port
from tests.integration.local_bus.harness import eventually
from tests.integration.local_bus.wire import ACCEPTED, Wire, attach, connected, data, put, self_made_certificate

pytestmark = [pytest.mark.bus, pytest.mark.timeout(60)]


@pytest.fixture
async def bus(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[LocalBus]:
    bus = LocalBus(tmp_path, ["readings"], 0, places=Places(known_max=12))
    await bus.start()
    yield bus
    assert "error of its own" not in caplog.text, "what a client says is never the bus' own error"
    assert await bus_status(bus.port, None) == bus.counts, "the bus no longer answers"
    await bus.stop()


@pytest.fixture
async def wire(bus: LocalBus) -> AsyncIterator[Wire]:
    async with connected(bus) as wire:
        yield wire


async def test_a_message_without_credit_ends_the_link(bus: LocalBus, wire: Wire) -> None:
    wire.say(attach(0, receives=False))
    credit = (await wire.until(Flow)).performative.link_credit
    bus._broker._store._writing = True  # a disk that takes its time: nothing is finished, no credit comes back
    for number in range(credit + 1):
        wire.say(Transfer(0, number, struct.pack(">I", number), 0, True, False), payload=data(b"a"))
    detach = (await wire.until(Detach)).performative
    assert detach.error.value[0] == "amqp:link:transfer-limit-exceeded"
    bus._broker._store._writing = False
    bus._broker._store._wake()
    await bus._broker.flush()
    assert bus.counts["readings"].active == credit


async def test_a_receiver_with_huge_credit_that_does_not_read_takes_a_bounded_part(bus: LocalBus) -> None:
    async with connected(bus) as sender:
        await put(sender, *[bytes(20_000)] * 900)
    async with connected(bus, window=2**31) as greedy:
        assert isinstance(greedy.writer.transport, asyncio.Transport)
        greedy.writer.transport.pause_reading()
        greedy.say(attach(1, receives=True), Flow(1, 2**31, 0, 100, 1, 0, 2**32 - 1))
        await greedy.writer.drain()
        await eventually(lambda: bus.counts["readings"].locked > 0)
        await asyncio.sleep(0.2)
        assert bus.counts["readings"].locked < 600, "the rest is for others"
        async with connected(bus) as other:
            await other.receive_link(1, credit=1)
            assert (await other.until(Transfer)).performative.delivery_id is not None


async def test_the_clients_window_is_kept_to(bus: LocalBus) -> None:
    async with connected(bus) as sender:
        await put(sender, *[b"a"] * 20)
    async with connected(bus, window=5) as wire:
        await wire.receive_link(1, credit=20, window=5)
        for _ in range(5):
            await wire.until(Transfer)
        with pytest.raises(TimeoutError):
            await wire.frame(0.2)
        wire.say(Flow(6, 7, 0, 100))
        for _ in range(7):
            await wire.until(Transfer)
        with pytest.raises(TimeoutError):
            await wire.frame(0.2)


@pytest.mark.parametrize(("seen", "expected"), [(2, 3), (1, 2), (5, 3)], ids=["in step", "behind", "ahead"])
async def test_credit_counts_what_is_under_way(bus: LocalBus, seen: int, expected: int) -> None:
    """Two deliveries were made; the client gives three credits and says how many deliveries it has seen."""
    async with connected(bus) as wire:
        await put(wire, *[b"a"] * 10)
        await wire.receive_link(1, credit=2)
        for _ in range(2):
            await wire.until(Transfer)
        wire.say(Flow(3, 1_000, 0, 1_000, 1, seen, 3))
        for _ in range(expected):
            await wire.until(Transfer)
        with pytest.raises(TimeoutError):
            await wire.frame(0.1)


async def test_small_frames_carry_large_messages(bus: LocalBus) -> None:
    async with connected(bus) as sender:
        await sender.send_link()
        payload = data(bytes(range(256)) * 900)
        for at in range(0, len(payload), 60_000):
            more = at + 60_000 < len(payload)
            sender.say(Transfer(0, 0, b"a", 0, False, more), payload=payload[at : at + 60_000])
        await sender.until(Disposition)
    async with connected(bus, max_frame_size=512) as wire:
        await wire.receive_link(1, credit=1)
        parts = []
        while True:
            frame = await wire.until(Transfer)
            parts.append(frame.payload)
            if not frame.performative.more:
                break
        assert len(parts) > 400
        assert b"".join(parts).endswith(payload)


async def held(wire: Wire, count: int) -> list[int]:
    """The numbers of `count` deliveries."""
    await put(wire, *[b"a"] * count)
    await wire.receive_link(1, credit=count)
    return [(await wire.until(Transfer)).performative.delivery_id for _ in range(count)]


async def answers(wire: Wire, count: int) -> list[tuple[int, int, int]]:
    """First, last and outcome of the next dispositions."""
    said = [(await wire.until(Disposition)).performative for _ in range(count)]
    assert all((answer.role, answer.settled) == (False, True) for answer in said)
    return [(answer.first, answer.last, answer.state.descriptor) for answer in said]


async def is_silent(wire: Wire) -> bool:
    """Whether the bus has nothing to say but what it is asked."""
    wire.say(Flow(None, 10_000, 0, 10_000, None, None, None, None, None, True))
    return isinstance((await wire.frame()).performative, Flow)


async def test_a_range_of_deliveries_is_settled_and_answered_as_one(bus: LocalBus, wire: Wire) -> None:
    numbers = await held(wire, 30)
    wire.say(Disposition(True, numbers[0], numbers[-1], False, ACCEPTED))
    assert await answers(wire, 1) == [(numbers[0], numbers[-1], 0x24)]
    assert await is_silent(wire)
    assert bus.counts["readings"] == Counts(0, 0, 0, 0, 0)


async def test_deliveries_that_are_settled_one_by_one_are_answered_one_by_one(bus: LocalBus, wire: Wire) -> None:
    numbers = await held(wire, 5)
    wire.say(*(Disposition(True, number, None, False, ACCEPTED) for number in numbers))
    assert await answers(wire, 5) == [(number, number, 0x24) for number in numbers]
    assert bus.counts["readings"] == Counts(0, 0, 0, 0, 0)


async def test_a_range_with_holes_is_answered_by_its_outcomes(bus: LocalBus, wire: Wire) -> None:
    first = (await held(wire, 10))[0]
    wire.say(Disposition(True, first + 2, first + 4, True, ACCEPTED))  # settled: no answer
    wire.say(Disposition(True, first - 3, first + 12, False, ACCEPTED))
    lost, done = 0x25, 0x24
    assert await answers(wire, 5) == [
        (first - 3, first - 1, lost),
        (first, first + 1, done),
        (first + 2, first + 4, lost),
        (first + 5, first + 9, done),
        (first + 10, first + 12, lost),
    ]
    assert await is_silent(wire)
    assert bus.counts["readings"] == Counts(0, 0, 0, 0, 0)


async def test_the_largest_range_costs_what_is_held_in_it(bus: LocalBus, wire: Wire) -> None:
    numbers = await held(wire, 3)
    started_s = asyncio.get_running_loop().time()
    for _ in range(1_000):
        wire.say(Disposition(True, 0, numbers[0] - 1, False, ACCEPTED))
    wire.say(Disposition(True, 0, 2**32 - 1, False, ACCEPTED))
    assert (await answers(wire, 1_003))[1_000:] == [
        (0, numbers[0] - 1, 0x25),
        (numbers[0], numbers[-1], 0x24),
        (numbers[-1] + 1, 2**32 - 1, 0x25),
    ]
    assert asyncio.get_running_loop().time() - started_s < 5


async def test_a_range_is_abandoned_and_dead_lettered_as_one(bus: LocalBus, wire: Wire) -> None:
    numbers = await held(wire, 6)
    abandoned, rejected = Described(ULong(0x27), [True]), Described(ULong(0x25), [])
    wire.say(Disposition(True, numbers[0], numbers[2], False, abandoned))
    wire.say(Disposition(True, numbers[3], numbers[5], False, rejected))
    told = await answers(wire, 2)
    assert sorted(told) == [(numbers[0], numbers[2], 0x27), (numbers[3], numbers[5], 0x25)]
    assert bus.counts["readings"] == Counts(3, 0, 0, 0, 3)


async def test_what_decides_nothing_settles_nothing(bus: LocalBus, wire: Wire) -> None:
    """The state `received`, no state at all, and what a sender says of what it sent."""
    numbers = await held(wire, 3)
    wire.say(
        Disposition(True, numbers[0], numbers[-1], False, Described(ULong(0x23), [1, 2])),
        Disposition(True, numbers[0], numbers[-1], False, None),
        Disposition(False, 0, 2**32 - 1, True, ACCEPTED),
        Disposition(False, numbers[0], numbers[-1], False, ACCEPTED),
    )
    assert await is_silent(wire)
    wire.say(Disposition(True, numbers[0], numbers[-1], False, ACCEPTED))
    assert await answers(wire, 1) == [(numbers[0], numbers[-1], 0x24)]


async def test_what_is_settled_without_an_outcome_stays_locked_until_its_time(bus: LocalBus, wire: Wire) -> None:
    numbers = await held(wire, 3)
    wire.say(Disposition(True, numbers[0], numbers[-1], True, None))
    assert await is_silent(wire)
    assert bus.counts["readings"].locked == 3
    wire.say(Disposition(True, numbers[0], numbers[-1], False, ACCEPTED))
    assert await answers(wire, 1) == [(numbers[0], numbers[-1], 0x25)]


async def test_modified_without_flags_is_an_abandon(bus: LocalBus) -> None:
    """As the JavaScript client says it."""
    async with connected(bus) as wire:
        await put(wire, b"a")
        await wire.receive_link(1, credit=1)
        number = (await wire.until(Transfer)).performative.delivery_id
        wire.say(Disposition(True, number, None, False, Described(ULong(0x27), [])))
        assert (await wire.until(Disposition)).performative.state.descriptor == 0x27
        wire.say(Flow(2, 1_000, 0, 1_000, 1, 1, 1))
        header = decode((await wire.until(Transfer)).payload)[0]
        assert header.value[4] == 1


async def test_nobody_is_let_in_before_the_messages_of_before_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, open_store = asyncio.Event(), Store.open

    async def open_slowly(store: Store, queues: Sequence[str]) -> Any:
        await go_on.wait()
        return await open_store(store, queues)

    monkeypatch.setattr(Store, "open", open_slowly)
    port = free_port("127.0.0.1", 0)
    bus = LocalBus(tmp_path, ["readings"], port)
    starting = asyncio.create_task(bus.start())
    await asyncio.sleep(0.1)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    assert not await bus_answers(port, None)
    go_on.set()
    await starting
    assert await bus_answers(port, None)
    await bus.stop()


async def test_another_program_on_the_port_is_not_the_bus(bus: LocalBus) -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as stranger:
        assert not await bus_answers(stranger.sockets[0].getsockname()[1], None)
    assert await bus_answers(bus.port, None)


async def test_links_are_limited(bus: LocalBus, wire: Wire) -> None:
    wire.say(attach(256, receives=False))
    closed = (await wire.until(Close)).performative
    assert closed.error.value[0] == "amqp:resource-limit-exceeded"
    assert await wire.is_closed()


async def test_links_detached_after_their_session_ended_do_no_harm(bus: LocalBus, wire: Wire) -> None:
    await wire.receive_link(1, credit=1)
    wire.say(End(), Detach(1, True))
    await wire.until(End)
    wire.say(Begin(None, 0, 10, 10))
    await wire.until(Begin)
    wire.say(Close())
    await wire.until(Close)
    assert await wire.is_closed()


async def test_heartbeats_come_as_often_as_the_client_needs_them(bus: LocalBus) -> None:
    async with connected(bus, idle_ms=1_000) as wire:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        for _ in range(3):
            assert (await wire.frame()).performative is None
        assert 1.2 < loop.time() - started_s < 8


async def test_an_idle_bus_does_nothing(bus: LocalBus, wire: Wire) -> None:
    await wire.receive_link(1, credit=10)
    selector: Any = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
    turns = 0
    select = selector.select

    def count(timeout: float | None) -> Any:
        nonlocal turns
        turns += 1
        return select(timeout)

    selector.select = count
    await asyncio.sleep(1.0)
    selector.select = select
    assert turns <= 5


async def test_a_key_is_asked_for_before_anything_is_told(tmp_path: Path) -> None:
    bus = LocalBus(tmp_path, ["readings"], 0, key="right")
    await bus.start()
    try:
        async with connected(bus) as wire:
            for handle, address in enumerate(["readings", "readings/$management", "$management"]):
                wire.say(attach(handle, receives=True, address=address))
                error = (await wire.until(Detach)).performative.error
                assert error.value[0] == "amqp:unauthorized-access"
        async with connected(bus, opened=False) as wire:
            wire.say(SASL_HEADER, encode_frame(0, SaslInit("PLAIN", b"\0me\0wrong"), kind=TYPE_SASL))
            assert (await wire.until(SaslOutcome)).performative.code == 1
            assert await wire.is_closed()
    finally:
        await bus.stop()


async def test_what_was_sent_before_the_stop_is_answered(tmp_path: Path) -> None:
    bus = LocalBus(tmp_path, ["readings"], 0)
    await bus.start()
    async with connected(bus) as wire:
        await wire.send_link()
        for number in range(50):
            wire.say(Transfer(0, number, struct.pack(">I", number), 0, False, False), payload=data(b"a"))
        while not bus._broker._store._writing:
            await asyncio.sleep(0)
        await bus.stop()
        accepted = 0
        while accepted < 50:
            settled = (await wire.until(Disposition)).performative
            accepted += (settled.last or settled.first) - settled.first + 1
        await wire.until(Close)
    bus = LocalBus(tmp_path, ["readings"], 0)
    await bus.start()
    assert bus.counts["readings"].active == 50
    await bus.stop()


async def test_the_tls_listener_speaks_the_same_and_keeps_segments_small(tmp_path: Path) -> None:
    certificate = self_made_certificate(tmp_path / "bus.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    bus = LocalBus(tmp_path, ["readings"], 0, tls=context, tls_port=0)
    await bus.start()
    try:
        trust = ssl.create_default_context(cafile=str(certificate))
        opened = await asyncio.open_connection("127.0.0.1", bus.tls_port, ssl=trust, server_hostname="localhost")
        wire = Wire(*opened)
        client_socket = wire.writer.get_extra_info("socket")
        assert client_socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) <= 16_384
        await wire.open()
        await put(wire, bytes(60_000))
        assert bus.counts["readings"].active == 1
        wire.vanish()
    finally:
        await bus.stop()
