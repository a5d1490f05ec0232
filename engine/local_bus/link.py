"""The two kinds of link, seen from the bus: a client sends on an Inbound, a client receives on an Outbound."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from engine.local_bus.amqp_types import Described, ULong
from engine.local_bus.errors import DECODE_ERROR, LIMIT_EXCEEDED, SIZE_EXCEEDED, AmqpError
from engine.local_bus.frames import SERIAL, Attach, Flow, Transfer, error_value
from engine.local_bus.locks import Delivery, fresh_tokens
from engine.local_bus.message import BATCH_FORMAT, outgoing
from engine.local_bus.queue import Queue
from engine.local_bus.unsettled import Holder

MESSAGE_BYTES_MAX = 256 * 1024
# A client counts the messages of a batch and not what it writes around them: message id, session id and partition key
# of the first, each at most 128 characters of at most 4 bytes.
ENVELOPE_BYTES_MAX = 2 * 1024
INBOUND_CREDIT = 1_000
REPLIES_WAITING_MAX = 1_000
REPLIES_BYTES_MAX = 8 * 1024 * 1024

ACCEPTED = Described(ULong(0x24), [])


class LinkCarrier(Protocol):
    """What a link asks of its session (session.py)."""

    @property
    def writable(self) -> bool: ...

    def answer(self, number: int, state: Described) -> None: ...

    def send_flow(self, handle: int | None, count: int | None, credit: int | None, *, drain: bool = False) -> None: ...

    def send_delivery(self, handle: int, tag: bytes, payload: bytes, holder: Holder | None) -> None: ...


class Incoming(NamedTuple):
    """A whole delivery from a client; `settled` means the client wants no answer."""

    delivery_id: int
    settled: bool
    message_format: int
    payload: bytes


class Inbound:
    """Puts the transfers of a delivery together, gives it to `receive` and grants credit for as many as are finished.

    `receive` must end in exactly one call of `finish` for each delivery, now or later.
    """

    def __init__(self, session: LinkCarrier, attach: Attach, receive: Callable[[Inbound, Incoming], None]) -> None:
        self.handle = attach.handle
        self.name = attach.name
        self._session = session
        self._receive = receive
        self._delivery_count = attach.initial_delivery_count or 0
        self._first: Transfer | None = None
        self._payload = bytearray()  # not a list of its parts: they may be empty, and without end
        self._size = 0
        self._credit = 0
        self._unfinished_count = 0
        self._closed = False

    def grant(self) -> None:
        """Top the credit up once half of it is used."""
        room = INBOUND_CREDIT - self._unfinished_count
        if self._closed or self._credit > INBOUND_CREDIT // 2 or room <= self._credit:
            return
        self._credit = room
        self._session.send_flow(self.handle, self._delivery_count, self._credit)

    def transfer(self, transfer: Transfer, payload: bytes) -> None:
        first = self._first
        if first is None:
            if transfer.delivery_id is None:
                raise AmqpError(DECODE_ERROR, "the first transfer of a delivery has no delivery-id")
            first = self._first = transfer
        if transfer.aborted:
            self._credit -= 1
            self._end_delivery()
            self.grant()
            return
        self._size += len(payload)
        if self._size <= _bytes_max(first):
            self._payload += payload
        else:
            self._payload.clear()
        if not transfer.more:
            self._whole(first)

    def _whole(self, first: Transfer) -> None:
        if self._credit <= 0:
            raise LinkError("amqp:link:transfer-limit-exceeded", "a message was sent without credit")
        octets, size = bytes(self._payload), self._size
        incoming = Incoming(first.delivery_id or 0, bool(first.settled), first.message_format or 0, octets)
        self._credit -= 1
        self._end_delivery()
        self._unfinished_count += 1
        if size > _bytes_max(first):
            too_large = f"The message has {size} bytes, {_bytes_max(first)} are allowed."
            self.finish(incoming, AmqpError(SIZE_EXCEEDED, too_large))
        else:
            self._receive(self, incoming)

    def _end_delivery(self) -> None:
        self._delivery_count = (self._delivery_count + 1) % SERIAL
        self._first = None
        self._payload = bytearray()
        self._size = 0

    def finish(self, incoming: Incoming, error: AmqpError | None = None) -> None:
        """Answer a delivery: accepted, or rejected with the reason."""
        self._unfinished_count -= 1
        if not incoming.settled:
            state = ACCEPTED if error is None else rejected(error)
            self._session.answer(incoming.delivery_id, state)
        self.grant()

    def flow(self, flow: Flow) -> None:
        if flow.echo:
            self._session.send_flow(self.handle, self._delivery_count, self._credit)

    def close(self) -> None:
        """A delivery that is only half here is forgotten."""
        self._closed = True
        self._first = None
        self._payload = bytearray()


def _bytes_max(first: Transfer) -> int:
    return MESSAGE_BYTES_MAX + (ENVELOPE_BYTES_MAX if first.message_format == BATCH_FORMAT else 0)


class LinkError(AmqpError):
    """Ends the link, not the connection."""


def rejected(error: AmqpError) -> Described:
    return Described(ULong(0x25), [error_value(error.condition, error.description)])


class Outbound:
    """Messages to a client, as far as it gives credit; what the credit does not cover is the subclass's matter."""

    def __init__(self, session: LinkCarrier, attach: Attach) -> None:
        self.handle = attach.handle
        self.name = attach.name
        self._session = session
        self._delivery_count = 0
        self._credit = 0

    def flow(self, flow: Flow) -> None:
        if flow.link_credit is not None:
            seen = self._delivery_count if flow.delivery_count is None else flow.delivery_count
            unseen = (self._delivery_count - seen) % SERIAL
            # Ahead of us is azure-servicebus before 7.15, which counts frames where it should count messages.
            self._credit = max(0, flow.link_credit - (unseen if unseen < SERIAL // 2 else 0))
        self.on_credit()
        if flow.drain:
            self._delivery_count = (self._delivery_count + self._credit) % SERIAL
            self._credit = 0
        if flow.drain or flow.echo:
            self._session.send_flow(self.handle, self._delivery_count, self._credit, drain=bool(flow.drain))

    def on_credit(self) -> None:
        """There may be room for more."""

    def close(self) -> None:
        """The client is gone from this link."""

    def _used_credit(self, count: int) -> None:
        self._delivery_count = (self._delivery_count + count) % SERIAL
        self._credit -= count


class QueueOutbound(Outbound):
    """A receiver on a queue. Detaching leaves what it holds locked."""

    def __init__(self, session: LinkCarrier, attach: Attach, queue: Queue) -> None:
        super().__init__(session, attach)
        self.peek_lock = attach.snd_settle_mode != 1
        self._queue = queue
        queue.attach(self)

    def wants(self) -> int:
        return self._credit if self._session.writable else 0

    def deliver(self, deliveries: list[Delivery]) -> None:
        self._used_credit(len(deliveries))
        for delivery in deliveries:
            message = delivery.message
            payload = outgoing(
                message.content,
                sequence_number=message.sequence_number,
                enqueued_ms=message.enqueued_us // 1_000,
                delivery_count=message.delivery_count,
                locked_until_ms=None if delivery.locked_until_us is None else delivery.locked_until_us // 1_000,
            )
            holder = Holder(self._queue, delivery.token) if self.peek_lock else None
            self._session.send_delivery(self.handle, delivery.token, payload, holder)

    def on_credit(self) -> None:
        self._queue.dispatch()

    def close(self) -> None:
        self._queue.detach(self)


class ReplyOutbound(Outbound):
    """The answering half of a request pair (`$cbs`, `$management`)."""

    def __init__(self, session: LinkCarrier, attach: Attach, path: str) -> None:
        super().__init__(session, attach)
        self.path = path
        self.address = address_of(attach.target)
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0

    def send(self, payload: bytes) -> None:
        """AmqpError when too much waits: a client that asks and does not take the answers is hung up on."""
        self._waiting.append(payload)
        self._waiting_bytes += len(payload)
        self.on_credit()
        if len(self._waiting) > REPLIES_WAITING_MAX or self._waiting_bytes > REPLIES_BYTES_MAX:
            waiting = f"{len(self._waiting)} answers of {self._waiting_bytes} bytes"
            raise AmqpError(LIMIT_EXCEEDED, f"{waiting} wait to be taken on '{self.path:.100}'")

    def on_credit(self) -> None:
        while self._credit > 0 and self._waiting and self._session.writable:
            self._used_credit(1)
            payload = self._waiting.popleft()
            self._waiting_bytes -= len(payload)
            self._session.send_delivery(self.handle, fresh_tokens(1)[0], payload, None)


def address_of(terminus: object) -> str | None:
    """The address in a source or target, None for one without."""
    if isinstance(terminus, Described) and isinstance(terminus.value, list) and terminus.value:
        address = terminus.value[0]
        return address if isinstance(address, str) else None
    return None
