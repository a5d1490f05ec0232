"""The column of times as moments, row by row: what is no moment gets a reason, and does not spoil the others.

Without a zone a time is UTC; with one (`Europe/Berlin`) a time without an offset is what clocks showed there. The hour
that they showed twice is told apart by its order where a sensor's times step back in it once; else somebody must say
which of the two is meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

import native
from engine.clock import US_PER_S
from engine.imports.reasons import Reason
from engine.offline.refusals import FrameRefused

DAY_US: Final = 86_400 * US_PER_S
NO_MOMENT: Final = np.iinfo(np.int64).min
_Read: TypeAlias = tuple[npt.NDArray[np.int64], list[str | None], list[str | None], npt.NDArray[np.bool_]]


class Fold(StrEnum):
    """Which of two moments is meant that clocks showed alike, one before they were set back and one after."""

    EARLIER = "earlier"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Zone:
    """Where clocks showed what a file holds."""

    name: str
    fold: Fold | None = None

    def __post_init__(self) -> None:
        try:
            pl.Series([0]).cast(pl.Datetime("us")).dt.replace_time_zone(self.name)
        except pl.exceptions.PolarsError as error:
            raise FrameRefused(f"there is no zone {self.name!r}; one is named like Europe/Berlin") from error


@dataclass(frozen=True, slots=True)
class Moments:
    """at_us          NO_MOMENT where `reason` says why
    detail         what the reader of times said of a text
    told_by_order  rows of a doubled hour that their order tells
    """

    at_us: npt.NDArray[np.int64]
    reason: pl.Series
    detail: pl.Series
    told_by_order: npt.NDArray[np.bool_]


def moments_of(times: pl.Series, sensors: pl.Series, zone: Zone | None) -> Moments:
    """`sensors`: whose each row is, for the order of the rows of each. Raises FrameRefused for a column of no times."""
    at_us, reason, detail, is_local = _read(times, zone is not None)
    told_by_order = np.zeros(len(times), np.bool_)
    if zone is not None and is_local.any():
        rows = np.flatnonzero(is_local)
        places = sensors.gather(rows).rank("dense").fill_null(0).to_numpy()
        earlier, later = _both(at_us[rows], zone.name)
        is_missing = earlier == NO_MOMENT
        is_later, is_known = _which(at_us[rows], places, (earlier != later) & ~is_missing, zone.fold)
        told_by_order[rows] = is_known & (earlier != later)
        at_us[rows] = np.where(is_later, later, earlier)
        _refuse(at_us, reason, rows[is_missing], Reason.NEVER_SHOWN)
        _refuse(at_us, reason, rows[~is_known & ~is_missing], Reason.SHOWN_TWICE)
    is_outside = (at_us != NO_MOMENT) & ((at_us < native.TIME_US_FIRST) | (at_us >= native.TIME_US_END))
    _refuse(at_us, reason, np.flatnonzero(is_outside), Reason.OUT_OF_RANGE)
    return Moments(
        at_us,
        pl.Series("reason", reason, dtype=pl.String),
        pl.Series("detail", detail, dtype=pl.String),
        told_by_order,
    )


def _refuse(at_us: npt.NDArray[np.int64], reason: list[str | None], rows: npt.NDArray[np.intp], why: Reason) -> None:
    at_us[rows] = NO_MOMENT
    for row in rows.tolist():
        reason[row] = why


def _read(times: pl.Series, has_zone: bool) -> _Read:
    """Microseconds, why there are none in a word and in a sentence, and whether they are what a clock showed."""
    if isinstance(times.dtype, pl.String):
        return _parsed(times, has_zone)
    if not isinstance(times.dtype, pl.Datetime):
        raise FrameRefused(f"tracked_at is {times.dtype}, it must be a Datetime, or text such as 2026-11-22T10:15:00")
    counted = times.dt.epoch("us")
    reason = [
        None if us is not None else Reason.BAD_TIME if is_empty else Reason.OUT_OF_RANGE
        for us, is_empty in zip(counted, times.is_null(), strict=True)
    ]
    is_local = np.full(len(times), has_zone and times.dtype.time_zone is None) & counted.is_not_null().to_numpy()
    return counted.fill_null(NO_MOMENT).to_numpy().copy(), list(reason), [None] * len(times), is_local


def _parsed(times: pl.Series, has_zone: bool) -> _Read:
    at_us = np.full(len(times), NO_MOMENT)
    reason: list[str | None] = [None] * len(times)
    detail = reason.copy()
    is_local = np.zeros(len(times), np.bool_)
    for row, text in enumerate(times):
        try:
            at_us[row] = native.parse_time(text or "")
            is_local[row] = has_zone and text is not None and not _has_offset(text)
        except native.TimeRefused as error:
            is_far = isinstance(error, native.TimeOutOfRange)
            reason[row], detail[row] = Reason.OUT_OF_RANGE if is_far else Reason.BAD_TIME, str(error)
    return at_us, reason, detail, is_local


def _has_offset(text: str) -> bool:
    """Of a time: whoever has an offset cannot have another."""
    try:
        native.parse_time(f"{text.strip()}Z")
    except native.TimeRefused:
        return True
    return False


def _both(shown_us: npt.NDArray[np.int64], zone: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The first and the last moment at which clocks showed it; NO_MOMENT when they never did."""
    shown = pl.Series(shown_us).cast(pl.Datetime("us"))
    first = shown.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    last = shown.dt.replace_time_zone(zone, ambiguous="latest", non_existent="null")
    earlier, later = (each.dt.epoch("us").fill_null(NO_MOMENT).to_numpy() for each in (first, last))
    return earlier, later


def _which(
    shown_us: npt.NDArray[np.int64],
    places: npt.NDArray[np.uint32],
    is_doubled: npt.NDArray[np.bool_],
    fold: Fold | None,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Of each row whether the later moment is meant, and whether that is known."""
    is_later = is_doubled & (fold is Fold.LATER)
    is_known = ~is_doubled | (fold is not None)
    rows = np.flatnonzero(is_doubled)
    groups = pl.DataFrame({"row": rows, "sensor": places[rows], "day": shown_us[rows] // DAY_US})
    for own in groups.group_by("sensor", "day", maintain_order=True).agg("row")["row"]:
        in_order = own.to_numpy()
        steps = np.flatnonzero(np.diff(shown_us[in_order]) <= 0)
        if len(steps) == 1:
            is_later[in_order] = np.arange(len(in_order)) > steps[0]
            is_known[in_order] = True
    return is_later, is_known
