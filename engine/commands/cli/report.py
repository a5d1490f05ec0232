"""The words of `gasinsight report`."""

# ruff: noqa: PLC0415, PLR0917 - commands import what they need when they run, so that --help is quick; an option of
# the command is an argument of its function

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.commands.cli.options import AsJson, DataDir, Password, Url, User, given
from engine.errors import SettingsError

HOURS_MAX = 31 * 24
ALARMS_MAX = 1_000

app = typer.Typer(
    no_args_is_help=True,
    help="Make reports: the list of a month, its alarm figures, proposals, a shift's hand-over. Needs View.",
)

Facilities = Annotated[
    list[str] | None, typer.Option("--facility", help="Id of a facility, once for each; without: all you may view.")
]
Month = Annotated[str | None, typer.Option(metavar="YYYY-MM", help="A month of UTC; without: the last that is over.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="A table, for spreadsheets.")]
AsPage = Annotated[bool, typer.Option("--html", help="A page to print; it needs nothing else.")]
Out = Annotated[Path | None, typer.Option(help="Write it into this file; what was there is replaced once it is whole.")]


@app.command()
def monthly(
    month: Month = None,
    facility: Facilities = None,
    csv: AsCsv = False,
    html: AsPage = False,
    out: Out = None,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List what was off scan or silent, inhibited, or a false alarm in a month, and for how long (49 CFR 192.631).

    [dim]gasinsight report monthly --month 2026-11 --html --out november.html[/]
    """
    _report("monthly", _of_month(month, facility), (as_json, csv, html), out, (url, user, password), data_dir)


@app.command()
def figures(
    month: Month = None,
    facility: Facilities = None,
    csv: AsCsv = False,
    html: AsPage = False,
    out: Out = None,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show the alarm figures of a month beside their targets, and who was heard most often.

    [dim]gasinsight report figures --month 2026-11[/]
    """
    _report("figures", _of_month(month, facility), (as_json, csv, html), out, (url, user, password), data_dir)


@app.command()
def proposals(
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="From this moment or day on; without: the last seven days."),
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Up to this moment, or to the end of this day.")
    ] = None,
    facility: Facilities = None,
    alarms: Annotated[int, typer.Option(min=1, max=ALARMS_MAX, help="So many of the worst.")] = 10,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Propose deadbands and delays for the alarms that chatter, are fleeting or come too often.

    [dim]gasinsight report proposals --from 2026-11-01 --to 2026-11-14[/]

    Each is tried on the stored readings of its sensor, of at most 31 days, and what it would have cost is told:
    activations before and after, how much later what was true is told, and of how many excursions nobody is told.
    It changes nothing. With --json each line has the `rules` to set:
      gasinsight report proposals --json --alarms 1 | jq .rules > rules.json
      gasinsight rules set PT-1 rules.json --dry-run
    docs/alarms.md says what is true, and when nothing is proposed.
    """
    from engine.commands.login import LoginOptions
    from engine.commands.proposals import ProposalsWanted, run_proposals

    wanted = ProposalsWanted(tuple(facility or ()), start, end, alarms, as_json)
    run_proposals(given(data_dir=data_dir), LoginOptions(url, user, password), wanted)


@app.command()
def handover(
    hours: Annotated[int, typer.Option(min=1, max=HOURS_MAX, help="How long the shift was, up to now.")] = 12,
    facility: Facilities = None,
    csv: AsCsv = False,
    html: AsPage = False,
    out: Out = None,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Tell the next shift what happened, what stands, what is shelved and by whom, and the notes of this one.

    [dim]gasinsight report handover --hours 8 --html --out handover.html[/]
    """
    began = datetime.now(UTC) - timedelta(hours=hours)
    query = {"start_date": began.isoformat(), "facility_id": facility or []}
    _report("handover", query, (as_json, csv, html), out, (url, user, password), data_dir)


@app.command()
def note(
    facility: Annotated[str, typer.Argument(metavar="FACILITY", help="Id of the facility that it is about.")],
    text: Annotated[str, typer.Argument(help="What the next shift is to know.")],
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Leave a note for the next shift. It stays as it is; a second one corrects it. Needs Edit.

    [dim]gasinsight report note ridge-1 "valve 3 sticks, order 4711 is open"[/]
    """
    from engine.commands.login import LoginOptions
    from engine.commands.report import run_note

    run_note(given(data_dir=data_dir), LoginOptions(url, user, password), facility, text, as_json)


def _of_month(month: str | None, facility: list[str] | None) -> dict[str, Any]:
    return {**({} if month is None else {"month": month}), "facility_id": facility or []}


def _report(
    name: str,
    query: dict[str, Any],
    forms: tuple[bool, bool, bool],
    out: Path | None,
    login: tuple[str | None, str | None, str | None],
    data_dir: Path | None,
) -> None:
    from engine.commands.login import LoginOptions
    from engine.commands.report import FORMS, Form, Wanted, run_report

    if sum(forms) > 1:
        raise SettingsError("give one of --json, --csv and --html")
    named: tuple[tuple[Form, bool], ...] = tuple(zip(FORMS, forms, strict=True))
    form: Form = next((form for form, is_asked in named if is_asked), "text")
    run_report(given(data_dir=data_dir), LoginOptions(*login), Wanted(name, query, form, out))
