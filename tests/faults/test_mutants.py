"""The fault runs can fail: each engine that is broken on purpose is caught within a few seeds."""

from __future__ import annotations

import asyncio
import itertools
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from engine.bus import holding
from engine.bus.holding import Batch
from engine.bus.reader import BusReader
from engine.facility import commit, facility, recovery
from engine.facility.directory import Directory
from engine.historian import group, maintenance, outbox
from engine.historian.outbox import Claimed
from engine.historian.port import HistorianPort
from engine.historian.queries import SQL
from engine.imports import storing
from engine.model import CommitAnswer, DeadLetter, FacilityState, Outcome, ParkedItem, Verdict
from engine.notify.deliverer import Deliverer
from tests.faults.run import World
from tests.faults.scheduler import START_US
from tests.faults.seeds import TELLING_AT, TELLING_EVERY, seeded

SEEDS_MAX = 60
PROGRAMMING_ERROR = re.compile("TypeError|AttributeError|NameError")

Mutant = Callable[[pytest.MonkeyPatch], None]


def complete_before_commit(patch: pytest.MonkeyPatch) -> None:
    """Messages are completed as soon as they are decoded."""
    put = BusReader._put

    def eager(self: BusReader, name: str, batch: Batch, parts: list[Any]) -> None:
        put(self, name, batch, parts)
        for part in parts:
            self.finish(batch, part)

    patch.setattr(BusReader, "_put", eager)


def no_epoch(patch: pytest.MonkeyPatch) -> None:
    """Nobody asks whose facility it is; a commit takes its number from whoever has it."""
    append_log = group._append_log

    async def nobody_left_out(connection: Any, outcomes: Sequence[Outcome]) -> dict[str, CommitAnswer]:
        return {}

    async def overwrite_log(connection: Any, outcomes: Sequence[Outcome], *others: Any) -> None:
        for outcome in outcomes:
            for entry in outcome.entries:
                taken = (outcome.facility_id, entry.commit_no)
                await connection.execute(
                    "DELETE FROM facility_commits WHERE facility_id = $1 AND commit_no = $2", *taken
                )
        await append_log(connection, outcomes, *others)

    patch.setattr(group, "_left_out", nobody_left_out)
    patch.setattr(group, "_append_log", overwrite_log)


def redelivered_events_count(patch: pytest.MonkeyPatch) -> None:
    """Events of readings that were stored already are journaled all the same."""
    outcome_of = facility.Facility._outcome

    def careless(self: Any, *arguments: Any) -> Outcome:
        outcome = outcome_of(self, *arguments)
        return replace(outcome, events=tuple(replace(event, only_if_stored=None) for event in outcome.events))

    patch.setattr(facility.Facility, "_outcome", careless)


def unknown_means_done(patch: pytest.MonkeyPatch) -> None:
    """A lost answer to COMMIT is taken for a good one."""
    ask = commit.commit_until_answered

    async def hopeful(historian: HistorianPort, outcome: Outcome, *others: Any) -> CommitAnswer:
        class Hopeful:
            async def commit(self, wanted: Outcome) -> CommitAnswer:
                answer = await historian.commit(wanted)
                return replace(answer, verdict=Verdict.COMMITTED) if answer.verdict is Verdict.UNKNOWN else answer

        return await ask(Hopeful(), outcome, *others)  # type: ignore[arg-type]

    patch.setattr(facility, "commit_until_answered", hopeful)


def no_reload_after_a_failure(patch: pytest.MonkeyPatch) -> None:
    """The core is kept although it may be ahead of the log."""
    serial = facility.Facility._serial

    def keeping(self: facility.Facility) -> Any:
        facility, context = self, serial(self)

        class Keeping:
            async def __aenter__(self) -> None:
                await context.__aenter__()

            async def __aexit__(self, *error: Any) -> Any:
                core = facility._core
                try:
                    return await context.__aexit__(*error)
                finally:
                    facility._core = core

        return Keeping()

    patch.setattr(facility.Facility, "_serial", keeping)


def replay_forgets_the_last_entry(patch: pytest.MonkeyPatch) -> None:
    """Recovery stops one entry short."""
    recovered = recovery.recovered_core

    async def short(state: FacilityState, *others: Any) -> Any:
        return await recovered(replace(state, log=state.log[:-1]), *others)

    patch.setattr(facility, "recovered_core", short)


def parked_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    """What belongs to no facility yet is completed and dropped."""

    async def dropped(self: Directory, facility_id: str, items: Sequence[ParkedItem], letters: Any = ()) -> bool:
        return True

    patch.setattr(Directory, "_park", dropped)


def refused_rows_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Bad rows of good messages are left out of the commit."""
    outcome_of = facility.Facility._outcome

    def silent(self: Any, *arguments: Any) -> Outcome:
        return replace(outcome_of(self, *arguments), dead_letters=())

    patch.setattr(facility.Facility, "_outcome", silent)


def letters_are_told_again(patch: pytest.MonkeyPatch) -> None:
    """A redelivery of what can never be accepted is told of once more."""
    letter_of = holding._letter
    numbers = itertools.count()

    def another(*arguments: Any) -> DeadLetter:
        return replace(letter_of(*arguments), identity=(str(next(numbers)),))

    patch.setattr(holding, "_letter", another)


def letters_are_not_waited_for(patch: pytest.MonkeyPatch) -> None:
    """A message is dead-lettered also when the store could not be told."""
    recorded = holding.Holding._recorded

    async def hasty(self: holding.Holding, letters: Sequence[DeadLetter]) -> bool:
        self._is_winding_up = True
        await recorded(self, letters)
        return True

    patch.setattr(holding.Holding, "_recorded", hasty)


def two_at_once(patch: pytest.MonkeyPatch) -> None:
    """Two steps of one facility may overlap."""

    class NoLock:
        async def __aenter__(self) -> None:
            await asyncio.sleep(0)

        async def __aexit__(self, *error: object) -> None:
            return None

    made = facility.Facility.__init__

    def unlocked(self: Any, *arguments: Any, **options: Any) -> None:
        made(self, *arguments, **options)
        self._lock = NoLock()

    patch.setattr(facility.Facility, "__init__", unlocked)


def removed_before_it_is_rolled_up(patch: pytest.MonkeyPatch) -> None:
    """Readings go although their rollups are still to be computed."""

    async def hasty(connection: Any) -> None:
        await connection.execute(SQL["floors_settled"])

    patch.setattr(maintenance, "_settle", hasty)


def old_strays_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """What came after its time goes without a dead letter."""
    silent = "DELETE FROM staging WHERE $1::timestamptz IS NOT NULL RETURNING sensor_no"
    patch.setattr(maintenance, "SQL", {**SQL, "staged_old_set_aside": silent})


def cleared_before_it_is(patch: pytest.MonkeyPatch) -> None:
    """A run says that days are thinned out, and then begins."""
    floors = maintenance._floors

    async def hasty(connection: Any) -> Any:
        found = await floors(connection)
        await connection.execute(SQL["floors_cleared"], START_US)
        return found

    patch.setattr(maintenance, "_floors", hasty)


def imported_without_marks(patch: pytest.MonkeyPatch) -> None:
    """Nobody is told which minutes of the past are to be rolled up."""
    insert = storing._STORE.partition("), marked AS")[0]
    patch.setattr(storing, "_STORE", f"{insert}) SELECT count(*) FROM stored")


def marked_before_it_is_sent(patch: pytest.MonkeyPatch) -> None:
    """A notification is noted as delivered, and then sent."""
    send = Deliverer._send

    async def hopeful(self: Deliverer, message: Claimed) -> None:
        await self._tell(message, None)
        await send(self, message)

    patch.setattr(Deliverer, "_send", hopeful)


def delivered_is_not_noted(patch: pytest.MonkeyPatch) -> None:
    """A notification that has arrived is sent again when its lease is over."""
    later = Deliverer._tell

    async def forgetful(self: Deliverer, message: Claimed, error: str | None) -> None:
        if error is not None:
            await later(self, message, error)

    patch.setattr(Deliverer, "_tell", forgetful)


def escalated_though_it_was_seen(patch: pytest.MonkeyPatch) -> None:
    """Acknowledging an alarm does not stop its escalation."""
    patch.setattr(outbox, "SQL", {**SQL, "notification_escalations_off": "SELECT $1::int8, $2::int8"})


@pytest.mark.parametrize(
    "mutant",
    [
        complete_before_commit,
        no_epoch,
        redelivered_events_count,
        unknown_means_done,
        no_reload_after_a_failure,
        replay_forgets_the_last_entry,
        parked_is_forgotten,
        refused_rows_are_forgotten,
        letters_are_told_again,
        letters_are_not_waited_for,
        two_at_once,
        removed_before_it_is_rolled_up,
        old_strays_are_forgotten,
        cleared_before_it_is,
        imported_without_marks,
    ],
)
def test_a_broken_engine_is_caught(
    world: World, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch, mutant: Mutant
) -> None:
    mutant(monkeypatch)
    _caught(world, runner, mutant, range(1000, 1000 + SEEDS_MAX))


@pytest.mark.parametrize("mutant", [marked_before_it_is_sent, delivered_is_not_noted, escalated_though_it_was_seen])
def test_a_broken_deliverer_is_caught(
    world: World, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch, mutant: Mutant
) -> None:
    """In runs of which somebody is told."""
    mutant(monkeypatch)
    _caught(world, runner, mutant, range(1000 + TELLING_AT, 1000 + SEEDS_MAX, TELLING_EVERY))


def _caught(world: World, runner: asyncio.Runner, mutant: Mutant, seeds: Sequence[int]) -> None:
    for seed in seeds:
        run = seeded(world, seed)
        try:
            runner.run(run.go())
            runner.run(run.check())
        except AssertionError as caught:
            assert not PROGRAMMING_ERROR.search(str(caught)), f"the mutant itself is broken: {caught}"
            sys.stdout.write(f"seed {seed}: {str(caught)[:300]}\n")
            return
    pytest.fail(f"{len(seeds)} runs did not notice: {mutant.__doc__}")
