"""Bad setups, activations and deactivations: where each ends and with what reason; every limit on both sides."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from engine.errors import InputRefused
from engine.messages import activation_of, deactivation_of, setup_of

SETUP = {
    "facility_id": "f-1",
    "facility_name": "Tank farm",
    "address": None,
    "longitude": 24.1,
    "latitude": 56.9,
    "facility_type": "TankFarm",
    "tracked_at": "2026-01-01T10:00:00.123456",
}
ACTIVATION = {
    "sensor_id": "s-1",
    "facility_id": "f-1",
    "address": "Pier 1",
    "longitude": 24.1,
    "latitude": 56.9,
    "sensor_type": "Temperature",
    "signal_interval": 15,
    "tracked_at": "2026-01-01T10:00:00",
}
DEACTIVATION = {"sensor_id": "s-1", "facility_id": "f-1", "tracked_at": "2026-01-01T10:00:00"}
KINDS: dict[str, tuple[Callable[[bytes], Any], dict[str, Any]]] = {
    "setup": (setup_of, SETUP),
    "activation": (activation_of, ACTIVATION),
    "deactivation": (deactivation_of, DEACTIVATION),
}

BODIES = [
    ("nothing", b"", "blank"),
    ("1 MB of blanks", b" " * 1_000_000, "blank"),
    ("not JSON", b"hello", "not_json"),
    ("cut off", b'{"sensor_id": "s-1"', "not_json"),
    ("not UTF-8", b'\xff\xfe{"sensor_id": "s-1"}', "not_utf8"),
    ("arrays 10,000 deep", b"[" * 10_000 + b"]" * 10_000, "too_deep"),
    ("objects 10,000 deep", b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "too_deep"),
    ("a field 65 objects deep", b'{"a":' * 66 + b"1" + b"}" * 66, "too_deep"),
    ("a field 65 arrays deep", b'{"a":' + b"[" * 65 + b"]" * 65 + b"}", "too_deep"),
    ("a field 64 objects deep", b'{"a":' * 65 + b"1" + b"}" * 65, "missing_field"),
    ("a field 64 arrays deep", b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", "missing_field"),
    ("a byte order mark before nothing of ours", b"\xef\xbb\xbf{}", "missing_field"),
    ("a list", b"[]", "not_an_object"),
    ("a number", b"42", "not_an_object"),
    ("null", b"null", "not_an_object"),
    ("an empty object", b"{}", "missing_field"),
]

REFUSED = [
    *((kind, name, ..., "missing_field") for kind, (_, good) in KINDS.items() for name in good if name != "address"),
    *((kind, "facility_id", 7, "wrong_type") for kind in KINDS),
    *((kind, "facility_id", ["f-1"], "wrong_type") for kind in KINDS),
    *((kind, "facility_id", "", "missing_field") for kind in KINDS),
    *((kind, "facility_id", "f" * 257, "id_too_long") for kind in KINDS),
    *((kind, "facility_id", "ø" * 129, "id_too_long") for kind in KINDS),
    *((kind, "facility_id", "f" * 10_000, "id_too_long") for kind in KINDS),
    *((kind, "facility_id", "f\0", "nul_character") for kind in KINDS),
    *((kind, "facility_id", "\ud800", "not_utf8") for kind in KINDS),
    *((kind, "tracked_at", 1767261600, "wrong_type") for kind in KINDS),
    *((kind, "tracked_at", "2026-01-01T10:00:00\ud800", "not_utf8") for kind in KINDS),
    *((kind, "tracked_at", "soon", "bad_time") for kind in KINDS),
    *((kind, "tracked_at", "soon " * 10_000, "bad_time") for kind in KINDS),
    *((kind, "tracked_at", "2201-01-01T00:00:00", "time_out_of_range") for kind in KINDS),
    ("setup", "facility_type", "Refinery", "unknown_value"),
    ("setup", "facility_type", "tankfarm", "unknown_value"),
    ("setup", "facility_type", 3, "wrong_type"),
    ("setup", "facility_name", "n" * 513, "text_too_long"),
    ("activation", "sensor_type", "Radioactivity", "unknown_value"),
    ("activation", "signal_interval", "15", "wrong_type"),
    ("activation", "signal_interval", 1.5, "wrong_type"),
    ("activation", "signal_interval", True, "wrong_type"),
    ("activation", "signal_interval", 0, "out_of_range"),
    ("activation", "signal_interval", -15, "out_of_range"),
    ("activation", "signal_interval", 366 * 86_400 + 1, "out_of_range"),
    ("activation", "signal_interval", float("nan"), "not_finite"),
    *(
        (kind, name, value, reason)
        for kind in ("setup", "activation")
        for name, value, reason in (
            ("longitude", "24.1", "wrong_type"),
            ("longitude", None, "missing_field"),
            ("longitude", float("nan"), "not_finite"),
            ("latitude", float("inf"), "not_finite"),
            ("latitude", 10**400, "not_finite"),
            ("longitude", 180.5, "out_of_range"),
            ("latitude", -90.5, "out_of_range"),
            ("address", 5, "wrong_type"),
            ("address", "a" * 2049, "text_too_long"),
        )
    ),
]

ACCEPTED = [
    *((kind, "facility_id", "f" * 256) for kind in KINDS),
    *((kind, "facility_id", "ø" * 128) for kind in KINDS),
    *((kind, "nobody_knows", {"nested": [1]}) for kind in KINDS),
    ("setup", "facility_name", "n" * 512),
    ("activation", "signal_interval", 1),
    ("activation", "signal_interval", 366 * 86_400),
    ("activation", "signal_interval", 15.0),
    ("activation", "longitude", -180),
    ("activation", "latitude", 90),
    ("activation", "address", None),
    ("activation", "address", "a" * 2048),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "body", "reason"), BODIES, ids=[body[0] for body in BODIES])
def test_a_body_that_is_no_message_is_refused(kind: str, name: str, body: bytes, reason: str) -> None:
    with pytest.raises(InputRefused) as refused:
        KINDS[kind][0](body)
    assert refused.value.reason == reason
    assert refused.value.detail


@pytest.mark.parametrize(
    ("kind", "field", "value", "reason"), REFUSED, ids=[f"{n}-{case[0]}-{case[1]}" for n, case in enumerate(REFUSED)]
)
def test_a_field_beyond_its_limit_is_refused(kind: str, field: str, value: Any, reason: str) -> None:
    with pytest.raises(InputRefused) as refused:
        KINDS[kind][0](body(kind, field, value))
    assert refused.value.reason == reason
    assert field in refused.value.detail, "the detail names the field"
    assert len(refused.value.detail) < 1000, "the detail does not carry the whole input"


@pytest.mark.parametrize(
    ("kind", "field", "value"), ACCEPTED, ids=[f"{n}-{case[0]}-{case[1]}" for n, case in enumerate(ACCEPTED)]
)
def test_a_field_at_its_limit_is_accepted(kind: str, field: str, value: Any) -> None:
    assert KINDS[kind][0](body(kind, field, value)) is not None


def body(kind: str, field: str, value: Any) -> bytes:
    """A good body of `kind` with one field changed; `...` leaves it out."""
    fields = {**KINDS[kind][1], field: value}
    return json.dumps({name: held for name, held in fields.items() if held is not ...}).encode()
