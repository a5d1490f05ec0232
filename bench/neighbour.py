"""`neighbour`: the lag of nine facilities while the tenth sends a hundred times as much, beside their lag without it.

Lag is from the moment before a message is sent to the commit of its reading. All send one reading a message; the noisy
facility's load comes once evenly and once in a burst every second. Everything together stays below what one reader can
take, so that what is measured is the neighbour and not the queue.
"""

from __future__ import annotations

import asyncio
import time

from bench.house import FACILITIES, SENSORS, House, Wanted, open_house, until
from bench.lags import Sent, sent_since
from bench.report import Figure, Say, at_most, median, percentile
from bench.steady import Ledger, Plan, sending

RATE = 2.0
FACTOR = 100
SPAN_S = 15.0
SETTLE_S = 3.0
STORED_S_MAX = 60.0
RATIO_MAX = 2.0
NOISE = {"alone": None, "evenly": 0.0, "in bursts": 1.0}


async def neighbour(runs: int, say: Say) -> list[Figure]:
    """Run by run: alone, with an even neighbour, with one that sends in bursts."""
    lags: dict[str, list[list[float]]] = {name: [] for name in NOISE}
    async with open_house(say, Wanted(commit_times=True)) as house:
        await _span(house, None)  # warm: every facility has its process
        for run in range(runs):
            for name, burst_s in NOISE.items():
                lags[name].append(await _span(house, burst_s))
                found = lags[name][-1]
                say(f"run {run + 1} of {runs}, {name}: p50 {_ms(found, 0.5):.0f} ms, p99 {_ms(found, 0.99):.0f} ms")
    return figures_of(lags)


def figures_of(lags: dict[str, list[list[float]]]) -> list[Figure]:
    """Lags in seconds, by kind of noise and run; the ratios are within one run."""
    found: list[Figure] = []
    for name, runs in lags.items():
        for label, part in (("p50", 0.5), ("p99", 0.99)):
            values = [_ms(run, part) for run in runs]
            found.append(median(f"the others' lag, neighbour {name}, {label}", values, "ms"))
            if name != "alone":
                ratios = [value / _ms(usual, part) for value, usual in zip(values, lags["alone"], strict=True)]
                found.append(at_most(f"ratio to alone, neighbour {name}, {label}", ratios, "", RATIO_MAX))
    return found


async def _span(house: House, burst_s: float | None) -> list[float]:
    """The lags of all but the last facility, which is silent (None) or noisy.

    What a sender sends while it connects waits for that, half a second, and does not count.
    """
    quiet = Plan(house.data_queue, FACILITIES, SENSORS, SPAN_S, [RATE] * (FACILITIES - 1) + [0.0])
    rate = 0.0 if burst_s is None else FACTOR * RATE
    noisy = Plan(house.data_queue, FACILITIES, SENSORS, SPAN_S, [0.0] * (FACILITIES - 1) + [rate], burst_s or 0.0)
    async with sending(house.bus, quiet) as ledger, sending(house.bus, noisy) as noise:

        async def under_way() -> bool:
            return bool(ledger.accepted) and bool(noise.accepted or not rate)

        await until(under_way, "the senders")
        since_us = time.time_ns() // 1000
        await asyncio.sleep(SPAN_S + SETTLE_S)
        messages = await _all_committed(house, ledger, since_us)
    expected = sum(quiet.rates) * SPAN_S
    assert len(messages) > expected / 2, f"only {len(messages)} of {expected:.0f} readings were sent"
    return [one.lag_s for one in messages]


async def _all_committed(house: House, ledger: Ledger, since_us: int) -> list[Sent]:
    deadline_s = time.monotonic() + STORED_S_MAX
    while True:
        messages = await sent_since(house, ledger, since_us)
        if messages and all(one.committed_us is not None for one in messages):
            return messages
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"not all of {len(messages)} readings were committed after {STORED_S_MAX:.0f} s")
        await asyncio.sleep(0.2)


def _ms(lags_s: list[float], part: float) -> float:
    return 1000 * percentile(lags_s, part)
