"""What the core said, as columns of a polars frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from engine.offline.shapes import Numbers, Readings
from native import REASON_NAMES, VIEW_NAMES, Flag, SeriesScores

TICK = ["facility_decades", "facility_threshold", "facility_alarming", "contributors", "facility_explanation"]
FACILITY = [*TICK, "silent"]
SILENCE_SCORE = 1.5
"""Of a row in which a sensor is found silent for longer than ever: what a rare event of one sensor has, too."""
PEAK_HALF_READINGS = 200
PEAK_GAIN = 1.1
FACILITY_WEIGHT = 4 / 3
"""Among the scores of a row: the facility's threshold has a reserve of five decades, a sensor's of two."""


def columns_of(scores: SeriesScores, is_null: npt.NDArray[np.bool_], sensors: list[str]) -> pl.DataFrame:
    """What is not said is null. A null came as words, not as a number that is not finite."""
    flags = np.where(is_null, scores.flags & ~Flag.NON_FINITE.value, scores.flags).astype(np.int16)
    views = pl.DataFrame(scores.shares, schema=dict.fromkeys(VIEW_NAMES, pl.Float32)).to_struct("views")
    frame = pl.DataFrame(
        {
            "decades": scores.score,
            "threshold": scores.threshold,
            "alarming": scores.alarming,
            "anomaly": flags & Flag.ANOMALY.value != 0,
            "flags": flags,
            "expected": scores.expected,
            "expected_low": scores.expected - scores.band,
            "expected_high": scores.expected + scores.band,
            "view": pl.Series(scores.shares.argmax(axis=1).astype(np.uint8)).cat.to(pl.Enum(VIEW_NAMES)),
            "views": views,
            "reason": pl.Series(np.maximum(scores.reason, 0).astype(np.uint8)).cat.to(pl.Enum(REASON_NAMES)),
            "explanation": _told(scores, of_facility=False),
            "facility_decades": scores.facility_score,
            "facility_threshold": scores.facility_threshold,
            "facility_alarming": scores.facility_alarming,
            "contributors": _contributors(scores, sensors),
            "facility_explanation": _told(scores, of_facility=True),
            "silent": _silent(scores, sensors),
        },
        nan_to_null=True,
    )
    has_say = pl.col("decades").is_not_null()
    is_explained = has_say & (pl.Series(scores.shares.max(axis=1, initial=0.0)) > 0)
    return frame.with_columns(
        pl.when(has_say & (pl.col("threshold") > 0)).then("threshold"),
        pl.when(is_explained).then("view"),
        pl.when(is_explained).then("views"),
        pl.when(pl.Series(scores.reason) >= 0).then("reason"),
    )


def _told(scores: SeriesScores, *, of_facility: bool) -> pl.Series:
    """In the rows where alarms came and went, what was told of them."""
    told: dict[int, str] = {}
    for row, event in scores.events:
        if (event.sensor_no is None) is not of_facility:
            continue
        told[row] = f"{told[row]}; {event.message}" if row in told else event.message
    return _sparse(list(told), pl.Series(list(told.values()), dtype=pl.String), len(scores))


def _contributors(scores: SeriesScores, sensors: list[str]) -> pl.Series:
    found = [
        [{"sensor_id": sensors[place], "share": share} for place, share in contributors]
        for _, contributors in scores.contributors
    ]
    kind = pl.List(pl.Struct({"sensor_id": pl.String, "share": pl.Float32}))
    return _sparse([row for row, _ in scores.contributors], pl.Series(found, dtype=kind), len(scores))


def _silent(scores: SeriesScores, sensors: list[str]) -> pl.Series:
    """Who was first found silent in a row."""
    found: dict[int, list[str]] = {}
    for row, place in scores.silent:
        found.setdefault(row, []).append(sensors[place])
    return _sparse(list(found), pl.Series(list(found.values()), dtype=pl.List(pl.String)), len(scores))


def _sparse(rows: list[int], values: pl.Series, height: int) -> pl.Series:
    """A column that is null but in these rows."""
    all_rows = pl.DataFrame({"row": pl.int_range(height, eager=True)})
    given = pl.DataFrame({"row": pl.Series(rows, dtype=pl.Int64), "value": values})
    return all_rows.join(given, on="row", how="left", maintain_order="left")["value"]


def news(scored: pl.DataFrame, place: npt.NDArray[np.int32]) -> pl.Series:
    """The score of each reading: in parts of its threshold where it exceeds its sensor's recent peak, else 0.

    The rule is that by which alarms keep quiet (`native/src/detector/combine.rs`), here for the quietest readings too.
    """
    loud = scored.select(_in_parts("decades", "threshold").alias("loud")).to_series().to_numpy()
    said = np.zeros(len(loud))
    for sensor in np.unique(place):
        own = np.flatnonzero(place == sensor)
        said[own] = above_recent_peak(loud[own])
    return pl.Series("score", said)


def with_silence(scored: pl.DataFrame) -> pl.DataFrame:
    """A series in whose rows without a number its silence is told."""
    is_silent = pl.col("silent").is_not_null()
    return scored.with_columns(
        pl.when(is_silent).then(pl.max_horizontal("score", pl.lit(SILENCE_SCORE))).otherwise("score").alias("score"),
        pl.when(is_silent).then(pl.lit("gap").cast(pl.Enum(REASON_NAMES))).otherwise("reason").alias("reason"),
    )


def _in_parts(decades: str, threshold: str) -> pl.Expr:
    """Finite in every row: 0 where nothing is said."""
    has_say = pl.col(decades).is_not_null() & (pl.col(threshold) > 0)
    return pl.when(has_say).then(pl.col(decades).cast(pl.Float64) / pl.col(threshold)).otherwise(0.0)


def above_recent_peak(loud: Numbers) -> Numbers:
    """What exceeds all earlier ones by a tenth, these losing half their size in so many rows; else 0."""
    rise = np.arange(len(loud)) * (np.log(2) / PEAK_HALF_READINGS)
    size = np.log(np.maximum(loud, 1e-300)) + rise
    peak = np.concatenate([[-np.inf], np.maximum.accumulate(size)[:-1]])
    return np.where(size > peak + np.log(PEAK_GAIN), loud, 0.0)


def widened(scored: pl.DataFrame, readings: Readings, height: int) -> pl.DataFrame:
    """A row for each of the table: its largest score and whose it is, then each sensor's columns under its name.

    Without `views`: of a table they would be most of the memory.
    """
    rows = pl.DataFrame({"row": pl.int_range(height, dtype=pl.Int32, eager=True)})
    scored = scored.drop("views").with_columns(row=pl.Series(readings.row), place=pl.Series(readings.place))
    turned = scored.filter(pl.col("facility_decades").is_not_null()).select("row", *TICK)
    silent = _silent_in_rows(scored, readings.sensors)
    wide = rows.join(turned, on="row", how="left", maintain_order="left")
    wide = wide.join(silent, on="row", how="left", maintain_order="left")
    scored = scored.drop(FACILITY)
    by_place = scored.partition_by("place", as_dict=True, include_key=False)
    nothing = scored.clear().drop("place")
    for place, sensor in enumerate(readings.sensors):
        own = by_place.get((place,), nothing)
        joined = rows.join(own, on="row", how="left", maintain_order="left").drop("row")
        named = joined.rename({name: f"{sensor}.{name}" for name in joined.columns})
        wide = wide.hstack(named.get_columns())
    return _loudest(wide, readings.sensors).hstack(wide.drop("row").get_columns())


def _silent_in_rows(scored: pl.DataFrame, sensors: list[str]) -> pl.DataFrame:
    """Who is found silent in a row and does not speak in it: after a jump of the clock everybody is late together."""
    told = scored.drop_nulls("silent").select("row", "silent").explode("silent")
    here = scored.filter(pl.col("place") >= 0).join(told, on="row", how="semi")
    spoke = here.select(
        "row", silent=pl.col("place").replace_strict(range(len(sensors)), sensors, return_dtype=pl.String)
    )
    return told.join(spoke, on=["row", "silent"], how="anti").group_by("row").agg("silent")


def _loudest(wide: pl.DataFrame, sensors: list[str]) -> pl.DataFrame:
    """Of each row the largest score, in parts of a threshold, and the sensor that it is of; none: the facility's."""
    loud = np.column_stack([_in_parts_of(wide, f"{sensor}.decades", f"{sensor}.threshold") for sensor in sensors])
    own, whose = loud.max(axis=1), loud.argmax(axis=1)
    facility = _in_parts_of(wide, "facility_decades", "facility_threshold") * FACILITY_WEIGHT
    is_silent = wide["silent"].is_not_null().to_numpy() & (own < SILENCE_SCORE)
    silent = wide["silent"].list.first().replace_strict(sensors, range(len(sensors)), default=0, return_dtype=pl.Int64)
    own, whose = np.where(is_silent, SILENCE_SCORE, own), np.where(is_silent, silent.fill_null(0).to_numpy(), whose)
    is_own = (own >= facility) & (own > 0)
    named = pl.Series(whose.astype(np.uint32)).cat.to(pl.Enum(sensors))
    return pl.DataFrame(
        {
            "score": np.maximum(own, facility),
            "sensor": pl.select(pl.when(pl.Series(is_own)).then(named)).to_series(),
            "alarming": _any_of(wide, [*(f"{sensor}.alarming" for sensor in sensors), "facility_alarming"]),
            "anomaly": _any_of(wide, [f"{sensor}.anomaly" for sensor in sensors]),
        }
    )


def _in_parts_of(wide: pl.DataFrame, decades: str, threshold: str) -> Numbers:
    """The columns by their names as they are: an expression would take some names of sensors for patterns."""
    both = pl.DataFrame([wide[decades].alias("decades"), wide[threshold].alias("threshold")])
    return both.select(_in_parts("decades", "threshold")).to_series().to_numpy()


def _any_of(wide: pl.DataFrame, names: list[str]) -> npt.NDArray[np.bool_]:
    found = np.zeros(wide.height, np.bool_)
    for name in names:
        found |= wide[name].fill_null(value=False).to_numpy()
    return found
