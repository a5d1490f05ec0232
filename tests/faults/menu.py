"""The faults of a run: drawn by its seed, executed where the walk passes a named point or at a moment of its time.

A fault knows whether it has bitten. One that cannot (its point was passed too seldom) fails the run: a harness whose
faults miss would prove nothing.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

READER_POINTS = ("received", "decoded", "before_complete", "completed")
FACILITY_POINTS = ("before_score", "scored", "committed", "loaded", "at_checkpoint")


@dataclass(slots=True)
class Fault:
    """What happens at the `visit`th passing of `point`.

    kill     the process that passes it is gone; a new one starts some seconds later
    pause    the process stands still for `seconds`, is taken for dead and replaced, and goes on beside its successor
    stall    the process stands still for `seconds` and nobody notices (locks expire meanwhile)
    cut      every database connection of the historian dies inside the transaction
    orphan   the facility's process dies while the historian commits for it
    die      maintenance or an import is gone, and its connection with it; it is run again (tests/faults/upkeep.py)
    fail     maintenance or an import ends with an error
    """

    kind: str
    point: str
    visit: int
    seconds: float = 0.0
    bitten: bool = False


@dataclass(slots=True)
class Menu:
    """All faults of one run."""

    faults: list[Fault]
    lost_answers: int = 0
    away: tuple[float, float] | None = None
    passed: Counter[str] = field(default_factory=Counter)

    def due(self, point: str) -> Fault | None:
        """The fault that hits this passing of `point`, if one does."""
        self.passed[point] += 1
        for fault in self.faults:
            if not fault.bitten and fault.point == point and self.passed[point] >= fault.visit:
                fault.bitten = True
                return fault
        return None

    def missed(self) -> list[Fault]:
        """Faults that have not bitten."""
        return [fault for fault in self.faults if not fault.bitten]


def draw(chance: random.Random) -> Menu:
    """One to four faults of different kinds."""
    menu = Menu([])
    kinds = ["kill_reader", "kill_facility", "pause", "stall", "cut", "orphan", "lost_answer", "away"]
    for kind in chance.sample(kinds, chance.randint(1, 4)):
        visit = chance.randint(1, 6)
        if kind == "kill_reader":
            menu.faults.append(Fault("kill", chance.choice(READER_POINTS), visit))
        elif kind == "kill_facility":
            menu.faults.append(_at_facility(chance, "kill"))
        elif kind == "pause":
            menu.faults.append(_at_facility(chance, "pause", chance.uniform(5, 90)))
        elif kind == "stall":
            menu.faults.append(Fault("stall", chance.choice(READER_POINTS), visit, chance.uniform(61, 90)))
        elif kind in {"cut", "orphan"}:
            menu.faults.append(Fault(kind, "in_commit", visit))
        elif kind == "lost_answer":
            menu.lost_answers = chance.randint(1, 3)
        else:
            start_s = chance.uniform(5, 90)
            menu.away = (start_s, start_s + chance.uniform(5, 200))
    return menu


def _at_facility(chance: random.Random, kind: str, seconds: float = 0.0) -> Fault:
    point = chance.choice(FACILITY_POINTS)
    return Fault(kind, point, 1 if point in {"loaded", "at_checkpoint"} else chance.randint(1, 6), seconds)
