"""The report says what it was given: the bound with each zero, harm in red, every kill in the picture."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tests.chaos.report import ChaosResult, Kill, print_report, read_report, write_report


def result() -> ChaosResult:
    kills = [
        Kill(10.0, "facility actor", "SIGKILL", 2.0),
        Kill(20.0, "facility actor", "at <in_commit>", 4.0),
        Kill(30.0, "PostgreSQL", "immediate restart", None),
    ]
    samples = [(float(second), second * 100, second * 99) for second in range(2_001)]
    return ChaosResult(7, "2026-11-23T10:00:00Z", 2_000.0, "a & b", 5_000, 200_000, kills, 3, 1, samples=samples)


@pytest.fixture
def page(tmp_path: Path) -> str:
    return write_report(result(), tmp_path).read_text()


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    write_report(result(), tmp_path)
    assert read_report(tmp_path) == result()


def test_every_zero_stands_with_its_trials_and_bound(page: str) -> None:
    text = re.sub(r"<[^>]+>", " ", page)
    assert "200,000 readings, so below 1.5e-05 each" in text
    assert "3 kills, so below 1 each" in text
    assert "Nothing lost, nothing doubled" in text


def test_harm_is_the_headline(tmp_path: Path) -> None:
    for harm in ("lost", "doubled", "wrong", "state_differences"):
        harmed = result()
        setattr(harmed, harm, 2)
        text = write_report(harmed, tmp_path).read_text()
        assert '<h1 class="bad">Not as promised' in text
        assert "Nothing lost" not in text
        assert not harmed.good


def test_whatever_else_is_wrong_is_the_headline_too(tmp_path: Path) -> None:
    harmed = replace(result(), problems=["alerts_missing: 3", "not drained <600> s after the last blow"])
    text = write_report(harmed, tmp_path).read_text()
    assert '<h1 class="bad">Not as promised: 0 lost, 0 doubled of 200,000 readings, 3 kills; alerts_missing: 3' in text
    assert "Nothing lost" not in text
    told = io.StringIO()
    print_report(harmed, Console(file=told, width=160))
    assert told.getvalue().startswith("Not as promised")
    assert read_report(tmp_path) == harmed


def test_the_page_needs_nothing_else_and_shows_every_kill(page: str) -> None:
    assert not re.search(r"https?://|src=|<script|@import", page)
    picture = ET.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])
    tips = [title.text for title in picture.iter("title")]
    assert tips[1] == "facility actor at 20 s: at <in_commit>, recovered in 4.0 s"
    assert "recovery not seen" in (tips[2] or "")
    assert len(tips) == 3


def test_a_short_run_without_samples_is_still_a_page(tmp_path: Path) -> None:
    empty = ChaosResult(1, "now", 0.0, "m", 0, 0)
    assert "0 readings" in write_report(empty, tmp_path).read_text()


def test_the_table_in_the_terminal_has_each_kind(page: str) -> None:
    told = io.StringIO()
    print_report(replace(result(), notes=["[odd] note"]), Console(file=told, width=160))
    lines = [line.split() for line in told.getvalue().splitlines()]
    assert ["facility", "actor", "2", "3.0", "s", "4.0", "s", "0"] in lines
    assert ["PostgreSQL", "1", "-", "-", "1"] in lines
    assert "- [odd] note" in told.getvalue()


def test_the_picture_alone_is_one_too(tmp_path: Path) -> None:
    write_report(result(), tmp_path)
    picture = ET.parse(tmp_path / "report.svg").getroot()
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(list(picture.iter("{http://www.w3.org/2000/svg}title"))) == 3
