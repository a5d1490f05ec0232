"""Backup and restore as docs/operations.md tells them: the picture is one, and what comes after it cannot spoil it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from azure.servicebus.aio import ServiceBusClient

from engine.clock import ManualClock
from engine.embedded import EmbeddedPostgres
from engine.errors import CommitFenced
from engine.facility.facility import Facility
from engine.historian.historian import Historian
from engine.historian.schema import metadata
from engine.metrics import REBUILDS, Metrics
from engine.settings import Settings
from tests.conftest import database_named
from tests.fakes.messages import T0_US, activation, batch, setup
from tests.integration.cluster.field import FACILITIES, QUEUES, Field
from tests.integration.cluster.harness import Engine, Hub, eventually
from tests.integration.gasinsight import gasinsight
from tests.integration.local_bus.harness import running_bus

pytestmark = pytest.mark.postgres
MOVED_ON = {"facility_epochs", "users", "refresh_tokens"}
"""Tables in which a restore changes something on purpose."""
GAPS_IN_THE_LOG = """SELECT count(*) FROM (
    SELECT commit_no - lag(commit_no) OVER (PARTITION BY facility_id ORDER BY commit_no) AS step FROM facility_commits
) steps WHERE step <> 1"""


async def ask(database_url: str, query: str, *arguments: object) -> object:
    connection = await asyncpg.connect(database_url)
    try:
        return await connection.fetchval(query, *arguments)
    finally:
        await connection.close()


async def fingerprints(database_url: str) -> dict[str, object]:
    """Every table's rows, as one number a table."""
    return {
        name: await ask(database_url, f"SELECT md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM {name} t")
        for name in [*metadata.tables, "alembic_version"]
    }


async def anew(database_url: str) -> None:
    """The database destroyed, and an empty one in its place."""
    name = urlsplit(database_url).path[1:]
    connection = await asyncpg.connect(database_named(database_url, "postgres"))
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()


@pytest.fixture
async def historian(database_url: str) -> AsyncIterator[Historian]:
    settings = Settings(_env_file=None, database_url=database_url, group_commit_wait_ms=0)
    opened = await Historian.open(database_url, settings, ManualClock(T0_US))
    yield opened
    await opened.close()


def facility_on(historian: Historian) -> Facility:
    settings = Settings(_env_file=None, checkpoint_readings_max=3)
    return Facility("f", historian, settings, ManualClock(T0_US), Metrics())


async def state_of(facility: Facility) -> bytes:
    await facility.load()
    assert facility._core is not None
    return facility._core.snapshot()


async def lived_in_facility(historian: Historian, database_url: str) -> Facility:
    """A facility with a checkpoint and a log after it, an active alarm, parked rows, rollups due, a user signed in."""
    await historian.create_facility(setup())
    facility = facility_on(historian)
    await facility.apply([activation()])
    await facility.ingest(batch(("s", 1, "21.0"), ("s", 2, "off"), ("s", 15, "30")))
    await historian.rollup_pass()
    await facility.ingest(batch(("s", 30, "31"), ("unknown", 31, "5")))
    for table in ("checkpoints", "facility_commits", "alarm_events", "alarms", "parked", "rollup_dirty"):
        assert await ask(database_url, f"SELECT count(*) FROM {table}"), table
    await ask(database_url, """SELECT audit_append('{"action":"sign_in"}')""")
    await ask(
        database_url,
        """WITH ann AS (INSERT INTO users (username, email, hashed_password, role, sessions_valid_from)
               VALUES ('ann', 'ann@plant.example', '-', 'User', $1) RETURNING id)
           INSERT INTO refresh_tokens (user_id, family, token_hash, issued_at, expires_at)
           SELECT id, gen_random_uuid(), 'hash', $1, $2 FROM ann""",
        datetime.now(UTC) - timedelta(days=1),
        datetime.now(UTC) + timedelta(days=1),
    )
    return facility


async def test_a_restored_database_is_that_of_its_backup_and_goes_on(
    historian: Historian, database_url: str, tmp_path: Path
) -> None:
    facility = await lived_in_facility(historian, database_url)
    before, state = await fingerprints(database_url), await state_of(facility)
    events = await ask(database_url, "SELECT count(*) FROM alarm_events")
    file = tmp_path / "gas.dump"
    written = gasinsight("backup", str(file), "--json", database_url=database_url)
    assert written.returncode == 0, written.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(written.stdout.splitlines()[-1])["bytes"] == file.stat().st_size

    await facility.ingest(batch(("s", 45, "21"), ("s", 60, "21"), ("s", 600, "21")))
    await facility.load(again=True)
    newest = await ask(database_url, "SELECT max(id) FROM alarm_events")
    await anew(database_url)
    restored = gasinsight("restore", str(file), "--json", database_url=database_url)
    assert restored.returncode == 0, restored.stderr
    assert json.loads(restored.stdout.splitlines()[-1])["sensors"] == 1

    after = await fingerprints(database_url)
    assert {name for name in after if after[name] != before[name]} == MOVED_ON
    for whole in (("db", "check"), ("audit", "verify")):
        checked = gasinsight(*whole, database_url=database_url)
        assert checked.returncode == 0, checked.stdout + checked.stderr
    again = facility_on(historian)
    assert await state_of(again) == state
    assert REBUILDS not in again._metrics.snapshot()["counters"]
    await again.ingest(batch(("s", 46, "21"), ("s", 61, "21"), ("s", 600, "21")))
    with pytest.raises(CommitFenced):  # as many loads and commits, but of a past that is no longer so
        await facility.ingest(batch(("s", 615, "30")))
    assert await ask(database_url, "SELECT count(*) FROM sensor_records") == 7
    told = await ask(database_url, "SELECT count(*) FROM alarm_events WHERE id > $1", newest)
    assert told and told == await ask(database_url, "SELECT count(*) - $1::int FROM alarm_events", events)
    assert await ask(database_url, "SELECT bool_and(sessions_valid_from > now() - interval '1 hour') FROM users")
    assert await ask(database_url, "SELECT count(*) FROM refresh_tokens WHERE revoked_at IS NULL") == 0
    await historian.rollup_pass()
    assert await ask(database_url, "SELECT sum(readings) FROM reading_rollups WHERE width_s = 60") == 7


async def test_a_restore_replaces_nothing(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "gas.dump"
    for arguments, sentence in [
        (["restore", str(file)], "there is no file"),
        (["backup", "/proc/gas.dump"], "cannot write /proc/gas.dump"),
    ]:
        refused = gasinsight(*arguments, database_url=database_url)
        assert refused.returncode == 2
        assert sentence in refused.stderr
    assert gasinsight("backup", str(file), database_url=database_url).returncode == 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["gas.dump"]
    for arguments, sentence in [
        (["backup", str(file)], "exists"),
        (["restore", str(file)], "the database is not empty"),
    ]:
        refused = gasinsight(*arguments, database_url=database_url)
        assert refused.returncode == 2
        assert sentence in refused.stderr


async def test_a_backup_becomes_the_embedded_database_of_a_new_folder(
    historian: Historian, database_url: str, tmp_path: Path, server_folder: Path
) -> None:
    await lived_in_facility(historian, database_url)
    file = tmp_path / "gas.dump"
    assert gasinsight("backup", str(file), database_url=database_url).returncode == 0
    data_dir = server_folder / "restored"
    restored = gasinsight("restore", str(file), "--data-dir", str(data_dir))
    assert restored.returncode == 0, restored.stderr
    assert "1 facilities, 1 sensors" in restored.stdout
    again = gasinsight("restore", str(file), "--data-dir", str(data_dir))
    assert again.returncode == 2
    assert "has a database already" in again.stderr
    postgres = EmbeddedPostgres(data_dir)
    url = await asyncio.to_thread(postgres.start)
    try:
        assert await ask(url, "SELECT count(*) FROM sensor_records") == 4
    finally:
        await asyncio.to_thread(postgres.stop)


@pytest.mark.ray
@pytest.mark.bus
@pytest.mark.timeout(240)
async def test_an_engine_goes_on_with_the_database_that_was_restored_beneath_it(
    database_url: str, tmp_path: Path
) -> None:
    """Nobody has stopped it: what it held of the lost future is thrown away, and what it stored then is lost."""
    file = tmp_path / "gas.dump"
    async with running_bus(tmp_path / "bus", lock_s=5.0, queues=QUEUES) as bus:
        engine = Engine(tmp_path, database_url, bus.connection_string)
        await engine.start()
        try:
            async with ServiceBusClient.from_connection_string(bus.connection_string) as client:
                field = Field(Hub(client).send)
                lost = 0

                async def all_stored() -> bool:
                    try:
                        stored = await ask(database_url, "SELECT count(*) FROM sensor_records")
                    except asyncpg.PostgresError:
                        return False  # the moment in which there is none
                    return stored == field.sent - lost

                await field.introduce()
                await field.send(30)
                await eventually(all_stored, 90, engine.log_text)
                async with field.flowing():
                    written = await asyncio.to_thread(gasinsight, "backup", str(file), database_url=database_url)
                assert written.returncode == 0, written.stderr
                await field.send(60)
                await eventually(all_stored, 20, engine.log_text)

                await anew(database_url)
                restored = await asyncio.to_thread(gasinsight, "restore", str(file), database_url=database_url)
                assert restored.returncode == 0, restored.stderr
                at_backup = await ask(database_url, "SELECT count(*)::int FROM sensor_records")
                assert isinstance(at_backup, int)
                assert 30 <= at_backup <= field.sent - 60
                lost = field.sent - at_backup
                await field.send(30, "26.0")
                await eventually(all_stored, 60, engine.log_text)
                active = "SELECT count(*) FROM alarms WHERE active AND rule = 'high'"
                assert await ask(database_url, active) == len(FACILITIES)
                assert await ask(database_url, GAPS_IN_THE_LOG) == 0
                assert sum(bus.counts[queue].dead_lettered for queue in QUEUES) == 0
                assert await engine.stop() == 0
        finally:
            if engine.process is not None and engine.process.returncode is None:
                os.killpg(engine.process.pid, signal.SIGKILL)
