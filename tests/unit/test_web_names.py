"""The one form of names: what looks alike to people is alike, whatever the keyboard sent."""

from __future__ import annotations

import sys

import pytest

from web.auth.names import normal_name

ALIKE = [
    ("ann", "ANN", " Ann\t", "\uff21\uff4e\uff4e", "\u00a0ann\u3000"),
    ("m\u00fcller@x.org", "mu\u0308ller@X.ORG", "M\u00dcLLER@x.org"),
    ("strasse", "STRASSE", "stra\u00dfe", "STRA\u1e9eE"),
    ("k@x.org", "\u212a@x.org"),
    ("\u03c3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2", "\u03a3\u038a\u03a3\u03a5\u03a6\u039f\u03a3"),
    ("\ufb01", "FI"),
]


@pytest.mark.parametrize("spellings", ALIKE, ids=[each[0] for each in ALIKE])
def test_spellings_of_one_name_are_alike(spellings: tuple[str, ...]) -> None:
    assert len({normal_name(each) for each in spellings}) == 1


def test_other_names_are_others() -> None:
    names = ("ann", "anna", "a nn", "ann@x.org", "\u00e4nn", "1ann", "")
    assert len({normal_name(each) for each in names}) == len(names)


def test_the_form_of_the_form_is_itself() -> None:
    letters = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF]
    for around in ("{}", "a{}b", "\u0345{}\u0301"):
        odd = [each for each in letters if normal_name(once := normal_name(around.format(each))) != once]
        assert odd == []
