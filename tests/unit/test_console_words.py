"""What the wire names has words on the console, in each of its languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.historian.journal import _SAYS
from engine.model import FacilityType, SensorType
from scripts.build_console import SOURCES

RULES = Path(__file__).resolve().parents[2] / "native/src/rule.rs"
NAMED = re.compile(r'\b(?:limit|other|of_group)\("(\w+)"')
WORDS = SOURCES / "src" / "i18n"


def keys_of(name: str) -> set[str]:
    """The names at the left of a table of words."""
    return set(re.findall(r"^  (\w+): ", (WORDS / f"{name}.ts").read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("name", [*SensorType, *FacilityType])
def test_a_type_has_words(name: str) -> None:
    assert name in keys_of("types")


def test_what_happens_to_an_alarm_has_words() -> None:
    assert set(_SAYS) <= keys_of("transitions")


@pytest.mark.parametrize("language", ["en", "de", "uk"])
def test_every_rule_of_the_core_has_words(language: str) -> None:
    rules = set(NAMED.findall(RULES.read_text(encoding="utf-8")))
    assert len(rules) > 15
    own = {"high": "rule_high", "low": "rule_low"}  # as priorities they have words of their own
    assert {own.get(rule, rule) for rule in rules} <= keys_of(language)
