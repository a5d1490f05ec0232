"""What the engine asks of the store, without saying which: `facility.py` and the readers code against these Protocols.

`engine.historian.historian.Historian` is the real one (PostgreSQL). Every method may raise StoreUnavailable: nothing
was written, and trying the same call again is right. Those that write, except `commit`, may raise CommitRejected: the
content can never be stored (a NUL in a text).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from engine.historian.maintenance import Told
from engine.model import (
    AlarmCommand,
    CommitAnswer,
    DeadLetter,
    FacilitySetup,
    FacilityState,
    Outcome,
    ParkedItem,
    Redrive,
    Subject,
)


@dataclass(frozen=True, slots=True)
class StoredItem:
    """A parked row with the id under which `Outcome.unparked_ids` takes it out again."""

    id: int
    item: ParkedItem


class Creation(StrEnum):
    """What became of a setup.

    MADE      there is a new facility
    KNOWN     it was there before; nothing changes
    REVIVED   it was retired, before the moment of the setup, and is not any more
    RETIRED   it was retired since; nothing changes
    REMOVED   it was removed since; nothing is made
    NO_ROOM   there are `facilities_max`
    """

    MADE = "made"
    KNOWN = "known"
    REVIVED = "revived"
    RETIRED = "retired_facility"
    REMOVED = "removed_facility"
    NO_ROOM = "facilities_max"


class Parking(StrEnum):
    """What became of input for a facility that a reader does not know.

    PARKED    it waits for its facility
    KNOWN     its facility exists by now: route it again
    RETIRED   it has no effect: its facility is retired
    REMOVED   it has no effect: its facility was removed
    NO_ROOM…  it is a dead letter with this reason: there are as many parked rows as there may be
    """

    PARKED = "parked"
    KNOWN = "known"
    RETIRED = "retired_facility"
    REMOVED = "removed_facility"
    NO_ROOM = "parked_max"
    NO_ROOM_IN_FACILITY = "parked_per_facility_max"


class Unreserved(StrEnum):
    """Why a sensor id gets no number.

    ELSEWHERE  it belongs to another facility
    NO_ROOM    there are `sensors_max`
    """

    ELSEWHERE = "sensor_of_another_facility"
    NO_ROOM = "sensors_max"


@dataclass(frozen=True, slots=True)
class Usage:
    """How much there is of what the setting `limit` bounds. `subject`: the fullest facility, of one per facility."""

    limit: str
    used: int
    most: int
    subject: str = ""


@dataclass(frozen=True, slots=True)
class CameDue:
    """Planned rules whose moment has come. `refusal`: why they do not hold, or None; `subject`: a sensor or a type."""

    planned_id: int
    facility_id: str
    subject: str
    refusal: str | None


FACILITY_RETIRED = "the facility is retired"
StoredReading = tuple[int, int, str]
"""sensor_no, tracked_at_us, data as it was received."""
ToldAlarm = tuple[int | None, str, bool, bool, int]
"""sensor_no (None: of the facility as a whole), rule, active, acknowledged, since_us."""


class HistorianPort(Protocol):
    """Loads facilities, commits their outcomes, keeps what has no facility yet."""

    async def load(self, facility_id: str, held_epoch: int | None = None) -> FacilityState | None:
        """The facility as committed, under a new epoch that fences every earlier incarnation. None: no such facility.

        The epoch is taken before anything is read; that waits for commits in flight, a bounded time. `held_epoch`: only
        the owner under that epoch may load; raises CommitFenced when it is over.

        A sensor's status that is stamped further ahead than `future_s_max` is stamped anew, as of this load.
        """

    async def recent_readings(
        self, facility_id: str, sensor_nos: Sequence[int], readings_max: int
    ) -> list[StoredReading]:
        """The newest `readings_max` readings of each of these sensors, sensor by sensor, oldest first."""

    async def told_alarms(self, facility_id: str) -> list[ToldAlarm]:
        """Every alarm in the facility's journal as its last transition left it."""

    async def standing_commands(self, facility_id: str) -> list[AlarmCommand]:
        """What people asked of its alarms and still holds: who keeps what from whom, and who looks after it."""

    async def commit(self, outcome: Outcome) -> CommitAnswer:
        """Write all of `outcome` or nothing, together with whatever else arrives in the same few milliseconds.

        COMMITTED  durable. `not_stored` holds the readings that were in the database before this commit, and those of
                   before the retention, which are dead letters instead (`set_aside`).
        FENCED     a newer incarnation has loaded the facility; this one must stop. Nothing written.
        REJECTED   PostgreSQL refuses this content and would again. Nothing written; other facilities unharmed.
        UNKNOWN    load again to learn what is so: the connection died during COMMIT, or (reason starts with
                   `out_of_sequence`, nothing written) the commit_no does not follow the last one in the log, the
                   checkpoint is not of the state after this outcome, or a parked row that it applies has gone.

        Raises StoreUnavailable when nothing was written and the same outcome may be sent again.
        """

    async def create_facility(self, setup: FacilitySetup) -> Creation:
        """Add a facility, or let a retired one be in use again."""

    async def park_unknown_facility(
        self, items: Sequence[ParkedItem], letters: Sequence[DeadLetter] = ()
    ) -> list[Parking]:
        """Park input of facilities that do not exist.

        Readings of one that is retired or was removed have no effect, nor has what is dated up to then; one dead letter
        a sensor says so. Activations and deactivations that are dated later may have overtaken a new setup: they wait.

        `letters` are kept with what is parked of their facility, or not yet. Takes the same lock on the facility id as
        `create_facility`, so that none can slip between the two.
        """

    async def parked(self, facility_id: str, sensor_id: str | None = None) -> list[StoredItem]:
        """Parked rows of a facility or of one sensor, oldest event time first."""

    async def reserve_sensor(self, sensor_id: str, facility_id: str) -> int | Unreserved:
        """The sensor's number if it exists, else a new one for `EntityChange(insert_sensor)`."""

    async def facility_ids(self) -> list[str]:
        """Every facility that is to be loaded, in order of id: not those that are retired and closed."""

    async def record_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep what is dead-lettered where people can read it; what is there already adds nothing.

        The first that is refused for want of room raises an alarm, also where it comes with a commit.
        """

    async def write_engine_status(self, component: str, state: Mapping[str, Any]) -> None:
        """Replace the JSON state of one component in `engine_status`."""


class RedrivesPort(Protocol):
    """What was set aside and Admins sent through the engine again. Each method may raise StoreUnavailable."""

    async def waiting_redrives(self, kind: str, under_way: Sequence[int], at_most: int) -> list[Redrive]:
        """Those of a kind of queue, oldest first, without the ids that are under way."""

    async def end_redrive(self, row_id: int, subject: Subject | None) -> None:
        """It was taken in. What of one row (`subject`) is neither stored nor parked nor a dead letter again is put
        back, so that nothing is lost; what was ended already stays so.
        """

    async def refuse_redrive(self, row_id: int, reason: str, detail: str) -> None:
        """Its cause still stands: it is the one dead letter again that it was, with what is said of it now."""


class LeadershipPort(Protocol):
    """The right to supervise, held as long as its own database connection lives."""

    @property
    def held(self) -> bool:
        """False once the connection is gone: somebody else may lead."""

    async def release(self) -> None:
        """Let somebody else lead."""


class HousekeepingPort(Protocol):
    """What the leader does now and then. Each is safe beside running commits and beside another caller of itself."""

    async def try_lead(self) -> LeadershipPort | None:
        """Become the one leader of this database; None when there is one. StoreUnavailable while only an
        abandoned session of our own keeps us from it.
        """

    async def maintain(self, told: Told) -> None:
        """Partitions made ahead, strays moved into days of their own, what is older than the retention removed; each
        step is told when it is done.
        """

    async def stray_readings(self, at_most: int) -> int:
        """How many readings lie in the default partition though they should have a day of their own."""

    async def expire_parked(self) -> int:
        """Turn parked rows older than `parked_days_max` into dead letters; how many."""

    async def move_refused(self) -> int:
        """Turn the refused rows that earlier versions parked into dead letters; how many."""

    async def bound_dead_letters(self) -> Mapping[str, int]:
        """Remove the oldest of too many, and those that are too old; how many, by setting. What became of redrives is
        forgotten at the same age.
        """

    async def review_limits(self) -> list[Usage]:
        """How much there is of what is bounded; ends the alarms of limits that have room again."""

    async def purge_removed(self) -> int:
        """Delete some of the data of what was removed, in small pieces; how many rows, 0 when nothing is left."""

    async def waiting_commands(self) -> list[AlarmCommand]:
        """What people asked of alarms and nobody has decided, oldest first; refuses those of retired facilities."""

    async def refuse_command(self, command_id: str, refusal: str) -> None:
        """Decide one that waits; what was decided already stays so."""

    async def apply_planned_rules(self) -> list[CameDue]:
        """Let planned rules hold whose moment has come, each once and in the order of their moments. Their facilities
        are told of as after any other change.
        """

    async def sweep(self) -> list[str]:
        """Facilities that have parked rows whose parent exists: their actors should load again or apply them."""

    async def drained_nodes(self) -> list[str]:
        """Ids of the nodes that everything shall leave."""

    async def forget_drained(self, living: Sequence[str]) -> None:
        """Forget the requests of nodes that have gone; a node that comes back has another id."""

    async def rollup_pass(self) -> int:
        """Recompute the rollups of some minutes in which readings were stored; marks handled, 0 when all are."""
