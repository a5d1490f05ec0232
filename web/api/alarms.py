"""Alarms as they are now, and the journal of what happened to them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Literal

from pydantic import BaseModel, Field
from pydantic_core import to_json

from web.api.histories import Beginning, End
from web.api.journal_search import SearchQuery, is_last_looked_at, search_of
from web.auth.guard import Need
from web.contract.alarm_shapes import AlarmCounts, AlarmWithHistory, Journal
from web.contract.declare import Noun
from web.contract.shapes import Paging
from web.errors import NotFound
from web.serving.call import Call
from web.serving.lists import AFTER_ALL_IDS, Part, Source, each, listed, next_link
from web.serving.rows import PIECE_ROWS, SLICE_ROWS, Rows
from web.wire.alarms import (
    ALARM_COLUMNS,
    EVENT_COLUMNS,
    OF_ALARMS,
    OF_EVENTS,
    STATE,
    AlarmNow,
    Priority,
    State,
    Suppression,
    alarm_now,
    journal_entry,
)
from web.wire.csv import Table
from web.wire.times import contract_text

noun = Noun("alarms", "What is wrong now, and what was done about it")

HISTORY_ROWS = 100
ALARM_TABLE = Table(
    (
        "id",
        "facility_id",
        "facility_name",
        "sensor_id",
        "sensor_name",
        "rule",
        "state",
        "priority",
        "since",
        "message",
        "value",
        "limit",
        "acknowledged_by",
        "suppressed_by",
        "suppressed_until",
        "suppression_reason",
        "assignee",
    )
)
JOURNAL_TABLE = Table(
    (
        "id",
        "event_time",
        "recorded_at",
        "facility_id",
        "alarm_id",
        "sensor_id",
        "rule",
        "transition",
        "priority",
        "value",
        "limit",
        "message",
        "actor",
        "actor_name",
        "reason",
    )
)
_MAY_VIEW = "($1 OR {}.facility_id IN (SELECT facility_id FROM facility_rights WHERE principal = $2))"
# Without a state asked for: all that is not normal.
_WANTED = f"""
 WHERE {_MAY_VIEW.format("a")}
   AND ($3::text IS NULL OR a.facility_id = $3)
   AND ($4::text IS NULL OR s.id = $4)
   AND CASE WHEN $5::text IS NULL THEN {STATE} <> 'normal' ELSE {STATE} = $5 END
   AND ($6::text IS NULL OR a.priority = $6)
   AND ($7::text IS NULL OR a.suppression = $7)
"""
LIST_ALARMS = (
    f"SELECT {ALARM_COLUMNS} {OF_ALARMS} {_WANTED}"
    " AND a.last_event_id < $8 ORDER BY a.last_event_id DESC OFFSET $9 LIMIT $10"
)
ALARMS = Source(LIST_ALARMS, f"SELECT count(*) {OF_ALARMS} {_WANTED}", ("last_event_id",), (AFTER_ALL_IDS,))
COUNT_STATES = f"""
SELECT {STATE} AS state, count(*) AS alarms, count(*) FILTER (WHERE a.active) AS active
  FROM alarms a
 WHERE {_MAY_VIEW.format("a")} AND ($3::text IS NULL OR a.facility_id = $3)
 GROUP BY 1
"""  # noqa: S608
READ_ALARM = f"SELECT {ALARM_COLUMNS} {OF_ALARMS} WHERE a.facility_id = $1 AND a.alarm_key = $2"
READ_HISTORY = (
    f"SELECT {EVENT_COLUMNS} {OF_EVENTS} WHERE e.facility_id = $1 AND e.alarm_key = $2 ORDER BY e.id DESC LIMIT $3"
)
_OF_JOURNAL = f"""
 WHERE {_MAY_VIEW.format("e")}
   AND ($3::text IS NULL OR e.facility_id = $3)
   AND ($4::text IS NULL OR s.id = $4)
   AND ($5::text IS NULL OR e.alarm_key = $5)
   AND ($6::timestamptz IS NULL OR e.event_time >= $6)
   AND ($7::timestamptz IS NULL OR e.event_time <= $7)
   AND e.id {{beyond}} $8
"""
READ_JOURNAL = f"SELECT {EVENT_COLUMNS} {OF_EVENTS} {_OF_JOURNAL} ORDER BY e.id {{order}} LIMIT $9"


class AlarmsQuery(Paging):
    facility_id: str | None = None
    sensor_id: str | None = None
    alarm_state: State | None = Field(None, description="without: every alarm that is not normal")
    priority: Priority | None = None
    suppression: Suppression | None = None


class CountsQuery(BaseModel):
    facility_id: str | None = None


class AlarmQuery(BaseModel):
    facility_id: str = Field(min_length=1)
    limit: int = Field(HISTORY_ROWS, ge=0, le=SLICE_ROWS, description="of the history; `/journal` has all of it")


class JournalQuery(SearchQuery):
    """By event time from `start_date` to `end_date`; without a zone they are UTC, and a bare day is meant whole."""

    facility_id: str | None = None
    sensor_id: str | None = None
    alarm_id: str | None = None
    start_date: Beginning | None = None
    end_date: End | None = None
    order: Literal["asc", "desc"] = Field("asc", description="of the ids; `desc`: the newest first")
    after: int | None = Field(
        None, ge=0, le=AFTER_ALL_IDS, description="go on after this id: `next` of the part before, in the same order"
    )
    limit: int = Field(100, ge=1, le=SLICE_ROWS)


@noun.get("/alarms", Need.VIEW, list[AlarmNow], statuses=(401, 403, 404, 422), table=ALARM_TABLE, is_list=True)
async def list_alarms(call: Call, query: AlarmsQuery) -> Rows:
    """What is not normal, in one facility or in all that the caller may view; what changed last comes first. Those that
    are shelved, suppressed by design or out of service are among them.
    """
    scope = (
        call.caller.is_admin,
        call.caller.principal,
        query.facility_id,
        query.sensor_id,
        query.alarm_state,
        query.priority,
        query.suppression,
    )
    return await listed(call, ALARMS, scope, Part.of(call, query), each(alarm_now))


@noun.get("/alarm-counts", Need.VIEW, AlarmCounts, statuses=(401, 403, 404, 422))
async def count_alarms(call: Call, query: CountsQuery) -> AlarmCounts:
    """How many are in each state: for the line that everybody sees."""
    rows = await call.database.rows(COUNT_STATES, call.caller.is_admin, call.caller.principal, query.facility_id)
    counts = {row["state"]: row["alarms"] for row in rows}
    states = {name: counts.get(name, 0) for name in AlarmCounts.model_fields if name != "active"}
    return AlarmCounts(active=sum(row["active"] for row in rows), **states)


@noun.get("/alarms/{alarm_id}", Need.VIEW, AlarmWithHistory, statuses=(401, 403, 404, 422))
async def read_alarm(call: Call, alarm_id: str, query: AlarmQuery) -> AlarmWithHistory:
    """One alarm of a facility, and what happened to it. One that was never anything but normal is not found."""
    async with call.database.transaction() as connection:
        alarm = await present_alarm(connection, query.facility_id, alarm_id)
        if alarm is None:
            raise NotFound("Alarm")
        rows = await connection.fetch(READ_HISTORY, query.facility_id, alarm_id, query.limit)
    return AlarmWithHistory(alarm=alarm, history=[journal_entry(row) for row in rows])


@noun.get("/journal", Need.VIEW, Journal, statuses=(401, 403, 404, 422), table=JOURNAL_TABLE, has_next=True)
async def read_journal(call: Call, query: JournalQuery) -> Rows:
    """Everything that happened to alarms, in the order of its ids, which is that of its storing. Whoever goes on after
    the last id they have seen misses nothing.
    """
    is_back = query.order == "desc"
    chosen = (
        call.caller.is_admin,
        call.caller.principal,
        query.facility_id,
        query.sensor_id,
        query.alarm_id,
        query.start_date,
        query.end_date,
        query.after if query.after is not None else AFTER_ALL_IDS if is_back else 0,
    )
    order, beyond = query.order.upper(), "<" if is_back else ">"
    if query.is_search:
        statement = search_of(_OF_JOURNAL.format(beyond=beyond), order)
        found = await call.database.rows(statement, *chosen, *query.searched, query.limit + 1)
    else:
        statement = READ_JOURNAL.format(order=order, beyond=beyond)
        found = await call.database.rows(statement, *chosen, query.limit + 1)
    return _journal(found, query)


def _journal(found: list[Any], query: JournalQuery) -> Rows:
    """One row more than is asked for says that there is more; of a search so does one that it ended with."""
    rows = found[: query.limit]
    following = rows[-1]["id"] if len(found) > len(rows) else None
    tail = b'],"next":%b}' % to_json(following)
    if query.is_search and following is None and rows and is_last_looked_at(rows[-1]):
        last = rows[-1]
        rows = [row for row in rows if row["is_found"]]
        following = last["id"]
        tail = b'],"next":%b,"looked_to":"%b"}' % (to_json(following), contract_text(last["event_time"]).encode())
    return Rows(
        weight=len(rows),
        pieces=_pieces(rows),
        head=b'{"journal":[',
        tail=lambda: tail,
        headers={} if following is None else {"Link": next_link(frozenset({"after"}), [("after", following)])},
    )


async def present_alarm(connection: Any, facility_id: str, alarm_id: str) -> AlarmNow | None:
    """None: it was never anything but normal, or there is none."""
    if "\x00" in alarm_id:  # PostgreSQL has no such text
        return None
    row = await connection.fetchrow(READ_ALARM, facility_id, alarm_id)
    return None if row is None else alarm_now(row)


async def _pieces(rows: list[Any]) -> AsyncIterator[bytes]:
    for start in range(0, len(rows), PIECE_ROWS):
        yield to_json([journal_entry(row) for row in rows[start : start + PIECE_ROWS]])[1:-1]
