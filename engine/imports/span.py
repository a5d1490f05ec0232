"""From when to when readings can be stored: for as long as their type is kept, and as far ahead as live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from engine.clock import US_PER_S
from engine.historian.partitions import day_of, start_us
from engine.historian.queries import SQL
from engine.settings import Settings


@dataclass(frozen=True, slots=True)
class Span:
    """Moments that are taken. `starts_us`: by type of sensor, every type; `end_us` is the first that is not."""

    starts_us: Mapping[str, int]
    end_us: int

    @property
    def earliest_us(self) -> int:
        """Before it no sensor has readings, whatever its type."""
        return min(self.starts_us.values())

    @classmethod
    async def read(cls, connection: Any, settings: Settings, now_us: int) -> Self:
        """What the settings keep, but nothing of before what has been removed already."""
        days = settings.retention.readings_from(day_of(now_us))
        starts_us = {kind.value: start_us(day) for kind, day in days.items()}
        for row in await connection.fetch(SQL["floors_get"]):
            kind = row["sensor_type"]
            starts_us[kind] = max(row["kept_from"], starts_us.get(kind, 0))
        return cls(starts_us, now_us + round(settings.future_s_max * US_PER_S))
