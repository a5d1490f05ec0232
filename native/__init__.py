"""The Python face of the native core: bodies to batches, batches to alarms, rows to store and frames to publish.

decoded = decode(bodies, received_at_us, future_s_max)     bodies to one batch a facility, and refusals with reasons
effects = core.apply("batch", decoded.batch(i))            a facility's state moves; effects say what to do
score_series(at_us, values, expected_interval_s)           the same scores of a series in numpy columns
core.snapshot() / FacilityCore.restore(...)                the state as bytes and back, to the bit
downsample_minmax(at_us, values, points_max)                which rows a chart needs; `downsample_lttb` by its shape
parse_time(text)                                            the one reader of times
first_control(text), escape_controls(text)                   what is no text to read, and how it is shown
CopyDecoder([(name, kind), ...])                            PostgreSQL's binary COPY to Arrow
SensorPlaces(numbers, facility_ids, sensor_ids).in_order(rows)   readings in the order of an export, with their ids
check_groups(groups_json)                                    whether groups of sensors can hold
rules_in_force(sensor_type, wanted_json)                     what alarm rules a sensor would have
ID_BYTES_MAX, INTERVAL_S_MAX, ...                           limits that the core holds, for whoever asks before it

May import: nothing.
"""

from __future__ import annotations

from enum import IntFlag

from native._native import (
    BUDGET_DAYS_MAX,
    CORE_VERSION,
    DATA_BYTES_MAX,
    ID_BYTES_MAX,
    INTERVAL_S_MAX,
    JSON_DEPTH_MAX,
    PHYSICAL_MAX,
    POINTS_MIN,
    PRIORITY_NAMES,
    REASON_NAMES,
    SETTING_MAX,
    TIME_US_END,
    TIME_US_FIRST,
    TRANSITION_NAMES,
    VIEW_NAMES,
    AlarmState,
    CopiedRows,
    CopyDecoder,
    CopyFault,
    CoreEvent,
    Decoded,
    Effects,
    FacilityCore,
    FacilityScore,
    LatestValue,
    NativeBug,
    PayloadError,
    Refusal,
    SensorPlaces,
    SeriesScorer,
    SeriesScores,
    SnapshotCorruptError,
    SnapshotVersionError,
    TimeOutOfRange,
    TimeRefused,
    batch_info,
    batch_rows,
    check_groups,
    decode,
    detection_defaults,
    downsample_lttb,
    downsample_minmax,
    encode_batch,
    escape_controls,
    first_control,
    parse_time,
    rules_in_force,
    score_facility,
    score_series,
)

__all__ = [
    "BUDGET_DAYS_MAX",
    "CORE_VERSION",
    "DATA_BYTES_MAX",
    "ID_BYTES_MAX",
    "INTERVAL_S_MAX",
    "JSON_DEPTH_MAX",
    "PHYSICAL_MAX",
    "POINTS_MIN",
    "PRIORITY_NAMES",
    "REASON_NAMES",
    "SETTING_MAX",
    "TIME_US_END",
    "TIME_US_FIRST",
    "TRANSITION_NAMES",
    "VIEW_NAMES",
    "AlarmState",
    "CopiedRows",
    "CopyDecoder",
    "CopyFault",
    "CoreEvent",
    "Decoded",
    "Effects",
    "FacilityCore",
    "FacilityScore",
    "Flag",
    "LatestValue",
    "NativeBug",
    "PayloadError",
    "Refusal",
    "SensorPlaces",
    "SeriesScorer",
    "SeriesScores",
    "SnapshotCorruptError",
    "SnapshotVersionError",
    "TimeOutOfRange",
    "TimeRefused",
    "batch_info",
    "batch_rows",
    "check_groups",
    "decode",
    "detection_defaults",
    "downsample_lttb",
    "downsample_minmax",
    "encode_batch",
    "escape_controls",
    "first_control",
    "parse_time",
    "rules_in_force",
    "score_facility",
    "score_series",
]


class Flag(IntFlag):
    """Bits of a stored reading's `flags`."""

    LATE = 1  # older than its sensor's newest reading at receipt
    TEXT = 2  # not a finite number: kept as text, never scored
    NON_FINITE = 4  # spells NaN or an infinity, or a number too large for one
    BELOW_LOW = 8  # strictly below a low limit
    ABOVE_HIGH = 16  # strictly above a high limit
    ANOMALY = 32  # the anomaly alarm was active
    WARMING = 64  # the anomaly score had no say yet
    OUT_OF_PHYSICAL_RANGE = 128  # no instrument of this type measures this: not learned, ends no alarm
    CONFLICT = 256  # same time as the newest reading, another value
    CLOCK = 512  # its stamp is wrong: it was judged by the time of its arrival
