"""Planted nuisances and events: half a day of a facility as it lives, and an hour of a sensor as rows alone."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import asyncpg

import native
from engine.clock import US_PER_S, ManualClock
from engine.facility.facility import Facility
from engine.historian.historian import Historian
from engine.metrics import Metrics
from engine.model import Location, SensorActivation, SensorType
from engine.settings import Settings
from tests.fakes.messages import T0_US, setup
from tests.integration.web.harness import Web
from web.wire.times import from_us

START: Final = from_us(T0_US)
STEP_S: Final = 5
STEPS: Final = 8_640
STEPS_A_BATCH: Final = 40
"""What comes later than LATE_ALARM_S_MAX would be told as past."""
SET_RULES = """
INSERT INTO sensor_rules (facility_id, sensor_type, sensor_id, settings, set_by, set_by_name)
VALUES ($1, NULL, $2, $3, 'user:1', 'ann')
"""
MINUTE: Final = 60 // STEP_S
BOUTS: Final = [hours * 60 * MINUTE for hours in range(1, 11, 2)]
"""Half an hour each, in which the level stands a little below its limit."""
EVENTS: Final = [
    BOUTS[1] + 75 * MINUTE,
    BOUTS[2] + 20 * MINUTE,  # within a bout, long after its first alarm
    BOUTS[4] + 60 * MINUTE,
]
"""What is true, of twenty minutes each."""
RUPTURE: Final = 6 * 60 * MINUTE
OFF: Final = [{"rule": "anomaly", "enabled": False}]
BURSTS: Final = {"rule": "low", "limit": 20.0, "deadband": 0, "off_delay_s": 0}
NO_LOW: Final = {"rule": "low", "enabled": False}
NO_HIGH: Final = {"rule": "high", "enabled": False}
RULES: Final[dict[str, dict[str, Any]]] = {
    "chatters": {
        "rules": [{"rule": "high", "limit": 60.0, "priority": "low", "deadband": 0, "off_delay_s": 0}, NO_LOW, *OFF]
    },
    "true": {"rules": [{"rule": "high", "limit": 60.0, "priority": "medium", "off_delay_s": 0}, NO_LOW, *OFF]},
    "rupture": {"rules": [{**BURSTS, "priority": "high"}, NO_HIGH, *OFF]},
    "critical": {"rules": [{**BURSTS, "priority": "critical"}, NO_HIGH, *OFF]},
}


def chatters(step: int, chance: random.Random) -> float:
    if any(begin <= step < begin + 20 * MINUTE for begin in EVENTS):
        return 75.0 + chance.gauss(0, 1)
    is_bout = any(begin <= step < begin + 30 * MINUTE for begin in BOUTS)
    return (59.0 if is_bout else 50.0) + chance.gauss(0, 1)


def true(step: int, chance: random.Random) -> float:
    return (70.0 if any(begin <= step < begin + 30 * MINUTE for begin in EVENTS) else 50.0) + chance.gauss(0, 1)


def rupture(step: int, chance: random.Random) -> float:
    if RUPTURE <= step < RUPTURE + 40 * MINUTE:
        return 5.0 + chance.gauss(0, 1)
    return (10.0 if step % 700 == 350 else 50.0) + chance.gauss(0, 1)


SIGNALS: Final[Mapping[str, Callable[[int, random.Random], float]]] = {
    "chatters": chatters,
    "true": true,
    "rupture": rupture,
    "critical": rupture,
}


async def live(database_url: str, facility_id: str, rules: Mapping[str, Mapping[str, Any]]) -> None:
    """With these rules from the beginning. Its sensors are called by the facility and the signal."""
    clock = ManualClock(T0_US)
    settings = Settings(_env_file=None, group_commit_wait_ms=0)
    historian = await Historian.open(database_url, settings, clock)
    try:
        await historian.create_facility(setup(facility_id))
        facility = Facility(facility_id, historian, settings, clock, Metrics())
        for name in SIGNALS:
            place = Location("Quay 1", 10.0, 59.0)
            kind = SensorType.PRESSURE
            await facility.apply([SensorActivation(f"{facility_id}-{name}", facility_id, kind, place, STEP_S, T0_US)])
        await _set(database_url, facility_id, rules)
        await facility.load(again=True)
        chances = {name: random.Random(name) for name in SIGNALS}
        for begin, end in pairwise(range(0, STEPS + 1, STEPS_A_BATCH)):
            await clock.advance(STEP_S * STEPS_A_BATCH)
            rows = [
                (f"{facility_id}-{name}", T0_US + step * STEP_S * US_PER_S, repr(round(signal(step, chances[name]), 3)))
                for step in range(begin, end)
                for name, signal in SIGNALS.items()
            ]
            received_us = T0_US + end * STEP_S * US_PER_S
            await facility.ingest(native.encode_batch(facility_id, rows, received_us))
    finally:
        await historian.close()


async def _set(database_url: str, facility_id: str, rules: Mapping[str, Mapping[str, Any]]) -> None:
    connection = await asyncpg.connect(database_url)
    for name, settings in rules.items():
        await connection.execute(SET_RULES, facility_id, f"{facility_id}-{name}", json.dumps(settings))
    await connection.close()


async def planted(web: Web, name: str = "s1", kind: str = "Pressure", facility_id: str = "n") -> int:
    """An hour of a sensor that goes over its limit each minute, for a reading; as readings and in the journal."""
    number = await web.sensor(name, facility_id, kind, expected_interval_s=5)
    at = [START + timedelta(seconds=5 * place) for place in range(720)]
    values = ["1016.0" if place % 12 == 6 else "1014.0" for place in range(720)]
    await web.readings(number, *zip(at, values, strict=True))
    for moment, value in zip(at, values, strict=True):
        if value == "1016.0":
            await told(web, f"{number}:high", number, moment, facility_id)
    return number


async def told(web: Web, alarm: str, number: int | None, at: datetime, facility_id: str = "n") -> None:
    """An activation and its return."""
    ids = [
        await web.database.fetchval(
            """INSERT INTO alarm_events (id, facility_id, alarm_key, sensor_no, rule, rule_version, transition,
                   event_time, recorded_at, priority, alert_type, message, explanation, late, actor, reason)
               VALUES (nextval('alarm_events_id_seq'), $1, $2, $3, $4, 1, $5, $6, $6, 'low', 'Anomaly', '', '{}', false,
                   'system', '') RETURNING id""",
            facility_id, alarm, number, alarm.rpartition(":")[2], transition, at + timedelta(seconds=after),
        )
        for transition, after in (("activated", 0), ("returned", 5))
    ]  # fmt: skip
    await web.database.execute(
        """INSERT INTO alarms (facility_id, alarm_key, sensor_no, rule, active, acknowledged, suppression, latched,
                               priority, since, last_event_id, message)
           VALUES ($1, $2, $3, $4, false, true, 'none', false, 'low', $5, $6, '')
           ON CONFLICT (facility_id, alarm_key) DO UPDATE SET last_event_id = excluded.last_event_id""",
        facility_id, alarm, number, alarm.rpartition(":")[2], at, ids[0],
    )  # fmt: skip
