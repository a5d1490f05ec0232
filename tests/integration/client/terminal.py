"""The terminal, against a real web server."""

from __future__ import annotations

import asyncio

from typer.testing import CliRunner, Result

from engine.commands.cli.app import app
from tests.integration.web.harness import ADMIN_EMAIL, ADMIN_PASSWORD, Web


async def gasinsight(web: Web, *words: str) -> Result:
    """What a command says that is asked of this server by its first admin."""
    login = ["--url", f"http://127.0.0.1:{web.port}", "--user", ADMIN_EMAIL, "--data-dir", str(web.settings.data_dir)]
    environment = {"GASINSIGHT_PASSWORD": ADMIN_PASSWORD, "COLUMNS": "200"}
    return await asyncio.to_thread(CliRunner().invoke, app, [*words, *login], env=environment)
