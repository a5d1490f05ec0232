"""HistorianPort in memory. It passes the contract suite of the real one (tests/contract/test_store_*.py).

A test may lean on what is promised there and on nothing else.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from engine.clock import US_PER_S, Clock
from engine.errors import CommitFenced, CommitRejected, StoreUnavailable
from engine.historian.port import Creation, Parking, StoredItem, StoredReading, ToldAlarm, Unreserved
from engine.model import (
    REFUSED,
    AlarmCommand,
    AlarmEvent,
    AlertType,
    Checkpoint,
    CommitAnswer,
    DeadLetter,
    Detection,
    EntityChange,
    FacilityConfig,
    FacilitySetup,
    FacilityState,
    FacilityStatus,
    LogEntry,
    Outcome,
    ParkedItem,
    SensorConfig,
    SensorStatus,
    SensorType,
    Verdict,
)
from engine.settings import Settings
from tests.fakes.copy_rows import StoredRow, copied_rows
from tests.fakes.storable import Unstorable, check_json, check_texts

FUTURE_US_MAX = 300 * US_PER_S


@dataclass
class FakeHistorian:
    """The tables are public, for tests to look at and to damage. `outcomes`: all that were committed, in order.

    `sensors` hold their own detection settings; those of a type are in `detection` by facility and type. `events` is
    the journal, (facility_id, event) in the order of the ids.

    clock         what a status may not be stamped far ahead of; None: however far
    retired       when each facility was; `closed` are those whose core has let go
    removed       when each (facility, sensor) was, or ("…", "") a facility
    limits        the settings that bound what there may be; None: no bound
    away          nobody gets through
    faults        given out one a commit: a Verdict to answer with, or an error to raise, before anything is written
    commands      of people, that stand
    lost_answers  so many commits are written and then answered UNKNOWN
    """

    facilities: dict[str, FacilitySetup] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    sensors: dict[str, SensorConfig] = field(default_factory=dict)
    detection: dict[tuple[str, SensorType], Detection] = field(default_factory=dict)
    log: dict[str, list[LogEntry]] = field(default_factory=dict)
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict)
    readings: dict[tuple[int, int], str] = field(default_factory=dict)
    conflicts: set[tuple[int, int, str]] = field(default_factory=set)
    events: list[tuple[str, AlarmEvent]] = field(default_factory=list)
    parking: dict[int, ParkedItem] = field(default_factory=dict)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    retired: dict[str, int] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    removed: dict[tuple[str, str], int] = field(default_factory=dict)
    engine_status: dict[str, Any] = field(default_factory=dict)
    commands: list[AlarmCommand] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    loads: int = 0
    clock: Clock | None = None
    limits: Settings | None = None
    away: bool = False
    faults: list[Verdict | Exception] = field(default_factory=list)
    lost_answers: int = 0
    _last_drawn: int = 0

    # --- HistorianPort ------------------------------------------------------------------------------------------------

    async def load(self, facility_id: str, held_epoch: int | None = None) -> FacilityState | None:
        self._reach()
        if facility_id not in self.facilities:
            return None
        if held_epoch not in {None, self.epochs[facility_id]}:
            raise CommitFenced(f"epoch {held_epoch} is over, {self.epochs[facility_id]} is the present one")
        self._mend_statuses_ahead(facility_id)
        self.loads += 1
        self.epochs[facility_id] += 1
        setup = self.facilities[facility_id]
        of_type = {kind: settings for (owner, kind), settings in self.detection.items() if owner == facility_id}
        sensors = [sensor for sensor in self.sensors.values() if sensor.facility_id == facility_id]
        return FacilityState(
            config=FacilityConfig(
                facility_id, setup.name, setup.type, FacilityStatus.ACTIVE, facility_id in self.retired
            ),
            epoch=self.epochs[facility_id],
            sensors=tuple(
                replace(sensor, detection=_in_force(sensor.detection, of_type.get(sensor.type, Detection())))
                for sensor in sorted(sensors, key=lambda sensor: sensor.sensor_no)
            ),
            checkpoint=self.checkpoints.get(facility_id),
            log=tuple(self.log.get(facility_id, [])),
            parked=tuple((stored.id, stored.item) for stored in self._parked(facility_id, None)),
            last_commit_no=self.last_commit_no(facility_id),
            detection=of_type,
            removed={name: at_us for (owner, name), at_us in self.removed.items() if owner == facility_id and name},
            removed_us=self.removed.get((facility_id, ""), -1),
        )

    def _mend_statuses_ahead(self, facility_id: str) -> None:
        if self.clock is None:
            return
        now_us = self.clock.now_us()
        for sensor in list(self.sensors.values()):
            if sensor.facility_id == facility_id and sensor.status_changed_at_us > now_us + FUTURE_US_MAX:
                self.sensors[sensor.sensor_id] = replace(sensor, status_changed_at_us=now_us)

    async def recent_readings(
        self, facility_id: str, sensor_nos: Sequence[int], readings_max: int
    ) -> list[StoredReading]:
        self._reach()
        found: list[StoredReading] = []
        for wanted in sorted(sensor_nos):
            times = sorted(at_us for sensor_no, at_us in self.readings if sensor_no == wanted)
            found += [(wanted, at_us, self.readings[wanted, at_us]) for at_us in times[-readings_max:]]
        return found

    async def told_alarms(self, facility_id: str) -> list[ToldAlarm]:
        self._reach()
        told: dict[str, ToldAlarm] = {}
        for owner, event in self.events:
            if owner != facility_id or event.transition not in {"activated", "returned"}:
                continue
            is_alert = event.transition == "activated"
            if event.late and not is_alert:
                continue
            before = told.get(event.alarm_key)
            acknowledged = False if is_alert else True if before is None else before[3]
            active, since_us = is_alert, event.event_time_us
            if event.late:  # of the past: it moves no condition, but people were told
                active, since_us = (before[2], before[4]) if before else (False, since_us)
            told[event.alarm_key] = (event.sensor_no, event.rule, active, acknowledged, since_us)
        return [alarm for _, alarm in sorted(told.items())]

    async def standing_commands(self, facility_id: str) -> list[AlarmCommand]:
        """What a test has put there: whoever asks is not played."""
        self._reach()
        return [command for command in self.commands if command.facility_id == facility_id]

    async def commit(self, outcome: Outcome) -> CommitAnswer:
        await asyncio.sleep(0)
        self._reach()
        if self.faults:
            fault = self.faults.pop(0)
            if isinstance(fault, Exception):
                raise fault
            if fault is not Verdict.COMMITTED:
                return CommitAnswer(fault, "as the test asked")
        left_out = self._left_out(outcome)
        if left_out is not None:
            return left_out
        try:
            answer = self._written(outcome)
        except Unstorable as refusal:
            return CommitAnswer(Verdict.REJECTED, str(refusal))
        if self.lost_answers:
            self.lost_answers -= 1
            return CommitAnswer(Verdict.UNKNOWN, "the connection died")
        return answer

    async def create_facility(self, setup: FacilitySetup) -> Creation:
        self._reach()
        _check_written(setup)
        gone_at_us, is_there = self._standing(setup.facility_id)
        if gone_at_us is not None and setup.tracked_at_us <= gone_at_us:
            return Creation.RETIRED if is_there else Creation.REMOVED
        if is_there and gone_at_us is not None:
            del self.retired[setup.facility_id]
            self.closed.discard(setup.facility_id)
            return Creation.REVIVED
        if is_there:
            return Creation.KNOWN
        if self.limits is not None and len(self.facilities) >= self.limits.facilities_max:
            return Creation.NO_ROOM
        self.facilities[setup.facility_id] = setup
        self.epochs[setup.facility_id] = self.epochs.get(setup.facility_id, -1) + 1
        return Creation.MADE

    async def park_unknown_facility(
        self, items: Sequence[ParkedItem], letters: Sequence[DeadLetter] = ()
    ) -> list[Parking]:
        self._reach()
        found = [self._parking_of(item) for item in items]
        homeless = [item for item, parking in zip(items, found, strict=True) if parking is Parking.PARKED]
        gone = [
            _letter_of_gone(item, parking.value)
            for item, parking in zip(items, found, strict=True)
            if parking in {Parking.RETIRED, Parking.REMOVED}
        ]
        untold = [_shown(letter) for letter in letters if letter.facility_id not in self.facilities]
        _check_written(homeless, untold)
        refused = {_digest(item): limit for item, limit in self.park(homeless)}
        self._keep([*untold, *map(_shown, gone)])
        return [
            Parking(refused.get(_digest(item), parking)) if parking is Parking.PARKED else parking
            for item, parking in zip(items, found, strict=True)
        ]

    async def parked(self, facility_id: str, sensor_id: str | None = None) -> list[StoredItem]:
        self._reach()
        return self._parked(facility_id, sensor_id)

    async def reserve_sensor(self, sensor_id: str, facility_id: str) -> int | Unreserved:
        self._reach()
        held = self.sensors.get(sensor_id)
        if held is not None:
            return held.sensor_no if held.facility_id == facility_id else Unreserved.ELSEWHERE
        if self.limits is not None and len(self.sensors) >= self.limits.sensors_max:
            return Unreserved.NO_ROOM
        return self._draw()

    async def facility_ids(self) -> list[str]:
        self._reach()
        return sorted(self.facilities.keys() - self.closed)

    async def record_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        self._reach()
        shown = [_shown(letter) for letter in letters]
        _check_written(shown)
        self._keep(shown)
        self._tell(letters)

    async def write_engine_status(self, component: str, state: Mapping[str, Any]) -> None:
        self._reach()
        _check_written(state)
        self.engine_status[component] = json.loads(json.dumps(state))

    # --- what an Admin does, who is no engine -------------------------------------------------------------------------

    def retire(self, facility_id: str, at_us: int, sensor_id: str | None = None) -> None:
        """A facility, or one sensor of it."""
        self.epochs[facility_id] += 1
        for sensor in list(self.sensors.values()):
            if sensor.facility_id == facility_id and sensor_id in {None, sensor.sensor_id}:
                self.sensors[sensor.sensor_id] = replace(
                    sensor,
                    status=SensorStatus.INACTIVE,
                    status_changed_at_us=max(at_us, sensor.status_changed_at_us),
                    is_retired=sensor.is_retired or sensor_id is not None,
                )
        if sensor_id is None:
            self.retired[facility_id] = at_us
            self.closed.discard(facility_id)

    def remove(self, facility_id: str, at_us: int, sensor_id: str | None = None) -> None:
        """A facility, or one sensor of it, with its readings."""
        gone = {
            sensor.sensor_id: sensor.sensor_no
            for sensor in self.sensors.values()
            if sensor.facility_id == facility_id and sensor_id in {None, sensor.sensor_id}
        }
        self.epochs[facility_id] += 1
        self.removed[facility_id, sensor_id or ""] = at_us
        for name in gone:
            del self.sensors[name]
        self.readings = {key: data for key, data in self.readings.items() if key[0] not in gone.values()}
        self.events = [(owner, event) for owner, event in self.events if event.sensor_no not in gone.values()]
        if sensor_id is None:
            del self.facilities[facility_id]
            self.retired.pop(facility_id, None)
            self.log.pop(facility_id, None)
            self.checkpoints.pop(facility_id, None)

    # --- for tests ----------------------------------------------------------------------------------------------------

    def entries(self, facility_id: str) -> list[LogEntry]:
        """Everything that was ever committed for a facility, in order."""
        return [entry for each in self.outcomes if each.facility_id == facility_id for entry in each.entries]

    def last_commit_no(self, facility_id: str) -> int:
        """0: nothing is committed."""
        log, checkpoint = self.log.get(facility_id), self.checkpoints.get(facility_id)
        return log[-1].commit_no if log else checkpoint.commit_no if checkpoint is not None else 0

    def park(self, items: Sequence[ParkedItem]) -> list[tuple[ParkedItem, str]]:
        """As the commit does; a redelivery parks nothing new, whatever its reason. Answers with those refused."""
        refused = []
        for item in items:
            if _digest(item) in map(_digest, self.parking.values()):
                continue
            if limit := self._full(item.facility_id):
                refused.append((item, limit))
            else:
                self.parking[self._draw()] = item
        letters = [
            DeadLetter(REFUSED, "", limit, item.reason, item.body, item.facility_id, item.sensor_id, _told_by(item))
            for item, limit in refused
        ]
        self._keep([_shown(letter) for letter in letters])
        self._tell(letters)
        return refused

    def _full(self, facility_id: str) -> str | None:
        if self.limits is None:
            return None
        if len(self.parking) >= self.limits.parked_max:
            return "parked_max"
        of_facility = sum(item.facility_id == facility_id for item in self.parking.values())
        return "parked_per_facility_max" if of_facility >= self.limits.parked_per_facility_max else None

    def _tell(self, letters: Sequence[DeadLetter]) -> None:
        """The installation's own alarms, once each; the leader, who ends them, is not played."""
        for letter in letters:
            key = f"{letter.reason}:{letter.facility_id}" if "per_facility" in letter.reason else letter.reason
            stands = any(not owner and event.alarm_key == key for owner, event in self.events)
            if letter.source == REFUSED and letter.reason.endswith("_max") and not stands:
                event = AlarmEvent(
                    alarm_key=key,
                    sensor_no=None,
                    rule=letter.reason,
                    transition="activated",
                    event_time_us=0,
                    rule_version=1,
                    priority="high",
                    alert_type=AlertType.SYSTEM,
                    value=None,
                    limit=None,
                    score=None,
                    message=key,
                    explanation_json="{}",
                )
                self.events.append(("", event))

    # --- what a commit does -------------------------------------------------------------------------------------------

    def _reach(self) -> None:
        if self.away:
            raise away()

    def _standing(self, facility_id: str) -> tuple[int | None, bool]:
        """When it was retired or removed, and whether it is there."""
        is_there = facility_id in self.facilities
        return (self.retired.get(facility_id) if is_there else self.removed.get((facility_id, ""))), is_there

    def _parking_of(self, item: ParkedItem) -> Parking:
        gone_at_us, is_there = self._standing(item.facility_id)
        if gone_at_us is None:
            return Parking.KNOWN if is_there else Parking.PARKED
        if item.kind != "reading" and (item.tracked_at_us or 0) > gone_at_us:
            return Parking.PARKED
        return Parking.RETIRED if is_there else Parking.REMOVED

    def _keep(self, letters: Sequence[DeadLetter]) -> None:
        for letter in letters:
            if letter.identity not in {held.identity for held in self.dead_letters}:
                self.dead_letters.append(letter)

    def _draw(self) -> int:
        self._last_drawn += 1
        return self._last_drawn

    def _parked(self, facility_id: str, sensor_id: str | None) -> list[StoredItem]:
        rows = [
            StoredItem(row_id, item)
            for row_id, item in self.parking.items()
            if item.facility_id == facility_id and sensor_id in {None, item.sensor_id}
        ]
        return sorted(rows, key=lambda row: (row.item.tracked_at_us is not None, row.item.tracked_at_us, row.id))

    def _left_out(self, outcome: Outcome) -> CommitAnswer | None:
        epoch = self.epochs.get(outcome.facility_id)
        if outcome.epoch != epoch:
            return CommitAnswer(Verdict.FENCED, f"epoch {outcome.epoch} is over; the facility is at {epoch}")
        last = self.last_commit_no(outcome.facility_id)
        numbers = [entry.commit_no for entry in outcome.entries]
        end = last + len(numbers)
        if numbers != list(range(last + 1, end + 1)):
            return CommitAnswer(Verdict.UNKNOWN, f"out_of_sequence: {numbers} after {last}")
        if outcome.checkpoint is not None and outcome.checkpoint.commit_no != end:
            return CommitAnswer(Verdict.UNKNOWN, f"out_of_sequence: a checkpoint of {outcome.checkpoint.commit_no}")
        if not set(outcome.unparked_ids) <= set(self.parking):
            return CommitAnswer(Verdict.UNKNOWN, "out_of_sequence: parked rows have gone")
        return None

    def _written(self, outcome: Outcome) -> CommitAnswer:
        """Raises Unstorable before anything is changed."""
        letters = [_shown(letter) for letter in outcome.dead_letters]
        check_texts(outcome.changes, outcome.parked, outcome.events, outcome.commands, letters)
        for event in outcome.events:
            check_json(event.explanation_json)
        sensors = self._changed_sensors(outcome)
        rows = _rows_of(outcome, {sensor.sensor_no for sensor in sensors.values()})

        facility_id = outcome.facility_id
        self.outcomes.append(outcome)
        self.sensors = sensors
        for row_id in outcome.unparked_ids:
            self.parking.pop(row_id, None)
        refused = self.park(outcome.parked)
        self._keep(letters)
        answer = replace(self._stored(rows), not_parked=Counter(limit for _, limit in refused))
        for event in outcome.events:
            if event.only_if_stored not in answer.not_stored:
                self._journal(facility_id, event)
        self._tell(outcome.dead_letters)
        self.log[facility_id] = [*self.log.get(facility_id, []), *outcome.entries]
        if outcome.checkpoint is not None:
            self.checkpoints[facility_id] = outcome.checkpoint
            self.log[facility_id] = []
        return answer

    def _changed_sensors(self, outcome: Outcome) -> dict[str, SensorConfig]:
        sensors = dict(self.sensors)
        for change in outcome.changes:
            if change.op == "insert_sensor":
                sensor = _new_sensor(change)
                if sensor.facility_id not in self.facilities:
                    raise Unstorable(f"there is no facility {sensor.facility_id}")
                if sensor.sensor_id in sensors or sensor.sensor_no in {held.sensor_no for held in sensors.values()}:
                    raise Unstorable(f"sensor {sensor.sensor_id} or its number {sensor.sensor_no} is there already")
                sensors[sensor.sensor_id] = sensor
            elif change.op == "sensor_status" and change.status is not None and change.changed_at_us is not None:
                held = sensors.get(change.sensor_id)
                if held is not None and held.facility_id == outcome.facility_id:
                    sensors[change.sensor_id] = replace(
                        held,
                        status=change.status,
                        status_changed_at_us=change.changed_at_us,
                        is_retired=held.is_retired and change.status is not SensorStatus.ACTIVE,
                    )
            elif change.op == "facility_closed":
                self.closed |= {outcome.facility_id} & self.retired.keys()
            else:
                raise Unstorable(f"entity change {change.op!r} is not known or not complete")
        return sensors

    def _stored(self, rows: Sequence[StoredRow]) -> CommitAnswer:
        """The first reading of a moment stays; another value of it is a conflict, counted once."""
        before = set(self.readings)
        told, conflicts = set(), set()
        for row in rows:
            key = (row.sensor_no, row.tracked_at_us)
            if key in before:
                told.add(key)
            if self.readings.setdefault(key, row.data) != row.data:
                conflicts.add((*key, row.data))
        new = conflicts - self.conflicts
        self.conflicts |= new
        return CommitAnswer(Verdict.COMMITTED, not_stored=frozenset(told), conflicts=len(new))

    def _journal(self, facility_id: str, event: AlarmEvent) -> None:
        def once(owner: str, each: AlarmEvent) -> tuple[Any, ...]:
            return owner, each.alarm_key, each.transition, each.event_time_us, each.rule_version

        if once(facility_id, event) not in {once(owner, held) for owner, held in self.events}:
            self.events.append((facility_id, event))


def away() -> StoreUnavailable:
    return StoreUnavailable("PostgreSQL is away")


def _digest(item: ParkedItem) -> tuple[Any, ...]:
    return item.kind, item.facility_id, item.sensor_id, item.tracked_at_us, item.body


def _letter_of_gone(item: ParkedItem, reason: str) -> DeadLetter:
    identity = (REFUSED, reason, item.kind, item.facility_id, item.sensor_id)
    return DeadLetter(REFUSED, "", reason, item.kind, item.body, item.facility_id, item.sensor_id, identity)


def _told_by(item: ParkedItem) -> tuple[str, ...]:
    return item.kind, item.facility_id, item.sensor_id, str(item.tracked_at_us), item.body


def _shown(letter: DeadLetter) -> DeadLetter:
    """As it is kept: a NUL is made visible. The identity is a digest there, of whatever texts."""
    texts = {each.name: getattr(letter, each.name) for each in fields(letter) if each.name not in {"identity", "raw"}}
    visible = {name: text.replace("\0", "\N{REPLACEMENT CHARACTER}") for name, text in texts.items()}
    identity = tuple(part.encode(errors="surrogatepass").hex() for part in letter.identity)
    return DeadLetter(**visible, identity=identity, raw=letter.raw)


def _new_sensor(change: EntityChange) -> SensorConfig:
    activation = change.activation
    if activation is None or change.sensor_no is None:
        raise Unstorable("insert_sensor needs the activation and a reserved sensor_no")
    return SensorConfig(
        sensor_id=activation.sensor_id,
        sensor_no=change.sensor_no,
        facility_id=activation.facility_id,
        name=f"Sensor {activation.sensor_id}",
        type=activation.type,
        status=SensorStatus.ACTIVE,
        expected_interval_s=activation.expected_interval_s,
        installed_at_us=activation.tracked_at_us,
        status_changed_at_us=activation.tracked_at_us,
    )


def _in_force(own: Detection, of_type: Detection) -> Detection:
    """A sensor's own settings go before its type's."""
    said = {each.name: getattr(own, each.name) for each in fields(own) if getattr(own, each.name) is not None}
    return replace(of_type, **said)


def _rows_of(outcome: Outcome, sensor_nos: set[int]) -> list[StoredRow]:
    try:
        rows = copied_rows(outcome.copy_rows)
    except ValueError as error:
        raise Unstorable(str(error)) from error
    if len(rows) != outcome.rows:
        raise Unstorable(f"{len(rows)} rows where the outcome says {outcome.rows}")
    strangers = sorted({row.sensor_no for row in rows} - sensor_nos)
    if strangers:
        raise Unstorable(f"no sensor has number {strangers[0]}")
    check_texts([row.text_value for row in rows])
    return rows


def _check_written(*content: Any) -> None:
    """For all that write except the commit, which answers."""
    try:
        check_texts(*content)
    except Unstorable as refusal:
        raise CommitRejected(str(refusal)) from refusal
