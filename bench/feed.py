"""Readings for benches: every sensor once a tick, in the order of time, with healthy values."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from engine.hub.roster import Roster, naive_utc, reading
from engine.hub.signals import SignalBank

US_PER_S = 1_000_000


@dataclass(slots=True)
class Feed:
    """Gives consecutive ticks, one second apart, so that nothing is ever late. `now_us` is the next tick."""

    roster: Roster
    now_us: int
    signals: SignalBank = field(init=False)

    def __post_init__(self) -> None:
        sensors = self.roster.sensors
        self.signals = SignalBank([sensor.type for sensor in sensors], [sensor.facility for sensor in sensors], 20)

    def tick(self) -> tuple[int, list[float]]:
        """(time, a value for each sensor of the roster)."""
        at_us = self.now_us
        self.now_us += US_PER_S
        everybody = np.arange(len(self.roster.sensors))
        values = self.signals.sample(everybody, np.full(len(everybody), at_us / US_PER_S))
        return at_us, values.round(2).tolist()

    def rows(self) -> list[dict[str, str]]:
        """One tick as readings of the contract."""
        at_us, values = self.tick()
        return [
            reading(sensor, self.roster.facilities[sensor.facility], at_us, value)
            for sensor, value in zip(self.roster.sensors, values, strict=True)
        ]

    def singles(self, count: int) -> list[bytes]:
        """`count` messages of one reading."""
        found: list[bytes] = []
        while len(found) < count:
            found += [json.dumps(row).encode() for row in self.rows()]
        return found[:count]

    def arrays(self, ticks: int) -> Iterator[bytes]:
        """JSON arrays, one a tick."""
        for _ in range(ticks):
            yield json.dumps(self.rows()).encode()

    def arrow(self, ticks: int) -> Iterator[bytes]:
        """Arrow IPC streams, one a tick: ids dictionary-free text, time as timestamp, value as number."""
        places = [self.roster.facilities[sensor.facility].facility_id for sensor in self.roster.sensors]
        sensors = [sensor.sensor_id for sensor in self.roster.sensors]
        for _ in range(ticks):
            at_us, values = self.tick()
            frame = pl.DataFrame(
                {
                    "facility_id": places,
                    "sensor_id": sensors,
                    "tracked_at": pl.Series([at_us] * len(sensors), dtype=pl.Datetime("us")),
                    "data": values,
                }
            )
            stream = io.BytesIO()
            frame.write_ipc_stream(stream, compat_level=pl.CompatLevel.oldest())
            yield stream.getvalue()

    @property
    def now(self) -> str:
        """The next tick as PostgreSQL reads it."""
        return naive_utc(self.now_us) + "Z"
