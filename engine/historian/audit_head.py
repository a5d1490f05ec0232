"""The newest row of the audit log that this machine has seen, in a file of the data folder.

The web server's role can write no file, and whoever changes the log as the owner of the database does not reach it
either: rows that are cut off the end, an emptied log and a chain written anew contradict it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from engine.all_or_nothing import draft_of, new_file
from engine.database_url import parse
from engine.errors import SettingsError

HEADS_NAME: Final = "audit-heads.json"


@dataclass(frozen=True, slots=True)
class Head:
    """Row number `rows` had this hash, in hex, at `seen_at`. `set_back`: what a restore put aside, in words."""

    rows: int
    hash: str
    seen_at: str
    set_back: str = ""

    @property
    def text(self) -> str:
        return f"{self.rows} rows, head {self.hash}, seen at {self.seen_at}"


def read_head(data_dir: Path, database_url: str) -> Head | None:
    """None: nothing was ever remembered of this database here."""
    known = _read(data_dir).get(_name(database_url))
    return Head(**known) if known else None


def remember(data_dir: Path, database_url: str, head: Head) -> None:
    """From now on what comes must continue this. What a restore put aside stays told, until another one is."""
    heads = dict(_read(data_dir))
    before = heads.get(_name(database_url), {})
    heads[_name(database_url)] = asdict(head) | ({} if head.set_back else {"set_back": before.get("set_back", "")})
    path = data_dir / HEADS_NAME
    try:
        with draft_of(path) as draft, new_file(draft, 0o600) as file:
            file.write(json.dumps(heads, indent=1).encode())
            if os.geteuid() == 0:  # by hand, beside an engine with an account of its own
                os.fchown(file.fileno(), data_dir.stat().st_uid, -1)
    except OSError as error:
        raise SettingsError(f"cannot write {path}: {error.strerror}") from error


def contradiction(remembered: Head, rows: int, hash_then: str | None) -> str | None:
    """What is wrong with a log of `rows` rows, of which the one that was newest then has `hash_then` now."""
    if hash_then == remembered.hash or remembered.rows == 0:
        return None
    what = "rows were cut off the end" if rows < remembered.rows else "everything was written anew"
    return (
        f"this machine remembers {remembered.text}, and the log has {rows} rows without it: {what}, or an older backup"
        " was restored (`gasinsight db settle` after a restore that is meant)"
    )


def _name(database_url: str) -> str:
    return parse(database_url).without_secrets()


def _read(data_dir: Path) -> Mapping[str, Any]:
    path = data_dir / HEADS_NAME
    try:
        heads = json.loads(path.read_text(encoding="utf-8"))
        return {name: asdict(Head(**head)) for name, head in heads.items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise SettingsError(f"{path} is damaged ({error}): keep it, and look at who changed it") from error
