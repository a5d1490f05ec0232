"""`query`: how long REST answers take over a year of readings every 15 s, beside the bare statements over readings.

Asked over HTTP by a user who may view half of the facilities, row-level security included. The statement beside it is
what the answer needs without rollups, rights or text: PostgreSQL grouping the readings, on a connection of its own.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import asyncpg
import httpx

from bench.fanout import answer_of
from bench.report import Figure, Say, at_most, median, percentile
from bench.site import Site, insert_sensors, open_site
from web.api.alerts import LIST_ALERTS
from web.api.dashboard import COUNT_FACILITIES, COUNT_SENSORS
from web.history.grid_readings import READ_CELLS
from web.serving.lists import AFTER_ALL_IDS

END = datetime(2026, 11, 20, tzinfo=UTC)
YEAR = timedelta(days=365)
BEGIN = END - YEAR
SENSOR, NEIGHBOURS = "bench-0", 2
FACILITIES, SENSORS_EACH, ALERTS = 50, 20, 20_000
USER = {"username": "viewer", "email": "viewer@gasinsight.local", "password": "a password of the viewer"}

ADD_PARTITION = "CREATE TABLE sensor_records_{0:%Y%m%d} PARTITION OF sensor_records FOR VALUES FROM ('{0}') TO ('{1}')"
# Not at whole minutes, and a neighbour every minute between them, so that a sensor's readings do not lie together.
ADD_READINGS = """
INSERT INTO sensor_records (sensor_no, tracked_at, value, flags)
SELECT $1, at, round((20 + 5 * sin(extract(epoch FROM at) / 9000) + random())::numeric, 2)::float8, 0
  FROM generate_series($2::timestamptz, $3::timestamptz - interval '1 us', $4::interval) at
"""
ADD_MINUTES = """
INSERT INTO reading_rollups (sensor_no, width_s, bucket, n, sum, sum_sq, min, max, first, last, readings, good)
SELECT sensor_no, 60, date_trunc('minute', tracked_at), count(*), sum(value), sum(value * value), min(value),
       max(value), min(value), max(value), count(*), count(*)
  FROM sensor_records GROUP BY sensor_no, date_trunc('minute', tracked_at) ORDER BY 3, 1
"""
ADD_WIDER = """
INSERT INTO reading_rollups (sensor_no, width_s, bucket, n, sum, sum_sq, min, max, first, last, readings, good)
SELECT sensor_no, $1::int, date_bin(make_interval(secs => $1::int), bucket, 'epoch') AS wide, sum(n), sum(sum),
       sum(sum_sq), min(min), max(max), min(first), max(last), sum(readings), sum(good)
  FROM reading_rollups WHERE width_s = 60 GROUP BY sensor_no, wide ORDER BY wide
"""
ADD_ALERTS = """
INSERT INTO alarm_events (id, facility_id, alarm_key, sensor_no, rule, rule_version, transition, event_time,
    recorded_at, priority, alert_type, message, explanation, late, actor, reason)
SELECT nextval('alarm_events_id_seq'), s.facility_id, n::text, s.sensor_no, 'high', 1, 'activated', now(), now(),
       'high', 'Anomaly', 'Problem detected: Temperature Sensor value is above it', '{}', false, '', ''
  FROM generate_series(1, $1::int) n JOIN sensors s ON s.id = 'bench-' || (n % $2::int)
"""


@dataclass(frozen=True, slots=True)
class Grid:
    """A history that ends at some moment. `step` is what `how` makes of it; `goal_ms`: of the p99."""

    name: str
    length: timedelta
    step: timedelta
    goal_ms: float
    times: int
    how: dict[str, str]

    def parameters(self, end: datetime) -> dict[str, str]:
        return {
            "start_date": f"{end - self.length:%Y-%m-%d %H:%M:%S}",
            "end_date": f"{end:%Y-%m-%dT%H:%M:%S}",
            **self.how,
        }


GRIDS = (
    Grid("1 hour at 15S", timedelta(hours=1), timedelta(seconds=15), 30, 100, {"freq": "15S"}),
    Grid("1 day at 15T", timedelta(days=1), timedelta(minutes=15), 50, 100, {"freq": "15T"}),
    Grid("1 year at 1D", YEAR, timedelta(days=1), 100, 40, {"freq": "1D"}),
    Grid("1 year, max_points=2000", YEAR, timedelta(hours=5), 100, 40, {"max_points": "2000"}),
    Grid("1 year by minmax", YEAR, timedelta(hours=5), 300, 20, {"max_points": "2000", "downsample": "minmax"}),
    Grid("1 year at 15T", YEAR, timedelta(minutes=15), 1500, 8, {"freq": "15T"}),
)


@dataclass(frozen=True, slots=True)
class Question:
    """One request and the statements beside it. `goal_ms`: of the p99."""

    name: str
    path: str
    parameters: dict[str, str]
    statements: list[tuple[str, list[object]]]
    goal_ms: float
    times: int


async def query(runs: int, say: Say) -> list[Figure]:
    found: list[Figure] = []
    async with _filled(say) as (client, database, size):
        found.append(Figure("size of the database", size / 1e6, "MB"))
        sensor_no = await database.fetchval("SELECT sensor_no FROM sensors WHERE id = $1", SENSOR)
        for question in questions(sensor_no, await database.fetchval("SELECT max(id) FROM users")):
            say(f"{question.name}, {runs} times {question.times}")
            answers = [await timed(partial(_ask, client, question), question.times) for _ in range(runs)]
            bare = [await timed(partial(_run, database, question), max(3, question.times // 10)) for _ in range(runs)]
            found += [
                median(f"{question.name}, p50", [percentile(run, 0.5) for run in answers], "ms"),
                at_most(f"{question.name}, p99", [percentile(run, 0.99) for run in answers], "ms", question.goal_ms),
                median(f"{question.name}, statement over readings, p50", [percentile(run, 0.5) for run in bare], "ms"),
            ]
    return found


def questions(sensor_no: int, user_id: int) -> list[Question]:
    """What performance.md of the design asks for."""
    rights: list[object] = [False, f"user:{user_id}"]
    grids = [
        Question(
            grid.name,
            f"/sensor-records/{SENSOR}",
            grid.parameters(END),
            [(READ_CELLS[False], [sensor_no, END - grid.length, END, grid.step, 1.0, timedelta(seconds=1)])],
            grid.goal_ms,
            grid.times,
        )
        for grid in GRIDS
    ]
    return [
        *grids,
        Question("alerts", "/alerts", {}, [(LIST_ALERTS, [*rights, AFTER_ALL_IDS, 0, 100])], 30, 100),
        Question(
            "dashboard", "/dashboard", {}, [(s, [*rights, None]) for s in (COUNT_FACILITIES, COUNT_SENSORS)], 30, 100
        ),
    ]


async def _ask(client: httpx.AsyncClient, question: Question) -> None:
    answer = await client.get(question.path, params=question.parameters)
    assert answer.status_code == 200 and len(answer.content) > 500, answer.text[:500]


async def _run(database: Any, question: Question) -> None:
    for statement, arguments in question.statements:
        await database.fetch(statement, *arguments, timeout=60)


async def timed(act: Callable[[], Awaitable[None]], times: int, *, warmed_up: bool = True) -> list[float]:
    """Milliseconds of each. `warmed_up`: once before, not counted, to fill caches."""
    if warmed_up:
        await act()
    found = []
    for _ in range(times):
        started_s = time.perf_counter()
        await act()
        found.append(1000 * (time.perf_counter() - started_s))
    return found


@asynccontextmanager
async def _filled(say: Say) -> AsyncIterator[tuple[httpx.AsyncClient, Any, int]]:
    """A signed-in client, a connection beside it, and the size of the database in bytes."""
    async with open_site() as site:
        database = await asyncpg.connect(site.database_url, server_settings={"jit": "off", "timezone": "UTC"})
        say(f"a year of readings every 15 s, and {NEIGHBOURS} neighbours with one a minute")
        await _fill(database)
        async with _signed_in(site, database) as client:
            yield client, database, await database.fetchval("SELECT pg_database_size(current_database())")
        await database.close()


async def _fill(database: Any) -> None:
    sensors = {
        f"bench-{n}": (f"facility-{n % FACILITIES:02}", "Temperature", 15 if n == 0 else 60)
        for n in range(FACILITIES * SENSORS_EACH)
    }
    numbers = await insert_sensors(database, sensors)
    for day in range(YEAR.days):
        at = BEGIN + timedelta(days=day)
        await database.execute(ADD_PARTITION.format(at, at + timedelta(days=1)))
    for day in range(YEAR.days):
        begin, end = BEGIN + timedelta(days=day), BEGIN + timedelta(days=day + 1)
        for n in range(NEIGHBOURS + 1):
            every = timedelta(seconds=60 if n else 15)
            first = begin + timedelta(seconds=7, microseconds=37_000 * (n + 1))
            await database.execute(ADD_READINGS, numbers[f"bench-{n}"], first, end, every)
    await database.execute(ADD_MINUTES, timeout=120)
    for width_s in (3600, 86_400):
        await database.execute(ADD_WIDER, width_s, timeout=120)
    await database.execute(ADD_ALERTS, ALERTS, len(sensors))
    await database.execute("VACUUM ANALYZE", timeout=120)


@asynccontextmanager
async def _signed_in(site: Site, database: Any) -> AsyncIterator[httpx.AsyncClient]:
    server = await site.python("-m", "bench.broadcast", BENCH_STALLED_S="60")
    assert server.stdout
    base = f"http://127.0.0.1:{(await answer_of(server.stdout))['port']}"
    async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=60) as client:
        client.headers["Authorization"] = f"Bearer {await site.sign_in(client)}"
        made = (await client.post("/users", json=USER)).raise_for_status().json()
        await database.execute(
            "INSERT INTO permissions (user_id, facility_id, permission_type) SELECT $1, id, 'View' FROM facilities"
            " ORDER BY id LIMIT $2",
            made["id"],
            FACILITIES // 2,
        )
        form = {"username": USER["email"], "password": USER["password"]}
        signed_in = (await client.post("/auth/token", data=form)).raise_for_status().json()
        client.headers["Authorization"] = f"Bearer {signed_in['access_token']}"
        yield client
