"""One azure-servicebus SDK against a bus: every check on a queue of its own name, one JSON line each.

`python python_client.py CONNECTION_STRING sync|async LOCK_S [CA_FILE]`, run by the interpreter whose SDK is meant. The
synchronous and the asynchronous client have the same names, so `done` waits where there is something to wait for.
"""

# ruff: noqa: T201 - its output is what the test reads

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
import time
import traceback
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

from azure.servicebus import ServiceBusMessage, ServiceBusReceiveMode
from azure.servicebus.exceptions import MessagingEntityNotFoundError, OperationTimeoutError

CONNECTION_STRING, STYLE, LOCK_S, *CA_FILE = sys.argv[1:]
LOCK = timedelta(seconds=float(LOCK_S))
WAIT_S = 10
SILENCE_S = 0.5


async def done(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


def new_client(**options: Any) -> Any:
    module = import_module("azure.servicebus.aio" if STYLE == "async" else "azure.servicebus")
    if CA_FILE:
        options["connection_verify"] = CA_FILE[0]
    return module.ServiceBusClient.from_connection_string(CONNECTION_STRING, **options)


class Ends:
    """Sender and receiver of one queue; what was opened is closed at the end."""

    def __init__(self, queue: str) -> None:
        self.queue = queue
        self.client = new_client()
        self.opened: list[Any] = []
        self.sender = self._keep(self.client.get_queue_sender(queue))
        self.receiver = self.another()

    def another(self, **options: Any) -> Any:
        return self._keep(self.client.get_queue_receiver(self.queue, **options))

    def _keep(self, end: Any) -> Any:
        self.opened.append(end)
        return end

    async def send(self, *bodies: str | bytes) -> None:
        for body in bodies:
            await done(self.sender.send_messages(ServiceBusMessage(body)))

    async def receive(self, count: int = 1, receiver: Any = None) -> list[Any]:
        """Up to `count` messages; fewer when nothing came for a while."""
        got: list[Any] = []
        while len(got) < count:
            batch = await done((receiver or self.receiver).receive_messages(count - len(got), max_wait_time=WAIT_S))
            if not batch:
                break
            got += batch
        return got

    async def is_empty(self) -> bool:
        """SDK 7.15 counts the time that opening the link takes as waiting, and starts over when it takes all of it."""
        wait_s = SILENCE_S
        while True:
            try:
                return not await done(self.receiver.receive_messages(1, max_wait_time=wait_s))
            except OperationTimeoutError:
                wait_s *= 2

    async def close(self) -> None:
        for end in self.opened:
            await done(end.close())
        await done(self.client.close())


def body(message: Any) -> bytes:
    return b"".join(message.body)


async def single(ends: Ends) -> None:
    sent = ServiceBusMessage(b"21.5", message_id="m1", subject="reading", application_properties={"unit": "C"})
    await done(ends.sender.send_messages(sent))
    (got,) = await ends.receive()
    assert (body(got), got.message_id, got.subject, got.delivery_count) == (b"21.5", "m1", "reading", 0), str(got)
    assert got.application_properties == {b"unit": b"C"}, got.application_properties
    await done(ends.receiver.complete_message(got))
    assert await ends.is_empty()


async def batch(ends: Ends) -> None:
    prepared = await done(ends.sender.create_message_batch())
    for number in range(100):
        prepared.add_message(ServiceBusMessage(str(number)))
    await done(ends.sender.send_messages(prepared))
    got = await ends.receive(100)
    assert [int(body(message)) for message in got] == list(range(100))
    for message in got:
        await done(ends.receiver.complete_message(message))
    assert await ends.is_empty()


async def abandon(ends: Ends) -> None:
    await ends.send("a")
    for expected in range(3):
        (got,) = await ends.receive()
        assert got.delivery_count == expected, got.delivery_count
        await done(ends.receiver.abandon_message(got))
    (got,) = await ends.receive()
    await done(ends.receiver.complete_message(got))
    assert await ends.is_empty()


async def dead_letter(ends: Ends) -> None:
    await ends.send("bad")
    (got,) = await ends.receive()
    await done(ends.receiver.dead_letter_message(got, reason="not_json", error_description="line 1 column 1"))
    dead_letters = ends.another(sub_queue="deadletter")
    (dead,) = await ends.receive(1, dead_letters)
    assert body(dead) == b"bad"
    assert (dead.dead_letter_reason, dead.dead_letter_error_description) == ("not_json", "line 1 column 1")
    await done(dead_letters.complete_message(dead))
    assert await ends.is_empty()


async def renew(ends: Ends) -> None:
    await ends.send("a")
    (got,) = await ends.receive()
    for _ in range(2):
        await asyncio.sleep(LOCK.total_seconds() * 0.6)
        before = got.locked_until_utc
        await done(ends.receiver.renew_message_lock(got))
        assert got.locked_until_utc > before
    await done(ends.receiver.complete_message(got))
    assert await ends.is_empty()


async def expiry(ends: Ends) -> None:
    await ends.send("a")
    (first,) = await ends.receive()
    (second,) = await ends.receive()
    assert (body(second), second.delivery_count) == (b"a", first.delivery_count + 1)
    await done(ends.receiver.complete_message(second))
    assert await ends.is_empty()


async def peek(ends: Ends) -> None:
    await ends.send("a", "b", "c")
    peeked = await done(ends.receiver.peek_messages(2))
    assert [body(message) for message in peeked] == [b"a", b"b"]
    got = await ends.receive(3)
    assert [(body(message), message.delivery_count) for message in got] == [(b"a", 0), (b"b", 0), (b"c", 0)]
    for message in got:
        await done(ends.receiver.complete_message(message))


async def receive_and_delete(ends: Ends) -> None:
    await ends.send("a", "b")
    taker = ends.another(receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE)
    assert [body(message) for message in await ends.receive(2, taker)] == [b"a", b"b"]
    await done(taker.close())
    assert await ends.is_empty()


async def large(ends: Ends) -> None:
    bodies = [bytes([number]) * 250_000 for number in (1, 2)]
    await ends.send(*bodies)
    got = await ends.receive(2)
    assert [body(message) for message in got] == bodies
    for message in got:
        await done(ends.receiver.complete_message(message))
    assert await ends.is_empty()


async def unknown_queue(ends: Ends) -> None:
    client = new_client(retry_total=0)
    sender = client.get_queue_sender("nowhere")
    try:
        await done(sender.send_messages(ServiceBusMessage("a")))
    except MessagingEntityNotFoundError:
        return
    finally:
        await done(sender.close())
        await done(client.close())
    raise AssertionError("a queue that does not exist took a message")


async def scheduled(ends: Ends) -> None:
    due = datetime.now(UTC) + timedelta(seconds=6)
    keep, drop = await done(ends.sender.schedule_messages([ServiceBusMessage("keep"), ServiceBusMessage("drop")], due))
    await done(ends.sender.cancel_scheduled_messages(drop))
    assert await ends.is_empty()
    (got,) = await ends.receive()
    assert (body(got), got.sequence_number) == (b"keep", keep)
    assert datetime.now(UTC) >= due - timedelta(milliseconds=50)
    await done(ends.receiver.complete_message(got))
    assert await ends.is_empty()


CHECKS = [single, batch, abandon, dead_letter, renew, expiry, peek, receive_and_delete, large, unknown_queue, scheduled]


async def main() -> None:
    for check in CHECKS:
        queue = check.__name__.replace("_", "-")
        if os.environ.get("CHECKS_ONLY") not in (None, "", queue):
            continue
        started = time.monotonic()
        error = None
        try:
            ends = Ends(queue)
            try:
                await check(ends)
            finally:
                await ends.close()
        except Exception:
            error = traceback.format_exc()
        print(json.dumps({"check": queue, "error": error, "seconds": round(time.monotonic() - started, 2)}), flush=True)


asyncio.run(main())
