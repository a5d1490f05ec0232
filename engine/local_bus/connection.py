"""One client connection: bytes to frames, SASL, open and close, heartbeats, and the sessions on it.

Nothing a client sends can hurt more than its own connection: what cannot be read closes it with a reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from engine.local_bus.amqp_types import Array, Symbol
from engine.local_bus.authorization import Authorization
from engine.local_bus.errors import (
    FRAMING_ERROR,
    INTERNAL_ERROR,
    LIMIT_EXCEEDED,
    NOT_ALLOWED,
    SERVER_BUSY,
    UNAUTHORIZED,
    AmqpError,
)
from engine.local_bus.frames import (
    AMQP_HEADER,
    EMPTY_FRAME,
    FRAME_BYTES_MAX,
    FRAME_BYTES_MIN,
    SASL_HEADER,
    TYPE_AMQP,
    TYPE_SASL,
    Attach,
    Begin,
    Close,
    End,
    Frame,
    Open,
    SaslInit,
    SaslMechanisms,
    SaslOutcome,
    encode_frame,
    error_value,
    frame_size,
    parse_frame,
)
from engine.local_bus.link import Inbound, Outbound
from engine.local_bus.session import Session
from engine.local_bus.sparing_log import Logs, SparingLog
from engine.peers import notice_its_end

SESSIONS_MAX = 64
LINKS_MAX = 256
STRANGER_BYTES_MAX = 64 * 1024
GOODBYE_S_MAX = 2.0
WRITE_BUFFER_BYTES_MAX = 1024 * 1024
UNREAD_BYTES_MAX = 32 * 1024 * 1024
UNSTORED_BYTES_MAX = 16 * 1024 * 1024
HEARTBEAT_S_MIN = 0.5


class OpensLinks(Protocol):
    """What links lead to (link_targets.py)."""

    def open_link(self, session: Session, attach: Attach) -> Inbound | Outbound:
        """AmqpError when there is no such target or it may not be used."""


class Connection(asyncio.Protocol):
    """Made by the server for each socket.

    `on_known` is called once the key was shown, and says whether there is a place; `on_lost` once at the end.
    """

    def __init__(
        self,
        targets: OpensLinks,
        authorization: Authorization,
        logs: Logs,
        on_known: Callable[[], bool],
        on_lost: Callable[[Connection], None],
    ) -> None:
        self.authorization = authorization
        self.frame_bytes_max = FRAME_BYTES_MIN
        self._targets = targets
        self._logs = logs
        self._on_known = on_known
        self._on_lost = on_lost
        self._is_known = False
        self._stranger_bytes = 0
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._expects: Callable[[], bool] = self._read_header
        self._sasl_done = False
        self._opened = False
        self._closing = False
        self._sessions: dict[int, Session] = {}
        self._ended: set[int] = set()  # channels; azure-servicebus detaches its links after it has ended the session
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._answering: dict[Session, None] = {}
        self._flush_due = False
        self._paused = False
        self._unstored_bytes = 0
        self._heartbeat_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        notice_its_end(transport.get_extra_info("socket"))  # what it has taken is locked for it
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES_MAX)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._buffer += data
        try:
            while self._expects():
                pass
            self._bound_stranger(len(data))
        except AmqpError as error:
            self.close(error)
        except Exception as error:
            self.fail(error)

    def _bound_stranger(self, size: int) -> None:
        """Frames, halves of messages, links, tokens: all that a stranger can make us hold is made of what it sends."""
        if not self._is_known:
            self._stranger_bytes += size
            if self._stranger_bytes > STRANGER_BYTES_MAX:
                raise AmqpError(UNAUTHORIZED, f"{self._stranger_bytes} bytes came, and no key was shown")

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._wake()

    def _wake(self) -> None:
        for session in list(self._sessions.values()):
            session.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._transport = None
        self._out.clear()
        if self._timer is not None:
            self._timer.cancel()
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()
        self._on_lost(self)

    # Reading: each returns whether there may be more to read

    def _read_header(self) -> bool:
        if len(self._buffer) < 8:
            return False
        header = bytes(self._buffer[:8])
        del self._buffer[:8]
        if header == SASL_HEADER and not self._sasl_done:
            offered = [Symbol(name) for name in ("MSSBCBS", "ANONYMOUS", "PLAIN", "EXTERNAL")]
            self.write(SASL_HEADER + encode_frame(0, SaslMechanisms(Array(0xA3, offered)), kind=TYPE_SASL))
            self._expects = self._read_frame
        elif header == AMQP_HEADER:
            self._sasl_done = True
            self.write(AMQP_HEADER)
            self._expects = self._read_frame
        else:
            self.write(AMQP_HEADER)
            raise AmqpError(FRAMING_ERROR, f"not an AMQP 1.0 header: {header!r}")
        return True

    def _read_frame(self) -> bool:
        at = 0
        expects = self._expects
        while expects == self._expects and not self._closing:
            size = frame_size(self._buffer, at)
            if size is None or len(self._buffer) - at < size:
                break
            frame = parse_frame(bytes(self._buffer[at : at + size]))
            at += size
            self._on_frame(frame)
        del self._buffer[:at]
        return expects != self._expects and not self._closing

    def _on_frame(self, frame: Frame) -> None:
        expected = TYPE_AMQP if self._sasl_done else TYPE_SASL
        if frame.type != expected:
            raise AmqpError(FRAMING_ERROR, f"a frame of type {frame.type} where {expected} is due")
        performative = frame.performative
        if performative is None:
            return
        if isinstance(performative, SaslInit) == self._sasl_done:
            raise AmqpError(NOT_ALLOWED, f"{type(performative).__name__} at this stage")
        session = self._sessions.get(frame.channel)
        if isinstance(performative, SaslInit):
            self._on_sasl(performative)
        elif isinstance(performative, Open):
            self._on_open(performative)
        elif isinstance(performative, Close):
            self.close(None)
        elif not self._opened:
            raise AmqpError(NOT_ALLOWED, f"{type(performative).__name__} before open")
        elif isinstance(performative, Begin):
            self._on_begin(frame.channel, performative)
        elif session is None and frame.channel in self._ended:
            return
        elif session is None:
            raise AmqpError(NOT_ALLOWED, f"{type(performative).__name__} on channel {frame.channel} without a session")
        elif isinstance(performative, End):
            session.close()
            del self._sessions[frame.channel]
            self._ended.add(frame.channel)
            self.write(encode_frame(frame.channel, End()))
        else:
            session.receive(performative, frame.payload)

    def _on_sasl(self, init: SaslInit) -> None:
        accepted = init.mechanism != "PLAIN" or self.authorization.accepts_password(init.initial_response or b"")
        self.write(encode_frame(0, SaslOutcome(0 if accepted else 1), kind=TYPE_SASL))
        if not accepted:
            self._logs.strangers.tell("a connection showed a key that is not the key of this bus")
            self._finish()
            return
        if self.authorization.has_shown_key:
            self._become_known()
        self._sasl_done = True
        self._expects = self._read_header

    def _on_open(self, opening: Open) -> None:
        if self._opened:
            raise AmqpError(NOT_ALLOWED, "open twice")
        self._opened = True
        if self.authorization.needs_no_key:
            self._become_known()
        frame_bytes = FRAME_BYTES_MAX if opening.max_frame_size is None else opening.max_frame_size
        self.frame_bytes_max = max(FRAME_BYTES_MIN, min(FRAME_BYTES_MAX, frame_bytes))
        self.write(encode_frame(0, Open("gasinsight-local-bus", None, FRAME_BYTES_MAX, SESSIONS_MAX - 1)))
        if opening.idle_time_out:
            self._heartbeat_s = max(HEARTBEAT_S_MIN, opening.idle_time_out / 2_000)
            self._timer = self._loop.call_later(self._heartbeat_s, self._heartbeat)

    def _on_begin(self, channel: int, begin: Begin) -> None:
        if channel in self._sessions or channel >= SESSIONS_MAX:
            raise AmqpError(LIMIT_EXCEEDED, f"channel {channel} is taken or above {SESSIONS_MAX - 1}")
        session = self._sessions[channel] = Session(self, channel, begin)
        session.begin()

    def put_token(self, token: str) -> None:
        """AmqpError when it opens nothing, or when there is no place for its holder."""
        self.authorization.put_token(token)
        self._become_known()

    def _become_known(self) -> None:
        if not self._on_known():
            raise AmqpError(SERVER_BUSY, "as many clients as there are places are connected; close some of them")
        self._is_known = True

    def open_link(self, session: Session, attach: Attach) -> Inbound | Outbound:
        if sum(len(each.links) for each in self._sessions.values()) >= LINKS_MAX:
            raise AmqpError(LIMIT_EXCEEDED, f"{LINKS_MAX} links are attached on this connection")
        return self._targets.open_link(session, attach)

    # Writing: all of one turn of the event loop goes out in one piece

    @property
    def writable(self) -> bool:
        return self._out_bytes < WRITE_BUFFER_BYTES_MAX and not self._paused and not self._closing

    def write(self, octets: bytes) -> None:
        self._out.append(octets)
        self._out_bytes += len(octets)
        self._flush_later()

    def flush_soon(self, session: Session) -> None:
        """The session has answers to write."""
        self._answering[session] = None
        self._flush_later()

    def _flush_later(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        answering, self._answering = self._answering, {}
        for session in answering:
            session.write_answers()
        self._flush_due = False
        out, self._out = self._out, []
        was_full, self._out_bytes = self._out_bytes >= WRITE_BUFFER_BYTES_MAX, 0
        if self._transport is not None and out:
            self._transport.write(b"".join(out))
            if self._transport.get_write_buffer_size() > UNREAD_BYTES_MAX:
                self._log.tell("a client that does not read its answers is disconnected")
                self._transport.abort()
        if was_full and self.writable:
            self._wake()

    def _heartbeat(self) -> None:
        self.write(EMPTY_FRAME)
        self._timer = self._loop.call_later(self._heartbeat_s, self._heartbeat)

    # What is received but not stored yet is bounded: reading stops until the store has caught up

    def hold(self, size: int) -> None:
        self._unstored_bytes += size
        if self._unstored_bytes > UNSTORED_BYTES_MAX and self._transport is not None:
            self._transport.pause_reading()

    def let_go(self, size: int) -> None:
        before = self._unstored_bytes
        self._unstored_bytes -= size
        if before > UNSTORED_BYTES_MAX // 2 >= self._unstored_bytes and self._transport is not None:
            self._transport.resume_reading()

    # The end

    def stop_reading(self) -> None:
        """Take nothing more from the client; what it sent before is still answered."""
        if self._transport is not None:
            self._transport.pause_reading()

    @property
    def _log(self) -> SparingLog:
        return self._logs.clients if self._is_known else self._logs.strangers

    def close(self, error: AmqpError | None) -> None:
        """Say why, send what is still to be sent, hang up."""
        if self._closing:
            return
        if error is not None:
            self._log.tell(f"a client is disconnected: {error}")
        reason = None if error is None else error_value(error.condition, error.description)
        if self._opened:
            self.write(encode_frame(0, Close(reason)))
        self._finish()

    def fail(self, error: Exception) -> None:
        """Something of ours went wrong; the client is told so."""
        self._logs.failures.tell("error of its own while it served a client, which is disconnected", error)
        self.close(AmqpError(INTERNAL_ERROR, "the bus failed; see its log"))

    def abort(self) -> bool:
        """Hang up at once; False when there is nothing to hang up yet."""
        self._closing = True
        if self._transport is None:
            return False
        self._transport.abort()
        return True

    def _finish(self) -> None:
        """Whoever does not take what is still to be sent is left after a moment."""
        self._flush()
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.close()
            self._timer = self._loop.call_later(GOODBYE_S_MAX, self._transport.abort)
