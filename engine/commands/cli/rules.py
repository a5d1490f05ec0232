"""The words of `gasinsight rules`."""

# ruff: noqa: PLC0415, PLR0917 - commands import what they need when they run, so that --help is quick; an option of
# the command is an argument of its function

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.commands.cli.options import AsJson, DataDir, Password, Url, User, given
from engine.errors import SettingsError

app = typer.Typer(no_args_is_help=True, help="See and set when something is an alarm. To look needs View, to set Edit.")

SubjectId = Annotated[str, typer.Argument(metavar="ID", help="Of the sensor; with --facility of the facility.")]
IsFacility = Annotated[bool, typer.Option("--facility", help="ID is a facility's: rules of types of its sensors.")]

Skip = Annotated[int, typer.Option(min=0, help="Leave out so many of the first.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="So many at most.")]


@app.command()
def show(
    subject_id: SubjectId,
    is_facility: IsFacility = False,
    at: Annotated[
        str | None, typer.Option("--at", help="What held then, as 2026-11-22T18:00; without a zone UTC.")
    ] = None,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show which rules hold, with limits, priorities and sources, and who set something last.

    [dim]gasinsight rules show PT-1
    gasinsight rules show PT-1 --at 2026-11-22T18:00
    gasinsight rules show ridge-1 --facility[/]
    """
    from engine.commands.login import LoginOptions
    from engine.commands.rules import Asked, run_show

    asked = Asked(subject_id, is_facility, at)
    run_show(given(data_dir=data_dir), LoginOptions(url, user, password), asked, as_json)


@app.command()
def history(
    subject_id: SubjectId,
    is_facility: IsFacility = False,
    skip: Skip = 0,
    limit: Limit = 50,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List every version of the rules of a sensor and of its type, the newest first: who set it, why, and from when to
    when it held (UTC). With --facility of all types of a facility's sensors.

    [dim]gasinsight rules history PT-1
    gasinsight rules history ridge-1 --facility --json[/]
    """
    from engine.commands.login import LoginOptions
    from engine.commands.rule_history import Versions, run_history

    asked = Versions(subject_id, is_facility, skip, limit)
    run_history(given(data_dir=data_dir), LoginOptions(url, user, password), asked, as_json)


@app.command("set")
def set_(
    subject_id: SubjectId,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON: any of profile, unit, number_format, rules.")],
    is_facility: IsFacility = False,
    sensor_type: Annotated[
        str | None, typer.Option("--type", help="With --facility: of which sensors, as GasDetection.")
    ] = None,
    is_dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would hold, or what is wrong; change nothing.")
    ] = False,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; kept with the version.")] = None,
    effective_from: Annotated[
        str | None,
        typer.Option("--from", help="Not now but from then on, as 2026-12-01T06:00; without a zone UTC."),
    ] = None,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Set the rules of a sensor, or of a type of a facility's sensors; what was set there before is replaced.

    [dim]gasinsight rules set PT-1 rules.json --dry-run
    gasinsight rules set PT-1 rules.json --reason "order 4711"
    gasinsight rules set PT-1 rules.json --from 2026-12-01T06:00
    gasinsight rules set ridge-1 rules.json --facility --type GasDetection[/]

    The file says what is to differ; {} takes back what was set. docs/alarm-rules.md has every field:
      {"rules": [{"rule": "high", "limit": 20, "priority": "critical"},
                 {"rule": "low", "enabled": false}]}
    """
    from engine.commands.login import LoginOptions
    from engine.commands.planned_rules import run_plan
    from engine.commands.rules import Change, Subject, run_set

    if is_facility != (sensor_type is not None):
        raise SettingsError("--facility and --type go together: rules of a facility are of a type of its sensors")
    change = Change(Subject(subject_id, sensor_type), file, is_dry_run, reason)
    login = LoginOptions(url, user, password)
    if effective_from is None:
        run_set(given(data_dir=data_dir), login, change, as_json)
    else:
        run_plan(given(data_dir=data_dir), login, change, effective_from, as_json)


@app.command()
def planned(
    subject_id: SubjectId,
    is_facility: IsFacility = False,
    skip: Skip = 0,
    limit: Limit = 50,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List rules that shall hold later: for a sensor and its type, or with --facility for all of a facility; in the
    order in which they will hold. One that the core refused when its moment had come says why.

    [dim]gasinsight rules planned PT-1
    gasinsight rules planned ridge-1 --facility --json[/]
    """
    from engine.commands.login import LoginOptions
    from engine.commands.planned_rules import run_planned
    from engine.commands.rule_history import Versions

    asked = Versions(subject_id, is_facility, skip, limit)
    run_planned(given(data_dir=data_dir), LoginOptions(url, user, password), asked, as_json)


@app.command()
def withdraw(
    subject_id: SubjectId,
    planned_id: Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="As `rules planned` shows it.")],
    is_facility: IsFacility = False,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Withdraw rules that were planned, so that they never hold. Those that hold already are replaced by `set`.

    [dim]gasinsight rules withdraw PT-1 12
    gasinsight rules withdraw ridge-1 12 --facility[/]
    """
    from engine.commands.login import LoginOptions
    from engine.commands.planned_rules import run_withdraw

    login = LoginOptions(url, user, password)
    run_withdraw(given(data_dir=data_dir), login, (subject_id, is_facility), planned_id, as_json)
