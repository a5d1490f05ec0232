"""`gasinsight up` for real: it brings everything, takes everything along, and a second start finds the data."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.client import GasInSight
from engine.processes.ports import free_port
from engine.processes.process_table import descendants
from engine.runtime import read_secret

pytestmark = [pytest.mark.ray, pytest.mark.postgres, pytest.mark.bus, pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[3]
START_S_MAX = 360.0
NOT_GIVEN = ("DATABASE_URL", "SERVICEBUS_CONNECTION_STRING", "RAY_ADDRESS", "ADMIN_PASSWORD", "ENVIRONMENT")
KEY = "of the web server, and of nobody else at all"
NOT_OURS = "of a program that is none of ours"
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in NOT_GIVEN}
ENVIRONMENT |= {"SECRET_KEY": KEY, "AWS_SECRET_ACCESS_KEY": NOT_OURS}


class Up:
    """One `gasinsight up --json` and what it says."""

    def __init__(self, data_dir: Path, *arguments: str) -> None:
        self.said: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "engine.commands.cli.app", "up", "--json", "--data-dir", str(data_dir), *arguments],
            cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def wait_for(self, event: str) -> dict[str, Any]:
        deadline_s = time.monotonic() + START_S_MAX
        assert self.process.stdout is not None and self.process.stderr is not None
        for line in self.process.stdout:
            self.said.append(json.loads(line))
            if self.said[-1]["event"] == event:
                return self.said[-1]
            assert time.monotonic() < deadline_s, f"no {event!r} in time: {self.said}"
        raise AssertionError(f"`up` ended before {event!r}: {self.process.stderr.read()}")

    def started(self) -> set[int]:
        """Everything that descends from it now."""
        return descendants(self.process.pid)


@pytest.fixture
def data_dir(server_folder: Path) -> Iterator[Path]:
    """A folder that PostgreSQL's account can reach, also as root."""
    folder = server_folder / "up"
    folder.mkdir(mode=0o711)
    yield folder


def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "engine.commands.cli.app", *arguments], cwd=ROOT, env=ENVIRONMENT, capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip


def until(condition: Callable[[], object], limit_s: float) -> None:
    deadline_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not come to that"
        time.sleep(0.1)


def living(pids: set[int]) -> set[int]:
    found = set()
    for pid in pids:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.add(pid)
        except OSError:
            continue
    return found


def test_up_brings_everything_and_takes_it_along(data_dir: Path) -> None:
    port = str(free_port("127.0.0.1", 0))
    ledger = data_dir / "ledger.json"
    first = Up(data_dir, "--port", port, "--simulate", "--ledger", str(ledger), "--faults", "gas_alarm@3+40")
    try:
        ready = first.wait_for("ready")
        password = read_secret(data_dir, "admin_password")
        assert password and Path(ready["password_file"]).read_text().strip() == password
        started = first.started()
        assert len(started) > 8
        for pid in living(started):
            assert password.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        who_was_given_what(started)
        assert open_to_others(data_dir) == []

        watched = ask("watch", "--json", "--for", "25", "--data-dir", str(data_dir))
        assert watched.returncode == 0, watched.stderr
        frames = [json.loads(line) for line in watched.stdout.splitlines()]
        assert len([frame for frame in frames if frame["kind"] == "value"]) > 50
        planted = json.loads(ledger.read_text())["faults"][0]["sensors"][0]["sensor_id"]
        until(lambda: alerts_of(data_dir, planted), 60)

        status = ask("status", "--json", "--data-dir", str(data_dir))
        state = json.loads(status.stdout)
        assert status.returncode == 0 and state["healthy"]
        assert state["counts"]["facilities"] == 3 and state["counts"]["sensors"] == 36
        assert all(queue["dead_letters"] == 0 for queue in state["queues"].values())
        assert ask("doctor", "--data-dir", str(data_dir)).returncode == 0
        assert ask("db", "check", "--data-dir", str(data_dir)).returncode == 0

        started |= first.started()
        who_was_given_what(started)  # by now with those who watch and score
        first.process.send_signal(signal.SIGINT)
        asked_s = time.monotonic()
        assert first.process.wait(30) == 0
        assert time.monotonic() - asked_s < 20
        assert living(started) == set()
    finally:
        first.process.kill()
        first.process.wait()
    assert not (data_dir / "runtime.json").exists()
    for log in (data_dir / "logs").glob("*.log"):
        assert password not in log.read_text(), f"{log.name} holds the password"
    second_start_finds_the_data_and_dies_whole(data_dir, port, alerts=[planted])


def who_was_given_what(started: set[int]) -> None:
    """Our key is in the environment of web servers only; what is not for us is in none."""
    having = []
    for pid in living(started):
        given = Path(f"/proc/{pid}/environ").read_bytes()
        assert NOT_OURS.encode() not in given
        if KEY.encode() in given:
            having.append(Path(f"/proc/{pid}/cmdline").read_bytes())
    assert [b"web.main:app" in command for command in having] == [True]


def open_to_others(data_dir: Path) -> list[Path]:
    """What others may read or change; as root they may pass through folders, to where PostgreSQL's account must."""
    passed = {data_dir, (data_dir / "postgres").resolve()} if os.geteuid() == 0 else set()
    found = [data_dir, *data_dir.rglob("*")]
    return [
        path for path in found if not path.is_symlink() and path.stat().st_mode & (0o066 if path in passed else 0o077)
    ]


def second_start_finds_the_data_and_dies_whole(data_dir: Path, port: str, alerts: list[str]) -> None:
    second = Up(data_dir, "--port", port)
    try:
        second.wait_for("ready")
        assert alerts_of(data_dir, alerts[0])
        web = next(pid for pid in second.started() if b"web.main:app" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(web, signal.SIGKILL)
        assert "web ended with SIGKILL" in second.wait_for("restart")["what"]
        until(lambda: ask("watch", "--json", "--for", "1", "--data-dir", str(data_dir)).returncode == 0, 60)
        started = second.started()
        second.process.kill()
        second.process.wait()
        until(lambda: not living(started), 15)
    finally:
        second.process.kill()
        second.process.wait()


def alerts_of(data_dir: Path, sensor_id: str) -> int:
    """How many alerts the server has of that sensor."""
    values = json.loads((data_dir / "runtime.json").read_text())["components"]["up"]["values"]
    password = read_secret(data_dir, "admin_password")

    async def count() -> int:
        async with GasInSight(values["web_url"], "admin@example.com", password) as gis:
            return sum(alert.sensor_id == sensor_id for alert in await gis.recent_alerts(100))

    return asyncio.run(count())
