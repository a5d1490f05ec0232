"""The words of `gasinsight facility` and `gasinsight sensor`."""

# ruff: noqa: PLC0415, PLR0917 - commands import what they need when they run, so that --help is quick; an option of
# the command is an argument of its function

from __future__ import annotations

from typing import Annotated

import typer

from engine.commands.cli.options import AsJson, DataDir, Password, Url, User, given

facility = typer.Typer(no_args_is_help=True, help="Take facilities out of use. Needs an Admin's login.")
sensor = typer.Typer(no_args_is_help=True, help="Take sensors out of use. Needs an Admin's login.")

FacilityId = Annotated[str, typer.Argument(metavar="FACILITY", help="Its id.")]
SensorId = Annotated[str, typer.Argument(metavar="SENSOR", help="Its id.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask again.")]


@facility.command("retire")
def facility_retire(
    facility_id: FacilityId,
    is_sure: Yes = False,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Take a facility out of use; its history stays. A later setup, and then its activations, bring it back.

    [dim]gasinsight facility retire 8d7f6a3e-52c1-4b0e-9a57-0c1f3b6d2e44[/]
    """
    from engine.commands.login import LoginOptions
    from engine.commands.out_of_use import Wanted, run

    wanted = Wanted("facility", "retire", facility_id, None if is_sure else _agrees)
    run(given(data_dir=data_dir), LoginOptions(url, user, password), wanted, as_json)


@facility.command("remove")
def facility_remove(
    facility_id: FacilityId,
    is_sure: Yes = False,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Remove a facility for good, with its sensors, permissions and all its data.

    [dim]gasinsight facility remove 8d7f6a3e-52c1-4b0e-9a57-0c1f3b6d2e44 --yes[/]
    """
    from engine.commands.login import LoginOptions
    from engine.commands.out_of_use import Wanted, run

    wanted = Wanted("facility", "remove", facility_id, None if is_sure else _agrees)
    run(given(data_dir=data_dir), LoginOptions(url, user, password), wanted, as_json)


@sensor.command("retire")
def sensor_retire(
    sensor_id: SensorId,
    is_sure: Yes = False,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Take a sensor out of use; its history stays. A later activation brings it back.

    [dim]gasinsight sensor retire 8d7f6a3e-52c1-4b0e-9a57-0c1f3b6d2e44[/]
    """
    from engine.commands.login import LoginOptions
    from engine.commands.out_of_use import Wanted, run

    wanted = Wanted("sensor", "retire", sensor_id, None if is_sure else _agrees)
    run(given(data_dir=data_dir), LoginOptions(url, user, password), wanted, as_json)


@sensor.command("remove")
def sensor_remove(
    sensor_id: SensorId,
    is_sure: Yes = False,
    url: Url = None,
    user: User = None,
    password: Password = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Remove a sensor for good, with all its data.

    [dim]gasinsight sensor remove 8d7f6a3e-52c1-4b0e-9a57-0c1f3b6d2e44 --yes[/]
    """
    from engine.commands.login import LoginOptions
    from engine.commands.out_of_use import Wanted, run

    wanted = Wanted("sensor", "remove", sensor_id, None if is_sure else _agrees)
    run(given(data_dir=data_dir), LoginOptions(url, user, password), wanted, as_json)


def _agrees(question: str) -> bool:
    return typer.confirm(question, err=True)
