"""Sends one outcome to the historian until there is an answer; what is not a commit becomes a typed error."""

from __future__ import annotations

from typing import Final

import structlog

from engine.clock import Clock
from engine.errors import CommitFenced, CommitRejected, CommitUnknown, StoreUnavailable
from engine.historian.port import HistorianPort
from engine.metrics import COMMIT, FENCED_WRITES, Metrics
from engine.model import CommitAnswer, Outcome, Verdict

RETRY_S_MIN: Final = 0.1
RETRY_S_MAX: Final = 1.0

log = structlog.get_logger()


async def commit_until_answered(
    historian: HistorianPort, outcome: Outcome, clock: Clock, metrics: Metrics
) -> CommitAnswer:
    """The answer to a committed outcome; raises CommitFenced, CommitRejected or CommitUnknown.

    While the store is away the very same outcome is sent again: nothing was written and the core is ahead already, so
    that neither losing nor repeating it would be right.
    """
    started_s = clock.monotonic_s()
    retry_s = RETRY_S_MIN
    while True:
        try:
            answer = await historian.commit(outcome)
            break
        except StoreUnavailable as error:
            if retry_s == RETRY_S_MIN:
                log.warning("store_unavailable", facility_id=outcome.facility_id, error=str(error))
            await clock.sleep(retry_s)
            retry_s = min(2 * retry_s, RETRY_S_MAX)
    waited_s = clock.monotonic_s() - started_s
    metrics.observe(COMMIT, waited_s)
    if retry_s > RETRY_S_MIN:
        log.info("store_available_again", facility_id=outcome.facility_id, waited_s=round(waited_s, 3))
    if answer.verdict is Verdict.COMMITTED:
        return answer
    if answer.verdict is Verdict.FENCED:
        metrics.add(FENCED_WRITES)
        raise CommitFenced(f"facility {outcome.facility_id}: epoch {outcome.epoch} is over {answer.reason}".rstrip())
    if answer.verdict is Verdict.REJECTED:
        raise CommitRejected(answer.reason)
    raise CommitUnknown(answer.reason)
