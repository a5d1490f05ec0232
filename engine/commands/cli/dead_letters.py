"""The words of `gasinsight dead-letters`."""

# ruff: noqa: PLC0415, PLR0917 - commands import what they need when they run, so that --help is quick; an option of
# the command is an argument of its function

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from engine.commands.cli.options import AsJson, DataDir, Password, Url, User, given

if TYPE_CHECKING:
    from engine.commands.dead_letters import Chosen

app = typer.Typer(
    no_args_is_help=True,
    help="See what the engine could not use, send it through the engine again, or delete it. For Admins.",
)

LIMIT_MAX = 1000

Ids = Annotated[list[int] | None, typer.Argument(metavar="[ID]…", help="Which, as `list` shows them.")]
Facility = Annotated[str | None, typer.Option(help="Only of this facility.")]
Sensor = Annotated[str | None, typer.Option(help="Only of this sensor.")]
Reason = Annotated[str | None, typer.Option(help="Only with this reason, such as future or sensors_max.")]
IsParked = Annotated[
    bool, typer.Option("--parked", help="Instead of dead letters what waits for its facility or sensor.")
]


@app.command("list")
def list_(
    facility: Facility = None,
    sensor: Sensor = None,
    reason: Reason = None,
    is_parked: IsParked = False,
    limit: Annotated[int, typer.Option(min=1, max=LIMIT_MAX, help="The newest so many.")] = 50,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show what was set aside and why, the newest first.

    [dim]gasinsight dead-letters list
    gasinsight dead-letters list --reason future --facility ridge-1
    gasinsight dead-letters list --parked[/]
    """
    from engine.commands.dead_letters import run_list
    from engine.commands.login import LoginOptions

    chosen = _chosen(is_parked, None, facility, sensor, reason)
    run_list(given(data_dir=data_dir), LoginOptions(url, user, password), chosen, limit, as_json)


@app.command()
def show(
    row_id: Annotated[int, typer.Argument(metavar="ID", help="As `list` shows it.")],
    is_parked: IsParked = False,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show one with all that is kept of what came: text, or base64 where `encoding` says so.

    [dim]gasinsight dead-letters show 17[/]
    """
    from engine.commands.dead_letters import run_show
    from engine.commands.login import LoginOptions

    origin = _chosen(is_parked, None, None, None, None).origin
    run_show(given(data_dir=data_dir), LoginOptions(url, user, password), origin, row_id, as_json)


@app.command()
def redrive(
    ids: Ids = None,
    facility: Facility = None,
    sensor: Sensor = None,
    reason: Reason = None,
    is_parked: IsParked = False,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Send it through the engine again, as if it came now, and say what became of it.

    What is stored already is not stored twice. While its cause stands it is the one dead letter again that it was; so
    mend that first: the hub's clock, a setting, the facility that is missing. Exit status 1 when not all took effect.

    [dim]gasinsight dead-letters redrive 17 18
    gasinsight dead-letters redrive --reason sensors_max
    gasinsight dead-letters redrive --parked --facility ridge-1[/]
    """
    from engine.commands.dead_letters import run_redrive
    from engine.commands.login import LoginOptions

    chosen = _chosen(is_parked, ids, facility, sensor, reason)
    raise typer.Exit(run_redrive(given(data_dir=data_dir), LoginOptions(url, user, password), chosen, as_json))


@app.command()
def delete(
    because: Annotated[str, typer.Option(help="Why nobody wants it; the audit log keeps it.")],
    ids: Ids = None,
    facility: Facility = None,
    sensor: Sensor = None,
    reason: Reason = None,
    is_parked: IsParked = False,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Delete it for good.

    [dim]gasinsight dead-letters delete 17 --because "a test rig"
    gasinsight dead-letters delete --facility rig-9 --because "a test rig"[/]
    """
    from engine.commands.dead_letters import run_delete
    from engine.commands.login import LoginOptions

    chosen = _chosen(is_parked, ids, facility, sensor, reason)
    run_delete(given(data_dir=data_dir), LoginOptions(url, user, password), chosen, because, as_json)


def _chosen(
    is_parked: bool, ids: list[int] | None, facility: str | None, sensor: str | None, reason: str | None
) -> Chosen:
    from engine.commands.dead_letters import Chosen

    fits = {"facility_id": facility, "sensor_id": sensor, "reason": reason}
    said = {name: text for name, text in fits.items() if text is not None}
    return Chosen("parked" if is_parked else "dead_letters", tuple(ids or ()), said)  # type: ignore[arg-type]
