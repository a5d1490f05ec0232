"""What a search of the journal may be asked, and words as patterns."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from web.api.journal_search import CHOICES_MAX, RULE_MAX, SEARCHED_MAX, WORDS_MAX, SearchQuery, pattern_of
from web.wire.alarms import Transition


def test_transitions_are_those_of_the_core() -> None:
    stub = Path("native/_native.pyi").read_text(encoding="utf-8")
    (names,) = re.findall(r"^_Transition = Literal\[(.*?)\]", stub, re.DOTALL | re.MULTILINE)
    assert get_args(Transition) == tuple(re.findall(r'"(\w+)"', names))


def test_a_word_is_found_in_either_case_and_means_nothing_else() -> None:
    assert pattern_of("Öl-3") == r"[Öö][Ll]\-3"
    assert pattern_of("\u00df\u01c5") == "\u00df[\u01c4\u01c5\u01c6]"
    for text in ("a.b", "***:x", "(?i)x", "[x]", "\\d", "50%", "x{2}", "клапан №3"):
        assert re.fullmatch(pattern_of(text), text.upper()), text
        assert not re.fullmatch(pattern_of(text), text + text)


@pytest.mark.parametrize(
    ("query", "is_usable"),
    [
        ({"text": "x" * SEARCHED_MAX}, True),
        ({"text": "x" * (SEARCHED_MAX + 1)}, False),
        ({"text": "w " * WORDS_MAX}, True),
        ({"text": "w " * (WORDS_MAX + 1)}, False),
        ({"text": " "}, False),
        ({"text": "a\u202eb"}, False),
        ({"actor": "x" * SEARCHED_MAX}, True),
        ({"actor": "x" * (SEARCHED_MAX + 1)}, False),
        ({"rule": ["x" * RULE_MAX] * CHOICES_MAX}, True),
        ({"rule": ["x" * (RULE_MAX + 1)]}, False),
        ({"rule": ["x"] * (CHOICES_MAX + 1)}, False),
        ({"rule": [""]}, False),
        ({"transition": ["activated", "verdict"], "priority": ["low", "high"], "verdict": ["true", "expected"]}, True),
        ({"transition": ["began"]}, False),
        ({"priority": ["urgent"]}, False),
        ({"verdict": ["maybe"]}, False),
    ],
)
def test_what_is_searched_for_is_bounded(query: dict[str, Any], is_usable: bool) -> None:
    if is_usable:
        assert SearchQuery(**query).is_search
    else:
        with pytest.raises(ValidationError, match=next(iter(query))):
            SearchQuery(**query)


def test_nothing_searched_for_is_no_search() -> None:
    assert not SearchQuery().is_search
