"""Reports: the list of a month, its figures, the hand-over of a shift, and the notes that shifts leave."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from engine.client.asking import Asking, quoted
from engine.client.history import spelled
from engine.client.report_shapes import FiguresReport, Handover, MonthlyReport, ShiftNote, ShiftNotes

NOTES = 100


class Reports:
    """Of one client, as `gis.reports`. Of the facilities that are named, or of all that we may view. A month is UTC's,
    `2026-11`; without one it is the last that is over.
    """

    def __init__(self, client: Asking) -> None:
        self._client = client

    async def monthly(self, month: str | None = None, *, facility_ids: Sequence[str] = ()) -> MonthlyReport:
        """Points off scan or not reporting, alarms inhibited, false alarms: which, how long, by whom."""
        return await self._client.get(MonthlyReport, "/reports/monthly", **_of_month(month, facility_ids))

    async def figures(self, month: str | None = None, *, facility_ids: Sequence[str] = ()) -> FiguresReport:
        """Alarm figures of a month beside their targets."""
        return await self._client.get(FiguresReport, "/reports/figures", **_of_month(month, facility_ids))

    async def handover(
        self, *, facility_ids: Sequence[str] = (), start: datetime | None = None, end: datetime | None = None
    ) -> Handover:
        """What the next shift has to know; by itself of the last 12 hours."""
        return await self._client.get(Handover, "/reports/handover", **of_range(facility_ids, start, end))

    async def spelled(self, name: str, form: Literal["csv", "html"], **query: Any) -> str:
        """The same as a table or as a page to print; `query` as the server names it."""
        return await self._client.text(f"/reports/{quoted(name)}", f"text/{form}", **query)

    async def note(self, facility_id: str, note: str) -> ShiftNote:
        """For the next shift; it is never changed. Needs Edit."""
        return await self._client.send(ShiftNote, "POST", f"/shift-notes/{quoted(facility_id)}", {"note": note})

    async def notes(
        self,
        *,
        facility_ids: Sequence[str] = (),
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int = NOTES,
    ) -> list[ShiftNote]:
        """The newest first."""
        query = of_range(facility_ids, start, end)
        return (await self._client.get(ShiftNotes, "/shift-notes", **query, limit=limit)).notes


def of_range(facility_ids: Sequence[str], start: datetime | None, end: datetime | None) -> dict[str, Any]:
    """As a query."""
    moments = {"start_date": start, "end_date": end}
    given = {name: spelled(moment) for name, moment in moments.items() if moment is not None}
    return {**given, "facility_id": list(facility_ids)}


def _of_month(month: str | None, facility_ids: Sequence[str]) -> dict[str, Any]:
    return {**({} if month is None else {"month": month}), "facility_id": list(facility_ids)}
