"""Planted faults: what they do to the signals, when they come, and what the server is expected to say about them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from engine.errors import SettingsError
from engine.hub.roster import Roster
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
    STEP = "step"
    OSCILLATION = "oscillation"
    NOISE = "noise"
    CLOCK_JUMP = "clock_jump"
    COUNTER_RESET = "counter_reset"


DEMO_KINDS = tuple(kind for kind in FaultKind if kind is not FaultKind.COUNTER_RESET)
"""What the hub's own sensors can suffer; it has no counters."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One planted fault. Times are seconds after the first reading of the run.

    sensors   indices into the roster's sensors, all of one facility; the leading one first
    rules     for each of `sensors`: the limit rule it must violate ("high", "low"), "stale", "clock", or "" for none
    size      1 is what the demo shows, which leaves the normal range where `rules` say so
    """

    kind: FaultKind
    sensors: tuple[int, ...]
    rules: tuple[str, ...]
    start_s: float
    duration_s: float
    size: float = 1.0

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s

    @property
    def expected_rules(self) -> tuple[str, ...]:
        """What must be told of each of `sensors`; smaller faults need not leave the normal range."""
        return tuple(rule if self.size >= 1 or rule in ("stale", "clock") else "" for rule in self.rules)


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
    FaultKind.STEP: _Recipe(60, tuple((type_, "high") for type_ in _LEVELS), True),
    FaultKind.OSCILLATION: _Recipe(60, ((SensorType.PRESSURE, ""), (SensorType.FLOW, "")), True),
    FaultKind.NOISE: _Recipe(60, tuple((type_, "") for type_ in _LEVELS), True),
    FaultKind.CLOCK_JUMP: _Recipe(150, tuple((type_, "clock") for type_ in _LEVELS), True),
    FaultKind.COUNTER_RESET: _Recipe(20, ((SensorType.COMPRESSOR_STATUS, ""),)),
}

_SILENT = (FaultKind.GAP, FaultKind.CLOCK_JUMP)
"""Nothing newer arrives while these last."""

DEMO_FIRST_S = 20.0
DEMO_EVERY_S = 60.0
REST_S = 180.0
"""A sensor rests this long between two faults, so that two of them are two excursions."""

STALE_INTERVALS = 5

ScheduleItem = tuple[FaultKind, float, float | None, float]
"""(kind, start in seconds, duration in seconds or None for the kind's own, size)."""

_SCHEDULE_ITEM = re.compile(r"([a-z_]+)@([\d.]+)(?:\+([\d.]+))?(?:x([\d.]+))?")


def parse_schedule(text: str) -> list[ScheduleItem] | None:
    """`none`, `demo` (None: one after the other for ever) or `kind@start[+duration][xsize],…` in seconds.

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
                f" leak@60+90,spike@200,leak@300x0.3 (a third of the size) with a kind of {kinds}"
            )
        duration_s = float(match[3]) if match[3] else None
        items.append((FaultKind(match[1]), float(match[2]), duration_s, float(match[4] or 1)))
    return sorted(items, key=lambda item: item[1])


class FaultPlanner:
    """Turns a schedule into faults on sensors of the roster, chosen by seed.

    `interval_s` is what the sensors declare: slow sensors get longer faults, so that each is seen in several readings.
    """

    def __init__(self, roster: Roster, seed: int, schedule: str, interval_s: float) -> None:
        self._random = np.random.default_rng([seed, 3])
        self._items = _demo_items() if (parsed := parse_schedule(schedule)) is None else iter(parsed)
        self._interval_s = interval_s
        self._free_at_s = np.zeros(len(roster.sensors))
        self._by_type: dict[tuple[int, SensorType], list[int]] = {}
        for index, sensor in enumerate(roster.sensors):
            self._by_type.setdefault((sensor.facility, sensor.type), []).append(index)
        self._facilities = len(roster.facilities)
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

    def _place(self, kind: FaultKind, start_s: float, duration_s: float | None, size: float) -> Fault | None:
        recipe = RECIPES[kind]
        if duration_s is None:
            intervals = STALE_INTERVALS + 2 if kind in _SILENT else 4
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
                return Fault(kind, sensors, rules, start_s, duration_s, size)
        return None

    @property
    def _stale_s(self) -> float:
        """Silence that surely raises a stale alarm with the server's default settings, ticks included."""
        return max(STALE_INTERVALS * self._interval_s, 60.0) + 30.0

    def _free_sensor(self, facility: int, type_: SensorType, start_s: float) -> int | None:
        free = [index for index in self._by_type.get((facility, type_), ()) if self._free_at_s[index] <= start_s]
        return int(self._random.choice(free)) if free else None


def _demo_items() -> Iterator[ScheduleItem]:
    start_s = DEMO_FIRST_S
    while True:
        for kind in DEMO_KINDS:
            yield kind, start_s, None, 1.0
            start_s += DEMO_EVERY_S
