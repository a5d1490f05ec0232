"""How long to wait before trying again: longer each time, and by chance, so that many clients do not come together."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

FIRST_S_MAX = 0.5
WAIT_S_MAX = 15.0


@dataclass(slots=True)
class BackOff:
    """`chance` is passed in by tests."""

    first_s_max: float = FIRST_S_MAX
    wait_s_max: float = WAIT_S_MAX
    chance: random.Random = field(default_factory=random.Random)
    _failures: int = 0

    def wait_s(self, asked_s: float | None = None) -> float:
        """The next wait: between nothing and a bound that doubles, and never shorter than `asked_s`."""
        bound_s: float = min(self.wait_s_max, self.first_s_max * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return (asked_s or 0.0) + self.chance.uniform(0.0, bound_s)

    def reset(self) -> None:
        """It works again."""
        self._failures = 0
