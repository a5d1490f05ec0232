"""One process of facilities as the directory knows it, and the door that holds calls back while it moves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from engine.facility.port import Host, HostStatus

START_S_MAX = 120.0
"""A process that has not started by then hangs; many that start at once on few cores take long."""


@dataclass(slots=True)
class Slot:
    """`incarnation` is the last one seen alive, `node_id` where it is or was told to be (None: Ray decides).

    `running`: it was heard since it was last started; `silent_since_s`: asked since then, it has not answered.
    `moves` counts how often it was started elsewhere on purpose: a call that fails over that is nobody's fault.
    """

    number: int
    facilities: list[str] = field(default_factory=list)
    host: Host | None = None
    incarnation: str | None = None
    node_id: str | None = None
    moves: int = 0
    restarts_s: list[float] = field(default_factory=list)
    paused_until_s: float = -1.0
    ticking: bool = False
    running: bool = False
    silent_since_s: float | None = None
    heard_at_s: float | None = None
    away: bool = False
    asking: asyncio.Task[HostStatus | None] | None = None
    _calls: int = 0
    _quiet: asyncio.Event = field(default_factory=asyncio.Event)
    _open: asyncio.Event | None = None

    @property
    def moving(self) -> bool:
        """Whether it is on its way to another node."""
        return self._open is not None

    async def admitted(self) -> None:
        """Wait while the process moves."""
        while self._open is not None:
            await self._open.wait()

    @contextmanager
    def calling(self) -> Iterator[None]:
        """One call to the process is under way."""
        self._calls += 1
        self._quiet.clear()
        try:
            yield
        finally:
            self._calls -= 1
            if not self._calls:
                self._quiet.set()

    def starts(self) -> None:
        """It is being started, by us or by Ray: until it is heard, silence means less than that of a running one."""
        self.running, self.silent_since_s = False, None

    def close(self) -> None:
        """Hold back every further call until `open`."""
        assert self._open is None, "one move at a time"
        self._open = asyncio.Event()

    def open(self) -> None:
        """Let calls through again."""
        assert self._open is not None
        self._open.set()
        self._open = None

    async def quiet(self) -> None:
        """Return when the calls that are under way have ended."""
        if self._calls:
            await self._quiet.wait()

    def set_out(self, node_id: str | None) -> None:
        """It will be started on this node; what is there now does not count any more."""
        self.host, self.incarnation, self.node_id = None, None, node_id
        self.moves += 1
        self.starts()
