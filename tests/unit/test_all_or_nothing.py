"""What a command makes is there whole or not at all, however it ends."""

from __future__ import annotations

import os
import shutil
import signal
import stat
from pathlib import Path

import pytest

from engine import runtime
from engine.all_or_nothing import draft_of, folders_of, new_file, unwound_by_signals
from engine.commands.keys import run_keys_new
from engine.embedded import postgres
from engine.embedded.postgres import EmbeddedPostgres
from engine.errors import SettingsError, StoreUnavailable

ENDS = [OSError(28, "No space left on device"), KeyboardInterrupt(), SystemExit(143)]


@pytest.mark.parametrize("end", ENDS)
def test_folders_that_were_not_there_go_again(end: BaseException, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(type(end)), folders_of(tmp_path / "a/b/c/file"):
        assert (tmp_path / "a/b/c").is_dir()
        raise end
    assert list(tmp_path.rglob("*")) == [tmp_path / "a"]
    with pytest.raises(type(end)), folders_of(tmp_path / "a/b/c/file"):
        (tmp_path / "a/b/somebody's").write_text("")
        raise end
    assert (tmp_path / "a/b/somebody's").exists() and not (tmp_path / "a/b/c").exists()


@pytest.mark.parametrize("end", ENDS)
def test_a_draft_never_is_what_was_asked_for(end: BaseException, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("before")
    with pytest.raises(type(end)), draft_of(path) as draft:
        draft.write_text("half")
        raise end
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]
    with draft_of(path) as draft:
        draft.write_text("after")
    assert path.read_text() == "after" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("end", ENDS)
def test_a_new_file_is_new_and_ours_from_its_first_byte(end: BaseException, tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(type(end)), new_file(path, 0o600) as file:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        file.write(b"half")
        raise end
    assert not path.exists()
    path.write_text("before")
    with pytest.raises(FileExistsError), new_file(path, 0o600):
        pass
    assert path.read_text() == "before"


def test_signals_clear_up_and_are_as_before_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)
    for number in (signal.SIGTERM, signal.SIGHUP):
        with pytest.raises(KeyboardInterrupt), unwound_by_signals():
            os.kill(os.getpid(), number)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("end", ENDS)
def test_a_key_that_cannot_be_written_leaves_nothing(
    end: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fdopen(descriptor: int, _: str) -> None:
        os.close(descriptor)
        raise end

    with monkeypatch.context() as patched:
        patched.setattr("os.fdopen", fdopen)
        with pytest.raises(SettingsError if isinstance(end, OSError) else type(end)):
            run_keys_new(tmp_path / "keys/2026/a.pem")
    assert list(tmp_path.iterdir()) == []
    run_keys_new(tmp_path / "keys/2026/a.pem")
    with pytest.raises(SettingsError, match="File exists; choose another name, keep the old key"):
        run_keys_new(tmp_path / "keys/2026/a.pem")
    assert (tmp_path / "keys/2026/a.pem").read_text().startswith("-----BEGIN PRIVATE KEY-----")


@pytest.mark.parametrize("end", [StoreUnavailable("no"), *ENDS])
def test_a_first_start_of_the_database_that_fails_leaves_nothing(
    end: BaseException, server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = server_folder / "failing"
    folder.mkdir()
    folder.chmod(0o711)

    def make(home: Path, *_: object) -> None:
        for name in ("data.draft", "data"):
            (home / name / "base").mkdir(parents=True)
        for name in ("password", "data.password", "postgres.log"):
            (home / name).write_text("half")
        raise end

    monkeypatch.setattr(postgres, "_make_cluster", make)
    monkeypatch.setattr(postgres, "find_programs", lambda *_: None)
    with pytest.raises(type(end)):
        EmbeddedPostgres(folder / "new/data", shared_dir=folder / "shared").start()
    assert list(folder.iterdir()) == []

    (folder / "old/postgres/17/main").mkdir(parents=True)
    (folder / "old/notes").write_text("mine")
    with pytest.raises(type(end)):
        EmbeddedPostgres(folder / "old", shared_dir=folder / "shared").start()
    left = {str(path.relative_to(folder / "old")) for path in (folder / "old").rglob("*")}
    assert left == {"notes", "postgres", "postgres/17", "postgres/17/main"}, "what is not ours stays"
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's PostgreSQL runs as somebody else")
def test_a_folder_that_postgresql_cannot_reach_is_left_as_it_was(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="can reach neither"):
        EmbeddedPostgres(tmp_path / "new/data", shared_dir=tmp_path / "shared").start()
    assert list(tmp_path.rglob("*")) == [tmp_path / "shared"]


def test_a_cluster_that_does_not_start_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "postgres/data").mkdir(parents=True)

    def find(*_: object) -> None:
        raise StoreUnavailable("no programs")

    monkeypatch.setattr(postgres, "find_programs", find)
    with pytest.raises(StoreUnavailable):
        EmbeddedPostgres(tmp_path, shared_dir=tmp_path / "shared").start()
    assert (tmp_path / "postgres/data").exists()


def test_what_the_processes_of_a_folder_leave_can_be_taken_away(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    runtime.claim(data_dir, "up")
    runtime.development_secret(data_dir, "admin_password")
    (data_dir / "logs").mkdir()
    runtime.withdraw(data_dir, "up")
    runtime.remove(data_dir)
    assert list(data_dir.iterdir()) == [data_dir / "logs"]
