"""Recordings that tests of scoring share: a series with a spike, and two sensors of a facility."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

START = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = 2_000
SPIKE_ROW = 1_500


def series(shift: float = 0.0, expected_interval_s: int = 10) -> pl.DataFrame:
    chance = np.random.default_rng(1)
    values = 20 + shift + np.sin(np.arange(ROWS) / 40) + chance.normal(0, 0.1, ROWS)
    values[SPIKE_ROW] += 40
    times = pl.datetime_range(
        START, START + timedelta(seconds=expected_interval_s * (ROWS - 1)), f"{expected_interval_s}s", eager=True
    )
    return pl.DataFrame({"tracked_at": times.cast(pl.Datetime("us", "UTC")), "value": values})


def long() -> pl.DataFrame:
    both = [series().with_columns(sensor_id=pl.lit("a")), series(5.0, 30).with_columns(sensor_id=pl.lit("b"))]
    return pl.concat(both).sort("tracked_at", maintain_order=True)
