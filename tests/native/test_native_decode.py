"""`native.decode` as Python sees it: every form of body, every reason, and what comes back of a good reading."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from io import BytesIO

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import native

NOW_US = 1_795_342_500_000_000  # 2026-11-22T10:15:00Z


def reading(**changes: object) -> dict[str, object]:
    return {"sensor_id": "s", "facility_id": "f", "tracked_at": "2026-11-22T10:15:00", "data": "24.60"} | changes


def decode(*bodies: bytes | str | object) -> native.Decoded:
    encoded = [
        body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        for body in bodies
    ]
    return native.decode(encoded, NOW_US, 300.0)


def data_of(decoded: native.Decoded) -> list[str]:
    return [row["data"] for i in range(len(decoded.facility_ids)) for row in native.batch_rows(decoded.batch(i))]


def test_a_reading_becomes_a_row() -> None:
    decoded = decode(reading(tracked_at="2026-11-22 11:15:00.000001+01:00"))
    assert decoded.facility_ids == ["f"]
    assert decoded.rows(0) == 1
    assert native.batch_rows(decoded.batch(0)) == [
        {"facility_id": "f", "sensor_id": "s", "tracked_at_us": NOW_US + 1, "data": "24.60"}
    ]
    assert native.batch_info(decoded.batch(0)) == ("f", 1, NOW_US)
    assert decoded.refused == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "blank"),
        (b" " * 1_000_000, "blank"),
        (b"[" * 10_000, "too_deep"),
        (b'{"a":' * 10_000, "too_deep"),
        (b"not json", "not_json"),
        (b'{"data": NaN}', "not_json"),
        (b'{"data": "\xff"}', "not_utf8"),
        (b"17", "not_an_object"),
        (b"[]", "empty"),
        (reading(sensor_id="x" * 10_000), "id_too_long"),
        (reading(data="x" * 257), "data_too_long"),
        (reading(data=None), "wrong_type"),
        (reading(data="a\0b"), "nul_character"),
        (reading(sensor_id="\ud800"), "not_utf8"),
        ({"facility_id": "f"}, "missing_field"),
        (json.dumps(reading(data=5)).replace("5}", "1e999}"), "not_finite"),
        (reading(tracked_at="soon"), "bad_time"),
        (reading(tracked_at="0001-01-01T00:00:00"), "time_out_of_range"),
        (reading(tracked_at="9999-12-31T23:59:59"), "time_out_of_range"),
        (reading(tracked_at="2026-11-22T10:25:00"), "future"),
        (reading(tracked_at="2026-11-23T10:15:00"), "future"),
        (b"\xff\xff\xff\xff", "bad_arrow"),
    ],
)
def test_a_refused_body_says_why(body: object, reason: str) -> None:
    decoded = decode(body)
    assert decoded.facility_ids == []
    (refusal,) = decoded.refused
    assert (refusal.message, refusal.row, refusal.reason) == (0, None, reason)
    assert refusal.detail
    assert len(refusal.body.encode()) <= 4096
    assert "\0" not in refusal.body + refusal.sensor_id + refusal.facility_id


def test_a_bad_row_leaves_the_good_rows() -> None:
    decoded = decode([reading(), reading(data=None), reading(data="2")], reading(data=None))
    assert data_of(decoded) == ["24.60", "2"]
    assert [(r.message, r.row, r.reason, r.sensor_id) for r in decoded.refused] == [
        (0, 1, "wrong_type", "s"),
        (1, None, "wrong_type", "s"),
    ]


def test_messages_name_the_bodies_of_a_facility() -> None:
    decoded = decode(reading(), "x", [reading(), reading(facility_id="g")], reading(facility_id="g"))
    assert decoded.facility_ids == ["f", "g"]
    assert decoded.messages(0).dtype == np.uint32
    assert decoded.messages(0).tolist() == [0, 2]
    assert decoded.messages(1).tolist() == [2, 3]
    with pytest.raises(IndexError):
        decoded.batch(2)


def test_ndjson() -> None:
    lines = "\n".join(json.dumps(reading(data=str(number))) for number in range(3))
    assert data_of(decode(lines)) == ["0", "1", "2"]


@pytest.mark.parametrize("compat", [None, "oldest"])
def test_arrow_streams_as_polars_writes_them(compat: str | None) -> None:
    frame = pl.DataFrame(
        {
            "facility_id": ["f", "f", "g"],
            "sensor_id": ["a", "b", "c"],
            "tracked_at": [datetime(2026, 11, 22, 10, 15, 0, 5, tzinfo=UTC)] * 3,
            "data": ["24.60", "OPEN", "a longer text than fits into a view"],
        }
    )
    for table in (frame, frame.with_columns(pl.col("facility_id").cast(pl.Categorical))):
        sink = BytesIO()
        level = pl.CompatLevel.oldest() if compat else None
        table.write_ipc_stream(sink, compat_level=level, compression="uncompressed")
        decoded = native.decode([sink.getvalue()], NOW_US, 300.0)
        assert decoded.refused == []
        assert decoded.facility_ids == ["f", "g"]
        assert data_of(decoded) == frame["data"].to_list()
        assert native.batch_rows(decoded.batch(0))[0]["tracked_at_us"] == NOW_US + 5


def test_numbers_in_arrow_take_pythons_spelling() -> None:
    values = [24.6, 5.0, 1e300, -0.0, 1e-7]
    frame = pl.DataFrame(
        {"facility_id": "f", "sensor_id": "a", "tracked_at": datetime(2026, 11, 22, 10), "data": values}
    )
    sink = BytesIO()
    frame.write_ipc_stream(sink)
    assert data_of(native.decode([sink.getvalue()], NOW_US, 300.0)) == [repr(value) for value in values]


def test_the_lock_of_python_is_released() -> None:
    """Another thread makes progress while a large body is read."""
    body = json.dumps([reading()] * 200_000).encode()
    counted = 0
    done = threading.Event()

    def count() -> None:
        nonlocal counted
        while not done.is_set():
            counted += 1

    thread = threading.Thread(target=count)
    thread.start()
    try:
        before = counted
        native.decode([body], NOW_US, 300.0)
        assert counted > before + 100
    finally:
        done.set()
        thread.join()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.one_of(st.binary(max_size=60), st.text(max_size=30).map(str.encode)), max_size=4))
def test_any_bytes_end_somewhere(bodies: list[bytes]) -> None:
    decoded = native.decode(bodies, NOW_US, 300.0)
    assert len(decoded.refused) == len(bodies)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(
            st.text(max_size=8), st.integers(-(2**63), 2**63 - 1), st.one_of(st.floats().map(repr), st.text(max_size=8))
        ),
        max_size=20,
    )
)
def test_encoded_rows_come_back(rows: list[tuple[str, int, str]]) -> None:
    batch = native.encode_batch("f", rows, 7)
    assert [(r["sensor_id"], r["tracked_at_us"], r["data"]) for r in native.batch_rows(batch)] == rows
    assert native.batch_info(batch) == ("f", len(rows), 7)


def test_a_damaged_batch_is_refused() -> None:
    batch = bytearray(native.encode_batch("f", [("s", 1, "2")], 3))
    batch[6] ^= 1
    for call in (native.batch_rows, native.batch_info):
        with pytest.raises(native.PayloadError, match="crc"):
            call(bytes(batch))
