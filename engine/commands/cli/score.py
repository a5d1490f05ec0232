"""The words of `gasinsight score`."""

# ruff: noqa: PLC0415, PLR0917 - commands import what they need when they run, so that --help is quick; an option of
# the command is an argument of its function

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.commands.cli.options import AsJson


def score(
    source: Annotated[Path, typer.Argument(metavar="FILE|FOLDER", help="A parquet file, or a folder of such.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Write here; of a folder a folder, in which the files keep their names.", show_default=False),
    ] = None,
    interval_s: Annotated[
        float | None,
        typer.Option(
            "--interval",
            metavar="SECONDS",
            min=0,
            help="Usual distance of readings, as the sensor is set up; default: the median of the first 1,000.",
        ),
    ] = None,
    sensor_type: Annotated[
        str | None,
        typer.Option("--type", help="Type of the sensor (Pressure, …), for limits and physical range; default: none."),
    ] = None,
    as_received: Annotated[
        bool,
        typer.Option("--as-received", help="Rows stand in order of arrival: late ones are flagged and not learned."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Score recordings as the live system would have, to the bit; no server is needed.

    [dim]gasinsight score pump.parquet             writes pump.scores.parquet beside it
    gasinsight score recordings --out scores  a folder and all below it
    gasinsight score pump.parquet --interval 15 --type Pressure[/]

    What a file may hold, its rows in the order of their times (without a zone: UTC):
      one series    [bold]tracked_at[/], [bold]value[/]
      a facility    [bold]tracked_at[/], [bold]value[/], [bold]sensor_id[/]
      a facility    [bold]tracked_at[/] and a column of numbers for each sensor
    A column [bold]label[/] is kept and never looked at.

    What is written, one row for each row:
      [bold]score[/]                  decades of surprise; null while it has no say
      [bold]threshold[/], [bold]alarming[/]    what it must reach, and whether it newly did
      [bold]anomaly[/], [bold]flags[/]         an alarm stands; the flags as they are stored
      [bold]expected[/], …_low, …_high
      [bold]view[/], [bold]views[/]            what was unusual most, and how much each was
      [bold]reason[/]                 stuck, gap, rare_move, …: why, if it is none of the views
      [bold]explanation[/]            what an operator would have read
          [bold]facility_score[/], …      of a facility: do its sensors still move together
    docs/data-science.md says more.
    """
    from engine.commands.score import ScoreOptions, run_score

    sys.exit(run_score(ScoreOptions(source, out, interval_s, sensor_type, as_received, as_json)))
