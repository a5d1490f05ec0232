"""One AMQP session: its links by handle, its delivery numbers, its windows, and the settling of what it carried."""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

from engine.local_bus.amqp_types import Described, ULong
from engine.local_bus.authorization import Authorization
from engine.local_bus.errors import LIMIT_EXCEEDED, NOT_ALLOWED, AmqpError
from engine.local_bus.frames import (
    ROLE_RECEIVER,
    ROLE_SENDER,
    SERIAL,
    TRANSFER_OVERHEAD_BYTES,
    Attach,
    Begin,
    Detach,
    Disposition,
    Flow,
    Transfer,
    encode_frame,
    encode_transfer,
    error_value,
)
from engine.local_bus.link import MESSAGE_BYTES_MAX, Inbound, LinkError, Outbound
from engine.local_bus.settling import decides, settle
from engine.local_bus.unsettled import Holder, Unsettled

INCOMING_WINDOW = 1 << 20
OUTGOING_WINDOW = 1 << 20
HANDLE_MAX = 255
# Far from the numbers clients begin with: azure-servicebus takes the settling of a message it received for the settling
# of one it sent when the two have the same delivery number in one session.
FIRST_DELIVERY_ID = 1 << 30

SOURCE_FIELDS, TARGET_FIELDS = 11, 7


class SessionCarrier(Protocol):
    """What a session asks of its connection (connection.py), and the nodes through it."""

    authorization: Authorization
    frame_bytes_max: int

    @property
    def writable(self) -> bool: ...

    def write(self, octets: bytes) -> None: ...

    def flush_soon(self, session: Session) -> None: ...

    def open_link(self, session: Session, attach: Attach) -> Inbound | Outbound: ...

    def put_token(self, token: str) -> None: ...

    def hold(self, size: int) -> None: ...

    def let_go(self, size: int) -> None: ...

    def close(self, error: AmqpError | None) -> None: ...

    def fail(self, error: Exception) -> None: ...


class Session:
    """`channel` is ours and the client's alike."""

    def __init__(self, connection: SessionCarrier, channel: int, begin: Begin) -> None:
        self.connection = connection
        self.channel = channel
        self.links: dict[int, Inbound | Outbound | None] = {}  # None: refused or ended by us, until the client detaches
        self._next_incoming_id = begin.next_outgoing_id
        self._next_outgoing_id = 1
        self._window = begin.incoming_window
        self._next_delivery_id = FIRST_DELIVERY_ID
        self._unsettled = Unsettled()
        self._blocked: deque[bytes] = deque()  # frames the client's window has no room for
        self._answers: list[tuple[bool, int, int, Any]] = []
        self._closed = False

    def begin(self) -> None:
        self._send(Begin(self.channel, self._next_outgoing_id, INCOMING_WINDOW, OUTGOING_WINDOW, HANDLE_MAX))

    def close(self) -> None:
        self._closed = True
        for link in self.links.values():
            if link is not None:
                link.close()
        self.links.clear()
        self._unsettled.clear()
        self._blocked.clear()

    # What the client says

    def receive(self, performative: Any, payload: bytes) -> None:
        if type(performative) is Transfer:
            self._on_transfer(performative, payload)
        elif type(performative) is Disposition:
            self._on_disposition(performative)
        elif type(performative) is Flow:
            self._on_flow(performative)
        elif type(performative) is Attach:
            self._on_attach(performative)
        elif type(performative) is Detach:
            self._on_detach(performative)
        else:
            raise AmqpError(NOT_ALLOWED, f"{type(performative).__name__} within a session")

    def _on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        self._next_incoming_id = (self._next_incoming_id + 1) % SERIAL
        link = self._link(transfer.handle)
        if link is None:
            return
        if not isinstance(link, Inbound):
            raise AmqpError(NOT_ALLOWED, f"a transfer on the receiving link {link.name!r:.100}")
        try:
            link.transfer(transfer, payload)
        except LinkError as error:
            self._end_link(transfer.handle, error)

    def _on_flow(self, flow: Flow) -> None:
        was_writable = self.writable
        if flow.next_incoming_id is not None:
            unseen = (self._next_outgoing_id - flow.next_incoming_id) % SERIAL
            self._window = flow.incoming_window - (unseen if unseen < SERIAL // 2 else 0)
        self._unblock()
        if not was_writable and self.writable:
            self.wake()
        link = None if flow.handle is None else self._link(flow.handle)
        if link is not None:
            link.flow(flow)
        elif flow.handle is None and flow.echo:
            self.send_flow(None, None, None)

    def _on_attach(self, attach: Attach) -> None:
        if attach.handle > HANDLE_MAX or attach.handle in self.links:
            raise AmqpError(LIMIT_EXCEEDED, f"handle {attach.handle} is taken or above {HANDLE_MAX}")
        source = _padded(attach.source, 0x28, SOURCE_FIELDS)
        target = _padded(attach.target, 0x29, TARGET_FIELDS)
        try:
            link = self.connection.open_link(self, attach)
        except AmqpError as error:
            self._send_attach(attach, None, None)
            self._end_link(attach.handle, error)
            return
        self.links[attach.handle] = link
        self._send_attach(attach, source, target)
        if isinstance(link, Inbound):
            link.grant()

    def _send_attach(self, attach: Attach, source: Any, target: Any) -> None:
        self._send(
            Attach(
                attach.name,
                attach.handle,
                not attach.role,
                attach.snd_settle_mode,
                attach.rcv_settle_mode,
                source,
                target,
                initial_delivery_count=None if attach.role == ROLE_SENDER else 0,
                max_message_size=MESSAGE_BYTES_MAX,
            )
        )

    def _on_detach(self, detach: Detach) -> None:
        if detach.handle not in self.links:
            raise AmqpError("amqp:session:unattached-handle", f"detach of handle {detach.handle}")
        link = self.links.pop(detach.handle)
        if link is not None:
            link.close()
            self._send(Detach(detach.handle, bool(detach.closed)))

    def _end_link(self, handle: int, error: AmqpError) -> None:
        link = self.links.get(handle)
        if link is not None:
            link.close()
        self.links[handle] = None
        self._send(Detach(handle, True, error_value(error.condition, error.description)))

    def _link(self, handle: int) -> Inbound | Outbound | None:
        try:
            return self.links[handle]
        except KeyError:
            raise AmqpError("amqp:session:unattached-handle", f"handle {handle} is not attached") from None

    # Settling

    def _on_disposition(self, disposition: Disposition) -> None:
        """What a client says of deliveries it sent changes nothing: our answer has settled them."""
        first, state, settled = disposition.first, disposition.state, bool(disposition.settled)
        if disposition.role == ROLE_SENDER or not decides(state) or (state is None and not settled):
            return
        deliveries = self._unsettled.take(first, first if disposition.last is None else disposition.last)
        if state is not None:
            settle(deliveries, state, _unheard if settled else self._settled)

    def _settled(self, first: int, last: int, state: Any) -> None:
        """What one disposition named is answered as one; what several named is not gathered.

        Each waiter of azure-servicebus 7.15 takes one frame for its own answer, and those left without one wait out a
        time-out of 0.2 s.
        """
        self._answer(ROLE_SENDER, first, last, state)

    # What the bus says

    @property
    def writable(self) -> bool:
        return not self._blocked and self._window > 0 and self.connection.writable

    def wake(self) -> None:
        """The socket or the window has room again."""
        for link in list(self.links.values()):
            if isinstance(link, Outbound):
                link.on_credit()

    def answer(self, number: int, state: Any) -> None:
        """Settle a delivery that the client sent; neighbours share a frame when their outcome is the same."""
        self._answer(ROLE_RECEIVER, number, number, state)

    def _answer(self, role: bool, first: int, last: int, state: Any) -> None:
        if self._closed:
            return
        self._answers.append((role, first, last, state))
        self.connection.flush_soon(self)

    def write_answers(self) -> None:
        answers, self._answers = self._answers, []
        at = 0
        while at < len(answers):
            role, first, last, state = answers[at]
            at += 1
            while role == ROLE_RECEIVER and at < len(answers) and answers[at] == (role, last + 1, last + 1, state):
                last += 1
                at += 1
            self._send(Disposition(role, first, last, True, state, False))

    def send_flow(self, handle: int | None, count: int | None, credit: int | None, *, drain: bool = False) -> None:
        self._send(
            Flow(
                self._next_incoming_id,
                INCOMING_WINDOW,
                self._next_outgoing_id,
                OUTGOING_WINDOW,
                handle,
                count,
                credit,
                0 if handle is not None else None,
                drain,
                False,
            )
        )

    def send_delivery(self, handle: int, tag: bytes, payload: bytes, holder: Holder | None) -> None:
        """One message in as many frames as it needs; `holder` None means the client need not settle it."""
        number = self._next_delivery_id
        self._next_delivery_id = (number + 1) % SERIAL
        if holder is not None:
            self._unsettled.add(number, holder)
        room = self.connection.frame_bytes_max - TRANSFER_OVERHEAD_BYTES
        at = 0
        while True:
            part = payload[at : at + room]
            at += room
            more = at < len(payload)
            frame = encode_transfer(self.channel, handle, number, tag, part, settled=holder is None, more=more)
            self._send_transfer(frame)
            if not more:
                return

    def _send_transfer(self, frame: bytes) -> None:
        if self._blocked or self._window <= 0:
            self._blocked.append(frame)
            return
        self._window -= 1
        self._next_outgoing_id = (self._next_outgoing_id + 1) % SERIAL
        self.connection.write(frame)

    def _unblock(self) -> None:
        """The window may have opened: what waits for it goes first."""
        while self._blocked and self._window > 0:
            self._window -= 1
            self._next_outgoing_id = (self._next_outgoing_id + 1) % SERIAL
            self.connection.write(self._blocked.popleft())

    def _send(self, performative: Any) -> None:
        if not self._closed:
            self.connection.write(encode_frame(self.channel, performative))


def _padded(terminus: Any, descriptor: int, fields: int) -> Any:
    """The client's own source or target again, at full length."""
    if not isinstance(terminus, Described) or not isinstance(terminus.value, list):
        return Described(ULong(descriptor), [None] * fields)
    return Described(ULong(descriptor), terminus.value + [None] * (fields - len(terminus.value)))


def _unheard(first: int, last: int, state: Any) -> None:
    """The client wants no answer."""
