"""How each long-running part is started as a child; shared by `up`, `web` and `bus`."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from engine.environments import ray_environment, settings_environment
from engine.processes.children import ChildSpec
from engine.settings import Settings

LOOPBACK = "127.0.0.1"
PROCESS_NAME = "GASINSIGHT_PROCESS"


def bus_spec(settings: Settings, port: int, key: str, more: Iterable[str] = ()) -> ChildSpec:
    """The local bus with the queues of the settings; its key goes through the environment."""
    command = [sys.executable, "-m", "engine.local_bus", "--data-dir", str(bus_folder(settings))]
    for queue in settings.queues.values():
        command += ["--queue", queue]
    return ChildSpec("bus", [*command, "--port", str(port), *more], {"GASINSIGHT_BUS_KEY": key})


def bus_folder(settings: Settings) -> Path:
    """Where the local bus keeps its messages and certificate."""
    return settings.data_dir / "bus"


def engine_spec(settings: Settings) -> ChildSpec:
    """Ray and the actors need a moment to end in good order."""
    return ChildSpec("engine", [sys.executable, "-m", "engine"], engine_environment(settings), stop_s=12.0)


def web_specs(settings: Settings, listener: socket.socket) -> Iterator[ChildSpec]:
    """Web server processes that share one listening socket, so that a restart of one loses no connection."""
    descriptor = listener.fileno()
    command = [sys.executable, "-m", "hypercorn", "web.main:app", "--bind", f"fd://{descriptor}", "--workers", "0"]
    for number in range(settings.web_processes):
        is_alone = settings.web_processes == 1
        name = "web" if is_alone else f"web-{number + 1}"
        own = {} if is_alone else {PROCESS_NAME: name}  # one socket for all: a scrape meets any of them
        environment = settings_environment("web") | ray_environment() | _given(settings) | own
        yield ChildSpec(name, command, environment, pass_fds=(descriptor,))


def web_url(settings: Settings) -> str:
    """Where the web server answers."""
    host = settings.web_host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.web_port}"


def engine_environment(settings: Settings) -> dict[str, str]:
    """What the engine needs beside what any program gets."""
    return settings_environment("engine") | ray_environment() | _given(settings)


def hub_environment(settings: Settings) -> dict[str, str]:
    """What a simulated hub needs beside what any program gets."""
    return settings_environment("hub") | _given(settings)


def _given(settings: Settings) -> dict[str, str]:
    """What our options may have changed; addresses and secrets made here are in the data folder."""
    return {
        "DATA_DIR": str(settings.data_dir),
        "WEB_HOST": settings.web_host,
        "WEB_PORT": str(settings.web_port),
        "PYTHONUNBUFFERED": "1",
    }


def absolute(settings: Settings) -> Settings:
    """The same settings with a data folder that means the same to every child."""
    return settings.model_copy(update={"data_dir": settings.data_dir.absolute()})
