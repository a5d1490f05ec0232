"""`python -m bench [NAME …] [--runs N] [--rows N] [--json]`: starts what it needs, prints a table each, cleans up."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import partial

from bench.beside import beside
from bench.export import FEW_ROWS, ROWS, PackagesMissing, export
from bench.fanout import fanout
from bench.figures import figures
from bench.greedy import greedy
from bench.ingest import ingest_batch, ingest_single
from bench.latency import latency
from bench.memory import memory
from bench.neighbour import neighbour
from bench.planted import planted
from bench.query import query
from bench.recovery import recovery_bench
from bench.replay import replay
from bench.replays import replays
from bench.report import Figure, Say, load, print_figures
from bench.rules import rules
from bench.scale import scale
from bench.score import score

Bench = Callable[[int, Say], Awaitable[list[Figure]]]
BENCHES: dict[str, Bench] = {
    "ingest-single": ingest_single,
    "ingest-batch": ingest_batch,
    "latency": latency,
    "recovery": recovery_bench,
    "scale": scale,
    "score": score,
    "memory": memory,
    "rules": rules,
    "neighbour": neighbour,
    "fanout": fanout,
    "query": query,
    "figures": figures,
    "greedy": greedy,
    "planted": planted,
    "export": export,
    "export-beside-ingest": beside,
    "replay": replay,
    "replays": replays,
}
BENCH_S_MAX = 1800.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHES)}; all without")
    parser.add_argument("--runs", type=int, default=3, help="the median of so many runs counts (3)")
    parser.add_argument("--rows", type=int, default=ROWS, help=f"readings that `export` is asked for ({ROWS:,})")
    parser.add_argument("--json", action="store_true", help="one JSON object a bench, for programs")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BENCHES]
    if unknown or options.runs < 1:
        parser.error(f"there is no bench {unknown[0]!r}" if unknown else "--runs must be at least 1")
    if options.rows < FEW_ROWS:
        parser.error(f"--rows must be at least {FEW_ROWS}")
    benches = BENCHES | {"export": partial(export, rows=options.rows)}
    status = 0
    logging.getLogger("azure").setLevel(logging.CRITICAL)
    for name in options.names or BENCHES:
        before = load()
        try:
            figures = asyncio.run(_bounded(benches[name], options.runs))
        except PackagesMissing as error:  # the other benches go without them
            print(error, file=sys.stderr)
            status = 1
            continue
        print_figures(name, figures, before, options.json)
    return status


async def _bounded(bench: Bench, runs: int) -> list[Figure]:
    """Ctrl-C and SIGTERM end the bench in good order: what it started goes with it."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    async with asyncio.timeout(BENCH_S_MAX):
        return await bench(runs, _say)


def _say(text: str) -> None:
    print(f"  {text} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
