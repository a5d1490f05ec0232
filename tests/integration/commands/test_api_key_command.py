"""`gasinsight api-key` against a running server: what it prints is what a script and a person need."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from engine.client import GasInSight
from engine.client.admin import Admin
from engine.client.shapes import ApiKey
from engine.commands.api_keys import NewKey, create_key
from engine.commands.cli.app import app
from engine.commands.login import NotDone
from engine.errors import SettingsError
from tests.integration.web.harness import ADMIN_EMAIL, ADMIN_PASSWORD, Web, web_server

pytestmark = pytest.mark.postgres
ROOT = Path(__file__).parents[3]


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


async def test_a_key_that_cannot_be_shown_is_revoked(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        await web.facility("n1")
        words = ["api-key", "create", "full", "--view", "n1", "--url", f"http://127.0.0.1:{web.port}"]
        with Path("/dev/full").open("wb") as full:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "engine.commands.cli.app", *words, "--user", ADMIN_EMAIL),
                cwd=ROOT,
                env={**os.environ, "GASINSIGHT_PASSWORD": ADMIN_PASSWORD, "DATA_DIR": str(tmp_path)},
                stdout=full,
                stderr=asyncio.subprocess.PIPE,
            )
            _, said = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 1
        assert said.decode().splitlines()[-1] == (
            "gasinsight: the key cannot be shown (No space left on device), so 1 (full) is revoked"
        )
        assert await web.database.fetchval("SELECT count(*) FROM api_keys WHERE revoked_at IS NULL") == 0


async def test_a_key_that_is_made_while_we_are_interrupted_is_revoked(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = Admin.create_api_key

    async def interrupted(self: Admin, *words: Any, **more: Any) -> ApiKey:
        made = await create(self, *words, **more)
        creating.cancel()
        await asyncio.sleep(0)
        return made

    monkeypatch.setattr(Admin, "create_api_key", interrupted)
    async with web_server(database_url, tmp_path) as web:
        await web.facility("n1")
        async with GasInSight(f"http://127.0.0.1:{web.port}", ADMIN_EMAIL, ADMIN_PASSWORD) as gis:
            creating = asyncio.create_task(create_key(gis, NewKey("late", ("n1",), (), 5), as_json=False))
            with pytest.raises(asyncio.CancelledError):
                await creating
        assert await web.database.fetch("SELECT name, revoked_at IS NULL FROM api_keys") == [("late", False)]


def assert_says(result: Result, kind: type[Exception], sentence: str) -> None:
    """`main` prints such errors as one sentence."""
    assert isinstance(result.exception, kind), result.output
    assert sentence in str(result.exception)
