"""`gasinsight report`: reports of the control room, to read, to keep or to print."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel

from engine.all_or_nothing import draft_of
from engine.client import GasInSight
from engine.client.report_shapes import FiguresReport, Handover, MonthlyReport, ReportEntry
from engine.commands.login import LoginOptions, NotDone, asked
from engine.commands.steps import print_line
from engine.printable import escaped

KINDS: dict[str, type[BaseModel]] = {"monthly": MonthlyReport, "figures": FiguresReport, "handover": Handover}


Form: TypeAlias = Literal["text", "json", "csv", "html"]
FORMS: tuple[Form, ...] = ("json", "csv", "html")
"""Beside text, in the order in which the command has them."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """`form` is text, json, csv or html; without `out` it is printed."""

    name: str
    query: dict[str, Any]
    form: Form
    out: Path | None


def run_report(overrides: dict[str, object], options: LoginOptions, wanted: Wanted) -> None:
    """Make it, and say where it is."""
    if wanted.out is not None and not wanted.out.absolute().parent.is_dir():
        raise NotDone(f"{wanted.out.parent} is no folder to write into")
    text = asked(overrides, options, lambda gis: _made(gis, wanted))
    if wanted.out is None:
        for line in text.splitlines():
            print_line(line)
        return
    try:
        with draft_of(wanted.out) as draft:
            draft.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise NotDone(f"{wanted.out} cannot be written: {error.strerror}") from error
    print_line(escaped(f"{wanted.out} is written."))


def run_note(overrides: dict[str, object], options: LoginOptions, facility_id: str, note: str, as_json: bool) -> None:
    """Leave a note for the next shift."""
    written = asked(overrides, options, lambda gis: gis.reports.note(facility_id, note))
    print_line(
        json.dumps(written.model_dump(mode="json"))
        if as_json
        else escaped(f"note {written.id} of {written.author_name} is written; the next hand-over shows it.")
    )


async def _made(gis: GasInSight, wanted: Wanted) -> str:
    match wanted.form:
        case "csv" | "html":
            return await gis.reports.spelled(wanted.name, wanted.form, **wanted.query)
        case form:
            report = await gis.get(KINDS[wanted.name], f"/reports/{wanted.name}", **wanted.query)
    if form == "json":
        return json.dumps(report.model_dump(mode="json")) + "\n"
    return "".join(escaped(line) + "\n" for line in _lines(report))


def _lines(report: BaseModel) -> list[str]:
    match report:
        case FiguresReport():
            return _figure_lines(report)
        case MonthlyReport():
            head = f"{report.month}: {len(report.entries)} lines"
            return [head, *chain.from_iterable(map(_entry_lines, report.entries)), *report.remarks]
        case Handover():
            counts = report.counts.model_dump().items()
            head = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts)
            return [f"now: {head}", *chain.from_iterable(map(_entry_lines, report.entries))]
    raise TypeError(type(report).__name__)


def _figure_lines(report: FiguresReport) -> list[str]:
    figures = report.figures
    lines = [f"{report.month}: {figures.tally.activations} activations"]
    for one in figures.measures:
        value = "-" if one.value is None else f"{one.value:.4g}"
        met = {True: "met", False: "NOT MET", None: "cannot be said"}[one.met]
        lines.append(f"{one.name:16}{value:>10} {one.unit}; target {one.target}: {met}")
    for offender in figures.offenders:
        who = offender.sensor_name or offender.alarm_id
        lines.append(f"{offender.activations:>8}x {offender.facility_id} {who}, {offender.rule} ({offender.share:.1%})")
    return lines


def _entry_lines(entry: ReportEntry) -> list[str]:
    """Further lines of a note are marked, so that none looks like an entry."""
    who = entry.sensor_name or entry.alarm_id or ""
    until = "" if entry.until is None else f" to {entry.until:%Y-%m-%d %H:%M:%S}"
    by = f", by {entry.by}" if entry.by else ""
    why = f": {entry.why}" if entry.why else ""
    place = " ".join(part for part in (entry.facility_name or entry.facility_id, who) if part)
    what, *more = entry.what.split("\n")
    return [
        f"{entry.kind:14}{entry.since:%Y-%m-%d %H:%M:%S}{until}  {place}  {what}{by}{why}",
        *(f"{'':14}| {line}" for line in more),
    ]
