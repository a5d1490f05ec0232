"""One run of the simulated field: which readings are due until a moment, and the ledger of what was planted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.errors import SettingsError
from engine.hub.faults import Fault, FaultPlanner, parse_schedule
from engine.hub.overlay import FaultOverlay
from engine.hub.roster import make_roster, naive_utc, reading
from engine.hub.signals import SignalBank

EXPECTED_INTERVALS_S = (15, 30, 45, 60, 300, 900, 1800, 3600)
"""The front end's menu of intervals: a sensor says the shortest of these that it keeps."""

US_PER_S = 1_000_000


@dataclass(frozen=True, slots=True)
class FieldOptions:
    """`sensors` in each of `facilities`, which together send `rate` readings a second.

    jitter    how far, as a part of it, the time between two readings of a sensor strays from its interval
    machines  each facility has a pump, a valve and a counter beside its `sensors`
    """

    facilities: int = 3
    sensors: int = 12
    rate: float = 18.0
    seed: int = 1
    faults: str = "demo"
    jitter: float = 0.02
    machines: bool = False

    def __post_init__(self) -> None:
        if self.facilities < 1 or self.sensors < 1 or not self.rate > 0:
            raise SettingsError(
                "the field needs at least 1 facility, 1 sensor and a rate above 0"
                f" (got {self.facilities}, {self.sensors}, {self.rate:g})"
            )
        parse_schedule(self.faults)

    @property
    def interval_s(self) -> float:
        """Seconds between two readings of a sensor."""
        return self.facilities * self.sensors / self.rate

    @property
    def expected_interval_s(self) -> int:
        """What the activation says as `signal_interval`."""
        kept = [expected for expected in EXPECTED_INTERVALS_S if expected >= self.interval_s]
        return kept[0] if kept else math.ceil(self.interval_s)


class Field:
    """Readings of a run that began at `start_us`, in the order of time. Same options, same calls: same readings."""

    def __init__(self, options: FieldOptions, start_us: int) -> None:
        self.roster = make_roster(options.facilities, options.sensors, options.seed, machines=options.machines)
        self._options = options
        self._start_us = start_us
        sensors = self.roster.sensors
        self._signals = SignalBank(
            [sensor.type for sensor in sensors], [sensor.facility for sensor in sensors], options.seed
        )
        self._overlay = FaultOverlay(self._signals.middle, self._signals.half, options.seed, options.interval_s)
        self._planner = FaultPlanner(
            self.roster, options.seed, options.faults, max(options.interval_s, options.expected_interval_s)
        )
        self._faults: list[Fault] = []
        self._random = np.random.default_rng([options.seed, 4])
        self._due_s = self._random.uniform(0, options.interval_s, len(sensors))

    def plan(self, end_s: float) -> list[Fault]:
        """Plant what the schedule has until `end_s`; these are the new ones. Ticks may not run ahead of the plan."""
        planned = self._planner.until(end_s)
        self._overlay.add(planned)
        self._faults.extend(planned)
        return planned

    def tick(self, end_s: float) -> list[dict[str, str]]:
        """The readings due before `end_s` seconds after the start and not given yet."""
        return [self._reading(at_us, sensor, value) for at_us, sensor, value in self.values(end_s)]

    def values(self, end_s: float) -> list[tuple[int, int, float]]:
        """The same as (time by the sensor's own clock, sensor's place in the roster, value), in order of sending."""
        found: list[tuple[float, float, int, float]] = []
        while len(due := np.flatnonzero(self._due_s < end_s)):
            at_s = self._due_s[due]
            values = self._signals.sample(due, self._start_us / US_PER_S + at_s)
            shown_s = self._overlay.clocks(due, at_s)
            values, sent = self._overlay.apply(due, at_s, values)
            columns = (at_s[sent], shown_s[sent], due[sent], values[sent])
            found.extend(zip(*(column.tolist() for column in columns), strict=True))
            stray = self._random.uniform(-self._options.jitter, self._options.jitter, len(due))
            self._due_s[due] += self._options.interval_s * (1 + stray)
        found.sort()
        return [(self._at_us(shown_s), sensor, value) for _, shown_s, sensor, value in found]

    def describe(self, fault: Fault) -> dict[str, Any]:
        """A fault as the ledger has it."""
        sensors = [self.roster.sensors[index] for index in fault.sensors]
        facility = self.roster.facilities[sensors[0].facility]
        return {
            "kind": fault.kind.value,
            "size": fault.size,
            "facility_id": facility.facility_id,
            "facility_name": facility.name,
            "starts_at": naive_utc(self._at_us(fault.start_s)),
            "ends_at": naive_utc(self._at_us(fault.end_s)),
            "sensors": [
                {"sensor_id": sensor.sensor_id, "type": sensor.type.value, "expected_rule": rule or None}
                for sensor, rule in zip(sensors, fault.expected_rules, strict=True)
            ],
        }

    def ledger(self) -> dict[str, Any]:
        """Everything planted so far, and the field it was planted in."""
        return {
            "seed": self._options.seed,
            "started_at": naive_utc(self._start_us),
            "interval_s": self._options.interval_s,
            "declared_interval_s": self._options.expected_interval_s,
            "facilities": [
                {"facility_id": facility.facility_id, "name": facility.name, "type": facility.type.value}
                for facility in self.roster.facilities
            ],
            "sensors": [
                {
                    "sensor_id": sensor.sensor_id,
                    "facility_id": self.roster.facilities[sensor.facility].facility_id,
                    "type": sensor.type.value,
                }
                for sensor in self.roster.sensors
            ],
            "faults": [self.describe(fault) for fault in self._faults],
        }

    def _reading(self, at_us: int, index: int, value: float) -> dict[str, str]:
        sensor = self.roster.sensors[index]
        return reading(sensor, self.roster.facilities[sensor.facility], at_us, value)

    def _at_us(self, at_s: float) -> int:
        return self._start_us + round(at_s * US_PER_S)
