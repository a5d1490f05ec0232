"""Live streams: a websocket that is opened again whenever it is lost, for as long as it is admitted.

Each opening asks for a one-time ticket over HTTP first, which also renews the tokens when they have expired; a server
without tickets is given the access token. Alerts go on after the last one. Values cannot: what was missed is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from engine.client.alarm_shapes import Alarm, AlarmFrame
from engine.client.backoff import BackOff
from engine.client.connection import RETRY_AFTER_S, parsed, retry_after_s, shaped
from engine.client.errors import ClientError, NotFound, ServerAway, ServerError, ServerFailed, TooManyRequests
from engine.client.session import Caller
from engine.client.shapes import Gap, LiveAlert, Reading, Ticket

PING_S = 20.0
FRAME_BYTES_MAX = 2**20
STEADY_S = 30.0  # a connection that stood this long makes the next waits short again

TellAway = Callable[[ClientError], None]


@dataclass(frozen=True, slots=True)
class Live:
    """The connection stands, again if `lost_at` says when the one before was found lost."""

    lost_at: datetime | None


@dataclass(slots=True)
class _Line:
    """What is known of one stream over all its connections."""

    back_off: BackOff = field(default_factory=BackOff)
    stood: bool = False
    lost_at: datetime | None = None


class Streams:
    """The open websockets of one client."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._sockets: set[ClientConnection] = set()
        self._closed = False

    async def close(self) -> None:
        """Every stream ends, as if nothing more came."""
        self._closed = True
        await asyncio.gather(*(socket.close() for socket in self._sockets))

    async def readings(self, path: str, shown_at: str, on_away: TellAway | None) -> AsyncGenerator[Reading, None]:
        """`shown_at`: the REST path that says why, when the websocket is refused."""
        heard_at: datetime | None = None
        gap: Gap | None = None
        async with aclosing(self._events(path, dict, shown_at, on_away)) as events:
            async for event in events:
                now = datetime.now(UTC)
                if isinstance(event, str):
                    heard_at = now
                    reading = shaped(Reading, event, path)
                    yield reading.model_copy(update={"gap": gap}) if gap else reading
                    gap = None
                elif event.lost_at is not None:
                    # what came before a ping that was answered came too
                    known_at = event.lost_at - timedelta(seconds=2 * PING_S)
                    from_at = gap.from_at if gap else max(heard_at or known_at, known_at)
                    gap = Gap(from_at=from_at, to_at=now)

    async def alerts(
        self, after_id: int | None, newest_id: int, on_away: TellAway | None
    ) -> AsyncGenerator[LiveAlert, None]:
        """From now without `after_id`; `newest_id` is where to go on when the connection is lost before the first."""
        cursor = after_id

        def query() -> dict[str, str]:
            return {} if cursor is None else {"after_id": str(cursor)}

        async with aclosing(self._events("/ws/notifications", query, "/alerts/recent?limit=1", on_away)) as events:
            async for event in events:
                if isinstance(event, str):
                    alert = shaped(LiveAlert, event, "/ws/notifications")
                    if cursor is None or alert.alert_id > cursor:
                        cursor = alert.alert_id
                        yield alert
                elif cursor is None:
                    cursor = newest_id

    async def alarms(self, after: int | None, on_away: TellAway | None) -> AsyncGenerator[AlarmFrame, None]:
        """Without `after` a snapshot comes first; the parts of one are given as one frame."""
        cursor = after
        parts: list[Alarm] = []

        def query() -> dict[str, str]:
            return {} if cursor is None else {"after": str(cursor)}

        async with aclosing(self._events("/ws/alarms", query, "/alarms?limit=1", on_away)) as events:
            async for event in events:
                if not isinstance(event, str):
                    parts = []  # what came of a snapshot before the line was lost comes again
                    continue
                frame = shaped(AlarmFrame, event, "/ws/alarms")
                parts += frame.alarms or []
                if frame.more or (frame.type == "event" and cursor is not None and frame.after_id <= cursor):
                    continue
                cursor = frame.after_id
                yield frame if frame.alarms is None else frame.model_copy(update={"alarms": parts})
                parts = []

    async def _events(
        self, path: str, query: Callable[[], dict[str, str]], shown_at: str, on_away: TellAway | None
    ) -> AsyncGenerator[Live | str, None]:
        """Texts, and before them `Live` each time that the connection stands."""
        line = _Line()
        while not self._closed:
            try:
                async with self._opened(path, query(), line) as socket:
                    yield Live(line.lost_at)
                    async for text in socket:
                        yield text if isinstance(text, str) else text.decode()
                away: ClientError = ServerAway(f"the server closed {path} ({socket.close_reason or socket.close_code})")
            except InvalidStatus as error:
                away = await self._refused(error, path, shown_at, may_wait=line.stood)
            except (ServerError, TooManyRequests) as error:
                if isinstance(error, ServerFailed) and not line.stood:
                    raise
                away = error
            except (OSError, WebSocketException) as error:
                away = ServerAway(f"{path} is lost ({type(error).__name__}: {error}); it is opened again")
            if self._closed:
                return
            if on_away is not None:
                on_away(away)
            asked_s = away.retry_after_s if isinstance(away, ServerAway | TooManyRequests) else None
            await asyncio.sleep(line.back_off.wait_s(asked_s))

    @asynccontextmanager
    async def _opened(self, path: str, query: dict[str, str], line: _Line) -> AsyncIterator[ClientConnection]:
        loop = asyncio.get_running_loop()
        socket = await self._open(path, query)
        self._sockets.add(socket)
        opened_s, line.stood = loop.time(), True
        try:
            yield socket
        finally:
            line.lost_at = datetime.now(UTC)
            if loop.time() - opened_s > STEADY_S:
                line.back_off.reset()
            self._sockets.discard(socket)
            await socket.close()

    async def _open(self, path: str, query: dict[str, str]) -> ClientConnection:
        connection = self._caller.connection
        secret = await self._secret()
        return await connect(
            f"ws{connection.url.removeprefix('http')}{path}?{urlencode({**query, **secret})}",
            proxy=None,
            ssl=connection.ssl_context,
            open_timeout=connection.timeout_s,
            ping_interval=PING_S,
            ping_timeout=PING_S,
            max_size=FRAME_BYTES_MAX,
        )

    async def _secret(self) -> dict[str, str]:
        """What admits one websocket; asking for it over HTTP shows first whether we are signed in."""
        try:
            answer = await self._caller.ask("POST", "/ws/tickets")
        except NotFound:  # an older server
            await self._caller.ask("GET", "/facilities", params={"limit": 1})
            return {"token": await self._caller.identity.bearer()}
        return {"ticket": parsed(Ticket, answer).ticket}

    async def _refused(self, error: InvalidStatus, path: str, shown_at: str, *, may_wait: bool) -> ClientError:
        """Why a websocket was not opened: raised when waiting cannot mend it."""
        response = error.response
        said = f"{path} answered {response.status_code}"
        after_s = retry_after_s(response.headers.get("Retry-After"))
        if response.status_code == 403:
            await self._caller.ask("GET", shown_at)  # says what the websocket cannot
        elif response.status_code == 429:
            return TooManyRequests(said, after_s or RETRY_AFTER_S)
        elif response.status_code < 500 and not may_wait:
            raise ServerFailed(f"{said}: if a proxy stands before the server, it has to pass websockets on") from error
        return ServerAway(said, after_s)
