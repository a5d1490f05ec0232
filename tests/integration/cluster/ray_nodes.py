"""A Ray cluster of several nodes on this machine, each with its own raylet, and token authentication."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
from pathlib import Path

from engine.processes.process_table import descendants

STORE_BYTES = 80 * 1024 * 1024


class RayNodes:
    """`ray start --block` once a node; `address` is what an engine is given as RAY_ADDRESS."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = _free_port()
        self.address = f"{_own_address()}:{self._port}"
        self.environment = {
            "RAY_ADDRESS": self.address,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_urlsafe(32),
            "RAY_AUTH_TOKEN_PATH": "",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_enable_metrics_collection": "0",
            "RAY_worker_niceness": "0",
            "RAY_health_check_initial_delay_ms": "2000",
            "RAY_health_check_period_ms": "1000",
            "RAY_health_check_timeout_ms": "2000",
            "RAY_health_check_failure_threshold": "5",
        }
        self._nodes: dict[str, asyncio.subprocess.Process] = {}

    async def start_head(self) -> None:
        """The first node, again also after its end, at the same address."""
        arguments = ["--head", f"--port={self._port}", f"--temp-dir={self._folder}", "--include-dashboard=false"]
        await self._start("head", arguments)
        while not await self._listens():
            await asyncio.sleep(0.2)

    async def start_node(self, name: str) -> None:
        await self._start(name, [f"--address={self.address}"])

    def kill(self, name: str) -> set[int]:
        """SIGKILL everything of a node at once: raylet, workers, on the head the control service too; the pids."""
        process = self._nodes.pop(name)
        pids = {process.pid, *descendants(process.pid)}
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return pids

    def log_text(self) -> str:
        """What our actors said; Ray keeps it for them."""
        files = sorted(self._folder.glob("session_*/logs/worker-*.*"))
        return "\n".join(text[-3000:] for path in files if (text := path.read_text(errors="replace")))

    def close(self) -> None:
        for name in list(self._nodes):
            self.kill(name)

    async def _start(self, name: str, arguments: list[str]) -> None:
        log = (self._folder.parent / f"ray-{name}.log").open("ab")
        self._nodes[name] = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ray.scripts.scripts",
            "start",
            *arguments,
            "--num-cpus=2",
            f"--object-store-memory={STORE_BYTES}",
            "--dashboard-agent-listen-port=0",
            "--disable-usage-stats",
            "--block",
            env={**os.environ, **self.environment},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()

    async def _listens(self) -> bool:
        host, _, port = self.address.rpartition(":")
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            return False
        writer.close()
        return True


def _own_address() -> str:
    """The address that Ray takes for this machine's; a datagram socket finds it without sending anything."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("8.8.8.8", 80))
        return str(probe.getsockname()[0])


def _free_port() -> int:
    """Outside the range that Ray gives to its workers."""
    for port in range(9300, 9900):
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
