"""The whole system as users run it: `gasinsight up` against a PostgreSQL and a bus that are reached through proxies.

PostgreSQL and the bus are children of the run itself and come back at once when they are killed; so does `up`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from engine import runtime
from engine.embedded.postgres import EmbeddedPostgres
from engine.errors import BusUnavailable, StoreUnavailable
from engine.local_bus.server import connection_string
from engine.processes.children import (
    Child,
    ChildSpec,
    become_reaper,
    cease_reaping,
    end_descendants,
)
from engine.processes.parts import LOOPBACK, bus_spec
from engine.processes.polling import answers, until
from engine.processes.ports import free_port
from engine.processes.process_table import descendants
from engine.settings import Settings, load_settings
from migrations.upgrade import upgrade
from tests.chaos.disk import SmallDisk
from tests.chaos.proxy import TcpProxy
from tests.integration.web.certificates import make_certificate

START_S_MAX = 360.0
UP_STOP_S_MAX = 60.0
RESTART_PAUSE_S = 0.5
NOT_GIVEN = ("DATABASE_URL", "SERVICEBUS_CONNECTION_STRING", "RAY_ADDRESS", "ADMIN_PASSWORD", "ENVIRONMENT")

# The log is deleted up to each checkpoint; the fold at the end needs all of it.
KEEP_COMMITS = """
CREATE TABLE chaos_commits (
    facility_id text, commit_no bigint, kind text, payload bytea, committed_at timestamptz,
    PRIMARY KEY (facility_id, commit_no)
);
CREATE FUNCTION chaos_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos_commits VALUES (NEW.facility_id, NEW.commit_no, NEW.kind, NEW.payload, clock_timestamp());
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_keep AFTER INSERT ON facility_commits FOR EACH ROW EXECUTE FUNCTION chaos_keep();
"""

Say = Callable[[str], None]
AWAY = (
    StoreUnavailable,
    BusUnavailable,
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what a connection that dies in the middle of things may raise
)
"""What asking a part raises while it is down or on its way up."""


@dataclass(slots=True)
class House:
    """`database_url` and `bus` are the direct ways; the engine and the web server go through the proxies."""

    folder: Path
    settings: Settings
    disk: SmallDisk
    postgres: EmbeddedPostgres
    database_url: str
    bus: str
    points: Path
    bus_child: Child
    up: Child
    bus_proxy: TcpProxy
    database_proxy: TcpProxy
    restarts: Counter[str] = field(default_factory=Counter)
    keep_folder: bool = False
    _closing: bool = False
    _keepers: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.settings.web_port}"

    def pids(self, part: str) -> list[int]:
        """Processes of the parts that this run has started itself."""
        if part == "PostgreSQL":
            return [pid for pid in [self.postgres.pid] if pid]
        return [pid for pid in [(self.up if part == "up" else self.bus_child).pid] if pid]

    def sessions(self) -> set[int]:
        """All processes of PostgreSQL below its postmaster."""
        return set().union(*(descendants(pid) for pid in self.pids("PostgreSQL")))

    def keep_alive(self) -> None:
        """Start again what ends."""
        self._keepers = [asyncio.create_task(self._keep(child)) for child in (self.bus_child, self.up)]

    async def ready(self) -> bool:
        """Whether the web server says that all parts work."""
        return await answers(f"{self.url}/readyz")

    async def stop_up(self) -> None:
        """SIGTERM: the engine writes its last checkpoints. PostgreSQL and bus stay."""
        self._closing = True
        await self.up.stop()

    async def close(self) -> None:
        """End what still runs."""
        self._closing = True
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for child in (self.up, self.bus_child):
            await child.stop()
        await self.bus_proxy.close()
        await self.database_proxy.close()

    async def _keep(self, child: Child) -> None:
        while True:
            await child.ended()
            if self._closing:
                return
            self.restarts[child.name] += 1
            await asyncio.sleep(RESTART_PAUSE_S)
            await child.start()


@asynccontextmanager
async def open_house(say: Say) -> AsyncIterator[House]:
    """Everything up and ready. At the end everything is ended; the folder stays when `keep_folder` is set by then."""
    become_reaper()
    for name in NOT_GIVEN:
        os.environ.pop(name, None)
    os.environ["RAY_ADDRESS"] = ""
    folder = Path(tempfile.mkdtemp(prefix="gi-chaos-"))
    folder.chmod(0o711)
    disk = SmallDisk(folder / "disk")
    postgres = EmbeddedPostgres(disk.folder / "database", shared_dir=disk.folder / "shared")
    # in a test session others have processes here too
    others = descendants(os.getpid())
    house: House | None = None
    try:
        say("starting PostgreSQL")
        url = await asyncio.to_thread(postgres.start)
        await asyncio.to_thread(upgrade, url)
        await _keep_commits(url)
        house = await _furnish(folder, disk, postgres, url)
        say("starting the bus and gasinsight up")
        await _start(house)
        yield house
    finally:
        if house is not None:
            await house.close()
        await asyncio.to_thread(postgres.stop)
        end_descendants(sparing=others)
        cease_reaping()  # orphans of later tests in this process shall find nobody, as in the field
        disk.remove()
        if house is None or not house.keep_folder:
            shutil.rmtree(folder, ignore_errors=True)


async def _furnish(folder: Path, disk: SmallDisk, postgres: EmbeddedPostgres, url: str) -> House:
    settings = load_settings(data_dir=folder / "data", web_port=free_port(LOOPBACK, 0))
    key = runtime.development_secret(settings.data_dir, "bus_key")
    bus_port, database_port = free_port(LOOPBACK, 0), urlsplit(url).port
    assert database_port is not None
    bus_proxy, database_proxy = TcpProxy(bus_port), TcpProxy(database_port)
    await bus_proxy.start()
    await database_proxy.start()
    points = folder / "points"
    points.mkdir()
    environment = {
        "DATABASE_URL": url.replace(f":{database_port}/", f":{database_proxy.port}/"),
        "SERVICEBUS_CONNECTION_STRING": connection_string(bus_proxy.port, key),
        "GASINSIGHT_FAULTPOINTS": str(points),
        "NOTIFICATION_NETWORKS": "127.0.0.0/8",
        "SSL_CERT_FILE": str(folder / "fullchain.pem"),  # whom notifications go to
    }
    make_certificate(folder)
    command = [sys.executable, "-m", "engine.commands.cli.app", "up", "--json", "--data-dir", str(settings.data_dir)]
    command += ["--port", str(settings.web_port)]
    up = Child(ChildSpec("up", command, environment, stop_s=UP_STOP_S_MAX), folder / "logs", print)
    stored = settings.model_copy(update={"data_dir": disk.folder})
    bus_child = Child(bus_spec(stored, bus_port, key), folder / "logs", print)
    bus = connection_string(bus_port, key)
    return House(folder, settings, disk, postgres, url, bus, points, bus_child, up, bus_proxy, database_proxy)


async def _start(house: House) -> None:
    await house.bus_child.start()
    await house.up.start()
    house.keep_alive()
    try:
        await until(house.ready, START_S_MAX, "gasinsight up")
    except TimeoutError as error:
        raise house.up.failure(f"is not ready after {START_S_MAX:.0f} s") from error


async def _keep_commits(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(KEEP_COMMITS)
    finally:
        await connection.close()
