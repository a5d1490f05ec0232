"""`planted`: faults planted in the simulated field, fed straight to the core: how many are found, by what, how soon.

Readings go from the simulator into one `native.FacilityCore` a facility, without bus, Ray or database, so that weeks
pass in seconds. A fault is found when one of its sensors raises an alarm while it lasts, a short one within
`DELAY_INTERVALS` of its start: what is only told when a long fault is over comes too late. An alarm of a sensor that no
fault has touched lately is a false one. `without_limits` leaves the detectors alone with it: no normal ranges that a
large fault would leave anyway.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import native
from bench.report import Figure, Say
from engine.facility.payloads import config_payload, tick_payload
from engine.hub.faults import Fault, FaultKind
from engine.hub.field import Field, FieldOptions
from engine.hub.roster import SimulatedSensor
from engine.model import SensorConfig, SensorStatus, SensorType

START_US = 1_790_000_000_000_000
US_PER_S = 1_000_000
DAY_S = 86_400.0
STEP_INTERVALS = 10
DELAY_INTERVALS = 60
AFTER_INTERVALS = 120
"""What a sensor says so long after a fault is put down to it: the way back is a change too."""
BUDGET_DAYS = 20.0
"""A sensor may raise one false alarm in this time."""

LASTS_INTERVALS: dict[FaultKind, int] = {
    FaultKind.GAS_ALARM: 30,
    FaultKind.SPIKE: 1,
    FaultKind.LEAK: 180,
    FaultKind.DRIFT: 720,
    FaultKind.GAP: 60,
    FaultKind.PUMP_TRIP: 60,
    FaultKind.STUCK: 180,
    FaultKind.STICTION: 240,
    FaultKind.STEP: 360,
    FaultKind.OSCILLATION: 240,
    FaultKind.NOISE: 180,
    FaultKind.CLOCK_JUMP: 60,
    FaultKind.COUNTER_RESET: 1,
}


@dataclass(frozen=True, slots=True)
class Trial:
    """A run of the simulated field; healthy until `learn_days` are over, then a fault every `every_s`."""

    seed: int = 1
    facilities: int = 4
    interval_s: float = 60.0
    days: float = 20.0
    learn_days: float = 5.0
    every_s: float = 9000.0
    size: float = 1.0
    with_faults: bool = True
    without_limits: bool = True

    def options(self) -> FieldOptions:
        rate = self.facilities * 18 / self.interval_s
        return FieldOptions(self.facilities, 18, rate, self.seed, self._schedule(), machines=True)

    def _schedule(self) -> str:
        if not self.with_faults:
            return "none"
        last_s = self.days * DAY_S - max(LASTS_INTERVALS.values()) * self.interval_s
        items: list[str] = []
        start_s, kinds = self.learn_days * DAY_S, list(LASTS_INTERVALS)
        while start_s < last_s:
            kind = kinds[len(items) % len(kinds)]
            items.append(f"{kind}@{start_s:.0f}+{LASTS_INTERVALS[kind] * self.interval_s:.0f}x{self.size:g}")
            start_s += self.every_s
        return ",".join(items)


@dataclass(frozen=True, slots=True)
class Told:
    """An alarm that began. `sensors` are places in the roster; of a facility's own alarm those it names."""

    at_s: float
    rule: str
    facility: int
    sensors: frozenset[int]


@dataclass(slots=True)
class Found:
    """What became of the faults of one kind."""

    planted: int = 0
    found: int = 0
    by: Counter[str] = field(default_factory=Counter)
    delays_s: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Result:
    """`false` by the rule that spoke; `healthy_days` are sensor-days without a fault, after learning."""

    kinds: dict[FaultKind, Found]
    false: Counter[str]
    healthy_days: float
    readings: int

    @property
    def false_max(self) -> float:
        return self.healthy_days / BUDGET_DAYS


def run(trial: Trial) -> Result:
    """The whole trial; the same trial gives the same result."""
    simulated = Field(trial.options(), START_US)
    planted = simulated.plan(trial.days * DAY_S)
    told, readings = [], 0
    for at, events in _run_cores(trial, simulated):
        told += events
        readings += at
    return Result(*_judge(trial, planted, told, len(simulated.roster.sensors)), readings)


def _run_cores(trial: Trial, simulated: Field) -> Iterator[tuple[int, list[Told]]]:
    """A few intervals at a time: (number of readings, alarms that began)."""
    roster = simulated.roster
    step_s = STEP_INTERVALS * trial.interval_s
    # silence is seen once a step only, so half of what is told must last longer than one; a step's readings are of now
    settings = json.dumps(
        {"tick_gap_s_max": 2 * step_s, "stale_intervals": 3 * STEP_INTERVALS, "late_alarm_s_max": 2 * step_s}
    )
    cores = [native.FacilityCore(place.facility_id, settings) for place in roster.facilities]
    for number, core in enumerate(cores):
        sensors = [
            _config(trial, place, sensor, roster.facilities[number].facility_id)
            for place, sensor in enumerate(roster.sensors)
            if sensor.facility == number
        ]
        core.apply("config", config_payload(sensors, facility_name=roster.facilities[number].name, at_us=START_US))
    place_of = {sensor.sensor_id: place for place, sensor in enumerate(roster.sensors)}
    for step in range(round(trial.days * DAY_S / step_s)):
        rows: list[list[tuple[str, int, str]]] = [[] for _ in cores]
        end_s = (step + 1) * step_s
        end_us = START_US + round(end_s * US_PER_S)
        for at_us, place, value in simulated.values(end_s):
            sensor = roster.sensors[place]
            rows[sensor.facility].append((sensor.sensor_id, at_us, f"{value:.2f}"))
        found = []
        for number, core in enumerate(cores):
            batch = native.encode_batch(roster.facilities[number].facility_id, rows[number], end_us)
            for effects in (core.apply("batch", batch), core.apply("tick", tick_payload(end_us))):
                found += [_told(event, number, place_of) for event in effects.events if _is_of_readings(event)]
        yield sum(map(len, rows)), found


def _config(trial: Trial, number: int, sensor: SimulatedSensor, facility_id: str) -> SensorConfig:
    # a compressor's status has no normal range
    kind = SensorType.COMPRESSOR_STATUS if trial.without_limits else sensor.type
    interval_s, status = round(trial.interval_s), SensorStatus.ACTIVE
    return SensorConfig(sensor.sensor_id, number, facility_id, "", kind, status, interval_s, START_US, START_US)


def _is_of_readings(event: native.CoreEvent) -> bool:
    """Told to people, of what readings say: a hub that falls silent is another matter."""
    return event.transition == "activated" and event.rule != "silent"


def _told(event: native.CoreEvent, facility: int, place_of: dict[str, int]) -> Told:
    if event.sensor_no is None:
        named = [one["sensor_id"] for one in json.loads(event.explanation_json)["contributors"]]
    else:
        named = [event.sensor_id]
    at_s = (event.event_time_us - START_US) / US_PER_S
    return Told(at_s, event.rule, facility, frozenset(place_of[sensor_id] for sensor_id in named))


def _judge(
    trial: Trial, planted: list[Fault], told: list[Told], sensors: int
) -> tuple[dict[FaultKind, Found], Counter[str], float]:
    kinds = {kind: Found() for kind in LASTS_INTERVALS}
    explained: set[int] = set()
    faulty_s = 0.0
    for fault in planted:
        touched = set(fault.sensors)
        due_s = max(fault.end_s, fault.start_s + DELAY_INTERVALS * trial.interval_s)
        over_s = due_s + AFTER_INTERVALS * trial.interval_s
        faulty_s += len(touched) * (over_s - fault.start_s)
        near = [n for n, one in enumerate(told) if fault.start_s <= one.at_s <= over_s and one.sensors & touched]
        explained.update(near)
        mine = [n for n in near if told[n].at_s <= due_s]
        of_kind = kinds[fault.kind]
        of_kind.planted += 1
        if mine:
            of_kind.found += 1
            of_kind.by.update({told[n].rule for n in mine})
            of_kind.delays_s.append(min(told[n].at_s for n in mine) - fault.start_s)
    learned_s = trial.learn_days * DAY_S
    false = Counter(one.rule for n, one in enumerate(told) if n not in explained and one.at_s >= learned_s)
    healthy_days = (sensors * (trial.days - trial.learn_days) * DAY_S - faulty_s) / DAY_S
    return kinds, false, healthy_days


TRIALS: dict[str, Trial] = {
    "large": Trial(),
    "large, a fault in ten hours": Trial(days=40.0, every_s=36_000.0),
    "a third of it": Trial(size=0.3),
    "with limits": Trial(without_limits=False),
    "healthy": Trial(with_faults=False),
}


async def planted(_runs: int, say: Say) -> list[Figure]:
    """Seeds are fixed, so one run says all."""
    figures = []
    for name, trial in TRIALS.items():
        say(f"{name}: {trial.days:g} days of {trial.facilities} facilities")
        figures += as_figures(name, run(trial))
    return figures


def as_figures(name: str, result: Result) -> list[Figure]:
    figures = []
    for kind, of_kind in result.kinds.items():
        if of_kind.planted:
            by = ", ".join(f"{rule} {count}" for rule, count in of_kind.by.most_common())
            after = f"; after {statistics.median(of_kind.delays_s) / 60:.0f} min" if of_kind.delays_s else ""
            unit = f"of {of_kind.planted} ({by}{after})" if by else f"of {of_kind.planted}"
            bar = of_kind.planted / 2
            figures.append(Figure(f"{name}: {kind}", of_kind.found, unit, [], "> half", of_kind.found > bar))
    count, most = sum(result.false.values()), result.false_max
    by = ", ".join(f"{rule} {count}" for rule, count in result.false.most_common())
    unit = f"in {result.healthy_days:.0f} sensor-days" + (f" ({by})" if by else "")
    return [*figures, Figure(f"{name}: false alarms", count, unit, [], f"<= {most:.0f}", count <= most)]
