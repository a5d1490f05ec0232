"""What is new in the journal to the sockets for alerts and for alarms: each row once, in id order, never left out.

`LISTEN alarm_events` wakes; the journal is also read at every (re)connect and every 2 s. The newest rows are kept in
memory, encoded once; each socket holds only its cursor, and one that is further behind reads the journal itself.
Ids are drawn so that a smaller one never appears later, hence "after id" misses nothing.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic_core import to_json

from engine.clock import Clock
from engine.errors import StoreUnavailable
from web.database import Database
from web.edge.frames import text_frame
from web.wire.alarms import (
    ALARM_COLUMNS,
    EVENT_COLUMNS,
    OF_ALARMS,
    OF_EVENTS,
    STATE,
    JournalEntry,
    alarm_now,
    journal_entry,
)
from web.wire.times import contract_text

POLL_S = 2.0
PAGE_ROWS = 500
KEPT_ROWS = 2_000
SNAPSHOT_ROWS = 250

READ_NEWEST_ID = "SELECT coalesce(max(id), 0) FROM alarm_events"
READ_IS_HELD = "SELECT EXISTS (SELECT FROM alarm_events WHERE id = $1)"
# An alert of a facility as a whole shows its foremost contributor.
READ_AFTER = f"""
SELECT {EVENT_COLUMNS},
       coalesce(s.id, (SELECT foremost.id FROM sensors foremost
                        WHERE foremost.id = e.explanation #>> '{{contributors,0,sensor_id}}')) AS shown_at
  {OF_EVENTS}
 WHERE e.id > $1
 ORDER BY e.id
 LIMIT $2
"""  # noqa: S608 - words of this program
READ_PRESENT = f"""
SELECT {ALARM_COLUMNS} {OF_ALARMS}
 WHERE ($1 OR a.facility_id = ANY($2::text[])) AND {STATE} <> 'normal' AND a.last_event_id > $3
 ORDER BY a.last_event_id
 LIMIT $4
"""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class JournalRow:
    """A row as frames. `alert`: for the sockets that tell alerts only, if it is one."""

    id: int
    facility_id: str
    event: bytes
    alert: bytes | None


class AlarmFeed:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._kept: list[JournalRow] = []  # in id order, at most twice KEPT_ROWS
        self._read_up_to: int | None = None  # every row up to this id has been read
        self._kept_after = 0  # `_kept` holds every row after this id
        self._grown: set[asyncio.Event] = set()
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Follow the journal forever."""
        while True:
            try:
                async with self._database.own_connection() as connection:
                    await connection.add_listener("alarm_events", self._notified)
                    while not connection.is_closed():
                        await self._read_new()
                        await self._wait()
            except StoreUnavailable as error:
                log.warning("alarm_journal_unreachable", error=str(error))
                await self._clock.sleep(POLL_S)

    async def position(self) -> int:
        """The id after which a new client's rows begin; StoreUnavailable while the journal was never read."""
        newest: int = await self._database.value(READ_NEWEST_ID)
        return newest

    async def holds(self, row_id: int) -> bool:
        """Whether the journal is one that a client has seen this row of; 0 is before all rows."""
        return row_id == 0 or bool(await self._database.value(READ_IS_HELD, row_id))

    async def snapshot(self, after_id: int, facility_ids: list[str] | None, kind: str) -> AsyncGenerator[bytes, None]:
        """Frames of the alarms that are not normal, as of that row of the journal or a little later, and at least one.

        `facility_ids` None: of all. `kind`: why it is sent.
        """
        last_id, more = 0, True
        while more:
            wanted = READ_PRESENT, facility_ids is None, facility_ids or [], last_id, SNAPSHOT_ROWS + 1
            rows = await self._database.rows(*wanted)
            more = len(rows) > SNAPSHOT_ROWS
            alarms = [alarm_now(row) for row in rows[:SNAPSHOT_ROWS]]
            last_id = alarms[-1].last_event_id if alarms else last_id
            yield text_frame(to_json({"type": kind, "after_id": after_id, "alarms": alarms, "more": more}))

    async def alerts(self, after_id: int) -> AsyncGenerator[JournalRow, None]:
        """Every alert after that row, then every new one, without end."""
        async with aclosing(self.rows(after_id)) as rows:
            async for row in rows:
                if row.alert is not None:
                    yield row

    async def rows(self, after_id: int) -> AsyncGenerator[JournalRow, None]:
        """Every row after that one, then every new one, without end."""
        cursor = after_id
        with self._growing() as grown:
            while True:
                grown.clear()
                try:
                    async for row in self._known_after(cursor):
                        cursor = row.id
                        yield row
                except StoreUnavailable as error:
                    log.warning("alarm_journal_unreachable", after_id=cursor, error=str(error))
                    await self._clock.sleep(POLL_S)
                    continue
                await grown.wait()

    async def _known_after(self, cursor: int) -> AsyncGenerator[JournalRow, None]:
        while cursor < self._kept_after or self._read_up_to is None:
            page = await self._page(cursor)
            for row in page:
                cursor = row.id
                yield row
            if len(page) < PAGE_ROWS:
                break
        for row in self._kept[bisect_right(self._kept, cursor, key=lambda row: row.id) :]:
            yield row

    async def _read_new(self) -> None:
        if self._read_up_to is None:
            self._read_up_to = self._kept_after = await self.position()
            self._tell_grown()  # who came before us has read up to an earlier end and waits
        while True:
            page = await self._page(self._read_up_to)
            for row in page:
                if len(self._kept) == 2 * KEPT_ROWS:
                    self._kept_after = self._kept[KEPT_ROWS - 1].id
                    del self._kept[:KEPT_ROWS]
                self._kept.append(row)
                self._read_up_to = row.id
            if page:
                self._tell_grown()
            if len(page) < PAGE_ROWS:
                return

    def _tell_grown(self) -> None:
        for grown in self._grown:
            grown.set()

    async def _page(self, after_id: int) -> list[JournalRow]:
        return [_encoded(row) for row in await self._database.rows(READ_AFTER, after_id, PAGE_ROWS)]

    async def _wait(self) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), POLL_S)
        except TimeoutError:
            return  # nobody called: look anyway
        finally:
            self._wake.clear()

    def _notified(self, *_: object) -> None:
        self._wake.set()

    @contextmanager
    def _growing(self) -> Iterator[asyncio.Event]:
        grown = asyncio.Event()
        self._grown.add(grown)
        try:
            yield grown
        finally:
            self._grown.discard(grown)


def _encoded(row: Any) -> JournalRow:
    told = dict(row)
    shown_at = told.pop("shown_at")
    entry = journal_entry(told)
    event = text_frame(to_json({"type": "event", "after_id": entry.id, "event": entry}))
    alert = _alert(entry, shown_at) if entry.transition == "activated" else None
    return JournalRow(entry.id, entry.facility_id, event, alert)


def _alert(entry: JournalEntry, sensor_id: str | None) -> bytes:
    return text_frame(
        to_json(
            {
                "type": "alert",
                "alert_id": entry.id,
                "sensor_id": sensor_id,
                "facility_id": entry.facility_id,
                "message": entry.message,
                "created_at": contract_text(entry.recorded_at),
                "event_time": contract_text(entry.event_time),
                "alert_type": entry.type,
            }
        )
    )
