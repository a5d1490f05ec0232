"""The files that the bench of a year lets `gasinsight import` take."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from bench.year_files import Year, write_files
from engine.exports.datasets import FACILITIES, SENSORS
from engine.imports.entities import missing_of
from engine.imports.known import Known
from engine.imports.report import Report
from engine.offline.tables import Table

END = datetime(2026, 11, 29, 2, tzinfo=UTC)


@pytest.mark.parametrize(("sensors", "whole"), [(10, 10), (11, 20)])
def test_the_files_are_what_an_import_takes(sensors: int, whole: int, tmp_path: Path) -> None:
    written = write_files(Year(sensors, 8, 3600), END, tmp_path)
    known, report = Known(set(), {}), Report()
    for dataset in (FACILITIES, SENSORS):
        name = f"{dataset.name}.parquet"
        missing_of(Table(pl.read_parquet(tmp_path / name), []), dataset, known, report, name)
    assert (report.facilities_made, report.sensors_made, report.refused) == (whole // 10, whole, {})
    names = sorted(path.name for path in tmp_path.glob("readings-*"))
    assert names == ["readings-00.parquet", "readings-01.parquet"]
    readings = pl.concat(pl.read_parquet(tmp_path / name) for name in names)
    assert readings.height == written == pytest.approx(whole * 8 * 24, rel=0.02)
    assert set(readings["sensor_id"]) == set(known.sensors)
    assert readings["tracked_at"].is_between(END - timedelta(days=8), END).all()
    assert readings["value"].equals(readings["value"].round(2))
