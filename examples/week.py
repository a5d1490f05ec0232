"""A week of a facility: one line a sensor, its anomalies marked."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

import polars as pl

from engine.notebook import scan_records, sensors
from native import Flag
from shared import options_of, run

DAYS = 7


def main() -> None:
    options = options_of(
        __doc__,
        ("--facility", {"required": True, "help": "its id"}),
        ("--picture", {"metavar": "FILE", "help": "draw it, as PNG, SVG or PDF"}),
    )
    source = options.source
    end = datetime.now(UTC)
    readings = scan_records(options.facility, end - timedelta(days=DAYS), end, source=source)
    hourly = (
        readings.filter(pl.col("value").is_not_null())
        .group_by("sensor_id", pl.col("tracked_at").dt.truncate("1h").alias("hour"))
        .agg(
            pl.len().alias("readings"),
            pl.col("value").min().alias("lowest"),
            pl.col("value").mean().alias("mean"),
            pl.col("value").max().alias("highest"),
            (pl.col("flags") & Flag.ANOMALY != 0).sum().alias("anomalous"),
        )
        .sort("sensor_id", "hour")
        .collect()
    )
    types = sensors(options.facility, source=source).select("sensor_id", "name", "type")
    summary = hourly.group_by("sensor_id", maintain_order=True).agg(
        pl.col("readings").sum(), pl.col("lowest").min(), pl.col("highest").max(), pl.col("anomalous").sum()
    )
    with pl.Config(tbl_rows=-1):
        print(types.join(summary, on="sensor_id", how="left"))
    if options.picture and hourly.is_empty():
        sys.exit(f"{options.facility} has no numbers of the last {DAYS} days, so there is nothing to draw")
    if options.picture:
        draw(hourly, options.picture)


def draw(hourly: pl.DataFrame, picture: str) -> None:
    """The band of each hour, and dots where an anomaly stood."""
    import matplotlib.pyplot as plt

    groups = hourly.partition_by("sensor_id", as_dict=True)
    figure, axes = plt.subplots(len(groups), squeeze=False, sharex=True, figsize=(10, 1.6 * len(groups)))
    for axis, ((sensor_id,), rows) in zip(axes[:, 0], groups.items(), strict=True):
        axis.fill_between(rows["hour"], rows["lowest"], rows["highest"], color="0.8")
        axis.plot(rows["hour"], rows["mean"], color="0.2", linewidth=0.8)
        odd = rows.filter(pl.col("anomalous") > 0)
        axis.scatter(odd["hour"], odd["mean"], color="tab:red", s=12, zorder=3)
        axis.set_ylabel(sensor_id, rotation=0, ha="right", fontsize=7)
    figure.autofmt_xdate()
    figure.savefig(picture, dpi=120, bbox_inches="tight")


if __name__ == "__main__":
    run(main)
