"""`export-beside-ingest`: the lag of values at 70 % of `ingest-single`, without and with exports that run all the time.

Alternating, in one house: message enqueued to websocket frame, as `latency` measures it. The export is
`gasinsight export` of stored days to a file, begun anew when it ends, on the same two cores and the same PostgreSQL.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from bench.history import end_of, fill
from bench.house import House, Wanted, open_house
from bench.ingest import single_rates
from bench.latency import watched
from bench.report import Figure, Say, at_most, median, percentile
from engine.commands.cli import app

ROWS = 2_000_000
SHARE = 0.7
RATIO_MAX = 1.2


@dataclass(slots=True)
class Exports:
    """How many came to their end while this was open, and how much of the last was written."""

    ended: int = 0
    bytes_begun: int = 0


async def beside(runs: int, say: Say) -> list[Figure]:
    async with open_house(say, Wanted(with_web=True)) as house:
        database = await asyncpg.connect(house.database_url, server_settings={"jit": "off", "timezone": "UTC"})
        await fill(database, ROWS, say)
        await database.close()
        say("measuring ingest-single first, which sets the pace")
        rate = SHARE * statistics.median((await single_rates(house, 1, say))["ours"])
        lags: dict[str, list[list[float]]] = {"without": [], "with": []}
        exported: list[float] = []
        alarm = 0
        for run in range(runs):
            for name, each in lags.items():
                async with _exporting(house, is_on=name == "with") as exports:
                    seen = await watched(house, rate, alarm)
                alarm += len(seen.alarm_sent)
                each.append(seen.value_ms)
                p99_ms = percentile(seen.value_ms, 0.99)
                say(f"run {run + 1} of {runs}, {name} exports ({exports.ended} ended): p99 {p99_ms:.0f} ms")
                if name == "with":
                    assert exports.ended or exports.bytes_begun, "nothing was exported"
                    exported.append(exports.ended * ROWS)
        return [
            Figure("readings a second, 70 % of ingest-single", rate, "readings/s"),
            median("rows of exports that ended meanwhile", exported, "rows"),
            *figures_of(lags),
        ]


def figures_of(lags_ms: dict[str, list[list[float]]]) -> list[Figure]:
    """By name and run; the ratios are those of neighbouring runs."""
    found: list[Figure] = []
    for label, part in (("p50", 0.5), ("p99", 0.99)):
        values = {name: [percentile(run, part) for run in each] for name, each in lags_ms.items()}
        found += [median(f"value {name} exports, {label}", each, "ms") for name, each in values.items()]
        ratios = [beside / alone for beside, alone in zip(values["with"], values["without"], strict=True)]
        found.append(at_most(f"with over without, {label}", ratios, "", RATIO_MAX))
    return found


@asynccontextmanager
async def _exporting(house: House, *, is_on: bool) -> AsyncIterator[Exports]:
    exports = Exports()
    if not is_on:
        yield exports
        return
    with tempfile.TemporaryDirectory(prefix="gasinsight-bench-") as folder:
        running = asyncio.create_task(_export_for_ever(house, Path(folder), exports))
        try:
            yield exports
            if running.done():
                running.result()
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


async def _export_for_ever(house: House, folder: Path, exports: Exports) -> None:
    until = f"{end_of(ROWS):%Y-%m-%dT%H:%M:%SZ}"
    while True:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", app.__name__, "export", "--end", until, "-o", str(folder / "rows.parquet"),
            env={**os.environ, "DATABASE_URL": house.database_url}, stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            assert await process.wait() == 0, "the export failed"
            exports.ended += 1
        finally:
            if process.returncode is None:
                exports.bytes_begun = sum(file.stat().st_size for file in folder.glob(".*"))
                process.terminate()
                await process.wait()
