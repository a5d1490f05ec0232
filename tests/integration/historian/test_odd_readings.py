"""Readings of moments that nobody expected, as `gasinsight doctor` tells of them."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from engine.clock import US_PER_S, ManualClock
from engine.commands.doctor import _by_sensor, _check_readings
from engine.historian.historian import Historian
from engine.historian.odd_readings import OddReadings, odd_readings
from engine.model import SensorType
from engine.settings import Settings
from tests.integration.historian.outcomes import T0_US, Reading, committed, facility_of_types, outcome

DAY_US = 86_400 * US_PER_S
NOW_US = T0_US + 10 * DAY_US


@pytest.mark.postgres
async def test_odd_readings_are_told_by_sensor(database_url: str) -> None:
    settings = Settings(_env_file=None, group_commit_wait_ms=0, retention_days=20, retention_days_by_type="Vibration=5")
    historian = await Historian.open(database_url, settings, ManualClock(NOW_US))
    state, (gas, vibration) = await facility_of_types(historian, "f", [SensorType.GAS_DETECTION, SensorType.VIBRATION])
    await historian.maintain(lambda _: None)
    early: list[Reading] = [(gas, T0_US - 5 * DAY_US + number, 1.0, None) for number in range(3)]
    last: Reading = (gas, T0_US - 1, 1.0, None)  # of the day before the activation, which is at midnight
    old: list[Reading] = [(vibration, T0_US + number, 1.0, None) for number in range(2)]
    await committed(historian, outcome(state, 3, [*early, last, *old, (gas, T0_US + 1, 1.0, None)]))
    while await historian.rollup_pass():
        pass
    database = await asyncpg.connect(database_url)
    await database.execute("UPDATE dead_letters SET recorded_at = clock_timestamp()")
    await database.close()
    assert await odd_readings(database_url, NOW_US) == OddReadings(5, {"f-Vibration": 2}, {"f-GasDetection": 4})
    findings = await asyncio.to_thread(lambda: [each.found for each in _check_readings(database_url, NOW_US)])
    assert findings == [
        "5 have no partition of their own day (counted up to 10000)",
        "of before the retention, set aside in seven days: f-Vibration 2",
        "stored of days before the sensor was activated: f-GasDetection 4",
    ]
    await historian.maintain(lambda _: None)
    assert (await odd_readings(database_url, NOW_US)).strays == 0
    await historian.close()


def test_the_worst_sensors_are_told_first_and_the_rest_counted() -> None:
    assert _by_sensor({f"s{number}": 9 - number for number in range(5)}) == "s0 9, s1 8, s2 7, s3 6, s4 5"
    assert _by_sensor({f"s{number}": 1 for number in range(7)}).endswith("s4 1 and 2 more sensors")
