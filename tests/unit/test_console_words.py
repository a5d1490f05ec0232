"""What the wire names has words on the console, in each of its languages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from engine.exports.datasets import DATASETS
from engine.historian.journal import _SAYS
from engine.model import FacilityType, SensorType
from scripts.build_console import SOURCES

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "native/src/rule.rs"
MEASURING = ROOT / "web/figures/measuring.py"
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


def rules_of_the_core() -> set[str]:
    found = set(NAMED.findall(RULES.read_text(encoding="utf-8")))
    assert len(found) > 15
    return found


@pytest.mark.parametrize("language", ["en", "de", "uk"])
def test_every_rule_of_the_core_has_words(language: str) -> None:
    own = {"high": "rule_high", "low": "rule_low"}  # as priorities they have words of their own
    assert {own.get(rule, rule) for rule in rules_of_the_core()} <= keys_of(language)


def test_the_history_can_be_searched_for_every_rule() -> None:
    offered = re.findall(r'^  "(\w+)",$', (WORDS / "rules.ts").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(offered) == sorted(rules_of_the_core())


def test_an_export_can_choose_every_column_of_each_data_set_and_no_other() -> None:
    text = (SOURCES / "src" / "exports" / "columns.ts").read_text(encoding="utf-8")
    offered = {name: json.loads(columns) for name, columns in re.findall(r"^  (\w+): (\[.*\]),$", text, re.MULTILINE)}
    assert offered == {name: [column.name for column in dataset.columns] for name, dataset in DATASETS.items()}


def test_every_figure_has_words() -> None:
    measured = set(re.findall(r'(?:name=|share\()"(\w+)"', MEASURING.read_text(encoding="utf-8")))
    report = (SOURCES / "src" / "reports" / "FiguresReport.tsx").read_text(encoding="utf-8")
    assert len(measured) == 10
    assert measured == set(re.findall(r"^  (\w+): \"measure", report, re.MULTILINE))
