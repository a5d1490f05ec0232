"""Readings of moments that nobody expected, by sensor: `gasinsight doctor` tells of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from engine.historian.connecting import connect
from engine.historian.connection import prepare_connection, translated_errors
from engine.historian.maintenance import STRAYS_COUNTED_MAX, ahead_us
from engine.historian.queries import SQL

ANSWER_S_MAX: Final = 10.0


@dataclass(frozen=True, slots=True)
class OddReadings:
    """How many there are; by sensor id, most first.

    strays            in the default partition though their day has come
    before_retention  dead letters of the last seven days
    before_sensor     stored, of days that lie wholly before the activation (as far as their rollups are computed)
    """

    strays: int
    before_retention: Mapping[str, int]
    before_sensor: Mapping[str, int]


async def odd_readings(database_url: str, now_us: int) -> OddReadings:
    """As of this moment. Raises StoreUnavailable."""
    async with translated_errors("looking for odd readings"):
        connection = await connect(database_url, command_timeout=ANSWER_S_MAX)
        try:
            await prepare_connection(connection)
            return OddReadings(
                await connection.fetchval(SQL["strays_count"], STRAYS_COUNTED_MAX, ahead_us(now_us)),
                dict(await connection.fetch(SQL["letters_before_retention"])),
                dict(await connection.fetch(SQL["readings_before_sensors"])),
            )
        finally:
            connection.terminate()
