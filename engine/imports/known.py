"""Which facilities and sensors the database has, so that rows find their sensor's number."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Final

import polars as pl

from engine.historian.queries import SQL
from engine.model import Detection

_FACILITIES: Final = "SELECT id FROM facilities ORDER BY id"
DETECTION: Final = tuple(each.name for each in fields(Detection))


@dataclass(frozen=True, slots=True)
class Sensor:
    """`number` below zero: it is not there yet, and would be made by what is looked at."""

    number: int
    facility_id: str
    type: str
    expected_interval_s: int
    detection: dict[str, float] = field(default_factory=dict)


@dataclass
class Known:
    """Sensors by their ids, which no two facilities share."""

    facilities: set[str]
    sensors: dict[str, Sensor]

    def plan_sensor(self, sensor_id: str, facility_id: str, kind: str, expected_interval_s: int) -> None:
        """It will be there."""
        self.sensors[sensor_id] = Sensor(-len(self.sensors) - 1, facility_id, kind, expected_interval_s)

    def numbers(self) -> pl.DataFrame:
        """To join rows with."""
        return pl.DataFrame(
            {
                "sensor_id": list(self.sensors),
                "home": [sensor.facility_id for sensor in self.sensors.values()],
                "sensor_no": [sensor.number for sensor in self.sensors.values()],
                "type": [sensor.type for sensor in self.sensors.values()],
            },
            schema={"sensor_id": pl.String, "home": pl.String, "sensor_no": pl.Int32, "type": pl.String},
        )


async def known(connection: Any) -> Known:
    """Also those that are retired: their past is as good as anybody's."""
    facilities = {row["id"] for row in await connection.fetch(_FACILITIES)}
    sensors = {}
    for facility_id in facilities:
        for row in await connection.fetch(SQL["sensors_of"], facility_id):
            detection = {name: row[name] for name in DETECTION if row[name] is not None}
            facts = (row["sensor_no"], facility_id, row["type"], row["signal_interval_s"])
            sensors[row["id"]] = Sensor(*facts, detection)
    return Known(facilities, sensors)
