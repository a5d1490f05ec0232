"""How much there may be of what a sender on the bus makes: who counts it, and who is told that there is no more room.

The alarms are the installation's own: they stand in the journal without a facility and are seen by Admins. One is
raised by the first refusal, in its transaction, and ended by the leader when a tenth of the room is free again, so that
a flood is one alert and the next flood another.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.clock import US_PER_S, Clock
from engine.historian.journal import append_events
from engine.historian.port import Usage
from engine.historian.queries import SQL
from engine.model import REFUSED, AlarmEvent, AlertType, DeadLetter
from engine.settings import Settings

INSTALLATION: Final = ""
"""The facility that the installation's own alarms stand under: none has this id."""
COUNT_AGAIN_S: Final = 5.0
COUNT_FULL_AGAIN_S: Final = 1.0
FACILITIES_COUNTED_MAX: Final = 10_000
LETTERS_AT_ONCE: Final = 10_000
DEAD_LETTERS: Final = "dead_letters_max"
WHAT: Final = {
    "facilities_max": "facilities",
    "sensors_per_facility_max": "sensors of a facility",
    "sensors_max": "sensors",
    "parked_per_facility_max": "parked rows of a facility",
    "parked_max": "parked rows",
    DEAD_LETTERS: "dead letters",
}
"""By setting, what it bounds."""
PER_FACILITY: Final = frozenset({"sensors_per_facility_max", "parked_per_facility_max"})
_DAY_US = 86_400 * US_PER_S


class Tally:
    """How many rows a statement counts, without asking each time.

    What was added since the last count is known by its keys: the same again, after a rollback, takes no second place.
    What other processes add is not seen until the next count.
    """

    def __init__(self, clock: Clock, sql: str, most: int, *arguments: object) -> None:
        self._clock = clock
        self._sql = sql
        self._most = most
        self._arguments = arguments
        self._counted = 0
        self._counted_at_s: float | None = None
        self._added: set[object] = set()

    async def room(self, connection: Any) -> int:
        """How many more there may be."""
        now_s = self._clock.monotonic_s()
        again_s = COUNT_AGAIN_S if self._left() else COUNT_FULL_AGAIN_S
        if self._counted_at_s is None or now_s - self._counted_at_s >= again_s:
            self._added.clear()
            self._counted_at_s = now_s
            self._counted = int(await connection.fetchval(self._sql, *self._arguments))
        return self._left()

    def add(self, keys: Iterable[object]) -> None:
        """These are on their way."""
        self._added.update(keys)

    def _left(self) -> int:
        return max(0, self._most - self._counted - len(self._added))


class Tallies:
    """What one historian counts."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self.sensors = Tally(clock, SQL["sensors_count"], settings.sensors_max)
        self.parked = Tally(clock, SQL["parked_count"], settings.parked_max)
        self._parked_of: dict[str, Tally] = {}

    def parked_of(self, facility_id: str) -> Tally:
        """Parked rows of one facility."""
        if len(self._parked_of) >= FACILITIES_COUNTED_MAX:
            self._parked_of.clear()
        most = self._settings.parked_per_facility_max
        made = Tally(self._clock, SQL["parked_count_of"], most, facility_id)
        return self._parked_of.setdefault(facility_id, made)

    def most(self, limit: str) -> int:
        """What the setting says."""
        return int(getattr(self._settings, limit))


@dataclass(frozen=True, slots=True)
class _Bound:
    """One maximum. `subject`: the facility that it is of, if it is one per facility."""

    limit: str
    subject: str
    most: int

    @property
    def key(self) -> str:
        return f"{self.limit}:{self.subject}" if self.subject else self.limit

    @property
    def what(self) -> str:
        return WHAT[self.limit].replace("a facility", f"facility {self.subject}")

    def event(self, transition: str, message: str, now_us: int) -> tuple[str, AlarmEvent]:
        said = {"rule": self.limit, "facility_id": self.subject} if self.subject else {"rule": self.limit}
        return INSTALLATION, AlarmEvent(
            alarm_key=self.key,
            sensor_no=None,
            rule=self.limit,
            transition=transition,
            event_time_us=now_us,
            rule_version=1,
            priority="high",
            alert_type=AlertType.SYSTEM,
            value=None,
            limit=float(self.most),
            score=None,
            message=message,
            explanation_json=json.dumps(said),
        )


async def tell_refusals(connection: Any, letters: Sequence[DeadLetter], tallies: Tallies, now_us: int) -> None:
    """Raise the alarm of each limit that these letters were refused by, unless it stands."""
    found = {
        (letter.reason, letter.facility_id if letter.reason in PER_FACILITY else "")
        for letter in letters
        if letter.source == REFUSED and letter.reason in WHAT
    }
    for limit, subject in sorted(found):
        await _raise(connection, _Bound(limit, subject, tallies.most(limit)), now_us)


async def review(connection: Any, tallies: Tallies, now_us: int) -> list[Usage]:
    """Inside the caller's transaction; see HousekeepingPort.review_limits."""
    row = await connection.fetchrow(SQL["limits_used"])
    usages = [Usage(limit, row[limit], tallies.most(limit), row.get(f"{limit}_subject") or "") for limit in WHAT]
    used = {usage.limit: usage.used for usage in usages}
    for standing in await connection.fetch(SQL["limit_alarms"], INSTALLATION):
        limit = standing["rule"]
        if limit not in WHAT:  # of a program that knows another maximum
            continue
        bound = _Bound(limit, standing["alarm_key"].partition(":")[2], tallies.most(limit))
        if limit in PER_FACILITY:
            sql = SQL["parked_count_of"] if limit.startswith("parked") else SQL["sensors_count_of"]
            used[limit] = int(await connection.fetchval(sql, bound.subject))
        if used[limit] * 10 <= bound.most * 9:
            message = f"Back to normal: there is room for {bound.what} again"
            await append_events(connection, [bound.event("returned", message, now_us)], now_us)
    return usages


async def bound_letters(connection: Any, settings: Settings, now_us: int) -> dict[str, int]:
    """See HousekeepingPort.bound_dead_letters. In pieces, so that no commit waits long."""
    gone = {DEAD_LETTERS: 0, "dead_letters_days_max": 0}
    oldest_us = now_us - round(settings.dead_letters_days_max * _DAY_US)
    while piece := _deleted(await connection.execute(SQL["dead_letters_expire"], oldest_us, LETTERS_AT_ONCE)):
        gone["dead_letters_days_max"] += piece
    while _deleted(await connection.execute(SQL["redrives_expire"], oldest_us, LETTERS_AT_ONCE)):
        pass
    while (beyond := await connection.fetchval(SQL["dead_letters_count"]) - settings.dead_letters_max) > 0:
        gone[DEAD_LETTERS] += _deleted(await connection.execute(SQL["dead_letters_trim"], min(beyond, LETTERS_AT_ONCE)))
    if gone[DEAD_LETTERS]:
        async with connection.transaction():
            await _raise(connection, _Bound(DEAD_LETTERS, "", settings.dead_letters_max), now_us)
    return gone


async def _raise(connection: Any, bound: _Bound, now_us: int) -> None:
    """Asked twice: without the journal's lock, which holds up whoever else has alarms, and under it."""
    if await connection.fetchval(SQL["limit_alarm_stands"], INSTALLATION, bound.key):
        return
    await connection.execute(SQL["journal_lock"])
    if await connection.fetchval(SQL["limit_alarm_stands"], INSTALLATION, bound.key):
        return
    fate = "the oldest are removed" if bound.limit == DEAD_LETTERS else f"more are refused (reason {bound.limit})"
    message = f"There are {bound.most} {bound.what}, which is the most there may be ({bound.limit.upper()}): {fate}"
    await append_events(connection, [bound.event("activated", message, now_us)], now_us)


def _deleted(status: str) -> int:
    return int(status.rpartition(" ")[2])
