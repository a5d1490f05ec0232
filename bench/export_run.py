"""One export in a process of its own: `python -m bench.export_run PLAN`, PLAN a JSON object with the fields of `Plan`.

Prints one JSON object, the fields of `Seen`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from bench.rivals import RIVALS
from engine.clock import US_PER_S
from engine.exports.datasets import RECORDS, schema_of
from engine.exports.formats import FORMATS
from engine.exports.reading import read
from engine.exports.selection import WHOLE_US, Asked, find
from engine.exports.snapshot import open_snapshot
from engine.exports.writing import in_thread

OURS = "ours"


@dataclass(frozen=True, slots=True)
class Plan:
    """`reader` is "ours" or one of RIVALS; `until` an ISO time; `out` a file for Parquet, None for a polars frame."""

    reader: str
    url: str
    until: str
    out: str | None


@dataclass(frozen=True, slots=True)
class Seen:
    """first_s   until the first rows were there; None where all come at once
    cpu_s     processor time of this process, its start not included
    peak_mb   the most that it ever had in memory, its interpreter included
    """

    rows: int
    seconds: float
    first_s: float | None
    cpu_s: float
    peak_mb: float


class _Ours:
    """As `gasinsight export` does it."""

    def __init__(self) -> None:
        self.rows = 0
        self.first_s: float | None = None
        self._started_s = time.perf_counter()

    async def run(self, plan: Plan) -> None:
        end_us = round(datetime.fromisoformat(plan.until).timestamp()) * US_PER_S
        async with open_snapshot(plan.url) as snapshot:
            selection = await find(snapshot.planner, Asked(start_us=WHOLE_US[0], end_us=end_us))
            async with aclosing(read(snapshot, RECORDS, selection, RECORDS.columns)) as frames:
                if plan.out is None:
                    pl.concat([self._seen(frame) async for frame in frames])
                    return
                out = Path(plan.out)

                def write(found: Iterator[pl.DataFrame]) -> None:
                    with out.open("wb") as file:
                        FORMATS["parquet"].write(map(self._seen, found), schema_of(RECORDS.columns), file)

                await in_thread(frames, write)

    def _seen(self, frame: pl.DataFrame) -> pl.DataFrame:
        if self.first_s is None:
            self.first_s = time.perf_counter() - self._started_s
        self.rows += frame.height
        return frame


def run(plan: Plan) -> Seen:
    started_s, cpu_s = time.perf_counter(), time.process_time()
    first_s = None
    if plan.reader == OURS:
        ours = _Ours()
        asyncio.run(ours.run(plan))
        rows, first_s = ours.rows, ours.first_s
    else:
        out = None if plan.out is None else Path(plan.out)
        rows = RIVALS[plan.reader](plan.url, datetime.fromisoformat(plan.until), out)
    seconds = time.perf_counter() - started_s
    return Seen(rows, seconds, first_s, time.process_time() - cpu_s, peak_mb("self"))


def peak_mb(pid: int | str) -> float:
    """The most memory that a process ever had, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6


if __name__ == "__main__":
    print(json.dumps(asdict(run(Plan(**json.loads(sys.argv[1]))))))
