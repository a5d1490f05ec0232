"""A facility's core on its way through its log: as it was lived, or with other settings. Pure of input and output."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import native
from engine.facility.payloads import ALARM_SETTINGS, RULES_VERSION, alarm_events, told_latched
from engine.model import AlarmEvent, EntryKind, LogEntry
from engine.replay.proposing import Settings
from engine.replay.rows import Told, of_event


@dataclass(frozen=True, slots=True)
class Step:
    """What one outcome put into the log. `not_stored`: which of its readings were there before."""

    entries: tuple[LogEntry, ...]
    not_stored: frozenset[tuple[int, int]]
    recorded_at_us: int

    @property
    def last_no(self) -> int:
        return self.entries[-1].commit_no


class Course:
    """`settings`: what sensors have instead of what the log says, and `groups` beside them; None: as it says."""

    def __init__(
        self, facility_id: str, core_settings: str, settings: Mapping[str, Settings] | None, groups: Settings
    ) -> None:
        self._facility_id = facility_id
        self._core_settings = core_settings
        self._settings = settings
        self._groups = groups
        self._core = native.FacilityCore(facility_id, core_settings)
        self.readings = self.entries = self.refused_commands = 0

    @property
    def is_other(self) -> bool:
        """Whether it goes another way than the log."""
        return self._settings is not None

    def go_on_from(self, state: bytes, at_us: int) -> None:
        """A kept checkpoint, with the other settings at once. Raises what a snapshot that cannot be read raises."""
        self._core = native.FacilityCore.restore(self._facility_id, state, self._core_settings)
        if self._settings is None:
            return
        known = [
            {"op": "upsert", "sensor_id": id_, "sensor_no": no, "type": kind, "expected_interval_s": interval_s,
             "status": status, **self._settings[id_]}
            for id_, no, kind, interval_s, status in self._core.known_sensors()
            if id_ in self._settings
        ]  # fmt: skip
        config = {"version": RULES_VERSION, "at_us": at_us, "sensors": known, "groups": self._groups}
        self._core.replay(EntryKind.CONFIG.value, json.dumps(config).encode())

    def take(self, steps: Sequence[Step], from_us: int) -> list[Told]:
        """What the core tells of these steps, from `from_us` on; before, it is led there silently."""
        told: list[Told] = []
        for step in steps:
            if step.recorded_at_us < from_us:
                self._lead(step)
            else:
                told += [of_event(event) for event in self._live(step)]
        return told

    def _lead(self, step: Step) -> None:
        for entry in step.entries:
            self._core.replay(entry.kind.value, self._payload(entry))

    def _live(self, step: Step) -> list[AlarmEvent]:
        """As `Facility` makes events of a step, and the historian drops those of readings that were there before."""
        effects = [effect for entry in step.entries if (effect := self._effect(entry)) is not None]
        events = alarm_events(effects)
        if not events:
            return []
        events = told_latched(events, self._core.alarms())
        if step.entries[0].kind is EntryKind.COMMAND:
            command_id = json.loads(step.entries[0].payload)["command_id"]
            events = [replace(event, command_id=command_id) for event in events]
        return [event for event in events if event.only_if_stored not in step.not_stored]

    def _effect(self, entry: LogEntry) -> native.Effects | None:
        self.entries += 1
        if entry.kind is EntryKind.BATCH:
            self.readings += native.batch_info(entry.payload)[1]
        try:
            return self._core.apply(entry.kind.value, self._payload(entry))
        except native.PayloadError:
            if entry.kind is not EntryKind.COMMAND:
                raise
            self.refused_commands += 1  # of an alarm that the other settings do not have, or too long for today
            return None

    def _payload(self, entry: LogEntry) -> bytes:
        if self._settings is None or entry.kind is not EntryKind.CONFIG:
            return entry.payload
        config = json.loads(entry.payload)
        config["sensors"] = [self._otherwise(sensor) for sensor in config.get("sensors", ())]
        if config.get("complete") or "groups" in config:
            config["groups"] = self._groups
        return json.dumps(config).encode()

    def _otherwise(self, sensor: dict[str, Any]) -> dict[str, Any]:
        assert self._settings is not None
        settings = self._settings.get(sensor["sensor_id"])
        if settings is None:  # it was removed since, so nobody has settings for it
            return sensor
        return {**{name: value for name, value in sensor.items() if name not in _SET}, **settings}


_SET = {"detection", *ALARM_SETTINGS}
