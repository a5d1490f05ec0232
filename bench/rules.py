"""`rules`: what ten rules of a sensor cost beside one: bytes of the core, and readings a second in it and committed.

One is the detector's `anomaly`, which every sensor has; the others have limits that no reading comes near. Rates are
those of `score` (many sensors at random) and of `ingest-batch`, with one and with ten in turns within each run.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import native
from bench.feed import Feed
from bench.house import House, open_house
from bench.ingest import BATCH_TICKS, drain, start_us
from bench.memory import of_the_core
from bench.report import Figure, Say, at_most, median
from bench.score import COLD_WARM_TICKS, core_of, feed, seconds, tick_batches

SENSORS = 20_000
"""Fewer than `score` has: two cores of them stand side by side."""
SLOWER_PERCENT_MAX = 5.0
FAR = 1e9
SET_S_MAX = 60.0
ONE = "anomaly"
OTHERS: Mapping[str, dict[str, float]] = {
    "low_low": {"limit": -2 * FAR},
    "low": {"limit": -FAR},
    "high": {"limit": FAR},
    "high_high": {"limit": 2 * FAR},
    "rate_of_change": {"limit": FAR, "window_s": 60},
    "stuck": {"window_s": 3_600},
    "stale": {},
    "bad_value": {},
    "clock": {},
}
MEASURING = "Pressure"
SET = """
INSERT INTO sensor_rules (facility_id, sensor_type, settings, set_by, set_by_name)
SELECT facility_id, type, $1, 'user:1', 'bench' FROM sensors WHERE type = $2 GROUP BY facility_id, type
"""
TELL = "SELECT pg_notify('facility_config', id) FROM facilities"
HAVE_IT = "SELECT count(DISTINCT facility_id) FROM facility_commits WHERE kind = 'config' AND recorded_at > $1"


def settings_of(sensor_type: str, *, has_ten: bool) -> dict[str, Any]:
    """Of a sensor. What speaks in words cannot be stuck."""
    speaks = "bad_value" not in {rule["rule"] for rule in native.rules_in_force(sensor_type)}
    others = {rule: of for rule, of in OTHERS.items() if not (speaks and rule == "stuck")}
    return {"rules": [{"rule": ONE}, *({"rule": rule, "enabled": has_ten, **of} for rule, of in others.items())]}


async def rules(runs: int, say: Say) -> list[Figure]:
    """Sizes, then rates of each and how much slower ten are."""
    say("the core's size")
    size = of_the_core(settings_of=partial(settings_of, has_ten=True), what=", with ten rules")
    say(f"{SENSORS:,} sensors in a core, {COLD_WARM_TICKS} readings each before the clock starts")
    scored = score_rates(runs)
    async with open_house(say) as house:
        committed = await commit_rates(house, runs, say)
    return [size, *figures_of("score", scored), *figures_of("ingest-batch", committed)]


def figures_of(name: str, rates: Mapping[bool, Sequence[float]]) -> list[Figure]:
    """`rates` with ten rules (True) and with one, run by run."""
    slower = [100 * (one / ten - 1) for one, ten in zip(rates[False], rates[True], strict=True)]
    return [
        median(f"{name}, one rule", rates[False], "readings/s"),
        median(f"{name}, ten rules", rates[True], "readings/s"),
        at_most("  slower with ten", slower, "%", SLOWER_PERCENT_MAX),
    ]


def score_rates(runs: int, sensors: int = SENSORS, warm_ticks: int = COLD_WARM_TICKS) -> dict[bool, list[float]]:
    """As `score` measures many sensors, in two cores in turns."""
    cores = {has_ten: core_of(sensors, MEASURING, settings_of(MEASURING, has_ten=has_ten)) for has_ten in (False, True)}
    for tick in range(warm_ticks):
        batches = tick_batches(sensors, tick)
        for core in cores.values():
            feed(core, batches)
    rates: dict[bool, list[float]] = {False: [], True: []}
    for run in range(runs):
        batches = tick_batches(sensors, warm_ticks + run)
        for has_ten, core in cores.items():
            rates[has_ten].append(sensors / seconds(partial(feed, core, batches)))
    return rates


async def commit_rates(house: House, runs: int, say: Say) -> dict[bool, list[float]]:
    """As `ingest-batch` measures JSON."""
    of_house = Feed(house.roster, start_us())
    sensors = len(house.roster.sensors)
    await drain(house, of_house, lambda: of_house.arrays(5), 5 * sensors)
    readings = BATCH_TICKS * sensors
    rates: dict[bool, list[float]] = {False: [], True: []}
    for run in range(runs):
        for has_ten, found in rates.items():
            say(f"run {run + 1} of {runs}: {'ten rules' if has_ten else 'one rule'}, a backlog of {readings:,}")
            await set_rules(house, has_ten=has_ten)
            found.append(readings / await drain(house, of_house, lambda: of_house.arrays(BATCH_TICKS), readings))
    return rates


async def set_rules(house: House, *, has_ten: bool) -> None:
    """Of every sensor; until every facility has them."""
    set_at = await house.database.fetchval("SELECT now()")
    for sensor_type in {sensor.type.value for sensor in house.roster.sensors}:
        settings = settings_of(sensor_type, has_ten=has_ten)
        await house.database.execute(SET, json.dumps(settings), sensor_type)
    await house.database.execute(TELL)
    began_s = time.perf_counter()
    while await house.database.fetchval(HAVE_IT, set_at) < len(house.roster.facilities):
        assert time.perf_counter() - began_s < SET_S_MAX, "the rules are not taken"
        await asyncio.sleep(0.1)
