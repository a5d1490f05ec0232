"""Long-running tasks of the web server. One that crashes is logged and makes `/livez` fail: no silence."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)


class Background:
    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run until `stop`, or until it returns."""
        self._tasks[name] = asyncio.create_task(self._watched(name, run), name=name)

    async def stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    @property
    def crashed(self) -> list[str]:
        return [
            name
            for name, task in self._tasks.items()
            if task.done() and not task.cancelled() and task.exception() is not None
        ]

    async def _watched(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        try:
            await run()
        except Exception:
            log.exception("background_task_crashed", task=name)
            raise
