"""Dead letters and parked rows: looked at, sent through the engine again, deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypedDict, Unpack
from urllib.parse import urlencode

from engine.client.asking import Asking, Part
from engine.client.history import spelled
from engine.client.set_aside_shapes import (
    DeadLetter,
    DeadLetterPage,
    DeadLetterWhole,
    Discarded,
    Origin,
    Parked,
    ParkedPage,
    Redrive,
    Redriven,
    RedrivePage,
)

ROWS = 100
AT_ONCE_MAX = 1_000
"""Rows that the server redrives or deletes in one request."""
LOOK_S = 0.5

Told = Callable[[int, int], None]


class Fits(TypedDict, total=False):
    """Only what fits all that is said; set aside from `start` on and before `end`, both with a zone."""

    facility_id: str | None
    sensor_id: str | None
    reason: str | None
    start: datetime | None
    end: datetime | None


class SetAside:
    """Of one client, as `gis.set_aside`; NotPermitted for everybody but Admins."""

    def __init__(self, client: Asking) -> None:
        self._client = client

    async def dead_letters(self, *, skip: int = 0, limit: int = ROWS, **fits: Unpack[Fits]) -> Part[DeadLetter]:
        """Newest first."""
        page = await self._client.get(DeadLetterPage, "/dead-letters", **_query(fits), skip=skip, limit=limit)
        return Part(page.dead_letters, page.total)

    async def dead_letter(self, letter_id: int) -> DeadLetterWhole:
        """With all that is kept of what came."""
        return await self._client.get(DeadLetterWhole, f"/dead-letters/{letter_id}")

    async def parked(self, *, skip: int = 0, limit: int = ROWS, **fits: Unpack[Fits]) -> Part[Parked]:
        """Newest first."""
        page = await self._client.get(ParkedPage, "/parked", **_query(fits), skip=skip, limit=limit)
        return Part(page.parked, page.total)

    async def parked_row(self, parked_id: int) -> Parked:
        return await self._client.get(Parked, f"/parked/{parked_id}")

    async def redrive(self, origin: Origin, ids: Sequence[int] | None = None, **fits: Unpack[Fits]) -> Redriven:
        """These, at most 1,000, or all that fit. NotFound when none of them is there, Unusable when too many fit."""
        return await self._client.send(Redriven, "POST", _path("/redrives", fits), _chosen(origin, ids))

    async def delete(
        self, origin: Origin, ids: Sequence[int] | None = None, *, because: str, **fits: Unpack[Fits]
    ) -> int:
        """For good; how many. The audit log keeps `because`."""
        body = {**_chosen(origin, ids), "reason": because}
        return (await self._client.send(Discarded, "POST", _path("/discards", fits), body)).deleted

    async def redrives(
        self, *, redrive_id: str | None = None, state: str | None = None, skip: int = 0, limit: int = ROWS
    ) -> Part[Redrive]:
        """Each row that was redriven, newest first."""
        said = {"redrive_id": redrive_id, "redrive_state": state}
        query = {name: text for name, text in said.items() if text is not None}
        page = await self._client.get(RedrivePage, "/redrives", **query, skip=skip, limit=limit)
        return Part(page.redrives, page.total)

    async def wait(self, redrive_id: str, told: Told | None = None, *, patience_s: float = 30.0) -> list[Redrive]:
        """Until each row has ended, or for so long none did: the engine may be away. `told` of how many wait of all."""
        loop = asyncio.get_running_loop()
        before, moved_s = -1, loop.time()
        while True:
            waiting = (await self.redrives(redrive_id=redrive_id, state="waiting", limit=1)).total or 0
            rows = await self.redrives(redrive_id=redrive_id, limit=AT_ONCE_MAX)
            if told is not None:
                told(waiting, len(rows.rows))
            if waiting != before:
                before, moved_s = waiting, loop.time()
            if not waiting or loop.time() - moved_s > patience_s:
                return rows.rows
            await asyncio.sleep(LOOK_S)


def _query(fits: Fits) -> dict[str, str]:
    said = {name: fits.get(name) for name in ("facility_id", "sensor_id", "reason")}
    times = {"start_date": fits.get("start"), "end_date": fits.get("end")}
    return {name: str(text) for name, text in said.items() if text is not None} | {
        name: spelled(at) for name, at in times.items() if at is not None
    }


def _path(path: str, fits: Fits) -> str:
    query = urlencode(_query(fits))
    return f"{path}?{query}" if query else path


def _chosen(origin: Origin, ids: Sequence[int] | None) -> dict[str, object]:
    return {"origin": origin} if ids is None else {"origin": origin, "ids": list(ids)}
