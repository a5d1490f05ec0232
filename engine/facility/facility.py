"""One facility: score, commit, publish, strictly one step after the other. A cache of checkpoint and commit log.

Plain class: no Ray, and no input or output but through the historian it is given. `engine.facility.host` calls it.
Whatever goes wrong inside a step, the core may be ahead of the log; then it is thrown away and the next call loads
again. Loading is the one path of recovery and the same as a first start.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, TypeVar

import structlog

import native
from engine import messages
from engine.clock import Clock
from engine.errors import CommitFenced, CommitRejected, CommitUnknown, FacilityGone, FacilityUnavailable
from engine.facility import payloads
from engine.facility.commit import commit_until_answered
from engine.facility.gone import Gone
from engine.facility.parked_rows import ParkedRows
from engine.facility.plan import SensorPlan
from engine.facility.port import Cursor, SensorMessage
from engine.facility.publisher import Publisher
from engine.facility.recovery import recovered_core
from engine.faultpoints import reached
from engine.historian.port import HistorianPort, StoredItem, Unreserved
from engine.live import LiveChunk, LiveFrame
from engine.metrics import DEAD_LETTERS, IGNORED, LATE_READINGS, PARKED, READINGS, REBUILDS, RELOADS, Metrics
from engine.model import (
    AlarmCommand,
    Checkpoint,
    CommandVerdict,
    CommitAnswer,
    DeadLetter,
    Detection,
    EntityChange,
    EntryKind,
    FacilityState,
    LogEntry,
    Outcome,
    ParkedItem,
    SensorActivation,
    SensorConfig,
    SensorDeactivation,
    SensorType,
)
from engine.settings import Settings

PARKED_ROWS_MAX = 10_000  # parked readings that go into one outcome
AT_ONCE_BYTES_MAX = 16 * 1024
"""Decoded or scored in a fraction of a millisecond, which is less than a change of threads costs."""

log = structlog.get_logger()

T = TypeVar("T")

Input = tuple[EntryKind, bytes]
"""What the core is given, before it has its number in the commit log."""


@dataclass(frozen=True, slots=True)
class _Step:
    """What one serial step puts into the core and writes beside it."""

    inputs: tuple[Input, ...] = ()
    changes: tuple[EntityChange, ...] = ()
    parked: tuple[ParkedItem, ...] = ()
    unparked_ids: tuple[int, ...] = ()
    refused: tuple[DeadLetter, ...] = ()
    command: AlarmCommand | None = None
    verdicts: tuple[CommandVerdict, ...] = ()


class Facility:
    """Owner of what is so now in one facility. `executor` runs the native calls; None: the loop's default."""

    def __init__(
        self,
        facility_id: str,
        historian: HistorianPort,
        settings: Settings,
        clock: Clock,
        metrics: Metrics,
        *,
        executor: Executor | None = None,
    ) -> None:
        self.facility_id = facility_id
        self._historian = historian
        self._settings = settings
        self._core_settings = payloads.core_settings(settings)
        self._clock = clock
        self._metrics = metrics
        self._executor = executor
        self._publisher = Publisher(facility_id, clock, self._latest)
        self._lock = asyncio.Lock()
        self._core: native.FacilityCore | None = None
        self._fenced = False
        self._parked_refused = False
        self._reload_reason = "start"
        # What follows is set by every load.
        self._epoch: int | None = None  # None: the directory gave us the facility, whoever held it before
        self._commit_no = self._watermark_us = 0
        self._sensors: dict[str, SensorConfig] = {}
        self._detection: Mapping[SensorType, Detection] = {}
        self._rules: Mapping[SensorType, Mapping[str, object]] = {}
        self._gone = Gone({}, -1)
        self._parked_for: set[str] = set()
        self._prelude: bytes | None = None
        self._entries_since = self._readings_since = 0
        self._checkpoint_at_s = 0.0
        self._checkpoint_wanted = False
        self._log = log.bind(facility_id=facility_id)

    @property
    def state(self) -> str:
        """loaded, idle (the next call loads it) or fenced (another incarnation owns it)."""
        return "fenced" if self._fenced else "idle" if self._core is None else "loaded"

    async def load(self, *, again: bool = False) -> None:
        """Make sure that the facility is loaded; see `_load` for what it raises.

        `again`: load in any case, under a new epoch, also when another incarnation had taken the facility.
        """
        if again:
            async with self._lock:
                self._core, self._fenced, self._reload_reason = None, False, "asked"
                self._epoch = None
        async with self._serial():
            pass

    async def ingest(self, *batches: bytes, refused: Sequence[DeadLetter] = ()) -> None:
        """Score, commit and publish batches, all in one commit; when this returns, their effects are durable."""
        async with self._serial():
            await self._take(_Step(tuple((EntryKind.BATCH, batch) for batch in batches), refused=tuple(refused)))

    async def apply(self, changes: Sequence[SensorMessage]) -> None:
        """Activations and deactivations, in this order, with whatever was parked for the sensors that arrive."""
        async with self._serial():
            await self._absorb(changes, ParkedRows())

    async def tick(self, watermark_us: int) -> None:
        """Time itself: the queue has been read up to `watermark_us`. Going back or standing still is no news."""
        async with self._serial():
            if watermark_us > self._watermark_us:
                await self._take(_Step(((EntryKind.TICK, payloads.tick_payload(watermark_us)),)))
                self._watermark_us = watermark_us

    async def command(self, command: AlarmCommand) -> None:
        """What a person asks of an alarm. Its verdict is part of the commit: in force, or refused by the core."""
        payload = payloads.command_payload(command)
        async with self._serial():
            if self._prelude is not None:
                await self._take(_Step())  # by itself, so that a refusal leaves the core as it was before
            try:
                await self._take(
                    _Step(
                        ((EntryKind.COMMAND, payload),),
                        command=command,
                        verdicts=(CommandVerdict(command.command_id),),
                    )
                )
            except native.PayloadError as error:
                await self._take(_Step(verdicts=(CommandVerdict(command.command_id, str(error)),)))

    async def checkpoint(self, *, even_if_nothing_new: bool = False) -> None:
        """Write a checkpoint now, if anything happened since the last one or in any case."""
        if even_if_nothing_new or (self._core is not None and not self._fenced):
            async with self._serial():
                if self._entries_since or self._checkpoint_wanted or even_if_nothing_new:
                    await self._take(_Step(), checkpoint=True)

    async def watch(self, cursor: Cursor | None, wait_s: float) -> tuple[Cursor, tuple[LiveChunk, ...]]:
        """See Publisher.watch; may be called from another thread's event loop."""
        return await self._publisher.watch(cursor, wait_s)

    @asynccontextmanager
    async def _serial(self) -> AsyncIterator[None]:
        async with self._lock:
            if self._fenced:
                raise CommitFenced(f"facility {self.facility_id} belongs to a newer incarnation")
            try:
                if self._core is None:
                    await self._load()
                yield
            except BaseException as error:
                self._core = None  # perhaps ahead of the log
                self._fenced = self._fenced or isinstance(error, CommitFenced)
                self._reload_reason = _reason_of(error)
                raise

    async def _latest(self) -> tuple[Cursor, list[LiveFrame]]:
        async with self._serial():
            assert self._core is not None
            frames = await self._native(self._core.latest_frames)
            return self._publisher.here(), [(sensor_id, time_us, frame) for sensor_id, _, time_us, frame in frames]

    async def _load(self) -> None:
        """Epoch, checkpoint, log, configuration, leftovers of the parking table: the one path of recovery.

        After a failure of its own it loads only what it still owns: one that woke up late, heard UNKNOWN for its commit
        and loaded in any case would fence the owner of now. An answer to a load that was lost makes it seem fenced
        too; then the leader gives it the facility again.

        Raises StoreUnavailable, CommitFenced, or FacilityGone when there is no such facility or it is retired.
        """
        state = await self._historian.load(self.facility_id, self._epoch)
        if state is None:
            raise FacilityGone(f"there is no facility {self.facility_id}")
        self._epoch = state.epoch
        name, groups, now_us = state.config.name, state.groups, self._clock.now_us()
        config = payloads.config_payload(state.sensors, facility_name=name, groups=groups, at_us=now_us)
        # Who was retired meanwhile is known to a core that must be rebuilt, so that what is told next, that they are
        # retired, ends their alarms.
        before = [replace(sensor, is_retired=False) for sensor in state.sensors]
        origin = payloads.config_payload(before, facility_name=name, groups=groups, at_us=now_us)
        recovered = await recovered_core(state, self._core_settings, origin, self._historian, self._native)
        self._core = recovered.core
        self._commit_no = state.last_commit_no
        self._sensors = {sensor.sensor_id: sensor for sensor in state.sensors}
        self._detection, self._rules = state.detection, state.rules
        self._gone = Gone(state.removed, state.removed_us)
        self._prelude = config  # what the core was told last is in its state only; telling it again changes nothing
        self._watermark_us = 0
        self._entries_since, self._readings_since = recovered.entries, recovered.readings
        self._checkpoint_at_s = self._clock.monotonic_s()
        self._checkpoint_wanted = recovered.is_beside_its_log
        self._metrics.add(RELOADS, reason=self._reload_reason)
        if recovered.rebuilt:
            self._metrics.add(REBUILDS)
        self._log.info("facility_loaded", reason=self._reload_reason, epoch=state.epoch, replayed=recovered.entries)
        await reached("loaded")
        self._publisher.restart()
        if state.config.is_retired:
            await self._take(_Step(changes=(EntityChange("facility_closed", ""),)), checkpoint=True)
            raise FacilityGone(f"facility {self.facility_id} is retired")
        await self._take_parked(state)

    async def _take_parked(self, state: FacilityState) -> None:
        """Apply what arrived before its parent. What the store refuses stays parked, or no load would ever succeed."""
        stored = [StoredItem(row_id, item) for row_id, item in state.parked]
        self._parked_for = {held.item.sensor_id for held in stored}
        if not stored or self._parked_refused:
            return
        try:
            await self._absorb((), ParkedRows.sorted_from(stored))
        except (CommitRejected, native.PayloadError) as error:
            self._parked_refused = True
            self._log.error("parked_input_refused", rows=len(stored), error=str(error))
            raise FacilityUnavailable(f"parked input was refused ({error}); loading again without it") from error

    async def _absorb(self, arrived: Sequence[SensorMessage], parked: ParkedRows) -> None:
        """Entity messages and parked rows, in as few steps as the size of an outcome allows."""
        activations = [message for _, message in parked.activations]
        numbers = await self._numbers([*activations, *arrived])
        plan = SensorPlan(
            self.facility_id,
            self._sensors,
            numbers,
            self._detection,
            self._rules,
            gone=self._gone,
            settings=self._settings,
        )
        plan.add_all([*activations, *arrived])
        unparked = [row_id for row_id, _ in parked.activations]
        if arrived and (wanted := plan.arrivals & self._parked_for):
            held = await self._historian.parked(self.facility_id, next(iter(wanted)) if len(wanted) == 1 else None)
            parked = ParkedRows.sorted_from(held)
        ready = parked.of_sensors(plan.sensors.keys() if not arrived else plan.arrivals)
        first = _Step(
            self._config_input(plan.take_upserts()),
            plan.take_changes(),
            tuple(_parked_deactivation(message) for message in plan.to_park),
            tuple(unparked),
            tuple(plan.refused),
        )
        plan.add_all(message for _, message in ready.deactivations)
        last = _Step(
            self._config_input(plan.take_upserts()),
            plan.take_changes(),
            unparked_ids=tuple(row_id for row_id, _ in ready.deactivations),
        )
        for step in _joined([first, *self._reading_steps(ready), last]):
            await self._take(step)
        self._sensors = plan.sensors
        self._parked_for -= set(plan.sensors)
        self._parked_for |= {message.sensor_id for message in plan.to_park}
        for reason, count in plan.ignored.items():
            self._metrics.add(IGNORED, count, reason=reason)

    async def _numbers(self, incoming: Iterable[SensorMessage]) -> dict[str, int | Unreserved]:
        """Reserved sensor numbers of sensors that are not known yet."""
        new = {message.sensor_id for message in incoming if isinstance(message, SensorActivation)} - set(self._sensors)
        ordered = sorted(new)
        numbers = await asyncio.gather(*(self._historian.reserve_sensor(one, self.facility_id) for one in ordered))
        return dict(zip(ordered, numbers, strict=True))

    def _config_input(self, sensors: Sequence[SensorConfig]) -> tuple[Input, ...]:
        if not sensors:
            return ()
        return ((EntryKind.CONFIG, payloads.config_payload(sensors, at_us=self._clock.now_us())),)

    def _reading_steps(self, ready: ParkedRows) -> list[_Step]:
        """Parked readings in bounded batches, received now as far as the core is concerned."""
        now_us = self._clock.now_us()
        steps = []
        for start in range(0, len(ready.readings), PARKED_ROWS_MAX):
            chunk = ready.readings[start : start + PARKED_ROWS_MAX]
            batch = native.encode_batch(self.facility_id, [row for _, row in chunk], now_us)
            steps.append(_Step(((EntryKind.BATCH, batch),), unparked_ids=tuple(row_id for row_id, _ in chunk)))
        return steps

    async def _take(self, step: _Step, *, checkpoint: bool = False) -> None:
        """Score, commit, publish."""
        core = self._core
        assert core is not None
        inputs = step.inputs if self._prelude is None else ((EntryKind.CONFIG, self._prelude), *step.inputs)
        await reached("before_score")
        effects = await self._applied(core, inputs)
        await reached("scored")
        outcome = self._outcome(step, inputs, effects)
        readings_since = self._readings_since + outcome.rows
        if checkpoint or self._checkpoint_due(readings_since, bool(inputs)):
            await reached("at_checkpoint")
            state = await self._native(core.snapshot)
            number = outcome.entries[-1].commit_no if outcome.entries else self._commit_no
            outcome = replace(
                outcome, checkpoint=Checkpoint(number, native.CORE_VERSION, state, self._checkpoint_wanted)
            )
        answer = await commit_until_answered(self._historian, outcome, self._clock, self._metrics)
        await reached("committed")
        self._prelude = None
        self._commit_no += len(outcome.entries)
        self._entries_since += len(outcome.entries)
        self._readings_since = readings_since
        if outcome.checkpoint is not None:
            self._entries_since = self._readings_since = 0
            self._checkpoint_at_s, self._checkpoint_wanted = self._clock.monotonic_s(), False
        self._parked_for |= {item.sensor_id for item in outcome.parked}
        self._count(outcome, effects, answer)
        self._gone.told()
        self._publish(effects, answer, outcome.rows)

    def _outcome(self, step: _Step, inputs: Sequence[Input], effects: Sequence[native.Effects]) -> Outcome:
        assert self._epoch is not None
        logged = zip(inputs, effects, strict=True)
        numbered = enumerate(logged, start=self._commit_no + 1)
        unknown = [row for effect in effects for row in effect.unknown]
        waiting, idle = self._gone.parted(unknown, self._sensors)
        events = payloads.alarm_events(effects)
        if events and self._core is not None:
            events = payloads.told_latched(events, self._core.alarms())
        if step.command is not None:
            events = [replace(event, command_id=step.command.command_id) for event in events]
        parked = [payloads.parked_reading(self.facility_id, *row) for row in waiting]
        return Outcome(
            facility_id=self.facility_id,
            epoch=self._epoch,
            entries=tuple(LogEntry(number, kind, effect.log_payload) for number, ((kind, _), effect) in numbered),
            copy_rows=b"".join(effect.copy_rows for effect in effects),
            rows=sum(effect.rows for effect in effects),
            dirty_minutes=tuple(sorted({minute for effect in effects for minute in effect.dirty_minutes})),
            events=tuple(events),
            parked=(*step.parked, *parked),
            unparked_ids=step.unparked_ids,
            dead_letters=(*step.refused, *self._gone.letters(self.facility_id, idle)),
            changes=step.changes,
            commands=step.verdicts,
        )

    def _checkpoint_due(self, readings_since: int, changed: bool) -> bool:
        if not changed:
            return False
        age_s = self._clock.monotonic_s() - self._checkpoint_at_s
        return (
            self._checkpoint_wanted
            or readings_since >= self._settings.checkpoint_readings_max
            or age_s >= self._settings.checkpoint_s_max
        )

    def _count(self, outcome: Outcome, effects: Sequence[native.Effects], answer: CommitAnswer) -> None:
        self._metrics.add(READINGS, outcome.rows - len(answer.not_stored))
        self._metrics.add(LATE_READINGS, sum(effect.counts["late"] for effect in effects))
        for item in outcome.parked:
            self._metrics.add(PARKED, kind=item.kind)
        for reason, rows in answer.not_parked.items():
            self._metrics.add(DEAD_LETTERS, rows, reason=reason)
        for letter in outcome.dead_letters:
            self._metrics.add(DEAD_LETTERS, reason=letter.reason)
        for reason, rows in self._gone.counts.items():
            self._metrics.add(IGNORED, rows, reason=reason)
        if answer.set_aside:
            self._metrics.add(DEAD_LETTERS, answer.set_aside, reason="before_retention")

    def _publish(self, effects: Sequence[native.Effects], answer: CommitAnswer, rows: int) -> None:
        if not rows:
            return
        if not self._publisher.watched:
            self._publisher.skip(rows)
            return
        self._publisher.publish(payloads.live_frames(effects, answer.not_stored))

    async def _applied(self, core: native.FacilityCore, inputs: Sequence[Input]) -> list[native.Effects]:
        """What the inputs do, one after the other; a little is done here and now, a change of threads costs more."""

        def apply() -> list[native.Effects]:
            return [core.apply(kind.value, payload) for kind, payload in inputs]

        small = sum(len(payload) for _, payload in inputs) <= AT_ONCE_BYTES_MAX
        return apply() if small else await self._native(apply)

    async def _native(self, call: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, call, *arguments)


def _joined(steps: Sequence[_Step]) -> list[_Step]:
    """The first two and the last two steps as one each; those that would do nothing left out."""
    wanted = [step for step in steps if step != _Step()]
    if len(wanted) <= 1:
        return wanted
    if len(wanted) <= 3:
        return [reduce(_both, wanted)]
    return [_both(wanted[0], wanted[1]), *wanted[2:-2], _both(wanted[-2], wanted[-1])]


def _both(one: _Step, other: _Step) -> _Step:
    return _Step(
        one.inputs + other.inputs,
        one.changes + other.changes,
        one.parked + other.parked,
        one.unparked_ids + other.unparked_ids,
        one.refused + other.refused,
    )


def _parked_deactivation(message: SensorDeactivation) -> ParkedItem:
    body = messages.body_of(message)
    tracked_at_us = message.tracked_at_us
    return ParkedItem("deactivation", message.facility_id, message.sensor_id, tracked_at_us, body, "unknown_sensor")


def _reason_of(error: BaseException) -> str:
    """Why the facility will have to load again, as a label."""
    reasons: dict[type[BaseException], str] = {
        CommitUnknown: "unknown_commit",
        CommitRejected: "rejected",
        CommitFenced: "fenced",
        asyncio.CancelledError: "cancelled",
    }
    return reasons.get(type(error), "failed_step")
