"""What an actor's process does between SIGTERM and its end: finish or hand back what it has, a bounded time.

Ray ends it in the middle of what it does, by a handler that it installs before an actor exists, and runs the actor's
code outside the main thread, where Python installs none (docs/decisions/0034).
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Final

import structlog

FINISH_S_MAX: Final = 9.0
SIGTERM_STATUS: Final = 128 + signal.SIGTERM

log = structlog.get_logger()


class Departure:
    """Make it on the event loop whose work `finish` ends; keep it as long as the process lives.

    Ray starts the actor again: the status tells of no intended end.
    """

    def __init__(self, finish: Callable[[], Awaitable[None]]) -> None:
        self._finish = finish
        self._loop = asyncio.get_running_loop()
        self._leaving: asyncio.Task[None] | None = None
        self._install = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(self._installed)
        ctypes.pythonapi.Py_AddPendingCall(self._install, None)  # the main thread calls it soon

    def _installed(self, _: object) -> int:
        signal.signal(signal.SIGTERM, self._told)
        return 0

    def _told(self, number: int, frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self._start)

    def _start(self) -> None:
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._leave())

    async def _leave(self) -> None:
        log.info("asked_to_end")
        try:
            async with asyncio.timeout(FINISH_S_MAX):
                await self._finish()
        except Exception as error:
            log.warning("not_ended_in_good_order", error=f"{type(error).__name__}: {error}")
        finally:
            os._exit(SIGTERM_STATUS)
