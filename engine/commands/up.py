"""`gasinsight up`: everything on one machine, started in order, watched, and ended together.

PostgreSQL → schema → bus → web and engine → simulated hub. What DATABASE_URL, SERVICEBUS_CONNECTION_STRING or
RAY_ADDRESS name is used as it is; only what is missing is embedded.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from engine import runtime
from engine.all_or_nothing import missing_folders, remove_empty
from engine.client import ClientError, GasInSight
from engine.cluster.environment import check_ray_settings
from engine.commands.bus_tls import BusTls, prepare_tls, remove_tls
from engine.commands.doctor import check_secret_key
from engine.commands.following import HubFollower, Summary
from engine.commands.given_files import check_writable
from engine.commands.steps import Screen
from engine.embedded.postgres import EmbeddedPostgres
from engine.errors import SettingsError
from engine.historian.connection import translated_errors
from engine.hub.field import FieldOptions
from engine.local_bus.server import connection_string
from engine.local_bus.status import bus_answers
from engine.local_bus.tls import TlsOptions
from engine.private_files import own_data_folder
from engine.processes.children import Child, ChildSpec, become_reaper, end_descendants
from engine.processes.parts import LOOPBACK, absolute, bus_spec, engine_spec, hub_environment, web_specs, web_url
from engine.processes.polling import answers
from engine.processes.ports import check_free, free_port, listen
from engine.processes.undertaker import Undertaker
from engine.settings import Settings, load_settings
from migrations.upgrade import upgrade

START_S_MAX = 300.0  # Ray on a busy machine; a part that ends is noticed at once
POLL_S = 0.1
FOLLOW_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class UpOptions:
    """`settings` are overrides in the names of the settings; `duration_s` counts from readiness."""

    settings: dict[str, object]
    simulate: bool
    field: FieldOptions
    ledger: Path | None = None
    duration_s: float | None = None
    as_json: bool = False
    tls: TlsOptions | None = None


def run_up(options: UpOptions) -> None:
    """Blocks until Ctrl-C, SIGTERM or the end of `duration_s`; nothing it started is left then."""
    settings = absolute(load_settings(**options.settings))
    if (finding := check_secret_key(settings)).grade == "wrong":
        raise SettingsError(f"{finding.check} has {finding.found}: {finding.advice}")
    check_ray_settings(settings)
    check_writable(options.ledger, "--ledger")
    screen = Screen(options.as_json)
    become_reaper()
    undertaker = Undertaker()
    try:
        asyncio.run(_until_stopped(Installation(settings, options, screen, undertaker)))
    finally:
        end_descendants()


async def _until_stopped(installation: Installation) -> None:
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    try:
        await installation.run()
    except asyncio.CancelledError:
        installation.screen.event("stopping", "\nstopping …")
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, lambda: None)  # once is enough
        started_s = time.monotonic()
        await installation.stop()
        took_s = time.monotonic() - started_s
        installation.screen.event("stopped", f"everything has ended ({took_s:.1f} s)", seconds=round(took_s, 2))


class Installation:
    """What one `up` started. `stop` ends it in the order in which nothing is lost or retried in vain."""

    def __init__(self, settings: Settings, options: UpOptions, screen: Screen, undertaker: Undertaker) -> None:
        self.screen = screen
        self._settings = settings
        self._options = options
        self._undertaker = undertaker
        self._data_dir = settings.data_dir
        self._logs_dir = settings.data_dir / "logs"
        self._postgres: EmbeddedPostgres | None = None
        self._children: list[Child] = []
        self._keeping: list[asyncio.Task[None]] = []
        self._listener: socket.socket | None = None
        self._bus_port: int | None = None
        self._tls: BusTls | None = None
        self._claimed = False
        self._published: dict[str, object] = {}
        self._hub = HubFollower(self._logs_dir / "hub.log", screen)
        self._missing: list[Path] = []

    @property
    def url(self) -> str:
        return web_url(self._settings)

    async def run(self) -> None:
        """Start, tell, and follow until cancelled, until the time is over, or until a child fails for good."""
        self._take_ports()
        self._missing = missing_folders(self._data_dir)
        own_data_folder(self._data_dir)
        runtime.claim(self._data_dir, "up")
        self._claimed = True
        self._tls = prepare_tls(self._options.tls, self._settings)
        first_start = runtime.read_secret(self._data_dir, "admin_password") is None
        with self.screen.starting():
            await self._start()
        await self._welcome(first_start)
        follow = asyncio.create_task(self._follow())
        timer = asyncio.create_task(asyncio.sleep(self._options.duration_s or 10**9))
        done, _ = await asyncio.wait({follow, timer, *self._keeping}, return_when=asyncio.FIRST_COMPLETED)
        for task in (follow, timer):
            task.cancel()
        for task in done:
            task.result()

    async def stop(self) -> None:
        """End the senders and readers first, then the bus, then the database."""
        for task in self._keeping:
            task.cancel()
        last = [child for child in self._children if child.name == "bus"]
        await asyncio.gather(*(child.stop() for child in self._children if child not in last))
        await asyncio.gather(*(child.stop() for child in last))
        if self._postgres is not None:
            await asyncio.to_thread(self._postgres.stop)
        if self._listener is not None:
            self._listener.close()
        if self._claimed:
            runtime.withdraw(self._data_dir, "up")
        if self._missing and not self._children and not EmbeddedPostgres(self._data_dir).has_cluster():
            remove_tls(self._settings)
            runtime.remove(self._data_dir)  # of a first start that came to nothing
            remove_empty(*self._missing)

    def _take_ports(self) -> None:
        settings = self._settings
        self._listener = listen(settings.web_host, settings.web_port, "--port")
        if settings.servicebus_connection_string is None:
            if "bus_port" in settings.model_fields_set:
                check_free(LOOPBACK, settings.bus_port, "BUS_PORT")
                self._bus_port = settings.bus_port
            else:
                self._bus_port = free_port(LOOPBACK, settings.bus_port)
        elif self._options.tls is not None:
            raise SettingsError("--tls is for the local bus, and SERVICEBUS_CONNECTION_STRING names another one")

    async def _start(self) -> None:
        settings = self._settings
        runtime.development_secret(self._data_dir, "admin_password")
        if settings.database_url is None:
            with self.screen.step("PostgreSQL (embedded)"):
                self._postgres = EmbeddedPostgres(self._data_dir, limits=settings.log_limits)
                await _to_the_end(self._postgres.start)
        with self.screen.step("database schema"):
            async with translated_errors("cannot bring the database to the newest schema"):
                await _to_the_end(lambda: upgrade(self._database_url))
        if self._postgres is not None:
            self._publish(database_url=self._postgres.url)
        if self._bus_port is not None:
            with self.screen.step("local bus"):
                key = runtime.development_secret(self._data_dir, "bus_key")
                spec = bus_spec(settings, self._bus_port, key, self._tls.words if self._tls else ())
                await self._start_child(spec, partial(bus_answers, self._bus_port, key))
            self._publish(servicebus_connection_string=connection_string(self._bus_port, key))
        with self.screen.step("web server"):
            assert self._listener is not None
            web = [await self._begin(spec) for spec in web_specs(settings, self._listener)]
            engine = await self._begin(engine_spec(settings))
            for child in web:
                await self._until_ready(child, self._web_answers)
            self._publish(web_url=self.url)
        with self.screen.step("engine and Ray"):
            await self._until_ready(engine, self._engine_works)
        if self._options.simulate:
            with self.screen.step("simulated field hub"):
                await self._start_child(self._hub_spec(), self._hub_sends)

    @property
    def _database_url(self) -> str:
        return self._postgres.url if self._postgres else self._settings.postgresql_url or ""

    def _publish(self, **values: object) -> None:
        """Tell neighbours where something is, once it answers there."""
        self._published |= values
        runtime.publish(self._data_dir, "up", **self._published)

    def _hub_spec(self) -> ChildSpec:
        field = self._options.field
        command = [sys.executable, "-m", "engine.commands.cli.app", "simulate", "--json", "--faults", field.faults]
        for name in ("facilities", "sensors", "rate", "seed"):
            command += [f"--{name}", str(getattr(field, name))]
        if self._options.ledger is not None:
            command += ["--ledger", str(self._options.ledger)]
        return ChildSpec("hub", command, hub_environment(self._settings))

    async def _begin(self, spec: ChildSpec) -> Child:
        child = Child(spec, self._logs_dir, self._tell_restart, self._undertaker, self._settings.log_limits)
        self._children.append(child)
        await child.start()
        return child

    def _tell_restart(self, what: str) -> None:
        self.screen.event("restart", f"{time.strftime('%H:%M:%S')}  {what}", what=what)

    async def _start_child(self, spec: ChildSpec, is_ready: Callable[[], Awaitable[bool]]) -> None:
        await self._until_ready(await self._begin(spec), is_ready)

    async def _until_ready(self, child: Child, is_ready: Callable[[], Awaitable[bool]]) -> None:
        """Wait for it, and keep it alive from then on; a child that ends before it was ready is a failed start."""
        ended = asyncio.ensure_future(child.ended())
        deadline_s = time.monotonic() + START_S_MAX
        try:
            while not await is_ready():
                if ended.done():
                    raise child.failure("does not start", ended.result())
                if time.monotonic() > deadline_s:
                    raise child.failure(f"is not ready after {START_S_MAX:g} s")
                await asyncio.wait({ended}, timeout=POLL_S)
        finally:
            ended.cancel()
        self._keeping.append(asyncio.create_task(child.keep()))

    async def _web_answers(self) -> bool:
        return await answers(f"{self.url}/readyz?part=web")

    async def _engine_works(self) -> bool:
        return await answers(f"{self.url}/readyz")

    async def _hub_sends(self) -> bool:
        self._hub.tell_news()
        return self._hub.introduced

    async def _welcome(self, first_start: bool) -> None:
        settings = self._settings
        where = runtime.secret_path(self._data_dir, "admin_password")
        if not await self._login_works():
            login_with = "that of this database's own admin (it had one before, or its password was changed)"
        elif settings.admin_password is not None:
            login_with = "as set in ADMIN_PASSWORD"
        elif first_start:
            login_with = f"{runtime.read_secret(self._data_dir, 'admin_password')}   (shown this once; kept in {where})"
        else:
            login_with = f"kept in {where}"
        beside = f" --data-dir {self._data_dir}" if "data_dir" in self._options.settings else ""
        bus = f"127.0.0.1:{self._bus_port}" if self._bus_port else "as set in SERVICEBUS_CONNECTION_STRING"
        bus_key = runtime.read_secret(self._data_dir, "bus_key") or ""
        over_tls = self._tls.lines(bus_key, "    ") if self._tls else ""
        for_hubs = self._tls.fields(bus_key) if self._tls else {}
        text = f"""
  GasInSight runs.

    console    {self.url}/console
    address    {self.url}        (interface description at {self.url}/docs)
    login      {settings.admin_email}
    password   {login_with}
    bus        {bus}
{over_tls}    logs       {self._logs_dir}

  Try in another terminal:

    gasinsight watch{beside}      live values and alerts
    gasinsight status{beside}     nodes, readers, facilities, lag
    gasinsight doctor{beside}     what is wrong, and what to do

  Ctrl-C ends everything; the data stay in {self._data_dir}.
"""
        self.screen.event("ready", text, url=self.url, email=settings.admin_email, password_file=str(where), **for_hubs)

    async def _login_works(self) -> bool:
        """Whether the first admin is ours; in doubt it is not."""
        given = self._settings.admin_password
        password = given.get_secret_value() if given else runtime.read_secret(self._data_dir, "admin_password")
        try:
            async with GasInSight(self.url, self._settings.admin_email, password) as gis:
                await gis.sign_in()
        except ClientError:
            return False
        return True

    async def _follow(self) -> None:
        """Tell about planted faults as they come and sum up now and then."""
        summary = Summary(self.url, self.screen)
        while True:
            self._hub.tell_news()
            await summary.tell_when_due()
            await asyncio.sleep(FOLLOW_EVERY_S)


async def _to_the_end(work: Callable[[], object]) -> None:
    """Run blocking `work` in a thread; a Ctrl-C meanwhile waits for its end, so that what it made can be ended too."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        raise
