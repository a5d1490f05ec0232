"""The real web server process: it refuses to start on weak secrets, and writes none of its secrets anywhere."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import asyncpg
import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from engine.errors import SettingsError
from engine.processes.polling import answers
from tests.integration.web.harness import HeldFeed, settings_for
from web.app import create_app

pytestmark = pytest.mark.postgres

ROOT = Path(__file__).resolve().parents[3]
SECRET = "zDq4-only-of-this-test-and-long-enough-91"
PASSWORD = "Correct-Horse-Battery-7!"
NEW_PASSWORD = "Staple-&-Correct-Horse-8!"
WRONG_PASSWORD = "Wrong-Horse-Battery-9!"
WEAK: list[tuple[dict[str, str], str]] = [
    ({"SECRET_KEY": "too short to sign"}, "SECRET_KEY has 17 characters"),
    ({"SECRET_KEY": "your-super-secret-jwt-token-with-at-least-32"}, "SECRET_KEY has a well-known value"),
    ({"SECRET_KEY": ""}, "SECRET_KEY is missing"),
    ({"SECRET_KEY_ALSO_ACCEPTED": "secret"}, "SECRET_KEY_ALSO_ACCEPTED has 6 characters"),
    ({"ADMIN_PASSWORD": "changeme"}, "ADMIN_PASSWORD is among the first"),
    ({"ALGORITHM": "EdDSA"}, "SIGNING_KEYS must begin with"),
]


def launch(folder: Path, database_url: str, port: int, **changes: str) -> subprocess.Popen[bytes]:
    """As an operator starts it, with everything logged that can be."""
    kept = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("RAY", "WEB_", "SERVICEBUS", "ADMIN_", "SECRET", "DATABASE", "ENVIRONMENT"))
    }
    given = {
        "ENVIRONMENT": "production",
        "DATABASE_URL": database_url,
        "SECRET_KEY": SECRET,
        "ADMIN_PASSWORD": PASSWORD,
        "DATA_DIR": str(folder / "data"),
        "LOG_LEVEL": "DEBUG",
        "PYTHONPATH": str(ROOT),
    }
    arguments = ["hypercorn", "web.main:app", "--bind", f"127.0.0.1:{port}", "--workers", "0"]
    arguments += ["--access-logfile", "-", "--error-logfile", "-", "--log-level", "debug"]
    with (folder / "server.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=folder,
            env={**kept, **given, **changes},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.mark.parametrize(("changes", "said"), WEAK)
def test_what_production_refuses(
    changes: dict[str, str], said: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {
        "secret_key": SECRET,
        "admin_password": PASSWORD,
        **{name.lower(): text for name, text in changes.items()},
    }
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=said):
        create_app(settings_for(database_url, tmp_path, environment="production", **values), HeldFeed())
    if "ALGORITHM" not in changes and changes != {"SECRET_KEY": ""}:
        create_app(settings_for(database_url, tmp_path, environment="development", **values), HeldFeed())
    create_app(
        settings_for(database_url, tmp_path, environment="production", secret_key=SECRET, admin_password=PASSWORD),
        HeldFeed(),
    )


def test_the_process_ends_before_it_listens(database_url: str, tmp_path: Path) -> None:
    begun = []
    for n, (changes, said) in enumerate((WEAK[1], WEAK[4])):
        folder = tmp_path / str(n)
        folder.mkdir()
        begun.append((launch(folder, database_url, free_port(), **changes), folder, changes, said))
    for process, folder, changes, said in begun:
        assert process.wait(60) != 0
        log = (folder / "server.log").read_text()
        assert said in log
        assert not [text for text in changes.values() if text in log]


@asynccontextmanager
async def running(folder: Path, database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    port = free_port()
    process = launch(folder, database_url, port)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False) as client:
            async with asyncio.timeout(60):
                while not await answers(f"{client.base_url}/readyz?part=web"):
                    assert process.poll() is None, (folder / "server.log").read_text()
                    await asyncio.sleep(0.1)
            yield client
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            await asyncio.to_thread(process.wait, 20)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


async def sign_in(client: httpx.AsyncClient, password: str) -> httpx.Response:
    return await client.post("/auth/token", data={"username": "admin", "password": password})


async def test_no_secret_is_written_anywhere(database_url: str, tmp_path: Path) -> None:
    database_password = urlsplit(database_url).password
    assert database_password
    secrets = {SECRET, PASSWORD, NEW_PASSWORD, WRONG_PASSWORD, database_password}
    async with running(tmp_path, database_url) as client:
        secrets |= await use_everything(client)
        secrets |= await break_things(client, database_url)
    files = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink()]
    log = (tmp_path / "server.log").read_text()
    for trace in (
        "/auth/refresh-token",
        "/ws/notifications",
        "request_failed",
        "sign_in_refused",
        "refresh_token_reused",
    ):
        assert trace in log, f"{trace} should have been logged, else this proves nothing"
    for path in files:
        text = path.read_bytes().decode("utf-8", errors="replace")
        for secret in secrets:
            for spelled in {secret, quote(secret, safe=""), secret.rpartition(".")[2]}:
                assert spelled not in text, f"{path.name} holds {spelled[:12]}…"


async def use_everything(client: httpx.AsyncClient) -> set[str]:
    """Each way in which a secret travels, good and bad; returns the secrets that were made."""
    assert (await sign_in(client, WRONG_PASSWORD)).status_code == 401
    first = (await sign_in(client, PASSWORD)).json()
    second = (await client.post("/auth/refresh-token", params={"refresh_token": first["refresh_token"]})).json()
    for token in (first["refresh_token"] + "x", first["access_token"]):
        assert (await client.post("/auth/refresh-token", params={"refresh_token": token})).status_code == 401
    headers = {"Authorization": f"Bearer {second['access_token']}"}
    change: dict[str, Any] = {"current_password": WRONG_PASSWORD, "new_password": NEW_PASSWORD}
    assert (await client.post("/auth/password", json=change, headers=headers)).status_code == 400
    assert (await client.post("/auth/password", json=change, headers={"Authorization": SECRET})).status_code == 401
    change["current_password"] = PASSWORD
    third = (await client.post("/auth/password", json=change, headers=headers)).json()
    await knock(client, "/ws/notifications", third["access_token"], 101)
    await knock(client, "/ws/notifications", first["access_token"], 403)
    await knock(client, "/ws/sensor-data/absent", third["access_token"], 403)
    tokens = [pair[name] for pair in (first, second, third) for name in ("access_token", "refresh_token")]
    return set(tokens)


async def knock(client: httpx.AsyncClient, path: str, token: str, status: int) -> None:
    address = f"ws://{client.base_url.host}:{client.base_url.port}{path}?token={token}"
    try:
        async with connect(address):
            assert status == 101
    except InvalidStatus as refused:
        assert refused.response.status_code == status


async def break_things(client: httpx.AsyncClient, database_url: str) -> set[str]:
    """A refresh token used late by another browser; a database unlike what the program expects: tracebacks with SQL."""
    pair = (await sign_in(client, NEW_PASSWORD)).json()
    token = pair["access_token"]
    used = {"refresh_token": pair["refresh_token"]}
    await client.post("/auth/refresh-token", params=used)
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE refresh_tokens SET used_at = used_at - interval '1 hour'")
    await client.post("/auth/refresh-token", params=used, headers={"User-Agent": "another browser"})
    await connection.execute("ALTER TABLE users RENAME COLUMN hashed_password TO no_longer_there")
    assert (await sign_in(client, NEW_PASSWORD)).status_code == 500
    await connection.execute("ALTER TABLE users RENAME COLUMN sessions_valid_from TO neither_there")
    assert (await client.get("/users/me", headers={"Authorization": f"Bearer {token}"})).status_code == 500
    query = {"token": token, "refresh_token": token}
    assert (
        await client.get("/users/me", headers={"Authorization": f"Bearer {token}"}, params=query)
    ).status_code == 500
    await connection.close()
    return set(pair.values()) - {"bearer"}
