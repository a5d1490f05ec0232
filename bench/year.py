"""`python -m bench.year [--sensors N] [--days N] [--interval S]`: a year of readings on disk, and answers over it.

The simulated field's readings are written as Parquet, imported by `gasinsight import`, and measured: bytes a reading,
rows a second. Then `gasinsight up` starts on that database and is asked what a browser asks. Every row that is counted
is there; nothing is extrapolated.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from bench.house import UNSET
from bench.query import GRIDS, timed
from bench.report import Figure, load, percentile, print_figures
from bench.site import ADMIN
from bench.year_files import Year, write_files
from engine.embedded.postgres import EmbeddedPostgres
from engine.processes.children import Child, ChildSpec, become_reaper, end_descendants
from engine.processes.parts import LOOPBACK
from engine.processes.polling import answers, until
from engine.processes.ports import free_port
from migrations.upgrade import upgrade

RUN_S_MAX = 4 * 3600.0
START_S_MAX = 300.0
STOP_S_MAX = 60.0
COMMAND = [sys.executable, "-m", "engine.commands.cli.app"]

READ_SIZES = """
SELECT readings, rollups, rows_bytes, index_bytes, pg_table_size('reading_rollups') AS rollup_bytes,
       pg_indexes_size('reading_rollups') AS rollup_index_bytes, pg_database_size(current_database()) AS database_bytes
  FROM (SELECT count(*) AS readings FROM sensor_records) AS stored,
       (SELECT count(*) AS rollups FROM reading_rollups) AS made,
       (SELECT sum(pg_table_size(inhrelid)) AS rows_bytes, sum(pg_indexes_size(inhrelid)) AS index_bytes
          FROM pg_inherits WHERE inhparent = 'sensor_records'::regclass) AS days
"""


async def measure(year: Year) -> list[Figure]:
    become_reaper()
    os.environ.update(UNSET)
    folder = Path(tempfile.mkdtemp(prefix="gasinsight-bench-"))
    folder.chmod(0o711)
    try:
        sensor_id, end, figures = await _filled(year, folder)
        return figures + await _answered(folder, sensor_id, end)
    finally:
        end_descendants()
        shutil.rmtree(folder, ignore_errors=True)


async def _filled(year: Year, folder: Path) -> tuple[str, datetime, list[Figure]]:
    """A sensor of the field, the end of its readings, and what storing them cost."""
    files, end = folder / "files", datetime.now(UTC).replace(microsecond=0)
    files.mkdir()
    _say(f"{year.sensors} sensors, {year.days} days, a reading every {year.interval_s} s, as Parquet")
    written = await asyncio.to_thread(write_files, year, end, files)
    postgres = EmbeddedPostgres(folder / "data", shared_dir=folder / "shared")
    try:
        url = postgres.start()
        await asyncio.to_thread(upgrade, url)
        _say(f"importing {written:,} readings")
        started_s = time.perf_counter()
        await _import(files, url)
        took_s = time.perf_counter() - started_s
        sizes, sensor_id = await _sizes(url)
    finally:
        postgres.stop()
    file_bytes = sum(path.stat().st_size for path in files.glob("readings-*"))
    shutil.rmtree(files)
    return sensor_id, end, _costs(sizes, file_bytes, took_s)


async def _import(files: Path, url: str) -> None:
    imported = await asyncio.create_subprocess_exec(
        *COMMAND, "import", str(files), "--yes", "--json", env=os.environ | {"DATABASE_URL": url}, stdout=-1
    )
    told, _ = await imported.communicate()
    if imported.returncode:
        raise RuntimeError(f"gasinsight import ended with {imported.returncode}: {told.decode()[-2000:]}")


async def _sizes(url: str) -> tuple[dict[str, Any], str]:
    database = await asyncpg.connect(url)
    await database.execute("VACUUM ANALYZE", timeout=RUN_S_MAX)  # as autovacuum would have, given time
    sizes = await database.fetchrow(READ_SIZES, timeout=RUN_S_MAX)
    sensor_id = await database.fetchval("SELECT id FROM sensors ORDER BY sensor_no LIMIT 1")
    await database.close()
    return dict(sizes), sensor_id


def _costs(sizes: dict[str, Any], file_bytes: int, took_s: float) -> list[Figure]:
    readings = sizes["readings"]

    def each(name: str, size: int) -> Figure:
        return Figure(name, float(size) / readings, "bytes a reading")

    return [
        Figure("readings stored", readings, "readings"),
        Figure("rollups made of them", sizes["rollups"], "rows"),
        Figure("import, rollups included", readings / took_s, "readings/s"),
        each("rows", sizes["rows_bytes"]),
        each("their indexes", sizes["index_bytes"]),
        each("rollups", sizes["rollup_bytes"]),
        each("indexes of rollups", sizes["rollup_index_bytes"]),
        each("the whole database", sizes["database_bytes"]),
        each("as Parquet", file_bytes),
        Figure("size of the database", sizes["database_bytes"] / 1e6, "MB"),
    ]


async def _answered(folder: Path, sensor_id: str, end: datetime) -> list[Figure]:
    """How `gasinsight up` answers over that database, as an Admin: the first time, and then."""
    paths: list[tuple[str, str, dict[str, str], int]] = [
        (grid.name, f"/sensor-records/{sensor_id}", grid.parameters(end), grid.times) for grid in GRIDS
    ]
    paths += [(path, path, {}, 100) for path in ("/dashboard", "/alerts/recent")]
    found: list[Figure] = []
    async with _up(folder) as (client, ready_s):
        found.append(Figure("gasinsight up, until it is ready", ready_s, "s"))
        for name, path, parameters, times in paths:
            _say(f"{name}, {times} times")
            ask = partial(_ask, client, path, parameters)
            (first,) = await timed(ask, 1, warmed_up=False)
            took = await timed(ask, times, warmed_up=False)
            found += [
                Figure(f"{name}, first", first, "ms"),
                Figure(f"{name}, p50", percentile(took, 0.5), "ms"),
                Figure(f"{name}, p99", percentile(took, 0.99), "ms"),
            ]
    return found


@asynccontextmanager
async def _up(folder: Path) -> AsyncIterator[tuple[httpx.AsyncClient, float]]:
    """A signed-in client, and how long it took until everything was ready."""
    port = free_port(LOOPBACK, 0)
    base = f"http://{LOOPBACK}:{port}"
    words = ["up", "--json", "--data-dir", str(folder / "data"), "--port", str(port)]
    up = Child(ChildSpec("up", [*COMMAND, *words], ADMIN, stop_s=STOP_S_MAX), folder / "logs", _say)
    _say("starting gasinsight up")
    started_s = time.perf_counter()
    await up.start()
    try:
        await until(lambda: answers(f"{base}/readyz"), START_S_MAX, "gasinsight up")
        ready_s = time.perf_counter() - started_s
        async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=120) as client:
            form = {"username": ADMIN["ADMIN_EMAIL"], "password": ADMIN["ADMIN_PASSWORD"]}
            signed_in = (await client.post("/auth/token", data=form)).raise_for_status().json()
            client.headers["Authorization"] = f"Bearer {signed_in['access_token']}"
            yield client, ready_s
    finally:
        await up.stop()


async def _ask(client: httpx.AsyncClient, path: str, parameters: dict[str, str]) -> None:
    answer = (await client.get(path, params=parameters)).raise_for_status().json()
    if path.startswith("/sensor-records/"):
        assert any(record["data"] for record in answer["records"]), "an empty history says nothing"


def _say(text: str) -> None:
    print(f"  {text} …", file=sys.stderr, flush=True)


async def _bounded(year: Year) -> list[Figure]:
    async with asyncio.timeout(RUN_S_MAX):
        return await measure(year)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.year", description=__doc__)
    parser.add_argument("--sensors", type=int, default=20, help="rounded up to whole facilities of 10 (20)")
    parser.add_argument("--days", type=int, default=30, help="up to the present moment (30)")
    parser.add_argument("--interval", type=int, default=300, help="seconds between two readings of a sensor (300)")
    parser.add_argument("--json", action="store_true", help="one JSON object, for programs")
    options = parser.parse_args()
    if min(options.sensors, options.days, options.interval) < 1:
        parser.error("--sensors, --days and --interval must be at least 1")
    before = load()
    figures = asyncio.run(_bounded(Year(options.sensors, options.days, options.interval)))
    print_figures("year", figures, before, options.json)


if __name__ == "__main__":
    main()
