"""Point-in-time recovery as docs/operations.md tells it: base backup, archived log, a server lost, a moment chosen."""

from __future__ import annotations

import asyncio
import shutil
import signal
from pathlib import Path

import asyncpg
import pytest

from engine.clock import ManualClock
from engine.embedded.account import Account, choose_account, run, spawn
from engine.embedded.binaries import Programs, find_programs
from engine.errors import CommitFenced
from engine.facility.facility import Facility
from engine.historian.historian import Historian
from engine.metrics import Metrics
from engine.processes.ports import free_port
from engine.settings import Settings
from migrations.upgrade import upgrade
from tests.fakes.messages import T0_US, activation, batch, setup
from tests.integration.gasinsight import gasinsight

pytestmark = pytest.mark.postgres
START_S_MAX = 30
SETTINGS = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "wal_level=replica", "archive_mode=on"]


class Server:
    """A PostgreSQL of the operator's own, set up by the words of docs/operations.md."""

    def __init__(self, folder: Path, account: Account, programs: Programs) -> None:
        self.folder = folder
        self._account = account
        self._programs = programs
        self.port = free_port("127.0.0.1", 0)
        self.url = f"postgresql://gasinsight@127.0.0.1:{self.port}/postgres"

    def call(self, program: str, *arguments: str) -> None:
        run(self._account, [str(self._programs.folder / program), *arguments], self.folder)

    async def start(self, data: Path) -> None:
        archive = f"archive_command=test ! -f {self.folder}/archive/%f && cp %p {self.folder}/archive/%f"
        arguments = [word for setting in (*SETTINGS, archive) for word in ("-c", setting)]
        command = [str(self._programs.folder / "postgres"), "-D", str(data), "-p", str(self.port), *arguments]
        with (self.folder / "log").open("ab") as log:
            self.process = spawn(self._account, command, self.folder, log)
        async with asyncio.timeout(START_S_MAX):
            while True:
                try:
                    connection = await asyncpg.connect(self.url)
                    in_recovery = await connection.fetchval("SELECT pg_is_in_recovery()")
                    await connection.close()
                    if not in_recovery:
                        return
                except (OSError, asyncpg.PostgresError):
                    assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
                await asyncio.sleep(0.1)

    def end(self, number: signal.Signals) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(30)

    async def ask(self, query: str) -> object:
        connection = await asyncpg.connect(self.url)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()


def facility_on(historian: Historian) -> Facility:
    settings = Settings(_env_file=None, checkpoint_readings_max=3)
    return Facility("f", historian, settings, ManualClock(T0_US), Metrics())


async def test_a_lost_server_comes_back_as_it_was_at_a_moment(server_folder: Path) -> None:
    account = choose_account(None)
    programs = find_programs(account, server_folder / "shared", None)
    folder = server_folder / "point"
    for each in (folder, folder / "archive"):
        each.mkdir()
        shutil.chown(each, account.uid, account.gid)
    server = Server(folder, account, programs)
    server.call("initdb", "-D", str(folder / "data"), "-U", "gasinsight", "--auth=trust", "--no-instructions")
    await server.start(folder / "data")
    try:
        await asyncio.to_thread(upgrade, server.url)
        settings = Settings(_env_file=None, database_url=server.url, group_commit_wait_ms=0)
        historian = await Historian.open(server.url, settings, ManualClock(T0_US))
        await historian.create_facility(setup())
        facility = facility_on(historian)
        await facility.apply([activation()])
        await facility.ingest(batch(("s", 1, "21.0")))
        source = ["-h", "127.0.0.1", "-p", str(server.port), "-U", "gasinsight"]
        server.call("pg_basebackup", *source, "-D", str(folder / "base"), "-c", "fast")

        await facility.ingest(batch(("s", 15, "30"), ("s", 30, "31")))  # after the base backup, in the archive only
        assert facility._core is not None
        state = facility._core.snapshot()
        moment = await server.ask("SELECT clock_timestamp()::text")
        await asyncio.sleep(0.1)
        await facility.ingest(batch(("s", 45, "-1"), ("s", 60, "-1")))  # the mishap
        switched = await server.ask("SELECT pg_walfile_name(pg_switch_wal())")
        async with asyncio.timeout(START_S_MAX):
            while not await server.ask(f"SELECT last_archived_wal >= '{switched}' FROM pg_stat_archiver"):
                await asyncio.sleep(0.1)
        server.end(signal.SIGQUIT)
        shutil.rmtree(folder / "data")

        (folder / "base/recovery.signal").touch()
        with (folder / "base/postgresql.auto.conf").open("a") as configuration:
            configuration.write(f"restore_command = 'cp {folder}/archive/%f %p'\n")
            configuration.write(f"recovery_target_time = '{moment}'\nrecovery_target_action = 'promote'\n")
        await server.start(folder / "base")
        assert await server.ask("SELECT count(*) FROM sensor_records") == 3
        settled = await asyncio.to_thread(gasinsight, "db", "settle", database_url=server.url)
        assert settled.returncode == 0, settled.stderr
        with pytest.raises(CommitFenced):  # it knows of the mishap
            await facility.ingest(batch(("s", 75, "-1")))
        again = facility_on(historian)
        await again.load()
        assert again._core is not None
        assert again._core.snapshot() == state
        await again.ingest(batch(("s", 45, "21.0")))
        assert await server.ask("SELECT count(*) FROM sensor_records") == 4
        await historian.close()
    finally:
        server.end(signal.SIGQUIT)
