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
Tls = Annotated[bool, typer.Option("--tls", help="The local bus speaks TLS too, for hubs that know nothing else.")]
TlsName = Annotated[
    list[str] | None, typer.Option(help="A name for its certificate beside those of loopback.", show_default=False)
]
TlsCertificate = Annotated[
    Path | None, typer.Option(help="A given certificate (PEM, its chain behind it) instead of one that is made.")
]
TlsKey = Annotated[Path | None, typer.Option(help="The key of that, if it is not in the same file.")]
TlsPort = Annotated[int | None, typer.Option(min=1, max=65535, help="5671 if not given, which hubs dial.")]


def given(**options: object) -> dict[str, object]:
    """Options that were given, as overrides of the settings of the same names."""
    return {name: value for name, value in options.items() if value is not None}
