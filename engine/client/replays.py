"""Past periods lived again with rules of now: asked for, waited for, cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlencode

from engine.client.asking import Asking, quoted
from engine.client.history import spelled
from engine.client.replay_shapes import Replay, ReplayWithResults
from engine.client.replay_shapes import Replays as Listed

LOOK_S = 1.0

Told = Callable[[Replay], None]


class Replays:
    """Of one client, as `gis.replays`. Needs View of each facility; the server works through them by itself."""

    def __init__(self, client: Asking) -> None:
        self._client = client

    async def start(
        self,
        facility_ids: Sequence[str],
        start: datetime,
        end: datetime,
        *,
        settings: Literal["then", "today"] = "then",
        proposals: Sequence[Mapping[str, Any]] = (),
    ) -> Replay:
        """What arrived from `start` on and before `end`, both with a zone. `proposals` as in the file of
        `gasinsight replay --rules`; with any, the settings are those of today. TooManyRequests while as many are under
        way as may be.
        """
        named = urlencode([("facility_id", each) for each in facility_ids])
        body = {"start_date": spelled(start), "end_date": spelled(end), "settings": settings}
        return await self._client.send(Replay, "POST", f"/replays?{named}", {**body, "proposals": list(proposals)})

    async def newest(self, limit: int = 20) -> list[Replay]:
        """One's own, the newest first; an Admin's are everybody's."""
        return (await self._client.get(Listed, "/replays", limit=limit)).replays

    async def replay(self, replay_id: str) -> ReplayWithResults:
        """How far it is, and what came of each facility so far."""
        return await self._client.get(ReplayWithResults, f"/replays/{quoted(replay_id)}")

    async def wait(self, replay_id: str, told: Told | None = None, *, look_s: float = LOOK_S) -> ReplayWithResults:
        """Until it has ended, in whichever state; `told` of how far it is, each time that we look."""
        while True:
            found = await self.replay(replay_id)
            if told is not None:
                told(found)
            if found.has_ended:
                return found
            await asyncio.sleep(look_s)

    async def cancel(self, replay_id: str) -> Replay:
        """One that has not ended ends within seconds, and is kept; one that has is forgotten."""
        return await self._client.send(Replay, "DELETE", f"/replays/{quoted(replay_id)}")
