"""The words of `gasinsight groups`."""

# ruff: noqa: PLC0415, PLR0917 - commands import what they need when they run, so that --help is quick; an option of
# the command is an argument of its function

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.commands.cli.options import AsJson, DataDir, Password, Url, User, given

app = typer.Typer(
    no_args_is_help=True,
    help="See and set what several sensors are judged by together. To look needs View, to set Edit.",
)

FacilityId = Annotated[str, typer.Argument(metavar="FACILITY", help="The id of the facility.")]


@app.command()
def show(
    facility_id: FacilityId,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show votes, discrepancies, combinations, first-outs and suppressions by design, and who set them last.

    [dim]gasinsight groups show ridge-1
    gasinsight groups show ridge-1 --json > groups.json[/]
    """
    from engine.commands.groups import run_show
    from engine.commands.login import LoginOptions

    run_show(given(data_dir=data_dir), LoginOptions(url, user, password), facility_id, as_json)


@app.command("set")
def set_(
    facility_id: FacilityId,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON: groups and rests, all that are to hold.")],
    is_dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would become of them, or what is wrong; change nothing.")
    ] = False,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Set all groups of a facility; one that the file does not name ends its alarms.

    [dim]gasinsight groups set ridge-1 groups.json --dry-run
    gasinsight groups set ridge-1 groups.json[/]

    The file is what `show --json` writes, or by hand; {} takes all back. docs/alarm-rules.md has every field:
      {"groups": [{"name": "Gas in hall 2", "kind": "vote", "votes": 2, "members": [
         {"sensor_id": "a", "rules": ["high"]}, {"sensor_id": "b", "rules": ["high"]}]}],
       "rests": [{"name": "stopped", "while": {"sensor_id": "k1", "is": "Stopped"},
                  "alarms": [{"sensor_id": "p1", "rules": ["low"]}]}]}
    """
    from engine.commands.groups import Change, run_set
    from engine.commands.login import LoginOptions

    change = Change(facility_id, file, is_dry_run)
    run_set(given(data_dir=data_dir), LoginOptions(url, user, password), change, as_json)
