"""`score`: readings a second and core that the native core takes in, all views on, beside numpy and river.

Hot: one sensor, whose state stays in the cache. Cold: 100,000 sensors visited at random, in batches of a message's
size, so that nearly every reading waits for memory. Both through `FacilityCore.replay`, which changes the state as live
readings do and writes no rows; how much the rows cost is shown beside. Everything is prepared before the clock starts,
runs in this thread alone and takes its rivals in turns with ours. The clock is the thread's own: a second is one that a
core worked for us, whoever else wanted it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

import native
from bench.report import Figure, Say, median

FACILITY = "bench"
SENSORS = 100_000
BATCH_READINGS = 1_000
INTERVAL_US = 15_000_000
START_US = 1_767_225_600_000_000
HOT_WARM, HOT_READINGS = 20_000, 400_000
COLD_WARM_TICKS = 80
"""Readings that each of the many sensors has before the clock starts: its views then exist and its tails learn."""
RIVER_READINGS = 5_000
HOT_GOAL, COLD_GOAL = 3e6, 1e6
WINDOW = 6_400

Floats = npt.NDArray[np.float64]


async def score(runs: int, say: Say) -> list[Figure]:
    """Rates of each, then the factors between them."""
    say("one sensor")
    hot = hot_rates(runs)
    say(f"{SENSORS:,} sensors, {COLD_WARM_TICKS} readings each before the clock starts")
    cold = cold_rates(runs)
    return [
        median("one sensor, hot", hot.ours, "readings/s", f">= {HOT_GOAL:,.0f}", HOT_GOAL),
        median("one sensor, hot, rows and alarms written too", hot.written, "readings/s"),
        median(f"{SENSORS:,} sensors at random", cold.ours, "readings/s", f">= {COLD_GOAL:,.0f}", COLD_GOAL),
        median(f"{SENSORS:,} sensors at random, rows and alarms written too", cold.written, "readings/s"),
        *_beside("numpy, windowed z-score of the whole series", hot.ours, hot.numpy),
        *_beside(f"numpy, EWMA z of {SENSORS:,} sensors a tick", cold.ours, cold.numpy),
        *_beside_river(hot.ours, say),
    ]


@dataclass(frozen=True, slots=True)
class Rates:
    """Readings a second, one number a run."""

    ours: list[float]
    written: list[float]
    numpy: list[float]


def _beside(name: str, ours: Sequence[float], theirs: Sequence[float]) -> list[Figure]:
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    return [median(name, theirs, "readings/s"), median("  ours over it", ratios, "times")]


def _beside_river(ours: Sequence[float], say: Say) -> list[Figure]:
    try:
        from river.anomaly import HalfSpaceTrees
    except ImportError:
        say("river is not installed, so its figure is left out: uv sync")
        return []
    say("river")
    theirs = []
    for seed in range(len(ours)):
        trees, values = HalfSpaceTrees(seed=seed), 0.5 + 0.1 * noise(RIVER_READINGS, seed)

        def learn(trees: HalfSpaceTrees = trees, values: Floats = values) -> None:
            for value in values.tolist():
                trees.score_one({"value": value})  # type: ignore[no-untyped-call]
                trees.learn_one({"value": value})  # type: ignore[no-untyped-call]

        theirs.append(RIVER_READINGS / seconds(learn))
    return _beside("river, HalfSpaceTrees", ours, theirs)


def hot_rates(runs: int, warm: int = HOT_WARM, readings: int = HOT_READINGS) -> Rates:
    """One sensor; each run goes on where the one before ended."""
    core, found = core_of(1), Rates([], [], [])
    values = signal(warm + (2 * runs) * readings)
    feed(core, series_batches(values, 0, warm))
    for run in range(runs):
        first = warm + 2 * run * readings
        batches = series_batches(values, first, readings)
        found.ours.append(readings / seconds(partial(feed, core, batches)))
        batches = series_batches(values, first + readings, readings)
        found.written.append(readings / seconds(partial(write, core, batches)))
        part = values[first : first + readings]
        found.numpy.append(readings / seconds(partial(windowed_z, part)))
    return found


def cold_rates(runs: int, sensors: int = SENSORS, warm_ticks: int = COLD_WARM_TICKS) -> Rates:
    """Many sensors, each once a tick, in another random order each tick."""
    core, found, rival = core_of(sensors), Rates([], [], []), EwmaZ(sensors)
    for tick in range(warm_ticks):
        feed(core, tick_batches(sensors, tick))
    for run in range(runs):
        batches = tick_batches(sensors, warm_ticks + 2 * run)
        found.ours.append(sensors / seconds(partial(feed, core, batches)))
        batches = tick_batches(sensors, warm_ticks + 2 * run + 1)
        found.written.append(sensors / seconds(partial(write, core, batches)))
        order, values = tick_of(sensors, warm_ticks + 2 * run)
        found.numpy.append(sensors / seconds(partial(rival.take, order, values)))
    return found


class EwmaZ:
    """What numpy does best: a tick of many sensors at once."""

    def __init__(self, sensors: int) -> None:
        self.mean, self.variance = np.zeros(sensors), np.ones(sensors)

    def take(self, order: npt.NDArray[np.int64], values: Floats, weight: float = 0.0007) -> Floats:
        """|z| of one value for each of the sensors `order`, which is then learned."""
        mean, variance = self.mean[order], self.variance[order]
        away = values - mean
        self.mean[order] = mean + weight * away
        self.variance[order] = (1 - weight) * (variance + weight * away * away)
        found: Floats = np.abs(away) / np.sqrt(variance)
        return found


def windowed_z(values: Floats) -> Floats:
    """|z| of each value against the 6,400 before it, by sums of the whole series: numpy at its fastest."""
    sums, squares = (np.concatenate([[0.0], np.cumsum(part)]) for part in (values, values * values))
    end = np.arange(len(values))
    start = np.maximum(end - WINDOW, 0)
    count = np.maximum(end - start, 1)
    mean = (sums[end] - sums[start]) / count
    deviation = np.sqrt(np.maximum((squares[end] - squares[start]) / count - mean * mean, 0)) + 1e-9
    found: Floats = np.abs(values - mean) / deviation
    return found


def core_of(
    sensors: int, kind: str = "CompressorStatus", settings: Mapping[str, Any] | None = None
) -> native.FacilityCore:
    """A facility core with so many sensors; without `kind` and `settings` of a type without limits."""
    core = native.FacilityCore(FACILITY, "{}")
    upserts = [
        {
            "op": "upsert",
            "sensor_id": f"s{number}",
            "sensor_no": number,
            "type": kind,
            "expected_interval_s": INTERVAL_US / 1e6,
            "status": "Active",
            **(settings or {}),
        }
        for number in range(1, sensors + 1)
    ]
    core.apply("config", json.dumps({"version": 1, "at_us": START_US, "sensors": upserts}).encode())
    return core


def noise(count: int, seed: int) -> Floats:
    """Wandering with memory, and noise: what a healthy sensor gives."""
    random = np.random.default_rng(seed)
    return np.cumsum(random.standard_normal(count)) * 0.01 + random.standard_normal(count)


def signal(count: int) -> Floats:
    """A day's cycle under noise, rounded as instruments round."""
    day = np.sin(np.arange(count) * (2 * np.pi * INTERVAL_US / 86_400e6))
    values: Floats = (100 + 5 * day + noise(count, 1)).round(2)
    return values


def series_batches(values: Floats, first: int, count: int) -> list[bytes]:
    """Readings of one sensor as the core takes them."""
    rows = [("s1", START_US + number * INTERVAL_US, str(values[number])) for number in range(first, first + count)]
    return chunks(rows)


def tick_of(sensors: int, tick: int) -> tuple[npt.NDArray[np.int64], Floats]:
    """(sensors in random order, their values)."""
    random = np.random.default_rng([7, tick])
    return random.permutation(sensors), (100 + random.standard_normal(sensors)).round(2)


def tick_batches(sensors: int, tick: int) -> list[bytes]:
    """One reading of every sensor, in random order."""
    order, values = tick_of(sensors, tick)
    at_us = START_US + tick * INTERVAL_US
    pairs = zip(order.tolist(), values.tolist(), strict=True)
    return chunks([(f"s{place + 1}", at_us, str(value)) for place, value in pairs])


def chunks(rows: list[tuple[str, int, str]]) -> list[bytes]:
    """Batches of a message's size."""
    return [
        native.encode_batch(FACILITY, rows[first : first + BATCH_READINGS], START_US)
        for first in range(0, len(rows), BATCH_READINGS)
    ]


def feed(core: native.FacilityCore, batches: Sequence[bytes]) -> None:
    """The change of state alone."""
    for batch in batches:
        core.replay("batch", batch)


def write(core: native.FacilityCore, batches: Sequence[bytes]) -> None:
    """What a live facility does: rows to store and transitions of alarms come out."""
    for batch in batches:
        core.apply("batch", batch)


def seconds(work: Callable[[], object]) -> float:
    """How long a core works for it."""
    began_s = time.thread_time()
    work()
    return time.thread_time() - began_s
