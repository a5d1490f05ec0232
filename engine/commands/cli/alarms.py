"""The words of `gasinsight alarms`."""

# ruff: noqa: PLC0415, PLR0917 - commands import what they need when they run, so that --help is quick; an option of
# the command is an argument of its function

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.commands.cli.options import AsJson, DataDir, Password, Url, User, given
from engine.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

app = typer.Typer(
    no_args_is_help=True,
    help="See what is not normal, and acknowledge, shelve or comment it. To look needs View, to act Edit.",
)

AlarmId = Annotated[str, typer.Argument(metavar="ALARM", help="As `list` shows it: 12:high, facility:silent.")]
Facility = Annotated[str | None, typer.Option(help="Id of its facility; needed if several have such an alarm.")]
Reason = Annotated[str, typer.Option("--reason", "-m", help="Why; it stays in the journal.")]
Duration = Annotated[str, typer.Option("--for", metavar="TIME", help="How long: 30m, 8h.")]


class Judgement(StrEnum):
    """What can be said of an alert."""

    TRUE = "true"
    FALSE = "false"
    EXPECTED = "expected"


_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@app.command("list")
def list_(
    facility: Annotated[str | None, typer.Option(help="Of this facility only, by its id.")] = None,
    sensor: Annotated[str | None, typer.Option(help="Of this sensor only, by its id.")] = None,
    state: Annotated[str | None, typer.Option(help="unacknowledged, acknowledged, shelved, out_of_service, …")] = None,
    priority: Annotated[str | None, typer.Option(help="critical, high, medium or low")] = None,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show every alarm that is not normal, and how many are shelved or out of service.

    [dim]gasinsight alarms list
    gasinsight alarms list --state shelved[/]
    """
    from engine.commands.alarms import run_list
    from engine.commands.login import LoginOptions

    wanted = {"facility_id": facility, "sensor_id": sensor, "state": state, "priority": priority}
    asked = {name: value for name, value in wanted.items() if value is not None}
    run_list(given(data_dir=data_dir), LoginOptions(url, user, password), asked, as_json)


@app.command()
def show(
    alarm: AlarmId,
    facility: Facility = None,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show one alarm and everything that happened to it.

    [dim]gasinsight alarms show 12:high[/]
    """
    from engine.commands.alarms import run_show
    from engine.commands.login import LoginOptions

    run_show(given(data_dir=data_dir), LoginOptions(url, user, password), alarm, facility, as_json)


@app.command()
def incidents(
    facility: Annotated[str | None, typer.Option(help="Of this facility only, by its id.")] = None,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show the alarms that began together in the last seven days, as one each, with what was first.

    [dim]gasinsight alarms incidents[/]
    """
    from engine.commands.alarms import run_incidents
    from engine.commands.login import LoginOptions

    run_incidents(given(data_dir=data_dir), LoginOptions(url, user, password), facility, as_json)


@app.command()
def ack(
    alarm: AlarmId,
    facility: Facility = None,
    reason: Reason = "",
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say that you have seen it. That does not end it.

    [dim]gasinsight alarms ack 12:high -m "on my way"[/]
    """
    _command(alarm, facility, "acknowledge", (url, user, password), data_dir, as_json, reason=reason)


@app.command()
def shelve(
    alarm: AlarmId,
    duration: Duration,
    reason: Reason,
    facility: Facility = None,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Let nobody be told of it for a while; it goes on being judged, and is told anew if it stands at the end.

    [dim]gasinsight alarms shelve 12:high --for 2h -m "calibration, work order 4711"[/]
    """
    login = (url, user, password)
    _command(alarm, facility, "shelve", login, data_dir, as_json, until=_until(duration), reason=reason)


@app.command()
def comment(
    alarm: AlarmId,
    text: Annotated[str, typer.Argument(help="What to write into its history.")],
    facility: Facility = None,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write a line into its history.

    [dim]gasinsight alarms comment 12:high "valve 3 was left open"[/]
    """
    _command(alarm, facility, "comment", (url, user, password), data_dir, as_json, reason=text)


@app.command()
def assign(
    alarm: AlarmId,
    somebody: Annotated[str, typer.Argument(help="Who looks after it, by whatever name; '' for nobody any more.")],
    facility: Facility = None,
    reason: Reason = "",
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say who looks after it.

    [dim]gasinsight alarms assign 12:high "Ada, night shift"[/]
    """
    login = (url, user, password)
    _command(alarm, facility, "assign", login, data_dir, as_json, assignee=somebody, reason=reason)


@app.command()
def suppress(
    alarm: AlarmId,
    reason: Reason,
    facility: Facility = None,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Let nobody be told of it while the plant is in a state in which it means nothing, until `unsuppress`.

    [dim]gasinsight alarms suppress 12:high -m "compressor is down for the week"[/]
    """
    _command(alarm, facility, "suppress", (url, user, password), data_dir, as_json, reason=reason)


@app.command()
def verdict(
    alarm: AlarmId,
    verdict: Annotated[Judgement, typer.Argument(help="It was so, it was not, or somebody meant it to be.")],
    event: Annotated[
        int | None, typer.Option(metavar="ID", min=1, help="Id of the alert; without: the newest of this alarm.")
    ] = None,
    facility: Facility = None,
    note: Annotated[str, typer.Option("--note", "-m", help="Why you say so; it stays in the journal.")] = "",
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say of an alert whether it was true, false or expected: for reports, and as a label in exports.

    The last verdict holds; all of them stay in the journal.

    [dim]gasinsight alarms verdict 12:high false -m "test gas at the detector"
    gasinsight alarms verdict 12:high true --event 4711[/]
    """
    from engine.commands.alarms import Wanted, run_verdict
    from engine.commands.login import LoginOptions

    wanted = Wanted(alarm, facility, "verdict", {"verdict": verdict.value, "reason": note})
    run_verdict(given(data_dir=data_dir), LoginOptions(url, user, password), wanted, event, as_json)


@app.command("out-of-service")
def out_of_service(
    alarm: AlarmId,
    reason: Reason,
    work_order: Annotated[str | None, typer.Option(help="Number of the work order.")] = None,
    facility: Facility = None,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Take it out of service until `in-service`.

    [dim]gasinsight alarms out-of-service 12:high -m "sensor is being replaced" --work-order 4711[/]
    """
    login = (url, user, password)
    _command(alarm, facility, "out_of_service", login, data_dir, as_json, reason=reason, work_order=work_order)


@app.command()
def watch(
    seen_id: Annotated[
        int | None, typer.Option("--after", metavar="ID", min=0, help="Go on after this row; without: from now on.")
    ] = None,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Print a line for everything that happens to alarms, each once, until Ctrl-C.

    [dim]gasinsight alarms watch --json | jq 'select(.event.transition == "activated")'[/]
    """
    from engine.commands.alarms import run_watch
    from engine.commands.login import LoginOptions

    run_watch(given(data_dir=data_dir), LoginOptions(url, user, password), seen_id, as_json)


def _word(command: str, about: str) -> Callable[..., None]:
    """The function of a word that needs no more than its alarm."""

    def word(
        alarm: AlarmId,
        facility: Facility = None,
        url: Url = None,
        user: User = None,
        password: Password = None,
        data_dir: DataDir = None,
        as_json: AsJson = False,
    ) -> None:
        _command(alarm, facility, command, (url, user, password), data_dir, as_json)

    word.__doc__ = about
    return word


def _command(
    alarm: str,
    facility: str | None,
    command: str,
    login: tuple[str | None, str | None, str | None],
    data_dir: Path | None,
    as_json: bool,
    **said: Any,
) -> None:
    from engine.commands.alarms import Wanted, run_command
    from engine.commands.login import LoginOptions

    run_command(given(data_dir=data_dir), LoginOptions(*login), Wanted(alarm, facility, command, said), as_json)


def _until(duration: str) -> datetime:
    found = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", duration.strip())
    if found is None:
        raise SettingsError(f"--for {duration} is no time; write 30m, 8h or 1d")
    return datetime.now(UTC) + timedelta(**{_UNITS[found[2]]: int(found[1])})


app.command("unsuppress")(_word("unsuppress", "Let people be told of it again; if it stands, it is told anew."))
app.command("unshelve")(_word("unshelve", "Take it off the shelf before its time; if it stands, it is told anew."))
app.command("in-service")(_word("return_to_service", "Return it to service; if it stands, it is told anew."))
app.command("reset")(_word("reset", "Let go of one that latched; it has no effect while its condition is true."))
