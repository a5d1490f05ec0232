"""What may be tried for an alarm: deadbands made of the signal's own noise, and delays; the gentlest first."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Final

import numpy as np
from numpy.typing import NDArray

from web.contract.proposal_shapes import Tuning
from web.proposals.living import Subject
from web.wire.alarms import Priority

WITH_DEADBAND: Final = frozenset({"low", "low_low", "high", "high_high", "rate_of_change"})
BY_READINGS: Final = WITH_DEADBAND | {"anomaly"}
"""Rules whose alarm a deadband or a delay can make better."""
OF_INSTRUMENTS: Final = frozenset({"stale", "bad_value", "clock", "out_of_physical_range", "stuck", "silent"})
"""Rules that tell of the instrument or its line. What is left is of several sensors together."""
DELAY_S_MAX: Final[dict[Priority, float]] = {"critical": 0.0, "high": 15.0, "medium": 30.0, "low": 60.0}
"""How much later what is true may be told, by how urgent it is."""
NOISES: Final = (2.0, 4.0, 6.0)
OFF_DELAYS_S: Final = (15.0, 30.0, 60.0)
LONG_OFF_DELAYS_S: Final = (60.0, 120.0, 300.0)
ON_DELAYS_S: Final = (5.0, 15.0, 30.0, 60.0)
PLAUSIBLE: Final = 1e12
"""No instrument measures more, and what is no number is not less."""
_DIGITS = 2
_STEP_OF_NOISE = 0.954
"""The median step from one reading to the next, of noise with a standard deviation of 1."""


def candidates(subject: Subject, now: Tuning, priority: Priority, noise: float) -> list[Tuning]:
    """Those that delay nothing come first: a deadband and an off-delay only let it stand longer."""
    found: dict[tuple[float | None, float, float], Tuning] = {}
    on_delays_s = [on_s for on_s in ON_DELAYS_S if _told_after_s(on_s, subject) <= DELAY_S_MAX[priority]]
    for tuning in _ladder(now, _deadbands(subject.rule, now, noise), on_delays_s):
        if tuning != now:
            found.setdefault((tuning.deadband, tuning.on_delay_s, tuning.off_delay_s), tuning)
    return list(found.values())


def noise_of(values: NDArray[np.float64]) -> float:
    """The signal's standard deviation from one reading to the next, whatever else it does; 0: it is never another."""
    steps = np.abs(np.diff(values[np.abs(values) < PLAUSIBLE]))
    steps = steps[steps > 0]
    return float(np.median(steps)) / _STEP_OF_NOISE if len(steps) else 0.0


def _told_after_s(on_delay_s: float, subject: Subject) -> float:
    """By its readings as they should come: a delay is over at the first of them that is late enough."""
    return ceil(on_delay_s / subject.interval_s) * subject.interval_s if subject.interval_s else on_delay_s


def _deadbands(rule: str, now: Tuning, noise: float) -> list[float]:
    if rule not in WITH_DEADBAND:
        return []
    wanted = [float(f"{times * noise:.{_DIGITS}g}") for times in NOISES]
    return [deadband for deadband in wanted if deadband > (now.deadband or 0.0)]


def _ladder(now: Tuning, deadbands: list[float], on_delays_s: list[float]) -> Iterator[Tuning]:
    def otherwise(deadband: float | None = None, on_s: float = 0.0, off_s: float = 0.0) -> Tuning:
        """Never less than there is now."""
        return Tuning(
            deadband=now.deadband if deadband is None else deadband,
            on_delay_s=max(now.on_delay_s, on_s),
            off_delay_s=max(now.off_delay_s, off_s),
        )

    for deadband in deadbands:
        yield otherwise(deadband)
    for off_s in OFF_DELAYS_S:
        yield otherwise(off_s=off_s)
    for off_s in LONG_OFF_DELAYS_S:
        yield otherwise(deadbands[-1] if deadbands else None, off_s=off_s)
    for on_s in on_delays_s:
        yield otherwise(on_s=on_s)
        yield otherwise(deadbands[0] if deadbands else None, on_s, LONG_OFF_DELAYS_S[0])
        yield otherwise(deadbands[-1] if deadbands else None, on_s, LONG_OFF_DELAYS_S[-1])
