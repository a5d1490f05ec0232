"""Three hosts with a network between them that fails: spread, drain, cuts, hosts switched off, a long bad line.

Through all of it nothing is lost and nothing doubled; what was measured is printed, and stands in docs/operations.md.
`make test-hosts CUT_S=30` is shorter.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from engine.bus.queue_lengths import queue_lengths
from engine.settings import Settings
from tests.chaos.commits import check_commits
from tests.chaos.house import AWAY, KEEP_COMMITS
from tests.chaos.ledger import Ledger
from tests.chaos.ledger_check import check_ledger
from tests.chaos.sender import SenderProcess
from tests.chaos.watch import counted
from tests.hosts.freshness import FRESH_S, Freshness
from tests.hosts.network import Network
from tests.hosts.site import HOSTS, WEB_PORT, Site
from tests.integration.cluster.field import QUEUES

SHORT_S, LONG_S = 20.0, float(os.environ.get("CUT_S", "300"))
PAIRS = (("desk", "work"), ("head", "work"), ("head", "desk"))
FACILITIES, SENSORS, RATE = 4, 5, 40.0
START_S_MAX = 180.0
BACK_S_MAX = 150.0
NOT_READY_S_MAX = 6.0
"""From a cut to the first 503: two seconds of waiting for the database, and what the asking takes."""
GONE_S_MAX = 25.0
"""Until PostgreSQL has ended the sessions of a host that it cannot hear."""
LIVE_S_MAX = 90.0
"""A web server's connection to Ray may be found broken a minute after Ray was lost."""
SLOW_S = 60.0
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE client_addr = $1::inet"
LEADER = (
    "SELECT host(client_addr) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted"
)

pytestmark = [
    pytest.mark.ray,
    pytest.mark.bus,
    pytest.mark.postgres,
    pytest.mark.long,
    pytest.mark.timeout(round(1500 + 6 * LONG_S)),
]


class Trial:
    """What the steps share."""

    def __init__(self, site: Site, watch: Freshness) -> None:
        self.site = site
        self.watch = watch

    def say(self, text: str) -> None:
        sys.stdout.write(f"{time.strftime('%H:%M:%S')}  {text}\n")
        sys.stdout.flush()

    async def until(self, holds: Callable[[], Any], seconds: float, what: str) -> float:
        """Seconds until the (awaitable) condition held."""
        began_s = time.monotonic()
        while True:
            found = holds()
            if found if isinstance(found, bool) else await found:
                return time.monotonic() - began_s
            assert time.monotonic() - began_s < seconds, f"{what}: not within {seconds} s\n{self.site.log_text()}"
            await asyncio.sleep(0.2)

    async def well(self, what: str, since_s: float, seconds: float = BACK_S_MAX) -> None:
        """Until every facility's readings are stored while they are fresh; tells for how long they were not."""
        await self.until(lambda: self.watch.ages[-1][0] > since_s + 10 and self.watch.is_fresh(), seconds, what)
        stale_s, oldest_s = self.watch.stale_s(since_s), self.watch.oldest_s(since_s)
        self.say(f"{what}: fresh again after {stale_s:.1f} s, the oldest was {oldest_s:.1f} s behind")

    async def spread(self) -> bool:
        carried = await self.carried()
        return len(carried) == 2 and max(carried.values()) - min(carried.values()) <= 1 and self.watch.is_ready()

    async def carried(self) -> dict[str, int]:
        """Facilities by the host that carries them."""
        state = json.loads(await self.site.ask("SELECT state FROM engine_status WHERE component = 'engine'") or "{}")
        nodes = [node for node in state.get("nodes", []) if node["alive"] and not node["drained"]]
        return {node["hostname"]: node["facilities"] for node in nodes if node["facilities"]}

    async def leader(self) -> str | None:
        """The host whose engine leads."""
        address = await self.site.ask(LEADER)
        return next((host.name for host in self.site.hosts.values() if host.address == address), None)


async def test_lines_break_and_hosts_go_off_for_a_moment_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    async def go_through(trial: Trial) -> None:
        await _drain(trial)
        for one, other in PAIRS:
            await _cut(trial, one, other, SHORT_S)
        for name in ("work", "desk", "head"):
            await _switch_off_and_on(trial, name)
        await _slow_line(trial, "work")

    await _on_three_hosts(tmp_path, go_through)


async def test_lines_stay_cut_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    async def go_through(trial: Trial) -> None:
        for one, other in PAIRS:
            await _cut(trial, one, other, LONG_S)

    await _on_three_hosts(tmp_path, go_through)


async def _on_three_hosts(folder: Path, go_through: Callable[[Trial], Awaitable[None]]) -> None:
    with Network(folder, HOSTS) as network, network.from_the_yard():
        site = Site(network)
        try:
            await site.start()
            await _under_load(Trial(site, Freshness(site)), Ledger(folder / "ledger"), go_through)
            wrong = await site.stop()
            assert not wrong, f"{wrong}\n{site.log_text()}"
        finally:
            site.forget()


async def _under_load(trial: Trial, ledger: Ledger, go_through: Callable[[Trial], Awaitable[None]]) -> None:
    connection = await asyncpg.connect(trial.site.database_url)
    await connection.execute(KEEP_COMMITS)
    await connection.close()
    stop = asyncio.Event()
    sending = asyncio.create_task(SenderProcess(ledger, trial.site.bus, 1, FACILITIES, SENSORS, RATE).run(stop))
    watching = asyncio.create_task(trial.watch.run())
    try:
        await _start(trial)
        await go_through(trial)
        stop.set()
        await sending
        await _judge(trial, ledger)
    finally:
        stop.set()
        watching.cancel()
        await asyncio.gather(sending, watching, return_exceptions=True)


async def _start(trial: Trial) -> None:
    began_s = time.time()
    await trial.until(trial.watch.is_ready, START_S_MAX, "start")
    trial.say(f"start: ready {time.time() - began_s:.1f} s after an engine led")
    await asyncio.sleep(35)  # the field's last facility is set up then
    await trial.until(trial.spread, START_S_MAX, "spread")
    trial.say(f"spread: {await trial.carried()}")
    assert await trial.leader() == "desk"


async def _drain(trial: Trial) -> None:
    began_s = time.time()
    status, output = await trial.site.gasinsight("desk", "drain", "work")
    assert status == 0, output
    assert list(await trial.carried()) == ["desk"]
    trial.say(f"drain: work is empty after {time.time() - began_s:.1f} s")
    status, output = await trial.site.gasinsight("desk", "drain", "work", "--undo")
    assert status == 0, output
    await trial.until(trial.spread, 120, "balance after a drain")
    await trial.well("drain, undo and balance", began_s)


async def _cut(trial: Trial, one: str, other: str, seconds: float) -> None:
    what, site = f"{one} and {other} cut for {seconds:g} s", trial.site
    leads, had_sessions = await trial.leader(), not await _no_sessions_of(trial, other)
    cut_s = time.time()
    site.network.cut(one, other)
    if (one, other) == ("head", "desk"):
        await trial.until(lambda: not trial.watch.is_ready(), NOT_READY_S_MAX, what)
        trial.say(f"{what}: /readyz was 503 after {trial.watch.first_not_ready_s(cut_s):.1f} s")
    if one == "head":
        await trial.until(lambda: _no_sessions_of(trial, other), GONE_S_MAX, what)
        if had_sessions:
            trial.say(f"{what}: PostgreSQL had ended the sessions of {other} after {time.time() - cut_s:.1f} s")
    if one == "head" and leads == other:
        await trial.until(lambda: _leads_elsewhere(trial, other), 60, what)
        trial.say(f"{what}: the engine on {await trial.leader()} leads after {time.time() - cut_s:.1f} s")
    while time.time() < cut_s + seconds:
        if (one, other) == ("head", "desk"):
            assert not trial.watch.is_ready(), "who is cut from the database does not call itself ready"
        if one == "head":
            assert await _no_sessions_of(trial, other), "who is cut from the database does not commit"
        await asyncio.sleep(0.5)
    if seconds > BACK_S_MAX:
        await trial.well(f"{what}, meanwhile", cut_s, FRESH_S)
        assert trial.watch.stale_s(cut_s) < BACK_S_MAX
    healed_s = time.time()
    site.network.heal(one, other)
    await trial.well(what, cut_s if seconds < BACK_S_MAX else healed_s)
    await trial.until(trial.spread, 180, f"balance after {what}")
    trial.say(f"{what}: ready and balanced {time.time() - healed_s:.1f} s after its end, {await trial.leader()} leads")
    await trial.until(lambda: _seen_live(trial), LIVE_S_MAX, f"live values after {what}")


async def _no_sessions_of(trial: Trial, name: str) -> bool:
    return bool(await trial.site.ask(SESSIONS, trial.site.hosts[name].address) == 0)


async def _leads_elsewhere(trial: Trial, name: str) -> bool:
    return await trial.leader() not in {None, name}


async def _seen_live(trial: Trial) -> bool:
    """Whether somebody who looks on gets values of every facility, wherever it is."""
    where = f"http://{trial.site.hosts['desk'].address}:{WEB_PORT}"
    _, output = await trial.site.gasinsight("head", "watch", "--url", where, "--for", "6", "--json")
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return len({line["facility_id"] for line in lines if line["kind"] == "value"}) == FACILITIES + 1


async def _switch_off_and_on(trial: Trial, name: str) -> None:
    leads = await trial.leader()
    what = f"{name} switched off" + (", whose engine led" if leads == name else "")
    off_s = time.time()
    trial.site.power_off(name)
    if name == "head":
        await asyncio.sleep(30)
    else:
        await trial.well(what, off_s)
    on_s = time.time()
    trial.site.power_on(name)
    await trial.well(f"{name} switched on", on_s)
    await trial.until(trial.spread, 180, f"balance after {name} was off")
    trial.say(f"{name} switched on: balanced after {time.time() - on_s:.1f} s, {await trial.leader()} leads")
    await trial.until(lambda: _seen_live(trial), LIVE_S_MAX, f"live values after {name} was off")


async def _slow_line(trial: Trial, name: str) -> None:
    began_s = time.time()
    trial.site.network.slow_down(name, delay_ms=100, loss=0.01)
    while time.time() < began_s + SLOW_S:
        await asyncio.sleep(1)
    behind_s = sorted(age_s for at_s, age_s in trial.watch.ages if at_s > began_s + 10)
    mostly_s, most_s = behind_s[len(behind_s) // 2], behind_s[-1]
    trial.say(f"100 ms and 1 % loss to {name}: readings mostly {mostly_s:.1f} s behind, at most {most_s:.1f} s")
    assert set(await trial.carried()) == {"desk", "work"}, "a slow host is not a lost one"
    trial.site.network.speed_up(name)
    await trial.well(f"the line to {name} is good again", time.time())


async def _judge(trial: Trial, ledger: Ledger) -> None:
    site = trial.site

    async def drained() -> bool:
        try:
            lengths = await queue_lengths(site.bus, QUEUES, 1000)
            _, unrolled = await counted(site.database_url)
        except AWAY:
            return False
        return not unrolled and not any(messages for messages, _ in lengths.values())

    await trial.until(drained, 300, "the end")
    checked = await check_ledger(ledger, site.database_url, site.bus)
    connection = await asyncpg.connect(site.database_url)
    try:
        folded = await check_commits(connection, Settings(_env_file=None))
    finally:
        await connection.close()
    trial.say(f"{checked.stored} readings stored, lost {checked.lost}, doubled {checked.doubled}; {checked.trials()}")
    assert checked.problems() == {}, checked.examples
    assert folded.differences == ()
    assert checked.stored > 1000
