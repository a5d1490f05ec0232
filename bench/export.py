"""`export`: readings a second out of PostgreSQL, as Parquet and as a polars frame, beside others that read the same.

All of them get the same rows, in turn within a run, each in a process of its own whose start does not count. What is
ours comes in order and under one snapshot, theirs as it lies. Memory is the most that a process ever had, over that of
an interpreter that does nothing.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from bench.export_run import OURS, Plan, Seen
from bench.fanout import answer_of
from bench.history import end_of, fill
from bench.report import Figure, Say, at_most, median
from bench.rivals import INSTALL, RIVALS, missing
from bench.scale import cpu_s_of
from bench.site import Site, open_site

ROWS = 3_000_000
COMPARED_ROWS_MAX = 3_000_000
FEW_ROWS = 1_000_000
RUN_S_MAX, LONG_RUN_S_MAX = 120.0, 600.0
KINDS = {"Parquet": "export.parquet", "polars": None}
FIRST_MS_MAX, MEMORY_MB_MAX, GROWTH_MAX = 50.0, 128.0, 1.1
BEST_FACTOR = 2.0
FIRST_TIMES = 5
_HEAD = b"facility_id,sensor_id,tracked_at,value,text,score,flags\n"
_INTERPRETER = "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM:')).split()[1])"


class PackagesMissing(Exception):
    """What is compared with is not installed."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One export. `cpu_s`: of its process and of PostgreSQL."""

    rows: int
    seconds: float
    cpu_s: float

    @property
    def a_second(self) -> float:
        return self.rows / self.seconds

    @property
    def a_core(self) -> float:
        return self.rows / self.cpu_s


async def export(runs: int, say: Say, rows: int = ROWS) -> list[Figure]:
    if lacking := missing():
        raise PackagesMissing(f"bench export lacks {', '.join(lacking)}: install them with `{INSTALL}`")
    async with open_site() as site:
        database = await asyncpg.connect(site.database_url, server_settings={"jit": "off", "timezone": "UTC"})
        await fill(database, rows, say)
        with tempfile.TemporaryDirectory(prefix="gasinsight-bench-") as folder:
            bench = _Bench(site, await _postmaster(database), Path(folder))
            found: list[Figure] = []
            for kind, out in KINDS.items():
                rates = await bench.compared(min(rows, COMPARED_ROWS_MAX), runs, out, say)
                found += figures_of(kind, rates)
            found += await bench.memory(rows, runs, say)
            found += await bench.first(runs, say)
        await database.close()
    return found


def figures_of(kind: str, rates: dict[str, list[Rate | None]]) -> list[Figure]:
    """Of one kind: everybody's rates, and ours over theirs within a run. None is a run that did not end in time."""
    found: list[Figure] = []
    ours = [rate for rate in rates[OURS] if rate is not None]
    bests: list[list[float]] = [[] for _ in ours]
    for name, each in rates.items():
        ended = [rate for rate in each if rate is not None]
        if len(ended) < len(each):
            found.append(Figure(f"{kind}, {name}: did not end in {RUN_S_MAX:.0f} s", 0.0, "rows/s"))
            continue
        found += [
            median(f"{kind}, {name}", [rate.a_second for rate in ended], "rows/s"),
            median(f"{kind}, {name}, a core", [rate.a_core for rate in ended], "rows/s/core"),
        ]
        if name == OURS:
            continue
        ratios = [mine.a_second / theirs.a_second for mine, theirs in zip(ours, ended, strict=True)]
        found.append(median(f"{kind}, ours over {name}", ratios, "", ">= 1", 1.0))
        for of_run, rate in zip(bests, ended, strict=True):
            of_run.append(rate.a_second)
    if all(bests):
        over = [mine.a_second / max(best) for mine, best in zip(ours, bests, strict=True)]
        found.append(median(f"{kind}, ours over the best", over, "", f">= {BEST_FACTOR:g}", BEST_FACTOR))
    return found


class _Bench:
    def __init__(self, site: Site, postmaster: int, folder: Path) -> None:
        self._site = site
        self._postmaster = postmaster
        self._folder = folder

    async def compared(self, rows: int, runs: int, out: str | None, say: Say) -> dict[str, list[Rate | None]]:
        """Each run: ours, then the others, over the same rows."""
        rates: dict[str, list[Rate | None]] = {name: [] for name in (OURS, *RIVALS)}
        for run in range(runs):
            for name, each in rates.items():
                before_s = postgres_cpu_s(self._postmaster)
                seen = await self._run(name, rows, out)
                if seen is None:
                    each.append(None)
                    continue
                assert seen.rows == rows, f"{name} read {seen.rows:,} of {rows:,} rows"
                cpu_s = seen.cpu_s + postgres_cpu_s(self._postmaster) - before_s
                rate = Rate(rows, seen.seconds, cpu_s)
                each.append(rate)
                say(f"run {run + 1} of {runs}, {out or 'polars'}, {name}: {rate.a_second:,.0f} rows/s")
        return rates

    async def memory(self, rows: int, runs: int, say: Say) -> list[Figure]:
        """Of few rows and of all: it should be the same, and little."""
        bare_mb = int(subprocess.check_output([sys.executable, "-c", _INTERPRETER])) * 1024 / 1e6
        over: dict[int, list[float]] = {FEW_ROWS: [], rows: []}
        for count, each in over.items():
            say(f"memory of {count:,} rows as Parquet")
            for _ in range(runs):
                seen = await self._run(OURS, count, KINDS["Parquet"], LONG_RUN_S_MAX)
                assert seen is not None and seen.rows == count
                each.append(seen.peak_mb - bare_mb)
        growth = [many / few for few, many in zip(over[FEW_ROWS], over[rows], strict=True)]
        return [
            *(
                at_most(f"memory over the interpreter, {count:,} rows", each, "MB", MEMORY_MB_MAX)
                for count, each in over.items()
            ),
            at_most(f"memory of {rows:,} rows over that of {FEW_ROWS:,}", growth, "", GROWTH_MAX),
        ]

    async def first(self, runs: int, say: Say) -> list[Figure]:
        """How soon rows come: inside of the command, and over REST, where the first time is not counted."""
        say("first rows and first bytes")
        commands = []
        for _ in range(runs):
            seen = await self._run(OURS, FEW_ROWS, KINDS["Parquet"])
            assert seen is not None and seen.first_s is not None
            commands.append(1000 * seen.first_s)
        found = [at_most("first rows, from the command's first question on", commands, "ms", FIRST_MS_MAX)]
        async with _signed_in(self._site) as client:
            for kind, head in (("csv", _HEAD), ("parquet", b"PAR1")):
                times = [await _first_ms(client, kind, head) for _ in range(runs * FIRST_TIMES + 1)]
                found.append(at_most(f"first rows over REST, {kind}", times[1:], "ms", FIRST_MS_MAX))
        return found

    async def _run(self, reader: str, rows: int, out: str | None, limit_s: float = RUN_S_MAX) -> Seen | None:
        """None when it does not end in time; its process is ended then."""
        path = None if out is None else str(self._folder / out)
        plan = Plan(reader, self._site.database_url, end_of(rows).isoformat(), path)
        process = await self._site.python("-m", "bench.export_run", json.dumps(asdict(plan)))
        try:
            output, _ = await asyncio.wait_for(process.communicate(), limit_s)
        except TimeoutError:
            process.kill()
            await process.wait()
            return None
        assert process.returncode == 0, f"{reader} failed"
        return Seen(**json.loads(output))


@asynccontextmanager
async def _signed_in(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    server = await site.python("-m", "bench.broadcast", BENCH_STALLED_S="60")
    assert server.stdout
    base = f"http://127.0.0.1:{(await answer_of(server.stdout))['port']}"
    async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=60) as client:
        client.headers["Authorization"] = f"Bearer {await site.sign_in(client)}"
        yield client


async def _first_ms(client: httpx.AsyncClient, kind: str, head: bytes) -> float:
    """Until there is more than the head; what comes then is not waited for."""
    started_s = time.perf_counter()
    got = 0
    async with client.stream("GET", "/exports/records", params={"format": kind}) as answer:
        assert answer.status_code == 200, (await answer.aread())[:500]
        async for piece in answer.aiter_bytes():
            got += len(piece)
            if got > len(head):
                return 1000 * (time.perf_counter() - started_s)
    raise EOFError(f"an export of {kind} ended after {got} bytes")


async def _postmaster(database: Any) -> int:
    backend = await database.fetchval("SELECT pg_backend_pid()")
    return int(_stat(backend).rpartition(")")[2].split()[1])


def postgres_cpu_s(postmaster: int) -> float:
    """Processor time of all of PostgreSQL so far, of sessions that ended too."""
    return sum(map(cpu_s_of, _stats(_family(postmaster))))


def _family(pid: int) -> list[int]:
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def _stats(pids: Iterable[int]) -> list[str]:
    found = []
    for pid in pids:
        try:
            found.append(_stat(pid))
        except (FileNotFoundError, ProcessLookupError):  # ended meanwhile: its parent counts it
            continue
    return found


def _stat(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text()
