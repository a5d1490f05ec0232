"""Makes exports: a few at once, each a task that reads the database with its caller's eyes and fills its folder."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import IO, Final

import structlog

from engine.clock import US_PER_S, Clock
from engine.errors import GasInSightError
from engine.exports.datasets import DATASETS, schema_of
from engine.exports.formats import FORMATS, Frames
from engine.exports.reading import read
from engine.exports.ready import ReadyConnections
from engine.exports.selection import WHOLE_US, Asked, Selection
from engine.exports.snapshot import open_snapshot
from engine.exports.writing import in_thread
from web.exports.kept import About, Kept, State, Wanted, size_of

TELL_S: Final = 0.5
RUNNING_MAX: Final = 3
"""In one process; each has three connections and a thread. Others wait for their turn."""
READY_US_MAX: Final = 300 * US_PER_S
"""For so long after an export, connections for the next one are there."""
UNDER_WAY_MAX: Final = 20
UNDER_WAY_PER_CALLER_MAX: Final = 2
"""Running or waiting."""
ROOM_SHARE_MAX: Final = 0.5
"""Of the room, for what one caller keeps: whoever comes next finds some."""

log = structlog.get_logger(__name__)


class TooManyExports(GasInSightError):
    """As many are under way as may be."""


class ExportTooLarge(GasInSightError):
    """It would not leave the room that is kept for exports."""


@dataclass
class _Running:
    about: About
    task: asyncio.Task[None]


class Exports:
    """`database_url` is PostgreSQL itself. `bytes_max` is the room that all exports of this machine have."""

    def __init__(self, kept: Kept, database_url: str, clock: Clock, bytes_max: int) -> None:
        self.kept = kept
        self._url = database_url
        self._clock = clock
        self._bytes_max = bytes_max
        self._running: dict[str, _Running] = {}
        self._turns = asyncio.Semaphore(RUNNING_MAX)
        self._ready = ReadyConnections(database_url)
        self._ended_us = 0  # the last one

    async def begin(self, principal: str, words: str, wanted: Wanted, selection: Selection, keep_s: float) -> About:
        """Go on making it after this returns. `words` make a transaction see with the caller's eyes.

        Raises ValueError for a column, TooManyExports.
        """
        DATASETS[wanted.dataset].chosen(wanted.columns)
        self._admit(principal)
        now_us = self._clock.now_us()
        about = About(
            id=uuid.uuid4().hex,
            principal=principal,
            wanted=wanted,
            facilities=sorted({*selection.facility_ids, *selection.sensor_facilities}),
            created_us=now_us,
            expires_us=now_us + round(keep_s * US_PER_S),
        )
        file = self.kept.make(about)
        task = asyncio.create_task(self._make(about, words, selection, file), name=f"export {about.id}")
        self._running[about.id] = _Running(about, task)
        task.add_done_callback(lambda _: self._running.pop(about.id, None))
        return about

    async def cancel(self, export_id: str) -> None:
        """Take it away, wherever it is made: at once here, else when the process that makes it looks for it."""
        running = self._running.get(export_id)
        if running is not None:
            running.task.cancel()
            await asyncio.wait((running.task,))
        await asyncio.to_thread(self.kept.remove, export_id)

    async def run(self) -> None:
        """Sweep for ever; what is still being made at the end ends with it."""
        try:
            while True:
                await asyncio.to_thread(self.kept.sweep, self._clock.now_us())
                if self._clock.now_us() - self._ended_us > READY_US_MAX:
                    await self._ready.let_go()
                await self._clock.sleep(60)
        finally:
            for running in list(self._running.values()):
                running.task.cancel()
            await asyncio.gather(*(running.task for running in self._running.values()), return_exceptions=True)
            await self._ready.let_go()

    def _admit(self, principal: str) -> None:
        own = sum(running.about.principal == principal for running in self._running.values())
        if own >= UNDER_WAY_PER_CALLER_MAX or len(self._running) >= UNDER_WAY_MAX:
            raise TooManyExports(
                f"{own} exports of yours are under way and {len(self._running)} in all;"
                f" at most {UNDER_WAY_PER_CALLER_MAX} and {UNDER_WAY_MAX} may be"
            )

    async def _make(self, about: About, words: str, selection: Selection, file: IO[bytes]) -> None:
        is_over = asyncio.Event()
        with file:
            telling = asyncio.create_task(self._tell(about, file, is_over, asyncio.current_task()))
            try:
                async with self._turns:
                    await self._fill(about, words, selection, file)
                about.state = State.DONE
            except asyncio.CancelledError:
                await _ended(telling, is_over)
                await asyncio.to_thread(self.kept.remove, about.id)
                raise
            except Exception as error:
                log.exception("export_failed", export=about.id)
                about.state, about.problem = State.FAILED, _told(error)
                file.truncate(0)  # it is good for nothing, and the room is everybody's
            await _ended(telling, is_over)
            about.bytes = size_of(file)
            with suppress(FileNotFoundError):  # taken away
                await asyncio.to_thread(self.kept.tell, about)

    async def _fill(self, about: About, words: str, selection: Selection, file: IO[bytes]) -> None:
        wanted = about.wanted
        dataset = DATASETS[wanted.dataset]
        columns = dataset.chosen(wanted.columns)
        ended = await asyncio.to_thread(self._ended)

        def count(rows: int) -> None:
            about.rows += rows
            others = [*ended, *(running.about for running in self._running.copy().values())]
            self._check_room(about, size_of(file), [other for other in others if other.id != about.id])

        def expect(rows: int) -> None:
            about.rows_expected = rows

        def write(frames: Frames) -> None:
            FORMATS[wanted.format].write(frames, schema_of(columns), file)

        try:
            async with (
                open_snapshot(self._url, words, self._ready.take) as snapshot,
                aclosing(read(snapshot, dataset, selection, columns, expect)) as frames,
            ):
                await in_thread(frames, write, count)
        finally:
            self._ended_us = self._clock.now_us()
            self._ready.refill()  # now, when PostgreSQL has nothing to find for somebody who waits

    def _ended(self) -> list[About]:
        return [other for other in self.kept.all() if other.id not in self._running]

    def _check_room(self, about: About, bytes_now: int, others: list[About]) -> None:
        mb_max = self._bytes_max // 10**6
        if bytes_now + sum(other.bytes for other in others) > self._bytes_max:
            raise ExportTooLarge(f"exports have {mb_max} MB together, and this one needs more")
        own = sum(other.bytes for other in others if other.principal == about.principal)
        if bytes_now + own > self._bytes_max * ROOM_SHARE_MAX:
            raise ExportTooLarge(
                f"one caller's exports have {mb_max * ROOM_SHARE_MAX:.0f} of {mb_max} MB, and this one needs more;"
                " delete some with DELETE /export-jobs/{id}"
            )

    async def _tell(
        self, about: About, file: IO[bytes], is_over: asyncio.Event, making: asyncio.Task[None] | None
    ) -> None:
        """Now and then until it is over; and notice that nobody wants it any more: then it was taken away."""
        while not is_over.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(is_over.wait(), TELL_S)
                return
            about.bytes = size_of(file)
            try:
                await asyncio.to_thread(self.kept.tell, about)
            except FileNotFoundError:
                if making is not None:
                    making.cancel()
                return


async def _ended(telling: asyncio.Task[None], is_over: asyncio.Event) -> None:
    """Two must not write at the same time of how far an export is, nor one while it is taken away."""
    is_over.set()
    await telling


def asked_for(wanted: Wanted) -> Asked:
    """Raises SelectionRefused for a range that holds nothing."""
    return Asked(
        tuple(wanted.facility_ids),
        tuple(wanted.sensor_ids),
        WHOLE_US[0] if wanted.start_us is None else wanted.start_us,
        WHOLE_US[1] if wanted.end_us is None else wanted.end_us,
    )


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, GasInSightError) else "it failed inside the server, whose log says why"
