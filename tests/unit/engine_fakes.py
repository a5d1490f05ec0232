"""A historian in memory that keeps the promises of HistorianPort, and builders of the hub's messages."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import native
from engine.clock import US_PER_S
from engine.errors import CommitFenced, StoreUnavailable
from engine.historian.port import DeadLetter, StoredItem, StoredReading, ToldAlarm
from engine.model import (
    AlarmEvent,
    Checkpoint,
    CommitAnswer,
    Detection,
    FacilityConfig,
    FacilitySetup,
    FacilityState,
    FacilityStatus,
    FacilityType,
    Location,
    LogEntry,
    Outcome,
    ParkedItem,
    SensorActivation,
    SensorConfig,
    SensorDeactivation,
    SensorStatus,
    SensorType,
    Verdict,
)

T0_US = 1_767_262_500 * US_PER_S  # 2026-01-01T10:15:00Z
_PG_EPOCH_US = 946_684_800 * US_PER_S


@dataclass
class FakeHistorian:
    """`faults` are given out one a commit: a Verdict to answer with, or an error to raise, before anything is written.

    `lost_answers`: that many commits are written and then answered UNKNOWN.
    """

    facilities: dict[str, FacilitySetup] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    sensors: dict[str, SensorConfig] = field(default_factory=dict)
    log: dict[str, list[LogEntry]] = field(default_factory=dict)
    last_commit_no: dict[str, int] = field(default_factory=dict)
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict)
    readings: dict[tuple[int, int], str] = field(default_factory=dict)
    events: list[tuple[str, AlarmEvent]] = field(default_factory=list)
    parking: dict[int, ParkedItem] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    faults: list[Verdict | Exception] = field(default_factory=list)
    lost_answers: int = 0
    load_faults: list[Exception] = field(default_factory=list)
    loads: int = 0
    detection: dict[SensorType, Detection] = field(default_factory=dict)
    _next_id: int = 0

    async def load(self, facility_id: str, held_epoch: int | None = None) -> FacilityState | None:
        if self.load_faults:
            raise self.load_faults.pop(0)
        if facility_id not in self.facilities:
            return None
        if held_epoch not in {None, self.epochs[facility_id]}:
            raise CommitFenced(f"epoch {held_epoch} is over")
        self.loads += 1
        self.epochs[facility_id] += 1
        setup = self.facilities[facility_id]
        parked = [(row_id, item) for row_id, item in self.parking.items() if item.facility_id == facility_id]
        parked = [(row_id, item) for row_id, item in parked if item.kind != "refused"]
        return FacilityState(
            config=FacilityConfig(facility_id, setup.name, setup.type, FacilityStatus.ACTIVE),
            epoch=self.epochs[facility_id],
            sensors=tuple(sensor for sensor in self.sensors.values() if sensor.facility_id == facility_id),
            checkpoint=self.checkpoints.get(facility_id),
            log=tuple(self.log.get(facility_id, [])),
            parked=tuple(sorted(parked, key=lambda row: (row[1].tracked_at_us or 0, row[0]))),
            last_commit_no=self.last_commit_no.get(facility_id, 0),
            detection=self.detection,
        )

    async def recent_readings(
        self, facility_id: str, sensor_nos: Sequence[int], readings_max: int
    ) -> list[StoredReading]:
        found: list[StoredReading] = []
        for wanted in sensor_nos:
            rows = [
                (number, at_us, text) for (number, at_us), text in sorted(self.readings.items()) if number == wanted
            ]
            found += rows[-readings_max:]
        return found

    async def told_alarms(self, facility_id: str) -> list[ToldAlarm]:
        told: dict[str, ToldAlarm] = {}
        for owner, event in self.events:
            if owner == facility_id and not event.late and event.transition in {"activated", "returned"}:
                is_active = event.transition == "activated"
                acknowledged = not is_active and told[event.alarm_key][3] if event.alarm_key in told else not is_active
                told[event.alarm_key] = (event.sensor_no, event.rule, is_active, acknowledged, event.event_time_us)
        return list(told.values())

    async def commit(self, outcome: Outcome) -> CommitAnswer:
        await asyncio.sleep(0)
        if self.faults:
            fault = self.faults.pop(0)
            if isinstance(fault, Exception):
                raise fault
            if fault is not Verdict.COMMITTED:
                return CommitAnswer(fault, "as the test asked")
        if outcome.epoch != self.epochs[outcome.facility_id]:
            return CommitAnswer(Verdict.FENCED, "epoch is over")
        last = self.last_commit_no.get(outcome.facility_id, 0)
        numbers = [entry.commit_no for entry in outcome.entries]
        if numbers != list(range(last + 1, last + 1 + len(numbers))):
            return CommitAnswer(Verdict.UNKNOWN, f"out_of_sequence: {numbers} after {last}")
        if not set(outcome.unparked_ids) <= set(self.parking):
            return CommitAnswer(Verdict.UNKNOWN, "out_of_sequence: parked rows have gone")
        answer = self._write(outcome)
        if self.lost_answers:
            self.lost_answers -= 1
            return CommitAnswer(Verdict.UNKNOWN, "the connection died")
        return answer

    def _write(self, outcome: Outcome) -> CommitAnswer:
        self.outcomes.append(outcome)
        self.log.setdefault(outcome.facility_id, []).extend(outcome.entries)
        self.last_commit_no[outcome.facility_id] = self.last_commit_no.get(outcome.facility_id, 0) + len(
            outcome.entries
        )
        for change in outcome.changes:
            self._change(change)
        for row_id in outcome.unparked_ids:
            del self.parking[row_id]
        self.park(outcome.parked)
        rows = {(sensor_no, at_us): text for sensor_no, at_us, text in reversed(copy_rows(outcome.copy_rows))}
        stored_before = rows.keys() & self.readings.keys()
        self.readings = rows | self.readings
        events = [event for event in outcome.events if event.only_if_stored not in stored_before]
        self.events.extend((outcome.facility_id, event) for event in events)
        if outcome.checkpoint is not None:
            self.checkpoints[outcome.facility_id] = outcome.checkpoint
            kept = [entry for entry in self.log[outcome.facility_id] if entry.commit_no > outcome.checkpoint.commit_no]
            self.log[outcome.facility_id] = kept
        return CommitAnswer(Verdict.COMMITTED, not_stored=frozenset(stored_before))

    def _change(self, change: Any) -> None:
        if change.op == "insert_sensor":
            activation = change.activation
            self.sensors[change.sensor_id] = SensorConfig(
                sensor_id=change.sensor_id,
                sensor_no=change.sensor_no,
                facility_id=activation.facility_id,
                name=f"Sensor {change.sensor_id}",
                type=activation.type,
                status=SensorStatus.ACTIVE,
                expected_interval_s=activation.expected_interval_s,
                installed_at_us=activation.tracked_at_us,
                status_changed_at_us=activation.tracked_at_us,
                detection=self.detection.get(activation.type, Detection()),
            )
        else:
            from dataclasses import replace

            held = self.sensors[change.sensor_id]
            self.sensors[change.sensor_id] = replace(
                held, status=change.status, status_changed_at_us=change.changed_at_us
            )

    def park(self, items: Sequence[ParkedItem]) -> None:
        for item in items:
            if item not in self.parking.values():
                self._next_id += 1
                self.parking[self._next_id] = item

    async def create_facility(self, setup: FacilitySetup) -> bool:
        if setup.facility_id in self.facilities:
            return False
        self.facilities[setup.facility_id] = setup
        self.epochs[setup.facility_id] = 0
        return True

    async def park_unknown_facility(self, items: Sequence[ParkedItem]) -> list[bool]:
        unknown = [item.facility_id not in self.facilities for item in items]
        self.park([item for item, is_unknown in zip(items, unknown, strict=True) if is_unknown])
        return unknown

    async def parked(self, facility_id: str, sensor_id: str | None = None) -> list[StoredItem]:
        rows = [
            StoredItem(row_id, item)
            for row_id, item in self.parking.items()
            if item.facility_id == facility_id and sensor_id in {None, item.sensor_id} and item.kind != "refused"
        ]
        return sorted(rows, key=lambda row: (row.item.tracked_at_us or 0, row.id))

    async def reserve_sensor(self, sensor_id: str, facility_id: str) -> int | None:
        held = self.sensors.get(sensor_id)
        if held is not None:
            return held.sensor_no if held.facility_id == facility_id else None
        self._next_id += 1
        return self._next_id

    async def facility_ids(self) -> list[str]:
        return sorted(self.facilities)

    async def record_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        raise NotImplementedError

    async def write_engine_status(self, component: str, state: Mapping[str, Any]) -> None:
        raise NotImplementedError

    def entries(self, facility_id: str) -> list[LogEntry]:
        """Everything that was ever committed for a facility, in order."""
        return [entry for each in self.outcomes if each.facility_id == facility_id for entry in each.entries]


def away() -> StoreUnavailable:
    return StoreUnavailable("PostgreSQL is away")


def copy_rows(payload: bytes) -> list[tuple[int, int, str]]:
    """(sensor_no, tracked_at_us, text) of binary COPY tuples."""
    rows, at = [], 0
    while at < len(payload):
        (columns,) = struct.unpack_from("!h", payload, at)
        at += 2
        cells: list[bytes | None] = []
        for _ in range(columns):
            (size,) = struct.unpack_from("!i", payload, at)
            at += 4
            cells.append(None if size < 0 else payload[at : at + size])
            at += max(size, 0)
        assert cells[0] is not None and cells[1] is not None
        number, time_us = struct.unpack("!i", cells[0])[0], struct.unpack("!q", cells[1])[0] + _PG_EPOCH_US
        text = cells[3].decode() if cells[3] is not None else repr(struct.unpack("!d", cells[2] or b"")[0])
        rows.append((number, time_us, text))
    return rows


def setup(facility_id: str = "f", name: str = "Alpha") -> FacilitySetup:
    return FacilitySetup(facility_id, name, FacilityType.TANK_FARM, Location(None, 10.0, 59.0), T0_US)


def activation(
    sensor_id: str = "s", at_s: float = 0, facility_id: str = "f", kind: SensorType = SensorType.TEMPERATURE
) -> SensorActivation:
    place = Location("Quay 1", 10.0, 59.0)
    return SensorActivation(sensor_id, facility_id, kind, place, 15, T0_US + round(at_s * US_PER_S))


def deactivation(sensor_id: str = "s", at_s: float = 0, facility_id: str = "f") -> SensorDeactivation:
    return SensorDeactivation(sensor_id, facility_id, T0_US + round(at_s * US_PER_S))


def batch(*rows: tuple[str, float, str], facility_id: str = "f", received_s: float | None = None) -> bytes:
    """Rows (sensor_id, seconds after T0, data); received right after the newest unless said."""
    newest_s = max(at_s for _, at_s, _ in rows)
    received_us = T0_US + round((newest_s if received_s is None else received_s) * US_PER_S)
    return native.encode_batch(
        facility_id, [(sensor_id, T0_US + round(at_s * US_PER_S), data) for sensor_id, at_s, data in rows], received_us
    )


def reading_body(sensor_id: str, at_s: float, data: str, facility_id: str = "f") -> bytes:
    from engine.messages import time_text

    at = time_text(T0_US + round(at_s * US_PER_S))
    return json.dumps({"sensor_id": sensor_id, "facility_id": facility_id, "tracked_at": at, "data": data}).encode()
