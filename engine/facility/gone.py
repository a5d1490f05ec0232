"""Sensors of a facility that are retired or were removed: what comes for them has no effect, and is told once each.

A sensor counts again when an activation arrives that is dated later; readings alone do not bring it back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from engine.facility.payloads import parked_reading
from engine.model import REFUSED, DeadLetter, SensorConfig

RETIRED_SENSOR: Final = "retired_sensor"
REMOVED_SENSOR: Final = "removed_sensor"
REMOVED_FACILITY: Final = "removed_facility"

UnknownRow = tuple[str, int, str]
"""sensor_id, tracked_at_us, data of a reading whose sensor the core does not know."""


class Gone:
    """Of one loaded facility. `removed`: when each sensor was; `removed_us`: when a facility of the same id was.

    counts   rows of the present step without effect, by reason
    """

    def __init__(self, removed: Mapping[str, int], removed_us: int) -> None:
        self._removed = removed
        self._removed_us = removed_us
        self._told: set[tuple[str, str]] = set()
        self._telling: set[tuple[str, str]] = set()
        self.counts: Counter[str] = Counter()

    def reason_of(self, sensor_id: str, tracked_at_us: int) -> str | None:
        """Why an activation or deactivation of a sensor that is not there comes too late."""
        if tracked_at_us <= self._removed.get(sensor_id, -1):
            return REMOVED_SENSOR
        return REMOVED_FACILITY if tracked_at_us <= self._removed_us else None

    def parted(
        self, unknown: Sequence[UnknownRow], sensors: Mapping[str, SensorConfig]
    ) -> tuple[list[UnknownRow], list[tuple[UnknownRow, str]]]:
        """Rows that wait for their sensor, and rows without effect with the reason."""
        self.counts.clear()
        self._telling.clear()
        waiting, idle = [], []
        for row in unknown:
            if (reason := self._reason_of_reading(row, sensors)) is None:
                waiting.append(row)
            else:
                idle.append((row, reason))
                self.counts[reason] += 1
        return waiting, idle

    def letters(self, facility_id: str, idle: Sequence[tuple[UnknownRow, str]]) -> list[DeadLetter]:
        """One a sensor and reason, for the first row that was not told of."""
        found = []
        for row, reason in idle:
            key = (row[0], reason)
            if key in self._told or key in self._telling:
                continue
            self._telling.add(key)
            detail = "reading: an activation that is dated later would make its sensor count again"
            body = parked_reading(facility_id, *row).body
            identity = (REFUSED, reason, "reading", facility_id, row[0])
            found.append(DeadLetter(REFUSED, "", reason, detail, body, facility_id, row[0], identity))
        return found

    def told(self) -> None:
        """The step's dead letters are stored."""
        self._told |= self._telling

    def _reason_of_reading(self, row: UnknownRow, sensors: Mapping[str, SensorConfig]) -> str | None:
        sensor = sensors.get(row[0])
        if sensor is not None:
            return RETIRED_SENSOR if sensor.is_retired else None
        if row[0] in self._removed:
            return REMOVED_SENSOR
        return REMOVED_FACILITY if row[1] <= self._removed_us else None
