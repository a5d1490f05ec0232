"""`recovery`: seconds from `kill -9` of one process until every message in flight at the kill is committed.

Waiting for the locks of a dead reader is shown apart. The bus ends a lock only when its time is over, as Azure does: a
queue's LockDuration there, `--lock-s` of the local bus here (60 s for both by default; shorter in this bench).
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import asyncpg

from bench.house import FACILITIES, SENSORS, House, Wanted, engine_works, open_house, until
from bench.lags import Recovery, recovery, sent_since
from bench.report import Figure, Say, at_most
from bench.steady import Ledger, Plan, sending

RATE = 100.0
LOCK_S = 15.0
STEADY_S = 6.0
LAG_US_MAX = 3_000_000
RECOVERED_S_MAX = 90.0
SECONDS_MAX = 800.0
GOAL_S = 5.0
NODE_GOAL_S = 10.0

AFTER_US = 1_000_000
"""What the bus accepts so soon after the kill, or after its own return, counts as in flight: there is always some."""

Victims = Callable[[House], list[int]]
VICTIMS: dict[str, tuple[Victims, float]] = {
    "reader": (lambda house: house.engine_pids("ray::IntakeActor"), GOAL_S),
    "facility actor": (lambda house: house.engine_pids("ray::FacilityActor")[:1], GOAL_S),
    "historian": (lambda house: house.engine_pids("ray::HistorianActor"), GOAL_S),
    "PostgreSQL": (lambda house: [house.postgres.pid or 0], GOAL_S),
    "bus": (lambda house: [child.pid or 0 for child in house.children if child.name == "bus"], GOAL_S),
    "engine": (lambda house: [house.engine.pid or 0], NODE_GOAL_S),
    "node (the only one)": (lambda house: house.engine_pids(""), NODE_GOAL_S),
}


async def recovery_bench(runs: int, say: Say) -> list[Figure]:
    wanted = Wanted(lock_s=LOCK_S, commit_times=True)
    async with open_house(say, wanted) as house, house.kept_alive():
        plan = Plan(house.data_queue, FACILITIES, SENSORS, SECONDS_MAX, [RATE / FACILITIES] * FACILITIES)
        async with sending(house.bus, plan) as ledger:
            figures: list[Figure] = []
            for kind, (victims, goal_s) in VICTIMS.items():
                found = [await _kill(house, ledger, kind, victims, say) for _ in range(runs)]
                figures += figures_of(kind, found, goal_s)
    return figures


def figures_of(kind: str, found: list[Recovery], goal_s: float) -> list[Figure]:
    """Median and slowest; the waiting for locks apart, where there was any."""
    seconds = [one.seconds for one in found]
    figures = [
        at_most(kind, seconds, "s", goal_s),
        Figure(f"{kind}, slowest", max(seconds), "s", [], f"<= {goal_s:g}", max(seconds) <= goal_s),
    ]
    if locked := [one.locked_s for one in found if one.locked_s is not None]:
        beyond = [max(0.0, seconds - LOCK_S) for seconds in locked]
        figures += [
            Figure(f"{kind}, what it had locked (locks of {LOCK_S:g} s)", max(locked), "s", locked),
            at_most(f"{kind}, the same beyond the locks", beyond, "s", goal_s),
        ]
    return figures


async def _kill(house: House, ledger: Ledger, kind: str, victims: Victims, say: Say) -> Recovery:
    await until(lambda: _is_steady(house, ledger), f"a steady state before the {kind} is killed")
    pids = victims(house)
    assert pids and all(pids), f"no process of the {kind} was found"
    kill_us = time.time_ns() // 1000
    for pid in pids:
        with suppress(ProcessLookupError):  # it went with another one
            os.kill(pid, signal.SIGKILL)
    house.disturbed_s = time.monotonic()
    deadline_s = time.monotonic() + RECOVERED_S_MAX
    after_us = await _accepted_again_us(ledger, kill_us) + AFTER_US - kill_us
    await asyncio.sleep(max(0.0, (kill_us + after_us) / 1e6 - time.time()) + 0.1)
    if kind == "engine":  # its Ray goes on for seconds, until the next engine ends it: all of that time counts
        await until(lambda: engine_works(house), "the next engine")
        after_us = time.time_ns() // 1000 - kill_us
    while True:
        try:
            found = recovery(await sent_since(house, ledger, kill_us - 10_000_000), kill_us, after_us)
            break
        except (ValueError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"{kind}: {error} after {RECOVERED_S_MAX:.0f} s") from error
            await asyncio.sleep(0.2)
            with suppress(OSError, asyncpg.PostgresError):
                await house.reconnect()
    locked = "" if found.locked_s is None else f", {found.locked_s:.2f} s for what it had locked"
    say(f"{kind}: {found.seconds:.2f} s for {found.in_flight} messages{locked}")
    return found


async def _accepted_again_us(ledger: Ledger, kill_us: int) -> int:
    """When the bus has accepted something after the kill; at once, unless it was the bus that was killed."""

    async def accepted() -> bool:
        return ledger.accepted[-1][0] > kill_us

    await until(accepted, "the bus")
    return min(at_us for at_us, *_ in ledger.accepted if at_us > kill_us)


async def _is_steady(house: House, ledger: Ledger) -> bool:
    """Whether the engine itself works, not one that was killed, and keeps up with what was sent in the last seconds."""
    if not await engine_works(house):
        return False
    now_us = time.time_ns() // 1000
    recent = await sent_since(house, ledger, now_us - round(STEADY_S * 1e6))
    settled = [one for one in recent if one.accepted_us < now_us - LAG_US_MAX]
    facilities = {one.facility for one in settled}
    return len(facilities) == FACILITIES and all(one.committed_us for one in settled)
