"""The words of `gasinsight export`."""

# ruff: noqa: PLC0415, PLR0917 - commands import what they need when they run, so that --help is quick; an option of
# the command is an argument of its function

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.commands.cli.options import AsJson, DataDir, given


def export(
    dataset: Annotated[
        str, typer.Argument(help="records, rollups, alarms, alerts, sensors, facilities or detection.")
    ] = "records",
    facilities: Annotated[
        list[str] | None, typer.Option("--facility", metavar="ID", help="Only of it; may be given several times.")
    ] = None,
    sensors: Annotated[
        list[str] | None, typer.Option("--sensor", metavar="ID", help="Only of it; may be given several times.")
    ] = None,
    start: Annotated[
        str | None, typer.Option(metavar="TIME", help="From this moment or day on (UTC without a zone).")
    ] = None,
    end: Annotated[
        str | None, typer.Option(metavar="TIME", help="Before this moment, or to the end of this day.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Only these, in this order; default: all.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE|FOLDER", help="Where to; - is standard output.", show_default=False),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option("--format", help="parquet, arrow, csv or ndjson; default: what the name says."),
    ] = None,
    hive: Annotated[
        bool, typer.Option("--hive", help="A folder of Parquet files: facility_id=…/day=…/readings.parquet")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write stored data into files: readings with their scores, alarms, sensors; as one consistent picture.

    [dim]gasinsight export --start 2026-11-01 --end 2026-11-30 -o november.parquet
    gasinsight export --facility ridge-1 --hive -o ridge-1
    gasinsight export --sensor PT-1 --columns tracked_at,value --format csv -o - | head
    gasinsight export alarms -o alarms.parquet
    gasinsight export sensors -o sensors.csv[/]

    Reads the database itself (DATABASE_URL, or the one running here) while everything works. Memory stays the same
    however long the range. What is interrupted leaves nothing. docs/exports.md describes every column.
    """
    from engine.commands.export import ExportOptions, run_export

    options = ExportOptions(
        dataset,
        tuple(facilities or ()),
        tuple(sensors or ()),
        start,
        end,
        tuple(name.strip() for name in columns.split(",")) if columns else (),
        out,
        kind,
        hive,
        as_json,
    )
    run_export(given(data_dir=data_dir), options)
