"""One facility's period, replayed: read, led through the core, compared."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Any, Final

import native
from engine.clock import US_PER_S
from engine.facility.payloads import core_settings
from engine.replay import stored
from engine.replay.comparing import Comparison
from engine.replay.course import Course, Step
from engine.replay.proposed_groups import with_groups
from engine.replay.proposing import SetNow, check_subjects, settings_by_sensor
from engine.replay.rows import Told
from engine.replay.values import Basis, FacilityResult, Period, ReplayRefused, Wanted, moment_text
from engine.settings import Settings

WARM_UP_US: Final = 86_400 * US_PER_S
"""Other settings hold from so long before the period on, where the log reaches back: then alarms, delays and detectors
have got used to them."""

Progress = Callable[[float, int], None]
"""The part of the period that is done, and how many readings it had."""


async def look(connection: Any, facility_ids: Sequence[str], wanted: Wanted) -> dict[str, SetNow]:
    """What is set in each facility. Raises ReplayRefused for what cannot be replayed so."""
    if wanted.period.from_us >= wanted.period.until_us:
        raise ReplayRefused("the period ends before it begins")
    found = {each: await stored.set_now(connection, each) for each in dict.fromkeys(facility_ids)}
    known = {facility_id: now for facility_id, now in found.items() if now is not None}
    if missing := [facility_id for facility_id in found if facility_id not in known]:
        raise ReplayRefused(f"there is no facility {missing[0]!r}")
    check_subjects(list(known.values()), wanted.proposals)
    for now in known.values():
        settings_by_sensor(now, wanted.proposals)
        with_groups(now, wanted.proposals)
    return known


async def replay_facility(
    connection: Any, now: SetNow, wanted: Wanted, settings: Settings, progress: Progress
) -> FacilityResult:
    """`connection` as `stored.opened` gives it; `progress` may raise to end it. Memory grows with the differences."""
    is_other = wanted.basis is Basis.TODAY or bool(wanted.proposals)
    others = settings_by_sensor(now, wanted.proposals) if is_other else None
    now = with_groups(now, wanted.proposals)
    course = Course(now.facility_id, core_settings(settings), others, now.groups)
    return await _Replay(connection, now, wanted.period, course, progress).run()


class _Replay:
    def __init__(self, connection: Any, now: SetNow, period: Period, course: Course, progress: Progress) -> None:
        self._connection = connection
        self._now = now
        self._period = period
        self._course = course
        self._warm_up_us = WARM_UP_US if course.is_other else 0
        self._progress = progress
        self._comparison = Comparison()
        self._from_us = period.from_us
        self._remarks: list[str] = []
        self._unjudged: list[tuple[int, int]] = []
        self._points: list[stored.Point] = []
        self._breaks: set[int] = set()
        self._last_no = self._last_us = self._skipped_from_us = 0
        self._skip_to: stored.Point | None = None

    async def run(self) -> FacilityResult:
        facility_id, until_us = self._now.facility_id, self._period.until_us
        begin = await stored.start(self._connection, facility_id, self._period.from_us - self._warm_up_us)
        if begin is None or begin.recorded_at_us >= until_us:
            self._remarks.append("nothing of the period can be replayed: no commit log of it is kept")
            return self._result(None, None)
        if begin.commit_no:
            await self._restore(begin)
            if begin.recorded_at_us >= self._period.from_us:
                self._from_us = begin.recorded_at_us + 1
                since = moment_text(begin.recorded_at_us)
                self._remarks.append(f"the commit log is kept since {since}: nothing is said of before")
        journal = stored.Journal(self._connection, facility_id, self._from_us, until_us)
        self._points = await stored.points_after(self._connection, facility_id, begin.commit_no)
        self._breaks = {point.commit_no for point in self._points if point.is_break}
        self._last_no, self._last_us = begin.commit_no, begin.recorded_at_us
        async with aclosing(stored.steps(self._connection, facility_id, begin.commit_no, until_us)) as pieces:
            async for piece in pieces:
                await self._lead(piece)
                await self._compare(journal, self._last_us)
                done = (self._last_us - begin.recorded_at_us) / (until_us - begin.recorded_at_us)
                self._progress(min(max(done, 0.0), 1.0), self._course.readings)
        await self._compare(journal, until_us)
        left = self._comparison.left_replayed()
        self._comparison.forget_told(await stored.told_before(self._connection, facility_id, left, until_us))
        return self._result(self._from_us, begin.recorded_at_us if begin.commit_no else None)

    async def _restore(self, point: stored.Point) -> None:
        version, state = await stored.state_at(self._connection, self._now.facility_id, point.commit_no)
        moment = moment_text(point.recorded_at_us)
        try:
            await asyncio.to_thread(self._course.go_on_from, state, point.recorded_at_us)
        except (native.SnapshotVersionError, native.SnapshotCorruptError) as error:
            raise ReplayRefused(f"the state of {moment} cannot be read ({error}): begin the period later") from error
        if version != native.CORE_VERSION:
            self._remarks.append(
                f"the state of {moment} is of core version {version}, this is {native.CORE_VERSION}: what differs may"
                " be the program's doing"
            )

    async def _lead(self, piece: Sequence[Step]) -> None:
        """Through these steps. Where one does not follow from those before, on from the next state that was kept."""
        ready: list[Step] = []
        for step in piece:
            first_no, last_no = step.entries[0].commit_no, step.entries[-1].commit_no
            if self._skip_to is None and (first_no != self._last_no + 1 or last_no in self._breaks):
                await self._tell(ready)
                ready = []
                self._skip_to = self._next_point(step)
                self._skipped_from_us = self._last_us + 1
                if self._skip_to.commit_no < first_no:
                    await self._go_on(self._skip_to)
            if self._skip_to is None:
                ready.append(step)
            elif last_no == self._skip_to.commit_no:
                await self._go_on(self._skip_to)
            self._last_no, self._last_us = last_no, step.recorded_at_us
        await self._tell(ready)

    def _next_point(self, step: Step) -> stored.Point:
        """The first that was kept after the last step that could be followed."""
        for point in self._points:
            if point.commit_no > self._last_no:
                return point
        raise ReplayRefused(f"the commit log has a gap before {moment_text(step.recorded_at_us)}: end the period there")

    async def _go_on(self, point: stored.Point) -> None:
        await self._restore(point)
        self._skip_to = None
        self._unjudged.append((self._skipped_from_us, point.recorded_at_us))
        self._remarks.append(
            f"from {moment_text(self._skipped_from_us)} to {moment_text(point.recorded_at_us)} the log does not say"
            " what happened: the state was rebuilt, or an older program had cut the log off"
        )

    async def _tell(self, steps: Sequence[Step]) -> None:
        if steps:
            told = await asyncio.to_thread(self._course.take, steps, self._from_us)
            self._comparison.add_replayed(row for row in told if self._is_of_present(row))

    async def _compare(self, journal: stored.Journal, up_to_us: int) -> None:
        rows = await journal.take(up_to_us)
        self._comparison.add_stored(
            row
            for at_us, row in rows
            if self._is_of_present(row) and not any(first <= at_us <= last for first, last in self._unjudged)
        )

    def _is_of_present(self, row: Told) -> bool:
        """Rows of a sensor that was removed went with it."""
        return row.sensor_no is None or row.sensor_no in self._now.numbers

    def _result(self, judged_from_us: int | None, begun_us: int | None) -> FacilityResult:
        differences = self._comparison.differences()
        alarms, others = self._comparison.counts(differences)
        before, after = self._comparison.figures()
        if refused := self._course.refused_commands:
            self._remarks.append(f"{refused} commands of people had no alarm to go to, or would be refused today")
        return FacilityResult(
            self._now.facility_id,
            judged_from_us,
            self._period.until_us,
            begun_us,
            self._course.readings,
            self._course.entries,
            alarms,
            others,
            before,
            after,
            tuple(self._remarks),
            self._comparison.checksum(differences),
            differences,
        )
