"""A frame in, the frame with what the core says of each reading out: score, flags and explanation."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TypeAlias, TypeVar

import polars as pl

from engine.offline.columns import FACILITY, columns_of, news, widened, with_silence
from engine.offline.refusals import FrameRefused
from engine.offline.shapes import Readings, readings_of
from native import PayloadError, SeriesScorer

__all__ = ["score_frame"]

ROWS_AT_ONCE = 1 << 18
Given = TypeVar("Given", float, str)
Detection: TypeAlias = Mapping[str, float]


def score_frame(
    frame: pl.DataFrame,
    *,
    expected_interval_s: float | Mapping[str, float] | None = None,
    sensor_type: str | Mapping[str, str] | None = None,
    detection: Detection | Mapping[str, Detection] | None = None,
    as_received: bool = False,
    on_rows: Callable[[int], object] = lambda _: None,
) -> pl.DataFrame:
    """Score a series or a facility as the live system would have, to the bit.

    frame                tracked_at and value; the same with sensor_id; or tracked_at and a column of numbers for each
                         sensor
    expected_interval_s  the usual distance of readings that the sensor is set up with, for all or by sensor; default:
                         the median of its first 1,000
    sensor_type          its type, for all or by sensor: gives limits and physical range; default: none
    detection            what is set of it, for all or by sensor, as over REST: budget_days, warming_readings,
                         physical_low, physical_high, is_on; default: as the type has it
    as_received          rows stand in the order of their arrival; else they must be in the order of their times
    on_rows              is told how many more rows are done

    Gives the frame with a row for each of its rows, in the same order, and further columns. Raises FrameRefused.
    """
    readings = readings_of(frame, as_received=as_received)
    intervals = _by_sensor(readings, expected_interval_s) or readings.intervals()
    types = _by_sensor(readings, sensor_type)
    try:
        scored = _score(readings, SeriesScorer(intervals, _tunings(readings, detection), types), on_rows)
    except PayloadError as error:
        raise FrameRefused(str(error)) from error
    if readings.is_wide:
        added = widened(scored, readings, frame.height)
    else:
        scored.insert_column(0, news(scored, readings.place))
        added = scored if "sensor_id" in frame.columns else with_silence(scored).drop(FACILITY)
    taken = [name for name in added.columns if name in frame.columns]
    if taken:
        raise FrameRefused(f"there is a column {taken[0]} already: drop it, or rename it to keep it")
    return frame.hstack(added.get_columns())


def _by_sensor(readings: Readings, given: Given | Mapping[str, Given] | None) -> list[Given] | None:
    if given is None:
        return None
    if not isinstance(given, Mapping):
        return [given] * len(readings.sensors)
    missing = [sensor for sensor in readings.sensors if sensor not in given]
    if missing:
        raise FrameRefused(f"nothing is said of sensor {missing[0]!r}")
    return [given[sensor] for sensor in readings.sensors]


def _tunings(readings: Readings, given: Detection | Mapping[str, Detection] | None) -> list[str]:
    """Sensors of which nothing is said are as usual."""
    settings = given or {}
    by_sensor = all(isinstance(setting, Mapping) for setting in settings.values())
    each = (settings.get(sensor, {}) if by_sensor else settings for sensor in readings.sensors)
    return [json.dumps(setting) for setting in each]


def _score(readings: Readings, scorer: SeriesScorer, on_rows: Callable[[int], object]) -> pl.DataFrame:
    """In pieces, so that somebody can watch; the scores do not depend on where they are cut."""
    pieces = []
    for start in range(0, max(len(readings.at_us), 1), ROWS_AT_ONCE):
        piece = slice(start, start + ROWS_AT_ONCE)
        scores = scorer.score(readings.place[piece], readings.at_us[piece], readings.values[piece])
        pieces.append(columns_of(scores, readings.is_null[piece], readings.sensors))
        on_rows(readings.rows_until(start + ROWS_AT_ONCE) - readings.rows_until(start))
    return pl.concat(pieces)
