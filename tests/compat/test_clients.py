"""Unmodified Azure Service Bus clients of several ages and languages on the local bus.

Each is installed from its public registry into .cache/compat (once); without the network its test is skipped.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import ssl
import subprocess
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
        address = next(_addresses)
        tls = certified(address, tmp_path)
        async with running(LocalBus(tmp_path, CHECKS, 0, host=address, key=KEY, lock_s=LOCK_S, tls=tls)):
            endpoint = f"Endpoint=sb://{address}/;SharedAccessKeyName=local;SharedAccessKey={KEY}"
            await check(python, script, endpoint, style, LOCK_S, tmp_path / "ca.pem")
    else:
        async with running(LocalBus(tmp_path, CHECKS, 0, key=KEY, lock_s=LOCK_S)) as bus:
            await check(python, script, bus.connection_string, style, LOCK_S)


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


def certified(address: str, folder: Path) -> ssl.SSLContext:
    """A server's TLS with a certificate of its own in `folder`, valid for `address`."""
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("openssl is not installed: no certificate for clients that speak TLS only")
    key, certificate = folder / "key.pem", folder / "ca.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=local bus"]
    command += ["-addext", f"subjectAltName=IP:{address}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


async def check(*command: object) -> None:
    """Run a client; every check must have run, and none may have failed."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
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
    assert [result["check"] for result in results] == CHECKS, errors.decode()


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
