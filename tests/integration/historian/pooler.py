"""PgBouncer in front of a PostgreSQL, as Debian has it."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from engine.database_url import parse
from engine.processes.ports import free_port

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/sbin:/usr/local/bin")
needs_pgbouncer = pytest.mark.skipif(
    PGBOUNCER is None, reason="no pgbouncer on this machine (Debian: apt-get install pgbouncer)"
)
START_S_MAX = 10


@asynccontextmanager
async def pgbouncer(database_url: str, mode: str, *lines: str, sessions: int = 2) -> AsyncIterator[str]:
    """The address of the same database through it, which says nothing of a pooler; `sessions` of PostgreSQL behind."""
    assert PGBOUNCER is not None
    there = parse(database_url)
    port = free_port("127.0.0.1", 0)
    with tempfile.TemporaryDirectory(prefix="gasinsight-pooler-") as name:
        folder = Path(name)
        (folder / "users.txt").write_text(f'"{there.user}" "{there.password}"\n')
        settings = [
            "[databases]",
            f"* = host={there.hosts[0].name} port={there.hosts[0].port}",
            "[pgbouncer]",
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =",
            f"auth_type = scram-sha-256\nauth_file = {folder / 'users.txt'}",
            f"pool_mode = {mode}\ndefault_pool_size = {sessions}\nquery_wait_timeout = 5",
            *lines,
        ]
        (folder / "pgbouncer.ini").write_text("\n".join(settings) + "\n")
        as_whom = []
        if os.geteuid() == 0:  # it does not run as root
            as_whom = ["-u", "nobody"]
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, "nobody")
        with (folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                PGBOUNCER, *as_whom, str(folder / "pgbouncer.ini"), stdout=log, stderr=log
            )
        try:
            url = f"postgresql://{there.user}:{there.password}@127.0.0.1:{port}/{there.database}"
            async with asyncio.timeout(START_S_MAX):
                while not await _answers(url):
                    assert process.returncode is None, (folder / "log").read_text()
                    await asyncio.sleep(0.05)
            yield url
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()


async def _answers(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url, timeout=2, statement_cache_size=0)
    except (OSError, asyncpg.PostgresError):
        return False
    await connection.close()
    return True
