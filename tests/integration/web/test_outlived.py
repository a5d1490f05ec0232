"""Histories go as far back as rollups are kept, also where readings are kept for less long."""

from __future__ import annotations

import asyncio
import io
import random
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import pytest_asyncio

from engine.clock import ManualClock
from engine.historian.historian import Historian
from engine.notebook import Database, scan_records, scan_rollups
from engine.settings import Settings
from tests.integration.web.harness import Web, web_server
from tests.integration.web.test_records import DAY, EPOCH, Readings, grid, same_text
from tests.integration.web.test_rollups import roll_up
from web.history import grid_readings, line, slices

pytestmark = pytest.mark.postgres
DAYS, KEPT_DAYS = 8, 3
KEPT_FROM = DAY + timedelta(days=DAYS - KEPT_DAYS)
MINUTE = timedelta(minutes=1)
PEAK = DAY + timedelta(days=1, hours=13, minutes=7)
OVER_ALL = {"start_date": f"{DAY:%F}", "end_date": f"{DAY + timedelta(days=DAYS - 1):%F}"}


def measured() -> Readings:
    """Every five minutes, with a hole of two days and some texts; one peak, a trough in its minute."""
    chance = random.Random(3)
    times = [DAY + 5 * n * MINUTE for n in range(DAYS * 288)]
    hole = DAY + timedelta(days=2, hours=10), DAY + timedelta(days=4, hours=9)
    readings = [(at, f"{chance.gauss(20, 1):.3f}") for at in times if not hole[0] <= at < hole[1]]
    readings = [(at, "OPEN" if number % 50 == 49 else text) for number, (at, text) in enumerate(readings)]
    return sorted([*readings, (PEAK, "99.5"), (PEAK + timedelta(seconds=20), "-99.5")])


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        await running.facility("f")
        await running.readings(await running.sensor("s", "f", freq="5T", expected_interval_s=300), *measured())
        await roll_up(database_url)
        await running.sensor("none", "f")
        yield running


async def let_go(database_url: str, **kept: int) -> None:
    """What the engine does with days that are kept no longer."""
    now_us = (DAY + timedelta(days=DAYS, hours=5) - EPOCH) // timedelta(microseconds=1)
    ages: list[dict[str, Any]] = [{"retention_days": 400}, {"retention_days": KEPT_DAYS, **kept}]
    for each in ages:
        settings = Settings(_env_file=None, database_url=database_url, **each)
        historian = await Historian.open(database_url, settings, ManualClock(now_us))
        await historian.maintain(lambda _: None)
        await historian.close()


def ways(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    if way == "slices":
        monkeypatch.setattr(slices, "SLICE_CELLS", 7)
    if way == "rollups":
        for name in ("WORTH_READINGS", "CELL_ROWS"):
            monkeypatch.setattr(grid_readings, name, -1)


@pytest.mark.parametrize("way", ["readings", "slices", "rollups"])
@pytest.mark.parametrize(("freq", "aggregation"), [("1H", "mean"), ("7H", "max"), ("1D", "min"), ("50H", "mean")])
async def test_cells_show_what_they_showed_when_the_readings_were_there(
    web: Web, database_url: str, way: str, freq: str, aggregation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways(monkeypatch, way)
    admin = await web.admin()
    query = {**OVER_ALL, "freq": freq, "aggregation": aggregation, "with": "n,good_fraction"}
    before = await grid(web, admin, "s", **query)
    await let_go(database_url)
    assert await web.database.fetchval("SELECT min(tracked_at) FROM sensor_records") == KEPT_FROM
    after = await grid(web, admin, "s", **query)
    assert after["analytics"] == pytest.approx(before["analytics"], rel=1e-11)
    assert len(after["records"]) == len(before["records"])
    repeated = 0
    for one, other in zip(before["records"], after["records"], strict=True):
        if other["data"] is None and one["n"] == 0:
            repeated += one["data"] is not None  # a reading that has gone is repeated by no cell
            continue
        assert same_text(other.pop("data"), one.pop("data")) and other == one
    assert repeated <= (freq == "1H")


@pytest.mark.parametrize("way", ["whole", "cells"])
async def test_a_line_keeps_its_peaks(web: Web, database_url: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "READINGS_MAX", 20_000 if way == "whole" else -1)
    admin = await web.admin()
    await let_go(database_url)
    body = await grid(web, admin, "s", **OVER_ALL, max_points="60", downsample="minmax")
    points = [(datetime.fromisoformat(record["tracked_at"]), float(record["data"])) for record in body["records"]]
    assert points == sorted(points) and len(points) <= 60
    assert points[0][0] == DAY and sum(at < KEPT_FROM for at, _ in points) > 20
    peaks = {value: at for at, value in points if abs(value) > 50}
    assert peaks.keys() == {99.5, -99.5}
    assert all(timedelta(0) <= at - PEAK < timedelta(seconds=1) for at in peaks.values()), "in their minute"
    readings = {(at, float(text)) for at, text in measured() if text != "OPEN"}
    assert {point for point in points if point[0] >= KEPT_FROM} <= readings
    assert {value for _, value in points} <= {value for _, value in readings}


async def test_where_nothing_is_kept_nothing_is_shown(web: Web, database_url: str) -> None:
    admin = await web.admin()
    await let_go(database_url, minute_rollups_days=KEPT_DAYS, hour_rollups_days=KEPT_DAYS)
    for step, begins in (("30T", KEPT_FROM), ("12H", KEPT_FROM), ("1D", DAY)):  # cells of less than a day have no day
        body = await grid(web, admin, "s", **OVER_ALL, freq=step)
        assert datetime.fromisoformat(body["records"][0]["tracked_at"]) == DAY or step != "1D"
        told = [datetime.fromisoformat(each["tracked_at"]) for each in body["records"] if each["data"] is not None]
        assert told[0] == begins
    gone = {"start_date": f"{DAY:%F}", "end_date": f"{DAY:%F}"}
    assert (await grid(web, admin, "s", **gone, freq="1H"))["records"] == []
    assert len((await grid(web, admin, "s", **gone, freq="1D"))["records"]) == 1
    assert (await grid(web, admin, "none", **OVER_ALL, freq="1D"))["records"] == []
    assert len((await grid(web, admin, "s", **gone, max_points="9", downsample="minmax"))["records"]) == 0


async def test_exports_and_notebooks_have_rollups_of_before_the_readings(web: Web, database_url: str) -> None:
    admin = await web.admin()

    async def exported() -> pl.DataFrame:
        answer = await web.client.get("/exports/rollups", headers=admin)
        assert answer.status_code == 200
        return pl.read_parquet(io.BytesIO(answer.content))

    async def collected(frame: pl.LazyFrame) -> Any:
        return await asyncio.to_thread(frame.collect)

    before = await exported()
    await let_go(database_url)
    assert (await exported()).equals(before)
    source = Database(database_url)
    found = await collected(scan_rollups("f", start=DAY, source=source))
    assert found.equals(before) and found["bucket"].min() == DAY
    assert (await collected(scan_records("f", source=source).select(pl.col("tracked_at").min()))).item() == KEPT_FROM
