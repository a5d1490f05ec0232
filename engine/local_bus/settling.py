"""What a client's disposition does to the messages it holds, and the answer: as many frames as there are outcomes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from engine.local_bus.amqp_types import Described, ULong
from engine.local_bus.errors import DECODE_ERROR, INTERNAL_ERROR, LIMIT_EXCEEDED, LOCK_LOST, AmqpError
from engine.local_bus.link import rejected
from engine.local_bus.queue import Queue
from engine.local_bus.store import BusStoreError, Done
from engine.local_bus.unsettled import Holder

RECEIVED = 0x23
REJECTED = Described(ULong(0x25), [None])


def decides(state: Any) -> bool:
    """Whether a delivery state is an outcome; `received` only tells how far a transfer has come."""
    return not (isinstance(state, Described) and state.descriptor == RECEIVED)


def settle(
    deliveries: list[tuple[int, int, Holder | None]], state: Any, answer: Callable[[int, int, Any], None]
) -> None:
    """Apply the outcome to each; `answer(first, last, state)` once all are on disk, neighbours that ended alike as one.

    `deliveries` are neighbours in order, ranges that nobody holds among them.
    """
    ended: list[Any] = [None] * len(deliveries)
    waiting = len(deliveries)

    def end(at: int, error: AmqpError | BusStoreError | None) -> None:
        nonlocal waiting
        ended[at] = _echo(state) if error is None else rejected(as_amqp(error))
        waiting -= 1
        if not waiting:
            _tell(deliveries, ended, answer)

    for at, (first, last, holder) in enumerate(deliveries):
        try:
            if holder is None:
                named = f"delivery {first} is" if first == last else f"deliveries {first} to {last} are"
                raise AmqpError(LOCK_LOST, f"{named} not locked on this session")
            apply_outcome(holder.queue, holder.token, state, partial(end, at))
        except AmqpError as error:
            end(at, error)


def _tell(
    deliveries: list[tuple[int, int, Holder | None]], ended: list[Any], answer: Callable[[int, int, Any], None]
) -> None:
    at = 0
    while at < len(ended):
        begin = at
        while at + 1 < len(ended) and ended[at + 1] == ended[begin]:
            at += 1
        answer(deliveries[begin][0], deliveries[at][1], ended[begin])
        at += 1


def apply_outcome(queue: Queue, token: bytes, state: Any, done: Done) -> None:
    """What an AMQP outcome means for a locked message."""
    code = state.descriptor if isinstance(state, Described) else None
    fields = state.value if isinstance(state, Described) and isinstance(state.value, list) else []
    if code == 0x24:
        queue.complete(token, done)
    elif code == 0x25:
        reason, description = _dead_letter_reason(fields)
        queue.dead_letter(token, reason, description, done)
    elif code == 0x26:
        queue.release(token, done)
    elif code == 0x27 and len(fields) > 1 and fields[1]:
        queue.defer(token, done)
    elif code == 0x27:  # the JavaScript client abandons without the flag delivery-failed
        queue.abandon(token, done)
    else:
        raise AmqpError(DECODE_ERROR, f"no outcome is known as {code!r:.40}")


def _echo(state: Described) -> Described:
    """The outcome again, without what hangs on it: an error in a rejection means that it could not be applied."""
    if state.descriptor == 0x25:
        return REJECTED
    flags = state.value[:2] if state.descriptor == 0x27 and isinstance(state.value, list) else []
    return Described(ULong(state.descriptor), [flag is True for flag in flags])


def _dead_letter_reason(fields: list[Any]) -> tuple[str | None, str | None]:
    error = fields[0] if fields else None
    parts = error.value if isinstance(error, Described) and isinstance(error.value, list) else []
    info = parts[2] if len(parts) > 2 and isinstance(parts[2], dict) else {}
    reason = info.get("DeadLetterReason")
    description = info.get("DeadLetterErrorDescription", parts[1] if len(parts) > 1 else None)
    return (
        reason if isinstance(reason, str) else None,
        description if isinstance(description, str) else None,
    )


def as_amqp(error: AmqpError | BusStoreError) -> AmqpError:
    """What a client is told; that of a full disk tells it not to try again at once, as Azure's full queue does."""
    if isinstance(error, AmqpError):
        return error
    return AmqpError(LIMIT_EXCEEDED if error.full else INTERNAL_ERROR, str(error))
