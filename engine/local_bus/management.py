"""`<queue>/$management`: what Service Bus clients ask by request and answer rather than over a link.

Operations, fields and status codes are those of "AMQP request-response operations" of Azure Service Bus.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from engine.local_bus.amqp_types import Array, Int, Symbol, Timestamp
from engine.local_bus.errors import ARGUMENT_ERROR, LOCK_LOST, MESSAGE_NOT_FOUND, AmqpError
from engine.local_bus.link import MESSAGE_BYTES_MAX
from engine.local_bus.message import Content, Request, outgoing, parse_message
from engine.local_bus.queue import Queue
from engine.local_bus.store import BusStoreError, Done

ITEMS_MAX = 10_000

Answer = tuple[int, str, Any]
_STATUS = {LOCK_LOST: 410, MESSAGE_NOT_FOUND: 404, ARGUMENT_ERROR: 400}


async def answer_management(queue: Queue, request: Request) -> tuple[dict[str, Any], Any]:
    """Application properties and body of the reply."""
    operation = request.properties.get("operation")
    handler = _OPERATIONS.get(operation) if isinstance(operation, str) else None
    try:
        if handler is None or not isinstance(request.body, dict):
            raise AmqpError("amqp:not-implemented", f"the local bus does not know the operation {operation!r:.80}")
        code, description, body = await handler(queue, request.body)
    except AmqpError as error:
        status = _STATUS.get(error.condition, 501 if error.condition == "amqp:not-implemented" else 400)
        return _properties(status, error.description, error.condition), {}
    except BusStoreError as error:
        return _properties(500, str(error), "amqp:internal-error"), {}
    return _properties(code, description, None), body


def _properties(code: int, description: str, condition: str | None) -> dict[str, Any]:
    properties: dict[str, Any] = {"statusCode": Int(code), "statusDescription": description}
    if condition is not None:
        properties["errorCondition"] = Symbol(condition)
    return properties


async def _renew(queue: Queue, body: dict[str, Any]) -> Answer:
    expirations = [Timestamp(queue.renew(token) // 1_000) for token in _tokens(body)]
    return 200, "OK", {"expirations": Array(0x83, expirations)}


async def _peek(queue: Queue, body: dict[str, Any]) -> Answer:
    start, count = body.get("from-sequence-number"), body.get("message-count")
    if not isinstance(start, int) or not isinstance(count, int) or count < 1 or start >= 1 << 63:
        raise AmqpError(ARGUMENT_ERROR, "peek-message needs from-sequence-number and a message-count of at least 1")
    peeked = await queue.peek(start, count)
    if not peeked:
        return 204, "No content", {}
    messages = [
        {
            "message": outgoing(
                message.content,
                sequence_number=message.sequence_number,
                enqueued_ms=message.enqueued_us // 1_000,
                delivery_count=message.delivery_count,
                state=state,
            )
        }
        for message, state in peeked
    ]
    return 200, "OK", {"messages": messages}


async def _schedule(queue: Queue, body: dict[str, Any]) -> Answer:
    entries = body.get("messages")
    if not isinstance(entries, list) or not entries:
        raise AmqpError(ARGUMENT_ERROR, "schedule-message needs messages")
    contents = [_scheduled_content(entry) for entry in _bounded(entries)]
    numbers: list[int] = []
    await _done(lambda done: numbers.extend(queue.put(contents, done)))
    return 200, "OK", {"sequence-numbers": Array(0x81, numbers)}


def _scheduled_content(entry: Any) -> Content:
    message = entry.get("message") if isinstance(entry, dict) else None
    if not isinstance(message, bytes) or len(message) > MESSAGE_BYTES_MAX:
        raise AmqpError(ARGUMENT_ERROR, f"a message to schedule is missing or above {MESSAGE_BYTES_MAX} bytes")
    return parse_message(message)


async def _cancel(queue: Queue, body: dict[str, Any]) -> Answer:
    numbers = _numbers(body)
    await _done(lambda done: queue.cancel_scheduled(numbers, done))
    return 200, "OK", {}


async def _receive_deferred(queue: Queue, body: dict[str, Any]) -> Answer:
    numbers = _numbers(body)
    deliveries = await queue.receive_deferred(numbers, body.get("receiver-settle-mode") != 0)
    messages = []
    for message, token, until_us in deliveries:
        lock_token = uuid.UUID(bytes_le=token)
        octets = outgoing(
            message.content,
            sequence_number=message.sequence_number,
            enqueued_ms=message.enqueued_us // 1_000,
            delivery_count=message.delivery_count,
            locked_until_ms=None if until_us is None else until_us // 1_000,
            state=message.state,
            lock_token=lock_token,
        )
        messages.append({"lock-token": lock_token, "message": octets})
    return 200, "OK", {"messages": messages}


async def _settle(queue: Queue, body: dict[str, Any]) -> Answer:
    status = body.get("disposition-status")
    reason, description = body.get("deadletter-reason"), body.get("deadletter-description")
    settle: dict[Any, Callable[[bytes, Done], None]] = {
        "completed": queue.complete,
        "abandoned": queue.abandon,
        "defered": queue.defer,
        "suspended": lambda token, done: queue.dead_letter(token, _text(reason), _text(description), done),
    }
    if status not in settle:
        raise AmqpError(ARGUMENT_ERROR, f"the disposition {status!r:.40} is not known")
    for token in _tokens(body):
        await _done(partial(settle[status], token))
    return 200, "OK", {}


async def _done(submit: Callable[[Done], None]) -> None:
    """Wait for the `done` of what `submit` starts; raises the error it is called with."""
    finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done(error: BusStoreError | None) -> None:
        if finished.cancelled():
            return
        if error is None:
            finished.set_result(None)
        else:
            finished.set_exception(error)

    submit(done)
    await finished


def _tokens(body: dict[str, Any]) -> list[bytes]:
    tokens = body.get("lock-tokens")
    if not isinstance(tokens, list) or not all(isinstance(token, uuid.UUID) for token in tokens):
        raise AmqpError(ARGUMENT_ERROR, "lock-tokens must be an array of uuid")
    return [token.bytes_le for token in _bounded(tokens)]


def _numbers(body: dict[str, Any]) -> list[int]:
    numbers = body.get("sequence-numbers")
    if not isinstance(numbers, list) or not all(isinstance(number, int) for number in numbers):
        raise AmqpError(ARGUMENT_ERROR, "sequence-numbers must be an array of long")
    return [int(number) for number in dict.fromkeys(_bounded(numbers))]


def _bounded(items: list[Any]) -> list[Any]:
    if len(items) > ITEMS_MAX:
        raise AmqpError(ARGUMENT_ERROR, f"{len(items)} items in one request; at most {ITEMS_MAX}")
    return items


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


_OPERATIONS: dict[str, Callable[[Queue, dict[str, Any]], Awaitable[Answer]]] = {
    "com.microsoft:renew-lock": _renew,
    "com.microsoft:peek-message": _peek,
    "com.microsoft:schedule-message": _schedule,
    "com.microsoft:cancel-scheduled-message": _cancel,
    "com.microsoft:receive-by-sequence-number": _receive_deferred,
    "com.microsoft:update-disposition": _settle,
}
