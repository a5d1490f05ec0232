"""The store as a process of a run sees it: the real historian behind calls that the scheduler orders and faults hit.

`History` keeps every committed log entry, because a load answers with what follows the checkpoint only. An answer that
nobody can know (the connection died in COMMIT) is settled by the next load of the facility, as it is for the engine.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from engine.errors import StoreUnavailable
from engine.historian.historian import Historian
from engine.historian.port import (
    Creation,
    Parking,
    StoredItem,
    StoredReading,
    ToldAlarm,
    Unreserved,
)
from engine.model import (
    AlarmCommand,
    CommitAnswer,
    DeadLetter,
    FacilitySetup,
    FacilityState,
    LogEntry,
    Outcome,
    ParkedItem,
    Verdict,
)
from tests.faults.scheduler import Process

T = TypeVar("T")
Commit = tuple[LogEntry, ...]


@dataclass(slots=True)
class History:
    """`commits` of each facility in their order; `epochs` under which each was made.

    Of people's commands those that were seen are `asked`, and `waiting` those that nobody had decided at the last look.
    """

    commits: dict[str, list[Commit]] = field(default_factory=lambda: defaultdict(list))
    epochs: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    counts: Counter[str] = field(default_factory=Counter)
    asked: set[str] = field(default_factory=set)
    waiting: set[str] = field(default_factory=set)
    loads: Counter[str] = field(default_factory=Counter)
    _unknown: dict[str, list[Outcome]] = field(default_factory=lambda: defaultdict(list))

    def last_commit_no(self, facility_id: str) -> int:
        """0: nothing is committed."""
        return self.commits[facility_id][-1][-1].commit_no if self.commits[facility_id] else 0

    def answered(self, outcome: Outcome, answer: CommitAnswer) -> None:
        """The historian itself said this, whether or not it reaches who asked."""
        self.counts[answer.verdict.value] += 1
        if answer.verdict is Verdict.COMMITTED:
            self._append(outcome)
        elif outcome.entries and answer.verdict is Verdict.UNKNOWN and not answer.reason.startswith("out_of_sequence"):
            self._unknown[outcome.facility_id].append(outcome)

    def loaded(self, state: FacilityState) -> None:
        """A load shows which of the unknown commits happened, and must show every known one."""
        facility_id = state.config.facility_id
        self.counts["loads"] += 1
        self.loads[facility_id] += 1
        for outcome in self._unknown.pop(facility_id, []):
            first, last = outcome.entries[0].commit_no, outcome.entries[-1].commit_no
            if first == self.last_commit_no(facility_id) + 1 and last <= state.last_commit_no:
                self.counts["unknown_was_committed"] += 1
                self._append(outcome)
        committed = self.last_commit_no(facility_id)
        assert state.last_commit_no == committed, f"{facility_id} loaded {state.last_commit_no} of {committed} commits"
        known = {entry.commit_no: entry for commit in self.commits[facility_id] for entry in commit}
        start = state.checkpoint.commit_no if state.checkpoint is not None else 0
        assert [entry.commit_no for entry in state.log] == list(range(start + 1, state.last_commit_no + 1))
        assert all(entry == known[entry.commit_no] for entry in state.log), f"{facility_id}: the log differs"

    def _append(self, outcome: Outcome) -> None:
        facility_id = outcome.facility_id
        numbers = [entry.commit_no for entry in outcome.entries]
        expected = self.last_commit_no(facility_id) + 1
        assert numbers == list(range(expected, expected + len(numbers))), (
            f"{facility_id}: commits {numbers} after {expected - 1}"
        )
        epochs = self.epochs[facility_id]
        assert not epochs or outcome.epoch >= epochs[-1], f"{facility_id}: epoch {outcome.epoch} after {epochs[-1]}"
        epochs.append(outcome.epoch)
        if outcome.entries:
            self.commits[facility_id].append(outcome.entries)


@dataclass(slots=True)
class Weather:
    """What happens to the way to the store and back. `away_until_us`: nobody gets through until then."""

    away_until_us: int = 0
    answers_to_lose: int = 0
    poison: Callable[[Outcome], Outcome] | None = None


class Store:
    """`HistorianPort` of one process."""

    def __init__(
        self, process: Process, real: Historian, history: History, weather: Weather, facilities: Sequence[str]
    ) -> None:
        self._process = process
        self._real = real
        self._facilities = facilities
        self._history = history
        self._weather = weather

    async def load(self, facility_id: str, held_epoch: int | None = None) -> FacilityState | None:
        async def act() -> FacilityState | None:
            state = await self._real.load(facility_id, held_epoch)
            if state is not None:
                self._history.loaded(state)
            return state

        return await self._call(f"load {facility_id}", act)

    async def recent_readings(
        self, facility_id: str, sensor_nos: Sequence[int], readings_max: int
    ) -> list[StoredReading]:
        return await self._call(
            f"the past of {facility_id}", lambda: self._real.recent_readings(facility_id, sensor_nos, readings_max)
        )

    async def told_alarms(self, facility_id: str) -> list[ToldAlarm]:
        return await self._call(f"the alarms of {facility_id}", lambda: self._real.told_alarms(facility_id))

    async def standing_commands(self, facility_id: str) -> list[AlarmCommand]:
        return await self._call(f"the commands of {facility_id}", lambda: self._real.standing_commands(facility_id))

    async def commit(self, outcome: Outcome) -> CommitAnswer:
        async def act() -> CommitAnswer:
            answer = await self._real.commit(outcome if self._weather.poison is None else self._weather.poison(outcome))
            self._history.answered(outcome, answer)
            if self._weather.answers_to_lose and answer.verdict is Verdict.COMMITTED:
                self._weather.answers_to_lose -= 1
                self._history.counts["answers_lost"] += 1
                return CommitAnswer(Verdict.UNKNOWN, "the connection died during COMMIT")
            return answer

        numbers = "-".join(str(entry.commit_no) for entry in outcome.entries)
        kinds = ",".join(entry.kind.value for entry in outcome.entries)
        label = f"commit {outcome.facility_id} {numbers} ({kinds}) epoch {outcome.epoch}"
        return await self._call(label, act, group="commit")

    async def create_facility(self, setup: FacilitySetup) -> Creation:
        return await self._call(f"create {setup.facility_id}", lambda: self._real.create_facility(setup))

    async def park_unknown_facility(
        self, items: Sequence[ParkedItem], letters: Sequence[DeadLetter] = ()
    ) -> list[Parking]:
        return await self._call(f"park {len(items)}", lambda: self._real.park_unknown_facility(items, letters))

    async def parked(self, facility_id: str, sensor_id: str | None = None) -> list[StoredItem]:
        return await self._call(f"parked {facility_id}", lambda: self._real.parked(facility_id, sensor_id))

    async def reserve_sensor(self, sensor_id: str, facility_id: str) -> int | Unreserved:
        return await self._call(f"reserve {sensor_id}", lambda: self._real.reserve_sensor(sensor_id, facility_id))

    async def facility_ids(self) -> list[str]:
        return await self._call("facility ids", self._real.facility_ids)

    async def record_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        await self._call(f"dead letters {len(letters)}", lambda: self._real.record_dead_letters(letters))

    async def waiting_commands(self) -> list[AlarmCommand]:
        """Of this run; the database holds others too."""

        async def act() -> list[AlarmCommand]:
            found = [each for each in await self._real.waiting_commands() if each.facility_id in self._facilities]
            self._history.waiting = {command.command_id for command in found}
            self._history.asked |= self._history.waiting
            return found

        return await self._call("waiting commands", act)

    async def refuse_command(self, command_id: str, refusal: str) -> None:
        await self._call(f"refuse {command_id}", lambda: self._real.refuse_command(command_id, refusal))

    async def write_engine_status(self, component: str, state: Mapping[str, Any]) -> None:
        await self._call("status", lambda: self._real.write_engine_status(component, state))

    async def _call(self, label: str, act: Callable[[], Awaitable[T]], group: str | None = None) -> T:
        async def act_if_reachable() -> T:
            if self._process.now_us() < self._weather.away_until_us:
                self._history.counts["unreachable"] += 1
                raise StoreUnavailable("connection refused")
            return await act()

        return await self._process.scheduler.call(self._process, label, act_if_reachable, group=group)
