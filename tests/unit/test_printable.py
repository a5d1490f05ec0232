"""Text from elsewhere: refused at each door where it could forge a screen later; how it is shown is one function."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.errors import InputRefused
from engine.messages import activation_of, deactivation_of, setup_of
from engine.printable import control_in, escaped, escaped_lines
from engine.settings import Settings
from tests.unit.test_bad_input_entities import KINDS
from web.contract.key_shapes import NewApiKey
from web.contract.shapes import FacilityChanges, NewUser, SensorChanges, UserChanges

RANGES = (
    (0x00, 0x1F),
    (0x7F, 0x9F),
    (0x61C, 0x61C),
    (0x200E, 0x200F),
    (0x2028, 0x202E),
    (0x2066, 0x2069),
    (0xD800, 0xDFFF),
)


def is_control(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in RANGES)


def test_which_characters_are_controls() -> None:
    found = [code for code in range(sys.maxunicode + 1) if control_in(chr(code)) is not None]
    assert found == [code for first, last in RANGES for code in range(first, last + 1)]


def test_how_they_are_shown() -> None:
    assert escaped("a\x1b[2J\n\x85\u202e\ud800°") == "a\\x1b[2J\\x0a\\x85\\u202e\\ud800°"
    assert escaped_lines("a\nb\r\n\x1bc") == "a\nb\\x0d\n\\x1bc"
    assert (control_in("a\ud800"), control_in("a\u2066b"), control_in("a b")) == ("\\ud800", "\\u2066", None)


@given(st.text(st.characters(exclude_categories=())))
def test_nothing_that_is_shown_holds_a_control(text: str) -> None:
    assert not any(map(is_control, escaped(text)))
    assert (escaped(text) == text) is (control_in(text) is None)


CONTROLS = ("\x1b", "\n", "\t", "\x7f", "\x9b", "\u061c", "\u200e", "\u200f", "\u2028", "\u202a", "\u202e", "\u2069")


@pytest.mark.parametrize("control", CONTROLS)
def test_no_name_address_or_id_from_the_bus_holds_one(control: str) -> None:
    reads: dict[str, Callable[[bytes], Any]] = {
        "setup": setup_of,
        "activation": activation_of,
        "deactivation": deactivation_of,
    }
    for kind, read in reads.items():
        _, good = KINDS[kind]
        for field in {"facility_id", "sensor_id", "facility_name", "address"} & good.keys():
            for ascii_only in (True, False):
                body = json.dumps({**good, field: f"a{control}b"}, ensure_ascii=ascii_only).encode()
                with pytest.raises(InputRefused) as refused:
                    read(body)
                assert refused.value.reason == "control_character"
                assert refused.value.detail == f"{field} holds the control character {escaped(control)}"


@pytest.mark.parametrize("control", CONTROLS)
def test_no_text_that_the_api_stores_holds_one(control: str) -> None:
    text = f"a{control}b"
    user = {"username": "ann", "email": "a@b.org", "password": "p"}
    grants = [{"facility_id": "f", "permission_type": "View"}]
    for shape, fields, field in (
        (NewUser, user, "username"),
        (UserChanges, {}, "username"),
        (FacilityChanges, {}, "name"),
        (SensorChanges, {}, "name"),
        (NewApiKey, {"facilities": grants}, "name"),
    ):
        with pytest.raises(ValidationError, match="control characters"):
            shape.model_validate({**fields, field: text})
    with pytest.raises(ValidationError, match="control characters"):
        Settings(_env_file=None, admin_email=f"a{control}b@c.org")
    for address in (f"a{control}b@c.org", f"a@b{control}.org"):
        with pytest.raises(ValidationError):
            NewUser.model_validate({**user, "email": address})
    assert NewUser.model_validate({**user, "password": text}).password == text, "nobody is shown it"
