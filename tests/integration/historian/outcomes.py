"""Material for the historian's tests: readings as COPY tuples, outcomes, facilities with sensors."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace

from engine.historian.port import Creation, HistorianPort
from engine.model import (
    AlarmEvent,
    AlertType,
    CommitAnswer,
    DeadLetter,
    EntityChange,
    EntryKind,
    FacilitySetup,
    FacilityState,
    FacilityType,
    Location,
    LogEntry,
    Outcome,
    SensorActivation,
    SensorType,
    Verdict,
)

T0_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
MINUTE_US = 60_000_000
_EPOCH_2000_US = 946_684_800_000_000
PLACE = Location(None, 10.0, 50.0)

Reading = tuple[int, int, float | None, str | None]  # sensor_no, tracked_at_us, value, text


def copy_rows(readings: Sequence[Reading], flags: int = 0) -> bytes:
    """Binary COPY tuples as the native core makes them."""
    parts = []
    for sensor_no, tracked_at_us, value, text in readings:
        parts.append(struct.pack(">hiiiq", 6, 4, sensor_no, 8, tracked_at_us - _EPOCH_2000_US))
        parts.append(struct.pack(">i", -1) if value is None else struct.pack(">id", 8, value))
        encoded = None if text is None else text.encode()
        parts.append(struct.pack(">i", -1) if encoded is None else struct.pack(">i", len(encoded)) + encoded)
        parts.append(struct.pack(">ifih", 4, 0.5, 2, flags))
    return b"".join(parts)


def outcome(
    state: FacilityState,
    commit_no: int,
    readings: Sequence[Reading] = (),
    events: Sequence[AlarmEvent] = (),
    flags: int = 0,
) -> Outcome:
    return Outcome(
        facility_id=state.config.facility_id,
        epoch=state.epoch,
        entries=(LogEntry(commit_no, EntryKind.BATCH, b"batch %d" % commit_no),),
        copy_rows=copy_rows(readings, flags),
        rows=len(readings),
        dirty_minutes=tuple(sorted({time_us - time_us % MINUTE_US for _, time_us, _, _ in readings})),
        events=tuple(events),
    )


def event(
    sensor_no: int,
    event_time_us: int = T0_US,
    transition: str = "activated",
    rule: str = "high",
    late: bool = False,
    only_if_stored: tuple[int, int] | None = None,
) -> AlarmEvent:
    return AlarmEvent(
        alarm_key=f"{sensor_no}:{rule}",
        sensor_no=sensor_no,
        rule=rule,
        transition=transition,
        event_time_us=event_time_us,
        rule_version=1,
        priority="high",
        alert_type=AlertType.ANOMALY,
        value=26.0,
        limit=25.0,
        score=None,
        message="Problem detected",
        explanation_json='{"rule": "high"}',
        late=late,
        only_if_stored=only_if_stored,
    )


def setup(facility_id: str) -> FacilitySetup:
    return FacilitySetup(facility_id, f"Facility {facility_id}", FacilityType.PIPELINES, PLACE, T0_US)


def dead_letter(body: str, facility_id: str = "f") -> DeadLetter:
    """A bad row of a good message."""
    identity = ("refused", facility_id, "s", "None", body)
    return DeadLetter("row", "", "missing_field", "data", body, facility_id, "s", identity)


def activation(facility_id: str, sensor_id: str, expected_interval_s: int = 15) -> SensorActivation:
    return SensorActivation(sensor_id, facility_id, SensorType.TEMPERATURE, PLACE, expected_interval_s, T0_US)


async def facility_with_sensors(
    historian: HistorianPort, facility_id: str, sensors: int = 1
) -> tuple[FacilityState, list[int]]:
    """Create it and commit its sensors as commit 1 of the first epoch; the state as loaded, and the sensor numbers."""
    assert await historian.create_facility(setup(facility_id)) is Creation.MADE
    state = await load(historian, facility_id)
    numbers = []
    changes = []
    for index in range(sensors):
        sensor_id = f"{facility_id}-s{index}"
        sensor_no = await reserved(historian, sensor_id, facility_id)
        numbers.append(sensor_no)
        changes.append(
            EntityChange("insert_sensor", sensor_id, activation=activation(facility_id, sensor_id), sensor_no=sensor_no)
        )
    answer = await historian.commit(replace(outcome(state, 1), changes=tuple(changes)))
    assert answer.verdict is Verdict.COMMITTED, answer
    return state, numbers


async def reserved(historian: HistorianPort, sensor_id: str, facility_id: str) -> int:
    number = await historian.reserve_sensor(sensor_id, facility_id)
    assert isinstance(number, int)
    return number


async def load(historian: HistorianPort, facility_id: str) -> FacilityState:
    state = await historian.load(facility_id)
    assert state is not None
    return state


async def committed(historian: HistorianPort, wanted: Outcome) -> CommitAnswer:
    answer = await historian.commit(wanted)
    assert answer.verdict is Verdict.COMMITTED, answer
    return answer


async def facility_of_types(
    historian: HistorianPort, facility_id: str, types: Sequence[SensorType]
) -> tuple[FacilityState, list[int]]:
    """One sensor of each type, as the first two commits."""
    state, _ = await facility_with_sensors(historian, facility_id)
    numbers, changes = [], []
    for sensor_type in types:
        sensor_id = f"{facility_id}-{sensor_type}"
        sensor_no = await historian.reserve_sensor(sensor_id, facility_id)
        assert isinstance(sensor_no, int)
        numbers.append(sensor_no)
        of_type = replace(activation(facility_id, sensor_id), type=sensor_type)
        changes.append(EntityChange("insert_sensor", sensor_id, activation=of_type, sensor_no=sensor_no))
    await committed(historian, replace(outcome(state, 2), changes=tuple(changes)))
    return state, numbers
