"""What the engine needs is taken away under load, one part after the other, and given back: nothing is lost or doubled.

While a part is away `/readyz` names it in words, memory stays bounded, and nobody has to do anything. Each outage lasts
OUTAGE_S seconds; `make test-outages OUTAGE_S=180` takes minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from engine.local_bus.status import bus_status
from tests.integration.cluster.field import READINGS
from tests.integration.cluster.harness import eventually, is_running
from tests.integration.cluster.outage_site import Hub, Site, running_site
from tests.integration.local_bus.harness import KEY

AWAY_S = float(os.environ.get("OUTAGE_S", "10"))
BACK_S_MAX = 90.0
GROWTH_MB_MAX = 150.0
DISK = "512m"
SLOW_COMMITS = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF current_setting('test.slept', true) IS DISTINCT FROM txid_current()::text THEN
        PERFORM set_config('test.slept', txid_current()::text, true);
        PERFORM pg_sleep(2);
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON facility_commits DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION slow()
"""
QUICK_COMMITS = "DROP TRIGGER slow ON facility_commits; DROP FUNCTION slow"

pytestmark = [
    pytest.mark.ray,
    pytest.mark.bus,
    pytest.mark.postgres,
    pytest.mark.slow,
    pytest.mark.timeout(round(600 + 10 * AWAY_S)),
]


@pytest.fixture
def small_disk(server_folder: Path) -> Iterator[Path | None]:
    """A file system of our own that can be filled; None where one cannot be mounted."""
    disk = server_folder / "disk"
    disk.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0711", "tmpfs", str(disk)]
    mounted = shutil.which("mount") and subprocess.run(mounting, capture_output=True, check=False).returncode == 0
    if not mounted:
        warnings.warn("a full disk is left out: no file system can be mounted here", stacklevel=1)
    yield disk if mounted else None
    if mounted:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@asynccontextmanager
async def postgres_stopped(site: Site) -> AsyncIterator[None]:
    """An immediate shutdown."""
    await asyncio.to_thread(site.stop_postgres_at_once)
    yield
    await asyncio.to_thread(site.postgres.start)


@asynccontextmanager
async def postgres_hanging(site: Site) -> AsyncIterator[None]:
    """Connections stay and are accepted, answers do not come."""
    with paused(site.postgres_processes()):
        yield


@asynccontextmanager
async def bus_killed(site: Site) -> AsyncIterator[None]:
    assert site.bus is not None
    site.bus.kill()
    site.bus.wait()
    yield
    site.start_bus()


@asynccontextmanager
async def facility_paused_and_taken_over(site: Site) -> AsyncIterator[None]:
    """Its epochs are over when it wakes up: what it does then must be fenced, and the facility claimed again."""
    with paused(site.engine.pids_of("FacilityActor")[:1]):
        yield
        await execute(site, "UPDATE facility_epochs SET epoch = epoch + 1")


@asynccontextmanager
async def historian_paused(site: Site) -> AsyncIterator[None]:
    with paused(site.engine.pids_of("HistorianActor")):
        yield


@asynccontextmanager
async def commits_slow(site: Site) -> AsyncIterator[None]:
    """Two seconds a commit; and the readers' process is told to end meanwhile, with messages in hand."""
    await execute(site, SLOW_COMMITS)
    yield
    await messages_locked(site, at_least=1)
    (pid,) = site.engine.pids_of("IntakeActor")
    os.kill(pid, signal.SIGTERM)
    while is_running(pid):
        await asyncio.sleep(0.01)
    assert (await bus_status(site.bus_port, KEY))[READINGS].locked == 0, "handed back, not left to expire"
    await execute(site, QUICK_COMMITS)


@asynccontextmanager
async def disk_full(site: Site) -> AsyncIterator[None]:
    """For PostgreSQL (which stops when its log cannot grow), the bus, and all logs."""
    assert site.disk is not None
    ballast = site.disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):  # as intended
        await execute(site, "SELECT pg_switch_wal()")
        await execute(site, "SELECT pg_logical_emit_message(true, 'test', repeat('x', 1000000))")
    yield
    ballast.unlink()


Outage = Callable[[Site], AbstractAsyncContextManager[None]]
OUTAGES: tuple[tuple[Outage, str], ...] = (
    (postgres_stopped, "database: PostgreSQL is not available"),
    (postgres_hanging, "database: PostgreSQL has not answered"),
    (bus_killed, "bus: all 4 queues are not connected"),
    (facility_paused_and_taken_over, "has not answered for"),
    (historian_paused, "historian-0, which writes to PostgreSQL, does not answer"),
    (commits_slow, "database: is slow: a commit takes 2"),
    (disk_full, "the disk of its data folder is full"),
)


async def test_what_is_away_comes_back_and_nothing_is_lost_or_doubled(
    server_folder: Path, small_disk: Path | None
) -> None:
    folder = small_disk or server_folder / "site"
    folder.mkdir(exist_ok=True)
    async with running_site(folder, small_disk) as site:
        hub = Hub(site)
        await hub.introduce()
        hub.start()
        await eventually(lambda: told(site, "all parts work"), 120, site.engine.log_text)
        for outage, text in OUTAGES if small_disk else OUTAGES[:-1]:
            await taken_away_and_given_back(site, hub, outage, text)
        await hub.stop()
        await eventually(lambda: all_stored(site, hub), BACK_S_MAX, site.engine.log_text)
        await eventually(lambda: all_settled(site), BACK_S_MAX, site.engine.log_text)
        assert any("resource-limit-exceeded" in each for each in hub.refused) or small_disk is None
        assert await value(site, "SELECT count(*) FROM reading_conflicts") == 0
        assert await value(site, "SELECT count(*) FROM dead_letters") == 0
        assert sum(counts.dead_lettered for counts in (await bus_status(site.bus_port, KEY)).values()) == 0
        assert await site.engine.stop() == 0


async def taken_away_and_given_back(site: Site, hub: Hub, outage: Outage, text: str) -> None:
    began_s = time.monotonic()
    before = site.memory_mb()
    async with outage(site):
        await eventually(lambda: told(site, text), 60, lambda: f"never told: {text}")
        if outage is postgres_stopped:
            waiting = "the engine has waited for it"  # told after a second of it
            await eventually(lambda: told_by_status(site, waiting), 60, lambda: f"status never told: {waiting}")
        await asyncio.sleep(max(0.0, began_s + AWAY_S - time.monotonic()))
        after = site.memory_mb()
    back_s = time.monotonic()
    await hub.stop()
    await eventually(lambda: all_stored(site, hub), BACK_S_MAX, site.engine.log_text)
    grown = {who: round(mb - before[who], 1) for who, mb in after.items() if who in before}
    seconds = f"{back_s - began_s:.0f} s, all {hub.sent} stored {time.monotonic() - back_s:.1f} s later"
    sys.stdout.write(f"{outage.__name__}: {seconds}, megabytes grown {grown}\n")
    assert max(grown.values()) < GROWTH_MB_MAX, grown
    hub.start()
    await eventually(lambda: told(site, "all parts work"), BACK_S_MAX, site.engine.log_text)


class paused:  # noqa: N801 - reads as what it does
    """SIGSTOP; what was killed meanwhile needs no SIGCONT."""

    def __init__(self, pids: list[int]) -> None:
        assert pids
        self._pids = pids

    def __enter__(self) -> None:
        for pid in self._pids:
            os.kill(pid, signal.SIGSTOP)

    def __exit__(self, *_: object) -> None:
        for pid in self._pids:
            if is_running(pid):
                os.kill(pid, signal.SIGCONT)


async def told(site: Site, text: str) -> bool:
    _, body, _ = await site.ready()
    return text in body["detail"]


async def told_by_status(site: Site, text: str) -> bool:
    exit_status, state, _ = await site.status()
    assert exit_status == 1 and not state["healthy"]
    return text in " ".join(state["problems"])


async def all_stored(site: Site, hub: Hub) -> bool:
    return await value(site, "SELECT count(*) FROM sensor_records") == hub.sent


async def all_settled(site: Site) -> bool:
    return all(each.active == each.locked == 0 for each in (await bus_status(site.bus_port, KEY)).values())


async def messages_locked(site: Site, at_least: int) -> None:
    while (await bus_status(site.bus_port, KEY))[READINGS].locked < at_least:
        await asyncio.sleep(0.05)


async def execute(site: Site, statement: str) -> None:
    connection = await asyncpg.connect(site.postgres.url)
    try:
        await connection.execute(statement)
    finally:
        connection.terminate()


async def value(site: Site, query: str) -> object:
    """None while the database is not back yet."""
    try:
        connection = await asyncpg.connect(site.postgres.url, timeout=5)
    except (asyncpg.PostgresError, OSError, TimeoutError):
        return None
    try:
        return await connection.fetchval(query)
    finally:
        connection.terminate()
