"""`gasinsight facility` and `gasinsight sensor` against a running server: they ask before it is done."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from engine.commands.cli.app import app
from engine.commands.login import NotDone
from tests.integration.web.harness import ADMIN_EMAIL, ADMIN_PASSWORD, Web, web_server

pytestmark = pytest.mark.postgres


async def gasinsight(web: Web, *words: str, answer: str = "") -> Result:
    login = ["--url", f"http://127.0.0.1:{web.port}", "--user", ADMIN_EMAIL, "--data-dir", str(web.settings.data_dir)]
    environment = {"GASINSIGHT_PASSWORD": ADMIN_PASSWORD, "COLUMNS": "200"}
    return await asyncio.to_thread(CliRunner().invoke, app, [*words, *login], env=environment, input=answer)


async def test_it_is_asked_before_anything_is_done(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        await web.facility("f", "North")
        await web.sensor("s", "f")
        left = await gasinsight(web, "facility", "remove", "f", answer="n\n")
        assert isinstance(left.exception, NotDone)
        assert "facility f (North, TankFarm, Active)" in left.stderr and "cannot be undone" in left.stderr
        assert await web.database.fetchval("SELECT count(*) FROM facilities") == 1

        done = await gasinsight(web, "sensor", "retire", "s", answer="y\n")
        assert "sensor s (Sensor s) is retired." in done.stdout
        assert await web.database.fetchval("SELECT retired_at IS NOT NULL FROM sensors")
        again = await gasinsight(web, "sensor", "retire", "s", "--yes")
        assert isinstance(again.exception, NotDone) and "retired already" in str(again.exception)

        removed = await gasinsight(web, "facility", "remove", "f", "--yes", "--json")
        assert json.loads(removed.stdout)["id"] == "f" and not removed.stderr
        assert await web.database.fetchval("SELECT count(*) FROM facilities") == 0
        absent = await gasinsight(web, "facility", "retire", "f", "--yes")
        assert isinstance(absent.exception, NotDone) and "not found" in str(absent.exception)
