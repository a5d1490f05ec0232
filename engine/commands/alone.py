"""`gasinsight web`, `engine` and `bus`: one part by itself, in this process or as children that share a socket."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import partial

from engine import runtime
from engine.cluster.environment import check_ray_settings
from engine.commands.bus_tls import prepare_tls
from engine.commands.steps import Screen
from engine.environments import basic_environment
from engine.errors import SettingsError
from engine.local_bus.server import connection_string
from engine.local_bus.status import bus_answers
from engine.local_bus.tls import TlsOptions
from engine.private_files import own_data_folder
from engine.processes.children import Child, become_reaper, end_descendants
from engine.processes.parts import LOOPBACK, absolute, bus_spec, engine_environment, web_specs, web_url
from engine.processes.polling import answers, until
from engine.processes.ports import check_free, listen
from engine.settings import load_settings


def run_engine(overrides: dict[str, object]) -> None:
    """Becomes `python -m engine`."""
    settings = absolute(runtime.effective_settings(**overrides))
    missing = [
        name
        for name, value in (
            ("DATABASE_URL", settings.database_url),
            ("SERVICEBUS_CONNECTION_STRING", settings.servicebus_connection_string),
        )
        if value is None
    ]
    if missing:
        raise SettingsError(f"set {' and '.join(missing)}, or let `gasinsight up` start everything")
    check_ray_settings(settings)
    own_data_folder(settings.data_dir)
    environment = basic_environment() | engine_environment(settings)
    os.execve(sys.executable, [sys.executable, "-m", "engine"], environment)  # noqa: S606 - no shell


def run_web(overrides: dict[str, object]) -> None:
    """Keeps `web_processes` servers on one port until Ctrl-C."""
    settings = absolute(load_settings(**overrides))
    listener = listen(settings.web_host, settings.web_port, "--port")
    own_data_folder(settings.data_dir)
    become_reaper()
    screen = Screen()
    logs_dir = settings.data_dir / "logs"
    children = [
        Child(spec, logs_dir, lambda what: screen.event("restart", what, what=what), limits=settings.log_limits)
        for spec in web_specs(settings, listener)
    ]
    url = web_url(settings)
    screen.event("starting", f"listening on {url}, logs in {logs_dir}")
    is_ready = partial(answers, f"{url}/readyz?part=web")
    try:
        asyncio.run(_keep(children, is_ready, lambda: screen.event("ready", f"{url} is ready")))
    finally:
        end_descendants()


def run_bus(overrides: dict[str, object], asked: TlsOptions | None = None) -> None:
    """Keeps a local bus until Ctrl-C, and tells the other commands where it is."""
    settings = absolute(load_settings(**overrides))
    data_dir = settings.data_dir
    own_data_folder(data_dir)
    runtime.claim(data_dir, "bus")
    check_free(LOOPBACK, settings.bus_port, "--port")
    tls = prepare_tls(asked, settings)
    key = runtime.development_secret(data_dir, "bus_key")
    screen = Screen()
    spec = bus_spec(settings, settings.bus_port, key, tls.words if tls else ())
    limits = settings.log_limits
    child = Child(spec, data_dir / "logs", lambda what: screen.event("restart", what, what=what), limits=limits)

    def tell() -> None:
        runtime.publish(data_dir, "bus", servicebus_connection_string=connection_string(settings.bus_port, key))
        screen.event(
            "ready",
            f"local bus on {LOOPBACK}:{settings.bus_port}; commands with --data-dir {data_dir} find its connection"
            f" string in {data_dir / runtime.RUNTIME_NAME}",
        )
        if tls is not None:
            screen.event("tls", tls.lines(key), **tls.fields(key))

    try:
        asyncio.run(_keep([child], partial(bus_answers, settings.bus_port, key), tell))
    finally:
        runtime.withdraw(data_dir, "bus")


async def _keep(children: list[Child], is_ready: Callable[[], Awaitable[bool]], tell_ready: Callable[[], None]) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    for child in children:
        await child.start()
    keeping = [asyncio.create_task(child.keep()) for child in children]
    stopped = asyncio.create_task(stopping.wait())
    answering = asyncio.create_task(until(is_ready, math.inf, "it"))  # a database may be away for long
    try:
        done, _ = await asyncio.wait({stopped, answering, *keeping}, return_when=asyncio.FIRST_COMPLETED)
        if done == {answering}:
            tell_ready()
            done, _ = await asyncio.wait({stopped, *keeping}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (answering, *keeping):
            task.cancel()
        await asyncio.gather(*(child.stop() for child in children))
