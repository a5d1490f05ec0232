"""Facilities that live through some time at once, each with its log and journal in PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import native
from engine.clock import US_PER_S, ManualClock
from engine.facility.facility import Facility
from engine.historian.historian import Historian
from engine.metrics import Metrics
from engine.model import FacilitySetup, FacilityType, Location, SensorActivation, SensorType
from engine.settings import Settings

START_US: Final = 1_767_225_600 * US_PER_S
PLACE: Final = Location(None, 10.0, 59.0)


@dataclass(frozen=True, slots=True)
class Life:
    """`sensors` of each facility say something every `interval_s`; it arrives in a batch every `batch_s`."""

    facility_ids: Sequence[str]
    sensors: int
    interval_s: int
    batch_s: int
    hours: int

    @property
    def end_us(self) -> int:
        return START_US + self.hours * 3_600 * US_PER_S

    @property
    def readings(self) -> int:
        return len(self.facility_ids) * self.sensors * self.hours * 3_600 // self.interval_s

    async def live(self, url: str, settings: Settings) -> None:
        clock = ManualClock(START_US)
        historian = await Historian.open(url, settings, clock)
        try:
            facilities = [await self._made(historian, clock, settings, each) for each in self.facility_ids]
            for start_s in range(0, self.hours * 3_600, self.batch_s):
                await clock.advance(self.batch_s)
                await asyncio.gather(*(self._live(each, start_s, clock.now_us()) for each in facilities))
        finally:
            await historian.close()

    async def _made(self, historian: Historian, clock: ManualClock, settings: Settings, facility_id: str) -> Facility:
        await historian.create_facility(FacilitySetup(facility_id, "Alpha", FacilityType.TANK_FARM, PLACE, START_US))
        facility = Facility(facility_id, historian, settings, clock, Metrics())
        kind = SensorType.TEMPERATURE
        await facility.apply(
            [
                SensorActivation(name, facility_id, kind, PLACE, self.interval_s, START_US)
                for name in self._names(facility_id)
            ]
        )
        return facility

    def _names(self, facility_id: str) -> list[str]:
        return [f"{facility_id} s{number}" for number in range(self.sensors)]

    async def _live(self, facility: Facility, start_s: int, now_us: int) -> None:
        rows = [
            (name, START_US + at_s * US_PER_S, self._value(at_s // self.interval_s, place))
            for at_s in range(start_s, start_s + self.batch_s, self.interval_s)
            for place, name in enumerate(self._names(facility.facility_id))
        ]
        await facility.ingest(native.encode_batch(facility.facility_id, rows, now_us))
        await facility.tick(now_us)

    def _value(self, step: int, place: int) -> str:
        """Above its limit now and then."""
        bump = 6.0 if (step + 37 * place) % 1_000 < 20 else 0.0
        return repr(20.0 + (step * 7 + place * 3) % 11 / 4 + bump)
