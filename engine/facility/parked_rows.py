"""Rows of the parking table, sorted by what they are waiting to become."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import structlog

from engine import messages
from engine.errors import InputRefused
from engine.facility import payloads
from engine.historian.port import StoredItem
from engine.model import SensorActivation, SensorDeactivation

ReadingRow = tuple[str, int, str]
"""(sensor_id, tracked_at_us, data) as `native.encode_batch` takes it."""

log = structlog.get_logger()


@dataclass(slots=True)
class ParkedRows:
    """Each with its row id, in event-time order. A row that can no longer be read stays where it is and is logged."""

    activations: list[tuple[int, SensorActivation]] = field(default_factory=list)
    deactivations: list[tuple[int, SensorDeactivation]] = field(default_factory=list)
    readings: list[tuple[int, ReadingRow]] = field(default_factory=list)

    @classmethod
    def sorted_from(cls, stored: Iterable[StoredItem]) -> ParkedRows:
        """Take `stored` apart."""
        parked = cls()
        for held in sorted(stored, key=lambda held: (held.item.tracked_at_us or 0, held.id)):
            try:
                parked._add(held)
            except (InputRefused, ValueError, KeyError, TypeError) as error:
                log.error("parked_row_unreadable", id=held.id, kind=held.item.kind, error=str(error))
        return parked

    def of_sensors(self, sensor_ids: Collection[str]) -> ParkedRows:
        """Those of the given sensors only."""
        return ParkedRows(
            [(row_id, message) for row_id, message in self.activations if message.sensor_id in sensor_ids],
            [(row_id, message) for row_id, message in self.deactivations if message.sensor_id in sensor_ids],
            [(row_id, reading) for row_id, reading in self.readings if reading[0] in sensor_ids],
        )

    def _add(self, held: StoredItem) -> None:
        item = held.item
        if item.kind == "activation":
            self.activations.append((held.id, messages.activation_of(item.body.encode())))
        elif item.kind == "deactivation":
            self.deactivations.append((held.id, messages.deactivation_of(item.body.encode())))
        elif item.kind == "reading" and item.tracked_at_us is not None:
            self.readings.append((held.id, (item.sensor_id, item.tracked_at_us, payloads.reading_data(item))))
