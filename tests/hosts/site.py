"""An installation on three hosts, set up by the words of docs/operations.md, "Several hosts".

head    PostgreSQL and bus as the operator has them, and the head of Ray, which carries no facilities
desk    a node, the engine that is started first, and the web server
work    a node, and an engine that stands by

Whatever ends is started again after two seconds, as systemd would.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import asyncpg
import httpx

from migrations.upgrade import upgrade
from tests.hosts.host import Host
from tests.hosts.network import NETWORK, Network
from tests.hosts.postgres_server import USER
from tests.integration.cluster.field import QUEUES
from tests.integration.local_bus.harness import KEY

HOSTS: Final = ("head", "desk", "work")
RESTART_S: Final = 2.0
POLL_S: Final = 0.1
START_S_MAX: Final = 60.0
END_S_MAX: Final = 30.0
LEADS: Final = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted)"
OURS: Final = {"bus", "engine", "web"}
WEB_PORT: Final = 8000
PASSWORD: Final = "a password of the tests"
SECRETS: Final = {
    "secret_key": "a key of the tests that signs nothing else",
    "admin_password": "another password of the tests",
    "postgres_password": PASSWORD,
    "ray_token": "a-token-of-the-tests",
}
RAY: Final = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN_PATH": "/var/lib/secrets/ray_token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
    "RAY_timeout_ms_task_wait_for_death_info": "100",
    "RAY_core_worker_internal_heartbeat_ms": "100",
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "5",
}


class Unit:
    """A process that is kept alive on a host."""

    def __init__(self, host: Host, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.host = host
        self.name = name
        self._command = command
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self.ends: list[tuple[float, int]] = []
        """(time.time(), exit status) of each end that nobody asked for."""

    def start(self) -> None:
        self._process = self.host.spawn(self.name, self._command, self._environment)
        self._keeping = asyncio.create_task(self._keep())

    async def stop(self) -> int:
        """SIGTERM; its exit status."""
        self.forget()
        assert self._process is not None
        self.host.send(self._process, signal.SIGTERM)
        return await asyncio.to_thread(self._process.wait, END_S_MAX)

    def forget(self) -> None:
        """Its host goes off."""
        if self._keeping is not None:
            self._keeping.cancel()
            self._keeping = None

    async def _keep(self) -> None:
        while True:
            assert self._process is not None
            while (status := self._process.poll()) is None:
                await asyncio.sleep(POLL_S)
            self.ends.append((time.time(), status))
            await asyncio.sleep(RESTART_S)
            self._process = self.host.spawn(self.name, self._command, self._environment)


class Site:
    """The installation. To be used from the yard of the network."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.hosts = network.hosts
        head = self.hosts["head"].address
        self.database_url = f"postgresql://{USER}:{PASSWORD.replace(' ', '%20')}@{head}:5432/postgres"
        self.bus = (
            f"Endpoint=sb://{head}:5672;SharedAccessKeyName=local;SharedAccessKey={KEY};UseDevelopmentEmulator=true;"
        )
        self.environment = {
            "ENVIRONMENT": "production",
            "DATA_DIR": "/var/lib/gasinsight",
            "SECRETS_DIR": "/var/lib/secrets",
            "RAY_ADDRESS": f"{head}:6379",
            "CORS_ORIGINS": "https://front.example.org",
            **RAY,
        }
        self.units = {name: list(self._units_of(name)) for name in HOSTS}

    def unit(self, host: str, name: str) -> Unit:
        return next(unit for unit in self.units[host] if unit.name == name)

    async def start(self) -> None:
        """All of it; returns when the processes are there, long before they are ready."""
        for host in self.hosts.values():
            secrets = host.folder / "var/lib/secrets"
            secrets.mkdir(mode=0o700)
            given = {**SECRETS, "database_url": self.database_url, "servicebus_connection_string": self.bus}
            for name, text in given.items():
                (secrets / name).write_text(text)
                (secrets / name).chmod(0o600)
        for unit in self.units["head"]:
            unit.start()
        await self._until(lambda: self.ask("SELECT true"))
        await asyncio.to_thread(upgrade, self.database_url)
        self.start_units("desk")
        await self._until(lambda: self.ask(LEADS))  # which of two engines is first is else up to chance
        self.start_units("work")

    def start_units(self, name: str) -> None:
        """As at the start of the host."""
        for unit in self.units[name]:
            unit.start()

    def power_off(self, name: str) -> None:
        """Everything on the host at once, without a word."""
        for unit in self.units[name]:
            unit.forget()
        self.network.power_off(name)

    def power_on(self, name: str) -> None:
        """With its disks, and with everything that it had."""
        self.network.power_on(name)
        self.start_units(name)

    async def ready(self, part: str = "") -> tuple[int, dict[str, Any]]:
        """Status and body of the web server's /readyz; 0 when it does not answer."""
        query = {"part": part} if part else {}
        async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
            try:
                answer = await client.get(f"http://{self.hosts['desk'].address}:{WEB_PORT}/readyz", params=query)
            except httpx.TransportError as error:
                return 0, {"detail": f"{type(error).__name__}: {error}"}
        return answer.status_code, answer.json()

    async def gasinsight(self, host: str, *arguments: str) -> tuple[int, str]:
        """The command, on one of the hosts."""
        command = [sys.executable, "-m", "engine.commands.cli.app", *arguments]
        return await asyncio.to_thread(self.hosts[host].run, command, self.environment, 180)

    async def ask(self, query: str, *arguments: object) -> Any:
        """The first column of the first row."""
        connection = await asyncpg.connect(self.database_url, timeout=5)
        try:
            return await connection.fetchval(query, *arguments)
        finally:
            connection.terminate()

    def log_text(self) -> str:
        """The last words of everything."""
        paths = [path for host in self.hosts.values() for path in sorted(host.folder.glob("*.log"))]
        paths += [
            path
            for host in self.hosts.values()
            for path in sorted(host.folder.glob("tmp/ray/session_2*/logs/worker-*.*"))[-12:]
        ]
        tails = ((path, path.read_text(errors="replace")[-2500:]) for path in paths)
        return "\n".join(f"--- {path}\n{tail}" for path, tail in tails if tail.strip())

    async def stop(self) -> list[str]:
        """In the order in which nothing is left to do; what of ours has not ended in good order, in words.

        Ray's own program may take longer than systemd waits for it, and is killed then.
        """
        wrong = []
        for name in ("work", "desk", "head"):
            for unit in reversed(self.units[name]):
                try:
                    status: int | None = await unit.stop()
                except subprocess.TimeoutExpired:
                    status = None
                if status != 0 and unit.name in OURS:
                    said = f"ended with status {status}" if status is not None else f"runs after {END_S_MAX:g} s"
                    wrong.append(f"{unit.name} on {name}, told to end, {said}")
        return wrong

    def forget(self) -> None:
        """Start nothing again; what still runs ends with its host."""
        for units in self.units.values():
            for unit in units:
                unit.forget()

    def _units_of(self, name: str) -> list[Unit]:
        host = self.hosts[name]
        head = self.hosts["head"].address
        ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--object-store-memory=134217728"]
        gasinsight = [sys.executable, "-m", "engine.commands.cli.app"]
        if name == "head":
            postgres = [sys.executable, "-m", "tests.hosts.postgres_server", head, f"{NETWORK}.0/24"]
            bus = [sys.executable, "-m", "engine.local_bus", "--data-dir", "/var/lib/bus", "--host", head]
            bus += [word for queue in QUEUES for word in ("--queue", queue)]
            start = [f"--node-ip-address={head}", "--head", "--port=6379", "--include-dashboard=false", "--num-cpus=0"]
            return [
                Unit(host, "postgres", postgres, {}),
                Unit(host, "bus", bus, {"GASINSIGHT_BUS_KEY": KEY}),
                Unit(host, "ray", [*ray, *start], RAY),
            ]
        node = Unit(host, "ray", [*ray, f"--address={head}:6379"], RAY)
        engine = Unit(host, "engine", [*gasinsight, "engine"], self.environment)
        if name == "work":
            return [node, engine]
        web = [*gasinsight, "web", "--host", host.address, "--port", str(WEB_PORT)]
        return [node, engine, Unit(host, "web", web, self.environment)]

    async def _until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(START_S_MAX):
            while True:
                with contextlib.suppress(OSError, asyncpg.PostgresError):
                    if await holds():
                        return
                await asyncio.sleep(POLL_S)
