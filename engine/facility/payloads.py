"""What goes into the core and the parking table, as bytes and text. Pure; the core's side of it is in `native`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime

import native
from engine.clock import US_PER_S
from engine.live import LiveFrame
from engine.model import AlarmCommand, AlarmEvent, AlertType, ParkedItem, SensorConfig
from engine.settings import TICK_GAP_TICKS, Settings

RULES_VERSION = 1
"""Version of the alarm rules a sensor type has by default; part of the journal's unique key."""

ALARM_SETTINGS = ("rules", "profile", "unit", "number_format")
"""What of a sensor's settings the core reads."""

_OF_THE_CORE = [each.name for each in fields(AlarmEvent) if each.name != "command_id"]
RETIRED = "Retired"
"""What the core calls a sensor that it shall end the alarms of and forget."""


def core_settings(settings: Settings) -> str:
    """The settings that shape what the core does."""
    return json.dumps(
        {
            "late_alarm_s_max": settings.late_alarm_s_max,
            "stale_intervals": settings.stale_intervals,
            "stale_s_min": settings.stale_s_min,
            "tick_gap_s_max": TICK_GAP_TICKS * settings.tick_s,
            "shelve_s_max": settings.shelve_s_max,
        }
    )


def config_payload(
    sensors: Iterable[SensorConfig],
    *,
    facility_name: str | None = None,
    groups: Mapping[str, object] | None = None,
    at_us: int,
) -> bytes:
    """A configuration change: these sensors are so from now on.

    With a `facility_name` they are all that there are, and so are the groups; the core lets go of any other.
    """
    upserts = [_upsert(sensor) for sensor in sensors]
    is_complete = facility_name is not None
    config: dict[str, object] = {
        "version": RULES_VERSION,
        "facility_name": facility_name,
        "at_us": at_us,
        "sensors": upserts,
    }
    config |= {"complete": True} if is_complete else {}
    config |= {"groups": groups} if groups else {}
    return json.dumps(config, separators=(",", ":")).encode()


def _upsert(sensor: SensorConfig) -> dict[str, object]:
    upsert: dict[str, object] = {
        "op": "upsert",
        "sensor_id": sensor.sensor_id,
        "sensor_no": sensor.sensor_no,
        "type": sensor.type.value,
        "expected_interval_s": sensor.expected_interval_s,
        "status": RETIRED if sensor.is_retired else sensor.status.value,
    }
    detection = {name: value for name, value in asdict(sensor.detection).items() if value is not None}
    alarms = {name: sensor.settings[name] for name in ALARM_SETTINGS if sensor.settings.get(name) is not None}
    return {**upsert, **({"detection": detection} if detection else {}), **alarms}


def tick_payload(watermark_us: int) -> bytes:
    """Time itself: the queue has been read up to here."""
    return b'{"watermark_us":%d}' % watermark_us


def command_payload(command: AlarmCommand) -> bytes:
    """What a person asks of an alarm of this facility."""
    asked = {name: value for name, value in asdict(command).items() if name != "facility_id"}
    return json.dumps(asked, separators=(",", ":")).encode()


def parked_reading(
    facility_id: str, sensor_id: str, tracked_at_us: int, data: str, reason: str = "unknown_sensor"
) -> ParkedItem:
    """A reading that waits for its parent; the body is one that `reading_data` and the bus understand."""
    body = json.dumps(
        {
            "sensor_id": sensor_id,
            "facility_id": facility_id,
            "tracked_at": iso_utc(tracked_at_us),
            "data": data,
        },
        ensure_ascii=False,
    )
    return ParkedItem("reading", facility_id, sensor_id, tracked_at_us, body, reason)


def parked_readings(batch: bytes, reason: str) -> list[ParkedItem]:
    """Every reading of a batch as a row for the parking table."""
    return [
        parked_reading(row["facility_id"], row["sensor_id"], row["tracked_at_us"], row["data"], reason)
        for row in native.batch_rows(batch)
    ]


def reading_data(item: ParkedItem) -> str:
    """The `data` text of a parked reading, as it was received."""
    data = json.loads(item.body)["data"]
    return data if isinstance(data, str) else json.dumps(data)


def alarm_events(effects: Sequence[native.Effects]) -> list[AlarmEvent]:
    """The transitions of a step's inputs, one after the other.

    A late violation counts only if its reading is new, also to the inputs before it in the same step.
    """
    found: list[AlarmEvent] = []
    before: set[tuple[int, int]] = set()
    looked_at = 0
    for number, effect in enumerate(effects):
        events = _alarm_events(effect)
        if number and any(event.only_if_stored is not None for event in events):
            for earlier in effects[looked_at:number]:
                before.update((sensor_no, time_us) for _, sensor_no, time_us, _ in earlier.live())
            looked_at = number
            events = [event for event in events if event.only_if_stored not in before]
        found += events
    return found


def told_latched(events: Sequence[AlarmEvent], alarms: Iterable[native.AlarmState]) -> list[AlarmEvent]:
    """Activations say so where their alarm stays until it is reset: the journal is all that its present knows."""
    latched = {alarm.alarm_key for alarm in alarms if alarm.latched}

    def told(event: AlarmEvent) -> AlarmEvent:
        if event.alarm_key not in latched or not event.transition.startswith("activated"):
            return event
        return replace(event, explanation_json=json.dumps(json.loads(event.explanation_json) | {"latched": True}))

    return [told(event) for event in events]


def live_frames(effects: Sequence[native.Effects], not_stored: Iterable[tuple[int, int]]) -> list[LiveFrame]:
    """The stored readings of a step for those who watch, each once."""
    frames: dict[tuple[int, int], LiveFrame] = {}
    for effect in effects:
        for sensor_id, sensor_no, time_us, frame in effect.live(not_stored):
            frames.setdefault((sensor_no, time_us), (sensor_id, time_us, frame))
    return list(frames.values())


def _alarm_events(effects: native.Effects) -> list[AlarmEvent]:
    """The core's transitions as rows of the journal; it calls their fields by the same names."""
    told = [{name: getattr(event, name) for name in _OF_THE_CORE} for event in effects.events]
    return [AlarmEvent(**event | {"alert_type": AlertType(event["alert_type"])}) for event in told]


def iso_utc(time_us: int) -> str:
    """A time as the hub writes it: UTC, microseconds, no suffix."""
    seconds, fraction_us = divmod(time_us, US_PER_S)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{fraction_us:06d}"
