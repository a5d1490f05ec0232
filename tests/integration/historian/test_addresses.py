"""Addresses against a real PostgreSQL and PostgreSQL's own programs: what the table of options says is so."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest

from engine.database_url import OPTIONS, parse
from engine.embedded.clients import find_client, run_client
from engine.errors import SettingsError, StoreUnavailable
from engine.historian.connecting import OF_THE_SERVER, connect
from engine.historian.connection import open_writer
from engine.historian.leadership import try_lead
from engine.historian.restored import server_major
from engine.processes.ports import free_port
from engine.settings import Settings
from migrations.upgrade import current_revision, newest_revision
from tests.integration.gasinsight import gasinsight
from tests.integration.historian.test_database_tls import _pipe
from web.database import Database

pytestmark = pytest.mark.postgres
ODD_PASSWORD = "p@ss:/?#[]%&=+ \N{LATIN SMALL LETTER U WITH DIAERESIS}%41"
EVERYTHING = (
    "connect_timeout=10&channel_binding=prefer&gssencmode=disable&keepalives=1&keepalives_idle=30&keepalives_interval=10"
    "&keepalives_count=3&tcp_user_timeout=9000&application_name=app&fallback_application_name=app&client_encoding=UTF8"
    "&options=-c%20geqo%3Doff&target_session_attrs=read-write&sslmode=prefer&sslsni=1&load_balance_hosts=disable"
    "&sslcertmode=allow&gssdelegation=0&min_protocol_version=3.0&sslnegotiation=postgres"
)


def elsewhere(database_url: str, hosts: str, options: str = "") -> str:
    there = parse(database_url)
    return f"postgresql://{there.user}:{there.password}@{hosts}/{there.database}?{options}"


def test_everything_that_libpq_knows_ends_no_command(database_url: str, tmp_path: Path) -> None:
    url = f"{database_url}?{EVERYTHING}"
    current = gasinsight("db", "current", database_url=url)
    assert (current.returncode, current.stderr) == (0, "")
    assert "which is the newest" in current.stdout
    for words in (("db", "upgrade"), ("db", "check"), ("backup", str(tmp_path / "gas.dump")), ("audit", "verify")):
        ran = gasinsight(*words, database_url=url)
        assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("words", ["db current", "db upgrade", "backup x.dump", "status", "web", "engine", "up"])
def test_an_address_that_is_wrong_is_a_sentence_of_every_command(words: str, tmp_path: Path) -> None:
    ran = gasinsight(*words.split(), "--data-dir", str(tmp_path), database_url="postgresql://u:hunter2@h/d?unheard=1")
    assert ran.returncode == 2
    assert ran.stderr.startswith("gasinsight: these settings are not usable: DATABASE_URL: has an option unheard")
    assert ran.stderr.count("\n") == 1 and "hunter2" not in ran.stderr + ran.stdout


@pytest.mark.parametrize(("user", "database", "said"), [("nobody", "", "nobody"), ("", "nowhere", "nowhere")])
def test_a_login_that_is_wrong_is_a_sentence_of_every_command(
    user: str, database: str, said: str, database_url: str, tmp_path: Path
) -> None:
    there = parse(database_url)
    host = there.hosts[0]
    login, name = f"{user or there.user}:{there.password}", database or there.database
    url = f"postgresql://{login}@{host.name}:{host.port}/{name}"
    for words in (("db", "current"), ("db", "upgrade"), ("backup", str(tmp_path / "x")), ("audit", "verify")):
        ran = gasinsight(*words, database_url=url)
        assert (ran.returncode, ran.stderr.count("\n")) == (1, 1), ran.stderr
        assert said in ran.stderr and str(there.password) not in ran.stderr


def test_doctor_finds_an_address_that_is_wrong(tmp_path: Path) -> None:
    ran = gasinsight("doctor", "--data-dir", str(tmp_path), database_url="postgresql://u:hunter2@h/d?unheard=1")
    assert (ran.returncode, ran.stderr) == (1, "")
    assert "has an option unheard" in " ".join(ran.stdout.split()) and "hunter2" not in ran.stdout


def test_programs_of_postgresql_understand_what_is_handed_to_them() -> None:
    """Whatever their version. Nobody listens there, but the address is read before."""
    nowhere = f"postgresql://u:p@127.0.0.1:{free_port('127.0.0.1', 0)}/d"
    program = find_client("pg_dump", 0)
    for name, option in OPTIONS.items():
        if option.fate == "refused" or name in {"host", "port", "sslpassword", "service"}:
            continue
        value = option.allowed[0] if option.allowed else "7" if "keepalives" in name or "timeout" in name else "utf8"
        if name == "options":
            value = "-c%20geqo%3Doff"
        with pytest.raises(StoreUnavailable) as failed:
            run_client(program, f"{nowhere}?{name}={value}", [], "trying")
        assert "query parameter" not in str(failed.value), (name, str(failed.value))
    ran = subprocess.run([program, f"--dbname={nowhere}?unheard=1"], capture_output=True, text=True, check=False)
    assert "query parameter" in ran.stderr, "so they complain of what they do not know"
    with pytest.raises(SettingsError, match="would show sslpassword"):
        run_client(program, f"{nowhere}?sslpassword=x", [], "trying")


async def test_a_password_of_any_characters_is_good_for_all(database_url: str, tmp_path: Path) -> None:
    connection = await asyncpg.connect(database_url)
    escaped = ODD_PASSWORD.replace("'", "''")
    await connection.execute(f"CREATE ROLE \"odd@role\" LOGIN SUPERUSER PASSWORD '{escaped}'")
    try:
        there = parse(database_url)
        host = there.hosts[0]
        login = f"{quote('odd@role', safe='')}:{quote(ODD_PASSWORD, safe='')}"
        url = f"postgresql://{login}@{host.name}:{host.port}/{there.database}"
        assert await current_revision(url) == newest_revision()
        assert await server_major(url) >= 15
        dumped = run_client(find_client("pg_dump", await server_major(url)), url, ["--schema-only"], "dumping")
        assert "CREATE TABLE" in dumped
    finally:
        await connection.execute('DROP ROLE "odd@role"')
        await connection.close()


async def test_of_several_hosts_the_first_that_answers_is_taken(database_url: str) -> None:
    """The first takes connections and says nothing, on the second nobody listens."""
    there = parse(database_url).hosts[0]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hosts = f"127.0.0.1:{silent.getsockname()[1]},127.0.0.1:{free_port('127.0.0.1', 0)},{there.name}:{there.port}"
        started_s = time.monotonic()
        connection = await connect(elsewhere(database_url, hosts, "connect_timeout=1"))
        assert 0.9 < time.monotonic() - started_s < 4
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()


async def test_a_host_that_takes_no_writes_is_passed_over(database_url: str) -> None:
    there = parse(database_url).hosts[0]
    administrator = await asyncpg.connect(database_url)
    await administrator.execute(
        f'ALTER DATABASE "{parse(database_url).database}" SET default_transaction_read_only = on'
    )
    try:
        hosts = f"{there.name}:{there.port},{there.name}:{there.port}"
        with pytest.raises(ConnectionError, match="read-write"):
            await connect(elsewhere(database_url, hosts))
        await (await connect(elsewhere(database_url, hosts, "target_session_attrs=any"))).close()
    finally:
        await administrator.close()


@asynccontextmanager
async def unix_socket(database_url: str, folder: Path) -> AsyncIterator[Path]:
    """A socket where PostgreSQL would have one."""
    there = parse(database_url).hosts[0]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(there.name, there.port)
        await asyncio.gather(_pipe(reader, server_writer), _pipe(server_reader, writer))

    async with await asyncio.start_unix_server(serve, folder / ".s.PGSQL.5432"):
        yield folder


async def test_a_unix_socket_is_a_host(database_url: str, tmp_path: Path) -> None:
    there = parse(database_url)
    async with unix_socket(database_url, tmp_path) as folder:
        for where in (f"@{quote(str(folder), safe='')}/{there.database}", f"@/{there.database}?host={folder}"):
            url = f"postgresql://{there.user}:{there.password}{where}"
            assert await current_revision(url) == newest_revision()
            program = find_client("pg_dump", await server_major(url))
            dumped = await asyncio.to_thread(run_client, program, url, ["--schema-only"], "dumping")
            assert "CREATE TABLE" in dumped


async def test_sockets_are_set_as_libpq_sets_them(database_url: str) -> None:
    async def of(options: str) -> list[int]:
        connection = await connect(f"{database_url}?{options}")
        peer = connection._transport.get_extra_info("socket")
        level = socket.IPPROTO_TCP
        found = [peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)]
        for name in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT):
            found.append(peer.getsockopt(level, name))
        await connection.close()
        return found

    assert await of("") == [1, 5, 2, 3, 10_000]
    asked = "keepalives_idle=31&keepalives_interval=11&keepalives_count=4&tcp_user_timeout=7000"
    assert await of(asked) == [1, 31, 11, 4, 7000]
    off, idle_s, *_ = await of("keepalives=0&keepalives_idle=31")
    assert off == 0 and idle_s != 31


async def test_the_other_end_of_every_connection_notices_that_we_are_gone(database_url: str) -> None:
    """A host without power says nothing; what its sessions hold would be held until the server asks."""
    settings = Settings(_env_file=None)
    web, writer = Database(database_url, 2, 5.0), await open_writer(database_url, settings)
    await web.open()
    leadership = await try_lead(database_url, settings, "an engine")
    assert leadership is not None
    async with web.own_connection() as listener, web.bare_connection() as asker:
        for connection in (await connect(database_url), writer, leadership._connection, listener, asker):
            said = [await connection.fetchval(f"SHOW {name}") for name in OF_THE_SERVER]
            assert said == ["10000", "5", "2", "3"]
            connection.terminate()
    await web.close()


async def test_options_reach_the_server_and_names_of_programs_stay(database_url: str) -> None:
    connection = await connect(f"{database_url}?options=-c%20geqo%3Doff&application_name=theirs")
    assert await connection.fetchval("SHOW geqo") == "off"
    assert await connection.fetchval("SHOW application_name") != "theirs"
    await connection.close()


def test_a_service_and_a_file_of_passwords_are_read(database_url: str, tmp_path: Path) -> None:
    there = parse(database_url)
    host = there.hosts[0]
    (tmp_path / "services").write_text(f"[gas]\nhost={host.name}\nport={host.port}\nuser={there.user}\n")
    (tmp_path / "passwords").write_text(f"{host.name}:{host.port}:*:{there.user}:{there.password}\n")
    (tmp_path / "passwords").chmod(0o600)
    url = f"postgresql:///{there.database}?service=gas&passfile={tmp_path / 'passwords'}"
    services = str(tmp_path / "services")
    ran = gasinsight("backup", str(tmp_path / "gas.dump"), database_url=url, PGSERVICEFILE=services)
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"gas\.dump: [\d.]+ MiB", ran.stdout)
