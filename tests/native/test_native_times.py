"""The one reader of times, alone and behind the decoder of readings, and the limits that stand once."""

from __future__ import annotations

import json
from io import BytesIO

import polars as pl
import pytest

import native
from tests.times_table import BAD, OUT_OF_RANGE, READ

LATER_US = 253_402_300_800_000_000  # the year 10000


@pytest.mark.parametrize(("text", "us"), READ)
def test_times_that_are_read(text: str, us: int) -> None:
    assert native.parse_time(text) == us
    for decoded in (decode(text), decode_arrow(text)):
        assert decoded.refused == []
        assert [row["tracked_at_us"] for row in native.batch_rows(decoded.batch(0))] == [us]


@pytest.mark.parametrize(("text", "words"), BAD)
def test_what_is_no_moment_is_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(native.TimeRefused, match=words) as refused:
        native.parse_time(text)
    assert type(refused.value) is native.TimeRefused
    for decoded in (decode(text), decode_arrow(text)):
        (refusal,) = decoded.refused
        assert refusal.reason == "bad_time"
        assert words in refusal.detail


@pytest.mark.parametrize(("text", "words"), OUT_OF_RANGE)
def test_a_moment_outside_the_span_is_told_apart(text: str, words: str) -> None:
    with pytest.raises(native.TimeOutOfRange, match=words):
        native.parse_time(text)
    for decoded in (decode(text), decode_arrow(text)):
        (refusal,) = decoded.refused
        assert refusal.reason == "time_out_of_range"
        assert words in refusal.detail


def test_a_time_in_arrow_has_the_same_span() -> None:
    ends = [native.TIME_US_FIRST - 1, native.TIME_US_FIRST, native.TIME_US_END - 1, native.TIME_US_END]
    stamps = pl.Series(ends).cast(pl.Datetime("us"))
    decoded = decode_frame(pl.DataFrame({"facility_id": "f", "sensor_id": "s", "tracked_at": stamps, "data": "1"}))
    assert [row["tracked_at_us"] for row in native.batch_rows(decoded.batch(0))] == ends[1:3]
    assert [(refusal.row, refusal.reason) for refusal in decoded.refused] == [
        (0, "time_out_of_range"),
        (3, "time_out_of_range"),
    ]
    assert "before 1970" in decoded.refused[0].detail
    assert "after 2200" in decoded.refused[1].detail


def test_the_core_holds_the_span_too() -> None:
    core = native.FacilityCore("f", "{}")
    for us in (native.TIME_US_FIRST, native.TIME_US_END - 1):
        core.apply("tick", json.dumps({"watermark_us": us}).encode())
        core.apply("batch", native.encode_batch("f", [("s", us, "1")], us))
    for us, words in ((native.TIME_US_FIRST - 1, "before 1970"), (native.TIME_US_END, "after 2200")):
        with pytest.raises(native.PayloadError, match=words):
            core.apply("tick", json.dumps({"watermark_us": us}).encode())
        with pytest.raises(native.PayloadError, match=words):
            core.apply("batch", native.encode_batch("f", [("s", us, "1")], us))


def test_limits_of_bytes_are_what_the_decoder_holds() -> None:
    good = {"facility_id": "f", "sensor_id": "s", "tracked_at": "2026-11-22T10:15:00", "data": "1"}
    for field, most in (
        ("facility_id", native.ID_BYTES_MAX),
        ("sensor_id", native.ID_BYTES_MAX),
        ("data", native.DATA_BYTES_MAX),
    ):
        at, beyond = (json.dumps({**good, field: "x" * size}).encode() for size in (most, most + 1))
        assert native.decode([at], LATER_US, 0).refused == []
        assert "256 are the most" in native.decode([beyond], LATER_US, 0).refused[0].detail


def test_the_depth_of_a_body_is_what_the_decoder_holds() -> None:
    def reason(depth: int) -> str:
        row = b"[" * depth + b"1" + b"]" * depth
        return native.decode([b"[" + row + b"]"], LATER_US, 0).refused[0].reason

    assert reason(native.JSON_DEPTH_MAX) == "not_an_object"
    assert reason(native.JSON_DEPTH_MAX + 1) == "too_deep"


def test_limits_of_a_configuration_are_what_the_core_holds() -> None:
    def applied(interval_s: float = 15, **detection: float) -> None:
        sensor = {"op": "upsert", "sensor_id": "s", "sensor_no": 1, "type": "Flow", "status": "Active"}
        upsert = {**sensor, "expected_interval_s": interval_s, "detection": detection}
        payload = json.dumps({"version": 1, "sensors": [upsert]}).encode()
        native.FacilityCore("f", "{}").apply("config", payload)

    applied(interval_s=native.INTERVAL_S_MAX)
    applied(budget_days=native.BUDGET_DAYS_MAX)
    with pytest.raises(native.PayloadError, match="not within 0 and 31622400"):
        applied(interval_s=native.INTERVAL_S_MAX + 1)
    with pytest.raises(native.PayloadError, match="at most 3650"):
        applied(budget_days=native.BUDGET_DAYS_MAX + 0.1)


def test_the_limit_of_settings_is_what_the_core_holds() -> None:
    for name in ("late_alarm_s_max", "stale_intervals", "stale_s_min", "tick_gap_s_max"):
        native.FacilityCore("f", json.dumps({name: native.SETTING_MAX}))
        with pytest.raises(native.PayloadError, match="0 to 1000000000"):
            native.FacilityCore("f", json.dumps({name: native.SETTING_MAX + 1}))


def test_no_type_has_a_wider_physical_range() -> None:
    valve = native.detection_defaults("ValveStatus")
    assert (valve["physical_low"], valve["physical_high"]) == (-native.PHYSICAL_MAX, native.PHYSICAL_MAX)


def decode(tracked_at: str) -> native.Decoded:
    reading = {"facility_id": "f", "sensor_id": "s", "tracked_at": tracked_at, "data": "1"}
    return native.decode([json.dumps(reading).encode()], LATER_US, 0)


def decode_arrow(tracked_at: str) -> native.Decoded:
    return decode_frame(pl.DataFrame({"facility_id": "f", "sensor_id": "s", "tracked_at": [tracked_at], "data": "1"}))


def decode_frame(frame: pl.DataFrame) -> native.Decoded:
    sink = BytesIO()
    frame.write_ipc_stream(sink)
    return native.decode([sink.getvalue()], LATER_US, 0)
