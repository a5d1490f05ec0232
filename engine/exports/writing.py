"""Frames that come in an event loop, handed to a thread that writes them."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeVar

import polars as pl

Result = TypeVar("Result")


async def in_thread(
    frames: AsyncIterator[pl.DataFrame],
    work: Callable[[Iterator[pl.DataFrame]], Result],
    on_rows: Callable[[int], object] = lambda _: None,
) -> Result:
    """What `work` makes of the frames, in a thread of its own; the next frame is made when it asks for one.

    `on_rows` is told of each frame's, in that thread. Raises what `frames` or `work` raise. Cancelled, it ends when
    the thread has and no frame is being made any more.
    """
    bridge = _Bridge(frames, asyncio.get_running_loop(), on_rows)
    with concurrent.futures.ThreadPoolExecutor(1, "export") as thread:
        working = asyncio.wrap_future(thread.submit(work, iter(bridge)))
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            bridge.stop()
            await asyncio.gather(working, bridge.at_rest(), return_exceptions=True)
            raise


class _Bridge:
    """An iterator for a thread over what an event loop gives."""

    def __init__(
        self, frames: AsyncIterator[pl.DataFrame], loop: asyncio.AbstractEventLoop, on_rows: Callable[[int], object]
    ) -> None:
        self._frames = frames
        self._loop = loop
        self._on_rows = on_rows
        self._waited_for: concurrent.futures.Future[pl.DataFrame | None] | None = None
        self._is_stopped = False
        self._making = asyncio.Lock()

    def __iter__(self) -> Iterator[pl.DataFrame]:
        while not self._is_stopped:
            waited_for = asyncio.run_coroutine_threadsafe(self._following(), self._loop)
            self._waited_for = waited_for
            if self._is_stopped:  # while it was asked for, so that `stop` knew nothing of it
                waited_for.cancel()
            frame = waited_for.result()
            if frame is None:
                return
            self._on_rows(frame.height)
            yield frame
        raise concurrent.futures.CancelledError

    def stop(self) -> None:
        """The thread ends with a CancelledError at its next frame, also while it waits for one."""
        self._is_stopped = True
        if self._waited_for is not None:
            self._waited_for.cancel()

    async def at_rest(self) -> None:
        """Once this returns after `stop`, the frames can be closed: a thread that was told to end does not wait until
        what it had asked for has ended too."""
        async with self._making:
            return

    async def _following(self) -> pl.DataFrame | None:
        async with self._making:
            return await anext(self._frames, None)
