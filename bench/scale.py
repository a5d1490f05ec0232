"""`scale`: what a reading costs with 1, 10, 50 and 200 facilities in at most 4 actors a core.

The load is the same each time: the same number of sensors in all, and messages of 100 readings, each of one facility
(JSON arrays). Only how they spread over facilities differs. A backlog is drained; wall time and processor time are of
the whole engine and PostgreSQL, per 1,000 readings.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from bench.feed import Feed
from bench.house import House, Wanted, open_house, until
from bench.memory import pss_mb
from bench.report import Figure, Say, at_most, median
from engine.processes.process_table import descendants

FACILITIES = (1, 10, 50, 200)
SENSORS_IN_ALL = 2000
MESSAGE_READINGS = 100
BACKLOG_READINGS = 40_000
BACKLOG_S = 3600
ACTORS_A_CORE = 4
DRAIN_S_MAX = 120.0
GROWTH_MAX = 1.1
BASE = 10


@dataclass(slots=True)
class Cost:
    """Of one number of facilities; the lists hold one entry a run. Milliseconds per 1,000 readings."""

    start_s: float
    memory_mb: float
    actors: int
    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)


async def scale(runs: int, say: Say) -> list[Figure]:
    costs: dict[int, Cost] = {}
    for facilities in FACILITIES:
        say(f"{facilities} facilities of {SENSORS_IN_ALL // facilities} sensors")
        wanted = Wanted(facilities, SENSORS_IN_ALL // facilities, per_actor=per_actor(facilities, os.cpu_count() or 1))
        async with open_house(say, wanted) as house:
            costs[facilities] = await _cost(house, runs, say)
    return figures_of(costs)


def per_actor(facilities: int, cores: int) -> int:
    """FACILITIES_PER_ACTOR that makes at most 4 actors a core."""
    return math.ceil(facilities / (ACTORS_A_CORE * cores))


def figures_of(costs: dict[int, Cost]) -> list[Figure]:
    """All numbers of facilities, and how much the last costs over ten."""
    found: list[Figure] = []
    for facilities, cost in costs.items():
        name = f"{facilities} facilities in {cost.actors} actors"
        found += [
            median(f"{name}: throughput", [1e6 / ms for ms in cost.wall_ms], "readings/s"),
            median(f"{name}: processor time", cost.cpu_ms, "ms/1,000"),
            Figure(f"{name}: engine start, until all are loaded", cost.start_s, "s"),
            Figure(f"{name}: memory of the actors", cost.memory_mb, "MB"),
        ]
    base, last = costs[BASE], costs[max(costs)]
    of = f"{max(costs)} facilities over {BASE}"
    return [
        *found,
        at_most(f"{of}: processor time", _ratios(last.cpu_ms, base.cpu_ms), "", GROWTH_MAX),
        at_most(f"{of}: wall time", _ratios(last.wall_ms, base.wall_ms), "", GROWTH_MAX),
    ]


def bodies(feed: Feed, readings: int) -> list[bytes]:
    """So many readings in messages of 100, each of one facility, in the order of time."""
    waiting: dict[int, list[dict[str, str]]] = {}
    found: list[bytes] = []
    while len(found) * MESSAGE_READINGS < readings:
        for sensor, row in zip(feed.roster.sensors, feed.rows(), strict=True):
            rows = waiting.setdefault(sensor.facility, [])
            rows.append(row)
            if len(rows) == MESSAGE_READINGS:
                found.append(json.dumps(rows).encode())
                rows.clear()
    return found


async def _cost(house: House, runs: int, say: Say) -> Cost:
    await house.engine.stop()
    started_s = time.perf_counter()
    await house.engine.start()

    async def all_loaded() -> bool:
        state = await house.engine_state()
        fresh = state.get("age_s", 99.0) < time.perf_counter() - started_s
        return fresh and state.get("state") == "running" and state.get("facilities") == len(house.roster.facilities)

    await until(all_loaded, "every facility")
    cost = Cost(time.perf_counter() - started_s, 0.0, len(house.engine_pids("ray::FacilityActor")))
    feed = Feed(house.roster, time.time_ns() // 1000 - BACKLOG_S * 1_000_000)
    await _drain(house, feed, SENSORS_IN_ALL)  # warm
    for run in range(runs):
        wall_s, cpu_s, readings = await _drain(house, feed, BACKLOG_READINGS)
        cost.wall_ms.append(wall_s / readings * 1e6)
        cost.cpu_ms.append(cpu_s / readings * 1e6)
        say(f"run {run + 1} of {runs}: {readings / wall_s:,.0f} readings/s, {cost.cpu_ms[-1]:.1f} ms CPU a thousand")
    actors = [pid for kind in ("Facility", "Intake", "Historian") for pid in house.engine_pids(f"ray::{kind}Actor")]
    cost.memory_mb = sum(map(pss_mb, actors))
    return cost


async def _drain(house: House, feed: Feed, readings: int) -> tuple[float, float, int]:
    """Wall seconds and processor seconds until a backlog is stored, and how many readings it held."""
    stored = await house.stored(_EVER)
    prepared = bodies(feed, readings)
    with house.reader_stopped():
        await house.send(house.data_queue, prepared)
        before_s = _cpu_s(house)
    count = len(prepared) * MESSAGE_READINGS
    wall_s = await house.seconds_until_stored(_EVER, stored + count, DRAIN_S_MAX, 0.05)
    return wall_s, _cpu_s(house) - before_s, count


_EVER = "2000-01-01"


def _cpu_s(house: House) -> float:
    """Processor time so far of the engine with all of Ray, and of PostgreSQL with its ended connections."""
    tops = [pid for pid in (house.engine.pid, house.postgres.pid) if pid]
    return sum(cpu_s_of(text) for text in _stats({pid for top in tops for pid in (top, *descendants(top))}))


def _stats(pids: Iterable[int]) -> Iterable[str]:
    for pid in pids:
        try:
            yield Path(f"/proc/{pid}/stat").read_text()
        except OSError:  # ended meanwhile
            continue


def cpu_s_of(stat: str) -> float:
    """User and system time of a process and of its children that ended, from its stat line."""
    fields = stat.rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _ratios(some: list[float], others: list[float]) -> list[float]:
    return [one / statistics.median(others) for one in some]
