"""`gasinsight web`, `engine` and `bus`: one part by itself, in this process or as children that share a socket."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from engine import runtime
from engine.cluster.environment import check_ray_settings
from engine.commands.steps import Screen
from engine.errors import SettingsError
from engine.local_bus.server import connection_string
from engine.processes.children import Child, become_reaper, end_descendants
from engine.processes.parts import LOOPBACK, absolute, bus_spec, child_environment, web_specs
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
    os.execve(sys.executable, [sys.executable, "-m", "engine"], {**os.environ, **child_environment(settings)})  # noqa: S606 - no shell


def run_web(overrides: dict[str, object]) -> None:
    """Keeps `web_processes` servers on one port until Ctrl-C."""
    settings = absolute(load_settings(**overrides))
    listener = listen(settings.web_host, settings.web_port, "--port")
    become_reaper()
    screen = Screen()
    logs_dir = settings.data_dir / "logs"
    children = [
        Child(spec, logs_dir, lambda what: screen.event("restart", what, what=what))
        for spec in web_specs(settings, listener)
    ]
    screen.event("ready", f"listening on http://{settings.web_host}:{settings.web_port}, logs in {logs_dir}")
    try:
        asyncio.run(_keep(children))
    finally:
        end_descendants()


def run_bus(overrides: dict[str, object]) -> None:
    """Keeps a local bus until Ctrl-C, and tells the other commands where it is."""
    settings = absolute(load_settings(**overrides))
    data_dir = settings.data_dir
    runtime.claim(data_dir, "bus")
    check_free(LOOPBACK, settings.bus_port, "--port")
    key = runtime.development_secret(data_dir, "bus_key")
    runtime.publish(data_dir, "bus", servicebus_connection_string=connection_string(settings.bus_port, key))
    screen = Screen()
    spec = bus_spec(settings, settings.bus_port, key)
    child = Child(spec, data_dir / "logs", lambda what: screen.event("restart", what, what=what))
    screen.event(
        "ready",
        f"local bus on {LOOPBACK}:{settings.bus_port}; commands with --data-dir {data_dir} find its connection string"
        f" in {data_dir / runtime.RUNTIME_NAME}",
    )
    try:
        asyncio.run(_keep([child]))
    finally:
        runtime.withdraw(data_dir, "bus")


async def _keep(children: list[Child]) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    for child in children:
        await child.start()
    keeping = [asyncio.create_task(child.keep()) for child in children]
    stopped = asyncio.create_task(stopping.wait())
    try:
        done, _ = await asyncio.wait({stopped, *keeping}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in keeping:
            task.cancel()
        await asyncio.gather(*(child.stop() for child in children))
