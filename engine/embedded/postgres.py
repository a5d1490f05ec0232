"""PostgreSQL as our own child process: one call gives a database URL, and `kill -9` of anything is survived.

    with EmbeddedPostgres(data_dir) as url: ...

Called by `gasinsight up` and the tests. Layout of `<data_dir>/postgres`:

    data/         the cluster, owned by the account PostgreSQL runs as
    password      of the role that owns the database, readable by the starter alone
    roles         there, once that role is no superuser
    port          loopback port, kept so that the URL stays the same from start to start
    postgres.log  what the server says

`<data_dir>/postgres.lock` is held (flock) by the process that owns the server. As root the account is an existing
unprivileged one; when it cannot reach `data_dir`, the folder above lives in `/var/lib/gasinsight` and
`<data_dir>/postgres` is a link to it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import IO

import structlog

from engine.all_or_nothing import missing_folders, remove_empty
from engine.embedded.account import Account, can_reach, choose_account, make_folder, run, spawn
from engine.embedded.binaries import Programs, find_programs
from engine.embedded.orphans import stop_orphans
from engine.embedded.roles import DATABASE, ROLE, run_alone, settle_roles
from engine.errors import StoreUnavailable
from engine.private_files import close_to_others, open_lock, take
from engine.turning_log import LogLimits, LogPump, TurningLog

_OURS = ("data", "data.draft", "data.password", "password", "port", "roles")
_PRIVATE = ("password", "port", "postgres.log*")
_LOCK = "postgres.lock"
_START_S_MAX = 600.0  # recovery may take long; a server that ends is noticed at once
_STOP_S_MAX = 30.0
_RESTART_PAUSES_S = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0)
_STEADY_S = 60.0
_POLL_S = 0.02
_CONFIGURATION = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_error_statement": "panic",  # statements carry other people's readings
    "log_line_prefix": "%m [%p] ",
}

_log = structlog.get_logger(__name__)


class EmbeddedPostgres:
    """One server for one data directory, owned by one process at a time. Methods block; none needs an event loop."""

    def __init__(
        self,
        data_dir: Path,
        shared_dir: Path = Path("/var/lib/gasinsight"),
        limits: LogLimits = LogLimits(),  # noqa: B008 - a value that does not change
    ) -> None:
        self._limits = limits
        self._data_dir = Path(data_dir).absolute()
        self._shared_dir = shared_dir
        self._home = self._data_dir / "postgres"
        self._lock: IO[str] | None = None
        self._keeper: threading.Thread | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._port = 0
        self._missing: list[Path] = []
        """Folders that were not there when it was started."""
        self.restarts = 0

    @property
    def url(self) -> str:
        """The same from start to start as long as the port is free; it holds the password."""
        password = (self._home / "password").read_text().strip()
        return f"postgresql://{ROLE}:{password}@127.0.0.1:{self._port}/{DATABASE}"

    @property
    def pid(self) -> int | None:
        """The server's process, None while there is none."""
        server = self._server
        return server.pid if server is not None and server.poll() is None else None

    def has_cluster(self) -> bool:
        """Whether there is a database in the folder, running or not."""
        return (self._home / "data").exists()

    def start(self) -> str:
        """Start the server, at first making its cluster, and return its URL once it accepts connections.

        A first start that fails leaves nothing of what it made.
        """
        self._missing = missing_folders(self._data_dir)
        try:
            self._lock = self._take_folder()
        except BaseException:
            remove_empty(*self._missing)
            raise
        was_there = self.has_cluster()
        try:
            data = self._home / "data"
            account = choose_account(data.stat().st_uid if data.exists() else None)
            self._home = _reachable_home(self._home, account, self._shared_dir)
            for path in (path for name in _PRIVATE for path in self._home.glob(name)):
                close_to_others(path)
            data = self._home / "data"
            programs = find_programs(account, self._shared_dir, _major_of(data))
            ended = stop_orphans(data)
            if ended:
                _log.warning("embedded_postgres_orphan_stopped", pids=ended, data=str(data))
            if not data.exists():
                _make_cluster(self._home, account, programs)
            _settle_roles(self._home, account, programs)
            self._port = _free_port(self._home / "port")
            self._keep_running(account, programs)
        except BaseException:
            if was_there:
                self.stop()
            else:
                self.remove()
            raise
        return self.url

    def stop(self) -> None:
        """End the server in good order (sessions are ended, data is flushed); harmless when it does not run."""
        self._end_keeper()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def remove(self) -> None:
        """End the server and take the database away with all that its start made; harmless when it was not started."""
        self._end_keeper()
        if self._lock is None:
            return
        home = self._home.resolve()
        for name in (*_OURS, *(log.name for log in home.glob("postgres.log*"))):
            if (home / name).is_dir():
                shutil.rmtree(home / name, ignore_errors=True)
            else:
                (home / name).unlink(missing_ok=True)
        remove_empty(home)
        if not home.exists():
            (self._data_dir / "postgres").unlink(missing_ok=True)  # where it led there
        (self._data_dir / _LOCK).unlink(missing_ok=True)
        self.stop()
        remove_empty(*self._missing)

    def _end_keeper(self) -> None:
        self._stopping.set()
        keeper = self._keeper
        if keeper is not None:
            keeper.join(_STOP_S_MAX * 2)
        self._keeper = None

    def __enter__(self) -> str:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _take_folder(self) -> IO[str]:
        """Make the folder and lock it; the kernel lets go of the lock however we end."""
        lock = open_lock(self._data_dir / _LOCK)
        if not take(lock):
            owner = lock.read().strip() or "unknown"
            lock.close()
            raise StoreUnavailable(
                f"the embedded PostgreSQL of {self._data_dir} is run by process {owner} already; "
                "stop that one, or use another DATA_DIR"
            )
        lock.seek(0)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        return lock

    def _keep_running(self, account: Account, programs: Programs) -> None:
        """Start the thread that starts the server, and starts it again whenever it ends by itself."""
        self._stopping.clear()
        first_start: list[BaseException | None] = []
        settled = threading.Event()

        def keep() -> None:
            # The server is tied to the life of this thread (parent-death signal), so spawning, watching and stopping
            # all happen here.
            try:
                self._server = self._spawn(account, programs)
            except BaseException as error:
                first_start.append(error)
                return
            finally:
                settled.set()
            self._watch(account, programs)

        self._keeper = threading.Thread(target=keep, name="embedded-postgres", daemon=True)
        self._keeper.start()
        settled.wait()
        if first_start and first_start[0] is not None:
            raise first_start[0]

    def _watch(self, account: Account, programs: Programs) -> None:
        """Wait for the stop; restart a server that ended by itself, at once the first time, then with pauses."""
        failures = 0
        started_s = time.monotonic()
        while not self._stopping.is_set():
            server = self._server
            if server is not None and server.poll() is None:
                self._stopping.wait(_POLL_S)
                continue
            if time.monotonic() - started_s > _STEADY_S:
                failures = 0
            status = server.returncode if server is not None else None
            _log.error("embedded_postgres_ended", status=status, restart=failures + 1)
            if self._stopping.wait(_RESTART_PAUSES_S[min(failures, len(_RESTART_PAUSES_S) - 1)]):
                break
            failures += 1
            started_s = time.monotonic()
            try:
                stop_orphans(self._home / "data")
                self._server = self._spawn(account, programs)
                self.restarts += 1
            except (StoreUnavailable, OSError) as error:  # a full disk takes neither recovery nor log; later it will
                _log.error("embedded_postgres_restart_failed", error=str(error))
        _end(self._server)

    def _spawn(self, account: Account, programs: Programs) -> subprocess.Popen[bytes]:
        """Start the server and return when it accepts connections."""
        data = self._home / "data"
        command = [str(programs.folder / "postgres"), "-D", str(data), "-p", str(self._port)]
        for name, value in _CONFIGURATION.items():
            command += ["-c", f"{name}={value}"]
        log_path = self._home / "postgres.log"
        log = LogPump(TurningLog(log_path, self._limits))
        try:
            server = spawn(account, command, self._home, log.writing_end)
        finally:
            log.child_has_it()
        deadline = time.monotonic() + _START_S_MAX
        while not _is_ready(data, server.pid):
            if server.poll() is not None or time.monotonic() > deadline or self._stopping.is_set():
                _end(server)
                log.drain()
                raise StoreUnavailable(f"PostgreSQL did not start: {_last_lines(log_path)}")
            time.sleep(_POLL_S)
        return server


def _reachable_home(home: Path, account: Account, shared_dir: Path) -> Path:
    """The folder itself, or one elsewhere, linked from here, when the account cannot pass through its parents."""
    if home.is_dir():
        return home.resolve()
    if not account.dropped or can_reach(account, home.parent):
        make_folder(home, 0o711 if account.dropped else 0o700)
        return home
    if home.is_symlink():  # the folder it named is gone: start afresh
        home.unlink()
    elsewhere = shared_dir / f"postgres-{secrets.token_hex(8)}"
    make_folder(shared_dir, 0o755)
    make_folder(elsewhere, 0o711)
    if not can_reach(account, elsewhere):
        elsewhere.rmdir()
        raise StoreUnavailable(
            f"user {account.name}, as which PostgreSQL runs, can reach neither {home.parent} nor {shared_dir}; "
            "start as an ordinary user, choose another DATA_DIR, or set DATABASE_URL"
        )
    home.symlink_to(elsewhere)
    _log.warning("embedded_postgres_elsewhere", account=account.name, data_dir=str(home.parent), folder=str(elsewhere))
    return elsewhere


def _make_cluster(home: Path, account: Account, programs: Programs) -> None:
    """initdb beside the final name, then one rename: a cluster is there wholly or not at all."""
    draft = home / "data.draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    password = secrets.token_urlsafe(24)
    _write_private(home / "password", password)
    handed_over = draft.with_name("data.password")
    _write_private(handed_over, password)
    if account.dropped:
        os.chown(draft, account.uid, account.gid)
        os.chown(handed_over, account.uid, account.gid)
    initdb = [str(programs.folder / "initdb"), "-D", str(draft), "-U", ROLE, f"--pwfile={handed_over}"]
    initdb += ["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--data-checksums", "--no-instructions"]
    try:
        run(account, initdb, home)
    finally:
        handed_over.unlink()
    make = f"CREATE DATABASE {DATABASE};\n\n"
    run_alone(account, programs.folder / "postgres", draft, "postgres", make)
    draft.rename(home / "data")


def _settle_roles(home: Path, account: Account, programs: Programs) -> None:
    """Once for each cluster; that of an older program has its application as superuser until then."""
    settled = home / "roles"
    if not settled.exists():
        settle_roles(account, programs.folder / "postgres", home / "data")
        _write_private(settled, "")


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _major_of(data: Path) -> int | None:
    version = data / "PG_VERSION"
    return int(version.read_text()) if version.exists() else None


def _free_port(memory: Path) -> int:
    """The port of the last start when nobody else has it, else any free one, remembered."""
    remembered = int(memory.read_text()) if memory.exists() else 0
    for port in (remembered, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            free = int(probe.getsockname()[1])
        memory.write_text(str(free))
        return free
    raise StoreUnavailable("no free port on 127.0.0.1")


def _is_ready(data: Path, pid: int) -> bool:
    """The server writes its state into the eighth line of postmaster.pid."""
    try:
        lines = (data / "postmaster.pid").read_text().split("\n")
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _end(server: subprocess.Popen[bytes] | None) -> None:
    """Fast shutdown, an immediate one when that takes too long."""
    if server is None or server.poll() is not None:
        return
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        server.send_signal(number)
        try:
            server.wait(_STOP_S_MAX)
        except subprocess.TimeoutExpired:
            continue
        return


def _last_lines(log_path: Path) -> str:
    return " | ".join(log_path.read_text(errors="replace").splitlines()[-5:])
