"""Turns outcomes that arrive within a few milliseconds into one transaction, and answers each facility by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from engine.clock import Clock
from engine.errors import StoreUnavailable
from engine.faultpoints import reached
from engine.historian.connection import Failure, failure_of, open_writer
from engine.historian.group import write_group
from engine.historian.limits import Tallies
from engine.model import CommitAnswer, Outcome, Verdict
from engine.retries import Retries
from engine.settings import Settings

GROUP_ROWS_MAX = 100_000
GROUP_OUTCOMES_MAX = 500

_log = structlog.get_logger(__name__)


@dataclass(eq=False, slots=True)
class _Queued:
    outcome: Outcome
    answer: asyncio.Future[CommitAnswer]


class GroupCommit:
    """One connection, one transaction at a time; what arrives meanwhile shares the next one."""

    def __init__(self, database_url: str, settings: Settings, clock: Clock, tallies: Tallies) -> None:
        self._database_url = database_url
        self._settings = settings
        self._clock = clock
        self._tallies = tallies
        self._connection: Any = None
        self._queue: list[_Queued] = []
        self._writer: asyncio.Task[None] | None = None
        self._retries = Retries(clock)

    async def submit(self, outcome: Outcome) -> CommitAnswer:
        """Wait until the outcome's transaction has ended; raises StoreUnavailable when nothing was written."""
        queued = _Queued(outcome, asyncio.get_running_loop().create_future())
        self._queue.append(queued)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_queue(), name="group-commit")
        return await queued.answer

    def status(self) -> dict[str, Any]:
        """How committing goes (see Retries), and how many outcomes wait for the next transaction."""
        return {**self._retries.status(), "waiting": len(self._queue)}

    async def close(self) -> None:
        """Finish what is queued, then let the connection go."""
        if self._writer is not None:
            await self._writer
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _write_queue(self) -> None:
        wait_s = self._settings.group_commit_wait_ms / 1000
        if wait_s > 0:
            await self._clock.sleep(wait_s)
        else:
            await asyncio.sleep(0)  # what is ready in this turn of the loop shares the transaction
        while self._queue:
            group = self._next_group()
            try:
                await self._write(group)
            except Exception as error:  # a bug of ours must reach those who wait, not only this task
                for queued in group:
                    if not queued.answer.done():
                        queued.answer.set_exception(error)
            except BaseException:  # the process is ending: nobody may wait for an answer that never comes
                for queued in (*group, *self._queue):
                    queued.answer.cancel()
                self._queue.clear()
                raise

    def _next_group(self) -> list[_Queued]:
        """The oldest outcomes, one a facility, up to the limits of a transaction."""
        group: list[_Queued] = []
        facilities: set[str] = set()
        rows = 0
        left: list[_Queued] = []
        for queued in self._queue:
            outcome = queued.outcome
            fits = rows + outcome.rows <= GROUP_ROWS_MAX and len(group) < GROUP_OUTCOMES_MAX
            if (fits or not group) and outcome.facility_id not in facilities and not left:
                group.append(queued)
                rows += outcome.rows
                facilities.add(outcome.facility_id)
            else:
                left.append(queued)
        self._queue = left
        return group

    async def _write(self, group: Sequence[_Queued]) -> None:
        """One transaction; after a definite refusal of the content, one for each facility."""
        self._retries.began()
        failure, reason, answers = await self._transact([queued.outcome for queued in group])
        if failure in {Failure.UNAVAILABLE, Failure.UNKNOWN}:
            self._retries.failed(reason)
        else:
            self._retries.worked()
        if failure is Failure.MOVED:
            await self._write(group)
            return
        if failure is Failure.CONTENT and len(group) > 1:
            _log.warning("group_commit_split", facilities=len(group), reason=reason)
            for queued in group:
                await self._write([queued])
            return
        for queued in group:
            if queued.answer.done():  # its caller has gone
                continue
            if failure is None:
                queued.answer.set_result(answers[queued.outcome.facility_id])
            elif failure is Failure.CONTENT:
                queued.answer.set_result(CommitAnswer(Verdict.REJECTED, reason))
            elif failure is Failure.UNKNOWN:
                queued.answer.set_result(CommitAnswer(Verdict.UNKNOWN, reason))
            else:
                queued.answer.set_exception(StoreUnavailable(reason))

    async def _transact(self, outcomes: Sequence[Outcome]) -> tuple[Failure | None, str, dict[str, CommitAnswer]]:
        """Run one transaction to a known end; `committing` tells how much an error leaves in doubt."""
        committing = False
        answers: dict[str, CommitAnswer] = {}
        try:
            async with asyncio.timeout(self._settings.commit_timeout_s):
                connection = await self._connected()
                await connection.execute("BEGIN")
                answers = await write_group(connection, outcomes, self._tallies, self._clock.now_us())
                await reached("in_commit")
                committing = True
                await connection.execute("COMMIT")
        except Exception as error:
            failure = failure_of(error, committing)
            await self._leave_transaction(failure)
            return failure, f"{type(error).__name__}: {error}", {}
        except BaseException:  # cancelled: the connection is in the middle of something
            self._drop_connection()
            raise
        return None, "", answers

    async def _connected(self) -> Any:
        if self._connection is None or self._connection.is_closed():
            self._connection = await open_writer(self._database_url, self._settings)
        return self._connection

    async def _leave_transaction(self, failure: Failure) -> None:
        """Roll back where the connection is sound; otherwise a new one is cheaper than finding out."""
        if failure not in {Failure.CONTENT, Failure.MOVED} or self._connection is None or self._connection.is_closed():
            self._drop_connection()
            return
        try:
            async with asyncio.timeout(self._settings.commit_timeout_s):
                await self._connection.execute("ROLLBACK")
        except Exception as error:
            _log.warning("rollback_failed", error=str(error))
            self._drop_connection()

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
