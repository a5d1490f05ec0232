"""Options that many words of the `gasinsight` command share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder of the embedded PostgreSQL, bus, secrets and logs.", show_default=False),
]
Url = Annotated[str | None, typer.Option(help="Address of the web server; default: the one running here.")]
User = Annotated[str | None, typer.Option(help="E-mail address or user name; default: the demo's admin.")]
Password = Annotated[
    str | None,
    typer.Option(help="Better left out (it is asked for) or in GASINSIGHT_PASSWORD.", envvar="GASINSIGHT_PASSWORD"),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")]


def given(**options: object) -> dict[str, object]:
    """Options that were given, as overrides of the settings of the same names."""
    return {name: value for name, value in options.items() if value is not None}
