"""`sslmode` in DATABASE_URL means what it means to libpq: a server that is not who it claims to be learns nothing."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from engine.clock import SystemClock
from engine.errors import StoreUnavailable
from engine.historian.historian import Historian
from engine.historian.notifications import CONFIGURATION, News
from engine.historian.restored import server_major
from engine.settings import Settings
from migrations.upgrade import current_revision, newest_revision
from tests.integration.historian.outcomes import load, outcome, setup
from tests.integration.web.certificates import make_certificate
from web.database import Database

pytestmark = pytest.mark.postgres
SSL_REQUEST = bytes([0, 0, 0, 8, 4, 210, 22, 47])


@dataclass
class Front:
    """TLS in front of a PostgreSQL that speaks none; `secured`: how many connections came through it."""

    port: int = 0
    secured: int = 0


@asynccontextmanager
async def front_of(database_url: str, folder: Path, *, speaks_tls: bool = True) -> AsyncIterator[Front]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "fullchain.pem", folder / "key.pem")
    there, front = urlsplit(database_url), Front()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            assert await reader.readexactly(8) == SSL_REQUEST
            writer.write(b"S" if speaks_tls else b"N")
            if speaks_tls:
                await writer.start_tls(context)
                front.secured += 1
            server_reader, server_writer = await asyncio.open_connection(there.hostname, there.port)
            await asyncio.gather(_pipe(reader, server_writer), _pipe(server_reader, writer))
        except (OSError, ssl.SSLError, asyncio.IncompleteReadError):
            return  # the client has hung up, as it should
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        front.port = server.sockets[0].getsockname()[1]
        yield front


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


def through(front: Front, database_url: str, options: str) -> str:
    parts = urlsplit(database_url)
    netloc = parts.netloc.rpartition(":")[0] + f":{front.port}"
    return urlunsplit(parts._replace(netloc=netloc, query=options))


async def test_everything_that_connects_verifies_whom_it_speaks_to(database_url: str, tmp_path: Path) -> None:
    make_certificate(tmp_path)
    async with front_of(database_url, tmp_path) as front:
        url = through(front, database_url, f"sslmode=verify-full&sslrootcert={tmp_path / 'fullchain.pem'}")
        settings = Settings(_env_file=None, database_url=url)
        assert settings.database_url == url

        historian = await Historian.open(url, settings, SystemClock())  # the pool, and the connection of the leader
        assert await historian.facility_ids() == []
        leadership = await historian.try_lead()
        assert leadership is not None
        await leadership.release()
        await historian.close()
        (await News.open(url, settings, CONFIGURATION)).close()
        assert await current_revision(url) == newest_revision()
        assert await server_major(url) >= 15
        web = Database(url, 2, 5.0)
        await web.open()
        assert await web.value("SELECT 1") == 1
        async with web.own_connection() as connection:
            assert await connection.fetchval("SELECT 1") == 1
        await web.close()
        assert front.secured == 7


@pytest.mark.parametrize("sslmode", ["verify-full", "verify-ca"])
async def test_a_server_of_another_authority_is_refused(sslmode: str, database_url: str, tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
        make_certificate(tmp_path / name)
    async with front_of(database_url, tmp_path / "theirs") as front:
        url = through(front, database_url, f"sslmode={sslmode}&sslrootcert={tmp_path / 'ours/fullchain.pem'}")
        with pytest.raises(StoreUnavailable, match="certificate verify failed"):
            await server_major(url)


@pytest.mark.parametrize(
    ("root", "said"),
    [("of others", "certificate verify failed"), ("gone", "No such file"), ("never said", "root certificate")],
)
async def test_a_certificate_that_is_not_good_costs_no_data(
    root: str, said: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may expire at any commit: then nothing is rejected, let alone dead-lettered; the same is tried again."""
    make_certificate(tmp_path)
    (tmp_path / "of others").mkdir()
    make_certificate(tmp_path / "of others")
    direct = await Historian.open(database_url, Settings(_env_file=None), SystemClock())
    await direct.create_facility(setup("f"))
    state = await load(direct, "f")
    await direct.close()
    async with front_of(database_url, tmp_path) as front:
        named = "" if root == "never said" else f"&sslrootcert={tmp_path / root / 'fullchain.pem'}"
        monkeypatch.setenv("HOME", str(tmp_path))  # where it is looked for otherwise
        url = through(front, database_url, f"sslmode=verify-full{named}")
        historian = await Historian.open(url, Settings(_env_file=None), SystemClock())
        with pytest.raises(StoreUnavailable, match=said):
            await historian.commit(outcome(state, 1))
        await historian.close()


async def test_only_verify_full_minds_the_name(database_url: str, tmp_path: Path) -> None:
    make_certificate(tmp_path, "192.0.2.1")
    async with front_of(database_url, tmp_path) as front:
        root = f"sslrootcert={tmp_path / 'fullchain.pem'}"
        with pytest.raises(StoreUnavailable, match="certificate is not valid for"):
            await server_major(through(front, database_url, f"sslmode=verify-full&{root}"))
        assert await server_major(through(front, database_url, f"sslmode=verify-ca&{root}")) >= 15


@pytest.mark.parametrize("sslmode", ["require", "verify-ca", "verify-full"])
async def test_a_server_without_tls_gets_nothing(sslmode: str, database_url: str, tmp_path: Path) -> None:
    make_certificate(tmp_path)
    async with front_of(database_url, tmp_path, speaks_tls=False) as front:
        root = f"&sslrootcert={tmp_path / 'fullchain.pem'}"
        with pytest.raises(StoreUnavailable, match="rejected SSL upgrade"):
            await server_major(through(front, database_url, f"sslmode={sslmode}{root}"))
