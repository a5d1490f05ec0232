"""Reports and the notes of shifts, as frozen values; see shapes.py."""

from __future__ import annotations

from engine.client.alarm_shapes import AlarmCounts
from engine.client.figure_shapes import Figures
from engine.client.shapes import Shape, Time


class ShiftNote(Shape):
    id: int
    facility_id: str
    written_at: Time
    author: str
    author_name: str
    note: str


class ShiftNotes(Shape):
    notes: list[ShiftNote]


class ReportEntry(Shape):
    """A line of a report. `seconds`: how much of it is in the range; `until` is None while it goes on."""

    kind: str
    facility_id: str
    facility_name: str | None
    alarm_id: str | None
    sensor_id: str | None
    sensor_name: str | None
    what: str
    since: Time
    until: Time | None
    seconds: float
    by: str | None
    why: str | None


class MonthlyReport(Shape):
    """Kinds of its entries: off_scan, not_reporting, inhibited, false_alarm, forced."""

    month: str
    start: Time
    end: Time
    remarks: list[str]
    entries: list[ReportEntry]


class FiguresReport(Shape):
    month: str
    figures: Figures


class Handover(Shape):
    """Kinds of its entries: stands, kept_back, happened, note."""

    start: Time
    end: Time
    counts: AlarmCounts
    entries: list[ReportEntry]
