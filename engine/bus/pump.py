"""One task reads a receiver's connection; whoever waits for an answer waits for what it has read.

The async client of azure-servicebus lets everybody who waits read the next frame, whosever it is, and nobody may write
meanwhile (docs/decisions/0039). Here is all that we use of its inside; tests/unit/borrowed.toml says what it looked
like, the client is pinned, and the contract suite of the bus sources fails when it behaves otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

from engine.peers import notice_its_end

READ_BYTES_MAX: Final = 256 * 1024
PULSE_S: Final = 5.0  # how often a silent connection is looked after (its time-outs, empty frames to the other side)


class Pump:
    """Reads for an open receiver of the SDK from now on, until `stop`."""

    def __init__(self, receiver: Any) -> None:
        self._handler = receiver._handler
        self._link = self._handler._link
        self._connection = self._handler._connection
        self._transport = self._connection._transport
        notice_its_end(self._transport.writer.get_extra_info("socket"))  # a receiver may send nothing for hours
        self._read_frame = self._connection.listen
        self._stream = _Stream(self._transport.reader)
        self._news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._failure: Exception | None = None
        self._transport.reader = self._stream
        self._transport.socket_lock = contextlib.nullcontext()  # one reader, and a frame is written at once
        self._connection.listen = self._listen
        self._task = asyncio.create_task(self._run(), name="bus-pump")

    @property
    def buffered(self) -> int:
        """Messages that have come and were not taken yet."""
        return int(self._handler._received_messages.qsize())

    def reads_for(self, receiver: Any) -> bool:
        """False when the SDK has given the receiver another connection."""
        return receiver._handler is self._handler

    async def allow(self, messages: int) -> None:
        """Let the broker send until so many are buffered. Raises OSError or ValueError."""
        credit = max(0, messages - self.buffered)
        granted = self._link.current_link_credit
        if credit > 2 * granted or credit < granted:
            async with _public_errors():
                await self._link.flow(link_credit=credit)

    async def wait(self, seconds: float) -> None:
        """Until something was read, at most so long. Keeps the receiver's token fresh. Raises OSError or ValueError."""
        self._handler._socket_timeout = seconds
        async with _public_errors():
            alive = await self._handler.do_work_async()
        if not alive:
            raise ConnectionError("the receiver has shut down")

    async def stop(self) -> None:
        """Let the SDK read for itself again, as it must to close."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._connection.listen = self._read_frame
        self._transport.socket_lock = asyncio.Lock()

    async def _listen(self, wait: float | bool = False, batch: int = 1, **_: Any) -> None:
        """In the place of the SDK's own: return when frames were read, by whomever they are awaited."""
        if self._failure is not None:
            raise self._failure
        limit_s = self._connection._socket_timeout if wait is False else None if wait is True else wait
        await asyncio.wait([self._news], timeout=limit_s)

    async def _run(self) -> None:
        try:
            while True:
                if await self._stream.fill(PULSE_S):
                    while self._stream.buffered:
                        await self._read_frame(wait=True)
                    self._tell()
                else:
                    await self._read_frame(batch=0)
        except Exception as error:
            self._failure = error
        finally:
            self._tell()

    def _tell(self) -> None:
        """Everybody looks whether it was for him; once for all frames that came together."""
        news, self._news = self._news, asyncio.get_running_loop().create_future()
        if not news.done():
            news.set_result(None)


@contextlib.asynccontextmanager
async def _public_errors() -> AsyncIterator[None]:
    """The client's inner errors have no public name."""
    try:
        yield
    except (OSError, ValueError):
        raise
    except Exception as error:
        raise ConnectionError(f"{type(error).__name__}: {error}") from error


class _Stream:
    """What the SDK's transport reads from, with a buffer that can be looked at."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._bytes = bytearray()
        self._ended = False

    @property
    def buffered(self) -> bool:
        """Whether there is something to read, be it the end."""
        return bool(self._bytes) or self._ended

    async def fill(self, seconds: float) -> bool:
        """Wait for more; False when nothing came."""
        try:
            async with asyncio.timeout(seconds):
                await self._more()
        except TimeoutError:
            return False
        return True

    async def readexactly(self, count: int) -> bytes:
        """As StreamReader's."""
        while len(self._bytes) < count:
            if self._ended:
                partial, self._bytes = bytes(self._bytes), bytearray()
                raise asyncio.IncompleteReadError(partial, count)
            await self._more()
        found = bytes(self._bytes[:count])
        del self._bytes[:count]
        return found

    async def _more(self) -> None:
        chunk = await self._reader.read(READ_BYTES_MAX)
        self._bytes += chunk
        self._ended = not chunk
