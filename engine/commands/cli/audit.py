"""The words of `gasinsight audit`."""

# ruff: noqa: PLC0415 - commands import what they need when they run, so that --help is quick

from __future__ import annotations

import sys
from typing import Annotated

import typer

from engine.commands.cli.options import AsJson, DataDir, given

app = typer.Typer(no_args_is_help=True, help="Who changed what, and whether the log of it is whole.")


@app.command()
def verify(
    expect_head: Annotated[
        str | None, typer.Option(metavar="HASH", help="A head that an earlier run printed: it must still be there.")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Check the chain of hashes from the first row to the last; exit status 1 when it is broken.

    [dim]gasinsight audit verify
    gasinsight audit verify --json --expect-head 5f2c…    also tells that rows were cut off the end[/]
    """
    from engine.commands.audit import run_verify

    sys.exit(run_verify(given(data_dir=data_dir), expect_head, as_json))


@app.command()
def show(
    last: Annotated[int, typer.Option(min=1, max=100_000, help="How many rows, the newest.")] = 20,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show who changed what, the newest last."""
    from engine.commands.audit import run_show

    run_show(given(data_dir=data_dir), last, as_json)
