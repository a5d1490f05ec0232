"""What PostgreSQL holds of a facility's readings is what the offline twin says of them, to the bit, over a restart."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator
from datetime import datetime

import asyncpg
import polars as pl
import pytest

import native
from engine.clock import US_PER_S, ManualClock
from engine.facility.facility import Facility
from engine.historian.historian import Historian
from engine.metrics import Metrics
from engine.model import SensorType
from engine.notebook import Database, scan_records
from engine.offline import score_frame
from engine.settings import Settings
from native import Flag
from tests.fakes.messages import T0_US, activation, setup

pytestmark = pytest.mark.postgres
ROWS_A_BATCH = 200
TYPES = {"s": SensorType.TEMPERATURE, "t": SensorType.COMPRESSOR_STATUS}
INTERVAL_S = 15  # as the activations say


@pytest.fixture
async def historian(database_url: str) -> AsyncIterator[Historian]:
    settings = Settings(_env_file=None, database_url=database_url, group_commit_wait_ms=0)
    opened = await Historian.open(database_url, settings, ManualClock(T0_US))
    yield opened
    await opened.close()


def facility_on(historian: Historian) -> Facility:
    settings = Settings(_env_file=None, checkpoint_readings_max=ROWS_A_BATCH)
    return Facility("f", historian, settings, ManualClock(T0_US), Metrics())


def field() -> pl.DataFrame:
    """Readings in their order of arrival; one is a word, one late, one a fault."""
    chance = random.Random(5)
    rows = [
        (name, T0_US + INTERVAL_S * US_PER_S * index, 22.5 + math.sin(index / 30) + chance.gauss(0, 0.05))
        for index in range(1_000)
        for name in TYPES
    ]
    rows[1_501] = ("t", rows[1_501][1], 400.0)
    rows.insert(1_700, ("t", T0_US + 10, 22.0))
    frame = pl.DataFrame(rows, schema=["sensor_id", "at_us", "value"], orient="row")
    is_word = pl.int_range(pl.len()) == 1_200
    return frame.with_columns(pl.when(~is_word).then("value"), tracked_at=pl.from_epoch("at_us", time_unit="us"))


def said(frame: pl.DataFrame) -> dict[tuple[str, datetime], tuple[float | None, int]]:
    """By the offline twin, of each reading."""
    scored = score_frame(frame, expected_interval_s=INTERVAL_S, sensor_type=TYPES, as_received=True)
    utc = scored.select("sensor_id", pl.col("tracked_at").dt.replace_time_zone("UTC"), "decades", "flags")
    return {(sensor_id, at): (score, flags) for sensor_id, at, score, flags in utc.iter_rows()}


async def as_exported(database_url: str, arrived: pl.DataFrame) -> dict[tuple[str, datetime], tuple[float | None, int]]:
    """What the twin says of the readings that come out of the database, in the order in which they arrived."""
    query = scan_records("f", source=Database(database_url)).select("sensor_id", "tracked_at", "value")
    exported = (await asyncio.to_thread(query.collect)).with_columns(pl.col("tracked_at").dt.replace_time_zone(None))
    order = arrived.select("sensor_id", "tracked_at").unique(maintain_order=True)
    return said(order.join(exported, on=order.columns, how="left", maintain_order="left", validate="1:1"))


async def test_the_twin_says_what_is_stored(historian: Historian, database_url: str) -> None:
    frame = field()
    await historian.create_facility(setup())
    facility = facility_on(historian)
    for name, kind in TYPES.items():
        await facility.apply([activation(name, kind=kind)])
    texts = frame.select("sensor_id", "at_us", pl.col("value").map_elements(repr, pl.String).fill_null("open"))
    for start in range(0, frame.height, ROWS_A_BATCH):
        if start == 5 * ROWS_A_BATCH:
            facility = facility_on(historian)  # from its checkpoint
        await facility.ingest(native.encode_batch("f", texts[start : start + ROWS_A_BATCH].rows(), T0_US))

    rows = await asyncpg.connect(database_url)
    query = "SELECT sensors.id, tracked_at, score, flags FROM sensor_records JOIN sensors USING (sensor_no)"
    stored = {(row["id"], row["tracked_at"]): (row["score"], row["flags"]) for row in await rows.fetch(query)}
    await rows.close()
    assert said(frame) == stored
    assert await as_exported(database_url, frame) == stored
    flags = {flag for flag in Flag if any(held & flag for _, held in stored.values())}
    assert flags >= {Flag.LATE, Flag.TEXT, Flag.ANOMALY, Flag.WARMING}
