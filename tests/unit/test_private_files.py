"""A data folder is its owner's alone, and so are its locks; who waits for one says so and gives up."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import private_files, runtime
from engine.errors import FolderBusy, SettingsError
from engine.private_files import close_to_others, locked, open_lock, own_data_folder

FOLDER_MODE = 0o711 if os.geteuid() == 0 else 0o700


@pytest.fixture(autouse=True)
def same_umask_after() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_folder_of_an_older_program_is_closed_with_all_that_is_in_it(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    for name in ("bus/q/messages.sqlite", "logs/web.log", "secrets/bus_key", "runtime.json", "engine-report.json"):
        path = data_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        path.chmod(0o666)
    elsewhere = tmp_path / "somebody's"
    elsewhere.write_text("x")
    elsewhere.chmod(0o644)
    (data_dir / "logs" / "link.log").symlink_to(elsewhere)
    data_dir.chmod(0o777)
    own_data_folder(data_dir)
    assert mode(data_dir) == FOLDER_MODE
    open_to_others = [path for path in data_dir.rglob("*") if not path.is_symlink() and mode(path) & 0o077]
    assert open_to_others == []
    assert mode(elsewhere) == 0o644
    (data_dir / "logs" / "new.log").write_text("x")
    assert mode(data_dir / "logs" / "new.log") == 0o600


def test_a_new_folder_is_closed_whatever_the_umask(tmp_path: Path) -> None:
    os.umask(0)
    runtime.publish(tmp_path / "a" / "data", "up", database_url="postgresql://h/d")
    assert mode(tmp_path / "a" / "data") == FOLDER_MODE
    assert mode(tmp_path / "a" / "data" / runtime.LOCK_NAME) == 0o600


def test_a_place_for_everybody_stays_one(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    own_data_folder(tmp_path)
    assert mode(tmp_path) == 0o1777


def test_what_is_not_there_or_closed_already_is_left_alone(tmp_path: Path) -> None:
    close_to_others(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    (tmp_path / "file").chmod(0o400)
    close_to_others(tmp_path / "file")
    assert mode(tmp_path / "file") == 0o400


def test_a_lock_is_no_link_and_closed_to_others(tmp_path: Path) -> None:
    target = tmp_path / "target"
    (tmp_path / "lock").symlink_to(target)
    with pytest.raises(SettingsError, match="is a link, which a lock must not be"):
        open_lock(tmp_path / "lock")
    assert not target.exists()
    (tmp_path / "lock").unlink()
    (tmp_path / "lock").write_text("")
    (tmp_path / "lock").chmod(0o666)
    open_lock(tmp_path / "lock").close()
    assert mode(tmp_path / "lock") == 0o600


def test_a_lock_of_somebody_else_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lock").write_text("")
    us = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: us + 1)
    with pytest.raises(SettingsError, match="belongs to another user"):
        open_lock(tmp_path / "lock")


def test_who_waits_for_a_lock_says_for_what_and_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(private_files, "LOCK_SILENT_S", 0.05)
    monkeypatch.setattr(private_files, "LOCK_S_MAX", 0.3)
    script = "import sys, time; from pathlib import Path; from engine.private_files import locked\n"
    script += "with locked(Path(sys.argv[1])):\n    print('taken', flush=True)\n    sys.stdin.readline()"
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "lock")],
        cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout is not None and holder.stdout.readline() == "taken\n"
    try:
        held = f"process {holder.pid} has held {tmp_path / 'lock'} for more than 0.3 s"
        with pytest.raises(FolderBusy, match=held), locked(tmp_path / "lock"):
            pass
        waiting = f"waiting for {tmp_path / 'lock'}, which process {holder.pid} holds\n"
        assert capsys.readouterr().err == waiting
        monkeypatch.setattr(private_files, "LOCK_S_MAX", 30.0)
        threading.Timer(0.2, holder.communicate, ["\n"]).start()
        with locked(tmp_path / "lock"):
            assert capsys.readouterr().err == waiting
    finally:
        holder.kill()
        holder.wait()
