"""What a command makes is there whole, or not at all: also when it fails or is interrupted on the way."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO


@contextmanager
def folders_of(path: Path, mode: int = 0o777) -> Iterator[None]:
    """The folders it lies in are made, and those of them taken away again when this block fails."""
    missing = missing_folders(path.parent)
    try:
        path.parent.mkdir(mode, parents=True, exist_ok=True)
        yield
    except BaseException:
        remove_empty(*missing)
        raise


def missing_folders(folder: Path) -> list[Path]:
    """Of it and those it lies in, which are not there; the innermost first."""
    return [each for each in (folder, *folder.parents) if not each.exists()]


def remove_empty(*folders: Path) -> None:
    """Those of them in which there is nothing, in this order."""
    for folder in folders:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """Where to write what shall be there under this name once the block has ended well; it replaces what was there."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def new_file(path: Path, mode: int) -> Iterator[IO[bytes]]:
    """A file that was not there before, or FileExistsError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@contextmanager
def unwound_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does, so that it can clear up; in the thread that hears of signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def unwind(_: int, __: FrameType | None) -> None:
        signal.raise_signal(signal.SIGINT)

    before = {number: signal.signal(number, unwind) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
