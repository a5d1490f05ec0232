"""What can be exported: tables with their columns, static, so that no catalogue is asked.

`docs/exports.md` shows them; `make docs` writes the tables there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

import native

UTC_TIME: Final = pl.Datetime("us", "UTC")
TYPES: Final[Mapping[str, pl.DataType]] = {
    "int16": pl.Int16(),
    "int32": pl.Int32(),
    "int64": pl.Int64(),
    "float32": pl.Float32(),
    "float64": pl.Float64(),
    "bool": pl.Boolean(),
    "time": UTC_TIME,
    "text": pl.String(),
}
"""What a kind of `native.CopyDecoder` becomes in polars."""


@dataclass(frozen=True, slots=True)
class Column:
    """`sql` is what it is read as; empty for what follows from the sensor's number. `unit` is empty for no unit."""

    name: str
    kind: str
    meaning: str
    sql: str = ""
    unit: str = ""

    @property
    def type(self) -> pl.DataType:
        return TYPES[self.kind]


@dataclass(frozen=True, slots=True)
class Dataset:
    """A table of an export. Rows come `sorted_by` these columns.

    source   what stands behind FROM
    about    the condition that its rows are about wanted sensors and facilities: {numbers} is an array of the sensors'
             numbers, $1 the facility ids
    time     the column whose range is asked for; empty when there is none
    order    what stands behind ORDER BY; empty for readings, whose pieces are sorted here
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]
    sorted_by: tuple[str, ...]
    source: str
    about: str
    time: str = ""
    order: str = ""

    def chosen(self, names: Iterable[str]) -> tuple[Column, ...]:
        """Those columns in the order asked for, all for none. Raises ValueError with what would be right."""
        known = {column.name: column for column in self.columns}
        wanted = tuple(names) or tuple(known)
        for name in wanted:
            if name not in known:
                raise ValueError(f"{self.name} has no column {name!r}; it has {', '.join(known)}")
        if len(set(wanted)) < len(wanted):
            raise ValueError(f"a column is named twice: {', '.join(wanted)}")
        return tuple(known[name] for name in wanted)


def schema_of(columns: Iterable[Column]) -> pl.Schema:
    return pl.Schema({column.name: column.type for column in columns})


_FACILITY = Column("facility_id", "text", "the facility", "s.facility_id")
_SENSOR = Column("sensor_id", "text", "the sensor", "s.id")
_PLACE = (
    Column("longitude", "float64", "where it is, WGS 84", "l.longitude", "degrees east"),
    Column("latitude", "float64", "where it is, WGS 84", "l.latitude", "degrees north"),
    Column("address", "text", "where it is, in words; null for none", "l.address"),
)

RECORDS: Final = Dataset(
    "records",
    "readings as they were stored, with what the core said of each",
    (
        Column("facility_id", "text", "the facility"),
        Column("sensor_id", "text", "the sensor"),
        Column("tracked_at", "time", "when it was measured", "tracked_at"),
        Column("value", "float64", "the number; null for a text", "value", "of the sensor"),
        Column("text", "text", "what was received, where it is no number or another spelling of it", "text_value"),
        Column("score", "float32", "decades of surprise; null while there is no say", "score", "decades"),
        Column("flags", "int16", "bits, see below", "flags"),
    ),
    ("day (UTC)", "facility_id", "sensor_id", "tracked_at"),
    "sensor_records",
    "",
    time="tracked_at",
)

ROLLUPS: Final = Dataset(
    "rollups",
    "minutes, hours and days of readings, as charts use them",
    (
        _FACILITY,
        _SENSOR,
        Column("width_s", "int32", "how long the bucket is: 60, 3600 or 86400", "r.width_s", "s"),
        Column("bucket", "time", "when it begins", "r.bucket"),
        Column("readings", "int32", "how many were stored, texts too", "r.readings"),
        Column("n", "int32", "how many numbers", "r.n"),
        Column("sum", "float64", "of the numbers", "r.sum", "of the sensor"),
        Column("sum_sq", "float64", "of their squares", "r.sum_sq", "of the sensor, squared"),
        Column("min", "float64", "the smallest number", "r.min", "of the sensor"),
        Column("max", "float64", "the largest number", "r.max", "of the sensor"),
        Column("first", "float64", "the first number", "r.first", "of the sensor"),
        Column("last", "float64", "the last number", "r.last", "of the sensor"),
        Column("good", "int32", "how many readings nothing was wrong with", "r.good"),
        Column("good_fraction", "float64", "good of readings", "r.good_fraction", "0 to 1"),
    ),
    ("facility_id", "sensor_id", "width_s", "bucket"),
    "reading_rollups r JOIN sensors s ON s.sensor_no = r.sensor_no",
    "r.sensor_no = ANY({numbers})",
    time="r.bucket",
    order='s.facility_id COLLATE "C", s.id COLLATE "C", r.width_s, r.bucket',
)

_LAST_VERDICT: Final = (
    "SELECT j.explanation->>'verdict' AS verdict, j.event_time, j.actor FROM alarm_events j"
    " WHERE j.facility_id = e.facility_id AND j.alarm_key = e.alarm_key AND j.transition = 'verdict'"
    " AND (j.explanation->>'about_event_id')::bigint = e.id ORDER BY j.id DESC LIMIT 1"
)

ALARMS: Final = Dataset(
    "alarms",
    "the journal: every transition of every alarm, in the order in which it was recorded",
    (
        Column("id", "int64", "rises with each row", "e.id"),
        Column("facility_id", "text", "the facility", "e.facility_id"),
        Column("sensor_id", "text", "the sensor; null for an alarm of the facility", "s.id"),
        Column("alarm_key", "text", "which alarm of the facility", "e.alarm_key"),
        Column("rule", "text", "what was violated", "e.rule"),
        Column("rule_version", "int32", "of its configuration", "e.rule_version"),
        Column("transition", "text", ", ".join(native.TRANSITION_NAMES), "e.transition"),
        Column("event_time", "time", "when it was so in the field", "e.event_time"),
        Column("recorded_at", "time", "when it was stored", "e.recorded_at"),
        Column("priority", "text", ", ".join(native.PRIORITY_NAMES), "e.priority"),
        Column("alert_type", "text", "Anomaly, System", "e.alert_type"),
        Column("value", "float64", "the reading that did it", "e.value", "of the sensor"),
        Column("limit", "float64", "the limit it is beyond", "e.limit_value", "of the sensor"),
        Column("score", "float64", "of an anomaly", "e.score", "decades"),
        Column("message", "text", "what operators read", "e.message"),
        Column("explanation", "text", "why, as JSON", "e.explanation::text"),
        Column("late", "bool", "whether it was already over when it was told", "e.late"),
        Column("actor", "text", "who did it; empty for the system", "e.actor"),
        Column("reason", "text", "what they gave as reason", "e.reason"),
        Column("verdict", "text", "of a verdict: true, false or expected", "e.explanation->>'verdict'"),
        Column(
            "about_id",
            "int64",
            "of a verdict: the activation that it is about",
            "(e.explanation->>'about_event_id')::bigint",
        ),
    ),
    ("id",),
    "alarm_events e LEFT JOIN sensors s ON s.sensor_no = e.sensor_no",
    "(e.sensor_no = ANY({numbers}) OR (e.sensor_no IS NULL AND e.facility_id = ANY($1::text[])))",
    time="e.event_time",
    order="e.id",
)

ALERTS: Final = Dataset(
    "alerts",
    "activations of alarms, as `/alerts` gives them",
    (
        Column("id", "int64", "as in `/alerts`", "e.id"),
        Column("facility_id", "text", "the facility", "e.facility_id"),
        Column("sensor_id", "text", "the sensor; null for an alert of the facility", "s.id"),
        Column("sensor_type", "text", "its type", "s.type"),
        Column("alert_type", "text", "Anomaly, System", "e.alert_type"),
        Column("rule", "text", "what was violated", "e.rule"),
        Column("event_time", "time", "when it was so in the field", "e.event_time"),
        Column("created_at", "time", "when it was told", "e.recorded_at"),
        Column("message", "text", "what operators read", "e.message"),
        Column("explanation", "text", "why, as JSON", "e.explanation::text"),
        Column("verdict", "text", "the last of people: true, false or expected; null: none yet", "v.verdict"),
        Column("verdict_at", "time", "when it was given", "v.event_time"),
        Column("verdict_by", "text", "who gave it: `user:5`, `key:2`", "v.actor"),
    ),
    ("id",),
    f"alarm_events e LEFT JOIN sensors s ON s.sensor_no = e.sensor_no LEFT JOIN LATERAL ({_LAST_VERDICT}) v ON true",
    "e.transition = 'activated'"
    " AND (e.sensor_no = ANY({numbers}) OR (e.sensor_no IS NULL AND e.facility_id = ANY($1::text[])))",
    time="e.event_time",
    order="e.id",
)

SENSORS: Final = Dataset(
    "sensors",
    "sensors as they are set up now",
    (
        Column("facility_id", "text", "the facility", "s.facility_id"),
        Column("sensor_id", "text", "the sensor", "s.id"),
        Column("name", "text", "what people call it", "s.name"),
        Column("type", "text", "Pressure, Temperature, …", "s.type"),
        Column("status", "text", "Active, Inactive, Maintenance, Fault", "s.status"),
        Column("expected_freq", "text", "how often it reports, as it was set up", "s.expected_freq"),
        Column("expected_interval_s", "int32", "the same in seconds", "s.signal_interval_s", "s"),
        Column("installed_at", "time", "when it was set up", "s.installed_at"),
        Column("status_changed_at", "time", "when its status changed last", "s.status_changed_at"),
        *_PLACE,
    ),
    ("facility_id", "sensor_id"),
    "sensors s LEFT JOIN locations l ON l.id = s.location_id",
    "s.sensor_no = ANY({numbers})",
    order='s.facility_id COLLATE "C", s.id COLLATE "C"',
)

FACILITIES: Final = Dataset(
    "facilities",
    "facilities as they are set up now",
    (
        Column("facility_id", "text", "the facility", "f.id"),
        Column("name", "text", "what people call it", "f.name"),
        Column("type", "text", "DrillingRig, Pipeline, TankFarm, …", "f.type"),
        Column("status", "text", "Active, Maintenance, Offline", "f.status"),
        Column("created_at", "time", "when it was set up", "f.created_at"),
        *_PLACE,
    ),
    ("facility_id",),
    "facilities f LEFT JOIN locations l ON l.id = f.location_id",
    "f.id = ANY($1::text[])",
    order='f.id COLLATE "C"',
)

DETECTION: Final = Dataset(
    "detection",
    "what is and was set of the detection, beside its defaults: each version, from when to when",
    (
        Column("facility_id", "text", "the facility", "d.facility_id"),
        Column("sensor_type", "text", "for all sensors of this type; null for one sensor", "d.sensor_type"),
        Column("sensor_id", "text", "for this sensor; null for a type", "d.sensor_id"),
        Column("version", "int32", "counts what was set for this sensor or type, from 1", "d.version"),
        Column("from", "time", "when it was set; null: before versions were kept", "d.from_at"),
        Column("until", "time", "when it was set anew or taken back; null while it holds", "d.until_at"),
        Column("set_by", "text", "who did, as in the audit log: `user:5`, `key:2`; null: not known", "d.set_by"),
        Column("budget_days", "float64", "days in which one false alarm may come", "d.budget_days", "days"),
        Column("warming_readings", "int32", "readings before the first say", "d.warming_readings"),
        Column("physical_low", "float64", "nothing below it is measured", "d.physical_low", "of the sensor"),
        Column("physical_high", "float64", "nothing above it is measured", "d.physical_high", "of the sensor"),
        Column("is_on", "bool", "whether it may speak", "d.is_on"),
    ),
    ("facility_id", "sensor_type", "sensor_id", "version"),
    "detection_versions d LEFT JOIN sensors s ON s.id = d.sensor_id",
    "(s.sensor_no = ANY({numbers}) OR (d.sensor_id IS NULL AND d.facility_id = ANY($1::text[])))",
    order='d.facility_id COLLATE "C", d.sensor_type COLLATE "C", d.sensor_id COLLATE "C", d.version',
)

DATASETS: Final[Mapping[str, Dataset]] = {
    dataset.name: dataset for dataset in (RECORDS, ROLLUPS, ALARMS, ALERTS, SENSORS, FACILITIES, DETECTION)
}
