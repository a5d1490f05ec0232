"""What the settings accept of what the core holds itself: no start with a value that every facility would refuse."""

from __future__ import annotations

import math

import pytest

import native
from engine.errors import SettingsError
from engine.facility.payloads import core_settings
from engine.settings import load_settings

MOST = {
    "late_alarm_s_max": native.SETTING_MAX,
    "stale_intervals": native.SETTING_MAX,
    "stale_s_min": native.SETTING_MAX,
    "shelve_s_max": native.SETTING_MAX,
    "tick_s": native.SETTING_MAX / 2,
    "future_s_max": native.SETTING_MAX,
}


@pytest.mark.parametrize("name", MOST)
def test_the_most_that_is_accepted_is_what_the_core_takes(name: str) -> None:
    settings = load_settings(**{name: MOST[name]})
    native.FacilityCore("f", core_settings(settings))
    native.decode([b"[]"], native.TIME_US_END, settings.future_s_max)
    for beyond in (MOST[name] + 1, math.inf, math.nan):
        with pytest.raises(SettingsError, match=name.upper()):
            load_settings(**{name: beyond})
