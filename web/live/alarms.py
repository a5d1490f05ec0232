"""New alerts from the journal to the notification sockets: each once, in id order, never left out.

`LISTEN alarm_events` wakes; the journal is also read at every (re)connect and every 2 s. The newest alerts are kept
in memory, encoded once; each socket holds only its cursor, and one that is further behind reads the journal itself.
Ids are drawn so that a smaller one never appears later, hence "after id" misses nothing.
"""

from __future__ import annotations

import asyncio
import json
from bisect import bisect_right
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from engine.clock import Clock
from engine.errors import StoreUnavailable
from web.database import Database
from web.edge.frames import text_frame
from web.wire.times import contract_text

POLL_S = 2.0
PAGE_ROWS = 500
KEPT_ALERTS = 2_000

READ_NEWEST_ID = "SELECT coalesce(max(id), 0) FROM alarm_events"
READ_ALERTS_AFTER = """
SELECT e.id, e.facility_id, s.id AS sensor_id, e.message, e.recorded_at, e.alert_type
  FROM alarm_events e
  LEFT JOIN sensors s ON s.sensor_no = coalesce(e.sensor_no,
       (SELECT foremost.sensor_no FROM sensors foremost
         WHERE foremost.id = e.explanation #>> '{contributors,0,sensor_id}'))
 WHERE e.id > $1 AND e.transition = 'activated'
 ORDER BY e.id
 LIMIT $2
"""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class JournalAlert:
    id: int
    facility_id: str
    frame: bytes


class AlarmFeed:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._kept: list[JournalAlert] = []  # in id order, at most twice KEPT_ALERTS
        self._read_up_to: int | None = None  # every alert up to this id has been read
        self._kept_after = 0  # `_kept` holds every alert after this id
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
        """The id after which a new client's alerts begin; StoreUnavailable while the journal was never read."""
        newest: int = await self._database.value(READ_NEWEST_ID)
        return newest

    async def alerts(self, after_id: int) -> AsyncGenerator[JournalAlert, None]:
        """Every alert after `after_id`, then every new one, without end."""
        cursor = after_id
        with self._growing() as grown:
            while True:
                grown.clear()
                try:
                    async for alert in self._known_after(cursor):
                        cursor = alert.id
                        yield alert
                except StoreUnavailable as error:
                    log.warning("alarm_journal_unreachable", after_id=cursor, error=str(error))
                    await self._clock.sleep(POLL_S)
                    continue
                await grown.wait()

    async def _known_after(self, cursor: int) -> AsyncGenerator[JournalAlert, None]:
        while cursor < self._kept_after or self._read_up_to is None:
            page = await self._page(cursor)
            for alert in page:
                cursor = alert.id
                yield alert
            if len(page) < PAGE_ROWS:
                break
        for alert in self._kept[bisect_right(self._kept, cursor, key=lambda alert: alert.id) :]:
            yield alert

    async def _read_new(self) -> None:
        if self._read_up_to is None:
            self._read_up_to = self._kept_after = await self.position()
            self._tell_grown()  # who came before us has read up to an earlier end and waits
        while True:
            page = await self._page(self._read_up_to)
            for alert in page:
                if len(self._kept) == 2 * KEPT_ALERTS:
                    self._kept_after = self._kept[KEPT_ALERTS - 1].id
                    del self._kept[:KEPT_ALERTS]
                self._kept.append(alert)
                self._read_up_to = alert.id
            if page:
                self._tell_grown()
            if len(page) < PAGE_ROWS:
                return

    def _tell_grown(self) -> None:
        for grown in self._grown:
            grown.set()

    async def _page(self, after_id: int) -> list[JournalAlert]:
        return [_encoded(row) for row in await self._database.rows(READ_ALERTS_AFTER, after_id, PAGE_ROWS)]

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


def _encoded(row: Any) -> JournalAlert:
    return JournalAlert(
        row["id"],
        row["facility_id"],
        text_frame(
            json.dumps(
                {
                    "type": "alert",
                    "alert_id": row["id"],
                    "sensor_id": row["sensor_id"],
                    "facility_id": row["facility_id"],
                    "message": row["message"],
                    "created_at": contract_text(row["recorded_at"]),
                    "alert_type": row["alert_type"],
                }
            ).encode()
        ),
    )
