"""Facilities and sensors of an export: which can be made, and why others cannot."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from engine.exports.datasets import FACILITIES, SENSORS, Dataset
from engine.imports.entities import Row, missing_of
from engine.imports.known import Known, Sensor
from engine.imports.reasons import Reason
from engine.imports.report import Report
from engine.offline import FrameRefused
from engine.offline.tables import Table

START = datetime(2026, 1, 1, tzinfo=UTC)
START_US = int(START.timestamp()) * 1_000_000
PLACE = {"longitude": 7.5, "latitude": 51.25, "address": None}
FACILITY = {"facility_id": "f", "name": "North", "type": "TankFarm", "status": "Offline", "created_at": START, **PLACE}
SENSOR = {
    "facility_id": "g",
    "sensor_id": "s",
    "name": "Feed",
    "type": "Pressure",
    "status": "Inactive",
    "expected_freq": "1T",
    "expected_interval_s": 90,
    "installed_at": START,
    "status_changed_at": START,
    **PLACE,
}


def made(dataset: Dataset, frame: pl.DataFrame) -> tuple[list[Row], Report, Known]:
    known, report = Known({"g"}, {"there": Sensor(1, "h", "Flow", 60)}), Report()
    return missing_of(Table(frame, []), dataset, known, report, "x.parquet"), report, known


def one(dataset: Dataset, **changed: Any) -> pl.DataFrame:
    return pl.DataFrame([{**(FACILITY if dataset is FACILITIES else SENSOR), **changed}], strict=False)


def test_what_is_good_is_made_and_known_from_then_on() -> None:
    (row,), report, known = made(FACILITIES, one(FACILITIES))
    assert (row["created_at"], report.facilities_made, "f" in known.facilities) == (START_US, 1, True)
    (row,), report, known = made(SENSORS, one(SENSORS, longitude=None, latitude=None, expected_freq=None))
    assert (row["expected_freq"], row["longitude"], report.sensors_made) == ("1T", None, 1)
    assert known.sensors["s"] == Sensor(-2, "g", "Pressure", 90)


def test_texts_are_read_as_numbers_and_times() -> None:
    (row,), _, _ = made(
        SENSORS, one(SENSORS, installed_at="2026-01-01T00:00:00.000000Z").cast({"longitude": pl.String})
    )
    assert (row["installed_at"], row["longitude"], row["expected_interval_s"]) == (START_US, 7.5, 90)


def test_what_stands_twice_is_made_once() -> None:
    rows, report, _ = made(SENSORS, pl.concat([one(SENSORS)] * 2))
    assert (len(rows), report.sensors_made, report.already_there) == (1, 1, 1)


@pytest.mark.parametrize(
    ("dataset", "changed", "why"),
    [
        (FACILITIES, {"facility_id": ""}, "facility_id is empty"),
        (FACILITIES, {"name": "a\nb"}, "control character"),
        (FACILITIES, {"name": None}, "facility_name is missing"),
        (FACILITIES, {"type": "Moon"}, "facility_type"),
        (FACILITIES, {"status": "Fault"}, "status is 'Fault'; there are Active, Maintenance, Offline"),
        (FACILITIES, {"created_at": "soon"}, "created_at is 'soon'"),
        (FACILITIES, {"created_at": None}, "created_at is missing"),
        (FACILITIES, {"created_at": datetime(1969, 1, 1, tzinfo=UTC)}, "outside of the years"),
        (FACILITIES, {"longitude": None}, "longitude is missing"),
        (SENSORS, {"facility_id": "f"}, "there is no facility 'f'"),
        (SENSORS, {"sensor_id": "there"}, "there is a sensor 'there' in h"),
        (SENSORS, {"name": "x" * 513}, "has 513 bytes"),
        (SENSORS, {"type": "Moon"}, "sensor_type"),
        (SENSORS, {"status": "Offline"}, "status is 'Offline'"),
        (SENSORS, {"expected_interval_s": 0}, "signal_interval"),
        (SENSORS, {"expected_interval_s": float("inf")}, "a number was expected"),
        (SENSORS, {"expected_freq": "15S"}, "'15S' does not spell 90 s"),
        (SENSORS, {"longitude": float("nan")}, "longitude"),
        (SENSORS, {"latitude": "north"}, "a number was expected"),
    ],
)
def test_what_is_not_is_told(dataset: Dataset, changed: dict[str, Any], why: str) -> None:
    rows, report, _ = made(dataset, one(dataset, **changed))
    assert rows == []
    (told,) = report.refused[Reason.BAD_ENTITY].examples
    assert told.startswith("row 1 of x.parquet (")
    assert why in told


@pytest.mark.parametrize("spelled", ["90S", "1T", "1.5T"])
def test_the_spellings_of_an_interval_that_are_stored(spelled: str) -> None:
    rows, _, _ = made(SENSORS, one(SENSORS, expected_freq=spelled))
    assert len(rows) == (spelled != "1.5T")


def test_columns_of_other_kinds_are_refused() -> None:
    with pytest.raises(FrameRefused, match="name is Binary, an export has String there"):
        made(FACILITIES, one(FACILITIES, name=b"North"))
    with pytest.raises(FrameRefused, match="created_at is Int64"):
        made(FACILITIES, one(FACILITIES, created_at=1))
