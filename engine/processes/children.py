"""Processes that `gasinsight up` starts, keeps alive and takes with it.

Each child leads its own session, logs to `<data_dir>/logs/<name>.log` and is killed by the kernel when we die,
however we die. We are the reaper of their orphans, so that the end of `up` is the end of everything it started.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.environments import basic_environment
from engine.errors import BAD_SETTINGS_STATUS, GasInSightError, SettingsError
from engine.processes.process_table import descendants, end_session
from engine.processes.undertaker import Undertaker
from engine.turning_log import LogLimits, LogPump, TurningLog

RESTART_PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0)
FAILURES_MAX = 8
STEADY_S = 60.0
"""A child that lived this long starts with a clean slate when it dies."""
LAST_LINES = 12

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


class ChildFailed(GasInSightError):
    """A process we started does not come up or does not stay up; the message ends with its last log lines."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to start one child. Secrets go through files or `environment`, never through `command`.

    `environment` is all that it gets beside what any program does (engine.environments).
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_s: float = 5.0
    pass_fds: tuple[int, ...] = ()


class Child:
    """One process, started again with growing pauses whenever it ends by itself, until it failed too often."""

    def __init__(
        self,
        spec: ChildSpec,
        logs_dir: Path,
        report: Callable[[str], None],
        undertaker: Undertaker | None = None,
        limits: LogLimits = LogLimits(),  # noqa: B008 - a value that does not change
    ) -> None:
        self.name = spec.name
        self.log_path = logs_dir / f"{spec.name}.log"
        self.restarts = 0
        self._spec = spec
        self._report = report
        self._undertaker = undertaker
        self._limits = limits
        self._log: LogPump | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self) -> None:
        """Start the process; call from the main thread, whose end is what the kernel watches."""
        self._log = _opened_log(self.log_path, self._limits)
        log = self._log.writing_end if self._log is not None else asyncio.subprocess.DEVNULL
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._spec.command,
                env=basic_environment() | dict(self._spec.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=self._spec.pass_fds,
                preexec_fn=_die_with(os.getpid()),
            )
        finally:
            if self._log is not None:
                self._log.child_has_it()
        if self._undertaker is not None:
            self._undertaker.take_on(self._process.pid)

    async def ended(self) -> int:
        """The exit status of the present process, when it has ended (-n: killed by signal n)."""
        assert self._process is not None, "start first"
        status = await self._process.wait()
        await self._finish_log()
        return status

    async def keep(self) -> None:
        """Restart the process whenever it ends, returns after `stop`. Raises ChildFailed when it failed too often, and
        SettingsError, with its own word, when it says at its first start that it would always. What worked once and is
        refused later, a certificate on a full disk, may pass, and is tried again like any failure.
        """
        failures = 0
        while True:
            started_s = time.monotonic()
            status = await self.ended()
            if self._stopping.is_set():
                return
            failures = 1 if time.monotonic() - started_s > STEADY_S else failures + 1
            was_never_up = self.restarts == 0 and failures == 1 and time.monotonic() - started_s <= STEADY_S
            if failures > FAILURES_MAX or (status == BAD_SETTINGS_STATUS and was_never_up):
                raise self.failure(f"ended {failures} times in a row", status)
            pause_s = RESTART_PAUSES_S[min(failures - 1, len(RESTART_PAUSES_S) - 1)]
            self._report(f"{self.name} ended with {describe_status(status)}; it starts again in {pause_s:g} s")
            await self._end_session()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)
                return
            await self.start()
            self.restarts += 1

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL for the whole session when that takes too long."""
        self._stopping.set()
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), self._spec.stop_s)
        await self._end_session()
        await process.wait()
        await self._finish_log()

    async def _finish_log(self) -> None:
        if self._log is not None:
            await asyncio.to_thread(self._log.drain)

    def failure(self, what: str, status: int | None = None) -> GasInSightError:
        """What went wrong, with the end of the log; of bad settings the child has said it in its last line."""
        if status == BAD_SETTINGS_STATUS:
            return SettingsError(last_lines(self.log_path, 1).strip())
        ended = "" if status is None else f", at last with {describe_status(status)}"
        return ChildFailed(f"{self.name} {what}{ended}; {self.log_path} ends with:\n{last_lines(self.log_path)}")

    async def _end_session(self) -> None:
        """End what the child left behind in its session, whose number is the child's pid."""
        if self._process is None:
            return
        await asyncio.to_thread(end_session, self._process.pid)
        if self._undertaker is not None:
            self._undertaker.let_go(self._process.pid)


def become_reaper() -> None:
    """Orphans among our descendants become our children instead of init's, so that `end_descendants` finds them."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)


def cease_reaping() -> None:
    """Orphans go to the next reaper above again."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 0)


def end_descendants(patience_s: float = 3.0, *, sparing: Iterable[int] = ()) -> int:
    """SIGKILL what still descends from this process, but `sparing` and theirs; how many there were."""
    spared = set(sparing)
    found: set[int] = set()
    deadline_s = time.monotonic() + patience_s
    while (left := _descendants_but(spared)) and time.monotonic() < deadline_s:
        found |= left
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        _reap()
        time.sleep(0.02)
    return len(found)


def _descendants_but(spared: set[int]) -> set[int]:
    return descendants(os.getpid()) - spared.union(*map(descendants, spared))


def last_lines(path: Path, count: int = LAST_LINES) -> str:
    """The end of a log, indented."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 16_384))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        text = ""
    return "\n".join(f"    {line[:300]}" for line in text.splitlines()[-count:]) or "    (nothing)"


def describe_status(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def _die_with(parent: int) -> Callable[[], None]:
    def before_exec() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the kernel knew that we care
            os._exit(1)

    return before_exec


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _opened_log(path: Path, limits: LogLimits) -> LogPump | None:
    """None on a disk so full that it cannot be made: then the child runs without."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return LogPump(TurningLog(path, limits))
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise SettingsError(f"cannot write {path}: {error.strerror}; choose another DATA_DIR") from error
        return None
