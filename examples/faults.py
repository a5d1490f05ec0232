"""How early and how truly the detector spoke: readings labelled with the alarms of the limits, beside its own score."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from engine.notebook import labelled, scan_alarms, scan_records
from native import Flag
from shared import options_of, run

LIMITS = ["high", "low"]
AHEAD = timedelta(minutes=30)
"""An anomaly that begins so long before a limit is violated has foreseen it."""


def main() -> None:
    options = options_of(
        __doc__,
        ("--facility", {"required": True, "help": "its id"}),
        ("--days", {"type": int, "default": 30, "help": "how far back"}),
    )
    now = datetime.now(UTC)
    start = now - timedelta(days=options.days)
    readings = scan_records(options.facility, start, now, source=options.source).collect()
    alarms = scan_alarms(options.facility, start - AHEAD, now, source=options.source).collect()
    # Looking back from now: what was so, whenever it was recorded. Without `as_of` each row has what was known then.
    rows = labelled(readings, alarms.filter(pl.col("rule").is_in(LIMITS)), as_of=now)
    rows = rows.with_columns(
        (pl.col("flags") & Flag.ANOMALY != 0).alias("anomalous"),
        pl.col("alarms").list.eval(pl.element().struct.field("since")).list.first().alias("fault"),
    )
    faults = rows.filter("in_alarm").select("sensor_id", "fault").unique()
    spoke = rows.filter("anomalous").select("sensor_id", "tracked_at")
    met = faults.join(spoke, on="sensor_id").filter(
        pl.col("tracked_at").is_between(pl.col("fault") - AHEAD, pl.col("fault") + AHEAD)
    )
    first = met.group_by("sensor_id", "fault").agg(pl.col("tracked_at").min())
    early = first.select((pl.col("fault") - pl.col("tracked_at")).median())
    print(f"{faults.height} violations of limits, {first.height} of them met by an anomaly within {AHEAD}")
    if first.height:
        print(f"by the median it spoke {early.item()} before the limit")
    per_sensor = rows.group_by("sensor_id").agg(
        pl.len().alias("readings"),
        pl.col("in_alarm").sum().alias("in alarm"),
        pl.col("anomalous").sum(),
        (pl.col("anomalous") & ~pl.col("in_alarm")).sum().alias("anomalous outside"),
        pl.col("score").max().alias("highest score"),
    )
    with pl.Config(tbl_rows=-1):
        print(per_sensor.sort("sensor_id"))


if __name__ == "__main__":
    run(main)
