"""Bad readings, one a case: what is sent and where it ends. Each named limit stands here on both of its sides."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

RECEIVED_AT = datetime(2026, 1, 1, 10, 15, tzinfo=UTC)
FUTURE_S_MAX = 300.0


@dataclass(frozen=True, slots=True)
class Case:
    """`dead`: the reason of the dead letter; else `good` readings are stored and `refused` rows set aside."""

    name: str
    body: bytes
    dead: str | None = None
    good: int = 0
    refused: tuple[str, ...] = ()


def reading(**changes: Any) -> dict[str, Any]:
    """A good reading with `changes`; a value of `...` leaves the field out."""
    fields = {"sensor_id": "s-1", "facility_id": "f-1", "tracked_at": "2026-01-01T10:14:00.123456", "data": "24.61"}
    return {name: value for name, value in {**fields, **changes}.items() if value is not ...}


def body(**changes: Any) -> bytes:
    return json.dumps(reading(**changes)).encode()


def raw(field: str, token: str) -> bytes:
    """A good reading whose `field` is written as `token`, which need not be JSON."""
    return json.dumps(reading(**{field: "@"})).replace('"@"', token).encode()


def ahead(seconds: float) -> str:
    return (RECEIVED_AT + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat()


def rows(*bodies: object) -> bytes:
    return json.dumps(list(bodies)).encode()


GOOD = [
    Case("one reading", body(), good=1),
    Case("a batch as an array", rows(reading(), reading(sensor_id="s-2")), good=2),
    Case("a batch as lines", body() + b"\n" + body(sensor_id="s-2") + b"\n", good=2),
    Case("lines with CRLF and blank lines", body() + b"\r\n\r\n" + body(sensor_id="s-2"), good=2),
    Case("fields nobody knows", body(extra={"nested": [1, 2]}), good=1),
    Case("a number as data", raw("data", "24.61"), good=1),
    Case("an integer as data", raw("data", "24"), good=1),
    Case("text as data", body(data="open"), good=1),
    Case("empty text as data", body(data=""), good=1),
    Case("NaN as data", body(data="NaN"), good=1),
    Case("infinity as data", body(data="Infinity"), good=1),
    Case("minus infinity as data", body(data="-inf"), good=1),
    Case("a number beyond floats as text", body(data="1e999"), good=1),
    Case("a zone", body(tracked_at="2026-01-01T11:14:00+01:00"), good=1),
    Case("Zulu", body(tracked_at="2026-01-01T10:14:00Z"), good=1),
    Case("a blank instead of T", body(tracked_at="2026-01-01 10:14:00"), good=1),
    Case("1970", body(tracked_at="1970-01-01T00:00:00"), good=1),
    Case("a leap second", body(tracked_at="2016-12-31T23:59:60"), good=1),
    Case("just not too far ahead", body(tracked_at=ahead(FUTURE_S_MAX)), good=1),
    Case("an id of 256 bytes", body(sensor_id="s" * 256), good=1),
    Case("an id of 256 bytes in 128 characters", body(facility_id="ø" * 128), good=1),
]

TEXT = [
    Case("nothing", b"", dead="blank"),
    Case("1 MB of blanks", b" " * 1_000_000, dead="blank"),
    Case("blank lines", b"\n\r\n\t\n", dead="blank"),
    Case("not JSON", b"hello", dead="not_json"),
    Case("cut off", body()[:-10], dead="not_json"),
    Case("XML", b"<reading/>", dead="not_json"),
    Case("the word NaN as data", raw("data", "NaN"), dead="not_json"),
    Case("the word Infinity as data", raw("data", "Infinity"), dead="not_json"),
    Case("not UTF-8", b"\xff\xfe" + body(), dead="not_utf8"),
    Case("not UTF-8 inside a string", raw("sensor_id", '"\x80"').replace(b"\xc2\x80", b"\x80"), dead="not_utf8"),
    Case("UTF-16", body().decode().encode("utf-16"), dead="not_utf8"),
    Case("arrays 10,000 deep", b"[" * 10_000 + b"]" * 10_000, dead="too_deep"),
    Case("objects 10,000 deep", b'{"a":' * 10_000 + b"1" + b"}" * 10_000, dead="too_deep"),
    Case("deep in a field nobody knows", raw("extra", "[" * 10_000 + "]" * 10_000), dead="too_deep"),
    Case("a number", b"42", dead="not_an_object"),
    Case("a string", b'"reading"', dead="not_an_object"),
    Case("null", b"null", dead="not_an_object"),
    Case("an array of numbers", b"[1, 2]", dead="not_an_object"),
    Case("an empty batch", b"[]", dead="empty"),
    Case("an empty object", b"{}", dead="missing_field"),
]

FIELDS = [
    *(
        Case(f"no {name}", body(**{name: ...}), dead="missing_field")
        for name in ("sensor_id", "facility_id", "tracked_at", "data")
    ),
    *(
        Case(f"{name} is {what}", raw(name, token), dead="wrong_type")
        for name in ("sensor_id", "facility_id", "tracked_at")
        for what, token in (("null", "null"), ("true", "true"), ("an array", "[]"), ("an object", "{}"))
    ),
    Case("sensor_id is a number", raw("sensor_id", "7"), dead="wrong_type"),
    Case("facility_id is a number", raw("facility_id", "7"), dead="wrong_type"),
    Case("tracked_at is a number", raw("tracked_at", "1767262440"), dead="wrong_type"),
    *(
        Case(f"data is {what}", raw("data", token), dead="wrong_type")
        for what, token in (("null", "null"), ("true", "true"), ("an array", "[1]"), ("an object", "{}"))
    ),
    Case("a number beyond floats", raw("data", "1e999"), dead="not_finite"),
    Case("a negative number beyond floats", raw("data", "-1e999"), dead="not_finite"),
    Case("an id of 257 bytes", body(sensor_id="s" * 257), dead="id_too_long"),
    Case("an id of 258 bytes in 129 characters", body(facility_id="ø" * 129), dead="id_too_long"),
    Case("an id of 10 kB", body(sensor_id="s" * 10_000), dead="id_too_long"),
    Case("a facility id of 10 kB", body(facility_id="f" * 10_000), dead="id_too_long"),
]

TIMES = [
    Case("no time at all", body(tracked_at="soon"), dead="bad_time"),
    Case("an empty time", body(tracked_at=""), dead="bad_time"),
    Case("a day that does not exist", body(tracked_at="2025-02-30T00:00:00"), dead="bad_time"),
    Case("month 13", body(tracked_at="2025-13-01T00:00:00"), dead="bad_time"),
    Case("hour 25", body(tracked_at="2025-12-01T25:00:00"), dead="bad_time"),
    Case("second 60 that was no leap second", body(tracked_at="2016-12-31T12:00:60"), dead="bad_time"),
    Case("second 61", body(tracked_at="2016-12-31T23:59:61"), dead="bad_time"),
    Case("year 1", body(tracked_at="0001-01-01T00:00:00"), dead="time_out_of_range"),
    Case("year 9999", body(tracked_at="9999-12-31T23:59:59"), dead="time_out_of_range"),
    Case("just before 1970", body(tracked_at="1969-12-31T23:59:59.999999"), dead="time_out_of_range"),
    Case("year 2201", body(tracked_at="2201-01-01T00:00:00"), dead="time_out_of_range"),
    Case("just too far ahead", body(tracked_at=ahead(FUTURE_S_MAX + 0.000001)), dead="future"),
    Case("10 minutes ahead", body(tracked_at=ahead(600)), dead="future"),
    Case("a day ahead", body(tracked_at=ahead(86_400)), dead="future"),
]

MIXED = [
    Case("one bad row of three", rows(reading(), reading(tracked_at="soon"), reading(sensor_id="s-2")), good=2,
         refused=("bad_time",)),
    Case("every bad row has its own reason", rows(reading(), reading(data=...), reading(tracked_at=ahead(600)), 5),
         good=1, refused=("missing_field", "future", "not_an_object")),
    Case("a bad line among lines", body() + b"\nnot json\n" + body(sensor_id="s-2"), good=2, refused=("not_json",)),
    Case("all rows bad", rows(reading(data=...), reading(data=...)), dead="missing_field"),
]  # fmt: skip

CASES = [*GOOD, *TEXT, *FIELDS, *TIMES, *MIXED]
