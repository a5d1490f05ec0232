"""PostgreSQL and one web process by themselves, for benches that need no engine; all of it goes at the end."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import asyncpg
import httpx

from bench.house import UNSET
from engine.embedded.postgres import EmbeddedPostgres
from engine.processes.children import become_reaper, end_descendants
from engine.processes.polling import answers, until
from migrations.upgrade import upgrade

ADMIN = {"ADMIN_EMAIL": "admin@gasinsight.local", "ADMIN_PASSWORD": "a password of this bench"}
START_S_MAX = 60.0
STOP_S_MAX = 20.0


class Site:
    """A fresh database, and processes of ours that use it."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.database_url = database_url
        self._folder = folder
        self._processes: list[asyncio.subprocess.Process] = []

    async def python(self, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
        """A Python process whose standard input and output are ours to use."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            env=os.environ
            | ADMIN
            | {
                "DATABASE_URL": self.database_url,
                "DATA_DIR": str(self._folder / "data"),
                "SECRET_KEY": "a key of this bench, long enough to sign with",
            }
            | environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**20,
        )
        self._processes.append(process)
        return process

    async def sign_in(self, client: httpx.AsyncClient) -> str:
        """The admin's access token, once the server is up."""
        is_ready = partial(answers, f"{str(client.base_url).rstrip('/')}/readyz?part=web")
        await until(is_ready, START_S_MAX, "the web server")
        form = {"username": ADMIN["ADMIN_EMAIL"], "password": ADMIN["ADMIN_PASSWORD"]}
        answer = (await client.post("/auth/token", data=form)).raise_for_status()
        token: str = answer.json()["access_token"]
        return token

    async def stop(self) -> None:
        for process in reversed(self._processes):
            if process.returncode is None:
                process.terminate()
                try:
                    await asyncio.wait_for(process.wait(), STOP_S_MAX)
                except TimeoutError:
                    process.kill()


@asynccontextmanager
async def open_site() -> AsyncIterator[Site]:
    become_reaper()
    os.environ.update(UNSET)
    folder = Path(tempfile.mkdtemp(prefix="gasinsight-bench-"))
    folder.chmod(0o711)
    postgres = EmbeddedPostgres(folder / "data", shared_dir=folder / "shared")
    try:
        url = postgres.start()
        await asyncio.to_thread(upgrade, url)
        site = Site(folder, url)
        try:
            yield site
        finally:
            await site.stop()
    finally:
        postgres.stop()
        end_descendants()
        shutil.rmtree(folder, ignore_errors=True)


async def insert_sensors(database: asyncpg.Connection, sensors: dict[str, tuple[str, str, int]]) -> dict[str, int]:
    """`sensors`: id -> (facility id, type, interval in seconds), with their facilities; the numbers they got."""
    numbers = {}
    for facility_id in sorted({facility_id for facility_id, _, _ in sensors.values()}):
        await database.execute(
            """WITH place AS (INSERT INTO locations (longitude, latitude) VALUES (7.5, 51.25) RETURNING id)
               INSERT INTO facilities (id, name, status, type, location_id, created_at)
               SELECT $1, 'Facility ' || $1, 'Active', 'TankFarm', id, now() FROM place""",
            facility_id,
        )
    for sensor_id, (facility_id, kind, expected_interval_s) in sensors.items():
        numbers[sensor_id] = await database.fetchval(
            """INSERT INTO sensors (id, facility_id, name, status, type, expected_freq, signal_interval_s, installed_at,
                                    status_changed_at)
               VALUES ($1, $2, 'Sensor ' || $1, 'Active', $3, $4::int::text || 'S', $4, now(), now())
               RETURNING sensor_no""",
            sensor_id,
            facility_id,
            kind,
            expected_interval_s,
        )
    return numbers
