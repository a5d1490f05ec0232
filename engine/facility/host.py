"""The facilities of one process. The Ray actor (`engine.facility.actor`) wraps it; fault runs use it as it is.

Errors of one facility become its answer and harm no other. What is not foreseen is logged with its trace and answered
as a crash: the facility loads again, and the reader finds out whether a message is to blame.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Awaitable, Sequence
from concurrent.futures import Executor

import structlog

import native
from engine.clock import Clock
from engine.errors import (
    CommitFenced,
    CommitRejected,
    CommitUnknown,
    FacilityGone,
    FacilityUnavailable,
    StoreUnavailable,
)
from engine.facility.facility import Facility
from engine.facility.port import DONE, Answer, Cursor, HostStatus, Result, SensorMessage, Share
from engine.historian.port import HistorianPort
from engine.live import LiveChunk
from engine.metrics import Metrics
from engine.model import AlarmCommand
from engine.settings import Settings

log = structlog.get_logger()


class FacilityHost:
    """Loads facilities when they are first spoken to. `executor`, of one thread, runs their large native calls."""

    def __init__(
        self,
        historian: HistorianPort,
        settings: Settings,
        clock: Clock,
        metrics: Metrics,
        *,
        executor: Executor | None = None,
    ) -> None:
        self._historian = historian
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._executor = executor
        self._facilities: dict[str, Facility] = {}
        self.incarnation = uuid.uuid4().hex
        self.node_id: str | None = None

    async def ingest(self, shares: Sequence[Share]) -> dict[str, Answer]:
        """Serial for each facility, side by side for several."""
        work = [
            _answer(share.facility_id, self._facility(share.facility_id).ingest(*share.batches, refused=share.refused))
            for share in shares
        ]
        answers = await asyncio.gather(*work)
        return self._noted({share.facility_id: answer for share, answer in zip(shares, answers, strict=True)})

    async def apply(self, facility_id: str, messages: Sequence[SensorMessage]) -> Answer:
        """Activations and deactivations of one facility."""
        return self._noted_one(facility_id, await _answer(facility_id, self._facility(facility_id).apply(messages)))

    async def tick(self, facility_ids: Sequence[str], watermark_us: int) -> dict[str, Answer]:
        """Tell the facilities how far the queue has been read; loads those that are not loaded."""
        work = [_answer(each, self._facility(each).tick(watermark_us)) for each in facility_ids]
        return self._noted(dict(zip(facility_ids, await asyncio.gather(*work), strict=True)))

    async def load(self, facility_id: str, *, again: bool = False) -> Answer:
        """Load the facility if it is not loaded; `again`: in any case, also after it was fenced."""
        return self._noted_one(facility_id, await _answer(facility_id, self._facility(facility_id).load(again=again)))

    async def probe(self, facility_id: str) -> Answer:
        """Whether the facility can load and commit, proved by a checkpoint."""
        work = self._facility(facility_id).checkpoint(even_if_nothing_new=True)
        return self._noted_one(facility_id, await _answer(facility_id, work))

    async def command(self, command: AlarmCommand) -> Answer:
        """A person's command to one of the alarms; DONE when it is decided, one way or the other."""
        facility_id = command.facility_id
        return self._noted_one(facility_id, await _answer(facility_id, self._facility(facility_id).command(command)))

    async def watch(
        self, facility_id: str, cursor: Cursor | None, wait_s: float
    ) -> tuple[Cursor, tuple[LiveChunk, ...]]:
        """See Publisher.watch; may run in another thread's event loop."""
        return await self._facility(facility_id).watch(cursor, wait_s)

    async def status(self) -> HostStatus:
        """Who is here and what was counted."""
        states = {facility_id: facility.state for facility_id, facility in self._facilities.items()}
        return HostStatus(self.incarnation, os.getpid(), states, self._metrics.snapshot(), self.node_id)

    async def close(self) -> None:
        """Write a checkpoint of each facility, so that the next start has little to replay."""
        for facility_id, facility in self._facilities.items():
            answer = await _answer(facility_id, facility.checkpoint())
            if answer.result is not Result.DONE:
                log.warning("no_last_checkpoint", facility_id=facility_id, reason=answer.reason)

    def _noted(self, answers: dict[str, Answer]) -> dict[str, Answer]:
        """Forget the facilities that are gone, with all that they remember."""
        return {facility_id: self._noted_one(facility_id, answer) for facility_id, answer in answers.items()}

    def _noted_one(self, facility_id: str, answer: Answer) -> Answer:
        if answer.result is Result.GONE:
            self._facilities.pop(facility_id, None)
        return answer

    def _facility(self, facility_id: str) -> Facility:
        """The one object of a facility, also when two threads (ingest, watch) ask for it first at once."""
        if (held := self._facilities.get(facility_id)) is not None:
            return held
        made = Facility(
            facility_id, self._historian, self._settings, self._clock, self._metrics, executor=self._executor
        )
        return self._facilities.setdefault(facility_id, made)


async def _answer(facility_id: str, work: Awaitable[None]) -> Answer:
    """What the errors of one step mean to whoever sent it."""
    try:
        await work
    except (CommitRejected, native.PayloadError) as error:
        log.warning("outcome_rejected", facility_id=facility_id, error=str(error))
        return Answer(Result.REJECTED, str(error))
    except CommitFenced as error:
        log.warning("facility_fenced", facility_id=facility_id, error=str(error))
        return Answer(Result.FENCED, str(error))
    except FacilityGone as error:
        log.info("facility_gone", facility_id=facility_id, why=str(error))
        return Answer(Result.GONE, str(error))
    except (StoreUnavailable, CommitUnknown, FacilityUnavailable) as error:
        log.info("facility_unavailable", facility_id=facility_id, error=str(error))
        return Answer(Result.UNAVAILABLE, str(error) or type(error).__name__)
    except Exception as error:
        log.exception("facility_step_failed", facility_id=facility_id)
        return Answer(Result.CRASHED, f"{type(error).__name__}: {error}"[:500])
    return DONE
