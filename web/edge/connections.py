"""What hypercorn leaves open on a connection: how many there are, how long a dead one lasts, what a websocket may send.

Clients of the websockets send nothing, but anybody can: frames are parsed in Python, so that a fast sender would take
the whole process, and hypercorn goes on collecting a message that it has already refused as too large.
"""

from __future__ import annotations

import asyncio
import json
import resource
import socket
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from time import time
from typing import Any, ClassVar

from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.events import Closed, RawData, Updated
from hypercorn.protocol.events import Body, Data, EndBody, Event, Request, Response, StreamClosed
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream
from wsproto.events import CloseConnection, Message, Ping
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import ProtocolError

from engine.clock import SystemClock
from web.edge.frames import ENCODED
from web.edge.headers import Headers, security_headers
from web.edge.printing import printable
from web.edge.proxies import TrustedProxies
from web.edge.rates import client_key
from web.edge.refusals import Seldom

UNACKNOWLEDGED_S_MAX = 60
UNTAKEN_S_MAX = 60  # for what waits in our buffer; whoever takes a byte a second acknowledges, and never ends
UNSENT_BYTES_MAX = 64 * 1024  # in the kernel; what has been sent and not yet read is in the client's
OPEN_FILES_MAX = 65_536  # containers may admit a billion, and children of ours may walk through all of them
FILES_FOR_OURSELVES = 200  # database, logs, the child that speaks Ray
CLIENT_MESSAGE_BYTES_MAX = 4096
CLIENT_BYTES_AT_ONCE = 16_384
CLIENT_BYTES_PER_S = 256
LINGER_S = 1.0
WAITING_MAX = 1_024  # connections of one address between two requests, or before their first; a browser has six
READ_AS_ASCII = frozenset({b"connection", b"sec-websocket-key", b"sec-websocket-protocol"})

_CLOCK = SystemClock()
_refused = Seldom("connection_refused", _CLOCK)
_failed = Seldom("connection_failed", _CLOCK)


def raise_open_files_limit() -> int:
    """Every websocket is an open file, and the usual limit of 1,024 is there for programs that use select()."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def error_answer(status: int) -> tuple[bytes, Headers]:
    """Body and headers for what never became a request; whose it was is not known, so any origin may read it."""
    body = json.dumps({"detail": HTTPStatus(status).phrase}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
        (b"access-control-allow-origin", b"*"),
    ]
    return body, headers + security_headers(headers, "http")


class BoundedServer(TCPServer):
    """One connection: at most `connections_max` at a time, and of one address so many that ask nothing at the moment;
    one whose peer takes too little for a minute ends. Proxies that speak for others may keep any number waiting.
    """

    connections_max: ClassVar[int] = 1_000_000
    proxies: ClassVar[TrustedProxies] = TrustedProxies(())
    _open: ClassVar[int] = 0
    _waiting: ClassVar[Counter[str]] = Counter()

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._reading: asyncio.Future[None] | None = None
        self._is_over = False
        self._who: str | None = None
        self._is_waiting = False

    async def run(self) -> None:
        self._who = _counted_as(self.writer.get_extra_info("peername"), self.proxies)
        if reason := self._too_many():
            _refused.say(reason=reason)
            self.writer.transport.abort()
            return
        BoundedServer._open += 1
        self._wait(True)
        try:
            _bound(self.writer.get_extra_info("socket"))
            await super().run()
        except Exception as error:  # what anybody can cause must not cost a traceback
            _failed.say(error=_told(error))
        finally:
            self._wait(False)
            BoundedServer._open -= 1

    def _too_many(self) -> str | None:
        if BoundedServer._open >= self.connections_max:
            return f"{self.connections_max} are open"
        if self._who is not None and self._waiting[self._who] >= WAITING_MAX:
            return f"{WAITING_MAX} of {self._who} ask nothing"
        return None

    def _wait(self, is_waiting: bool) -> None:
        """Whether it is between two requests."""
        if self._who is None or is_waiting == self._is_waiting:
            return
        self._is_waiting = is_waiting
        self._waiting[self._who] += 1 if is_waiting else -1
        if not self._waiting[self._who]:
            del self._waiting[self._who]

    async def protocol_send(self, event: Any) -> None:
        if isinstance(event, RawData):
            async with self.send_lock:
                try:
                    if self.writer.is_closing():  # asyncio would log each write from the sixth on
                        raise ConnectionAbortedError
                    self.writer.write(event.data)
                    async with asyncio.timeout(UNTAKEN_S_MAX):
                        await self.writer.drain()
                except (OSError, RuntimeError):  # also a timeout, which hypercorn takes for the application's mistake
                    self.writer.transport.abort()  # closing would wait until everything is taken
                    await self.protocol.handle(Closed())
                    self._stop_reading()
        else:
            if isinstance(event, Updated):
                self._wait(event.idle)
            await super().protocol_send(event)
            if isinstance(event, Closed):
                self._stop_reading()

    async def _read_data(self) -> None:
        self._reading = asyncio.ensure_future(super()._read_data())
        try:
            await self._reading
        except asyncio.CancelledError:
            if not self._is_over:
                raise
            await self.protocol.handle(Closed())
        await self.idle_task.stop()  # it would keep a connection that its client closed until it was idle for too long

    def _stop_reading(self) -> None:
        """hypercorn reads no second request before the first is answered; if that never happens, it waits for ever."""
        self._is_over = True
        if self._reading is not None:
            self._reading.cancel()

    async def _close(self) -> None:
        with suppress(OSError):  # why the connection ended, told once more
            await super()._close()


def _counted_as(peer: Any, proxies: TrustedProxies) -> str | None:
    """Whose connection it is; None for those that are not counted: proxies, and Unix sockets, where proxies are."""
    if not isinstance(peer, tuple) or proxies.trusts(peer[0]):
        return None
    return client_key(peer[0])


def _told(error: BaseException) -> str:
    """The innermost of a group, in one line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return printable(f"{type(error).__name__}: {error}")


def _bound(connection: Any) -> None:
    """Half-open connections and readers that stopped: pings or data stay in our buffers, and the kernel ends it.

    Linux would take 4 MB from us for a client that reads too slowly, and a live value would wait behind them.
    """
    if connection.family in {socket.AF_INET, socket.AF_INET6} and hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_S_MAX * 1000)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES_MAX)


def _is_readable(name: bytes, value: bytes) -> bool:
    """Extensions are not offered; hypercorn fails on others that are not ASCII, and a handshake lacks them then."""
    return name.lower() != b"sec-websocket-extensions" and (value.isascii() or name.lower() not in READ_AS_ASCII)


class OneWayStream(WSStream):
    """A websocket that only sends, also frames that were encoded already (web/edge/frames.py).

    Control frames are answered, small messages dropped, others end it.
    Without compression: it costs 300 kB a client, and a few bytes that are sent to us could become very many.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._allowance = float(CLIENT_BYTES_AT_ONCE)
        self._filled_at_s = self.context.time()
        self._message_bytes = 0
        self._is_ending = False
        self._is_gone = asyncio.Event()

    async def handle(self, event: Event) -> None:
        if isinstance(event, Request):
            await super().handle(replace(event, headers=[pair for pair in event.headers if _is_readable(*pair)]))
        elif isinstance(event, Body | Data) and not self.closed and self.handshake.accepted:
            if not self._is_ending:  # what comes after our Close is thrown away unread
                await self._take(event.data)
        else:
            if isinstance(event, StreamClosed):
                self._is_gone.set()
            await super().handle(event)

    async def app_send(self, message: Any) -> None:
        if self._is_ending:
            return
        if message is not None and ENCODED in message:
            if self.state is ASGIWebsocketState.CONNECTED and not self.closed:
                await self.send(Data(stream_id=self.stream_id, data=message[ENCODED]))
        else:
            await super().app_send(message)

    async def _take(self, data: bytes) -> None:
        now_s = self.context.time()
        grown = self._allowance + (now_s - self._filled_at_s) * CLIENT_BYTES_PER_S
        self._allowance, self._filled_at_s = min(float(CLIENT_BYTES_AT_ONCE), grown), now_s
        readable = data[: int(self._allowance)]
        self._allowance -= len(readable)
        try:
            self.connection.receive_data(readable)
            await self._handle_events()
        except ProtocolError:
            await self._end(CloseReason.PROTOCOL_ERROR)
        if len(readable) < len(data):
            await self._end(CloseReason.POLICY_VIOLATION)

    async def _handle_events(self) -> None:
        for event in self.connection.events():
            if isinstance(event, Message):
                self._message_bytes += len(event.data.encode() if isinstance(event.data, str) else event.data)
                if self._message_bytes > CLIENT_MESSAGE_BYTES_MAX:
                    await self._end(CloseReason.MESSAGE_TOO_BIG)
                    return
                if event.message_finished:
                    self._message_bytes = 0
            elif isinstance(event, Ping):
                await self._send_wsproto_event(event.response())
            elif isinstance(event, CloseConnection):
                with suppress(ProtocolError):
                    await self.send(Data(stream_id=self.stream_id, data=self.connection.send(event.response())))
                await self.send(StreamClosed(stream_id=self.stream_id))
                return

    async def _end(self, reason: CloseReason) -> None:
        """Close, and keep taking for a moment: bytes that nobody took would turn our Close into a reset."""
        if self._is_ending or self.closed:
            return
        await self._send_wsproto_event(CloseConnection(code=reason.value))
        self._is_ending = True
        if self.app_put is not None:
            await self.app_put({"type": "websocket.disconnect", "code": reason.value})
        self.task_group.spawn(self._linger)

    async def _linger(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._is_gone.wait(), LINGER_S)
        await self.send(StreamClosed(stream_id=self.stream_id))

    async def _send_pings(self) -> None:
        """As hypercorn's, but a closed connection is not kept until its next ping, and clients are told of our end."""
        ends = [asyncio.ensure_future(event.wait()) for event in (self._is_gone, self.context.terminated)]
        try:
            while not self.closed and not self.context.terminated.is_set():
                await self._send_wsproto_event(Ping())
                await asyncio.wait(
                    ends, timeout=self.config.websocket_ping_interval, return_when=asyncio.FIRST_COMPLETED
                )
        finally:
            for task in ends:
                task.cancel()
        await self._end(CloseReason.GOING_AWAY)

    async def _send_error_response(self, status_code: int) -> None:
        body, headers = error_answer(status_code)
        await self.send(Response(stream_id=self.stream_id, status_code=status_code, headers=headers))
        await self.send(Body(stream_id=self.stream_id, data=body))
        await self.send(EndBody(stream_id=self.stream_id))
        logged: Any = {"status": status_code, "headers": []}
        await self.config.log.access(self.scope, logged, time() - self.start_time)
        await self.send(StreamClosed(stream_id=self.stream_id))
