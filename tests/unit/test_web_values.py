"""Frequencies, times and numbers of the wire contract."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.wire.frequency import parse_frequency, spell_frequency
from web.wire.numbers import reading_text, rounded_mean, shortest
from web.wire.times import contract_text, first_moment, from_us, last_moment, to_us


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("15S", 15), ("3s", 3), ("15T", 900), ("15min", 900), ("1H", 3600), ("2h", 7200), ("1D", 86_400), ("1d", 86_400)],
)
def test_frequencies_that_are_accepted(text: str, seconds: int) -> None:
    assert parse_frequency(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "S", "0S", "-1S", "1.5H", "15 T", " 15T", "15M", "1W", "15Min", "15t", "٣S", "1e3S", "9" * 30 + "S", "15T\n"],
)
def test_frequencies_that_are_not(text: str) -> None:
    with pytest.raises(ValueError, match="15S, 15T or 1H"):
        parse_frequency(text)


def test_no_cell_is_longer_than_all_the_time_that_is_accepted() -> None:
    """1970 to 2200: 231 years, 56 of them with a day more."""
    days = 231 * 365 + 56
    assert parse_frequency(f"{days}D") == days * 86_400
    with pytest.raises(ValueError, match="15S, 15T or 1H"):
        parse_frequency(f"{days * 86_400 + 1}S")


@pytest.mark.parametrize(("seconds", "text"), [(1, "1S"), (45, "45S"), (60, "1T"), (90, "90S"), (86_400, "1440T")])
def test_frequencies_are_spelled_in_seconds_or_whole_minutes(seconds: int, text: str) -> None:
    assert spell_frequency(seconds) == text


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2026-11-22T12:15:00 02:00", "2026-11-22T10:15:00"),
        ("2026-11-22 12:15:00.250 02:00", "2026-11-22T10:15:00.250000"),
        ("2026-11-22T12:15:00,250  02:00", "2026-11-22T10:15:00.250000"),
        ("2026-11-22T12:15 0200", "2026-11-22T10:15:00"),
        ("2026-11-22 12:15 02", "2026-11-22T10:15:00"),
    ],
)
def test_a_plus_that_a_url_made_a_blank_is_a_plus(text: str, iso: str) -> None:
    assert contract_text(first_moment(text)) == contract_text(last_moment(text)) == iso


def test_a_bare_day_is_meant_whole() -> None:
    for day in ("2026-11-22", " 2026-11-22\n"):
        assert contract_text(first_moment(day)) == "2026-11-22T00:00:00"
        assert contract_text(last_moment(day)) == "2026-11-22T23:59:59.999999"
    for day, words in (("2026-02-30", "day 30"), ("1969-12-31", "before 1970"), ("2201-01-01", "after 2200")):
        for moment in (first_moment, last_moment):
            with pytest.raises(ValueError, match=words):
                moment(day)


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 12, 31, 23, 59, 59, 999_999)))
def test_times_survive_the_way_out_and_in(time: datetime) -> None:
    aware = time.replace(tzinfo=UTC)
    assert first_moment(contract_text(aware)) == last_moment(contract_text(aware)) == aware
    assert from_us(to_us(aware)) == aware


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_shortest_decimal_reads_back(value: float) -> None:
    text = shortest(value)
    assert float(text) == value
    assert math.copysign(1, float(text)) == math.copysign(1, value)
    assert not text.endswith(".0")


def test_a_reading_comes_back_as_received() -> None:
    assert reading_text(24.6, "24.60") == "24.60"
    assert reading_text(24.61, None) == "24.61"
    assert reading_text(5.0, None) == "5.0"
    assert reading_text(None, "OPEN") == "OPEN"
    assert reading_text(None, "") == ""


@pytest.mark.parametrize(
    ("mean", "text"),
    [
        (67.96599999999998, "67.966"),
        (24.0, "24"),
        (1 / 3, "0.333333333333"),
        (-2 / 3, "-0.666666666667"),
        (123456789.0123456, "123456789.012"),
        (1.7976931348623157e308, "1.79769313486e+308"),
        (5e-324, "5e-324"),
        (0.0, "0"),
    ],
)
def test_a_mean_has_twelve_digits(mean: float, text: str) -> None:
    assert shortest(rounded_mean(mean)) == text


@given(st.lists(st.integers(100, 100_000), min_size=1, max_size=64), st.randoms(use_true_random=False))
def test_a_mean_is_the_same_in_whatever_order_it_is_added_up(hundredths: list[int], chance: Random) -> None:
    exact = rounded_mean(float(Fraction(sum(hundredths), 100 * len(hundredths))))
    chance.shuffle(hundredths)
    assert rounded_mean(sum(each / 100 for each in hundredths) / len(hundredths)) == exact
