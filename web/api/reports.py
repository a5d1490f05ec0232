"""Reports that control rooms keep: the list of a month, its alarm figures, and the hand-over of a shift.

Each as JSON, as CSV, and as a page to print; which is as `Accept` says.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, get_args

from pydantic import BaseModel, BeforeValidator, WithJsonSchema
from pydantic_core import to_json
from quart import Response, request

from web.api.alarm_figures import checked_range, figures_in, read_lives
from web.api.alarms import COUNT_STATES
from web.api.histories import Beginning, End
from web.api.report_rows import ENTRIES_MAX, HAPPENED, NAME_ALARMS, OF_MONTH, STANDING
from web.api.shift_notes import NOTES_MAX, notes_of
from web.auth.guard import Need
from web.contract.alarm_shapes import AlarmCounts
from web.contract.declare import Noun
from web.contract.report_shapes import (
    Entry,
    FiguresReport,
    Handover,
    HandoverEntry,
    HandoverKind,
    MonthlyEntry,
    MonthlyKind,
    MonthlyReport,
)
from web.errors import NotUsable
from web.figures.measuring import Range
from web.serving.call import Call
from web.serving.routes import json_response
from web.wire.csv import MIME_TYPE as CSV
from web.wire.csv import Table
from web.wire.page import POLICY, Section, page
from web.wire.times import contract_text, from_us

noun = Noun("reports", "What control rooms keep of a month and of a shift")

SHIFT: Final = timedelta(hours=12)
BLIND_RULES: Final = ("stale", "bad_value", "out_of_physical_range", "silent")
ENTRY_COLUMNS: Final = (
    "kind", "facility_id", "facility_name", "alarm_id", "sensor_id", "sensor_name", "what", "since", "until", "seconds",
    "by", "why",
)  # fmt: skip
ENTRIES = Table(ENTRY_COLUMNS)
LINES_APART: Final = " / "
"""Between the lines of a note where there is one line a row."""
MEASURES = Table(("name", "value", "unit", "target", "met"))
REMARKS: Final = (
    "Forced values: this server takes no forced or manual values, so it lists none; the control system knows its own.",
    "Off scan: a sensor that is deactivated now is listed since then; earlier times of that are not kept here.",
)
_MET: Final = {True: "yes", False: "no", None: ""}
_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


def _month(text: object) -> str:
    if _MONTH.fullmatch(str(text)) is None or not "1970" <= str(text)[:4] <= "2200":
        raise ValueError("should be a month of UTC: 2026-11")
    return str(text)


_MONTH_IN = {"type": "string", "pattern": f"^{_MONTH.pattern}$", "examples": ["2026-11"]}
Month = Annotated[str, BeforeValidator(_month), WithJsonSchema(_MONTH_IN)]


class MonthQuery(BaseModel):
    """A month of UTC; without: the last one that is over."""

    facility_id: list[str] = []
    month: Month | None = None


class HandoverQuery(BaseModel):
    """Without `start_date` the last 12 hours, without `end_date` up to now."""

    facility_id: list[str] = []
    start_date: Beginning | None = None
    end_date: End | None = None


@noun.get("/reports/monthly", Need.VIEW, MonthlyReport, statuses=(401, 403, 404, 422), table=ENTRIES, has_page=True)
async def read_monthly(call: Call, query: MonthQuery) -> Response:
    """Points off scan or not reporting, alarms inhibited, false alarms, forced values: which, how long, by whom."""
    month, within = _month_of(call, query)
    scope = (call.caller.is_admin, call.caller.principal, query.facility_id, within.start, within.end)
    rows = [row for sql in OF_MONTH for row in await call.database.rows(sql, *scope)]
    rows += await _not_reporting(call, query.facility_id, within)
    _check_few(rows)
    entries = [MonthlyEntry(**row, seconds=_seconds(row, within, call)) for row in rows]
    kinds = get_args(MonthlyKind)
    entries.sort(key=lambda entry: (kinds.index(entry.kind), entry.since, entry.facility_id))
    report = MonthlyReport(month=month, start=within.start, end=within.end, remarks=list(REMARKS), entries=entries)
    sections = [_section(kind, [entry for entry in entries if entry.kind == kind]) for kind in kinds]
    text = page(f"Control room list of {month}", [_range_text(within), *REMARKS], sections)
    return _answer(call, Made(report, ENTRIES, entries, text))


@noun.get("/reports/figures", Need.VIEW, FiguresReport, statuses=(401, 403, 404, 422), table=MEASURES, has_page=True)
async def read_month_figures(call: Call, query: MonthQuery) -> Response:
    """Alarm figures of a month, each beside its target."""
    month, within = _month_of(call, query)
    figures = await figures_in(call, query.facility_id, within)
    measures = [
        [one.name.replace("_", " "), _number(one.value), one.unit, one.target, _MET[one.met]]
        for one in figures.measures
    ]
    worst = [
        [
            one.facility_id,
            one.sensor_name or one.alarm_id,
            one.rule,
            one.priority,
            str(one.activations),
            f"{one.share:.1%}",
        ]
        for one in figures.offenders
    ]
    days = [[f"{day.day}", str(day.activations), f"{day.flood_s / 60:.0f}", str(day.stale)] for day in figures.days]
    sections = [
        Section("Figures", ("figure", "value", "unit", "target", "met"), measures),
        Section("Heard most often", ("facility", "sensor", "rule", "priority", "activations", "share"), worst),
        Section("Days (UTC)", ("day", "activations", "minutes in floods", "stale"), days),
    ]
    report = FiguresReport(month=month, figures=figures)
    text = page(f"Alarm figures of {month}", [_range_text(within)], sections)
    return _answer(call, Made(report, MEASURES, figures.measures, text))


@noun.get("/reports/handover", Need.VIEW, Handover, statuses=(401, 403, 404, 422), table=ENTRIES, has_page=True)
async def read_handover(call: Call, query: HandoverQuery) -> Response:
    """What happened, what stands, what is kept from people and by whom, and the notes of the shift."""
    end = query.end_date or from_us(call.services.clock.now_us())
    within = checked_range(query.start_date or end - SHIFT, end)
    scope = (call.caller.is_admin, call.caller.principal, query.facility_id)
    rows = await call.database.rows(STANDING, *scope)
    rows += await call.database.rows(HAPPENED, *scope, within.start, within.end)
    notes = await notes_of(call, query.facility_id, within.start, within.end, NOTES_MAX)
    _check_few([*rows, *notes])
    entries = [HandoverEntry(**row, seconds=_seconds(row, within, call)) for row in rows]
    entries += [_noted(note) for note in reversed(notes)]
    counts = await _counts(call, query.facility_id)
    kinds = get_args(HandoverKind)
    sections = [_section(kind, [entry for entry in entries if entry.kind == kind]) for kind in kinds]
    report = Handover(start=within.start, end=within.end, counts=counts, entries=entries)
    said = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.model_dump().items())
    text = page("Shift hand-over", [_range_text(within), f"Now: {said}."], sections)
    return _answer(call, Made(report, ENTRIES, [_in_one_line(entry) for entry in entries], text))


@dataclass(frozen=True, slots=True)
class Made:
    """A report in its three forms: as JSON, rows of a table, and a page."""

    report: BaseModel
    table: Table
    rows: Sequence[BaseModel]
    page: bytes


def _answer(call: Call, made: Made) -> Response:
    if call.wants_csv:
        body = made.table.head() + made.table.lines(to_json(made.rows))
        answer = Response(body, content_type=f"{CSV}; charset=utf-8")
        answer.headers["Content-Disposition"] = "attachment"
    elif request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
        answer = Response(made.page, content_type="text/html; charset=utf-8")
        answer.headers["Content-Security-Policy"] = POLICY
    else:
        answer = json_response(to_json(made.report))
    answer.headers["Vary"] = "Accept"
    return answer


def _month_of(call: Call, query: MonthQuery) -> tuple[str, Range]:
    """The month, and from its first to its last microsecond; of one that goes on, up to now."""
    now = from_us(call.services.clock.now_us())
    month = query.month or f"{now.replace(day=1) - timedelta(days=1):%Y-%m}"
    start = datetime(int(month[:4]), int(month[5:]), 1, tzinfo=UTC)
    if start > now:
        raise NotUsable.of("query", "month", "has not begun")
    following = (start + timedelta(days=31)).replace(day=1)
    return month, Range(start, min(now, following - timedelta(microseconds=1)))


async def _not_reporting(call: Call, facility_ids: list[str], within: Range) -> list[dict[str, Any]]:
    """Standings of the alarms that tell of a sensor or a facility that says nothing usable."""
    lives = await read_lives(call, facility_ids, within)
    found = [
        (life, one)
        for life in lives
        if life.alarm_id.rpartition(":")[2] in BLIND_RULES
        for one in life.standings
        if (one.until or within.end) >= within.start
    ]
    wanted = sorted({(life.facility_id, life.alarm_id) for life, _ in found})
    rows = await call.database.rows(NAME_ALARMS, [one[0] for one in wanted], [one[1] for one in wanted])
    named = {(row["facility_id"], row["alarm_id"]): dict(row) for row in rows}
    return [
        {
            **named[life.facility_id, life.alarm_id],
            "kind": "not_reporting",
            "what": life.alarm_id.rpartition(":")[2].replace("_", " "),
            "since": one.since,
            "until": one.until,
            "by": None,
            "why": None,
        }
        for life, one in found
        if (life.facility_id, life.alarm_id) in named
    ]


async def _counts(call: Call, facility_ids: list[str]) -> AlarmCounts:
    counts: Counter[str] = Counter()
    asked: list[str | None] = [*facility_ids] or [None]
    for facility_id in asked:
        for row in await call.database.rows(COUNT_STATES, call.caller.is_admin, call.caller.principal, facility_id):
            counts.update({row["state"]: row["alarms"], "active": row["active"]})
    return AlarmCounts(**{name: counts[name] for name in AlarmCounts.model_fields})


def _check_few(rows: Sequence[object]) -> None:
    if len(rows) > ENTRIES_MAX:
        raise NotUsable.of("query", "facility_id", f"more than {ENTRIES_MAX} lines; ask for fewer facilities")


def _seconds(row: Any, within: Range, call: Call) -> float:
    """How much of it is in the range and has been."""
    now = from_us(call.services.clock.now_us())
    return within.part(row["since"], min(row["until"] or now, now)).total_seconds()


def _in_one_line(entry: HandoverEntry) -> HandoverEntry:
    """A spreadsheet that is told another separator than ours takes what follows a line break for a row of its own."""
    lines = (line.strip() for line in entry.what.split("\n"))
    return entry.model_copy(update={"what": LINES_APART.join(filter(None, lines))})


def _noted(note: Any) -> HandoverEntry:
    return HandoverEntry(
        kind="note",
        facility_id=note["facility_id"],
        facility_name=None,
        alarm_id=None,
        sensor_id=None,
        sensor_name=None,
        what=note["note"],
        since=note["written_at"],
        until=None,
        seconds=0.0,
        by=note["author_name"],
        why=None,
    )


def _section(kind: str, entries: Sequence[Entry]) -> Section:
    rows = [
        [
            entry.facility_name or entry.facility_id,
            entry.sensor_name or entry.alarm_id or "",
            entry.what,
            _time_text(entry.since),
            "" if entry.until is None else _time_text(entry.until),
            _duration_text(entry.seconds),
            entry.by or "",
            entry.why or "",
        ]
        for entry in entries
    ]
    columns = ("facility", "point", "what", "since (UTC)", "until (UTC)", "for", "by", "why")
    return Section(kind.replace("_", " ").capitalize(), columns, rows)


def _range_text(within: Range) -> str:
    return f"From {_time_text(within.start)} to {_time_text(within.end)}, UTC."


def _time_text(at: datetime) -> str:
    return contract_text(at)[:19].replace("T", " ")


def _duration_text(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes else f"{seconds:.0f} s" if seconds else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
