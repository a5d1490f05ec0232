"""Bodies of the three entity queues <-> domain values. What cannot be accepted is refused with a reason and a sentence.

Reasons: blank, not_utf8, not_json, too_deep, not_an_object, missing_field, wrong_type, unknown_value, id_too_long,
text_too_long, nul_character, control_character, bad_time, time_out_of_range, future, not_finite, out_of_range. The
native decoder of readings uses the same words, and reads times for both. Keys that are not ours are ignored.
docs/hubs.md tells senders.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, TypeVar

import native
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
from engine.printable import control_in

NAME_BYTES_MAX: Final = 512
ADDRESS_BYTES_MAX: Final = 2048
TIME_SHOWN_CHARACTERS_MAX: Final = 64

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


def refuse_ahead(message: EntityMessage, received_at_us: int, future_s_max: float) -> None:
    """Raise InputRefused if the message is of a moment further than `future_s_max` ahead of its receipt."""
    latest_us = received_at_us + int(future_s_max * US_PER_S)
    if message.tracked_at_us > latest_us:
        ahead_s = (message.tracked_at_us - latest_us) / US_PER_S
        latest = time_text(latest_us)
        raise InputRefused("future", f"tracked_at is {ahead_s:.1f} s beyond the latest time that is accepted, {latest}")


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
        text = body.decode("utf-8-sig")
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
    if any(_is_deeper(field, native.JSON_DEPTH_MAX) for field in value.values()):
        raise InputRefused("too_deep", f"a field is nested deeper than {native.JSON_DEPTH_MAX}")
    return value


def _is_deeper(value: object, depth_max: int) -> bool:
    level = [value]
    for _ in range(depth_max):
        level = [inner for each in level for inner in _inside(each)]
    return any(isinstance(each, dict | list) for each in level)


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _required(fields: Fields, name: str) -> Any:
    if (value := fields.get(name)) is None:
        raise InputRefused("missing_field", f"{name} is missing or null")
    return value


def _string(fields: Fields, name: str) -> str:
    value = _required(fields, name)
    if not isinstance(value, str):
        raise InputRefused("wrong_type", f"{name} must be a string, got {_kind(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputRefused("not_utf8", f"{name} holds half of a surrogate pair at {error.start}") from error
    return value


def _text(fields: Fields, name: str, bytes_max: int, too_long: str = "text_too_long") -> str:
    value = _string(fields, name)
    size = len(value.encode())
    if size > bytes_max:
        raise InputRefused(too_long, f"{name} has {size} bytes, at most {bytes_max} are allowed")
    if "\0" in value:
        raise InputRefused("nul_character", f"{name} holds a NUL character")
    if control := control_in(value):
        raise InputRefused("control_character", f"{name} holds the control character {control}")
    return value


def _id(fields: Fields, name: str) -> str:
    value = _text(fields, name, native.ID_BYTES_MAX, "id_too_long")
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
    if not 1 <= value <= native.INTERVAL_S_MAX:
        raise InputRefused("out_of_range", f"signal_interval {value:.0f} s is outside 1 to {native.INTERVAL_S_MAX} s")
    return int(value)


def _time_us(fields: Fields, name: str) -> int:
    text = _string(fields, name)
    try:
        return native.parse_time(text)
    except native.TimeRefused as error:
        reason = "time_out_of_range" if isinstance(error, native.TimeOutOfRange) else "bad_time"
        shown = json.dumps(text[:TIME_SHOWN_CHARACTERS_MAX], ensure_ascii=False)
        raise InputRefused(reason, f"{name} {shown}: {error}") from error


def _kind(value: object) -> str:
    """What JSON calls the type of a value."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
