"""A whole GasInSight (`gasinsight up`) as a process of its own, with its bus open for hubs; started once for all."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

EMAIL = "admin@example.com"
PASSWORD = "correct horse battery staple 7"
READY_S_MAX = 360.0
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class System:
    """Where its web server and its bus are; whoever changes the admin's password says it here."""

    url: str
    bus: str
    email: str = EMAIL
    password: str = PASSWORD


@contextmanager
def running(settings: Mapping[str, str] | None = None) -> Iterator[System]:
    """Everything, as a user starts it, with some settings of its own; ended as a user ends it."""
    directory = Path(tempfile.mkdtemp(prefix="gasinsight-hub-"))
    directory.chmod(0o755)  # the embedded PostgreSQL may run as another user
    web_port, bus_port = _free_port(), _free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "GASINSIGHT_"))},
        "DATA_DIR": str(directory / "data"),
        "WEB_PORT": str(web_port),
        "BUS_PORT": str(bus_port),
        "ADMIN_EMAIL": EMAIL,
        "ADMIN_PASSWORD": PASSWORD,
        "DATABASE_URL": "",
        "SERVICEBUS_CONNECTION_STRING": "",
        **(settings or {}),
    }
    log_path = directory / "up.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "engine.commands.cli.app", "up"],
            env=environment,
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{web_port}"
        _wait_until_ready(process, url, log_path)
        yield System(url, _bus_of(directory / "data" / "runtime.json"))
    finally:
        _stop(process)
        shutil.rmtree(directory, ignore_errors=True)


def _bus_of(runtime_file: Path) -> str:
    """The connection string that the running system publishes for hubs on this machine."""
    published = [part["values"] for part in json.loads(runtime_file.read_text())["components"].values()]
    return next(
        str(values["servicebus_connection_string"]) for values in published if "servicebus_connection_string" in values
    )


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log_path: Path) -> None:
    deadline = time.monotonic() + READY_S_MAX
    while True:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/readyz", timeout=5).status_code == 200:
                return
        tail = log_path.read_text(errors="replace")[-4000:]
        assert process.poll() is None, f"gasinsight up ended with {process.returncode}:\n{tail}"
        assert time.monotonic() < deadline, f"not ready after {READY_S_MAX:.0f} s:\n{tail}"
        time.sleep(0.5)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C does; what does not end by itself is killed with its session."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
