"""`greedy`: what a good client feels, and what the web server weighs, beside one user who asks for too much.

That user keeps 150 requests for the largest legal history of one sensor (100,000 cells) open at once: reading what
comes as fast as it can and waiting as long as `Retry-After` says, then without waiting, then reading a little a second.
The good client asks one small thing after the other.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import asyncpg
import httpx

from bench.fanout import answer_of
from bench.memory import pss_mb
from bench.query import ADD_ALERTS, ADD_PARTITION, ADD_READINGS
from bench.report import Figure, Say, at_most, median, percentile
from bench.site import Site, insert_sensors, open_site
from web.history.grid import CELLS_MAX

END = datetime(2026, 11, 20, tzinfo=UTC)
STEP = timedelta(seconds=15)
LENGTH = STEP * (CELLS_MAX - 1)
BEGIN = END - LENGTH
SENSOR = "bench-0"
FACILITIES, SENSORS_EACH, ALERTS = 20, 20, 5_000
REQUESTS = 150
BEGINNING_S, QUIET_S, BESIDE_S = 2.0, 8.0, 20.0
WORSE_MAX, GROWN_MB_MAX = 3.0, 100.0
KINDS = {"patient": "waits as told", "rude": "does not wait", "slow": "reads 1 kB a second"}
SMALL: tuple[tuple[str, dict[str, str]], ...] = (
    ("/facilities", {}),
    ("/sensors", {"limit": "50"}),
    ("/alerts", {"limit": "20"}),
    ("/dashboard", {}),
    (
        "/sensor-records/bench-1",
        {"start_date": f"{END - timedelta(hours=1):%Y-%m-%d %H:%M:%S}", "end_date": f"{END:%Y-%m-%dT%H:%M:%S}"},
    ),
)


async def greedy(runs: int, say: Say) -> list[Figure]:
    """Runs are one after the other on one server."""
    async with _server(say) as (beside, good):
        quiet = []
        for _ in range(runs):
            say(f"a good client alone, {QUIET_S:g} s")
            quiet.append(percentile(await _asked(good, QUIET_S), 0.99))
        found = [median("good client alone, p99", quiet, "ms")]
        for kind, words in KINDS.items():
            felt, grown = [], []
            told: dict[str, int] = {}
            for _ in range(runs):
                say(f"beside a user with {REQUESTS} histories at once who {words}, {BESIDE_S:g} s")
                lags, mb, told = await beside.run(kind, good)
                felt.append(percentile(lags, 0.99))
                grown.append(mb)
            worse = [one / alone for one, alone in zip(felt, quiet, strict=True)]
            found += [
                median(f"good client, one beside {words}, p99", felt, "ms"),
                at_most("  times the p99 alone", worse, "", WORSE_MAX),
                at_most("  the server's memory grows by", grown, "MB", GROWN_MB_MAX),
                *(
                    Figure(f"  the other got in the last run: {name}", count, "")
                    for name, count in sorted(told.items())
                ),
            ]
    return found


class Beside:
    """The server's process, and the user who asks it for too much."""

    def __init__(self, site: Site, pid: int, target: str, token: str) -> None:
        self._site = site
        self._pid = pid
        self._empty_mb = pss_mb(pid)
        self._most_mb = 0.0
        self._user = {"BENCH_TARGET": target, "BENCH_TOKEN": token}

    async def run(self, kind: str, good: httpx.AsyncClient) -> tuple[list[float], float, dict[str, int]]:
        """Milliseconds of what `good` asked, the MB that the server grew by at most, and what the user got."""
        process = await self._site.python("-m", "bench.greedy_user", kind, str(REQUESTS), **self._user)
        assert process.stdin and process.stdout
        watching = asyncio.create_task(self._largest_mb())
        await asyncio.sleep(BEGINNING_S)
        lags = await _asked(good, BESIDE_S)
        process.stdin.close()
        told: dict[str, int] = json.loads(await process.stdout.read())
        watching.cancel()
        await asyncio.sleep(BEGINNING_S)
        return lags, self._most_mb - self._empty_mb, told

    async def _largest_mb(self) -> None:
        self._most_mb = 0.0
        while True:
            self._most_mb = max(self._most_mb, pss_mb(self._pid))
            await asyncio.sleep(0.1)


async def _asked(client: httpx.AsyncClient, seconds: float) -> list[float]:
    """Milliseconds of each small request, one after the other."""
    lags: list[float] = []
    ends_s = time.perf_counter() + seconds
    while time.perf_counter() < ends_s:
        path, query = SMALL[len(lags) % len(SMALL)]
        started_s = time.perf_counter()
        answer = await client.get(path, params=query)
        lags.append(1000 * (time.perf_counter() - started_s))
        assert answer.status_code == 200, answer.text[:500]
        await asyncio.sleep(0.01)
    return lags


@asynccontextmanager
async def _server(say: Say) -> AsyncIterator[tuple[Beside, httpx.AsyncClient]]:
    """A server with readings, and a good client of it."""
    async with open_site() as site:
        database = await asyncpg.connect(site.database_url, server_settings={"jit": "off", "timezone": "UTC"})
        say(f"{CELLS_MAX:,} readings of each of two sensors")
        await _fill(database)
        server = await site.python("-m", "bench.broadcast", BENCH_STALLED_S="60")
        assert server.stdout
        base = f"http://127.0.0.1:{(await answer_of(server.stdout))['port']}"
        async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=60) as client:
            client.headers["Authorization"] = f"Bearer {await site.sign_in(client)}"
            sign = partial(_viewer, client, database)
            good = httpx.AsyncClient(base_url=base, trust_env=False, timeout=60, headers=await sign("good"))
            other = await sign("greedy")
            query = httpx.QueryParams(
                start_date=f"{BEGIN:%Y-%m-%d %H:%M:%S}", end_date=f"{END:%Y-%m-%dT%H:%M:%S}", freq="15S"
            )
            async with good:
                for path, small in SMALL * 20:
                    (await good.get(path, params=small)).raise_for_status()
                target = f"{base}/sensor-records/{SENSOR}?{query}"
                yield Beside(site, server.pid, target, other["Authorization"]), good
        await database.close()


async def _fill(database: Any) -> None:
    sensors = {
        f"bench-{n}": (f"facility-{n % FACILITIES:02}", "Temperature", 15) for n in range(FACILITIES * SENSORS_EACH)
    }
    numbers = await insert_sensors(database, sensors)
    for day in range(-1, LENGTH.days + 2):
        at = BEGIN.replace(hour=0, minute=0, second=0) + timedelta(days=day)
        await database.execute(ADD_PARTITION.format(at, at + timedelta(days=1)))
    for name in (SENSOR, "bench-1"):
        await database.execute(ADD_READINGS, numbers[name], BEGIN, END + STEP, STEP, timeout=120)
    await database.execute(ADD_ALERTS, ALERTS, len(sensors))
    await database.execute("VACUUM ANALYZE", timeout=120)


async def _viewer(admin: httpx.AsyncClient, database: Any, name: str) -> dict[str, str]:
    """Headers of a new user who may view everything."""
    user = {"username": name, "email": f"{name}@gasinsight.local", "password": f"a password of {name}"}
    made = (await admin.post("/users", json=user)).raise_for_status().json()
    await database.execute(
        "INSERT INTO permissions (user_id, facility_id, permission_type) SELECT $1, id, 'View' FROM facilities",
        made["id"],
    )
    form = {"username": user["email"], "password": user["password"]}
    pair = (await admin.post("/auth/token", data=form)).raise_for_status().json()
    return {"Authorization": f"Bearer {pair['access_token']}"}
