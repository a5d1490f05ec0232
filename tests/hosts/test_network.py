"""The hosts of our own are what they are taken for: cut is silent, off is off, slow is slow, nothing stays behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.hosts.network import NAMESPACES, PREFIX, ROOT, YARD, Network, remove_leftovers

pytestmark = pytest.mark.long

LISTEN = "import socket, time; s = socket.create_server(('', 7000)); time.sleep(60)"
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], 7000), 2)"
SERVE_ONE = """
import socket
caller, _ = socket.create_server(('', 7000)).accept()
while data := caller.recv(65536):
    caller.sendall(data)
"""
LEFT_BEHIND = """
import os, signal, sys, tempfile
from pathlib import Path
from tests.hosts.network import Network
network = Network(Path(tempfile.mkdtemp(prefix="gi-left-", dir=sys.argv[1])), ("one",)).__enter__()
print(network.hosts["one"].spawn("sleeper", ["sleep", "600"], {}).pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def python(*words: str) -> list[str]:
    return [sys.executable, "-c", *words]


def reaches(network: Network, one: str, other: str) -> bool:
    return network.hosts[one].run(python(CONNECT, network.hosts[other].address), {}, 20)[0] == 0


def listening(network: Network, *names: str) -> None:
    for name in names:
        network.hosts[name].spawn("listener", python(LISTEN), {})
    until_s = time.monotonic() + 10
    while not all(reaches(network, name, name) for name in names):
        assert time.monotonic() < until_s


def test_a_cut_is_between_two_and_a_host_that_is_off_is_silent(tmp_path: Path) -> None:
    with Network(tmp_path, ("one", "two", "three")) as network:
        listening(network, "one", "two", "three")
        assert network.hosts["one"].run(["hostname"], {}, 5) == (0, "one\n")
        assert reaches(network, "one", "two") and reaches(network, "two", "one")
        network.cut("one", "two")
        assert not reaches(network, "one", "two") and not reaches(network, "two", "one")
        assert reaches(network, "one", "three") and reaches(network, "three", "two")
        network.heal("one", "two")
        assert reaches(network, "one", "two")
        network.power_off("two")
        with network.from_the_yard():
            with pytest.raises(TimeoutError):
                socket.create_connection((network.hosts["two"].address, 7000), 1)
            socket.create_connection((network.hosts["one"].address, 7000), 1).close()
        (tmp_path / "two/tmp/kept").touch()
        network.power_on("two")
        assert network.hosts["two"].run(["ls", "/tmp/kept"], {}, 5)[0] == 0
        assert not reaches(network, "one", "two"), "nothing has survived"
        assert network.hosts["two"].run(python(CONNECT, YARD), {}, 20)[0] != 0, "nobody listens in the yard"
    assert not list(NAMESPACES.glob(f"{PREFIX}{os.getpid()}-*"))


def test_a_slow_line_delays_both_ways_and_loses_what_tcp_makes_up_for(tmp_path: Path) -> None:
    with Network(tmp_path, ("one",)) as network:
        network.hosts["one"].spawn("server", python(SERVE_ONE), {})
        network.slow_down("one", delay_ms=100, loss=0.05)
        with network.from_the_yard():
            until_s = time.monotonic() + 10
            while True:
                try:
                    connection = socket.create_connection((network.hosts["one"].address, 7000), 5)
                    break
                except OSError:
                    assert time.monotonic() < until_s
            with connection:
                fastest_s = min(round_trip(connection, b"x") for _ in range(5))
                assert 0.2 <= fastest_s < 0.35
                round_trip(connection, os.urandom(200_000))
                network.speed_up("one")
                assert min(round_trip(connection, b"x") for _ in range(5)) < 0.1


def round_trip(connection: socket.socket, data: bytes) -> float:
    began_s = time.monotonic()
    connection.sendall(data)
    received = b""
    while len(received) < len(data):
        received += connection.recv(65536)
    assert received == data
    return time.monotonic() - began_s


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    died = subprocess.run(python(LEFT_BEHIND, str(tmp_path)), cwd=ROOT, capture_output=True, check=False)
    assert died.returncode == -9, died.stderr
    left = remove_leftovers()
    assert {name.rpartition("-")[2] for name in left} == {"one", "yard"}
    until_s = time.monotonic() + 5
    while Path(f"/proc/{int(died.stdout)}").exists():
        assert time.monotonic() < until_s, "its processes have ended with it"
        time.sleep(0.05)
    assert remove_leftovers() == []
