"""Ten situations of a control room: what the field sends in each, and where somebody should end up.

Each has a facility of its own and a reading a second of each sensor, well for `WELL_S`, then as the situation has it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

WELL_S: Final = 30
FLOOD: Final = 300
HOUR_S: Final = 3600.0

Data = str | None
"""None: nothing is sent."""
Play = Callable[[str, int], Data]
"""What a sensor says so many seconds after the situation began (before: less than 0)."""


@dataclass(frozen=True, slots=True)
class Situation:
    """sensors     their types by name
    right       the sensors of which each is where somebody should end up; none: the facility itself
    creeps      physics gives a warning: the value moves before it is beyond its limit
    stamped     seconds that the clock is off, from the beginning of the situation on
    groups      set of the facility beforehand, with sensors by name
    """

    name: str
    sensors: Mapping[str, str]
    right: frozenset[str]
    play: Play
    creeps: bool = False
    stamped: float = 0.0
    groups: tuple[dict[str, object], ...] = ()


def _between(low: float, high: float, noise: float) -> str:
    return f"{random.gauss((low + high) / 2, noise):.2f}"


NORMAL: Final[Mapping[str, Callable[[], str]]] = {
    "Pressure": lambda: _between(1013, 1015, 0.1),
    "Flow": lambda: _between(200, 300, 3),
    "GasDetection": lambda: _between(10, 20, 0.4),
    "LevelIndicator": lambda: _between(4, 6, 0.05),
    "PowerConsumption": lambda: _between(400, 600, 8),
    "Temperature": lambda: _between(20, 25, 0.2),
    "Vibration": lambda: _between(2, 5, 0.1),
    "PumpStatus": lambda: "Running",
    "ValveStatus": lambda: "Open",
}
PUMP: Final = {"flow": "Flow", "power": "PowerConsumption", "pump": "PumpStatus", "level": "LevelIndicator"}
LINE: Final = {"pressure": "Pressure", "flow": "Flow", "temperature": "Temperature"}
HALL: Final = {"gas 1": "GasDetection", "gas 2": "GasDetection", "gas 3": "GasDetection", "pressure": "Pressure"}
TANKS: Final = {f"gas {number}": "GasDetection" for number in range(8)}


def _normal(situation: Mapping[str, str], name: str) -> str:
    return NORMAL[situation[name]]()


def _after(sensors: Mapping[str, str], then: Callable[[str, int], Data | bool]) -> Play:
    """Well beforehand, and where `then` has nothing to say (False)."""

    def play(name: str, second: int) -> Data:
        said = then(name, second) if second >= 0 else False
        return _normal(sensors, name) if isinstance(said, bool) else said

    return play


def _leak(name: str, second: int) -> Data | bool:
    fallen = {"pressure": 1014 - 0.02 * second, "flow": 250 + 0.6 * second}
    return f"{fallen[name] + random.gauss(0, 0.02):.2f}" if name in fallen else False


def _pump_trip(name: str, second: int) -> Data | bool:
    left = max(0.0, 1 - second / 6)
    return {"flow": f"{250 * left:.2f}", "power": f"{500 * left:.2f}", "pump": "Stopped"}.get(name, False)


def _flood(name: str, second: int) -> Data | bool:
    if name == "pressure":
        return "700"
    return False if second < 4 + int(name.split()[1]) % 6 else "99"


def _gas(name: str, second: int) -> Data | bool:
    return "I/O Timeout" if name == "gas 3" else "62" if name in {"gas 1", "gas 2"} else False


def _chatter(name: str, second: int) -> Data | bool:
    return name == "level" and f"{min(6.0, 5 + second / 50) + random.gauss(0, 0.06 if second < 50 else 0.3):.2f}"


MANY: Final = {"pressure": "Pressure"} | {f"gas {number}": "GasDetection" for number in range(FLOOD - 1)}
VALVE: Final = {"v command": "ValveStatus", "v report": "ValveStatus", **LINE}
TWO_OF_THREE: Final[dict[str, object]] = {
    "name": "Gas in the hall", "kind": "vote", "votes": 2, "priority": "critical",
    "members": [{"sensor_id": f"gas {number}", "rules": ["high"]} for number in (1, 2, 3)],
}  # fmt: skip
FOLLOWS: Final[dict[str, object]] = {
    "name": "V-12", "kind": "discrepancy", "commanded": "v command", "reported": "v report", "on_delay_s": 5,
}  # fmt: skip

SITUATIONS: Final = (
    Situation("leak", LINE, frozenset({"pressure", "flow"}), _after(LINE, _leak), creeps=True),
    Situation("rupture", LINE, frozenset({"pressure"}), _after(LINE, lambda name, _: name == "pressure" and "840")),
    Situation("pump trip", PUMP, frozenset({"flow", "power"}), _after(PUMP, _pump_trip)),
    Situation(
        "stuck valve", VALVE, frozenset({"v command", "v report"}),
        _after(VALVE, lambda name, _: name == "v command" and "Closed"), groups=(FOLLOWS,),
    ),
    Situation("blind detector", HALL, frozenset({"gas 2"}), _after(HALL, lambda name, _: name == "gas 2" and "Bad")),
    Situation("silent hub", TANKS, frozenset(), _after(TANKS, lambda *_: None)),
    Situation(
        "chattering level", PUMP, frozenset({"level"}),
        _after(PUMP, _chatter), creeps=True,
    ),
    Situation("clock gone back", LINE, frozenset(LINE), _after(LINE, lambda *_: False), stamped=-HOUR_S),
    Situation(f"flood of {FLOOD}", MANY, frozenset({"pressure"}), _after(MANY, _flood)),
    Situation(
        "gas, one detector faulty", HALL, frozenset({"gas 1", "gas 2"}), _after(HALL, _gas), groups=(TWO_OF_THREE,)
    ),
)  # fmt: skip
