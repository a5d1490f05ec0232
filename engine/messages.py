"""Bodies of the three entity queues <-> domain values. What cannot be accepted is refused with a reason and a sentence.

Reasons: blank, not_utf8, not_json, too_deep, not_an_object, missing_field, wrong_type, unknown_value, id_too_long,
text_too_long, nul_character, bad_time, time_out_of_range, not_finite, out_of_range. The native decoder of readings
uses the same words. Times without a zone are UTC; keys that are not ours are ignored.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any, Final, TypeVar

from engine.clock import US_PER_S
from engine.errors import InputRefused
from engine.model import (
    EntityMessage,
    FacilitySetup,
    FacilityType,
    Location,
    SensorActivation,
    SensorDeactivation,
    SensorType,
)

ID_BYTES_MAX: Final = 256
NAME_BYTES_MAX: Final = 512
ADDRESS_BYTES_MAX: Final = 2048
EXPECTED_INTERVAL_S_MAX: Final = 366 * 86_400
YEARS: Final = range(1970, 2201)

_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,30}))?\s?(Z|z|[+-]\d\d(?::?\d\d)?)?", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Choice = TypeVar("Choice", bound=StrEnum)
Fields = dict[str, Any]


def setup_of(body: bytes) -> FacilitySetup:
    """A facility from a body of the setup queue; raises InputRefused."""
    fields = _object(body)
    return FacilitySetup(
        facility_id=_id(fields, "facility_id"),
        name=_text(fields, "facility_name", NAME_BYTES_MAX),
        type=_choice(fields, "facility_type", FacilityType),
        location=_location(fields),
        tracked_at_us=_time_us(fields, "tracked_at"),
    )


def activation_of(body: bytes) -> SensorActivation:
    """A sensor from a body of the activation queue; raises InputRefused."""
    fields = _object(body)
    return SensorActivation(
        sensor_id=_id(fields, "sensor_id"),
        facility_id=_id(fields, "facility_id"),
        type=_choice(fields, "sensor_type", SensorType),
        location=_location(fields),
        expected_interval_s=_expected_interval_s(fields),
        tracked_at_us=_time_us(fields, "tracked_at"),
    )


def deactivation_of(body: bytes) -> SensorDeactivation:
    """The end of a sensor's service from a body of the deactivation queue; raises InputRefused."""
    fields = _object(body)
    return SensorDeactivation(
        sensor_id=_id(fields, "sensor_id"),
        facility_id=_id(fields, "facility_id"),
        tracked_at_us=_time_us(fields, "tracked_at"),
    )


def body_of(message: EntityMessage) -> str:
    """The JSON text that reads back as `message`."""
    fields: Fields = {"facility_id": message.facility_id, "tracked_at": time_text(message.tracked_at_us)}
    if isinstance(message, FacilitySetup):
        fields |= {"facility_name": message.name, "facility_type": message.type.value} | _location_fields(message)
    elif isinstance(message, SensorActivation):
        fields |= {"sensor_id": message.sensor_id, "sensor_type": message.type.value}
        fields |= {"signal_interval": message.expected_interval_s} | _location_fields(message)
    else:
        fields |= {"sensor_id": message.sensor_id}
    return json.dumps(fields, ensure_ascii=False)


def time_text(time_us: int) -> str:
    """A time as the hub writes it: UTC, microseconds, no suffix."""
    return (_EPOCH + timedelta(microseconds=time_us)).strftime("%Y-%m-%dT%H:%M:%S.%f")


def _location_fields(message: FacilitySetup | SensorActivation) -> Fields:
    place = message.location
    return {"address": place.address, "longitude": place.longitude, "latitude": place.latitude}


def _object(body: bytes) -> Fields:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputRefused("not_utf8", f"byte {error.start} of {len(body)} is not UTF-8") from error
    if not text.strip():
        raise InputRefused("blank", f"the body holds nothing ({len(body)} bytes)")
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise InputRefused("too_deep", "the body is nested too deeply") from error
    except ValueError as error:
        raise InputRefused("not_json", f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputRefused("not_an_object", f"expected one JSON object, got {_kind(value)}")
    return value


def _required(fields: Fields, name: str) -> Any:
    if (value := fields.get(name)) is None:
        raise InputRefused("missing_field", f"{name} is missing or null")
    return value


def _text(fields: Fields, name: str, bytes_max: int, too_long: str = "text_too_long") -> str:
    value = _required(fields, name)
    if not isinstance(value, str):
        raise InputRefused("wrong_type", f"{name} must be a string, got {_kind(value)}")
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise InputRefused("not_utf8", f"{name} holds half of a surrogate pair at {error.start}") from error
    if size > bytes_max:
        raise InputRefused(too_long, f"{name} has {size} bytes, at most {bytes_max} are allowed")
    if "\0" in value:
        raise InputRefused("nul_character", f"{name} holds a NUL character")
    return value


def _id(fields: Fields, name: str) -> str:
    value = _text(fields, name, ID_BYTES_MAX, "id_too_long")
    if not value:
        raise InputRefused("missing_field", f"{name} is empty")
    return value


def _choice(fields: Fields, name: str, choices: type[Choice]) -> Choice:
    value = _text(fields, name, NAME_BYTES_MAX)
    try:
        return choices(value)
    except ValueError as error:
        known = ", ".join(choices)
        raise InputRefused("unknown_value", f"{name} {value[:80]!r} is none of {known}") from error


def _number(fields: Fields, name: str) -> float:
    value = _required(fields, name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputRefused("wrong_type", f"{name} must be a number, got {_kind(value)}")
    try:
        number = float(value)
    except OverflowError as error:
        raise InputRefused("not_finite", f"{name} is too large a number") from error
    if not math.isfinite(number):
        raise InputRefused("not_finite", f"{name} is {number}, a finite number is needed")
    return number


def _location(fields: Fields) -> Location:
    longitude, latitude = _number(fields, "longitude"), _number(fields, "latitude")
    for name, degrees, limit in (("longitude", longitude, 180.0), ("latitude", latitude, 90.0)):
        if abs(degrees) > limit:
            raise InputRefused("out_of_range", f"{name} {degrees} is outside -{limit:.0f} to {limit:.0f} degrees")
    address = None if fields.get("address") is None else _text(fields, "address", ADDRESS_BYTES_MAX)
    return Location(address, longitude, latitude)


def _expected_interval_s(fields: Fields) -> int:
    value = _number(fields, "signal_interval")
    if value != int(value):
        raise InputRefused("wrong_type", f"signal_interval must be whole seconds, got {value}")
    if not 1 <= value <= EXPECTED_INTERVAL_S_MAX:
        raise InputRefused("out_of_range", f"signal_interval {value:.0f} s is outside 1 to {EXPECTED_INTERVAL_S_MAX} s")
    return int(value)


def _time_us(fields: Fields, name: str) -> int:
    value = _required(fields, name)
    if not isinstance(value, str):
        raise InputRefused("wrong_type", f"{name} must be a string, got {_kind(value)}")
    match = _TIME.fullmatch(value.strip())
    if match is None:
        raise InputRefused("bad_time", f"{name} {value[:80]!r} is not a time such as 2026-11-22T10:15:00.123456")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    if year not in YEARS:
        raise InputRefused("time_out_of_range", f"{name} {value[:80]} is outside the years 1970 to 2200")
    leap_s = 1 if (hour, minute, second) == (23, 59, 60) else 0
    fraction_us = int((match[7] or "0")[:6].ljust(6, "0"))
    try:
        moment = datetime(year, month, day, hour, minute, second - leap_s, fraction_us, _zone(match[8]))
    except ValueError as error:
        raise InputRefused("bad_time", f"{name} {value[:80]!r}: {error}") from error
    time_us = (moment - _EPOCH) // timedelta(microseconds=1) + leap_s * US_PER_S
    if time_us < 0:
        raise InputRefused("time_out_of_range", f"{name} {value[:80]} is before 1970")
    return time_us


def _zone(suffix: str | None) -> timezone:
    if suffix is None or suffix in "Zz":
        return UTC
    digits = suffix[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if suffix[0] == "-" else offset)


def _kind(value: object) -> str:
    """What JSON calls the type of a value."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
