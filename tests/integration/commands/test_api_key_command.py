"""`gasinsight api-key` against a running server: what it prints is what a script and a person need."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from engine.commands.cli.app import app
from engine.commands.login import NotDone
from engine.errors import SettingsError
from tests.integration.web.harness import ADMIN_EMAIL, ADMIN_PASSWORD, Web, web_server

pytestmark = pytest.mark.postgres


async def gasinsight(web: Web, *arguments: str, password: str = ADMIN_PASSWORD) -> Result:
    login = ["--url", f"http://127.0.0.1:{web.port}", "--user", ADMIN_EMAIL, "--data-dir", str(web.settings.data_dir)]
    environment = {"GASINSIGHT_PASSWORD": password, "COLUMNS": "200"}
    return await asyncio.to_thread(CliRunner().invoke, app, ["api-key", *arguments, *login], env=environment)


async def test_a_key_is_made_listed_and_revoked(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        await web.facility("n1", "North")
        await web.facility("s1", "South")
        await web.facility("s2", "South")
        made = await gasinsight(web, "create", "[red]report", "--view", "s1", "--edit", "North", "--days", "5")
        key = made.stdout.strip()
        assert key.startswith("gik_") and "until" in made.stderr and key not in made.stderr
        seen = await web.client.get("/facilities", headers={"Authorization": f"Bearer {key}"})
        assert [one["id"] for one in seen.json()] == ["n1", "s1"]
        made = await gasinsight(web, "create", "other", "--view", "n1", "--json")
        assert json.loads(made.stdout)["key"].startswith("gik_")

        listed = await gasinsight(web, "list")
        (line,) = [line for line in listed.stdout.splitlines() if "[red]report" in line]
        assert "Active" in line and "n1 (Edit), s1 (View)" in line and "never" not in line
        assert key not in listed.stdout
        assert "key" not in json.loads((await gasinsight(web, "list", "--json")).stdout.splitlines()[0])

        assert "([red]report) is revoked" in (await gasinsight(web, "revoke", "1")).stdout
        assert (await web.client.get("/facilities", headers={"Authorization": f"Bearer {key}"})).status_code == 401

        for arguments, sentence in (
            (("create", "x"), "at least one facility"),
            (("create", "x", "--view", "South"), "2 facilities have the id or the name 'South'"),
            (("create", "x", "--view", "East"), "0 facilities"),
        ):
            assert_says(await gasinsight(web, *arguments), SettingsError, sentence)
        assert_says(await gasinsight(web, "revoke", "77"), NotDone, "not found")
        assert_says(await gasinsight(web, "list", password="wrong"), SettingsError, "--password")


def assert_says(result: Result, kind: type[Exception], sentence: str) -> None:
    """`main` prints such errors as one sentence."""
    assert isinstance(result.exception, kind), result.output
    assert sentence in str(result.exception)
