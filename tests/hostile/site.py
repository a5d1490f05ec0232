"""A real web server process over a real PostgreSQL, a good client of it, and hostile ones beside."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import httpx
from websockets.asyncio.client import connect

from engine.processes.polling import answers, trust
from engine.processes.ports import free_port
from tests.integration.web.harness import ADMIN_EMAIL, ADMIN_PASSWORD, HeldFeed, Web, settings_for

ROOT = Path(__file__).resolve().parents[2]
SECRET = "zDq4-only-of-this-test-and-long-enough-91"
PATHS = ("/users/me", "/facilities", "/alerts/recent", "/dashboard")
BETWEEN_S = 0.05
PATIENCE_S = 10.0


@dataclass
class Figures:
    """What the good client saw: seconds of each answer and of each alert, and what went wrong."""

    answers_s: list[float] = field(default_factory=list)
    alerts_s: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def p99_s(self) -> float:
        """Of answers and alerts, the worse."""
        return max(_p99(self.answers_s), _p99(self.alerts_s))

    def line(self, name: str) -> str:
        return (
            f"{name:24} {len(self.answers_s):5} answers p99 {1000 * _p99(self.answers_s):6.0f} ms"
            f" {len(self.alerts_s):5} alerts p99 {1000 * _p99(self.alerts_s):6.0f} ms {len(self.failures):3} failures"
        )


def _p99(seconds: list[float]) -> float:
    """Without an answer in all that time it is for ever."""
    if not seconds:
        return math.inf
    return sorted(seconds)[int(0.99 * len(seconds))]


@dataclass
class Site:
    """The server's `log` is its standard output and error; nothing else is in it."""

    web: Web
    database_url: str
    log: Path
    token: str

    async def beside(self, kind: str, seconds: float) -> tuple[Figures, dict[str, int]]:
        """The good client's figures while somebody does this, and how often they did."""
        command = [sys.executable, "-m", "tests.hostile.abuse", kind, str(self.web.port), str(seconds + 2)]
        given = {"DATABASE_URL": self.database_url, "ACCESS_TOKEN": self.token, "PYTHONPATH": str(ROOT)}
        hostile = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env={**os.environ, **given}, stdout=asyncio.subprocess.PIPE
        )
        try:
            await asyncio.sleep(1.5)  # until they are at it
            figures = await self.good_client(seconds)
            output, _ = await asyncio.wait_for(hostile.communicate(), seconds + 30)
        finally:
            if hostile.returncode is None:
                hostile.kill()
        done: dict[str, int] = json.loads(output)
        return figures, done

    async def good_client(self, seconds: float) -> Figures:
        """Asks, one after the other, and listens; a second connection of ours makes the alerts that it should hear."""
        figures = Figures()
        headers = {"Authorization": f"Bearer {self.token}"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.web.port}", timeout=PATIENCE_S) as client:
            ticket = (await client.post("/ws/tickets", headers=headers)).json()["ticket"]
            async with connect(self.web.ws("/ws/notifications", ticket=ticket), open_timeout=PATIENCE_S) as socket:
                listening = asyncio.create_task(self._listen(socket, figures))
                enough = asyncio.Event()
                telling = asyncio.create_task(self._tell(enough))
                until_s = time.monotonic() + seconds
                while time.monotonic() < until_s or (not figures.alerts_s and time.monotonic() < until_s + PATIENCE_S):
                    for path in PATHS:
                        await self._ask(client, path, headers, figures)
                        await asyncio.sleep(BETWEEN_S)
                enough.set()
                await telling
                await asyncio.sleep(0.3)
                listening.cancel()
                with suppress(asyncio.CancelledError):
                    await listening
        return figures

    async def _ask(self, client: httpx.AsyncClient, path: str, headers: dict[str, str], figures: Figures) -> None:
        begun_s = time.monotonic()
        try:
            answer = await client.get(path, headers=headers)
        except httpx.HTTPError as error:
            figures.failures.append(f"{path}: {error!r}")
            return
        figures.answers_s.append(time.monotonic() - begun_s)
        if answer.status_code != 200:
            figures.failures.append(f"{path}: {answer.status_code}")

    async def _tell(self, enough: asyncio.Event) -> None:
        """Never cancelled: amid its BEGIN that would leave a transaction open that swallows later alerts."""
        while not enough.is_set():
            await self.web.alert("f", None, f"told at {time.monotonic()}")
            await asyncio.sleep(2 * BETWEEN_S)

    async def _listen(self, socket: object, figures: Figures) -> None:
        async for text in socket:  # type: ignore[attr-defined]
            message = json.loads(text)["message"]
            if message.startswith("told at "):
                figures.alerts_s.append(time.monotonic() - float(message.removeprefix("told at ")))


@asynccontextmanager
async def running_site(database_url: str, folder: Path, *arguments: str) -> AsyncIterator[Site]:
    """`arguments`: of hypercorn's command."""
    port = free_port("127.0.0.1", 0)
    log = folder / "server.log"
    kept = {n: t for n, t in os.environ.items() if not n.startswith(("RAY", "WEB_", "SERVICEBUS", "ADMIN_", "SECRET"))}
    given = {
        "ENVIRONMENT": "production",
        "DATABASE_URL": database_url,
        "SECRET_KEY": SECRET,
        "ADMIN_EMAIL": ADMIN_EMAIL,
        "ADMIN_PASSWORD": ADMIN_PASSWORD,
        "DATA_DIR": str(folder / "data"),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "hypercorn", "web.main:app", "--bind", f"127.0.0.1:{port}", "--workers", "0"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, *arguments],
            cwd=folder,
            env={**kept, **given},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    database = await asyncpg.connect(database_url)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20, verify=trust()) as client:
            async with asyncio.timeout(60):
                while not await answers(f"{client.base_url}/readyz?part=web"):
                    assert process.poll() is None, log.read_text()
                    await asyncio.sleep(0.1)
            web = Web(port, client, database, HeldFeed(), settings_for(database_url, folder / "data"))
            await web.facility("f")
            await web.sensor("s", "f")
            yield Site(web, database_url, log, (await web.sign_in())["access_token"])
            assert process.poll() is None, log.read_text()
    finally:
        await database.close()
        os.killpg(process.pid, signal.SIGTERM)
        try:
            await asyncio.to_thread(process.wait, 20)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
