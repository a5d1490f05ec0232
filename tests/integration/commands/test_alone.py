"""`gasinsight bus` and `gasinsight web` by themselves: what they call ready can be used at that moment."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from engine import runtime
from engine.errors import BAD_SETTINGS_STATUS
from engine.local_bus.frames import SASL_HEADER, TYPE_SASL, SaslInit, SaslOutcome, encode_frame
from engine.local_bus.status import bus_answers
from engine.processes.ports import free_port
from tests.integration.local_bus.wire import Wire

ROOT = Path(__file__).parents[3]
LOOPBACK = "127.0.0.1"
START_S_MAX = 90
FORM = {"username": "admin@example.com", "password": "correct horse battery"}
NOT_GIVEN = ("DATABASE_URL", "SERVICEBUS_CONNECTION_STRING", "RAY_ADDRESS", "ADMIN_PASSWORD", "ENVIRONMENT")


@asynccontextmanager
async def running(*words: str, **environment: str) -> AsyncIterator[asyncio.StreamReader]:
    """What the command says while it runs; it is ended as with Ctrl-C."""
    kept = {name: value for name, value in os.environ.items() if name not in NOT_GIVEN}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *("-m", "engine.commands.cli.app", *words),
        cwd=ROOT, env={**kept, "COLUMNS": "200", **environment}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 30)


async def said(output: asyncio.StreamReader, words: str) -> str:
    async with asyncio.timeout(START_S_MAX):
        while line := (await output.readline()).decode():
            if words in line:
                return line
    raise AssertionError(f"it ended before it said {words!r}")


@pytest.mark.parametrize(
    "words",
    [
        ("engine",),
        ("hypercorn", "web.main:app", "--bind", "127.0.0.1:0", "--workers", "0"),
        ("engine.commands.cli.app", "simulate"),
        ("engine.commands.cli.app", "web"),
    ],
    ids=["engine", "web", "hub", "the command"],
)
def test_bad_settings_end_a_process_with_a_status_of_their_own_and_one_sentence(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    """By these whoever keeps it knows that trying again is in vain, and what to pass on."""
    environment = {**os.environ, "DATA_DIR": str(tmp_path), "WEB_PORT": "eighty"}
    ended = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == BAD_SETTINGS_STATUS
    (sentence,) = ended.stderr.splitlines()
    assert "these settings are not usable: WEB_PORT: " in sentence


@pytest.mark.bus
async def test_a_bus_that_is_called_ready_lets_us_in_and_only_then_others_are_told(tmp_path: Path) -> None:
    port = free_port(LOOPBACK, 0)
    published = "servicebus_connection_string"
    async with running("bus", "--data-dir", str(tmp_path), "--port", str(port)) as output:
        while published not in runtime.published_values(tmp_path):
            await asyncio.sleep(0.001)
        key = runtime.read_secret(tmp_path, "bus_key")
        assert await bus_answers(port, key)
        await said(output, "local bus on")
    assert runtime.published_values(tmp_path) == {}


@pytest.mark.bus
async def test_a_bus_with_tls_says_all_that_a_hub_needs(tmp_path: Path) -> None:
    port, tls_port = free_port(LOOPBACK, 0), free_port(LOOPBACK, 0)
    words = ("bus", "--data-dir", str(tmp_path), "--port", str(port), "--tls", "--tls-port", str(tls_port))
    async with running(*words) as output:
        connection_string = (await said(output, "bus (TLS)")).removeprefix("bus (TLS)").strip()
        trust = (await said(output, "trust")).removeprefix("trust").partition("(new")[0].strip()
        assert Path(trust) == tmp_path / "bus/tls/authority.pem"
        key = connection_string.removeprefix("Endpoint=sb://localhost/;SharedAccessKeyName=local;SharedAccessKey=")
        believing = ssl.create_default_context(cafile=trust)
        for name in ("localhost", "127.0.0.1", "::1"):
            opened = await asyncio.open_connection(LOOPBACK, tls_port, ssl=believing, server_hostname=name)
            wire = Wire(*opened)
            wire.say(SASL_HEADER, encode_frame(0, SaslInit("PLAIN", b"\0hub\0" + key.encode()), kind=TYPE_SASL))
            assert (await wire.until(SaslOutcome)).performative.code == 0
            wire.vanish()
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(LOOPBACK, tls_port, ssl=ssl.create_default_context())
        assert await bus_answers(port, key)


@pytest.mark.postgres
async def test_web_processes_that_are_called_ready_know_the_first_admin(database_url: str, tmp_path: Path) -> None:
    port = free_port(LOOPBACK, 0)
    words = ("web", "--data-dir", str(tmp_path), "--port", str(port), "--processes", "2")
    async with running(*words, DATABASE_URL=database_url, ADMIN_PASSWORD=FORM["password"]) as output:
        await said(output, "is ready")
        for _ in range(20):  # each on a connection of its own: whichever process takes it
            async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}", trust_env=False, timeout=30) as client:
                assert (await client.post("/auth/token", data=FORM)).status_code == 200
