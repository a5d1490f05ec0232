"""Backup, restore and `up` that fail or are interrupted: nothing half-made is left, and the same again works."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from engine.historian.restored import server_major
from engine.processes.ports import free_port
from tests.integration.gasinsight import ROOT, command, environment, gasinsight

pytestmark = pytest.mark.postgres
CLIENT = """#!/bin/sh
case "$*" in *--version*) echo "{name} (PostgreSQL) {major}"; exit 0;; *--list*) exit 0;; esac
touch {begun}
exec sleep 60
"""


def interrupted(number: int, programs: Path, major: int, words: tuple[str, ...], database_url: str = "") -> int:
    """The exit status of a command that got a signal while PostgreSQL's program was at work, which never ends."""
    programs.mkdir()
    begun = programs / "begun"
    for name in ("pg_dump", "pg_restore"):
        (programs / name).write_text(CLIENT.format(name=name, major=major, begun=begun))
        (programs / name).chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    started = subprocess.Popen(command(*words), cwd=ROOT, env=environment(database_url, PATH=path))
    try:
        deadline = time.monotonic() + 100
        while not begun.exists():
            assert started.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        started.send_signal(number)
        return started.wait(60)
    finally:
        started.kill()


@pytest.fixture
def dump(database_url: str, tmp_path: Path) -> Path:
    file = tmp_path / "gas.dump"
    written = gasinsight("backup", str(file), database_url=database_url)
    assert written.returncode == 0, written.stderr
    return file


@pytest.fixture
def folder(server_folder: Path) -> Iterator[Path]:
    """That PostgreSQL's account can reach, and in it somebody's file."""
    made = server_folder / f"unfinished-{time.monotonic_ns()}"
    made.mkdir()
    made.chmod(0o711)
    (made / "notes").write_text("mine")
    yield made


def left(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_restore_that_fails_leaves_its_folder_as_it_was_and_may_be_tried_again(dump: Path, folder: Path) -> None:
    wrong, cut = folder.parent / "wrong.dump", folder.parent / "cut.dump"
    wrong.write_text("this is no dump")
    cut.write_bytes(dump.read_bytes()[:-50])
    for file, data_dir in ((wrong, folder), (cut, folder), (cut, folder / "new/data")):
        failed = gasinsight("restore", str(file), "--data-dir", str(data_dir))
        assert failed.returncode in {1, 2} and "Traceback" not in failed.stderr, failed.stderr
        assert left(folder) == ["notes"]
    restored = gasinsight("restore", str(dump), "--data-dir", str(folder))
    assert restored.returncode == 0, restored.stderr
    again = gasinsight("restore", str(dump), "--data-dir", str(folder))
    assert again.returncode == 2 and "has a database already" in again.stderr
    assert (folder / "postgres/data/PG_VERSION").exists(), "one that was there is not taken away"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_restore_leaves_its_folder_as_it_was(
    number: int, postgres_url: str, dump: Path, folder: Path, tmp_path: Path
) -> None:
    major = asyncio.run(server_major(postgres_url))
    words = ("restore", str(dump), "--data-dir", str(folder / "new/data"))
    assert interrupted(number, tmp_path / "programs", major, words) not in {0, -signal.SIGKILL}
    assert left(folder) == ["notes"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_backup_leaves_no_file(number: int, database_url: str, tmp_path: Path) -> None:
    major = asyncio.run(server_major(database_url))
    out = tmp_path / "backups"
    out.mkdir()
    words = ("backup", str(out / "gas.dump"))
    assert interrupted(number, tmp_path / "programs", major, words, database_url) not in {0, -signal.SIGKILL}
    assert left(out) == []


async def test_a_restore_into_a_database_that_fails_leaves_it_empty(
    dump: Path, database_url: str, tmp_path: Path
) -> None:
    """Then the same works; and where the last step fails, it says what is left to do."""
    server = await asyncpg.connect(database_url)
    await server.execute("CREATE DATABASE unfinished")
    url = database_url.rpartition("/")[0] + "/unfinished"
    try:
        cut = tmp_path / "cut.dump"
        cut.write_bytes(dump.read_bytes()[:-50])
        failed = await asyncio.to_thread(gasinsight, "restore", str(cut), database_url=url)
        assert failed.returncode == 1 and "restoring: " in failed.stderr, failed.stderr
        restored = await asyncio.to_thread(gasinsight, "restore", str(dump), database_url=url)
        assert restored.returncode == 0, restored.stderr
    finally:
        await server.execute("DROP DATABASE unfinished WITH (FORCE)")
        await server.close()


def test_what_is_restored_and_not_settled_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from engine.commands import backup
    from engine.commands.steps import Screen

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(backup, "_settle", interrupt)
    with pytest.raises(KeyboardInterrupt):
        backup._settle_or_tell("postgresql:///", Screen())
    assert "run `gasinsight db settle`" in " ".join(capsys.readouterr().out.split())


def test_a_first_up_that_comes_to_nothing_leaves_no_folder(folder: Path) -> None:
    nowhere = f"postgresql://u:p@127.0.0.1:{free_port('127.0.0.1', 0)}/d"
    for data_dir in (folder / "new/data", folder):
        port = str(free_port("127.0.0.1", 0))
        failed = gasinsight("up", "--data-dir", str(data_dir), "--port", port, database_url=nowhere)
        assert failed.returncode == 1 and "cannot bring the database to the newest schema" in failed.stderr
        assert not (folder / "new").exists()
    assert "notes" in left(folder), "a folder that was there stays"
