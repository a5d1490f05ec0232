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
    source: Annotated[
        Path,
        typer.Argument(metavar="FILE|FOLDER", help="A Parquet or CSV file, a data set in parts, or a folder of such."),
    ],
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
    gasinsight score readings.parquet/        a data set of Spark, Dask or pandas: one recording
    gasinsight score pump.csv --interval 15 --type Pressure[/]

    What a recording may hold, its rows in the order of their times (without a zone: UTC):
      one series    [bold]tracked_at[/], [bold]value[/]
      a facility    [bold]tracked_at[/], [bold]value[/], [bold]sensor_id[/]
      a facility    [bold]tracked_at[/] and a column of numbers for each sensor
    A column label is kept and never looked at.

    What is written, a row for each row, beside the columns that went in:
      [bold]score[/]                   for ranking rows, 1 would alarm; never null
      [bold]decades[/], [bold]threshold[/]      of surprise, and what it must reach; null while it has no say
      [bold]alarming[/], [bold]anomaly[/]       it newly did; an alarm stands
      [bold]flags[/]                   as they are stored
      [bold]expected[/], [bold]expected_low[/], [bold]expected_high[/]
      [bold]view[/], [bold]views[/]             what was unusual most, and how much each was
      [bold]reason[/]                  stuck, gap, rare_move, …: why, if it is none of the views
      [bold]explanation[/]             what an operator would have read
    Of a facility also, do its sensors still move together, and who fell silent:
      [bold]facility_decades[/], [bold]facility_threshold[/], [bold]facility_alarming[/]
      [bold]facility_explanation[/], [bold]contributors[/], [bold]silent[/]
    With a column for each sensor, [bold]sensor[/] says whose the score of a row is, and each sensor has the columns of
    the first list, but for score and views, as [bold]NAME.decades[/].
    docs/data-science.md says more.
    """
    from engine.commands.score import ScoreOptions, run_score

    sys.exit(run_score(ScoreOptions(source, out, interval_s, sensor_type, as_received, as_json)))
