"""Scores for what nobody judged: the offline twin goes through a facility's rows in the order of their times."""

from __future__ import annotations

import polars as pl

from engine.imports.known import Known
from engine.offline import score_frame
from native import Flag


def scored(rows: pl.DataFrame, known: Known) -> pl.DataFrame:
    """The same rows; those with a score or flags of their own keep them, and are learned like the others.

    It begins without a memory: the first readings of each sensor are WARMING. Raises FrameRefused.
    """
    parts = [_of_facility(part, known) for part in rows.partition_by("facility_id", maintain_order=True)]
    return pl.concat(parts) if parts else rows


def _of_facility(rows: pl.DataFrame, known: Known) -> pl.DataFrame:
    in_order = rows.sort("at_us", maintain_order=True)
    sensors = in_order["sensor_id"].unique().to_list()
    facts = {sensor_id: known.sensors[sensor_id] for sensor_id in sensors}
    frame = in_order.select(pl.col("at_us").cast(pl.Datetime("us", "UTC")).alias("tracked_at"), "value", "sensor_id")
    said = score_frame(
        frame,
        expected_interval_s={sensor_id: float(fact.expected_interval_s) for sensor_id, fact in facts.items()},
        sensor_type={sensor_id: fact.type for sensor_id, fact in facts.items()},
        detection={sensor_id: fact.detection for sensor_id, fact in facts.items()},
    )
    is_unjudged = pl.col("is_unjudged")
    return (
        in_order.with_columns(
            said["decades"].alias("decades"), said["flags"].alias("said"), pl.col("flags").alias("kept")
        )
        .select(
            *(name for name in rows.columns if name not in {"score", "flags"}),
            score=pl.when(is_unjudged).then("decades").otherwise("score"),
            # a text that spells no finite number is told apart by us, to the core a null is just a text
            flags=pl.when(is_unjudged)
            .then(pl.col("said") | (pl.col("kept") & Flag.NON_FINITE.value))
            .otherwise("kept"),
        )
        .select(rows.columns)
    )
