"""The words of `gasinsight facility` and `gasinsight sensor`."""

# ruff: noqa: PLC0415, PLR0917 - commands import what they need when they run, so that --help is quick; an option of
# the command is an argument of its function

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from engine.commands.cli.options import AsJson, DataDir, Password, Url, User, given

if TYPE_CHECKING:
    from engine.commands.out_of_use import Deed, Kind

facility = typer.Typer(no_args_is_help=True, help="Take facilities out of use. Needs an Admin's login.")
sensor = typer.Typer(no_args_is_help=True, help="Take sensors out of use. Needs an Admin's login.")

SubjectId = Annotated[str, typer.Argument(metavar="ID", help="Of the facility or sensor.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask again.")]


def _word(kind: Kind, deed: Deed, about: str) -> Callable[..., None]:
    """The function of one word; they differ in what they do and say."""

    def word(
        subject_id: SubjectId,
        is_sure: Yes = False,
        url: Url = None,
        user: User = None,
        password: Password = None,
        data_dir: DataDir = None,
        as_json: AsJson = False,
    ) -> None:
        from engine.commands.login import LoginOptions
        from engine.commands.out_of_use import Wanted, run

        wanted = Wanted(kind, deed, subject_id, None if is_sure else _agrees)
        run(given(data_dir=data_dir), LoginOptions(url, user, password), wanted, as_json)

    word.__doc__ = f"{about}\n\n[dim]gasinsight {kind} {deed} 8d7f6a3e-52c1-4b0e-9a57-0c1f3b6d2e44[/]"
    return word


def _agrees(question: str) -> bool:
    return typer.confirm(question, err=True)


facility.command("retire")(
    _word(
        "facility",
        "retire",
        "Take a facility out of use; its history stays. A later setup, and then its activations, bring it back.",
    )
)
facility.command("remove")(
    _word("facility", "remove", "Remove a facility for good, with its sensors, permissions and all its data.")
)
sensor.command("retire")(
    _word("sensor", "retire", "Take a sensor out of use; its history stays. A later activation brings it back.")
)
sensor.command("remove")(_word("sensor", "remove", "Remove a sensor for good, with all its data."))
