"""Healthy signals of the 18 sensor types the field hub sends: daily cycle, wandering with memory, mode changes, noise.

Beside them three of machines, for fields that ask for them: a pump that runs or not, a valve's position, and a counter.

All sensors are computed side by side in numpy. A healthy value never leaves its type's normal range (it saturates
inside), so every excursion in a simulated stream is a planted fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray

from engine.model import SensorType

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

DAY_S = 86_400.0
SATURATION = 0.85
"""Healthy values stay within this part of the half range around its middle."""


class Form(Enum):
    """What becomes of a signal on its way to the reading."""

    CONTINUOUS = auto()
    SWITCH = auto()
    """0 or 1: off in the lowest operating mode."""
    STEPS = auto()
    """Quarters of the range."""
    COUNTER = auto()
    """The signal is a rate an hour; the reading is what has been counted."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How one sensor type behaves. Amplitudes are parts of the half range.

    low, high   the field hub's normal range (the wire contract's default limits); of a machine what it can show
    daily       amplitude of the day's cycle
    wander      standard deviation of the slow part, which forgets in about `memory_s`
    noise       standard deviation of the instrument's noise
    mode        how far the facility's operating mode moves it
    """

    low: float
    high: float
    daily: float
    wander: float
    memory_s: float
    noise: float
    mode: float
    form: Form = Form.CONTINUOUS

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2

    @property
    def half(self) -> float:
        return (self.high - self.low) / 2


PROFILES: dict[SensorType, Profile] = {
    SensorType.GAS_DETECTION: Profile(10, 20, 0.05, 0.12, 600, 0.06, 0.0),
    SensorType.PRESSURE: Profile(1013, 1015, 0.15, 0.20, 3600, 0.04, 0.10),
    SensorType.FLOW: Profile(200, 300, 0.10, 0.15, 900, 0.05, 0.30),
    SensorType.TEMPERATURE: Profile(20, 25, 0.40, 0.12, 3600, 0.03, 0.05),
    SensorType.VIBRATION: Profile(2, 5, 0.02, 0.12, 300, 0.10, 0.25),
    SensorType.POWER_CONSUMPTION: Profile(400, 600, 0.20, 0.12, 900, 0.04, 0.35),
    SensorType.HUMIDITY: Profile(40, 60, 0.40, 0.18, 7200, 0.03, 0.0),
    SensorType.LEVEL_INDICATOR: Profile(4, 6, 0.10, 0.25, 7200, 0.02, 0.15),
    SensorType.OXYGEN_CONTENT: Profile(19.5, 20.5, 0.10, 0.15, 3600, 0.06, 0.0),
    SensorType.HYDROGEN_SULFIDE_CONTENT: Profile(1, 5, 0.05, 0.18, 900, 0.06, 0.05),
    SensorType.CARBON_DIOXIDE_CONTENT: Profile(350, 1000, 0.25, 0.18, 3600, 0.03, 0.10),
    SensorType.NOISE: Profile(60, 80, 0.20, 0.15, 300, 0.10, 0.25),
    SensorType.VOLUME: Profile(400, 600, 0.15, 0.25, 7200, 0.02, 0.15),
    SensorType.GAS_COMPOSITION: Profile(95, 98, 0.05, 0.20, 7200, 0.04, 0.05),
    SensorType.LIQUID_COMPOSITION: Profile(95, 98, 0.05, 0.20, 7200, 0.04, 0.05),
    SensorType.CORROSION: Profile(2, 4, 0.0, 0.20, 43_200, 0.02, 0.0),
    SensorType.WATER_CONTENT: Profile(0.5, 2.0, 0.05, 0.18, 3600, 0.04, 0.05),
    SensorType.PARTICULATE_MATTER: Profile(50, 150, 0.25, 0.20, 1800, 0.06, 0.10),
}
"""The 18 types the hub sends, those that show faults best first: a small facility gets these."""

MACHINES: dict[SensorType, Profile] = {
    SensorType.PUMP_STATUS: Profile(0, 1, 0.0, 0.0, 3600, 0.0, 1.0, Form.SWITCH),
    SensorType.VALVE_STATUS: Profile(0, 100, 0.10, 0.10, 7200, 0.0, 0.5, Form.STEPS),
    SensorType.COMPRESSOR_STATUS: Profile(30, 90, 0.10, 0.15, 3600, 0.05, 0.20, Form.COUNTER),
}
"""What the hub does not send: on or off, a position, a totaliser."""

COUNTED_S_MAX = DAY_S
"""A counter begins at its first reading; what passed before is not counted."""

_MODE_LEVELS = (-1.0, 0.0, 1.0)
_MODE_DWELL_S = 1800.0
_MODE_LAG_S = 90.0


def profile_of(type_: SensorType) -> Profile:
    return PROFILES.get(type_) or MACHINES[type_]


class SignalBank:
    """Healthy values of many sensors. Same seed and same sequence of calls: same values."""

    def __init__(self, types: Sequence[SensorType], facility_of: Sequence[int], seed: int) -> None:
        profiles = [profile_of(type_) for type_ in types]
        count = len(profiles)
        self._random = np.random.default_rng([seed, 1])
        self._facility_of = np.asarray(facility_of, dtype=np.int64)
        self.middle = np.array([profile.middle for profile in profiles])
        self.half = np.array([profile.half for profile in profiles])
        self._daily = np.array([profile.daily for profile in profiles])
        self._wander = np.array([profile.wander for profile in profiles])
        self._memory_s = np.array([profile.memory_s for profile in profiles])
        self._noise = np.array([profile.noise for profile in profiles])
        self._mode = np.array([profile.mode for profile in profiles])
        self._offset = self._random.uniform(-0.15, 0.15, count)
        self._phase = self._random.uniform(0, 2 * np.pi, count)
        self._slow = self._random.standard_normal(count)
        self._heard_s = np.full(count, -np.inf)
        self._forms = [profile.form for profile in profiles]
        self._counted = np.zeros(count)
        self._machines = np.array([form is not Form.CONTINUOUS for form in self._forms])
        self._modes = _Modes(int(self._facility_of.max(initial=-1)) + 1, seed)

    def sample(self, sensors: Indices, times_s: Floats) -> Floats:
        """One value for each of `sensors` (distinct), each at its own Unix time; a sensor's times may not run back."""
        elapsed_s = np.minimum(times_s - self._heard_s[sensors], 1e9)
        kept = np.exp(-elapsed_s / self._memory_s[sensors])
        fresh = self._random.standard_normal((2, len(sensors)))
        self._slow[sensors] = kept * self._slow[sensors] + np.sqrt(1 - kept**2) * fresh[0]
        self._heard_s[sensors] = times_s
        mode = self._modes.at(float(times_s.max(initial=0.0)))[self._facility_of[sensors]]
        deviation = (
            self._offset[sensors]
            + self._daily[sensors] * np.sin(2 * np.pi * times_s / DAY_S + self._phase[sensors])
            + self._wander[sensors] * self._slow[sensors]
            + self._mode[sensors] * mode
            + self._noise[sensors] * fresh[1]
        )
        inside: Floats = SATURATION * np.tanh(deviation / SATURATION)
        values: Floats = self.middle[sensors] + self.half[sensors] * inside
        for place in np.flatnonzero(self._machines[sensors]):
            values[place] = self._shown(int(sensors[place]), float(values[place]), float(elapsed_s[place]))
        return values

    def _shown(self, sensor: int, value: float, elapsed_s: float) -> float:
        """What a machine's sensor shows of its signal."""
        part = (value - self.middle[sensor]) / self.half[sensor]
        if self._forms[sensor] is Form.SWITCH:
            return float(part > -SATURATION / 2)
        if self._forms[sensor] is Form.STEPS:
            return float(self.middle[sensor] + self.half[sensor] * round(2 * part) / 2)
        if elapsed_s < COUNTED_S_MAX:
            self._counted[sensor] += value * elapsed_s / 3600
        return float(self._counted[sensor])


class _Modes:
    """Each facility's operating mode: jumps between levels now and then, and its sensors follow with a lag."""

    def __init__(self, facilities: int, seed: int) -> None:
        self._random = np.random.default_rng([seed, 2])
        self._level = self._random.choice(_MODE_LEVELS, facilities)
        self._shown = self._level.copy()
        self._left_s = self._random.exponential(_MODE_DWELL_S, facilities)
        self._now_s: float | None = None

    def at(self, now_s: float) -> Floats:
        elapsed_s = 0.0 if self._now_s is None else max(0.0, now_s - self._now_s)
        self._now_s = now_s
        self._left_s -= elapsed_s
        for facility in np.flatnonzero(self._left_s <= 0):
            self._level[facility] = self._random.choice(_MODE_LEVELS)
            self._left_s[facility] = self._random.exponential(_MODE_DWELL_S)
        self._shown += (1 - np.exp(-elapsed_s / _MODE_LAG_S)) * (self._level - self._shown)
        return self._shown
