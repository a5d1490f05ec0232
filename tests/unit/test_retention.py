"""How long readings and rollups are kept: the form of the settings, and the days that follow from them."""

from __future__ import annotations

import datetime as dt

import pytest

from engine.errors import SettingsError
from engine.model import SensorType
from engine.retention import DAYS_MAX, Retention, days_by_type
from engine.settings import Settings, load_settings

TODAY = dt.date(2026, 3, 1)


def settings(**given: object) -> Settings:
    return load_settings(_env_file=None, **given)


def test_types_have_days_of_their_own() -> None:
    assert days_by_type("") == days_by_type(" , ") == {}
    found = days_by_type(" GasDetection = 3650,Vibration=1,")
    assert found == {SensorType.GAS_DETECTION: 3650, SensorType.VIBRATION: 1}
    assert days_by_type(f"Noise={DAYS_MAX}") == {SensorType.NOISE: DAYS_MAX}


@pytest.mark.parametrize(
    "text",
    [
        "Vibration",
        "Vibration=",
        "Vibration=0",
        "Vibration=-1",
        "Vibration=1.5",
        "Vibration=²",
        f"Vibration={DAYS_MAX + 1}",
        "Vibration=" + "9" * 5000,
        "vibration=9",
        "Gas=9",
        "=9",
        "Vibration=9,Vibration=9",
    ],
)
def test_what_is_no_type_with_days_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(
        SettingsError, match=r"RETENTION_DAYS_BY_TYPE: must hold TYPE=DAYS such as GasDetection=3650"
    ) as told:
        settings(retention_days_by_type=text)
    assert "\n" not in str(told.value)


def test_the_first_day_that_is_kept() -> None:
    found = settings(retention_days=2, retention_days_by_type="Noise=1", minute_rollups_days=2).retention
    days = found.readings_from(TODAY)
    assert set(days) == set(SensorType)
    assert days[SensorType.NOISE] == dt.date(2026, 2, 28)
    assert {day for each, day in days.items() if each is not SensorType.NOISE} == {dt.date(2026, 2, 27)}


def test_rollups_without_an_age_are_kept() -> None:
    assert settings(minute_rollups_days="", hour_rollups_days="").retention.rollups_from(TODAY) == {}
    assert Retention(1, {}, {3600: 28}).rollups_from(TODAY) == {3600: dt.date(2026, 2, 1)}


def test_a_thousand_years_are_a_day_of_the_calendar() -> None:
    assert settings(retention_days=DAYS_MAX).retention.readings_from(TODAY)[SensorType.NOISE].year == 1026
    with pytest.raises(SettingsError, match="RETENTION_DAYS"):
        settings(retention_days=DAYS_MAX + 1)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"retention_days": 9, "minute_rollups_days": 9}, None),
        ({"retention_days": 9, "minute_rollups_days": 8}, "rollups of a minute would be kept 8 days, readings 9"),
        ({"retention_days": 9, "day_rollups_days": 8}, "rollups of a day would be kept 8 days"),
        ({"retention_days": 1, "retention_days_by_type": "Noise=9", "minute_rollups_days": 8}, "readings 9 days"),
        (
            {"retention_days": 1, "hour_rollups_days": 9},
            "rollups of an hour would be kept 9 days, rollups of a minute for ever",
        ),
        ({"retention_days": 1, "minute_rollups_days": 9, "hour_rollups_days": 9, "day_rollups_days": 9}, None),
        ({"retention_days": 1, "minute_rollups_days": 9, "hour_rollups_days": 8}, "rollups of a minute 9 days"),
    ],
)
def test_what_is_wider_stays_as_long(given: dict[str, object], told: str | None) -> None:
    if told is None:
        assert settings(**given).retention.contradiction() is None
        return
    with pytest.raises(SettingsError, match=told):
        settings(**given)
