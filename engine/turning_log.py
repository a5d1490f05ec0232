"""Log files that turn over while they are written: bounded in size and number, and no line lost or cut at the turn."""

from __future__ import annotations

import fcntl
import os
import termios
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CHUNK_BYTES: Final = 65_536
PIPE_BYTES: Final = 1 << 20  # so much of our children's words waits while we are busy
DRAIN_S_MAX: Final = 2.0
LOOK_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class LogLimits:
    """A file that would grow beyond `bytes_max` becomes NAME.1, and so on up to NAME.`kept`. A line is never cut."""

    bytes_max: int = 16 * 1024 * 1024
    kept: int = 3


class TurningLog:
    """Appends to a file that others may append to and turn over as well. On a full disk lines are lost, no more."""

    def __init__(self, path: Path, limits: LogLimits) -> None:
        self._path = path
        self._limits = limits
        self._descriptor = self._open()
        self._in_line = False

    def write(self, text: bytes) -> None:
        """What may begin and end within a line."""
        with suppress(OSError):
            rest = text
            if self._in_line:  # its end belongs to its beginning
                end = text.find(b"\n") + 1 or len(text)
                self._append(text[:end])
                rest = text[end:]
            if rest:
                self._stay_within(len(rest))
                self._append(rest)
            self._in_line = not text.endswith(b"\n")

    def close(self) -> None:
        os.close(self._descriptor)

    def _append(self, text: bytes) -> None:
        while text:
            text = text[os.write(self._descriptor, text) :]

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _stay_within(self, more: int) -> None:
        self._follow()
        if 0 < os.fstat(self._descriptor).st_size > self._limits.bytes_max - more:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)  # of those who find this out together one turns it over
            try:
                if self._is_current():
                    for number in range(self._limits.kept, 0, -1):
                        with suppress(FileNotFoundError):
                            self._numbered(number - 1).replace(self._numbered(number))
            finally:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            self._follow()

    def _follow(self) -> None:
        """To the present file of this name."""
        if not self._is_current():
            fresh = self._open()
            os.close(self._descriptor)
            self._descriptor = fresh

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path


class LogPump:
    """Takes what a child writes into `writing_end` and logs it, until all who hold that have ended."""

    def __init__(self, log: TurningLog) -> None:
        self._log = log
        self._reading, self.writing_end = os.pipe()
        with suppress(OSError):  # many pipes of one user may be large together
            fcntl.fcntl(self._reading, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._thread = threading.Thread(target=self._pump, name="log-pump", daemon=True)
        self._thread.start()

    def child_has_it(self) -> None:
        """The child holds the writing end by now, or never will."""
        os.close(self.writing_end)

    def drain(self) -> None:
        """Returns when what was written by now is in the log; grandchildren may go on writing."""
        deadline_s = time.monotonic() + DRAIN_S_MAX
        while self._thread.is_alive() and time.monotonic() < deadline_s:
            if not self._waiting():
                self._thread.join(LOOK_S)
                if not self._waiting():
                    return
            time.sleep(LOOK_S)

    def _waiting(self) -> bool:
        try:
            return any(fcntl.ioctl(self._reading, termios.FIONREAD, bytes(4)))
        except OSError:  # closed: it has ended
            return False

    def _pump(self) -> None:
        while chunk := os.read(self._reading, CHUNK_BYTES):
            self._log.write(chunk)
        os.close(self._reading)
        self._log.close()
