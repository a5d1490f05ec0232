"""`gasinsight backup` and `restore`: the database as one picture in a file, taken while everything works, and back.

One snapshot: readings, journal, commit log and checkpoints agree in it. What is not in the database (keys, the local
bus) is not in it either; docs/operations.md says what else belongs to a backup.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from engine.all_or_nothing import draft_of, new_file, unwound_by_signals
from engine.commands.audit import now_text
from engine.commands.given_files import check_writable
from engine.commands.steps import Screen
from engine.embedded import EmbeddedPostgres
from engine.embedded.clients import find_client, read_contents, run_client
from engine.errors import SettingsError
from engine.historian.audit import verify
from engine.historian.audit_head import Head, read_head, remember
from engine.historian.restored import refuse_unless_empty, server_major, settle
from engine.historian.web_role import make_web_role
from engine.private_files import PRIVATE_UMASK
from engine.runtime import find_database_url
from engine.settings import load_settings


def run_backup(overrides: dict[str, object], file: Path, as_json: bool) -> None:
    """Write the file whole or not at all; it is readable by its owner alone, for it holds password hashes."""
    if file.exists():
        raise SettingsError(f"{file} exists; a backup replaces nothing, choose another name")
    check_writable(file, "FILE")
    url = find_database_url(load_settings(**overrides))
    major = asyncio.run(server_major(url))
    screen = Screen(as_json)
    try:
        with unwound_by_signals(), draft_of(file) as draft, new_file(draft, 0o600):
            arguments = ["--format=custom", "--no-owner", f"--file={draft}"]
            with screen.step("reading the database"):
                run_client(find_client("pg_dump", major), url, arguments, "writing the backup")
            with draft.open("rb") as written:
                os.fsync(written.fileno())
    except OSError as error:
        raise SettingsError(f"cannot write {file}: {error.strerror}") from error
    size = file.stat().st_size
    screen.event("backup", f"{file}: {size / 1024**2:,.1f} MiB, PostgreSQL {major}", file=str(file), bytes=size)


def run_restore(overrides: dict[str, object], file: Path, as_json: bool) -> None:
    """Into the empty database of DATABASE_URL, or as the embedded one of a data folder that has none.

    What fails or is interrupted leaves the database empty, or the folder without one.
    """
    settings = load_settings(**overrides)
    if not file.is_file():
        raise SettingsError(f"there is no file {file}")
    screen = Screen(as_json)
    with unwound_by_signals():
        if settings.postgresql_url:
            _restore(settings.postgresql_url, file, screen)
            _settle_or_tell(settings.postgresql_url, screen)
            _set_audit_head_back(settings.data_dir, settings.postgresql_url)
        else:
            _restore_embedded(settings.data_dir.absolute(), file, screen)


def run_settle(overrides: dict[str, object]) -> None:
    settings = load_settings(**overrides)
    url = find_database_url(settings)
    _settle(url, Screen())
    _set_audit_head_back(settings.data_dir, url)


def _restore_embedded(data_dir: Path, file: Path, screen: Screen) -> None:
    postgres = EmbeddedPostgres(data_dir)
    if postgres.has_cluster():
        raise SettingsError(
            f"{data_dir} has a database already, and a restore replaces nothing: choose a new folder with --data-dir"
        )
    os.umask(PRIVATE_UMASK)
    with postgres as url:
        try:
            _restore(url, file, screen)
            _settle(url, screen)
            _set_audit_head_back(data_dir, url)
        except BaseException:
            postgres.remove()
            raise


def _restore(url: str, file: Path, screen: Screen) -> None:
    asyncio.run(refuse_unless_empty(url))
    program = find_client("pg_restore", asyncio.run(server_major(url)))
    read_contents(program, file)
    asyncio.run(make_web_role(url))
    arguments = ["--single-transaction", "--exit-on-error", "--no-owner", str(file)]
    with screen.step("writing the database"):
        run_client(program, url, arguments, "restoring")


def _set_audit_head_back(data_dir: Path, url: str) -> None:
    """The audit log is an earlier one now, and that was meant; what was put aside stays to be told."""
    before = read_head(data_dir, url)
    check = asyncio.run(verify(url, None))
    if check.problem is not None or not data_dir.is_dir():
        return  # `audit verify` will tell
    set_back = before.text if before is not None and before.hash != check.head else ""
    remember(data_dir, url, Head(check.rows, check.head, now_text(), set_back))


def _settle_or_tell(url: str, screen: Screen) -> None:
    """What is written by now is somebody else's database to take away."""
    try:
        _settle(url, screen)
    except BaseException:
        screen.event(
            "not_settled",
            "The database is restored and not settled: before anything is started on it, run `gasinsight db settle`"
            " (of a backup by an older program: `gasinsight db upgrade` first).",
        )
        raise


def _settle(url: str, screen: Screen) -> None:
    found = asyncio.run(settle(url))
    last = found["last_commit_at"]
    screen.event(
        "settled",
        f"{found['facilities']} facilities, {found['sensors']} sensors; the newest step in the log is of {last}."
        "\nEverybody has to sign in again. Users, rights and keys are as they were then: take away again what you took"
        " away since.",
        facilities=found["facilities"],
        sensors=found["sensors"],
        last_commit_at=None if last is None else last.isoformat(),
    )
