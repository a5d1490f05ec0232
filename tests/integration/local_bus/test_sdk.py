"""The unmodified azure-servicebus SDK on the local bus: everything a client of ours or a hub's may do."""

from __future__ import annotations

import asyncio
import datetime
import os
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusMessageState, ServiceBusReceiveMode
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessageSizeExceededError,
    MessagingEntityNotFoundError,
    ServiceBusAuthenticationError,
    ServiceBusError,
)

from engine.errors import BusUnavailable
from engine.local_bus import Counts, LocalBus, bus_status, connection_string
from tests.integration.local_bus.harness import (
    KEY,
    body_of,
    bus_process,
    client_of,
    eventually,
    receive_all,
    running_bus,
)

pytestmark = [pytest.mark.bus, pytest.mark.slow, pytest.mark.timeout(60)]

EMPTY = Counts(0, 0, 0, 0, 0)


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[LocalBus]:
    async with running_bus(tmp_path) as bus:
        yield bus


@pytest.fixture
async def client(bus: LocalBus) -> AsyncIterator[ServiceBusClient]:
    async with client_of(bus) as client:
        yield client


@pytest.fixture
async def ends(client: ServiceBusClient) -> AsyncIterator[tuple[ServiceBusSender, ServiceBusReceiver]]:
    """A sender and a receiver, opened and closed at the same time: the SDK takes half a second for each."""
    sender, receiver = client.get_queue_sender("readings"), client.get_queue_receiver("readings")
    await asyncio.gather(sender._open(), receiver._open())
    yield sender, receiver
    await asyncio.gather(sender.close(), receiver.close())


@pytest.fixture
def sender(ends: tuple[ServiceBusSender, ServiceBusReceiver]) -> ServiceBusSender:
    return ends[0]


@pytest.fixture
def receiver(ends: tuple[ServiceBusSender, ServiceBusReceiver]) -> ServiceBusReceiver:
    return ends[1]


async def test_ten_thousand_messages_come_out_once(
    bus: LocalBus, client: ServiceBusClient, sender: ServiceBusSender
) -> None:
    for start in range(0, 10_000, 1_000):
        await sender.send_messages([ServiceBusMessage(str(number)) for number in range(start, start + 1_000)])
    assert bus.counts["readings"].active == 10_000
    mode = ServiceBusReceiveMode.RECEIVE_AND_DELETE
    async with client.get_queue_receiver("readings", receive_mode=mode) as receiver:
        got = [int(body_of(message)) for message in await receive_all(receiver, 10_000)]
    assert got == list(range(10_000))
    await eventually(lambda: bus.counts["readings"] == EMPTY)


async def test_what_is_completed_is_gone_and_what_was_said_arrives(
    bus: LocalBus, sender: ServiceBusSender, receiver: ServiceBusReceiver
) -> None:
    sent = ServiceBusMessage(
        b"21.5", message_id="m1", subject="reading", content_type="text/plain", application_properties={"unit": "C"}
    )
    await sender.send_messages(sent)
    (got,) = await receiver.receive_messages(1, max_wait_time=5)
    assert (body_of(got), got.message_id, got.subject, got.content_type) == (b"21.5", "m1", "reading", "text/plain")
    assert got.application_properties == {b"unit": b"C"}
    assert (got.delivery_count, got.sequence_number) == (0, 1)
    assert got.enqueued_time_utc is not None and got.locked_until_utc is not None
    assert abs((got.enqueued_time_utc - datetime.datetime.now(datetime.UTC)).total_seconds()) < 5
    assert 25 < (got.locked_until_utc - datetime.datetime.now(datetime.UTC)).total_seconds() <= 30
    assert uuid.UUID(str(got.lock_token))
    await receiver.complete_message(got)
    assert bus.counts["readings"] == EMPTY


async def test_abandon_raises_the_delivery_count_until_the_tenth(
    client: ServiceBusClient, sender: ServiceBusSender, receiver: ServiceBusReceiver
) -> None:
    await sender.send_messages(ServiceBusMessage("bad"))
    for delivery_count in range(10):
        (got,) = await receiver.receive_messages(1, max_wait_time=5)
        assert got.delivery_count == delivery_count
        await receiver.abandon_message(got)
    assert await receiver.receive_messages(1, max_wait_time=0.2) == []
    async with client.get_queue_receiver("readings", sub_queue="deadletter") as dead_letters:
        (dead,) = await dead_letters.receive_messages(1, max_wait_time=5)
        assert dead.dead_letter_reason == "MaxDeliveryCountExceeded"
        assert body_of(dead) == b"bad"


async def test_dead_letters_carry_reason_and_description(
    bus: LocalBus, client: ServiceBusClient, sender: ServiceBusSender, receiver: ServiceBusReceiver
) -> None:
    await sender.send_messages(ServiceBusMessage("bad", application_properties={"unit": "C"}))
    (got,) = await receiver.receive_messages(1, max_wait_time=5)
    await receiver.dead_letter_message(got, reason="not_json", error_description="line 1 column 1")
    async with client.get_queue_receiver("readings", sub_queue="deadletter") as dead_letters:
        (dead,) = await dead_letters.receive_messages(1, max_wait_time=5)
        assert (dead.dead_letter_reason, dead.dead_letter_error_description) == ("not_json", "line 1 column 1")
        assert dead.application_properties is not None and dead.application_properties[b"unit"] == b"C"
        assert dead.dead_letter_source == "readings"
        await dead_letters.complete_message(dead)
    assert bus.counts["readings"] == EMPTY


async def test_a_lock_that_expired_is_lost_and_the_message_comes_again(tmp_path: Path) -> None:
    async with (
        running_bus(tmp_path, lock_s=0.5) as bus,
        client_of(bus) as client,
        client.get_queue_sender("readings") as sender,
        client.get_queue_receiver("readings") as receiver,
    ):
        await sender.send_messages(ServiceBusMessage("a"))
        (first,) = await receiver.receive_messages(1, max_wait_time=5)
        (second,) = await receiver.receive_messages(1, max_wait_time=5)
        assert second.delivery_count == 1
        # The SDK looks at its own clock first; the broker's own refusal is what is asked for here.
        first._expiry = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=60)
        with pytest.raises(MessageLockLostError):
            await receiver.complete_message(first)
        await receiver.complete_message(second)
        assert bus.counts["readings"] == EMPTY


async def test_a_renewed_lock_holds(tmp_path: Path) -> None:
    async with (
        running_bus(tmp_path, lock_s=2.0) as bus,
        client_of(bus) as client,
        client.get_queue_sender("readings") as sender,
        client.get_queue_receiver("readings") as receiver,
    ):
        await sender.send_messages(ServiceBusMessage("a"))
        (got,) = await receiver.receive_messages(1, max_wait_time=5)
        for _ in range(2):
            await asyncio.sleep(1.1)
            assert (before := got.locked_until_utc) is not None
            await receiver.renew_message_lock(got)
            assert got.locked_until_utc is not None and got.locked_until_utc > before
        await receiver.complete_message(got)
        assert bus.counts["readings"] == EMPTY


async def test_a_lock_outlives_the_connection_that_took_it(tmp_path: Path) -> None:
    async with running_bus(tmp_path, lock_s=2.5) as bus:
        async with client_of(bus) as client, client.get_queue_sender("readings") as sender:
            await sender.send_messages(ServiceBusMessage("a"))
            async with client.get_queue_receiver("readings") as receiver:
                (got,) = await receiver.receive_messages(1, max_wait_time=5)
                for connection in bus._connections:
                    assert connection._transport is not None
                    connection._transport.abort()
        assert bus.counts["readings"] == Counts(0, 1, 0, 0, 0)
        async with client_of(bus) as client, client.get_queue_receiver("readings") as receiver:
            assert await receiver.receive_messages(1, max_wait_time=0.2) == []
            (again,) = await receiver.receive_messages(1, max_wait_time=5)
            assert again.delivery_count == 1
            # Settled by token: the connection it came over is gone.
            with pytest.raises(MessageLockLostError):
                await receiver._settle_message_via_mgmt_link("completed", [got.lock_token])  # type: ignore[no-untyped-call]
            await receiver._settle_message_via_mgmt_link("completed", [again.lock_token])  # type: ignore[no-untyped-call]
        assert bus.counts["readings"] == EMPTY


async def test_bodies_larger_than_a_frame(sender: ServiceBusSender, receiver: ServiceBusReceiver) -> None:
    bodies = [bytes([number]) * 250_000 for number in range(4)]
    for body in bodies:
        await sender.send_messages(ServiceBusMessage(body))
    got = await receive_all(receiver, 4)
    assert [body_of(message) for message in got] == bodies
    await asyncio.gather(*(receiver.complete_message(message) for message in got))


async def test_a_message_above_the_limit_is_refused(bus: LocalBus, sender: ServiceBusSender) -> None:
    sender._config.retry_total = 0
    with pytest.raises(MessageSizeExceededError):
        await sender.send_messages(ServiceBusMessage(b"x" * 262_145))
    await sender.send_messages(ServiceBusMessage("still works"))
    assert bus.counts["readings"].active == 1


@pytest.mark.parametrize("attribute", ["get_queue_sender", "get_queue_receiver"])
async def test_an_unknown_queue_is_not_found(bus: LocalBus, attribute: str) -> None:
    async with client_of(bus, retry_total=0) as client:
        with pytest.raises(MessagingEntityNotFoundError, match=r"nowhere.*Queues: readings"):
            async with getattr(client, attribute)("nowhere"):
                pass


@pytest.mark.parametrize("size", [0, 1, 100, 200, 255, 256, 300, 5_000, 65_000, 130_000, 261_000])
async def test_a_batch_that_the_client_calls_full_is_taken(bus: LocalBus, sender: ServiceBusSender, size: int) -> None:
    """The client counts the messages, not the envelope, which repeats the ids of the first."""
    batch = await sender.create_message_batch()
    with pytest.raises(MessageSizeExceededError):
        while True:
            batch.add_message(ServiceBusMessage(b"x" * size, message_id="m" * 128))
    for rest in range(262_144 - batch.size_in_bytes, 0, -1):  # to the last byte
        with suppress(MessageSizeExceededError):
            batch.add_message(ServiceBusMessage(b"x" * rest))
            break
    sent = len(batch)
    await sender.send_messages(batch)
    assert bus.counts["readings"].active == sent


async def test_names_are_case_insensitive(bus: LocalBus, client: ServiceBusClient, sender: ServiceBusSender) -> None:
    await sender.send_messages(ServiceBusMessage("a"))
    async with client.get_queue_receiver("READINGS") as receiver:
        assert len(await receiver.receive_messages(1, max_wait_time=5)) == 1


async def test_a_wrong_key_opens_nothing(bus: LocalBus) -> None:
    async with ServiceBusClient.from_connection_string(
        connection_string(bus.port, "d3Jvbmc="), retry_total=0
    ) as client:
        with pytest.raises(ServiceBusAuthenticationError):
            async with client.get_queue_sender("readings") as sender:
                await sender.send_messages(ServiceBusMessage("a"))
    with pytest.raises(BusUnavailable, match="key"):
        await bus_status(bus.port, "d3Jvbmc=")
    assert bus.counts["readings"] == EMPTY


async def test_scheduled_messages_wait_and_can_be_cancelled(
    bus: LocalBus, sender: ServiceBusSender, receiver: ServiceBusReceiver
) -> None:
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=1)
    first, second = await sender.schedule_messages([ServiceBusMessage("keep"), ServiceBusMessage("drop")], soon)
    await sender.send_messages(ServiceBusMessage("annotated", scheduled_enqueue_time_utc=soon))
    await sender.cancel_scheduled_messages(second)
    assert bus.counts["readings"] == Counts(0, 0, 0, 2, 0)
    (peeked, _) = await receiver.peek_messages(5)
    assert (peeked.state, peeked.sequence_number) == (ServiceBusMessageState.SCHEDULED, first)
    got = await receive_all(receiver, 2)
    assert {body_of(message) for message in got} == {b"keep", b"annotated"}
    assert datetime.datetime.now(datetime.UTC) >= soon - datetime.timedelta(milliseconds=5)


async def test_deferred_messages_come_by_number(
    bus: LocalBus, sender: ServiceBusSender, receiver: ServiceBusReceiver
) -> None:
    receiver._config.retry_total = 0
    await sender.send_messages([ServiceBusMessage("a"), ServiceBusMessage("b")])
    a, b = await receive_all(receiver, 2)
    await receiver.defer_message(a)
    assert a.sequence_number is not None
    await receiver.complete_message(b)
    assert await receiver.receive_messages(1, max_wait_time=0.2) == []
    (again,) = await receiver.receive_deferred_messages(a.sequence_number)
    assert body_of(again) == b"a"
    await receiver.complete_message(again)
    with pytest.raises(ServiceBusError, match="no deferred message"):
        await receiver.receive_deferred_messages(a.sequence_number)
    assert bus.counts["readings"] == EMPTY


async def test_peeking_takes_nothing(bus: LocalBus, sender: ServiceBusSender, receiver: ServiceBusReceiver) -> None:
    await sender.send_messages([ServiceBusMessage(str(number)) for number in range(5)])
    assert [body_of(message) for message in await receiver.peek_messages(3)] == [b"0", b"1", b"2"]
    assert [body_of(message) for message in await receiver.peek_messages(3)] == [b"3", b"4"]
    assert await receiver.peek_messages(3) == []
    assert [body_of(message) for message in await receiver.peek_messages(1, sequence_number=2)] == [b"1"]
    assert bus.counts["readings"] == Counts(5, 0, 0, 0, 0)


async def test_what_was_prefetched_and_not_used_is_released_on_close(
    bus: LocalBus, client: ServiceBusClient, sender: ServiceBusSender
) -> None:
    await sender.send_messages([ServiceBusMessage(str(number)) for number in range(50)])
    async with client.get_queue_receiver("readings", prefetch_count=30) as receiver:
        (got,) = await receiver.receive_messages(1, max_wait_time=5)
        await receiver.complete_message(got)
        assert bus.counts["readings"].locked > 0
    await eventually(lambda: bus.counts["readings"] == Counts(49, 0, 0, 0, 0))
    async with client.get_queue_receiver("readings") as receiver:
        again = await receive_all(receiver, 49)
    assert [int(body_of(message)) for message in again] == list(range(1, 50))
    assert {message.delivery_count for message in again} == {0}


async def test_receivers_at_the_same_time_share_and_never_both_get_one(bus: LocalBus, sender: ServiceBusSender) -> None:
    await sender.send_messages([ServiceBusMessage(str(number)) for number in range(1_000)])

    async def work() -> list[int]:
        done = []
        async with client_of(bus) as client, client.get_queue_receiver("readings") as receiver:
            while got := await receiver.receive_messages(40, max_wait_time=0.5):
                await asyncio.gather(*(receiver.complete_message(message) for message in got))
                done += [int(body_of(message)) for message in got]
        return done

    shares = await asyncio.gather(*(work() for _ in range(4)))
    assert sorted(number for share in shares for number in share) == list(range(1_000))
    assert all(shares)
    assert bus.counts["readings"] == EMPTY


async def test_a_session_receiver_is_told_that_there_are_none(bus: LocalBus) -> None:
    async with client_of(bus, retry_total=0) as client:
        with pytest.raises(ServiceBusError, match="does not require sessions"):
            async with client.get_queue_receiver("readings", session_id="s"):
                pass


async def test_counts_are_told_over_the_wire(
    bus: LocalBus, sender: ServiceBusSender, receiver: ServiceBusReceiver
) -> None:
    await sender.send_messages([ServiceBusMessage("a"), ServiceBusMessage("b")])
    await receiver.receive_messages(1, max_wait_time=5)
    assert await bus_status(bus.port, KEY) == {"readings": Counts(1, 1, 0, 0, 0)}


async def test_kill_loses_nothing_accepted_and_brings_back_nothing_completed(tmp_path: Path) -> None:
    """Kill in the middle of a stream of sends and completes; every answer the client got must hold."""
    accepted: set[int] = set()
    begun: set[int] = set()
    completed: set[int] = set()
    in_doubt: set[int] = set()

    async def send(client: ServiceBusClient) -> None:
        async with client.get_queue_sender("readings") as sender:
            for number in range(100_000):
                begun.add(number)
                await sender.send_messages(ServiceBusMessage(str(number)))
                accepted.add(number)

    async def complete(client: ServiceBusClient) -> None:
        async with client.get_queue_receiver("readings") as receiver:
            while True:
                for message in await receiver.receive_messages(20, max_wait_time=0.5):
                    in_doubt.add(int(body_of(message)))
                    await receiver.complete_message(message)
                    completed.add(int(body_of(message)))

    async with bus_process(tmp_path) as bus, bus.client as client:
        work = [asyncio.create_task(send(client)), asyncio.create_task(complete(client))]
        while len(completed) < 150:
            await asyncio.sleep(0.01)
        await bus.kill()
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
    async with bus_process(tmp_path) as bus:
        count = (await bus_status(bus.port, KEY))["readings"].active
        async with bus.client as client, client.get_queue_receiver("readings") as receiver:
            left = {int(body_of(message)) for message in await receive_all(receiver, count)}
        assert await bus.terminate() == 0
    assert len(completed) >= 150
    assert left & completed == set(), "a completed message came back"
    assert accepted - left - in_doubt == set(), "an accepted message is lost"
    assert len(accepted - left - completed) <= 1, "at most the one whose completion was under way"
    assert left <= begun


async def test_a_bus_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import subprocess, sys, time\n"
        f"bus = subprocess.Popen([sys.executable, '-m', 'engine.local_bus', '--data-dir', {str(tmp_path)!r},"
        " '--port', '0', '--queue', 'q', '--parent-death'], stdout=subprocess.PIPE, text=True)\n"
        "bus.stdout.readline(); print(bus.pid, flush=True); time.sleep(60)",
        stdout=asyncio.subprocess.PIPE,
    )
    assert parent.stdout is not None
    pid = int(await asyncio.wait_for(parent.stdout.readline(), 20))
    parent.kill()
    await parent.wait()
    for _ in range(200):
        try:
            os.kill(pid, 0)
            with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
                if stat.read().split(") ")[1][0] == "Z":
                    break
        except (ProcessLookupError, FileNotFoundError):
            break
        await asyncio.sleep(0.05)
    else:
        pytest.fail("the bus outlived its parent by 10 s")
