"""Two limits on last month: how often, how long, and which excursions only one of them would have told."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

import polars as pl

from engine.notebook import scan_records
from shared import options_of, run


def main() -> None:
    options = options_of(
        __doc__,
        ("--sensor", {"required": True, "help": "its id"}),
        ("--above", {"type": float, "required": True, "help": "a limit"}),
        ("--or", {"type": float, "required": True, "dest": "other", "help": "another one"}),
        ("--days", {"type": int, "default": 30, "help": "how far back"}),
    )
    if options.above == options.other:
        sys.exit(f"both limits are {options.above:g}: give two that differ")
    now = datetime.now(UTC)
    start = now - timedelta(days=options.days)
    values = (
        scan_records(sensor=options.sensor, start=start, end=now, source=options.source)
        .select("tracked_at", "value")
        .drop_nulls()
        .collect()
    )
    if values.is_empty():
        sys.exit(f"{options.sensor} has no numbers of the last {options.days} days")
    found = {limit: excursions(values, limit) for limit in (options.above, options.other)}
    for limit, each in found.items():
        if each.is_empty():
            print(f"above {limit:g}: no excursion")
            continue
        longest, highest = each.select((pl.col("end") - pl.col("start")).max(), pl.col("highest").max()).row(0)
        print(f"above {limit:g}: {each.height} excursions, the longest {longest}, the highest {highest}")
    lower, higher = sorted(found)
    only = found[lower].filter(pl.col("highest") <= higher)
    print(f"{only.height} excursions exceed {lower:g} and never {higher:g}:")
    with pl.Config(tbl_rows=20):
        print(only)


def excursions(values: pl.DataFrame, limit: float) -> pl.DataFrame:
    """One row for each time without a reading at or below the limit: start, end, highest value."""
    above = values.with_columns((pl.col("value") > limit).alias("above"))
    return (
        above.with_columns(pl.col("above").rle_id().alias("run"))
        .filter("above")
        .group_by("run", maintain_order=True)
        .agg(
            pl.col("tracked_at").first().alias("start"),
            pl.col("tracked_at").last().alias("end"),
            pl.col("value").max().alias("highest"),
        )
        .drop("run")
    )


if __name__ == "__main__":
    run(main)
