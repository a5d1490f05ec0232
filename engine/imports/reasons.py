"""Why a row of a file is not stored: a word for programs and a sentence for people."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """In the order in which a row is asked; the first that holds is told."""

    NO_SENSOR = "no_sensor"
    BAD_TIME = "bad_time"
    NEVER_SHOWN = "time_never_shown"
    SHOWN_TWICE = "time_shown_twice"
    OUT_OF_RANGE = "time_out_of_range"
    TOO_OLD = "too_old"
    FUTURE = "future"
    UNKNOWN_FACILITY = "unknown_facility"
    UNKNOWN_SENSOR = "unknown_sensor"
    OTHER_FACILITY = "other_facility"
    NO_VALUE = "no_value"
    BAD_TEXT = "bad_text"
    BAD_SCORE = "bad_score"
    BAD_ENTITY = "bad_entity"


SENTENCES: Final[Mapping[Reason, str]] = {
    Reason.NO_SENSOR: "nothing says whose reading it is",
    Reason.BAD_TIME: "tracked_at is no time such as 2026-11-22T10:15:00",
    Reason.NEVER_SHOWN: "no clock of the zone showed this time: it was set forward over it",
    Reason.SHOWN_TWICE: (
        "clocks of the zone showed this time twice, before they were set back and after: say which is meant with"
        " --fold earlier or --fold later; of a recording that goes through both hours the order of its rows tells"
    ),
    Reason.OUT_OF_RANGE: "outside of the years 1970 to 2200",
    Reason.TOO_OLD: "older than readings of such a sensor are kept (RETENTION_DAYS, RETENTION_DAYS_BY_TYPE), or were",
    Reason.FUTURE: "in the future",
    Reason.UNKNOWN_FACILITY: "no such facility: import the export of facilities first, or let its setup come",
    Reason.UNKNOWN_SENSOR: "no such sensor: import the export of sensors first, or let its activation come",
    Reason.OTHER_FACILITY: "the sensor belongs to another facility",
    Reason.NO_VALUE: "neither a number nor a text",
    Reason.BAD_TEXT: "a text that no reading may have: too long, or with a NUL character",
    Reason.BAD_SCORE: "a score that is not finite, or flags that are none",
    Reason.BAD_ENTITY: "no facility or sensor can be made of it",
}
