"""Two owners of a facility, stopped processes, lost connections, a killed PostgreSQL: who writes, who learns what."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from engine.clock import SystemClock
from engine.embedded import EmbeddedPostgres
from engine.errors import StoreUnavailable
from engine.historian import connection, group, group_commit, loading
from engine.historian.historian import Historian
from engine.model import CommitAnswer, Outcome, Verdict
from engine.settings import Settings
from migrations.upgrade import upgrade
from tests.integration.historian.cutting_proxy import CuttingProxy
from tests.integration.historian.outcomes import T0_US, committed, event, facility_with_sensors, load, outcome

pytestmark = pytest.mark.postgres
ROOT = Path(__file__).parents[3]


async def open_historian(url: str, **settings: Any) -> Historian:
    return await Historian.open(url, Settings(database_url=url, group_commit_wait_ms=0, **settings), SystemClock())


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bounds as in production, only shorter (the child sets its own)."""
    monkeypatch.setattr(connection, "LOCK_WAIT_S_MAX", 2.5)
    monkeypatch.setattr(loading, "STALLED_S_MIN", 1.0)


@pytest_asyncio.fixture
async def historian(database_url: str) -> AsyncIterator[Historian]:
    opened = await open_historian(database_url)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Any]:
    opened = await asyncpg.connect(database_url)
    yield opened
    await opened.close()


async def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize(
    ("where", "seconds_max", "verdicts_told"),
    [
        # It holds nothing: nobody waits.
        ("before", 2.0, ["fenced"]),
        # PostgreSQL ends its idle transaction; it cannot know whether its COMMIT was heard.
        ("inside", 6.0, ["unknown"]),
        # PostgreSQL would wait for ever; the load ends the session. Sent again, it is fenced.
        ("copy", 6.0, ["unavailable", "fenced"]),
    ],
)
async def test_a_stopped_incarnation_is_overtaken_and_writes_nothing_when_it_goes_on(
    short_waits: None,
    historian: Historian,
    database: Any,
    database_url: str,
    where: str,
    seconds_max: float,
    verdicts_told: list[str],
) -> None:
    _, (sensor_no,) = await facility_with_sensors(historian, "f")
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.historian.incarnation", database_url, "f", str(sensor_no), where),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert child.stdout is not None
    try:
        old_epoch = json.loads(await asyncio.wait_for(child.stdout.readline(), 30))["epoch"]
        while await state_of(child.pid) != "T":
            await asyncio.sleep(0.02)

        started_s = time.monotonic()
        state = await load(historian, "f")
        assert time.monotonic() - started_s < seconds_max
        assert state.epoch == old_epoch + 1
        await committed(historian, outcome(state, 2, [(sensor_no, T0_US, 1.0, None)]))

        os.kill(child.pid, signal.SIGCONT)
        verdicts = json.loads(await asyncio.wait_for(child.stdout.readline(), 30))["verdicts"]
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()
    assert verdicts == verdicts_told
    assert await database.fetchval("SELECT array_agg(value) FROM sensor_records") == [1.0]
    assert await database.fetchval("SELECT count(*) FROM alarm_events") == 0
    assert [entry.commit_no for entry in (await load(historian, "f")).log] == [1, 2]


Hold = Callable[[Sequence[Outcome]], Awaitable[None]]


def hold_before_commit(monkeypatch: pytest.MonkeyPatch, hold: Hold) -> None:
    """Run `hold` when everything of a transaction is written and only COMMIT is missing."""
    write = group.write_group

    async def write_and_wait(connection: Any, outcomes: Sequence[Outcome], *rest: Any) -> dict[str, CommitAnswer]:
        answers = await write(connection, outcomes, *rest)
        await hold(outcomes)
        return answers

    monkeypatch.setattr(group_commit, "write_group", write_and_wait)


async def test_taking_an_epoch_waits_for_the_commit_in_flight_and_sees_it(
    historian: Historian, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, (sensor_no,) = await facility_with_sensors(historian, "f")
    written, go_on = asyncio.Event(), asyncio.Event()

    async def hold(_: Sequence[Outcome]) -> None:
        written.set()
        await go_on.wait()

    hold_before_commit(monkeypatch, hold)
    commit = asyncio.create_task(historian.commit(outcome(state, 2, [(sensor_no, T0_US, 1.0, None)])))
    await written.wait()
    loading = asyncio.create_task(historian.load("f"))
    await asyncio.sleep(0.3)
    assert not loading.done()
    go_on.set()
    assert (await commit).verdict is Verdict.COMMITTED
    loaded = await loading
    assert loaded is not None and loaded.last_commit_no == 2


async def test_two_commits_of_one_facility_at_once_are_not_mistaken_for_bad_input(
    historian: Historian, database: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, (sensor_no,) = await facility_with_sensors(historian, "f")
    other = await open_historian(database_url)
    written, go_on = asyncio.Event(), asyncio.Event()

    async def hold(_: Sequence[Outcome]) -> None:
        written.set()
        await go_on.wait()

    hold_before_commit(monkeypatch, hold)
    first = asyncio.create_task(historian.commit(outcome(state, 2, [(sensor_no, T0_US, 1.0, None)])))
    await written.wait()
    second = asyncio.create_task(other.commit(outcome(state, 2, [(sensor_no, T0_US + 1, 2.0, None)])))
    await asyncio.sleep(0.2)
    go_on.set()
    assert [answer.verdict for answer in await asyncio.gather(first, second)] == [Verdict.COMMITTED, Verdict.UNKNOWN]
    assert await database.fetchval("SELECT array_agg(value) FROM sensor_records") == [1.0]
    await other.close()


async def test_journal_readers_miss_no_row_when_writers_would_commit_in_reverse_order(
    historian: Historian, database: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first, (no_first,)), (second, (no_second,)) = [await facility_with_sensors(historian, name) for name in ("a", "b")]
    other = await open_historian(database_url)
    written, go_on = asyncio.Event(), asyncio.Event()

    async def hold(outcomes: Sequence[Outcome]) -> None:
        if outcomes[0].facility_id == "a":
            written.set()
            await go_on.wait()

    seen: list[int] = []

    async def read_on() -> None:
        rows = await database.fetch("SELECT id FROM alarm_events WHERE id > $1 ORDER BY id", seen[-1] if seen else 0)
        seen.extend(row["id"] for row in rows)

    hold_before_commit(monkeypatch, hold)
    slow = asyncio.create_task(historian.commit(outcome(first, 2, (), [event(no_first)])))
    await written.wait()  # it has its ids and has not committed
    quick = asyncio.create_task(other.commit(outcome(second, 2, (), [event(no_second)])))
    for _ in range(10):
        await asyncio.sleep(0.03)
        await read_on()
    assert not quick.done()
    go_on.set()
    answers = await asyncio.gather(slow, quick)
    await read_on()
    assert [answer.verdict for answer in answers] == [Verdict.COMMITTED] * 2
    everything = await database.fetch("SELECT id, facility_id FROM alarm_events ORDER BY id")
    assert seen == [row["id"] for row in everything]
    assert [row["facility_id"] for row in everything] == ["a", "b"]
    await other.close()


async def test_commits_without_events_do_not_wait_for_the_journal(
    historian: Historian, database: Any, database_url: str
) -> None:
    state, (sensor_no,) = await facility_with_sensors(historian, "f")
    async with database.transaction():
        await database.execute("SELECT pg_advisory_xact_lock(hashtext('gasinsight journal'))")
        async with asyncio.timeout(4):
            await committed(historian, outcome(state, 2, [(sensor_no, T0_US, 1.0, None)]))


@pytest.mark.parametrize("arrived", [True, False])
async def test_a_connection_lost_during_commit_leaves_it_unknown_until_loaded(database_url: str, arrived: bool) -> None:
    async with CuttingProxy(database_url) as proxy:
        historian = await open_historian(proxy.url)
        state, (sensor_no,) = await facility_with_sensors(historian, "f")
        proxy.cut_once(word=b"COMMIT", pass_on=arrived)
        answer = await historian.commit(outcome(state, 2, [(sensor_no, T0_US, 1.0, None)]))
        assert answer.verdict is Verdict.UNKNOWN and proxy.cuts == 1
        state = await load(historian, "f")
        assert state.last_commit_no == (2 if arrived else 1)
        again = await committed(historian, outcome(state, state.last_commit_no + 1, [(sensor_no, T0_US, 1.0, None)]))
        assert again.not_stored == (frozenset({(sensor_no, T0_US)}) if arrived else frozenset())
        await historian.close()


@pytest.mark.parametrize("message_no", [1, 2, 4, 6, 9])  # BEGIN is the first, COMMIT about the fifteenth
async def test_a_connection_lost_before_commit_is_an_outage_and_nothing_is_written(
    database_url: str, database: Any, message_no: int
) -> None:
    async with CuttingProxy(database_url) as proxy:
        historian = await open_historian(proxy.url)
        state, (sensor_no,) = await facility_with_sensors(historian, "f")
        proxy.cut_once(message_no=message_no, pass_on=True)
        wanted = outcome(state, 2, [(sensor_no, T0_US, 1.0, None)], [event(sensor_no)])
        with pytest.raises(StoreUnavailable):
            await historian.commit(wanted)
        assert proxy.cuts == 1
        assert await database.fetchval("SELECT count(*) FROM sensor_records") == 0
        await committed(historian, wanted)  # the same incarnation, the same outcome
        await historian.close()


async def test_a_commit_that_takes_too_long_is_an_outage(
    database_url: str, historian: Historian, database: Any
) -> None:
    state, (sensor_no,) = await facility_with_sensors(historian, "f")
    impatient = await open_historian(database_url, commit_timeout_s=0.5)
    async with database.transaction():
        await database.execute("LOCK TABLE facility_commits IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreUnavailable):
            await impatient.commit(outcome(state, 2, [(sensor_no, T0_US, 1.0, None)]))
    await committed(impatient, outcome(state, 2, [(sensor_no, T0_US, 1.0, None)]))
    await impatient.close()


async def test_a_missing_table_is_our_failure_not_the_reading_s(historian: Historian, database: Any) -> None:
    state, (sensor_no,) = await facility_with_sensors(historian, "f")
    await database.execute("ALTER TABLE rollup_dirty RENAME TO elsewhere")
    with pytest.raises(StoreUnavailable, match="rollup_dirty"):
        await historian.commit(outcome(state, 2, [(sensor_no, T0_US, 1.0, None)]))


async def test_postgres_killed_and_restarted_under_a_running_historian(server_folder: Path) -> None:
    postgres = EmbeddedPostgres(server_folder / "killed", shared_dir=server_folder / "shared")
    url = await asyncio.to_thread(postgres.start)
    try:
        await asyncio.to_thread(upgrade, url)
        historian = await open_historian(url)
        state, (sensor_no,) = await facility_with_sensors(historian, "f")
        commit_no = 2
        outages = 0
        for round_no in range(3):
            reading = (sensor_no, T0_US + round_no, float(round_no), None)
            pid = postgres.pid
            assert pid is not None
            wanted = outcome(state, commit_no, [reading], [event(sensor_no, T0_US + round_no)])
            task = asyncio.create_task(historian.commit(wanted))
            await asyncio.sleep(0.002 * round_no)
            os.kill(pid, signal.SIGKILL)
            deadline_s = time.monotonic() + 30
            while True:
                assert time.monotonic() < deadline_s
                try:
                    answer = await task
                except StoreUnavailable:
                    outages += 1
                    await asyncio.sleep(0.1)
                    task = asyncio.create_task(historian.commit(wanted))
                    continue
                if answer.verdict is Verdict.COMMITTED:
                    break
                assert answer.verdict is Verdict.UNKNOWN
                state = await _load_when_back(historian)
                if state.last_commit_no == commit_no:
                    break
                wanted = replace(wanted, epoch=state.epoch)
                task = asyncio.create_task(historian.commit(wanted))
            commit_no += 1
            while postgres.restarts <= round_no:
                await asyncio.sleep(0.05)
                assert time.monotonic() < deadline_s
        state = await _load_when_back(historian)
        assert [entry.commit_no for entry in state.log] == [1, 2, 3, 4]
        assert postgres.restarts == 3 and outages > 0
        database = await asyncpg.connect(url)
        assert await database.fetchval("SELECT array_agg(value ORDER BY value) FROM sensor_records") == [
            0.0,
            1.0,
            2.0,
        ]
        assert await database.fetchval("SELECT count(*) FROM alarm_events") == 3
        await database.close()
        await historian.close()
    finally:
        await asyncio.to_thread(postgres.stop)


async def _load_when_back(historian: Historian) -> Any:
    async with asyncio.timeout(30):
        while True:
            try:
                return await load(historian, "f")
            except StoreUnavailable:
                await asyncio.sleep(0.1)


async def test_a_historian_opens_while_the_database_is_away() -> None:
    historian = await open_historian("postgresql://nobody:nothing@127.0.0.1:1/nothing")
    with pytest.raises(StoreUnavailable):
        await historian.load("f")
    with pytest.raises(StoreUnavailable):
        await historian.facility_ids()
    with pytest.raises(StoreUnavailable):
        await historian.try_lead()
    await historian.close()
