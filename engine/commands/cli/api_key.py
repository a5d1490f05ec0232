"""The words of `gasinsight api-key`."""

# ruff: noqa: PLC0415, PLR0917 - commands import what they need when they run, so that --help is quick; an option of
# the command is an argument of its function

from __future__ import annotations

from typing import Annotated

import typer

from engine.commands.cli.options import AsJson, DataDir, Password, Url, User, given

app = typer.Typer(no_args_is_help=True, help="Let programs in: API keys for named facilities. Needs an Admin's login.")

Facility = typer.Option(metavar="FACILITY", help="Id or whole name; give it again for another.")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is for; the list shows it.")],
    view: Annotated[list[str] | None, Facility] = None,
    edit: Annotated[list[str] | None, Facility] = None,
    days: Annotated[int, typer.Option(min=1, max=365, help="Until it expires.")] = 90,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, this once.

    [dim]gasinsight api-key create "weekly report" --view North --view South --days 180
    KEY=$(gasinsight api-key create notebook --edit North)
    curl -H "Authorization: Bearer $KEY" http://127.0.0.1:8000/facilities[/]
    """
    from engine.commands.api_keys import NewKey, run_create
    from engine.commands.login import LoginOptions

    new = NewKey(name, tuple(view or ()), tuple(edit or ()), days)
    run_create(given(data_dir=data_dir), LoginOptions(url, user, password), new, as_json)


@app.command("list")
def list_keys(
    url: Url = None, user: User = None, password: Password = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Show every key with its end and its last use, also those that ended."""
    from engine.commands.api_keys import run_list
    from engine.commands.login import LoginOptions

    run_list(given(data_dir=data_dir), LoginOptions(url, user, password), as_json)


@app.command()
def revoke(
    key_id: Annotated[int, typer.Argument(metavar="ID", help="As `gasinsight api-key list` shows it.")],
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
) -> None:
    """End a key at once and for good; its open streams close within five seconds."""
    from engine.commands.api_keys import run_revoke
    from engine.commands.login import LoginOptions

    run_revoke(given(data_dir=data_dir), LoginOptions(url, user, password), key_id)
