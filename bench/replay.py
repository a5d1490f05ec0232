"""`replay`: readings a second of the log lived again, by the core alone and whole, with log and journal in PostgreSQL.

All rates of a run are of the same log, one after the other, so that they can be divided by each other. How large the
log is beside the readings is shown too.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from pathlib import Path

import asyncpg

import native
from bench.lives import START_US, Life
from bench.report import Figure, Say, median
from engine.clock import US_PER_S
from engine.embedded import EmbeddedPostgres
from engine.facility.payloads import core_settings
from engine.replay import stored
from engine.replay.replaying import look, replay_facility
from engine.replay.values import Period, Wanted
from engine.settings import Settings
from migrations.upgrade import upgrade

DAY = Life(("f",), sensors=20, interval_s=15, batch_s=60, hours=24)
YEAR_GOAL = 200 * 365 * 86_400 / DAY.interval_s / 600
"""A year of 200 sensors within ten minutes."""


async def replay(runs: int, say: Say) -> list[Figure]:
    folder = Path(tempfile.mkdtemp(prefix="gasinsight-bench-"))
    folder.chmod(0o711)
    postgres = EmbeddedPostgres(folder / "data", shared_dir=folder / "shared")
    try:
        url = await asyncio.to_thread(postgres.start)
        await asyncio.to_thread(upgrade, url)
        settings = Settings(_env_file=None, group_commit_wait_ms=0)
        say(f"{DAY.sensors} sensors live through {DAY.hours} hours, a batch every {DAY.batch_s} s")
        await DAY.live(url, settings)
        whole, silent, told = [], [], []
        for _ in range(runs):
            say("replaying")
            whole.append(await _whole(url, settings))
            entries = await _entries(url)
            silent.append(_core_alone(entries, settings, is_told=False))
            told.append(_core_alone(entries, settings, is_told=True))
        return [
            median("core alone, silent", silent, "readings/s"),
            median("core alone, rows and alarms told", told, "readings/s"),
            median("whole, one facility", whole, "readings/s", f">= {YEAR_GOAL:,.0f} on two cores", YEAR_GOAL),
            median("whole over core alone, told", [a / b for a, b in zip(whole, told, strict=True)], "x"),
            median("log on disk", [await _log_bytes(url)], "bytes/reading"),
        ]
    finally:
        await asyncio.to_thread(postgres.stop)
        shutil.rmtree(folder, ignore_errors=True)


async def _whole(url: str, settings: Settings) -> float:
    wanted = Wanted(Period(START_US, DAY.end_us + US_PER_S))
    started_s = time.perf_counter()
    async with stored.opened(url) as connection:
        known = await look(connection, ["f"], wanted)
        result = await replay_facility(connection, known["f"], wanted, settings, lambda done, readings: None)
    if not result.is_same:
        raise RuntimeError(f"{len(result.differences)} rows differ, {result.remarks}")
    return result.readings / (time.perf_counter() - started_s)


async def _entries(url: str) -> list[tuple[str, bytes]]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT kind, payload FROM facility_commits ORDER BY commit_no")
    await connection.close()
    return [(row["kind"], row["payload"]) for row in rows]


def _core_alone(entries: list[tuple[str, bytes]], settings: Settings, *, is_told: bool) -> float:
    core = native.FacilityCore("f", core_settings(settings))
    step = core.apply if is_told else core.replay
    started_s = time.perf_counter()
    for kind, payload in entries:
        step(kind, payload)
    return DAY.readings / (time.perf_counter() - started_s)


async def _log_bytes(url: str) -> float:
    connection = await asyncpg.connect(url)
    size = await connection.fetchval("SELECT pg_total_relation_size('facility_commits')")
    await connection.close()
    return float(size) / (DAY.readings)
