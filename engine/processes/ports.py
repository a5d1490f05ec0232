"""Loopback ports: take one, or say what to do when it is taken."""

from __future__ import annotations

import errno
import socket

from engine.errors import SettingsError


def listen(host: str, port: int, option: str) -> socket.socket:
    """A listening socket whose descriptor a child can inherit; raises SettingsError that names `option`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise _refusal(host, port, option, error) from error
    return listener


def check_free(host: str, port: int, option: str) -> None:
    """Raise SettingsError when somebody listens there already."""
    listen(host, port, option).close()


def free_port(host: str, wanted: int) -> int:
    """`wanted` when it is free, else any other."""
    for port in (wanted, 0):
        try:
            with listen(host, port, "") as listener:
                return int(listener.getsockname()[1])
        except SettingsError:
            continue
    raise SettingsError(f"no free port on {host}")


def _refusal(host: str, port: int, option: str, error: OSError) -> SettingsError:
    if error.errno == errno.EADDRINUSE:
        return SettingsError(f"port {port} is taken by another program; choose a free one with {option}")
    if error.errno == errno.EACCES:
        return SettingsError(f"port {port} may only be used by root; choose one above 1023 with {option}")
    return SettingsError(f"cannot listen on {host}:{port}: {error.strerror}; choose another address with {option}")
