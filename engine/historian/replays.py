"""Replays that people asked for, as the engine works through them: parts are begun, tell how far they are, and end.

Each time that a part is begun has a number, and only the last one may write: what was taken for dead and is not does
no harm. A replay that somebody cancelled takes nothing any more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.historian.outbox import Transaction
from engine.historian.queries import SQL

ATTEMPTS_MAX: Final = 5
"""A part whose process ended so often is not begun again: it may be the reason."""
GIVEN_UP: Final = f"it was begun {ATTEMPTS_MAX} times, and its process ended each time before it did"


@dataclass(frozen=True, slots=True)
class ReplayPart:
    """One facility of a replay, begun for the `attempt`-th time. `wanted`: see engine.replay.wanting."""

    replay_id: str
    place: int
    facility_id: str
    attempt: int
    wanted: Mapping[str, Any]


class Replays:
    """Each method is one transaction; several may run, also of several engines."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def begin_again(self) -> None:
        """Everything that is said to be running; for who leads from now on, and has begun nothing."""
        async with self._transaction("looking for replays") as connection:
            await connection.execute(SQL["replay_parts_again"])

    async def claim(self, parts_max: int) -> list[ReplayPart]:
        """Parts to begin now."""
        async with self._transaction("beginning replays") as connection:
            rows = await connection.fetch(SQL["replay_parts_claim"], parts_max)
        return [
            ReplayPart(row["replay_id"], row["place"], row["facility_id"], row["attempts"], json.loads(row["wanted"]))
            for row in rows
        ]

    async def tell(self, part: ReplayPart, progress: float, readings: int) -> bool:
        """How far it is, from 0 to 1. False: it is wanted no more, or somebody else has begun it since."""
        async with self._transaction("telling of a replay") as connection:
            told = await connection.fetchval(SQL["replay_part_told"], *_key(part), progress, readings)
        return told is not None

    async def end(self, part: ReplayPart, result: Mapping[str, Any], readings: int) -> None:
        """It is done."""
        async with self._transaction("ending a replay") as connection:
            text = json.dumps(result, ensure_ascii=False)
            await connection.execute(SQL["replay_part_ended"], *_key(part), "done", "", text, readings)

    async def fail(self, part: ReplayPart, problem: str) -> None:
        """It cannot be done, and could not the next time."""
        async with self._transaction("ending a replay") as connection:
            await connection.execute(SQL["replay_part_ended"], *_key(part), "failed", problem, None, None)

    async def put_back(self, part: ReplayPart) -> None:
        """Its process has ended; somebody else may begin it."""
        async with self._transaction("putting a replay back") as connection:
            await connection.execute(SQL["replay_part_again"], *_key(part), ATTEMPTS_MAX, GIVEN_UP)

    async def sum_up(self, now_us: int) -> None:
        """State, progress and readings of each replay, from its parts."""
        async with self._transaction("summing up replays") as connection:
            await connection.execute(SQL["replays_sum_up"], now_us)

    async def forget(self, now_us: int) -> None:
        """Those whose time is over."""
        async with self._transaction("forgetting replays") as connection:
            await connection.execute(SQL["replays_forget"], now_us)


def _key(part: ReplayPart) -> tuple[str, int, int]:
    return part.replay_id, part.place, part.attempt
