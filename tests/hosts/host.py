"""One host: a name, an address, processes, /tmp and /var/lib of its own. It goes off when whoever made it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.hosts.host_init import OWN_FOLDERS
from tests.integration.cluster.harness import is_running

ROOT: Final = Path(__file__).resolve().parents[2]
PASSED_ON: Final = ("PATH", "PYTHONDONTWRITEBYTECODE")


class Host:
    """`/X` of OWN_FOLDERS is `folder`/X, which outlives the host as a disk does."""

    def __init__(self, name: str, address: str, namespace: Path, folder: Path, neighbours: Mapping[str, str]) -> None:
        self.name = name
        self.address = address
        self.folder = folder
        self._namespace = namespace
        self._neighbours = neighbours
        self._init: subprocess.Popen[bytes] | None = None

    def boot(self) -> None:
        """Empty of processes, with its folders as they were."""
        for each in OWN_FOLDERS:
            (self.folder / each).mkdir(parents=True, exist_ok=True)
        (self.folder / "tmp").chmod(0o1777)
        (self.folder / "hosts").write_text(
            "".join(f"{address} {name}\n" for name, address in {"localhost": "127.0.0.1", **self._neighbours}.items())
        )
        unshare = ["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]
        init = [sys.executable, "-m", "tests.hosts.host_init", self.name, str(self.folder)]
        self._init = subprocess.Popen(
            ["nsenter", f"--net={self._namespace}", *unshare, *init],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._init.stdout is not None
        if self._init.stdout.readline() != b"up\n":
            raise OSError(f"the host {self.name} does not come up")

    def kill(self) -> None:
        """Every process on it at once."""
        if self._init is None:
            return
        inside = children_of(self._init.pid)
        self._init.kill()
        self._init.wait()
        while any(is_running(pid) for pid in inside):  # the first process goes last
            time.sleep(0.01)
        for pipe in (self._init.stdin, self._init.stdout):
            assert pipe is not None
            pipe.close()
        self._init = None

    def spawn(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """A process on it that gets this environment and nothing else of ours; it logs into `folder`/`name`.log."""
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                self._entered(command),
                env=_environment(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def run(self, command: Sequence[str], environment: Mapping[str, str], seconds: float) -> tuple[int, str]:
        """A command on it to its end: exit status and what it printed."""
        done = subprocess.run(
            self._entered(command),
            env=_environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
        )
        return done.returncode, done.stdout.decode(errors="replace")

    def send(self, process: subprocess.Popen[bytes], number: int) -> None:
        """A signal to what `spawn` started, not to the program that brought it onto the host."""
        for pid in children_of(process.pid):
            os.kill(pid, number)

    def _entered(self, command: Sequence[str]) -> list[str]:
        assert self._init is not None, f"{self.name} is off"
        (inside,) = _waited_for_child(self._init.pid)
        nsenter = ["nsenter", f"--target={inside}", "--mount", "--uts", "--ipc", "--net", "--pid"]
        return [*nsenter, f"--wdns={ROOT}", "--", *command]


def children_of(pid: int) -> list[int]:
    """None when it is gone."""
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _waited_for_child(pid: int) -> list[int]:
    until_s = time.monotonic() + 5
    while not (found := children_of(pid)) and time.monotonic() < until_s:
        time.sleep(0.01)
    return found


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    ours = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {"HOME": "/tmp", "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **ours, **given}
