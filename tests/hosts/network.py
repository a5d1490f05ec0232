"""Hosts of our own on one machine: network namespaces with addresses, cables to a bridge, and what can happen to those.

    with Network(folder, ("head", "desk")) as network: ...

The bridge is in a namespace too, the yard, at `YARD`: from there the tests look at the hosts. Nothing leads out of it.
All names begin with the number of the process that made them; what a killed run left is removed by the next one.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from tests.hosts.host import Host

PREFIX: Final = "gi-hosts-"
NETWORK: Final = "10.77.0"
YARD: Final = f"{NETWORK}.1"
NAMESPACES: Final = Path("/run/netns")
ROOT: Final = Path(__file__).resolve().parents[2]
CLONE_NEWNET: Final = 0x40000000


def why_not() -> str | None:
    """Why there can be no such hosts here, in a line; None when there can."""
    if os.geteuid() != 0:
        return "hosts of our own need root"
    if missing := [name for name in ("ip", "unshare", "nsenter", "mount") if shutil.which(name) is None]:
        return f"hosts of our own need {', '.join(missing)}"
    name = f"{PREFIX}{os.getpid()}-probe"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return f"no network namespace can be made here: {made.stderr.strip()}"
    _ip("netns", "delete", name)
    return None


def remove_leftovers() -> list[str]:
    """End what runs in namespaces whose maker is gone, and remove them; their names."""
    left = [path.name for path in NAMESPACES.glob(f"{PREFIX}*-*") if not _maker_lives(path.name)]
    for name in left:
        _remove(name)
    return left


class Network:
    """`hosts` by name, from NETWORK.11 on, each cabled to the bridge. All are gone at the end."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._prefix = f"{PREFIX}{os.getpid()}-"
        self._yard = f"{self._prefix}yard"
        self._folder = folder
        self._names = names
        self._lines: dict[str, subprocess.Popen[bytes]] = {}
        self.hosts: dict[str, Host] = {}

    def __enter__(self) -> Network:
        remove_leftovers()
        try:
            self._lay_out()
        except BaseException:
            self._clear_away()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clear_away()

    @contextlib.contextmanager
    def from_the_yard(self) -> Iterator[None]:
        """What this thread connects, and the processes and threads it starts meanwhile, are in the yard."""
        with Path("/proc/thread-self/ns/net").open("rb") as outside, (NAMESPACES / self._yard).open("rb") as yard:
            _enter(yard.fileno())
            try:
                yield
            finally:
                _enter(outside.fileno())

    def cut(self, one: str, other: str) -> None:
        """From now on nothing passes between the two, and neither is told; everybody else hears both."""
        for name in (one, other):
            self._in_yard("link", "set", "dev", name, "type", "bridge_slave", "isolated", "on")

    def heal(self, one: str, other: str) -> None:
        """The end of `cut`."""
        for name in (one, other):
            self._in_yard("link", "set", "dev", name, "type", "bridge_slave", "isolated", "off")

    def power_off(self, name: str) -> None:
        """Cable first, so that no last word of a dying process gets out; then everything on it at once."""
        self._in_yard("link", "set", "dev", name, "down")
        self.hosts[name].kill()

    def power_on(self, name: str) -> None:
        """An empty host with the disks of before."""
        self.hosts[name].boot()
        self._in_yard("link", "set", "dev", name, "up")

    def slow_down(self, name: str, delay_ms: float, loss: float) -> None:
        """The cable of a host delays each frame, in both directions, and loses this share of them."""
        near, far, island = f"{name}-near", f"{name}-far", f"{name}-island"
        self._in_yard("link", "add", island, "type", "bridge")
        for tap, bridge in ((near, island), (far, "bridge")):
            self._in_yard("tuntap", "add", "dev", tap, "mode", "tap")
            self._in_yard("link", "set", "dev", tap, "master", bridge, "up")
        command = [sys.executable, "-m", "tests.hosts.slow_line", near, far, str(delay_ms), str(loss)]
        line = subprocess.Popen(
            ["ip", "netns", "exec", self._yard, *command], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._lines[name] = line
        assert line.stdout is not None and line.stdout.readline(), "the slow line does not start"
        self._in_yard("link", "set", "dev", island, "up")
        self._in_yard("link", "set", "dev", name, "master", island)

    def speed_up(self, name: str) -> None:
        """The end of `slow_down`."""
        self._in_yard("link", "set", "dev", name, "master", "bridge")
        self._end_line(self._lines.pop(name))
        for device in (f"{name}-near", f"{name}-far", f"{name}-island"):
            self._in_yard("link", "delete", device)

    def _lay_out(self) -> None:
        _ip("netns", "add", self._yard)
        self._in_yard("link", "set", "dev", "lo", "up")
        self._in_yard("link", "add", "bridge", "type", "bridge")
        self._in_yard("address", "add", f"{YARD}/24", "dev", "bridge")
        self._in_yard("link", "set", "dev", "bridge", "up")
        addresses = {name: f"{NETWORK}.{number}" for number, name in enumerate(self._names, 11)}
        for name, address in addresses.items():
            namespace = f"{self._prefix}{name}"
            _ip("netns", "add", namespace)
            self._in_yard("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", namespace)
            self._in_yard("link", "set", "dev", name, "master", "bridge", "up")
            for words in ("link set dev lo up", f"address add {address}/24 dev eth0", "link set dev eth0 up"):
                _ip("-netns", namespace, *words.split())
            self.hosts[name] = Host(name, address, NAMESPACES / namespace, self._folder / name, addresses)
            self.hosts[name].boot()

    def _clear_away(self) -> None:
        for line in self._lines.values():
            self._end_line(line)
        for host in self.hosts.values():
            host.kill()
        for name in (self._yard, *(f"{self._prefix}{each}" for each in self._names)):
            if (NAMESPACES / name).exists():
                _remove(name)

    def _end_line(self, line: subprocess.Popen[bytes]) -> None:
        assert line.stdin is not None and line.stdout is not None
        line.stdin.close()
        line.wait(10)
        line.stdout.close()

    def _in_yard(self, *words: str) -> None:
        _ip("-netns", self._yard, *words)


def _ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def _remove(namespace: str) -> None:
    for pid in _ip("netns", "pids", namespace).split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    _ip("netns", "delete", namespace)


def _maker_lives(namespace: str) -> bool:
    return Path(f"/proc/{namespace.removeprefix(PREFIX).partition('-')[0]}").exists()


def _enter(namespace: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
