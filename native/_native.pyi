"""Compiled part of the native core. Times are microseconds since 1970-01-01T00:00:00Z (`_us`)."""

from collections.abc import Container, Iterable, Sequence
from typing import ClassVar, Literal, TypedDict, final, type_check_only

import numpy as np
import numpy.typing as npt

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

CORE_VERSION: int
"""Version of the core's state; a snapshot of a newer version, or of one that is too old, is refused."""

ID_BYTES_MAX: int
"""Longest facility or sensor id, in bytes of UTF-8."""

DATA_BYTES_MAX: int
"""Longest text of a reading, in bytes of UTF-8."""

JSON_DEPTH_MAX: int
"""Deepest nesting of a body."""

INTERVAL_S_MAX: int
"""Most seconds between two expected readings."""

SETTING_MAX: float
"""Largest number of the settings that `FacilityCore` takes; the smallest is 0."""

BUDGET_DAYS_MAX: float
"""Most days in which one false alarm is accepted; any number above 0 may be set."""

PHYSICAL_MAX: float
"""The widest physical range that a sensor type has reaches from -PHYSICAL_MAX to PHYSICAL_MAX."""

POINTS_MIN: int
"""Fewest points that a line can be reduced to: its ends, and an extreme each way."""

TIME_US_FIRST: int
"""The first moment that is accepted: the beginning of 1970."""

TIME_US_END: int
"""The first moment that is no longer accepted: the end of 2200."""

PRIORITY_NAMES: tuple[str, ...]
"""Of alarms, the most urgent first."""

REASON_NAMES: tuple[str, ...]
"""Why a score is high where it is not the views', by the numbers of `SeriesScores.reason`."""

TRANSITION_NAMES: tuple[str, ...]
"""What may stand in a row of the journal."""

VIEW_NAMES: tuple[str, ...]
"""The detector's views, in the order of the columns of `SeriesScores.shares`."""

class PayloadError(ValueError):
    """A batch, config, tick or command that cannot be applied; the core is as it was before."""

class SnapshotVersionError(ValueError):
    """A snapshot written by another core version: rebuild from stored readings."""

class SnapshotCorruptError(ValueError):
    """Bytes that are not an undamaged snapshot of this facility."""

class TimeRefused(ValueError):
    """A text that is no moment. The message says why, to stand after the text: "month 13; there are 1 to 12"."""

class TimeOutOfRange(TimeRefused):
    """A moment, but before TIME_US_FIRST or not before TIME_US_END."""

class NativeBug(RuntimeError):
    """A panic in the native code, caught. The object it was called on is unusable: drop it and reload."""

def first_control(text: str) -> str | None:
    """The first character of a text that is none to read: C0, DEL, C1, bidirectional marks, embeddings, overrides and
    isolates, separators of lines and paragraphs. Raises UnicodeEncodeError for half a surrogate pair.
    """

def escape_controls(text: str) -> str:
    """The text with `\\x1b` or `\\u202e` in the place of each such character."""

def parse_time(text: str) -> int:
    """Microseconds since 1970, UTC. Raises TimeRefused.

    `2026-11-22T10:15:00.123456+01:00`. The T may be t or one blank, seconds may be missing, the fraction has 1 to 9
    digits after a dot or comma (beyond the sixth they are cut off), the offset is Z, z, +01, +0100 or +01:00, with one
    blank before it if any, and UTC without one. Spaces, tabs and ends of lines around it are ignored. 23:59:60 UTC is
    the second after it. A day without a time of day is refused: it is no moment.
    """

class CopyFault(ValueError):
    """Bytes that are not the binary COPY that was announced."""

@final
class CopyDecoder:
    """Turns what PostgreSQL sends for `COPY … TO STDOUT (FORMAT binary)` into columns.

    Columns are (name, kind) in the order of the statement; kinds are int16, int32, int64, float32, float64, bool, time
    (timestamptz) and text. After a CopyFault it is of no more use. ValueError for a kind that is none.
    """

    def __new__(cls, columns: Sequence[tuple[str, str]]) -> CopyDecoder: ...
    def sift(self, data: bytes) -> bytes:
        """Messages as they came from the connection, cut anywhere; gives those that carry no rows. Raises CopyFault."""

    @property
    def rows(self) -> int:
        """How many the next `take` gives."""

    @property
    def is_ended(self) -> bool:
        """Whether the end of the COPY was seen, and no message is half there."""

    def take(self) -> CopiedRows:
        """The whole rows since the last call."""

@final
class SensorPlaces:
    """Puts readings in the order of UTC day, place of the sensor, time.

    Numbers and ids are those of the sensors, in their order and as many of each; else CopyFault.
    """

    def __new__(
        cls, numbers: npt.NDArray[np.int32], facility_ids: Sequence[str], sensor_ids: Sequence[str]
    ) -> SensorPlaces: ...
    def in_order(self, rows: CopiedRows) -> CopiedRows:
        """`rows` have the number of a sensor and a time first; facility_id and sensor_id take the number's place.

        Raises CopyFault for a number that is not known.
        """

@final
class CopiedRows:
    """Rows for whoever takes Arrow by its PyCapsule interface: `polars.DataFrame(rows)`."""

    def __len__(self) -> int: ...
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        """Schema and struct array; the schema that is wished for is not heeded."""

@type_check_only
class BatchRow(TypedDict):
    facility_id: str
    sensor_id: str
    tracked_at_us: int
    data: str

@final
class Refusal:
    """A refused body (`row` is None) or a refused row of a body that has good ones.

    reasons   not_utf8, not_json, too_deep, blank, not_an_object, empty, too_large, bad_arrow, missing_field,
              wrong_type, id_too_long, data_too_long, nul_character, not_finite, bad_time, time_out_of_range, future
    body      the offending text, at most 4 KiB, in a form that can be stored (valid UTF-8, no NUL)
    """

    @property
    def message(self) -> int: ...
    @property
    def row(self) -> int | None: ...
    @property
    def reason(self) -> str: ...
    @property
    def detail(self) -> str: ...
    @property
    def facility_id(self) -> str: ...
    @property
    def sensor_id(self) -> str: ...
    @property
    def body(self) -> str: ...

@final
class Decoded:
    """What a list of bodies held, grouped by facility."""

    @property
    def facility_ids(self) -> list[str]:
        """Facilities with at least one good row, in order of first appearance."""

    @property
    def refused(self) -> list[Refusal]:
        """Everything that was not accepted, in order of the bodies."""

    def batch(self, i: int) -> bytes:
        """Encoded batch of facility `i`, rows in order of arrival."""

    def rows(self, i: int) -> int:
        """Number of rows of facility `i`."""

    def messages(self, i: int) -> npt.NDArray[np.uint32]:
        """Indices of the bodies that gave rows to facility `i`, ascending."""

def decode(bodies: Sequence[bytes], received_at_us: int, future_s_max: float) -> Decoded:
    """Read bodies of any accepted form: a JSON object, a JSON array, NDJSON, an Arrow IPC stream.

    A row further than `future_s_max` ahead of `received_at_us` is refused. Raises nothing for any content.
    """

def encode_batch(facility_id: str, rows: Sequence[tuple[str, int, str]], received_at_us: int) -> bytes:
    """A batch of (sensor_id, tracked_at_us, data), for rows that did not come through `decode`. Checks no limits."""

def batch_rows(batch: bytes) -> list[BatchRow]:
    """The rows of a batch as dicts, slow: for parking, bisecting and people. Raises PayloadError.

    In a batch from the commit log a sensor stands by its number: its id is shown as "#7".
    """

def batch_info(batch: bytes) -> tuple[str, int, int]:
    """(facility_id, number of rows, received_at_us) of a batch without reading its rows. Raises PayloadError."""

@type_check_only
class DetectionDefaults(TypedDict):
    budget_days: float
    warming_readings: int
    physical_low: float
    physical_high: float
    is_on: bool

def detection_defaults(sensor_type: str) -> DetectionDefaults:
    """How anomalies are looked for where nothing is set, by type of sensor. Raises ValueError for an unknown one."""

_Rule = Literal["low", "low_low", "high", "high_high", "rate_of_change", "anomaly", "stale", "bad_value", "clock"]
_Priority = Literal["critical", "high", "medium", "low"]
_Transition = Literal[
    "activated",
    "activated_silently",
    "returned",
    "late_exceedance",
    "past_excursion",
    "re_alarmed",
    "acknowledged",
    "commented",
    "verdict",
    "assigned",
    "shelved",
    "unshelved",
    "suppressed",
    "unsuppressed",
    "out_of_service",
    "in_service",
    "reset",
]

@type_check_only
class RuleInForce(TypedDict):
    rule: _Rule
    limit: float | None
    unit: str
    priority: _Priority
    deadband: float
    on_delay_s: float
    off_delay_s: float
    latched: bool
    re_alarm_s: float | None
    window_s: float | None
    source: str
    message: str | None
    consequence: str | None
    response: str | None

def rules_in_force(sensor_type: str, wanted_json: str = "{}") -> list[RuleInForce]:
    """The alarm rules that a sensor of a type has when this is set for it, in the order in which they are judged.

    `wanted_json` is an object with any of `profile` (hub, ambient_safety, gas_quality), `unit`, `number_format` and
    `rules`, as in a configuration. Raises ValueError in words for what a configuration would be refused for.
    """

def check_groups(groups_json: str) -> None:
    """Raises ValueError in words for groups that a configuration would be refused for."""

@final
class CoreEvent:
    """One transition of one alarm, with the fields of `engine.model.AlarmEvent`.

    An alarm of the facility as a whole has no `sensor_no` and an empty `sensor_id`.
    """

    @property
    def alarm_key(self) -> str: ...
    @property
    def sensor_no(self) -> int | None: ...
    @property
    def sensor_id(self) -> str: ...
    @property
    def rule(self) -> _Rule | Literal["facility_anomaly", "silent"]: ...
    @property
    def transition(self) -> _Transition: ...
    @property
    def event_time_us(self) -> int: ...
    @property
    def rule_version(self) -> int: ...
    @property
    def priority(self) -> _Priority: ...
    @property
    def alert_type(self) -> Literal["Anomaly", "System"]: ...
    @property
    def value(self) -> float | None: ...
    @property
    def limit(self) -> float | None: ...
    @property
    def score(self) -> float | None: ...
    @property
    def message(self) -> str: ...
    @property
    def explanation_json(self) -> str: ...
    @property
    def late(self) -> bool: ...
    @property
    def only_if_stored(self) -> tuple[int, int] | None: ...
    @property
    def actor(self) -> str: ...
    @property
    def reason(self) -> str: ...

@final
class LatestValue:
    """A sensor's newest reading by event time; `data` is the text as received, `score` in decades of surprise."""

    @property
    def sensor_id(self) -> str: ...
    @property
    def sensor_no(self) -> int: ...
    @property
    def tracked_at_us(self) -> int: ...
    @property
    def data(self) -> str: ...
    @property
    def score(self) -> float | None: ...
    @property
    def flags(self) -> int: ...

@final
class AlarmState:
    """An alarm that is not normal. `state` is what people see, derived from the memories beside it.

    Without a sensor it is the facility's.
    """

    @property
    def alarm_key(self) -> str: ...
    @property
    def sensor_no(self) -> int | None: ...
    @property
    def sensor_id(self) -> str | None: ...
    @property
    def rule(self) -> str: ...
    @property
    def active(self) -> bool: ...
    @property
    def acknowledged(self) -> bool: ...
    @property
    def suppression(self) -> Literal["none", "shelved", "by_design", "out_of_service"]: ...
    @property
    def until_us(self) -> int | None:
        """When the suppression ends by itself."""

    @property
    def latched(self) -> bool: ...
    @property
    def assignee(self) -> str | None: ...
    @property
    def priority(self) -> str: ...
    @property
    def since_us(self) -> int:
        """Event time of the last activation or return, as the journal has it."""
    @property
    def state(self) -> str: ...

@final
class FacilityScore:
    """How unusual the sensors of a facility are together, at one tick.

    tracked_at_us   event time of the tick's newest reading
    score           decades of surprise; an alarm needs `threshold`
    statistics      the raw ones by name: distances t2_now, t2_4, t2_16 (root mean square over the channels, of their z
                    and of its means at half-lives of 4 and 16 ticks), top_three (decades of the three loudest sensors)
    channels        sensors that take part; `stale`: silent for more than three ticks
    contributors    (sensor_id, share of the whole), largest first; empty while the score is low
    """

    @property
    def tracked_at_us(self) -> int: ...
    @property
    def score(self) -> float: ...
    @property
    def threshold(self) -> float: ...
    @property
    def alarming(self) -> bool: ...
    @property
    def statistics(self) -> dict[str, float]: ...
    @property
    def channels(self) -> int: ...
    @property
    def stale(self) -> int: ...
    @property
    def tick_s(self) -> float: ...
    @property
    def contributors(self) -> list[tuple[str, float]]: ...

@final
class Effects:
    """What one step wants done."""

    @property
    def rows(self) -> int:
        """Number of tuples in `copy_rows`."""

    @property
    def copy_rows(self) -> bytes:
        """PostgreSQL binary COPY tuples without header and trailer.

        sensor_no int4, tracked_at timestamptz, value float8 (NULL for text), text_value text (NULL exactly when
        `repr(value)` is the text received), score float4 (NULL when not scored), flags int2 (see `native.Flag`).
        """

    @property
    def log_payload(self) -> bytes:
        """What to append to the commit log: replaying it changes the state as this step did.

        A batch in fewer bytes, its known sensors by number; any other payload as it was.
        """

    @property
    def dirty_minutes(self) -> list[int]:
        """Distinct minutes that `copy_rows` touches, ascending."""

    @property
    def events(self) -> list[CoreEvent]:
        """Transitions in the order in which they happened."""

    @property
    def unknown(self) -> list[tuple[str, int, str]]:
        """(sensor_id, tracked_at_us, data) of sensors the core does not know, to be parked."""

    @property
    def counts(self) -> dict[str, int]:
        """rows, late, duplicate, conflict, text, bad, unknown."""

    def live(
        self, not_stored: Iterable[tuple[int, int]] | None = None, sensor_ids: Container[str] | None = None
    ) -> list[tuple[str, int, int, bytes]]:
        """(sensor_id, sensor_no, tracked_at_us, frame) of rows that are news, in order of arrival.

        Leaves out unknown sensors, rows of the same time as the newest one, and `not_stored`: (sensor_no,
        tracked_at_us) that the database had already. With `sensor_ids` only those sensors' frames are built.
        """

@final
class FacilityCore:
    """A facility's sensors: newest values, detectors, alarms. Calls are serialised; each releases the GIL."""

    CORE_VERSION: ClassVar[int]

    def __new__(cls, facility_id: str, settings_json: str) -> FacilityCore:
        """An empty core. Settings (all optional): late_alarm_s_max, stale_intervals, stale_s_min, tick_gap_s_max,
        shelve_s_max.
        """

    def apply(self, kind: str, payload: bytes) -> Effects:
        """Change the state by one batch, config, tick or command. Raises PayloadError and then changes nothing."""

    def replay(self, kind: str, payload: bytes) -> None:
        """The same change of state as `apply`, telling nobody."""

    def recall(self, alarms: Sequence[tuple[int | None, str, bool, bool, int]]) -> list[str]:
        """After a rebuild from stored readings: every alarm as the journal left it, and silence counted from now on.

        `alarms` are (sensor_no, rule, active, acknowledged, since_us), `sensor_no` None for one of the facility as a
        whole; one that is missing was never announced.
        Returns the keys of those that no sensor and rule here can have.
        """

    def snapshot(self) -> bytes:
        """The whole state, with version and crc. Equal states give equal bytes."""

    @staticmethod
    def restore(facility_id: str, state: bytes, settings_json: str) -> FacilityCore:
        """A core from its snapshot. Raises SnapshotVersionError, SnapshotCorruptError."""

    def latest(self) -> list[LatestValue]:
        """Newest reading of each sensor that has one, in the order in which the sensors became known."""

    def latest_frames(self, sensor_ids: Container[str] | None = None) -> list[tuple[str, int, int, bytes]]:
        """The newest readings in the shape of `Effects.live`."""

    def sensor_ids(self) -> list[str]:
        """All known sensors, in the order in which they became known."""

    def known_sensors(self) -> list[tuple[str, int, str, float, str]]:
        """The same as a configuration names them: (sensor_id, sensor_no, type, expected_interval_s, status)."""

    def facility_score(self) -> FacilityScore | None:
        """What the facility as a whole said of its last tick; None while it knows too little."""

    def state_bytes(self) -> int:
        """Memory of the state, about."""

    def alarms(self) -> list[AlarmState]:
        """Alarms that are not normal: active, or returned and not acknowledged, or suppressed, or latched."""

@final
class SeriesScores:
    """What the core says of each reading of a series, in their order; NaN (and in `shares` 0) where it says nothing."""

    @property
    def score(self) -> npt.NDArray[np.float32]:
        """Decades of surprise, as they are stored; NaN while the score has no say."""

    @property
    def threshold(self) -> npt.NDArray[np.float32]: ...
    @property
    def expected(self) -> npt.NDArray[np.float64]:
        """The value that was expected."""

    @property
    def band(self) -> npt.NDArray[np.float64]:
        """Half the width of what most readings keep to, around `expected`."""

    @property
    def flags(self) -> npt.NDArray[np.int16]:
        """As they are stored, see `native.Flag`."""

    @property
    def alarming(self) -> npt.NDArray[np.bool_]:
        """Above the threshold, and above what the score was lately; while an alarm is active, `Flag.ANOMALY` is set."""

    @property
    def shares(self) -> npt.NDArray[np.float32]:
        """Decades of each view, a column each in the order of `VIEW_NAMES`."""

    @property
    def reason(self) -> npt.NDArray[np.int8]:
        """Why the score is high where it is not the views': an index of `REASON_NAMES`, or -1."""

    @property
    def events(self) -> list[tuple[int, CoreEvent]]:
        """(row, transition of an alarm) in order, as told live; `sensor_no` is the sensor's number here.

        Readings that came late tell nothing here: that depends on what a database held before.
        """

    @property
    def silent(self) -> list[tuple[int, int]]:
        """(row, sensor) where one was first found silent for far longer than ever before, by the times of the rows.

        Live, the intake's clock tells of silence, and the stale alarm speaks.
        """

    @property
    def facility_score(self) -> npt.NDArray[np.float32]:
        """Of all sensors together, in decades: in the row that ended a tick, what was said of it; NaN in all others."""

    @property
    def facility_threshold(self) -> npt.NDArray[np.float32]: ...
    @property
    def facility_alarming(self) -> npt.NDArray[np.bool_]: ...
    @property
    def contributors(self) -> list[tuple[int, list[tuple[int, float]]]]:
        """(row, [(sensor, its share)]) where the facility's score is unusual; the largest share first."""

    def __len__(self) -> int: ...

@final
class SeriesScorer:
    """Sensors without a facility, numbered from 0, that score series piece by piece. Calls are serialised."""

    def __new__(
        cls,
        intervals: Sequence[float],
        tuning_json: str | Sequence[str] = "{}",
        types: Sequence[str | None] | None = None,
        rules_json: str | Sequence[str] = "{}",
    ) -> SeriesScorer:
        """`intervals`: each sensor's usual distance of readings, in seconds; the rest is as in `score_facility`.

        `rules_json` is what a configuration sets of alarm rules, for all sensors or for each; events tell by them.
        """

    def score(
        self, sensor: npt.NDArray[np.int32], at_us: npt.NDArray[np.int64], values: npt.NDArray[np.float64]
    ) -> SeriesScores:
        """Score the next readings and learn them. Raises PayloadError and then has learned nothing."""

    def unscored(
        self, sensor: npt.NDArray[np.int32], at_us: npt.NDArray[np.int64], values: npt.NDArray[np.float64]
    ) -> list[tuple[int, CoreEvent]]:
        """Only what rules tell of the next readings that need no detector: all but `anomaly`, with their rows.

        It takes a fraction of the time. A scorer is for this or for `score`: what is unscored is not learned.
        """

def score_series(
    at_us: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    expected_interval_s: float,
    tuning_json: str = "{}",
    sensor_type: str | None = None,
) -> SeriesScores:
    """Score a sensor's readings in their order of arrival: the same bits as `FacilityCore.apply` stores.

    The columns must be contiguous; they are read where they lie, without the GIL. A value that is not finite is a
    reading of text. Without a sensor type there are no limits, and any value below 1e12 is physical.
    `tuning_json` is what a configuration sets of `detection` (budget_days, warming_readings, physical_low,
    physical_high, is_on). Raises PayloadError.
    """

def score_facility(
    sensor: npt.NDArray[np.int32],
    at_us: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    intervals: Sequence[float],
    tuning_json: str | Sequence[str] = "{}",
    types: Sequence[str | None] | None = None,
) -> SeriesScores:
    """The same for all sensors of a facility, numbered from 0, their readings in the one order of arrival.

    `types` and `tuning_json` are of each sensor; a `tuning_json` alone is of all. Sensor -1 is nobody's: its row is no
    reading, in it only time passes.
    """

def downsample_minmax(
    at_us: npt.NDArray[np.int64], values: npt.NDArray[np.float64], points_max: int
) -> npt.NDArray[np.int64]:
    """Rows, in order, that keep the first, the last, and of each equal span of time the smallest and largest value.

    The columns must be contiguous, times in order; values that are not finite are never chosen. Works without the GIL.
    Raises PayloadError.
    """

def downsample_lttb(
    at_us: npt.NDArray[np.int64], values: npt.NDArray[np.float64], points_max: int
) -> npt.NDArray[np.int64]:
    """The same by largest triangle three buckets: of each equal number of rows the one that bends the line most."""
