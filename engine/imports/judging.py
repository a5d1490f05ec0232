"""Which rows can be stored and which cannot, and why. Asks nobody: what is known is handed in."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Final

import polars as pl

import native
from engine.imports.known import Known
from engine.imports.reasons import Reason
from engine.imports.report import EXAMPLES_MAX, Report
from engine.imports.rows import Rows
from engine.imports.span import Span
from native import Flag

ALL_FLAGS: Final = int(reduce(or_, Flag))
STORED: Final = pl.Schema(
    {
        "sensor_no": pl.Int32,
        "at_us": pl.Int64,
        "value": pl.Float64,
        "text": pl.String,
        "score": pl.Float32,
        "flags": pl.Int16,
        "is_unjudged": pl.Boolean,
        "sensor_id": pl.String,
        "facility_id": pl.String,
    }
)
"""is_unjudged: neither score nor flags came with it, so that somebody may score it
"""
SHOWN_CHARACTERS_MAX: Final = 64


def judged(rows: Rows, known: Known, span: Span, name: str, report: Report) -> pl.DataFrame:
    """Rows to be stored in the order of the file; the rest is in the report. `name`: what to call the file in it.

    Of two rows of one sensor and time with different values both are given: the store keeps the first.
    """
    report.rows += rows.frame.height
    for remark in rows.remarks:
        report.remark(remark)
    frame = _with_reasons(
        rows.frame.join(known.numbers(), on="sensor_id", how="left", maintain_order="left"), known, span
    )
    _tell(frame.filter(pl.col("reason").is_not_null()), rows.unit, name, report)
    good = _with_flags(frame.filter(pl.col("reason").is_null()))
    back = good.filter(pl.col("at_us") < pl.col("at_us").shift(1).over("sensor_no"))
    report.steps_back.add(back.height, _examples(back, "shown", rows.unit, name))
    # of a number it does not matter how it was spelled
    said = good.with_columns(said=pl.when(pl.col("value").is_null()).then("text"))
    once = said.unique(["sensor_no", "at_us", "value", "said"], keep="first", maintain_order=True)
    report.twice += good.height - once.height
    return once.with_columns(facility_id=pl.col("home")).select(STORED.names()).cast(STORED)


def _with_reasons(frame: pl.DataFrame, known: Known, span: Span) -> pl.DataFrame:
    column = pl.col
    no_number = column("value").is_null()
    is_longer = column("text").str.len_bytes() > native.DATA_BYTES_MAX
    is_odd = ~column("flags").is_between(0, ALL_FLAGS) | ~column("score").is_finite()
    # what nobody has is too old where nobody's would be kept
    start_us = column("type").replace_strict(span.starts_us, default=span.earliest_us, return_dtype=pl.Int64)
    conditions = (
        (column("sensor_id").is_null(), Reason.NO_SENSOR),
        (column("reason").is_not_null(), None),
        (column("at_us") < start_us, Reason.TOO_OLD),
        (column("at_us") >= span.end_us, Reason.FUTURE),
        (
            column("facility_id").is_not_null() & ~column("facility_id").is_in(list(known.facilities)),
            Reason.UNKNOWN_FACILITY,
        ),
        (column("home").is_null(), Reason.UNKNOWN_SENSOR),
        (column("facility_id") != column("home"), Reason.OTHER_FACILITY),
        (no_number & column("text").is_null(), Reason.NO_VALUE),
        (is_longer | column("text").str.contains("\0", literal=True), Reason.BAD_TEXT),
        (is_odd, Reason.BAD_SCORE),
    )
    reason = pl.lit(None, dtype=pl.String)
    for condition, why in reversed(conditions):
        told = pl.col("reason") if why is None else pl.lit(why.value)
        reason = pl.when(condition.fill_null(value=False)).then(told).otherwise(reason)
    return frame.with_columns(reason=reason)


def _with_flags(frame: pl.DataFrame) -> pl.DataFrame:
    """A number that is none is the text of it, as live. What nobody judged is flagged as what came late is."""
    value = pl.col("value")
    is_odd = (value.is_nan() | value.is_infinite()).fill_null(value=False)
    spelled = pl.when(value.is_nan()).then(pl.lit("NaN")).when(value > 0).then(pl.lit("inf")).otherwise(pl.lit("-inf"))
    own = pl.when(is_odd).then(int(Flag.TEXT | Flag.NON_FINITE)).when(value.is_null()).then(int(Flag.TEXT)).otherwise(
        0
    ) + pl.when(pl.col("score").is_null()).then(int(Flag.LATE)).otherwise(0)
    return frame.with_columns(
        value=pl.when(~is_odd).then(value),
        text=pl.when(is_odd & pl.col("text").is_null()).then(spelled).otherwise("text"),
        flags=pl.coalesce("flags", own),
        is_unjudged=pl.col("flags").is_null() & pl.col("score").is_null(),
    )


def _tell(refused: pl.DataFrame, unit: str, name: str, report: Report) -> None:
    subjects = {
        Reason.NO_SENSOR: "shown",
        Reason.UNKNOWN_FACILITY: "facility_id",
        Reason.UNKNOWN_SENSOR: "sensor_id",
        Reason.OTHER_FACILITY: "sensor_id",
        Reason.BAD_TEXT: "text",
    }
    for (word,), rows in refused.group_by("reason", maintain_order=True):
        reason = Reason(str(word))
        report.refuse(reason, rows.height, _examples(rows, subjects.get(reason, "shown"), unit, name))


def _examples(rows: pl.DataFrame, subject: str, unit: str, name: str) -> list[str]:
    """Where they stand, each subject once."""
    first = rows.unique(subject, keep="first", maintain_order=True).head(EXAMPLES_MAX)
    return [
        f"{(what or '')[:SHOWN_CHARACTERS_MAX]!r} in {unit} {place} of {name}{f' ({why})' if why else ''}"
        for what, place, why in first.select(subject, "place", "detail").iter_rows()
    ]
