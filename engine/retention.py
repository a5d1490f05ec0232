"""How long readings and rollups are kept, as the settings say it: whole UTC days, by type of sensor and by width."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from engine.model import SensorType

DAYS_MAX: Final = 365_000
"""A thousand years: for ever, and still a day of the calendar."""
LOG_DAYS: Final = 35
"""A whole month can be replayed on the days after it."""
_TYPES: Final = frozenset(SensorType)
FORM: Final = (
    f"must hold TYPE=DAYS such as GasDetection=3650,Vibration=90, each type once, of 1 to {DAYS_MAX} whole days"
)


def days_by_type(text: str) -> dict[SensorType, int]:
    """What RETENTION_DAYS_BY_TYPE says; raises ValueError that names the part which is not usable."""
    found: dict[SensorType, int] = {}
    for part in (part.strip() for part in text.split(",") if part.strip()):
        name, _, number = (word.strip() for word in part.partition("="))
        days = int(number) if number.isascii() and number.isdecimal() and len(number) <= len(str(DAYS_MAX)) else 0
        if name not in _TYPES or not 1 <= days <= DAYS_MAX or name in found:
            raise ValueError(f"{FORM} (not {part})")
        found[SensorType(name)] = days
    return found


@dataclass(frozen=True, slots=True)
class Retention:
    """`days_by_type`: what differs from `days`. `rollup_days`: by width in seconds; without an entry, kept for ever.

    `log_days`: of the commit log, which replays are made from; 0: no more of it than facilities need to load.
    """

    days: int
    days_by_type: Mapping[SensorType, int]
    rollup_days: Mapping[int, int]
    log_days: int = LOG_DAYS

    def readings_from(self, today: dt.date) -> dict[SensorType, dt.date]:
        """The first day whose readings are kept, by type."""
        return {each: today - dt.timedelta(days=self.days_by_type.get(each, self.days)) for each in SensorType}

    def rollups_from(self, today: dt.date) -> dict[int, dt.date]:
        """The first day whose rollups are kept, by width."""
        return {width_s: today - dt.timedelta(days=days) for width_s, days in self.rollup_days.items()}

    def contradiction(self) -> str | None:
        """Long grids are put together from rollups, and what is wider from what is narrower: none may go before it."""
        narrower, days_min = "readings", max([self.days, *self.days_by_type.values()])
        for name, width_s in (("a minute", 60), ("an hour", 3600), ("a day", 86_400)):
            days = self.rollup_days.get(width_s, DAYS_MAX)
            if days < days_min:
                kept = "for ever" if narrower != "readings" and days_min == DAYS_MAX else f"{days_min} days"
                return f"rollups of {name} would be kept {days} days, {narrower} {kept}"
            narrower, days_min = f"rollups of {name}", days
        return None
