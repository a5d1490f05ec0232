"""Planted faults: what they do to the signals, when they come, and what the server is expected to say about them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from engine.bus.simulation.plant import Plant
from engine.bus.simulation.signals import Floats, Indices
from engine.errors import SettingsError
from engine.model import SensorType


class FaultKind(StrEnum):
    GAS_ALARM = "gas_alarm"
    SPIKE = "spike"
    LEAK = "leak"
    DRIFT = "drift"
    GAP = "gap"
    PUMP_TRIP = "pump_trip"
    STUCK = "stuck"
    STICTION = "stiction"


@dataclass(frozen=True, slots=True)
class Fault:
    """One planted fault. Times are seconds after the first reading of the run.

    sensors   indices into the plant's sensors, all of one facility; the leading one first
    rules     for each of `sensors`: the limit rule it must violate ("high", "low"), "stale", or "" for none
    """

    kind: FaultKind
    sensors: tuple[int, ...]
    rules: tuple[str, ...]
    start_s: float
    duration_s: float

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s


@dataclass(frozen=True, slots=True)
class _Recipe:
    """Which sensor types a fault touches and which rule each must violate; `any_of` picks one type at random."""

    duration_s: float
    effects: tuple[tuple[SensorType, str], ...]
    any_of: bool = False


_LEVELS = (SensorType.TEMPERATURE, SensorType.HUMIDITY, SensorType.OXYGEN_CONTENT, SensorType.LEVEL_INDICATOR)

RECIPES: dict[FaultKind, _Recipe] = {
    FaultKind.GAS_ALARM: _Recipe(45, ((SensorType.GAS_DETECTION, "high"),)),
    FaultKind.SPIKE: _Recipe(
        20, tuple((type_, "high") for type_ in (SensorType.VIBRATION, SensorType.TEMPERATURE, SensorType.FLOW)), True
    ),
    FaultKind.LEAK: _Recipe(
        75, ((SensorType.PRESSURE, "low"), (SensorType.FLOW, "high"), (SensorType.GAS_DETECTION, "high"))
    ),
    FaultKind.DRIFT: _Recipe(60, tuple((type_, "high") for type_ in _LEVELS), True),
    FaultKind.GAP: _Recipe(150, tuple((type_, "stale") for type_ in _LEVELS), True),
    FaultKind.PUMP_TRIP: _Recipe(
        50, ((SensorType.FLOW, "low"), (SensorType.POWER_CONSUMPTION, "low"), (SensorType.VIBRATION, "low"))
    ),
    FaultKind.STUCK: _Recipe(60, tuple((type_, "") for type_ in _LEVELS), True),
    FaultKind.STICTION: _Recipe(60, ((SensorType.FLOW, ""),)),
}

DEMO_FIRST_S = 20.0
DEMO_EVERY_S = 60.0
REST_S = 180.0
"""A sensor rests this long between two faults, so that two of them are two excursions."""

STALE_INTERVALS = 5

ScheduleItem = tuple[FaultKind, float, float | None]
"""(kind, start in seconds, duration in seconds or None for the kind's own)."""

_SCHEDULE_ITEM = re.compile(r"([a-z_]+)@([\d.]+)(?:\+([\d.]+))?")


def parse_schedule(text: str) -> list[ScheduleItem] | None:
    """`none`, `demo` (None: one after the other for ever) or `kind@start[+duration],…` in seconds.

    Raises SettingsError that shows what would be right.
    """
    if text == "none":
        return []
    if text == "demo":
        return None
    items = []
    for part in text.split(","):
        match = _SCHEDULE_ITEM.fullmatch(part.strip())
        if match is None or match[1] not in set(FaultKind):
            kinds = ", ".join(FaultKind)
            raise SettingsError(
                f"fault {part.strip()!r} is not understood; write none, demo, or kind@start+duration in seconds such as"
                f" leak@60+90,spike@200 with a kind of {kinds}"
            )
        items.append((FaultKind(match[1]), float(match[2]), float(match[3]) if match[3] else None))
    return sorted(items, key=lambda item: item[1])


class FaultPlanner:
    """Turns a schedule into faults on sensors of the plant, chosen by seed.

    `interval_s` is what the sensors declare: slow sensors get longer faults, so that each is seen in several readings.
    """

    def __init__(self, plant: Plant, seed: int, schedule: str, interval_s: float) -> None:
        self._random = np.random.default_rng([seed, 3])
        self._items = _demo_items() if (parsed := parse_schedule(schedule)) is None else iter(parsed)
        self._interval_s = interval_s
        self._free_at_s = np.zeros(len(plant.sensors))
        self._by_type: dict[tuple[int, SensorType], list[int]] = {}
        for index, sensor in enumerate(plant.sensors):
            self._by_type.setdefault((sensor.facility, sensor.type), []).append(index)
        self._facilities = len(plant.facilities)
        self._next: ScheduleItem | None = next(self._items, None)

    def until(self, end_s: float) -> list[Fault]:
        """The faults that start before `end_s` and were not planned yet. One that finds no free sensors is left out."""
        planned: list[Fault] = []
        while self._next is not None and self._next[1] < end_s:
            fault = self._place(*self._next)
            if fault is not None:
                planned.append(fault)
                self._free_at_s[list(fault.sensors)] = fault.end_s + REST_S
            self._next = next(self._items, None)
        return planned

    def _place(self, kind: FaultKind, start_s: float, duration_s: float | None) -> Fault | None:
        recipe = RECIPES[kind]
        if duration_s is None:
            intervals = STALE_INTERVALS + 2 if kind is FaultKind.GAP else 4
            duration_s = max(recipe.duration_s, intervals * self._interval_s)
        for facility in self._random.permutation(self._facilities):
            effects = [recipe.effects[n] for n in self._random.permutation(len(recipe.effects))]
            found = [
                (sensor, rule if rule != "stale" or duration_s >= self._stale_s else "")
                for type_, rule in (effects if recipe.any_of else recipe.effects)
                if (sensor := self._free_sensor(int(facility), type_, start_s)) is not None
            ]
            if found and (recipe.any_of or len(found) == len(recipe.effects)):
                sensors, rules = zip(*(found[:1] if recipe.any_of else found), strict=True)
                return Fault(kind, sensors, rules, start_s, duration_s)
        return None

    @property
    def _stale_s(self) -> float:
        """Silence that surely raises a stale alarm with the server's default settings, ticks included."""
        return max(STALE_INTERVALS * self._interval_s, 60.0) + 30.0

    def _free_sensor(self, facility: int, type_: SensorType, start_s: float) -> int | None:
        free = [index for index in self._by_type.get((facility, type_), ()) if self._free_at_s[index] <= start_s]
        return int(self._random.choice(free)) if free else None


class FaultOverlay:
    """Changes healthy values while faults are on. `middle` and `half` describe each sensor's normal range."""

    def __init__(self, middle: Floats, half: Floats) -> None:
        self._middle = middle
        self._half = half
        self._faults: list[Fault] = []
        self._first_value: dict[tuple[float, int], float] = {}

    def add(self, faults: Sequence[Fault]) -> None:
        self._faults.extend(faults)

    def apply(self, sensors: Indices, at_s: Floats, values: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """(values with the faults in, which of them are sent at all); `at_s` counts from the run's first reading."""
        values = values.copy()
        sent = np.ones(len(values), dtype=np.bool_)
        for fault in self._faults:
            for sensor, rule in zip(fault.sensors, fault.rules, strict=True):
                for row in np.flatnonzero((sensors == sensor) & (at_s >= fault.start_s) & (at_s < fault.end_s)):
                    if fault.kind is FaultKind.GAP:
                        sent[row] = False
                    else:
                        values[row] = self._faulty(fault, sensor, rule, float(at_s[row]), float(values[row]))
        if len(at_s):
            self._forget_before(float(at_s.min()))
        return values, sent

    def _forget_before(self, now_s: float) -> None:
        for fault in [fault for fault in self._faults if fault.end_s <= now_s]:
            self._faults.remove(fault)
            for sensor in fault.sensors:
                self._first_value.pop((fault.start_s, sensor), None)

    def _faulty(self, fault: Fault, sensor: int, rule: str, at_s: float, healthy: float) -> float:
        half, low = float(self._half[sensor]), float(self._middle[sensor] - self._half[sensor])
        since_s = at_s - fault.start_s
        part = since_s / fault.duration_s
        is_first = (fault.start_s, sensor) not in self._first_value
        first_value = self._first_value.setdefault((fault.start_s, sensor), healthy)
        value = healthy
        match fault.kind:
            case FaultKind.GAS_ALARM:
                value += 5 * half * min(1 - math.exp(-since_s / 6), (1 - part) / 0.4)
            case FaultKind.LEAK:
                value += (3 if rule == "high" else -3) * half * min(part / 0.6, 1.0)
            case FaultKind.DRIFT:
                value += 4 * half * part
            case FaultKind.PUMP_TRIP:
                value = 0.2 * low + (healthy - 0.2 * low) * math.exp(-since_s / 4)
            case FaultKind.STUCK:
                value = first_value
            case FaultKind.STICTION:
                value = low + half + 0.5 * half * (1 if int(since_s / 10) % 2 else -1)
            case FaultKind.SPIKE:
                value += 6 * half if is_first else 0
            case FaultKind.GAP:
                raise AssertionError("a gap changes no value")
        return value


def _demo_items() -> Iterator[ScheduleItem]:
    start_s = DEMO_FIRST_S
    while True:
        for kind in FaultKind:
            yield kind, start_s, None
            start_s += DEMO_EVERY_S
