"""What a chaos run does to the house and when: the same seed, length and number of blows give the same plan."""

from __future__ import annotations

import random
from dataclasses import dataclass

from engine.faultpoints import POINTS

FULL_RUN_S = 1800.0
PAUSE_S = (1.0, 20.0)
SHORT_PAUSE_S = (1.0, 5.0)
WEATHER_S = (1.0, 8.0)
FIRST_BLOW_S = 3.0

# kind, means, weight: what the engine recovers from in a second or two, and so the most of a run
CHEAP = (
    ("facility actor", "SIGKILL", 10),
    ("facility actor", "SIGTERM", 2),
    ("facility actor", "SIGSTOP", 4),
    ("historian", "SIGKILL", 6),
    ("historian", "SIGTERM", 1),
    ("historian", "SIGSTOP", 3),
    ("reader", "SIGKILL", 6),
    ("reader", "SIGTERM", 1),
    ("reader", "SIGSTOP", 3),
    ("point", "kill", 14),
    ("point", "pause", 4),
    ("web", "SIGKILL", 2),
    ("web", "SIGTERM", 1),
    ("web", "SIGSTOP", 1),
    ("cluster link", "SIGKILL", 2),
    ("bus", "SIGKILL", 4),
    ("bus", "SIGTERM", 1),
    ("bus", "SIGSTOP", 1),
    ("PostgreSQL", "connections terminated", 4),
    ("way to the bus", "delay", 1),
    ("way to the bus", "cut", 2),
    ("way to the bus", "black_hole", 1),
    ("way to the bus", "trickle", 1),
    ("way to the database", "delay", 1),
    ("way to the database", "cut", 2),
    ("way to the database", "black_hole", 1),
    ("way to the database", "trickle", 1),
)
# kind, means, times in a full run: recovery takes many seconds
EXPENSIVE = (
    ("engine", "SIGKILL", 4),
    ("PostgreSQL", "SIGKILL", 4),
    ("up", "SIGKILL", 2),
    ("PostgreSQL", "SIGQUIT", 3),
    ("raylet", "SIGKILL", 3),
    ("GCS", "SIGKILL", 3),
    ("disk", "full", 2),
    ("engine", "SIGTERM", 2),
    ("engine", "SIGSTOP", 2),
    ("up", "SIGTERM", 1),
    ("PostgreSQL", "SIGSTOP", 2),
    ("raylet", "SIGSTOP", 2),
    ("GCS", "SIGSTOP", 2),
    ("teller", "kill", 3),
)
ALWAYS = 2
"""So many of EXPENSIVE are in the shortest run too."""


@dataclass(frozen=True, slots=True)
class Blow:
    """`seconds`: how long a pause, bad weather or full disk lasts; `choice` in 0..1 picks one of several victims."""

    at_s: float
    kind: str
    means: str
    seconds: float
    choice: float


def make_plan(seed: int, length_s: float, blows: int) -> list[Blow]:
    """`blows` over `length_s`, in their order."""
    chance = random.Random(f"chaos {seed}")
    expensive = [
        (kind, means)
        for rank, (kind, means, times) in enumerate(EXPENSIVE)
        for _ in range(max(round(times * length_s / FULL_RUN_S), int(rank < ALWAYS)))
    ]
    chance.shuffle(expensive)
    cheap = _cheap(chance, max(0, blows - len(expensive)))
    end_s = length_s - FIRST_BLOW_S
    step_s = (end_s - FIRST_BLOW_S) / max(1, len(expensive))  # apart, so that the house is up again before the next
    times = [FIRST_BLOW_S + step_s * (number + chance.uniform(0.2, 0.6)) for number in range(len(expensive))]
    times += [chance.uniform(FIRST_BLOW_S, end_s) for _ in cheap]
    plan = [
        Blow(at_s, kind, means, _seconds(chance, kind, means), chance.random())
        for at_s, (kind, means) in zip(times, [*expensive, *cheap], strict=True)
    ]
    return sorted(plan, key=lambda blow: blow.at_s)


def point_of(blow: Blow) -> str | None:
    """The named point that a blow arms; None: it is of another kind. Who tells of alarms is the engine."""
    if blow.kind == "teller":
        return "notification_sent"
    if blow.kind != "point":
        return None
    return sorted(POINTS)[int(blow.choice * len(POINTS))]


def _cheap(chance: random.Random, count: int) -> list[tuple[str, str]]:
    """Each as often as its weight says, as far as whole numbers go; the rest by chance."""
    total = sum(weight for _, _, weight in CHEAP)
    sure = [(kind, means) for kind, means, weight in CHEAP for _ in range(count * weight // total)]
    left = chance.choices([(kind, means) for kind, means, _ in CHEAP], [row[2] for row in CHEAP], k=count - len(sure))
    drawn = sure + left
    chance.shuffle(drawn)
    return drawn


def _seconds(chance: random.Random, kind: str, means: str) -> float:
    if kind.startswith("way to") or kind == "disk":
        return chance.uniform(*WEATHER_S)
    if means == "SIGSTOP":
        return chance.uniform(*(SHORT_PAUSE_S if kind in {"raylet", "GCS", "web"} else PAUSE_S))
    return chance.uniform(*SHORT_PAUSE_S) if means == "pause" else 0.0
