"""The simulated field as files that `gasinsight import` takes: its facilities, its sensors, a year of readings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from engine.clock import US_PER_S
from engine.exports.datasets import FACILITIES, SENSORS, UTC_TIME, schema_of
from engine.historian.group import expected_freq
from engine.hub.field import Field, FieldOptions

SENSORS_EACH = 10
DAYS_A_FILE = 7
DAY_S = 86_400
SEED = 9


@dataclass(frozen=True, slots=True)
class Year:
    """As much of a year as is asked for: `sensors` (whole facilities of 10), each with a reading every `interval_s`."""

    sensors: int
    days: int
    interval_s: int

    def field(self, begin: datetime) -> Field:
        facilities = -(-self.sensors // SENSORS_EACH)
        rate = facilities * SENSORS_EACH / self.interval_s
        options = FieldOptions(facilities, SENSORS_EACH, rate, SEED, faults="none")
        return Field(options, round(begin.timestamp()) * US_PER_S)


def write_files(year: Year, end: datetime, folder: Path) -> int:
    """How many readings there are in them."""
    begin = end - timedelta(days=year.days)
    field = year.field(begin)
    _write_entities(field, year.interval_s, begin, folder)
    ids = pl.Series("sensor_id", [sensor.sensor_id for sensor in field.roster.sensors])
    readings = 0
    for number, rows in enumerate(_weeks(field, year.days)):
        frame = pl.DataFrame(rows, schema={"at_us": pl.Int64, "place": pl.UInt32, "value": pl.Float64}, orient="row")
        readings += frame.height
        frame.select(
            pl.col("at_us").cast(UTC_TIME).alias("tracked_at"),
            pl.col("value").round(2),  # as the hub sends it
            ids.gather(frame["place"]),
        ).write_parquet(folder / f"readings-{number:02}.parquet")
    return readings


def _weeks(field: Field, days: int) -> Iterator[list[tuple[int, int, float]]]:
    for day in range(DAYS_A_FILE, days + DAYS_A_FILE, DAYS_A_FILE):
        yield field.values(min(day, days) * DAY_S)


def _write_entities(field: Field, interval_s: int, begin: datetime, folder: Path) -> None:
    facilities, begun = field.roster.facilities, begin.astimezone(UTC)
    of_facilities = [
        {
            "facility_id": each.facility_id,
            "name": each.name,
            "type": each.type.value,
            "status": "Active",
            "created_at": begun,
            "longitude": each.longitude,
            "latitude": each.latitude,
            "address": each.address,
        }
        for each in facilities
    ]
    of_sensors = [
        {
            "facility_id": facilities[each.facility].facility_id,
            "sensor_id": each.sensor_id,
            "name": f"{each.type.value} {place}",
            "type": each.type.value,
            "status": "Active",
            "expected_freq": expected_freq(interval_s),
            "expected_interval_s": interval_s,
            "installed_at": begun,
            "status_changed_at": begun,
            "longitude": None,
            "latitude": None,
            "address": None,
        }
        for place, each in enumerate(field.roster.sensors)
    ]
    pl.DataFrame(of_facilities, schema=schema_of(FACILITIES.columns)).write_parquet(folder / "facilities.parquet")
    pl.DataFrame(of_sensors, schema=schema_of(SENSORS.columns)).write_parquet(folder / "sensors.parquet")
