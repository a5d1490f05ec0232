"""Unmodified Azure Service Bus clients of several ages and languages on the local bus.

Each is installed from its public registry into .cache/compat (once); without the network its test is skipped.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine.local_bus import LocalBus

pytestmark = [pytest.mark.bus, pytest.mark.long, pytest.mark.timeout(600)]

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / ".cache" / "compat"
PYTHON_SDKS = ("7.11.4", "7.14.3", "7.15.0")
TLS_ONLY = ("7.11.4",)
JAVASCRIPT_SDK = "7.9.5"
CHECKS = ["single", "batch", "abandon", "dead-letter", "renew", "expiry"]
CHECKS += ["peek", "receive-and-delete", "large", "unknown-queue", "scheduled"]
KEY = "c2VjcmV0IG9mIHRoZSB0ZXN0cw=="
LOCK_S = 3.0
INSTALL_S_MAX = 300
RUN_S_MAX = 240

# Clients before 7.14 dial port 5671 whatever they are told: a loopback address for each bus keeps them apart.
_addresses = (f"127.{1 + os.getpid() % 200}.{os.getpid() // 200 % 250}.{number}" for number in itertools.count(2))


@pytest.mark.parametrize("style", ["sync", "async"])
@pytest.mark.parametrize("version", PYTHON_SDKS)
async def test_python_sdk(version: str, style: str, tmp_path: Path) -> None:
    python = await asyncio.to_thread(python_with_sdk, version)
    script = HERE / "clients/python_client.py"
    if version in TLS_ONLY:
        async with tls_bus(tmp_path) as (endpoint, trust):
            await check(python, script, endpoint, style, LOCK_S, trust)
    else:
        async with running(LocalBus(tmp_path, CHECKS, 0, key=KEY, lock_s=LOCK_S)) as bus:
            await check(python, script, bus.connection_string, style, LOCK_S)


@pytest.mark.parametrize("style", ["sync", "async"])
@pytest.mark.parametrize("version", TLS_ONLY)
async def test_a_hub_that_is_told_nothing_trusts_its_bundle(version: str, style: str, tmp_path: Path) -> None:
    """It asks certifi and no variable of the environment: what is appended to certifi's bundle is trusted."""
    python = await asyncio.to_thread(python_with_sdk, version)
    script = HERE / "clients/python_client.py"
    async with tls_bus(tmp_path) as (endpoint, trust):
        variables = {"SSL_CERT_FILE": str(trust), "REQUESTS_CA_BUNDLE": str(trust)}
        with pytest.raises(AssertionError, match="CERTIFICATE_VERIFY_FAILED"):
            await check(python, script, endpoint, style, LOCK_S, only="single", **variables)
        bundled = with_trust(python, trust, tmp_path / "packages")
        await check(python, script, endpoint, style, LOCK_S, PYTHONPATH=str(bundled))


async def test_javascript_sdk(tmp_path: Path) -> None:
    node, modules = await asyncio.to_thread(node_with_sdk)
    async with running(LocalBus(tmp_path, CHECKS, 0, key=KEY, lock_s=LOCK_S)) as bus:
        await check(node, HERE / "clients/javascript_client.cjs", modules, bus.connection_string, LOCK_S)


@asynccontextmanager
async def running(bus: LocalBus) -> AsyncIterator[LocalBus]:
    await bus.start()
    try:
        yield bus
    finally:
        await bus.stop()


@asynccontextmanager
async def tls_bus(folder: Path) -> AsyncIterator[tuple[str, Path]]:
    """A connection string and the file to trust of a bus with the option --tls."""
    address = next(_addresses)
    command = [sys.executable, "-m", "engine.local_bus", "--data-dir", str(folder), "--host", address, "--port", "0"]
    command += ["--lock-s", str(LOCK_S), "--tls", "--tls-name", address, "--parent-death"]
    for queue in CHECKS:
        command += ["--queue", queue]
    environment = {**os.environ, "GASINSIGHT_BUS_KEY": KEY}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=HERE.parents[1], env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        assert b"listens" in await asyncio.wait_for(process.stdout.readline(), 20)
        yield f"Endpoint=sb://{address}/;SharedAccessKeyName=local;SharedAccessKey={KEY}", folder / "tls/authority.pem"
    finally:
        process.terminate()
        await process.wait()


def with_trust(python: Path, trust: Path, folder: Path) -> Path:
    """A folder of packages with certifi as that interpreter has it and a certificate more in its bundle."""
    found = subprocess.run([python, "-m", "certifi"], check=True, capture_output=True, text=True)
    bundle = Path(found.stdout.strip())
    shutil.copytree(bundle.parent, folder / "certifi")
    with (folder / "certifi" / bundle.name).open("ab") as file:
        file.write(trust.read_bytes())
    return folder


async def check(*command: object, only: str | None = None, **environment: str) -> None:
    """Run a client; every check (or the one that is named) must have run, and none may have failed."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        env={**os.environ, **environment, "CHECKS_ONLY": only or ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, errors = await asyncio.wait_for(process.communicate(), RUN_S_MAX)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    results = [json.loads(line) for line in out.decode().splitlines()]
    failed = "\n".join(f"{result['check']}: {result['error']}" for result in results if result["error"])
    assert not failed, failed
    assert process.returncode == 0, errors.decode()
    assert [result["check"] for result in results] == ([only] if only else CHECKS), errors.decode()


def python_with_sdk(version: str) -> Path:
    """The interpreter of an environment that has only this SDK."""
    folder = CACHE / f"azure-servicebus-{version}"
    python = folder / "bin/python"
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not installed")
    if not (folder / ".ready").exists():
        install(uv, "venv", "--clear", folder)
        install(uv, "pip", "install", "--python", python, f"azure-servicebus=={version}", "aiohttp>=3.12,<4")
        (folder / ".ready").touch()
    return python


def node_with_sdk() -> tuple[Path, Path]:
    """Node, and the folder of its modules."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not installed")
    folder = CACHE / f"javascript-{JAVASCRIPT_SDK}"
    if not (folder / ".ready").exists():
        folder.mkdir(parents=True, exist_ok=True)
        install(npm, "install", "--no-save", "--prefix", folder, f"@azure/service-bus@{JAVASCRIPT_SDK}")
        (folder / ".ready").touch()
    return Path(node), folder


def install(*command: object) -> None:
    try:
        subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True, timeout=INSTALL_S_MAX)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"{Path(str(command[0])).name} could not install the client: {str(error.stderr)[-300:].strip()}")
