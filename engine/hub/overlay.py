"""What planted faults do to readings: to their values, to their times, and to whether they are sent at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.hub.faults import Fault, FaultKind
from engine.hub.signals import Floats, Indices

MUFFLED = 0.35
"""What is left of the healthy course where a fault has taken a signal over."""
CYCLE_S_MIN = 20.0
CYCLE_INTERVALS = 8.0
"""A swing lasts so many readings, so that it shows at any interval."""


class FaultOverlay:
    """Changes healthy values while faults are on. `middle` and `half` describe each sensor's normal range."""

    def __init__(self, middle: Floats, half: Floats, seed: int, interval_s: float) -> None:
        self._middle = middle
        self._half = half
        self._seed = seed
        self._cycle_s = max(CYCLE_S_MIN, CYCLE_INTERVALS * interval_s)
        self._faults: list[Fault] = []
        self._first_value: dict[tuple[float, int], float] = {}
        self._noise: dict[tuple[float, int], np.random.Generator] = {}
        self._reset = np.zeros(len(middle))

    def add(self, faults: Sequence[Fault]) -> None:
        self._faults.extend(faults)

    def apply(self, sensors: Indices, at_s: Floats, values: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """(values with the faults in, which of them are sent at all); `at_s` counts from the run's first reading."""
        values = values - self._reset[sensors]
        sent = np.ones(len(values), dtype=np.bool_)
        for fault, sensor, row in self._touched(sensors, at_s):
            if fault.kind is FaultKind.GAP:
                sent[row] = False
            else:
                values[row] = self._faulty(fault, sensor, float(at_s[row]), float(values[row]))
        if len(at_s):
            self._forget_before(float(at_s.min()))
        return values, sent

    def clocks(self, sensors: Indices, at_s: Floats) -> Floats:
        """The same times as the sensors' own clocks have them."""
        shown = at_s.copy()
        for fault, _, row in self._touched(sensors, at_s):
            if fault.kind is FaultKind.CLOCK_JUMP:
                shown[row] -= fault.duration_s
        return shown

    def _touched(self, sensors: Indices, at_s: Floats) -> list[tuple[Fault, int, int]]:
        if not len(at_s):
            return []
        first_s, last_s = at_s.min(), at_s.max()
        return [
            (fault, sensor, int(row))
            for fault in self._faults
            if fault.start_s <= last_s and fault.end_s > first_s
            for sensor in fault.sensors
            for row in np.flatnonzero((sensors == sensor) & (at_s >= fault.start_s) & (at_s < fault.end_s))
        ]

    def _forget_before(self, now_s: float) -> None:
        for fault in [fault for fault in self._faults if fault.end_s <= now_s]:
            self._faults.remove(fault)
            for sensor in fault.sensors:
                self._first_value.pop((fault.start_s, sensor), None)
                self._noise.pop((fault.start_s, sensor), None)

    def _faulty(self, fault: Fault, sensor: int, at_s: float, healthy: float) -> float:
        half, middle = float(self._half[sensor]), float(self._middle[sensor])
        key = (fault.start_s, sensor)
        is_first = key not in self._first_value
        if is_first:
            self._first_value[key] = healthy
            self._noise[key] = np.random.default_rng([self._seed, 5, sensor, int(fault.start_s)])
            if fault.kind is FaultKind.COUNTER_RESET:
                self._reset[sensor] += healthy
        since_s = at_s - fault.start_s
        return COURSES[fault.kind](
            _Moment(
                healthy=healthy,
                middle=middle,
                low=middle - half,
                muffled=healthy + min(fault.size, 1.0) * (1 - MUFFLED) * (middle - healthy),
                since_s=since_s,
                part=since_s / fault.duration_s,
                angle=2 * math.pi * since_s / self._cycle_s,
                amount=fault.size * half,
                size=fault.size,
                falls=fault.rules[fault.sensors.index(sensor)] == "low",
                is_first=is_first,
                first_value=self._first_value[key],
                chance=float(self._noise[key].uniform(-1, 1)),
            )
        )


@dataclass(frozen=True, slots=True)
class _Moment:
    """What a fault's course may depend on.

    muffled   the healthy value, as far as it still comes through
    part      of the fault's duration that has passed
    angle     of a swing
    amount    the fault's size in units of the value
    chance    -1 to 1, new each reading
    """

    healthy: float
    middle: float
    low: float
    muffled: float
    since_s: float
    part: float
    angle: float
    amount: float
    size: float
    falls: bool
    is_first: bool
    first_value: float
    chance: float


def _trip(now: _Moment) -> float:
    stopped = now.healthy + now.size * (0.2 * now.low - now.healthy)
    return stopped + (now.healthy - stopped) * math.exp(-now.since_s / 4)


COURSES: dict[FaultKind, Callable[[_Moment], float]] = {
    FaultKind.GAS_ALARM: lambda now: (
        now.healthy + 5 * now.amount * min(1 - math.exp(-12 * now.part), (1 - now.part) / 0.4)
    ),
    FaultKind.LEAK: lambda now: now.healthy + (-3 if now.falls else 3) * now.amount * min(now.part / 0.6, 1.0),
    FaultKind.DRIFT: lambda now: now.healthy + 4 * now.amount * now.part,
    FaultKind.STEP: lambda now: now.healthy + 2.5 * now.amount,
    FaultKind.PUMP_TRIP: _trip,
    FaultKind.STUCK: lambda now: now.first_value,
    FaultKind.STICTION: lambda now: now.muffled + math.copysign(0.55 * now.amount, math.sin(now.angle)),
    FaultKind.OSCILLATION: lambda now: now.muffled + 0.6 * now.amount * min(1.0, 3 * now.part) * math.sin(now.angle),
    FaultKind.NOISE: lambda now: now.muffled + 0.6 * now.amount * now.chance,
    FaultKind.SPIKE: lambda now: now.healthy + (6 * now.amount if now.is_first else 0.0),
    FaultKind.COUNTER_RESET: lambda now: 0.0 if now.is_first else now.healthy,
    FaultKind.CLOCK_JUMP: lambda now: now.healthy,
}
"""Of every kind that changes values: what is read instead of the healthy value."""
