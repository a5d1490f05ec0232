"""A balance of flows: what went in less what came out, hour by hour, and the hours in which it does not close."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from engine.notebook import scan_records
from shared import options_of, run


def main() -> None:
    options = options_of(
        __doc__,
        ("--in", {"nargs": "+", "required": True, "dest": "into", "metavar": "SENSOR", "help": "flows that come in"}),
        ("--out", {"nargs": "+", "required": True, "metavar": "SENSOR", "help": "flows that go out"}),
        ("--days", {"type": int, "default": 7, "help": "how far back"}),
        ("--open", {"type": float, "default": 0.02, "help": "part of the inflow that may be missing (0.02)"}),
    )
    now = datetime.now(UTC)
    start = now - timedelta(days=options.days)
    signs = pl.DataFrame(
        {
            "sensor_id": [*options.into, *options.out],
            "side": ["in"] * len(options.into) + ["out"] * len(options.out),
        }
    )
    hours = (
        scan_records(sensor=signs["sensor_id"].to_list(), start=start, end=now, source=options.source)
        .select("sensor_id", "tracked_at", "value")
        .drop_nulls()
        # The mean of each sensor first: those that report more often must not weigh more.
        .group_by("sensor_id", pl.col("tracked_at").dt.truncate("1h").alias("hour"))
        .agg(pl.col("value").mean())
        .join(signs.lazy(), on="sensor_id")
        .group_by("hour", "side")
        .agg(pl.col("value").sum(), pl.len().alias("sensors"))
        .collect()
    )
    whole = {"in": len(options.into), "out": len(options.out)}
    complete = hours.filter(pl.col("sensors") == pl.col("side").replace_strict(whole))  # a silent meter is no flow of 0
    balance = complete.pivot("side", on_columns=["in", "out"], index="hour", values="value").drop_nulls().sort("hour")
    if balance.is_empty():
        print("there is no hour in which all of these sensors reported")
        return
    balance = balance.with_columns((pl.col("in") - pl.col("out")).alias("missing"))
    is_open = pl.col("missing").abs() > options.open * pl.col("in").abs()
    left_open = balance.filter(is_open)
    print(f"{balance.height} hours with all sensors; {left_open.height} do not close within {options.open:g}")
    with pl.Config(tbl_rows=24):
        print(left_open)


if __name__ == "__main__":
    run(main)
