"""The field of the engine's tests: facilities with one temperature sensor each (`north-t` of `north`), and readings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from engine.clock import US_PER_S, SystemClock
from engine.messages import time_text

QUEUES = ("facility-setup-queue", "sensor-activation-queue", "sensor-data-queue", "sensor-deactivation-queue")
SETUPS, ACTIVATIONS, READINGS, _ = QUEUES
FACILITIES = ("north", "south", "east")
STEP_US = 1000

Body = dict[str, object]
_PLACE: Body = {"address": None, "longitude": 10.0, "latitude": 59.0, "tracked_at": "2026-01-01T00:00:00"}


def setup_body(facility: str) -> Body:
    return {"facility_id": facility, "facility_name": facility.title(), "facility_type": "TankFarm", **_PLACE}


def activation_body(facility: str, sensor: str = "") -> Body:
    entity: Body = {"sensor_id": sensor or f"{facility}-t", "facility_id": facility}
    return {**entity, "sensor_type": "Temperature", "signal_interval": 15, **_PLACE}


class Field:
    """Numbered readings, a millisecond of event time apart, round robin. `send(queue, bodies)` is how they leave."""

    def __init__(
        self,
        send: Callable[[str, Sequence[Body]], Awaitable[None]],
        facilities: Sequence[str] = FACILITIES,
        *,
        begins_s_ago: float = 120,
    ) -> None:
        self._send = send
        self._facilities = facilities
        self._start_us = SystemClock().now_us() - round(begins_s_ago * US_PER_S)
        self.sent = 0

    async def introduce(self) -> None:
        await self._send(SETUPS, [setup_body(facility) for facility in self._facilities])
        await self._send(ACTIVATIONS, [activation_body(facility) for facility in self._facilities])

    async def send(self, count: int = 0, data: str = "") -> None:
        """The next `count` readings, one of each facility when not said; counted once they have left."""
        count = count or len(self._facilities)
        bodies: list[Body] = []
        for number in range(self.sent, self.sent + count):
            facility = self._facilities[number % len(self._facilities)]
            body: Body = {"sensor_id": f"{facility}-t", "facility_id": facility, "data": data or f"{20 + number % 5}"}
            bodies.append({**body, "tracked_at": time_text(self._start_us + number * STEP_US)})
        await self._send(READINGS, bodies)
        self.sent += count

    async def send_until(self, enough: asyncio.Event, count: int = 0, pause_s: float = 0.1) -> None:
        """Not to be cancelled: nobody would know whether the last ones were sent."""
        while not enough.is_set():
            await self.send(count)
            await asyncio.sleep(pause_s)

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """Readings are sent meanwhile."""
        enough = asyncio.Event()
        task = asyncio.create_task(self.send_until(enough))
        try:
            yield
        finally:
            enough.set()
            await task
