"""What was set aside and goes through the engine again: read while it waits, and ended with what has become of it.

A row is in one place at each moment: here, or among the dead letters, or parked. What had no effect is put back.
"""

from __future__ import annotations

from typing import Any, Final

from engine.historian.outbox import Transaction
from engine.historian.queries import SQL
from engine.messages import time_text
from engine.model import Redrive, Subject

NO_EFFECT: Final = "no_effect"
"""Reason of what went through, and is neither stored nor waits nor was refused."""
_NO_EFFECT_DETAIL: Final = "it went through the engine again and changed nothing"


class Redrives:
    """Each method is one transaction; several may run, also of several engines."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def waiting(self, kind: str, under_way: list[int], at_most: int) -> list[Redrive]:
        """See RedrivesPort."""
        async with self._transaction("reading what shall be redriven") as connection:
            rows = await connection.fetch(SQL["redrives_waiting"], kind, under_way, at_most)
        return [
            Redrive(
                row["id"],
                row["facility_id"],
                row["sensor_id"],
                row["body"].encode() if row["raw"] is None else row["raw"],
                row["asked_at"],
            )
            for row in rows
        ]

    async def end(self, row_id: int, subject: Subject | None, now_us: int) -> None:
        """See RedrivesPort."""
        async with self._transaction("ending a redrive") as connection:
            held = await connection.fetchrow(SQL["redrive_hold"], row_id)
            if held is None:
                return
            state, outcome = await _become(connection, held, subject)
            if outcome == NO_EFFECT:
                await connection.execute(SQL["redrive_put_back"], row_id, NO_EFFECT, _NO_EFFECT_DETAIL, now_us)
            await connection.execute(SQL["redrive_end"], row_id, state, outcome, now_us)

    async def refuse(self, row_id: int, reason: str, detail: str, now_us: int) -> None:
        """See RedrivesPort."""
        async with self._transaction("putting a dead letter back") as connection:
            if await connection.fetchrow(SQL["redrive_hold"], row_id) is None:
                return
            await connection.execute(SQL["redrive_put_back"], row_id, reason, detail, now_us)
            await connection.execute(SQL["redrive_end"], row_id, "refused", f"{reason}: {detail}", now_us)


async def _become(connection: Any, held: Any, subject: Subject | None) -> tuple[str, str]:
    """State and outcome. Of a body with many rows it is known that all of it was taken in: each of its bad rows is a
    dead letter of its own."""
    if subject is None:
        return "done", ""
    about = subject.facility_id, subject.sensor_id
    moment = time_text(subject.tracked_at_us)
    told = await connection.fetchrow(SQL["redrive_told"], held["digest"], held["asked_at"], *about, moment)
    if told is not None:
        return "refused", f"{told['reason']}: {told['detail']}"
    parked = await connection.fetchrow(SQL["redrive_parked"], held["digest"], *about, subject.tracked_at_us)
    if parked is not None:
        return "parked", parked["reason"]
    if await connection.fetchval(SQL["redrive_in_effect"], held["kind"], *about, subject.tracked_at_us):
        return "done", ""
    return "refused", NO_EFFECT
