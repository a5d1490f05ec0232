"""`python -m tests.hosts.host_init NAME FOLDER`: the first process of a host, in namespaces of its own.

Names the host, puts its folders in their places, buries orphans, and ends, with all that runs on the host, when its
standard input does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

OWN_FOLDERS: Final = ("tmp", "var/lib")


def main() -> None:
    """Prints `up` when the host can be used."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    socket.sethostname(name)
    subprocess.run(["mount", "--bind", str(folder / "hosts"), "/etc/hosts"], check=True)
    for each in reversed(OWN_FOLDERS):  # /tmp last: the others may be in it
        subprocess.run(["mount", "--bind", str(folder / each), f"/{each}"], check=True)
    signal.signal(signal.SIGCHLD, _bury)
    sys.stdout.write("up\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()


def _bury(*_: object) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


if __name__ == "__main__":
    main()
