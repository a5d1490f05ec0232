"""The folder of an export: what it is, how far it is, and its bytes.

    EXPORTS/<id>/about.json     replaced as a whole while it grows
    EXPORTS/<id>/data           locked by who writes it: unlocked and unfinished, its process has ended

Whoever takes the folder away cancels the export: who writes it looks after it.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import IO, Final

from pydantic import BaseModel, ValidationError

from engine.all_or_nothing import draft_of
from engine.clock import US_PER_S

UNREADABLE_US: Final = 3600 * US_PER_S
"""So old is no folder that somebody is just making."""
ID: Final = re.compile(r"[0-9a-f]{32}")


class State(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Wanted(BaseModel):
    """What was asked for. Times are microseconds since 1970, the end not included; None: without one."""

    dataset: str
    facility_ids: list[str]
    sensor_ids: list[str]
    start_us: int | None
    end_us: int | None
    columns: list[str]
    format: str


class About(BaseModel):
    """An export as it stands. `facilities` are those its rows are of, which whoever fetches it must still see.

    rows_expected  about how many, None where nobody knows
    """

    id: str
    principal: str
    wanted: Wanted
    facilities: list[str]
    created_us: int
    expires_us: int
    state: State = State.RUNNING
    rows: int = 0
    rows_expected: int | None = None
    bytes: int = 0
    problem: str | None = None


class Kept:
    """All exports of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self, about: About) -> IO[bytes]:
        """Its data, to be written and held open by who writes it."""
        place = self._folder / about.id
        place.mkdir(0o700, parents=True)
        file = (place / "data").open("xb", buffering=0)
        fcntl.flock(file, fcntl.LOCK_EX)
        self.tell(about)
        return file

    def tell(self, about: About) -> None:
        """Raises FileNotFoundError when it was taken away."""
        with draft_of(self._folder / about.id / "about.json") as draft:
            draft.write_text(about.model_dump_json(), encoding="utf-8")

    def find(self, export_id: str) -> About | None:
        """As it stands; one whose process has ended before it was whole has failed."""
        if ID.fullmatch(export_id) is None:
            return None
        try:
            about = About.model_validate_json((self._folder / export_id / "about.json").read_bytes())
            if about.state is State.RUNNING and self._is_abandoned(export_id):
                return about.model_copy(
                    update={"state": State.FAILED, "problem": "the server ended before it was whole"}
                )
        except (FileNotFoundError, ValidationError):
            return None  # taken away, perhaps just now
        return about

    def all(self) -> Iterator[About]:
        if self._folder.is_dir():
            for place in sorted(self._folder.iterdir()):
                if (about := self.find(place.name)) is not None:
                    yield about

    def open(self, export_id: str) -> IO[bytes]:
        """Raises FileNotFoundError."""
        return (self._folder / export_id / "data").open("rb", buffering=0)

    def remove(self, export_id: str) -> None:
        shutil.rmtree(self._folder / export_id, ignore_errors=True)

    def sweep(self, now_us: int) -> None:
        """Take away those whose time is over and what nobody can read, and the bytes of those that failed."""
        for place in list(self._folder.iterdir()) if self._folder.is_dir() else []:
            about = self.find(place.name)
            if about is None:
                if place.stat().st_mtime * US_PER_S < now_us - UNREADABLE_US:
                    shutil.rmtree(place, ignore_errors=True)
            elif about.expires_us <= now_us:
                self.remove(about.id)
            elif about.state is State.FAILED and about.bytes:
                with (place / "data").open("wb"):
                    self.tell(about.model_copy(update={"bytes": 0}))

    def _is_abandoned(self, export_id: str) -> bool:
        with self.open(export_id) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        # Between the look at `about` and this one it may have been finished.
        return About.model_validate_json((self._folder / export_id / "about.json").read_bytes()).state is State.RUNNING


def size_of(file: IO[bytes]) -> int:
    return os.fstat(file.fileno()).st_size
