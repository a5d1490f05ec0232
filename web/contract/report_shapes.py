"""The JSON of reports and of the notes of shifts; beyond the wire contract."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from web.contract.alarm_shapes import AlarmCounts
from web.contract.figure_shapes import Figures
from web.contract.shapes import ReadableLines
from web.wire.times import ContractTime

NOTE_MAX = 4000
Note = Annotated[str, StringConstraints(min_length=1, max_length=NOTE_MAX, strip_whitespace=True), ReadableLines]
MonthlyKind = Literal["off_scan", "not_reporting", "inhibited", "false_alarm", "forced"]
HandoverKind = Literal["stands", "kept_back", "happened", "note"]


class NewShiftNote(BaseModel):
    note: Note = Field(description="may have line breaks, and no other control characters")


class ShiftNote(BaseModel):
    """What one shift tells the next. It is never changed: a second note corrects the first."""

    id: int
    facility_id: str
    written_at: ContractTime
    author: str = Field(description="`user:` or `key:` and its id")
    author_name: str
    note: str


class ShiftNotes(BaseModel):
    notes: list[ShiftNote] = Field(description="the newest first")


class Entry(BaseModel):
    """A line of a report.

    since      when it began; until: when it was over, null while it goes on
    seconds    how much of that is in the range of the report
    by, why    who did it, and what they gave as reason
    """

    facility_id: str
    facility_name: str | None
    alarm_id: str | None
    sensor_id: str | None
    sensor_name: str | None
    what: str
    since: ContractTime
    until: ContractTime | None
    seconds: float
    by: str | None
    why: str | None


class MonthlyEntry(Entry):
    """off_scan: taken out of service or deactivated. not_reporting: silent, or nothing that can be used. inhibited:
    shelved, suppressed, or its rule switched off. false_alarm: by the last verdict. forced: none here; see `remarks`.
    """

    kind: MonthlyKind


class MonthlyReport(BaseModel):
    """What control rooms look through each month (49 CFR 192.631(e)); `entries`: by kind and beginning."""

    month: str
    start: ContractTime
    end: ContractTime
    remarks: list[str]
    entries: list[MonthlyEntry]


class FiguresReport(BaseModel):
    month: str
    figures: Figures


class HandoverEntry(Entry):
    """stands: not normal now. kept_back: shelved, suppressed or out of service now. happened: in the range."""

    kind: HandoverKind


class Handover(BaseModel):
    """What the next shift has to know. `counts` and what stands are of now, the rest is of the range."""

    start: ContractTime
    end: ContractTime
    counts: AlarmCounts
    entries: list[HandoverEntry]
