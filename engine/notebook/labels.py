"""Readings beside what the alarm journal said of their sensors: for training and measuring detectors."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import polars as pl

from engine.exports.datasets import UTC_TIME

ALARM: Final = pl.Struct(
    {
        "rule": pl.String,
        "priority": pl.String,
        "since": UTC_TIME,
        "known_since": UTC_TIME,
        "id": pl.Int64,
        "verdict": pl.String,
    }
)
_STARTS: Final = "activated"
_ENDS: Final = "returned"
_JUDGES: Final = "verdict"


def labelled(records: pl.DataFrame, alarms: pl.DataFrame, *, as_of: datetime | None = None) -> pl.DataFrame:
    """The rows of `records` with `alarms`: those that stood over their sensor or its facility, and `in_alarm`.

    records  facility_id, sensor_id, tracked_at and whatever else
    alarms   rows of `scan_alarms`, of those sensors and from before the first of the readings on
    as_of    None: point in time, each row carries what was known at its `tracked_at` and nothing that was recorded
             later, neither an alarm nor its end. A moment: looking back from then, by event times

    `alarms` is a list of structs: rule, priority, since (event time), known_since (when it was recorded), the id in
    the journal, and the last verdict of people (true, false, expected; null: none was known).
    """
    if as_of is not None:
        moment = as_of if as_of.tzinfo else as_of.replace(tzinfo=UTC)
        alarms = alarms.filter(pl.col("recorded_at") <= moment)
    told = _told(alarms, as_of)
    verdicts = _verdicts(alarms, as_of)
    numbered = records.with_row_index("_row")
    columns = []
    for (rule, of_facility), transitions in told.group_by("rule", "_of_facility", maintain_order=True):
        by = ["facility_id"] if of_facility else ["facility_id", "sensor_id"]
        found = _judged(_at(numbered, transitions, by), numbered, verdicts).alias(f"{rule}/{of_facility}")
        columns.append(found)
    if not columns:
        empty = pl.lit([], dtype=pl.List(ALARM)).alias("alarms")
        return records.with_columns(empty, in_alarm=pl.lit(value=False))
    stood = pl.DataFrame(columns).select(pl.concat_list(pl.all()).list.drop_nulls().alias("alarms"))
    return records.with_columns(stood["alarms"], in_alarm=stood["alarms"].list.len() > 0)


def _told(alarms: pl.DataFrame, as_of: datetime | None) -> pl.DataFrame:
    """Beginnings and ends, each with the moment from which a row may carry it."""
    known = pl.max_horizontal("event_time", "recorded_at")
    rows = alarms.filter(pl.col("transition").is_in([_STARTS, _ENDS]))
    if as_of is not None:
        known = pl.col("event_time")
    return rows.with_columns(known.alias("_from"), pl.col("sensor_id").is_null().alias("_of_facility")).sort(
        "_from", "id"
    )


def _at(numbered: pl.DataFrame, transitions: pl.DataFrame, by: list[str]) -> pl.Series:
    """Of each row in order, the alarm of this rule that stood, or null."""
    alarm = pl.when(pl.col("transition") == _STARTS).then(
        pl.struct(
            "rule", "priority", pl.col("event_time").alias("since"), pl.col("recorded_at").alias("known_since"), "id"
        )
    )
    right = transitions.select(*by, "_from", alarm.alias("_alarm"))
    left = numbered.select("_row", *by, "tracked_at").sort("tracked_at")
    joined = left.join_asof(
        right, left_on="tracked_at", right_on="_from", by=by, strategy="backward", check_sortedness=False
    )
    return joined.sort("_row")["_alarm"]


def _verdicts(alarms: pl.DataFrame, as_of: datetime | None) -> pl.DataFrame:
    """By the activation that they are about, each with the moment from which a row may carry it."""
    if not {"verdict", "about_id"} <= set(alarms.columns):  # an export from before there were any
        return pl.DataFrame(schema={"id": pl.Int64, "verdict": pl.String, "_from": UTC_TIME})
    known = pl.max_horizontal("event_time", "recorded_at")
    given = alarms.filter(pl.col("transition") == _JUDGES).sort("id")
    rows = given.select(pl.col("about_id").alias("id"), "verdict", known.alias("_from"))
    if as_of is not None:
        earliest = pl.lit(datetime(1970, 1, 1, tzinfo=UTC), dtype=UTC_TIME).alias("_from")
        return rows.group_by("id", maintain_order=True).last().with_columns(earliest)
    return rows.sort("_from", maintain_order=True)


def _judged(found: pl.Series, numbered: pl.DataFrame, verdicts: pl.DataFrame) -> pl.Series:
    """The alarms of rows in order, with what was known of them at those rows."""
    rows = pl.DataFrame({"_row": numbered["_row"], "tracked_at": numbered["tracked_at"], "_alarm": found})
    rows = rows.with_columns(pl.col("_alarm").struct.field("id")).sort("tracked_at")
    joined = rows.join_asof(
        verdicts, left_on="tracked_at", right_on="_from", by="id", strategy="backward", check_sortedness=False
    )
    judged = pl.when(pl.col("_alarm").is_not_null()).then(
        pl.struct(*(pl.col("_alarm").struct.field(each.name) for each in ALARM.fields[:-1]), "verdict")
    )
    return joined.sort("_row").select(judged.alias("_alarm"))["_alarm"]
