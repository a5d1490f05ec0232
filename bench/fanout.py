"""`fanout`: one stream of readings to 100, 500 and 1,000 websockets, beside a bare ASGI broadcast in the same process.

Frames a second are those that all clients together received when frames were published as soon as they had nearly
caught up, up to 64 ahead: ours sends what waits for a client together. Latency, from publishing to the client, is at
one rate for both, at which frames come one by one. Then a crowd of which a tenth never reads and a tenth reads slowly:
the others must get everything, and the server's memory must stay what it was.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx

from bench.broadcast import FACILITY, SENSOR
from bench.memory import pss_mb
from bench.report import Figure, Say, at_most, median
from bench.site import Site, insert_sensors, open_site

CLIENTS = (100, 500, 1000)
SPAN_S = 4.0
LOAD = 0.4  # latency is measured at this part of what the bare broadcast delivers
SHARE_MIN = 0.8
STALLED_S = 30  # in this server; 60 s else
HOSTILE_SPAN_S = 50.0
HOSTILE_RATE = 12.0
HOSTILE_PAD = 4000
MEMORY_MB_MAX = 60.0  # for 200 clients that hold at most two write buffers each, and 256 frames shared by all
ANSWER_S_MAX = 150.0


@dataclass
class Runs:
    """What was seen, run by run, of one number of clients."""

    rates: dict[str, list[float]] = field(default_factory=lambda: {"bare": [], "ours": []})
    lags_ms: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: {"bare": [], "ours": []})
    cpu_us: dict[str, list[float]] = field(default_factory=lambda: {"bare": [], "ours": []})
    apart_us: dict[str, list[float]] = field(default_factory=lambda: {"bare": [], "ours": []})
    busy: list[float] = field(default_factory=list)


class Stage:
    """The server and the crowd, each in its own process."""

    def __init__(self, site: Site, server: asyncio.subprocess.Process, ports: dict[str, int], token: str) -> None:
        self.site = site
        self.server_pid = server.pid
        self.base = f"127.0.0.1:{ports['port']}"
        self.urls = {
            "ours": f"ws://{self.base}/ws/sensor-data/{SENSOR}?token={token}",
            "bare": f"ws://{self.base}/bare",
        }
        self.crowd: asyncio.subprocess.Process
        self._ports = ports

    async def start(self) -> None:
        self.crowd = await self.site.python("-m", "bench.crowd", str(self._ports["control"]))
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._ports["control"])

    async def tell_crowd(self, **order: object) -> dict[str, Any]:
        assert self.crowd.stdin and self.crowd.stdout
        self.crowd.stdin.write(json.dumps(order).encode() + b"\n")
        return await answer_of(self.crowd.stdout)

    async def publish(self, **order: object) -> dict[str, Any]:
        self._writer.write(json.dumps(order).encode() + b"\n")
        return await answer_of(self._reader)

    async def gather(self, kind: str, readers: int, stuck: int = 0, slow: int = 0) -> None:
        await self.tell_crowd(connect=self.urls[kind], readers=readers, stuck=stuck, slow=slow)
        await self.tell_crowd(report=True)

    async def open_sockets(self) -> int:
        async with httpx.AsyncClient(trust_env=False) as client:
            shown = (await client.get(f"http://{self.base}/metrics")).text
        lines = [line for line in shown.splitlines() if line.startswith("gasinsight_websocket_clients{")]
        return round(sum(float(line.split()[-1]) for line in lines))

    async def conflated(self) -> float:
        async with httpx.AsyncClient(trust_env=False) as client:
            shown = (await client.get(f"http://{self.base}/metrics")).text
        lines = [line for line in shown.splitlines() if line.startswith("gasinsight_conflated_values_total ")]
        return float(lines[0].split()[-1])

    def memory_mb(self) -> float:
        return pss_mb(self.server_pid)


async def fanout(runs: int, say: Say) -> list[Figure]:
    found: dict[int, Runs] = {clients: Runs() for clients in CLIENTS}
    async with _stage(say) as stage:
        for run in range(runs):
            for clients, seen in found.items():
                await _measure(stage, clients, seen)
                told = ", ".join(f"{kind} {rates[-1]:,.0f}" for kind, rates in seen.rates.items())
                say(f"run {run + 1} of {runs}, {clients} clients, frames/s: {told}")
        hostile = await _hostile(stage, say)
    figures = [figure for clients, seen in found.items() for figure in figures_of(clients, seen)]
    return figures + hostile


def figures_of(clients: int, seen: Runs) -> list[Figure]:
    """Of one number of clients; the ratio is within a run."""
    ratios = [ours / bare for ours, bare in zip(seen.rates["ours"], seen.rates["bare"], strict=True)]
    figures = [median(f"{clients} clients, {kind}", seen.rates[kind], "frames/s") for kind in ("ours", "bare")]
    figures.append(median(f"{clients} clients, ours to bare", ratios, "", f">= {SHARE_MIN}", SHARE_MIN))
    for kind in ("ours", "bare"):
        figures.append(median(f"{clients} clients, {kind}, processor time a frame", seen.cpu_us[kind], "us"))
        figures.append(
            median(f"{clients} clients, {kind}, the same at {LOAD:.0%}, frames apart", seen.apart_us[kind], "us")
        )
        for place, label in enumerate(("p50", "p99")):
            lags = [lags[place] for lags in seen.lags_ms[kind]]
            figures.append(median(f"{clients} clients, {kind}, {label} at {LOAD:.0%} of the bare rate", lags, "ms"))
    figures.append(median(f"{clients} clients, load generator busy", seen.busy, "of a processor"))
    return figures


async def _measure(stage: Stage, clients: int, seen: Runs) -> None:
    """Both in turn, first as fast as it goes, then at one rate."""
    for kind in ("bare", "ours"):
        await stage.gather(kind, clients)
        await stage.publish(publish=kind, seconds=0.5, rate=0, pad=0, readers=clients)
        await stage.tell_crowd(report=True)
        done = await stage.publish(publish=kind, seconds=SPAN_S, rate=0, pad=0, readers=clients)
        told = _checked(await stage.tell_crowd(report=True), done["frames"])
        seen.rates[kind].append(done["frames"] * clients / done["seconds"])
        seen.cpu_us[kind].append(1e6 * done["cpu_s"] / (done["frames"] * clients))
        if kind == "ours":
            seen.busy.append(told["busy_s"] / done["seconds"])
        rate = LOAD * seen.rates["bare"][-1] / clients
        done = await stage.publish(publish=kind, seconds=SPAN_S, rate=rate, pad=0, readers=clients)
        told = _checked(await stage.tell_crowd(report=True), done["frames"])
        seen.apart_us[kind].append(1e6 * done["cpu_s"] / (done["frames"] * clients))
        seen.lags_ms[kind].append((told["lags_ms"][0], told["lags_ms"][1]))
        await stage.tell_crowd(leave=True)


async def _hostile(stage: Stage, say: Say) -> list[Figure]:
    """A tenth stuck, a tenth slow; stuck ones are cut off while the others are served."""
    clients = max(CLIENTS)
    tenth = clients // 10
    empty_mb = stage.memory_mb()
    await stage.gather("ours", clients - 2 * tenth, stuck=tenth, slow=tenth)
    connected_mb = stage.memory_mb()
    say(f"{clients} clients, {tenth} of them stuck and {tenth} slow, for {HOSTILE_SPAN_S:.0f} s")
    before = await stage.conflated()
    weights: list[float] = []
    weighing = asyncio.create_task(_weigh(stage, weights))
    done = await stage.publish(
        publish="ours", seconds=HOSTILE_SPAN_S, rate=HOSTILE_RATE, pad=HOSTILE_PAD, readers=clients - 2 * tenth
    )
    weighing.cancel()
    told = _checked(await stage.tell_crowd(report=True), done["frames"])
    left = await stage.open_sockets()
    conflated = await stage.conflated() - before
    await stage.tell_crowd(leave=True)
    half = len(weights) // 2
    return [
        Figure("hostile mix: frames to each of the readers", done["frames"], f"frames of {HOSTILE_PAD:,} bytes"),
        Figure("hostile mix: readers that got all of them in order", clients - 2 * tenth, "clients"),
        Figure("hostile mix: p50 of the readers", told["lags_ms"][0], "ms"),
        Figure("hostile mix: p99 of the readers", told["lags_ms"][1], "ms"),
        Figure("hostile mix: frames that a slow client got", statistics.median(told["slow_frames"]), "frames"),
        Figure("hostile mix: values conflated", conflated, "values"),
        Figure(f"hostile mix: stuck clients cut off after {STALLED_S} s ({tenth} stuck)", clients - left, "clients"),
        Figure("memory of the server without clients", empty_mb, "MB"),
        Figure(f"memory with {clients:,} clients", connected_mb, "MB"),
        at_most("memory beyond that, most of the hostile mix", [max(weights) - connected_mb], "MB", MEMORY_MB_MAX),
        Figure("growth from its first half to its second", max(weights[half:]) - max(weights[:half]), "MB"),
    ]


def _checked(told: dict[str, Any], frames: int) -> dict[str, Any]:
    """Every reader got everything, once and in order."""
    assert told["fewest"] == told["most"] == frames, f"of {frames} frames readers got {told['fewest']}-{told['most']}"
    assert told["misplaced"] == 0 and told["readers_closed"] == 0, told
    return told


async def _weigh(stage: Stage, weights: list[float]) -> None:
    while True:
        weights.append(stage.memory_mb())
        await asyncio.sleep(1)


@asynccontextmanager
async def _stage(say: Say) -> AsyncIterator[Stage]:
    say("starting PostgreSQL, the server and the crowd")
    async with open_site() as site:
        database = await asyncpg.connect(site.database_url)
        await insert_sensors(database, {SENSOR: (FACILITY, "Temperature", 15)})
        await database.close()
        server = await site.python("-m", "bench.broadcast", BENCH_STALLED_S=str(STALLED_S))
        assert server.stdout
        ports = await answer_of(server.stdout)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{ports['port']}", trust_env=False) as client:
            token = await site.sign_in(client)
        stage = Stage(site, server, ports, token)
        await stage.start()
        yield stage


async def answer_of(reader: asyncio.StreamReader) -> dict[str, Any]:
    async with asyncio.timeout(ANSWER_S_MAX):
        line = await reader.readline()
    if not line:
        raise RuntimeError(f"a process of the bench ended, see above ({sys.argv[0]})")
    answer: dict[str, Any] = json.loads(line)
    return answer
