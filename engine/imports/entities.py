"""Facilities and sensors of an export, made as messages make them; those that are there stay as they are.

An engine that runs is told in the same transaction, as of a change over REST, and loads the facilities again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import polars as pl

import native
from engine.errors import InputRefused
from engine.exports.datasets import FACILITIES, Dataset
from engine.historian.group import expected_freq
from engine.historian.notifications import CONFIGURATION
from engine.historian.queries import SQL
from engine.historian.standing import read_standing
from engine.imports.known import Known
from engine.imports.reasons import Reason
from engine.imports.report import Report
from engine.messages import activation_of, setup_of, time_text
from engine.model import FacilityStatus, SensorStatus
from engine.offline.refusals import FrameRefused
from engine.offline.tables import Table

Row = Mapping[str, Any]
"""Of the export, its times as microseconds."""

_PLACE: Final = "INSERT INTO locations (address, longitude, latitude) VALUES ($1, $2, $3) RETURNING id"
_FACILITY: Final = """
INSERT INTO facilities (id, name, type, status, created_at, location_id) VALUES ($1, $2, $3, $4, $5, $6)
"""
_SENSOR: Final = """
INSERT INTO sensors (id, facility_id, name, type, status, expected_freq, signal_interval_s, installed_at,
    status_changed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO NOTHING RETURNING id
"""
_SENSOR_IS_AT: Final = "UPDATE sensors SET location_id = $2 WHERE id = $1"
_TELL_ENGINE: Final = "SELECT pg_notify($1, $2)"
_TIMES: Final = ("created_at", "installed_at", "status_changed_at")
_NAMELESS_PLACE: Final = {"longitude": 0.0, "latitude": 0.0}
"""A sensor may be nowhere, which no activation is."""


def missing_of(table: Table, dataset: Dataset, known: Known, report: Report, name: str) -> list[Row]:
    """What is not there yet; `known` has it from now on. What nothing can be made of is in the report.

    Raises FrameRefused for columns of other kinds than an export's.
    """
    made: list[Row] = []
    for place, fields in enumerate(_plain(table.frame, dataset).iter_rows(named=True), start=1):
        report.rows += 1
        try:
            row = _facility(fields) if dataset is FACILITIES else _sensor(fields, known)
        except InputRefused as error:
            report.refuse(Reason.BAD_ENTITY, 1, [f"row {place} of {name} ({error.detail})"])
            continue
        if _is_there(row, dataset, known):
            report.already_there += 1
            continue
        made.append(row)
        if dataset is FACILITIES:
            known.facilities.add(row["facility_id"])
            report.facilities_made += 1
        else:
            known.plan_sensor(row["sensor_id"], row["facility_id"], row["type"], row["expected_interval_s"])
            report.sensors_made += 1
    return made


async def make(connection: Any, dataset: Dataset, rows: list[Row]) -> int:
    """All of them in one transaction, but for those that somebody else has made meanwhile; how many."""
    make_one = _make_facility if dataset is FACILITIES else _make_sensor
    made = 0
    async with connection.transaction():
        for row in rows:
            made += await make_one(connection, row)
        if dataset is not FACILITIES:
            for facility_id in sorted({row["facility_id"] for row in rows}):
                await connection.execute(_TELL_ENGINE, CONFIGURATION, facility_id)
    return made


async def _make_facility(connection: Any, row: Row) -> bool:
    facility_id = row["facility_id"]
    standing = await read_standing(connection, facility_id)
    if standing.is_there:
        return False
    place = await _place(connection, row)
    await connection.execute(_FACILITY, facility_id, row["name"], row["type"], row["status"], row["created_at"], place)
    await connection.execute(SQL["epoch_insert"], facility_id, standing.epoch + 1)
    return True


async def _make_sensor(connection: Any, row: Row) -> bool:
    made = await connection.fetchval(
        _SENSOR,
        row["sensor_id"],
        row["facility_id"],
        row["name"],
        row["type"],
        row["status"],
        row["expected_freq"],
        row["expected_interval_s"],
        row["installed_at"],
        row["status_changed_at"],
    )
    if made is not None and row["longitude"] is not None:
        await connection.execute(_SENSOR_IS_AT, made, await _place(connection, row))
    return made is not None


async def _place(connection: Any, row: Row) -> int:
    number: int = await connection.fetchval(_PLACE, row["address"], row["longitude"], row["latitude"])
    return number


def _plain(frame: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    """Texts, numbers, and times as microseconds or texts."""
    for column in dataset.columns:
        kind = frame[column.name].dtype
        is_like = kind.is_numeric() if column.type.is_numeric() else isinstance(kind, type(column.type))
        if not is_like and kind not in {pl.String, pl.Null}:
            raise FrameRefused(f"{column.name} is {kind}, an export has {column.type} there")
    return frame.with_columns(column.dt.epoch("us") for column in frame if isinstance(column.dtype, pl.Datetime))


def _is_there(row: Row, dataset: Dataset, known: Known) -> bool:
    return row["facility_id"] in known.facilities if dataset is FACILITIES else row["sensor_id"] in known.sensors


def _facility(fields: Row) -> Row:
    """By the rules for messages of the setup queue. Raises InputRefused."""
    row = _typed(fields)
    setup_of(_body(row, facility_name=row["name"], facility_type=row["type"], tracked_at=time_text(row["created_at"])))
    _refuse_unknown_status(row["status"], FacilityStatus)
    return row


def _sensor(fields: Row, known: Known) -> Row:
    """By the rules for messages of the activation queue. Raises InputRefused."""
    row = _typed(fields)
    place = row if row["longitude"] is not None else {**row, **_NAMELESS_PLACE}
    times = {"tracked_at": time_text(row["installed_at"])}
    activation_of(_body(place, sensor_type=row["type"], signal_interval=row["expected_interval_s"], **times))
    setup_of(_body({**place, **_NAMELESS_PLACE}, facility_name=row["name"], facility_type="TankFarm", **times))
    _refuse_unknown_status(row["status"], SensorStatus)
    interval_s = row["expected_interval_s"]
    row = {**row, "expected_freq": row["expected_freq"] or expected_freq(interval_s)}
    if row["expected_freq"] not in {expected_freq(interval_s), f"{interval_s}S"}:
        raise InputRefused("unknown_value", f"expected_freq {row['expected_freq']!r} does not spell {interval_s} s")
    if row["facility_id"] not in known.facilities:
        raise InputRefused("unknown_facility", f"there is no facility {row['facility_id']!r}")
    there = known.sensors.get(row["sensor_id"])
    if there is not None and there.facility_id != row["facility_id"]:
        raise InputRefused("known_sensor", f"there is a sensor {row['sensor_id']!r} in {there.facility_id}")
    return row


def _typed(fields: Row) -> Row:
    """A CSV has all as text. Raises InputRefused."""
    row = dict(fields)
    for name in _TIMES:
        if name in row:
            row[name] = _us(name, row[name])
    try:
        for name in ("longitude", "latitude"):
            row[name] = None if row[name] is None else float(row[name])
        if "expected_interval_s" in row:
            row["expected_interval_s"] = int(row["expected_interval_s"] or 0)
    except (ValueError, OverflowError) as error:
        raise InputRefused("wrong_type", f"a number was expected: {error}") from error
    return row


def _us(name: str, value: int | str | None) -> int:
    if value is None:
        raise InputRefused("missing_field", f"{name} is missing")
    if isinstance(value, int):
        if not native.TIME_US_FIRST <= value < native.TIME_US_END:
            raise InputRefused("time_out_of_range", f"{name} is outside of the years 1970 to 2200")
        return value
    try:
        return native.parse_time(value)
    except native.TimeRefused as error:
        raise InputRefused("bad_time", f"{name} is {value[:64]!r}: {error}") from error


def _body(row: Row, **fields: object) -> bytes:
    named = ("facility_id", "sensor_id", "address", "longitude", "latitude")
    return json.dumps({**{name: row[name] for name in named if name in row}, **fields}).encode()


def _refuse_unknown_status(status: object, known: type[StrEnum]) -> None:
    if status not in set(known):
        raise InputRefused("unknown_value", f"status is {status!r}; there are {', '.join(known)}")
