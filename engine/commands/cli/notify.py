"""The words of `gasinsight notify`."""

# ruff: noqa: PLC0415, PLR0917 - commands import what they need when they run, so that --help is quick; an option of
# the command is an argument of its function

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from engine.commands.cli.options import AsJson, DataDir, Password, Url, User, given

app = typer.Typer(
    no_args_is_help=True,
    help="Tell people who are not at a screen of alarms: channels, who is told of what, what was sent. For Admins.",
)

LIMIT_MAX = 500

File = Annotated[Path, typer.Argument(metavar="FILE", help="A JSON file that describes it.")]


class State(StrEnum):
    """Of a message."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


@app.command()
def channels(
    url: Url = None, user: User = None, password: Password = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Show every channel: webhook, mail or Teams, and whom it goes to; never a secret.

    [dim]gasinsight notify channels[/]
    """
    from engine.commands.login import LoginOptions
    from engine.commands.notify import run_channels

    run_channels(given(data_dir=data_dir), LoginOptions(url, user, password), as_json)


@app.command()
def subscriptions(
    url: Url = None, user: User = None, password: Password = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Show which channel is told of what, and when.

    [dim]gasinsight notify subscriptions[/]
    """
    from engine.commands.login import LoginOptions
    from engine.commands.notify import run_subscriptions

    run_subscriptions(given(data_dir=data_dir), LoginOptions(url, user, password), as_json)


@app.command("list")
def list_(
    channel: Annotated[str | None, typer.Option(help="Over this channel only, by its id or name.")] = None,
    state: Annotated[State | None, typer.Option(help="Only those.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=LIMIT_MAX, help="The newest so many.")] = 50,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show what was sent in the last 90 days and what waits, the newest first, and why it waits.

    [dim]gasinsight notify list
    gasinsight notify list --channel "control room" --state given_up[/]
    """
    from engine.commands.login import LoginOptions
    from engine.commands.notify import Wanted, run_list

    wanted = Wanted(channel, state, limit)
    run_list(given(data_dir=data_dir), LoginOptions(url, user, password), wanted, as_json)


@app.command()
def test(
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="Its id or name, as `channels` shows it.")],
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Send a message that says it is a test, and say within ten seconds what became of it.

    Exit status 1 when somebody does not have it.

    [dim]gasinsight notify test "control room"[/]
    """
    from engine.commands.login import LoginOptions
    from engine.commands.notify import run_test

    run_test(given(data_dir=data_dir), LoginOptions(url, user, password), channel, as_json)


@app.command()
def add_channel(
    file: File,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a channel: a webhook, mail or Teams.

    [dim]gasinsight notify add-channel mail.json[/]

    with mail.json as {"name": "on call", "acknowledge": true, "mail": {"host": "mail.example.org", "user": "gas",
    "password": {"env": "MAIL_PASSWORD"}, "sender": "gas@example.org", "to": \\["ann@example.org"]}}, or with
    "webhook": {"url", "secret"}, or "teams": {"url"}. What is secret stands in the file or, as {"env": NAME}, in that
    variable.
    """
    from engine.commands.login import LoginOptions
    from engine.commands.notify import run_add_channel

    run_add_channel(given(data_dir=data_dir), LoginOptions(url, user, password), file, as_json)


@app.command()
def add_subscription(
    file: File,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say of which alarms a channel is told, from now on.

    [dim]gasinsight notify add-subscription night.json[/]

    with night.json as {"channel_id": 1, "name": "urgent, at night", "least_priority": "high", "from_time": "22:00",
    "to_time": "06:00", "zone": "Europe/Berlin"}; also facility_ids, alarm_rules, returned, after_minutes and days
    (1 is Monday). What is left out does not choose.
    """
    from engine.commands.login import LoginOptions
    from engine.commands.notify import run_add_subscription

    run_add_subscription(given(data_dir=data_dir), LoginOptions(url, user, password), file, as_json)
