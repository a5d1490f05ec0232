"""One facility of a replay that is kept in tables: replayed behind everything else, told of while it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog

from engine.errors import StoreError
from engine.faultpoints import reached
from engine.historian.connection import translated_errors
from engine.historian.replays import ReplayPart
from engine.replay import stored
from engine.replay.documents import kept_document, read_wanted
from engine.replay.replaying import replay_facility
from engine.replay.values import FacilityResult, ReplayRefused
from engine.settings import Settings

TELL_S: Final = 1.0
FAILED_INSIDE: Final = "it failed inside the server, whose log says why"

log = structlog.get_logger(__name__)


class Told(Protocol):
    """See engine.historian.replays.Replays."""

    async def tell(self, part: ReplayPart, progress: float, readings: int) -> bool: ...

    async def end(self, part: ReplayPart, result: Mapping[str, Any], readings: int) -> None: ...

    async def fail(self, part: ReplayPart, problem: str) -> None: ...


@dataclass(slots=True)
class _Seen:
    progress: float = 0.0
    readings: int = 0

    def see(self, progress: float, readings: int) -> None:
        self.progress, self.readings = progress, readings


async def work(part: ReplayPart, told: Told, database_url: str, settings: Settings) -> None:
    """Until it is done or cannot be; or, within about TELL_S, until nobody wants it any more.

    Raises StoreError when the database goes away: then somebody begins it again.
    """
    await reached("replay_begun")
    seen = _Seen()
    replaying = asyncio.create_task(_replayed(part, database_url, settings, seen))
    try:
        while not replaying.done():
            await asyncio.wait((replaying,), timeout=TELL_S)
            if not await told.tell(part, seen.progress, seen.readings):
                log.info("replay_not_wanted", replay=part.replay_id, facility=part.facility_id)
                return
    finally:
        replaying.cancel()
        with suppress(asyncio.CancelledError, Exception):  # what it raised is looked at below
            await replaying
    try:
        result = replaying.result()
    except ReplayRefused as error:
        await told.fail(part, str(error))
    except StoreError:
        raise
    except Exception:
        log.exception("replay_failed", replay=part.replay_id, facility=part.facility_id)
        await told.fail(part, FAILED_INSIDE)
    else:
        await reached("replay_ended")
        await told.end(part, kept_document(result), result.readings)


async def _replayed(part: ReplayPart, database_url: str, settings: Settings, seen: _Seen) -> FacilityResult:
    wanted = read_wanted(part.wanted)
    async with translated_errors(f"replaying {part.facility_id}"), stored.opened(database_url) as connection:
        now = await stored.set_now(connection, part.facility_id)
        if now is None:
            raise ReplayRefused(f"there is no facility {part.facility_id!r} any more")
        return await replay_facility(connection, now, wanted, settings, seen.see)
