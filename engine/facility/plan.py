"""Turns activations and deactivations into changes of a facility's sensors, in whatever order they arrive.

A status change applies only if it is newer than the last one applied; a redelivered or overtaken message has no effect.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from engine.facility.gone import Gone
from engine.facility.port import SensorMessage
from engine.facility.refusals import refused_message
from engine.historian.port import Unreserved
from engine.model import (
    DeadLetter,
    Detection,
    EntityChange,
    SensorActivation,
    SensorConfig,
    SensorDeactivation,
    SensorStatus,
    SensorType,
)
from engine.settings import Settings


class SensorPlan:
    """What a facility's sensors will be, on top of what they are; nothing is real before it is committed.

    sensors   all sensors as they will be
    changes   rows to write, in order
    arrivals  ids of sensors that are new with this plan
    to_park   deactivations whose sensor is not known yet
    ignored   messages without effect, by reason
    refused   activations that find no place
    """

    def __init__(
        self,
        facility_id: str,
        sensors: Mapping[str, SensorConfig],
        numbers: Mapping[str, int | Unreserved],
        detection: Mapping[SensorType, Detection],
        rules: Mapping[SensorType, Mapping[str, object]],
        *,
        gone: Gone,
        settings: Settings,
    ) -> None:
        self._facility_id = facility_id
        self._numbers = numbers
        self._detection = detection
        self._rules = rules
        self._gone = gone
        self._settings = settings
        self._touched: dict[str, SensorConfig] = {}
        self.sensors = dict(sensors)
        self.changes: list[EntityChange] = []
        self.arrivals: set[str] = set()
        self.to_park: list[SensorDeactivation] = []
        self.ignored: Counter[str] = Counter()
        self.refused: list[DeadLetter] = []

    def add_all(self, messages: Iterable[SensorMessage]) -> None:
        """Plan for each message in turn."""
        for message in messages:
            if isinstance(message, SensorActivation):
                self._activate(message)
            else:
                self._deactivate(message)

    def take_upserts(self) -> list[SensorConfig]:
        """Sensors the core must be told about since the last call."""
        taken, self._touched = list(self._touched.values()), {}
        return taken

    def take_changes(self) -> tuple[EntityChange, ...]:
        """Rows to write since the last call."""
        taken, self.changes = tuple(self.changes), []
        return taken

    def _activate(self, message: SensorActivation) -> None:
        sensor = self.sensors.get(message.sensor_id)
        if sensor is None:
            self._arrive(message)
        elif sensor.status not in {SensorStatus.ACTIVE, SensorStatus.INACTIVE}:
            self.ignored["known_sensor"] += 1
        elif message.tracked_at_us <= sensor.status_changed_at_us:
            self.ignored["known_sensor" if sensor.status is SensorStatus.ACTIVE else "older_status_change"] += 1
        else:
            # Also for an Active sensor: a deactivation that is older than this activation must not win later.
            self._set_status(sensor, SensorStatus.ACTIVE, message.tracked_at_us)

    def _deactivate(self, message: SensorDeactivation) -> None:
        sensor = self.sensors.get(message.sensor_id)
        if sensor is None:
            if reason := self._gone.reason_of(message.sensor_id, message.tracked_at_us):
                self.ignored[reason] += 1
            else:
                self.to_park.append(message)
        elif message.tracked_at_us <= sensor.status_changed_at_us:
            self.ignored["older_status_change"] += 1
        else:
            self._set_status(sensor, SensorStatus.INACTIVE, message.tracked_at_us)

    def _arrive(self, message: SensorActivation) -> None:
        if reason := self._gone.reason_of(message.sensor_id, message.tracked_at_us):
            self.ignored[reason] += 1
            return
        sensor_no = self._numbers[message.sensor_id]
        if sensor_no is Unreserved.ELSEWHERE:
            self.ignored[sensor_no.value] += 1
            return
        if sensor_no is Unreserved.NO_ROOM:
            detail = f"there are {self._settings.sensors_max} sensors, the most there may be"
            self.refused.append(refused_message(message, sensor_no.value, detail))
            return
        if len(self.sensors) >= self._settings.sensors_per_facility_max:
            detail = f"the facility has {len(self.sensors)} sensors, the most there may be"
            self.refused.append(refused_message(message, "sensors_per_facility_max", detail))
            return
        sensor = SensorConfig(
            sensor_id=message.sensor_id,
            sensor_no=sensor_no,
            facility_id=self._facility_id,
            name=f"Sensor {message.sensor_id}",
            type=message.type,
            status=SensorStatus.ACTIVE,
            expected_interval_s=message.expected_interval_s,
            installed_at_us=message.tracked_at_us,
            status_changed_at_us=message.tracked_at_us,
            detection=self._detection.get(message.type, Detection()),
            settings=self._rules.get(message.type, {}),
        )
        self.sensors[sensor.sensor_id] = self._touched[sensor.sensor_id] = sensor
        self.arrivals.add(sensor.sensor_id)
        self.changes.append(EntityChange("insert_sensor", sensor.sensor_id, activation=message, sensor_no=sensor_no))

    def _set_status(self, sensor: SensorConfig, status: SensorStatus, changed_at_us: int) -> None:
        is_retired = sensor.is_retired and status is not SensorStatus.ACTIVE
        changed = replace(sensor, status=status, status_changed_at_us=changed_at_us, is_retired=is_retired)
        self.sensors[sensor.sensor_id] = changed
        if status is not sensor.status:
            self._touched[sensor.sensor_id] = changed
        self.changes.append(EntityChange("sensor_status", sensor.sensor_id, status=status, changed_at_us=changed_at_us))
