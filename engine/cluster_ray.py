"""Starts a private Ray on this machine or joins a given one. Only engine processes and the link of the web side do so.

Ray binds every interface, so token authentication is always on (`engine.cluster_environment`, before Ray is imported).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import stat
import tempfile
from pathlib import Path
from typing import Any, Final

import ray

from engine.errors import ClusterUnavailable, SettingsError
from engine.settings import Settings

NAMESPACE: Final = "gasinsight"
OBJECT_STORE_BYTES: Final = 128 * 1024 * 1024
CONNECT_S_MAX: Final = 2.0

_OPTIONS: Final[dict[str, Any]] = {
    "namespace": NAMESPACE,
    "log_to_driver": False,
    "configure_logging": False,
    "logging_level": "ERROR",
}


def start_private_ray(settings: Settings) -> str:
    """Start Ray with its folders private to us; returns its address. It ends with this process, however that ends."""
    folder = _private_folder(settings.data_dir) / "ray"
    _clear(folder)
    context: Any = ray.init(
        address="local",
        num_cpus=max(2, os.cpu_count() or 2),
        object_store_memory=OBJECT_STORE_BYTES,
        include_dashboard=False,
        _temp_dir=str(folder),
        **_OPTIONS,
    )
    return str(context.address_info["address"])


def join_ray(address: str) -> None:
    """Become a driver of a running Ray; raises ClusterUnavailable at once when nobody listens there."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), CONNECT_S_MAX).close()
    except (OSError, ValueError) as error:
        raise ClusterUnavailable(f"nothing answers at {address}: {error}") from error
    try:
        ray.init(address=address, **_OPTIONS)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ClusterUnavailable(f"Ray at {address} does not admit us: {str(error)[:300]}") from error


def leave_ray(settings: Settings) -> None:
    """Disconnect; a private Ray ends and takes its folder with it."""
    ray.shutdown()
    if settings.ray_address is None:
        shutil.rmtree(_private_folder(settings.data_dir), ignore_errors=True)


def kill_leftovers() -> int:
    """End the actors that an engine before us left in our namespace (on a Ray that outlives engines); how many."""
    named = [each for each in ray.util.list_named_actors(all_namespaces=True) if each["namespace"] == NAMESPACE]
    for each in named:
        ray.kill(ray.get_actor(each["name"], namespace=NAMESPACE), no_restart=True)
    return len(named)


def _clear(folder: Path) -> None:
    """End what a killed engine's Ray left running (two agents outlive it), known by the files they hold, and its files.

    No other engine can be using the folder: one data folder has one.
    """
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid() and _holds_files_in(folder, process):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process.name), signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def _holds_files_in(folder: Path, process: Path) -> bool:
    try:
        return any((descriptor.readlink()).is_relative_to(folder) for descriptor in (process / "fd").iterdir())
    except OSError:  # somebody else's, or gone
        return False


def _private_folder(data_dir: Path) -> Path:
    """A folder with a short path, because of the unix sockets in it; one a data folder and user, closed to others.

    Ray opens its own folder to everybody, so that has to be inside.
    """
    name = hashlib.sha256(str(data_dir.absolute()).encode()).hexdigest()[:8]
    folder = Path(tempfile.gettempdir()) / f"gi-{os.getuid()}-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    held = folder.lstat()
    if not stat.S_ISDIR(held.st_mode) or held.st_uid != os.getuid() or held.st_mode & 0o077:
        raise SettingsError(f"{folder} belongs to somebody else or is open to others; remove it")
    return folder
