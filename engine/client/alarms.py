"""Alarms: what is not normal now, what happened, and what to do about it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime

from engine.client.alarm_shapes import (
    Alarm,
    AlarmCounts,
    AlarmFrame,
    AlarmWithHistory,
    Commanded,
    Incident,
    Incidents,
    IncidentWithMembers,
    JournalEntry,
    JournalPart,
)
from engine.client.asking import Asking, Part, quoted
from engine.client.figure_shapes import AlarmFigures, Figures
from engine.client.history import spelled
from engine.client.proposal_shapes import AlarmProposals
from engine.client.reports import of_range
from engine.client.streams import Streams, TellAway

PAGE_ROWS = 500
WAIT_S = 5.0
INCIDENTS = 50


class Alarms:
    """Of one client, as `gis.alarms`. To look needs View, to command Edit.

    A command is one however often it is sent: it carries an id, and is sent again when an answer is lost. It is
    `Refused` when it cannot be carried out. `wait_s`: how long to wait until it is in force, at most 30 and less than
    the client's timeout.
    """

    def __init__(self, client: Asking, streams: Streams) -> None:
        self._client = client
        self._streams = streams

    # what is so

    async def now(
        self,
        *,
        facility_id: str | None = None,
        sensor_id: str | None = None,
        state: str | None = None,
        priority: str | None = None,
        suppression: str | None = None,
        skip: int = 0,
        limit: int = PAGE_ROWS,
    ) -> Part[Alarm]:
        """What is not normal, or in that `state`; what changed last comes first."""
        wanted = {
            "facility_id": facility_id,
            "sensor_id": sensor_id,
            "alarm_state": state,
            "priority": priority,
            "suppression": suppression,
        }
        query = {name: value for name, value in wanted.items() if value is not None}
        return await self._client.part(Alarm, "/alarms", **query, skip=skip, limit=limit)

    async def counts(self, facility_id: str | None = None) -> AlarmCounts:
        """How many are in each state."""
        query = {} if facility_id is None else {"facility_id": facility_id}
        return await self._client.get(AlarmCounts, "/alarm-counts", **query)

    async def alarm(self, facility_id: str, alarm_id: str, *, history: int = 100) -> AlarmWithHistory:
        """NotFound for one that was never anything but normal."""
        path = f"/alarms/{quoted(alarm_id)}"
        return await self._client.get(AlarmWithHistory, path, facility_id=facility_id, limit=history)

    async def incidents(
        self,
        *,
        facility_id: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int = INCIDENTS,
    ) -> list[Incident]:
        """Alarms that began together, the newest first; by when they began, without `start` in the last seven days."""
        wanted = {
            "facility_id": facility_id,
            "start_date": None if start is None else spelled(start),
            "end_date": None if end is None else spelled(end),
        }
        query = {name: value for name, value in wanted.items() if value is not None}
        return (await self._client.get(Incidents, "/incidents", **query, limit=limit)).incidents

    async def incident(self, facility_id: str, incident_id: int) -> IncidentWithMembers:
        """NotFound where no incident began with that row of the journal."""
        return await self._client.get(IncidentWithMembers, f"/incidents/{incident_id}", facility_id=facility_id)

    async def figures(
        self,
        *,
        facility_ids: Sequence[str] = (),
        window: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> list[Figures]:
        """How good the alarms are, of those facilities together or of all that we may view: of a range from `start` to
        `end` (now, without one), of a `window` up to now (10m, 24h, 30d), or without either of all three windows.
        """
        wanted = {
            "window": window,
            "start_date": None if start is None else spelled(start),
            "end_date": None if end is None else spelled(end),
        }
        query = {name: value for name, value in wanted.items() if value is not None}
        return (await self._client.get(AlarmFigures, "/alarm-figures", **query, facility_id=list(facility_ids))).figures

    async def proposals(
        self,
        *,
        facility_ids: Sequence[str] = (),
        sensor_ids: Sequence[str] = (),
        start: datetime | None = None,
        end: datetime | None = None,
        skip: int = 0,
        limit: int = 1,
    ) -> AlarmProposals:
        """What would bring the worst alarms to their targets, the worst first; of a range of at most 31 days, or of the
        last seven. Each takes up to some seconds, so ask for few at once; `skip` those that are known.
        """
        query = {**of_range(facility_ids, start, end), "sensor_id": list(sensor_ids), "skip": skip, "limit": limit}
        return await self._client.get(AlarmProposals, "/alarm-proposals", **query)

    async def journal(
        self,
        *,
        after: int = 0,
        facility_id: str | None = None,
        sensor_id: str | None = None,
        alarm_id: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        rules: Sequence[str] = (),
        transitions: Sequence[str] = (),
        priorities: Sequence[str] = (),
        verdicts: Sequence[str] = (),
        actor: str | None = None,
        text: str | None = None,
    ) -> AsyncGenerator[JournalEntry, None]:
        """Every row after that id, in order, up to now; `start` and `end` are of the events, with a zone.

        Of those, any of the `rules`, of the `transitions` and so on; with a part of who did it as `actor`, and every
        word of `text` in what was said.
        """
        wanted = {
            "facility_id": facility_id,
            "sensor_id": sensor_id,
            "alarm_id": alarm_id,
            "start_date": None if start is None else spelled(start),
            "end_date": None if end is None else spelled(end),
            "rule": list(rules),
            "transition": list(transitions),
            "priority": list(priorities),
            "verdict": list(verdicts),
            "actor": actor,
            "text": text,
        }
        query = {name: value for name, value in wanted.items() if value is not None}
        cursor: int | None = after
        while cursor is not None:
            part = await self._client.get(JournalPart, "/journal", **query, after=cursor, limit=PAGE_ROWS)
            for entry in part.journal:
                yield entry
            cursor = part.next

    def live(self, *, after: int | None = None, on_away: TellAway | None = None) -> AsyncGenerator[AlarmFrame, None]:
        """Each row of the journal once and in order, also over lost connections and restarts of the server.

        First what is not normal now; with `after`, the `after_id` of a frame of an earlier run, what happened since.
        """
        return self._streams.alarms(after, on_away)

    # commands

    async def acknowledge(
        self, facility_id: str, alarm_id: str, reason: str = "", *, wait_s: float = WAIT_S
    ) -> Commanded:
        """Somebody has seen it. It does not end it."""
        return await self.command(facility_id, alarm_id, "acknowledge", reason=reason, wait_s=wait_s)

    async def comment(self, facility_id: str, alarm_id: str, text: str, *, wait_s: float = WAIT_S) -> Commanded:
        """A line in its history."""
        return await self.command(facility_id, alarm_id, "comment", reason=text, wait_s=wait_s)

    async def assign(self, facility_id: str, alarm_id: str, assignee: str, *, wait_s: float = WAIT_S) -> Commanded:
        """To somebody, by whatever name; to nobody with an empty one."""
        return await self.command(facility_id, alarm_id, "assign", assignee=assignee, wait_s=wait_s)

    async def shelve(
        self, facility_id: str, alarm_id: str, until: datetime, reason: str, *, wait_s: float = WAIT_S
    ) -> Commanded:
        """Nobody is told of it until then; it goes on being judged."""
        return await self.command(facility_id, alarm_id, "shelve", reason=reason, until=until, wait_s=wait_s)

    async def unshelve(self, facility_id: str, alarm_id: str, *, wait_s: float = WAIT_S) -> Commanded:
        """If its condition is true, it is told anew."""
        return await self.command(facility_id, alarm_id, "unshelve", wait_s=wait_s)

    async def out_of_service(
        self,
        facility_id: str,
        alarm_id: str,
        reason: str,
        *,
        work_order: str | None = None,
        until: datetime | None = None,
        wait_s: float = WAIT_S,
    ) -> Commanded:
        """Until it is returned to service."""
        return await self.command(
            facility_id, alarm_id, "out_of_service", reason=reason, work_order=work_order, until=until, wait_s=wait_s
        )

    async def return_to_service(self, facility_id: str, alarm_id: str, *, wait_s: float = WAIT_S) -> Commanded:
        """If its condition is true, it is told anew."""
        return await self.command(facility_id, alarm_id, "return_to_service", wait_s=wait_s)

    async def judge(
        self, facility_id: str, alarm_id: str, event_id: int, verdict: str, note: str = "", *, wait_s: float = WAIT_S
    ) -> Commanded:
        """Whether that alert was `true`, `false` or `expected`; the last verdict holds, all stay in the journal."""
        return await self.command(
            facility_id, alarm_id, "verdict", reason=note, verdict=verdict, event_id=event_id, wait_s=wait_s
        )

    async def command(
        self,
        facility_id: str,
        alarm_id: str,
        command: str,
        *,
        reason: str = "",
        until: datetime | None = None,
        assignee: str | None = None,
        work_order: str | None = None,
        verdict: str | None = None,
        event_id: int | None = None,
        command_id: str | None = None,
        wait_s: float = WAIT_S,
    ) -> Commanded:
        """Any of the above, and suppress, unsuppress, reset. A `command_id` of yours is good for asking again later."""
        said = {
            "until": None if until is None else spelled(until),
            "assignee": assignee,
            "work_order": work_order,
            "verdict": verdict,
            "event_id": event_id,
        }
        body = {
            "alarm_id": alarm_id,
            "command": command,
            "reason": reason,
            "command_id": command_id or uuid.uuid4().hex,
            "wait_s": wait_s,
            **{name: value for name, value in said.items() if value is not None},
        }
        return await self._client.send(Commanded, "POST", f"/alarm-commands/{quoted(facility_id)}", body, again=True)
