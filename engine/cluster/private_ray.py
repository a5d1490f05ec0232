"""Starts a private Ray on this machine or joins a given one. Only engine processes and the link of the web side do so.

Ray binds every interface, so token authentication is always on (`engine.cluster.environment`, before Ray is imported).
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
from ray._raylet import GcsClient  # type: ignore[attr-defined]
from ray.exceptions import AuthenticationError, RayError

from engine.errors import ClusterUnavailable, SettingsError
from engine.placement.ray_nodes import actor_names, remove_actors
from engine.settings import Settings

NAMESPACE: Final = "gasinsight"
OBJECT_STORE_BYTES: Final = 128 * 1024 * 1024
CONNECT_S_MAX: Final = 2.0
ADMISSION_S_MAX: Final = 10
TOO_SLOW: Final = "timed out during startup"  # how Ray says, by a bare Exception, that its 30 s were not enough

_OPTIONS: Final[dict[str, Any]] = {
    "namespace": NAMESPACE,
    "log_to_driver": False,
    "configure_logging": False,
    "logging_level": "ERROR",
}


def start_private_ray(settings: Settings) -> str:
    """Start Ray with its folders private to us; returns its address. It ends with this process, however that ends.

    ClusterUnavailable on a machine so busy that Ray gave up; the next try begins anew.
    """
    folder = _private_folder(settings.data_dir) / "ray"
    end_private_ray(settings)
    try:
        context: Any = ray.init(
            address="local",
            num_cpus=max(2, os.cpu_count() or 2),
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
            _temp_dir=str(folder),
            **_OPTIONS,
        )
    except Exception as error:
        if TOO_SLOW not in str(error):
            raise
        raise ClusterUnavailable("Ray did not start in time, so busy is this machine") from error
    return str(context.address_info["address"])


def join_ray(address: str) -> None:
    """Become a driver of a running Ray; raises ClusterUnavailable at once when nobody listens there.

    A token that does not fit is a SettingsError: trying again would not help.
    """
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), CONNECT_S_MAX).close()
    except (OSError, ValueError) as error:
        raise ClusterUnavailable(f"nothing answers at {address}: {error}") from error
    try:
        _check_admission(address)
        ray.init(address=address, **_OPTIONS)
    except AuthenticationError as error:
        raise SettingsError(
            f"the Ray cluster at {address} does not accept our token: RAY_AUTH_TOKEN or the file RAY_AUTH_TOKEN_PATH"
            " must hold the one it was started with"
        ) from error
    except (ConnectionError, RuntimeError, ValueError, RayError) as error:
        said = " ".join(str(error).split())[:300]
        raise ClusterUnavailable(
            f"Ray at {address} does not admit us: {said}; is this machine a node of that cluster"
            f" (`ray start --address={address} --num-cpus=0` makes it one that carries no facilities)?"
        ) from error


def _check_admission(address: str) -> None:
    """Ask the head something: `ray.init` tries a wrong token for 20 s and then says only that it cannot connect."""
    GcsClient(address=address).internal_kv_get(b"gasinsight", b"gasinsight", timeout=ADMISSION_S_MAX)


def parts_of_ray() -> dict[str, tuple[str, int]]:
    """What of Ray this process cannot do without: (host, port) by name."""
    context = ray.get_runtime_context()
    host, _, port = context.gcs_address.rpartition(":")
    nodes: Any = ray.nodes
    own = next(node for node in nodes() if node["NodeID"] == context.get_node_id())
    return {
        "the head of Ray": (host, int(port)),
        "the Ray node of this machine": (own["NodeManagerAddress"], own["NodeManagerPort"]),
    }


def leave_ray(settings: Settings) -> None:
    """Disconnect; a private Ray ends and takes its folder with it."""
    ray.shutdown()
    if settings.ray_is_private:
        shutil.rmtree(_private_folder(settings.data_dir), ignore_errors=True)


def kill_leftovers() -> None:
    """End the actors that an engine before us left in our namespace (on a Ray that outlives engines)."""
    remove_actors(actor_names(NAMESPACE), NAMESPACE)


def end_private_ray(settings: Settings) -> None:
    """End what is left of a private Ray and of its actors, known by the files they hold, and its files.

    No other engine can be using the folder: one data folder has one.
    """
    if not settings.ray_is_private:
        return
    folder = _private_folder(settings.data_dir) / "ray"
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
