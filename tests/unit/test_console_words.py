"""What the wire names has words on the console, in each of its languages."""

from __future__ import annotations

import re

import pytest

from engine.historian.journal import _SAYS
from engine.model import FacilityType, SensorType
from scripts.build_console import SOURCES

WORDS = SOURCES / "src" / "i18n"


def keys_of(name: str) -> set[str]:
    """The names at the left of a table of words."""
    return set(re.findall(r"^  (\w+): ", (WORDS / f"{name}.ts").read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("name", [*SensorType, *FacilityType])
def test_a_type_has_words(name: str) -> None:
    assert name in keys_of("types")


def test_what_happens_to_an_alarm_has_words() -> None:
    assert set(_SAYS) <= keys_of("transitions")
