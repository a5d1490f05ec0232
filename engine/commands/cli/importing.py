"""The words of `gasinsight import`."""

# ruff: noqa: PLC0415, PLR0917 - commands import what they need when they run, so that --help is quick; an option of
# the command is an argument of its function

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.commands.cli.options import AsJson, DataDir, given


def import_(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="FILE|FOLDER", help="Parquet, CSV, what an export wrote, or folders of such."),
    ],
    facility: Annotated[
        str | None, typer.Option(metavar="ID", help="Whose sensors they are, where the files do not say it.")
    ] = None,
    sensor: Annotated[
        str | None, typer.Option(metavar="ID", help="Whose readings they are, where a file is one series.")
    ] = None,
    zone: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Times without an offset are what clocks showed there; default: UTC."),
    ] = None,
    fold: Annotated[
        str | None,
        typer.Option(metavar="earlier|later", help="Which hour is meant that clocks showed twice in autumn."),
    ] = None,
    score: Annotated[
        bool, typer.Option("--score", help="Score what brings no score, as `gasinsight score` does; files in memory.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be imported and what not.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Put readings of the past into the database: recordings, and what `gasinsight export` wrote.

    [dim]gasinsight import pump.parquet --dry-run
    gasinsight import pump.csv --sensor PT-1 --zone Europe/Berlin
    gasinsight import facilities.parquet sensors.parquet november --yes[/]

    They are history: no live value changes, no alert is raised. What is there already stays as it is; the same again
    changes nothing, also after an interruption. Works while everything runs, and without an engine.

    What a file may hold:
      one series    [bold]tracked_at[/], [bold]value[/]; with --sensor
      long          [bold]tracked_at[/], [bold]value[/], [bold]sensor_id[/]; perhaps [bold]facility_id[/],
                    [bold]text[/], [bold]score[/], [bold]flags[/]
      wide          [bold]tracked_at[/] and a column for each sensor, named like it
    docs/imports.md says more.
    """
    from engine.commands.importing import ImportOptions, run_import

    options = ImportOptions(tuple(paths), facility, sensor, zone, fold, score, dry_run, yes, as_json)
    sys.exit(run_import(given(data_dir=data_dir), options))
