"""`replays`: a week of ten facilities lived again on Ray, one process a facility, as `POST /replays` has it done.

It ends with an error unless there are zero differences with the rules of today, and the same checksums twice.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path

import asyncpg

from bench.lives import START_US, Life
from bench.report import Figure, Say, median
from engine.clock import US_PER_S, SystemClock
from engine.cluster.environment import private_ray_environment
from engine.embedded import EmbeddedPostgres
from engine.historian.historian import Historian
from engine.replay.documents import wanted_document
from engine.replay.values import Basis, Period
from engine.settings import Settings
from migrations.upgrade import upgrade

WEEK = Life([f"f{number}" for number in range(10)], sensors=10, interval_s=30, batch_s=300, hours=7 * 24)
LOOK_S = 0.2
ASK = """
WITH asked AS (
    INSERT INTO replays (id, asked_by, asked_by_name, facility_ids, wanted, expires_at)
    VALUES ($1, 'user:1', 'bench', $2, $3, now() + interval '1 day') RETURNING id)
INSERT INTO replay_parts (replay_id, place, facility_id)
SELECT id, place, facility_id FROM asked, unnest($2::text[]) WITH ORDINALITY AS wanted (facility_id, place)
"""
STATE = "SELECT state FROM replays WHERE id = $1"
RESULTS = "SELECT result ->> 'is_same', result ->> 'checksum' FROM replay_parts WHERE replay_id = $1 ORDER BY place"


async def replays(runs: int, say: Say) -> list[Figure]:
    folder = Path(tempfile.mkdtemp(prefix="gasinsight-bench-"))
    folder.chmod(0o711)
    postgres = EmbeddedPostgres(folder / "data", shared_dir=folder / "shared")
    try:
        url = await asyncio.to_thread(postgres.start)
        await asyncio.to_thread(upgrade, url)
        settings = Settings(_env_file=None, data_dir=folder / "data", database_url=url, group_commit_wait_ms=0)
        say(f"{len(WEEK.facility_ids)} facilities live through {WEEK.hours // 24} days, {WEEK.readings:,} readings")
        await WEEK.live(url, settings)
        os.environ.update(private_ray_environment(settings))
        seconds = await _replayed(url, settings, runs, say)
        rates = [WEEK.readings / each for each in seconds]
        return [
            median("a week of ten facilities, from asking to the last result", seconds, "s"),
            median("the same", rates, "readings/s"),
        ]
    finally:
        await asyncio.to_thread(postgres.stop)
        shutil.rmtree(folder, ignore_errors=True)


async def _replayed(url: str, settings: Settings, runs: int, say: Say) -> list[float]:
    """Seconds of each run."""
    from engine.cluster.private_ray import leave_ray, start_private_ray

    start_private_ray(settings)
    try:
        return await _on_ray(url, settings, runs, say)
    finally:
        leave_ray(settings)


async def _on_ray(url: str, settings: Settings, runs: int, say: Say) -> list[float]:
    from engine.cluster.replay_task import run_on_ray
    from engine.cluster.replays import ReplayTasks
    from engine.placement.ray_nodes import Watchtower

    clock = SystemClock()
    historian = await Historian.open(url, settings, clock)
    connection = await asyncpg.connect(url)
    try:
        nodes = await Watchtower().look([])
        tasks = ReplayTasks(historian.replays, clock, partial(run_on_ray, settings))
        seconds, told = [], set()
        for run in range(runs):
            say("replaying with the rules of today")
            started_s = time.perf_counter()
            replay_id = f"run {run}"
            await connection.execute(ASK, replay_id, list(WEEK.facility_ids), _wanted())
            while await connection.fetchval(STATE, replay_id) in {"queued", "running"}:
                await tasks.step(nodes)
                await asyncio.sleep(LOOK_S)
            seconds.append(time.perf_counter() - started_s)
            told.add(tuple(tuple(row) for row in await connection.fetch(RESULTS, replay_id)))
        _check(told)
        return seconds
    finally:
        await connection.close()
        await historian.close()


def _wanted() -> str:
    period = Period(START_US, WEEK.end_us + US_PER_S)
    return json.dumps(wanted_document(period, Basis.TODAY, []))


def _check(told: set[tuple[tuple[str, str], ...]]) -> None:
    results = next(iter(told))
    if len(told) > 1 or len(results) < len(WEEK.facility_ids) or any(is_same != "true" for is_same, _ in results):
        raise RuntimeError(f"not the same, or not without differences: {told}")
