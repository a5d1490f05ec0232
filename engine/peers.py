"""How soon a TCP connection learns that its other end is gone: a host without power and a cut line say nothing.

Linux by itself repeats what is not acknowledged for a quarter of an hour, and asks after a silent peer every two hours.
"""

from __future__ import annotations

import socket
from typing import Final

UNACKNOWLEDGED_S_MAX: Final = 10.0
SILENT_S: Final = 5
PROBE_EVERY_S: Final = 2
PROBES_MAX: Final = 3
"""A peer that has said nothing for SILENT_S is asked; one that does not answer so many times has gone."""


def notice_its_end(connection: socket.socket) -> None:
    """The connection fails at most some seconds after its other end was lost, also when nothing is sent on it.

    So does one whose other end lives and takes nothing for UNACKNOWLEDGED_S_MAX, though more waits for it than the
    kernels of both keep: Linux does not tell the two apart.
    """
    if connection.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_USER_TIMEOUT, round(UNACKNOWLEDGED_S_MAX * 1000)),
        (socket.TCP_KEEPIDLE, SILENT_S),
        (socket.TCP_KEEPINTVL, PROBE_EVERY_S),
        (socket.TCP_KEEPCNT, PROBES_MAX),
    ):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
