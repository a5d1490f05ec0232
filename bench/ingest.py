"""`ingest-single` and `ingest-batch`: readings committed a second, draining a backlog, beside their comparisons."""

from __future__ import annotations

import asyncio
import io
import os
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np

from bench.feed import Feed
from bench.house import BARE_QUEUE, NAIVE_QUEUE, House, open_house
from bench.report import Figure, Say, median
from engine.historian.queries import SQL

SINGLE_READINGS = 5_000
NAIVE_READINGS = 600
BATCH_TICKS = 100
BACKLOG_S = 1800
LOOP_S_MAX = 120.0
COPY_ROWS = 10_000
COPY_INSERT = """
INSERT INTO sensor_records (sensor_no, tracked_at, value, text_value, score, flags)
SELECT sensor_no, tracked_at, value, text_value, score, flags FROM staging ON CONFLICT DO NOTHING
"""
_TUPLE = np.dtype(
    {
        "names": ["fields", "l1", "sensor_no", "l2", "tracked_at", "l3", "value", "l4", "l5", "score", "l6", "flags"],
        "formats": [">i2", ">i4", ">i4", ">i4", ">i8", ">i4", ">f8", ">i4", ">i4", ">f4", ">i4", ">i2"],
    }
)
_COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_US_TO_2000 = 946_684_800_000_000


async def ingest_single(runs: int, say: Say) -> list[Figure]:
    async with open_house(say) as house:
        rates = await single_rates(house, runs, say)
        return [
            median("ingest-single", rates["ours"], "readings/s"),
            median("(a) bare SDK receive + complete", rates["bare"], "messages/s"),
            median("(a') the same through our bus source", rates["brief"], "messages/s"),
            median("(b) naive server", rates["naive"], "readings/s"),
            median("ratio to (a)", _ratios(rates, "bare"), "", ">= 0.8", 0.8),
            median("ratio to (a')", _ratios(rates, "brief"), ""),
            median("factor over (b)", _ratios(rates, "naive"), ""),
        ]


def _ratios(rates: dict[str, list[float]], other: str) -> list[float]:
    """Ours to the other's, run by run."""
    return [mine / theirs for mine, theirs in zip(rates["ours"], rates[other], strict=True)]


async def single_rates(house: House, runs: int, say: Say) -> dict[str, list[float]]:
    """Rates of ours and of what it is compared with, after each other within each run."""
    feed = Feed(house.roster, start_us())
    await drain(house, feed, lambda: iter(feed.singles(1000)), 1000)  # warm: every facility has its actor
    rates: dict[str, list[float]] = {"ours": [], "bare": [], "brief": [], "naive": []}
    for run in range(runs):
        say(f"run {run + 1} of {runs}: one reading a message")
        spare = feed.singles(SINGLE_READINGS)
        for kind in ("bare", "brief"):
            await house.send(BARE_QUEUE, spare)
            rates[kind].append(SINGLE_READINGS / await _loop(house, kind, BARE_QUEUE, SINGLE_READINGS))
        seconds = await drain(house, feed, lambda: iter(feed.singles(SINGLE_READINGS)), SINGLE_READINGS)
        rates["ours"].append(SINGLE_READINGS / seconds)
        await house.send(NAIVE_QUEUE, spare[:NAIVE_READINGS])
        rates["naive"].append(NAIVE_READINGS / await _loop(house, "naive", NAIVE_QUEUE, NAIVE_READINGS))
    return rates


async def ingest_batch(runs: int, say: Say) -> list[Figure]:
    async with open_house(say) as house:
        feed = Feed(house.roster, start_us())
        readings = BATCH_TICKS * len(house.roster.sensors)
        await drain(house, feed, lambda: feed.arrays(5), 5 * len(house.roster.sensors))
        since = feed.now
        rates: dict[str, list[float]] = {"copy": [], "json": [], "arrow": [], "rollups": []}
        for run in range(runs):
            say(f"run {run + 1} of {runs}: 1000 readings a message, a backlog of {readings:,}")
            rates["copy"].append(readings / await bare_copy(house, feed, readings))
            rates["json"].append(readings / await drain(house, feed, lambda: feed.arrays(BATCH_TICKS), readings))
            rates["rollups"].append(await _until_rolled_up(house))
            rates["arrow"].append(readings / await drain(house, feed, lambda: feed.arrow(BATCH_TICKS), readings))
            rates["rollups"].append(await _until_rolled_up(house))
        late = float(
            await house.database.fetchval(
                f"SELECT count(*) FILTER (WHERE flags & 1 = 1)::float8 / count(*) FROM sensor_records"
                f" WHERE tracked_at >= '{since}' AND sensor_no < 1000000"
            )
        )
        figures = [median("(a) bare staging COPY", rates["copy"], "rows/s")]
        for name, label in (("json", "JSON array"), ("arrow", "Arrow IPC")):
            of_copy = [mine / bare for mine, bare in zip(rates[name], rates["copy"], strict=True)]
            figures += [
                median(f"ingest-batch, {label}", rates[name], "readings/s", ">= 50,000", 50_000),
                median(f"ratio to (a), {label}", of_copy, "", ">= 0.6", 0.6),
            ]
        figures.append(median("rollups complete after the last commit", rates["rollups"], "s"))
        return [*figures, Figure("late share after the backlogs", late, "", [], "= 0", late == 0)]


async def bare_copy(house: House, feed: Feed, readings: int) -> float:
    """Seconds for COPY into staging and INSERT … ON CONFLICT of as many rows, 10,000 a transaction."""
    sensors = len(house.roster.sensors)
    batches = []
    for _ in range(readings // COPY_ROWS):
        rows = np.zeros(COPY_ROWS, _TUPLE)
        for tick in range(COPY_ROWS // sensors):
            part = slice(tick * sensors, (tick + 1) * sensors)
            at_us, values = feed.tick()
            rows["tracked_at"][part] = at_us - _US_TO_2000
            rows["sensor_no"][part] = np.arange(sensors) + 1_000_000
            rows["value"][part] = values
        for name, content in (("fields", 6), ("l1", 4), ("l2", 8), ("l3", 8), ("l4", -1), ("l5", 4), ("l6", 2)):
            rows[name] = content
        batches.append(_COPY_HEAD + rows.tobytes() + b"\xff\xff")
    await house.database.execute(SQL["staging_create"])
    started_s = time.perf_counter()
    for batch in batches:
        async with house.database.transaction():
            await house.database.copy_to_table("staging", source=io.BytesIO(batch), format="binary")
            await house.database.execute(COPY_INSERT)
    return time.perf_counter() - started_s


async def drain(house: House, feed: Feed, bodies: Callable[[], Iterator[bytes]], readings: int) -> float:
    """Seconds from the moment the reader may take the backlog until the last of it is stored."""
    since = feed.now
    prepared = list(bodies())
    with house.reader_stopped():
        await house.send(house.data_queue, prepared)
    poll_s = 0.02 if readings < 20_000 else 0.05
    return await house.seconds_until_stored(since, readings, LOOP_S_MAX, poll_s)


async def _until_rolled_up(house: House) -> float:
    started_s = time.perf_counter()
    while await house.database.fetchval("SELECT EXISTS (SELECT FROM rollup_dirty)"):
        assert time.perf_counter() - started_s < LOOP_S_MAX, "the rollups do not come to an end"
        await asyncio.sleep(0.05)
    return time.perf_counter() - started_s


async def _loop(house: House, kind: str, queue: str, count: int) -> float:
    addresses = {"BENCH_BUS": house.bus, "BENCH_DATABASE": house.database_url}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.loops", kind, queue, str(count),
        env={**os.environ, **addresses}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await asyncio.wait_for(process.communicate(), LOOP_S_MAX)
    assert process.returncode == 0, f"the {kind} loop failed"
    return float(output)


def start_us() -> int:
    """The time of the first reading: a backlog is of the past."""
    return time.time_ns() // 1000 - BACKLOG_S * 1_000_000
