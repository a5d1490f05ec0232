"""`figures`: how long the alarm figures of a month of 5,000 sensors take, over HTTP; and how large the month is."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import asyncpg
import httpx

from bench.fanout import answer_of
from bench.report import Figure, Say, median
from bench.site import insert_sensors, open_site

SENSORS, FACILITIES, TOLD_EACH, DAYS = 5_000, 50, 5, 30
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
END = BEGIN + timedelta(days=DAYS)
# Each alarm is told at moments of its own, seen after a minute, and returns after ten.
ADD_JOURNAL = """
INSERT INTO alarm_events (id, facility_id, alarm_key, sensor_no, rule, rule_version, transition, event_time,
    recorded_at, priority, alert_type, message, explanation, late, actor, reason)
SELECT nextval('alarm_events_id_seq'), facility_id, sensor_no || ':high', sensor_no, 'high', 1, transition,
       at + wait, at + wait, 'low', 'Anomaly', '', '{}', false, '', ''
  FROM (SELECT s.facility_id, s.sensor_no, $1::timestamptz + interval '1 day' * ($2::int * random()) AS at
          FROM sensors s CROSS JOIN generate_series(1, $3::int)) told
 CROSS JOIN (VALUES ('activated', interval '0'), ('acknowledged', interval '1 min'), ('returned', interval '10 min'))
       AS step (transition, wait)
"""
ADD_ALARMS = """
INSERT INTO alarms (facility_id, alarm_key, sensor_no, rule, active, acknowledged, suppression, latched, priority,
                    since, last_event_id, message)
SELECT facility_id, alarm_key, min(sensor_no), 'high', false, true, 'none', false, 'low', max(event_time), max(id), ''
  FROM alarm_events GROUP BY facility_id, alarm_key
"""


async def figures(runs: int, say: Say) -> list[Figure]:
    async with open_site() as site:
        say(f"a month of {SENSORS} sensors, {TOLD_EACH} alarms each")
        database = await asyncpg.connect(site.database_url)
        rows = await _fill(database)
        await database.close()
        server = await site.python("-m", "bench.broadcast", BENCH_STALLED_S="60")
        assert server.stdout
        base = f"http://127.0.0.1:{(await answer_of(server.stdout))['port']}"
        async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=60) as client:
            client.headers["Authorization"] = f"Bearer {await site.sign_in(client)}"
            await _asked(client)
            seconds = [await _asked(client) for _ in range(runs)]
    return [
        Figure("rows of the journal", rows, "rows"),
        median(f"figures of a month, {SENSORS} sensors", seconds, "s"),
    ]


async def _fill(database: asyncpg.Connection) -> int:
    await insert_sensors(
        database, {f"bench-{n}": (f"facility-{n % FACILITIES:02}", "Temperature", 15) for n in range(SENSORS)}
    )
    await database.execute(ADD_JOURNAL, BEGIN, DAYS - 1, TOLD_EACH, timeout=120)
    await database.execute(ADD_ALARMS, timeout=120)
    await database.execute("VACUUM ANALYZE", timeout=120)
    rows: int = await database.fetchval("SELECT count(*) FROM alarm_events")
    return rows


async def _asked(client: httpx.AsyncClient) -> float:
    """How long it took."""
    began_s = time.monotonic()
    range_ = {"start_date": BEGIN.isoformat(), "end_date": END.isoformat()}
    answer = (await client.get("/alarm-figures", params=range_)).raise_for_status()
    took_s = time.monotonic() - began_s
    (found,) = answer.json()["figures"]
    assert found["tally"]["activations"] == SENSORS * TOLD_EACH
    return took_s
