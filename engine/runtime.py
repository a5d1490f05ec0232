"""What a running GasInSight tells its neighbours (`<data_dir>/runtime.json`, 0600) and development secrets.

`gasinsight up`, `engine` and `bus` publish what they started; everything else asks `effective_settings()`. A value
counts only while the process that published it lives, so that a crashed demo misleads nobody.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from engine.all_or_nothing import remove_empty
from engine.errors import SettingsError
from engine.private_files import locked
from engine.settings import Settings, load_settings

RUNTIME_NAME = "runtime.json"
RUNTIME_VERSION = 1
LOCK_NAME = ".runtime.lock"
REPORT_NAME = "engine-report.json"
REPORT_BYTES_STEP = 64 * 1024
SETTINGS_FROM_RUNTIME = ("database_url", "servicebus_connection_string")


def effective_settings(**overrides: object) -> Settings:
    """Environment and `.env` first, then what a running GasInSight published, then development secrets.

    Reads only, except that development without a SECRET_KEY or a NOTIFICATION_KEY makes one (once, in
    `<data_dir>/secrets`).
    """
    settings = load_settings(**overrides)
    published = published_values(settings.data_dir)
    found: dict[str, object] = {
        name: published[name] for name in SETTINGS_FROM_RUNTIME if getattr(settings, name) is None and name in published
    }
    if settings.secret_key is None and settings.environment == "development":
        found["secret_key"] = SecretStr(development_secret(settings.data_dir, "secret_key"))
    if settings.notification_key is None and settings.environment == "development":
        found["notification_key"] = SecretStr(development_secret(settings.data_dir, "notification_key"))
    if settings.admin_password is None and (password := read_secret(settings.data_dir, "admin_password")):
        found["admin_password"] = SecretStr(password)
    return load_settings(**{**found, **overrides}) if found else settings


def find_database_url(settings: Settings) -> str:
    """PostgreSQL itself as the settings name it, else the embedded one that runs now."""
    url = settings.postgresql_url or published_values(settings.data_dir).get("database_url")
    if not isinstance(url, str) or not url:
        raise SettingsError(f"no database: set DATABASE_URL, or start `gasinsight up` in {settings.data_dir} first")
    return url


def publish(data_dir: Path, component: str, **values: object) -> None:
    """State what this process offers, replacing what `component` stated before; kept until withdrawn or we die."""
    with _locked(data_dir):
        components = _read(data_dir)
        components[component] = _stated(values)
        _write(data_dir, components)


def claim(data_dir: Path, component: str) -> None:
    """Publish as the only `component` of this folder; raises SettingsError while another one lives."""
    with _locked(data_dir):
        components = _read(data_dir)
        holder = components.get(component)
        if holder and is_alive(int(holder["pid"]), holder["started_ticks"]):
            raise SettingsError(
                f"process {holder['pid']} runs `gasinsight {component}` with {data_dir} already;"
                " end it with Ctrl-C, or choose another --data-dir"
            )
        components[component] = _stated({})
        _write(data_dir, components)


def withdraw(data_dir: Path, component: str) -> None:
    """Take back what `component` stated; the file goes with its last component."""
    with _locked(data_dir):
        components = _read(data_dir)
        components.pop(component, None)
        if components:
            _write(data_dir, components)
        else:
            (data_dir / RUNTIME_NAME).unlink(missing_ok=True)


def remove(data_dir: Path) -> None:
    """Take away all that is ours in a folder that nobody uses, if it came to be."""
    if not data_dir.is_dir():
        return
    secrets_made = data_dir / "secrets"
    for path in (*(secrets_made.iterdir() if secrets_made.is_dir() else ()), data_dir / LOCK_NAME):
        path.unlink(missing_ok=True)
    remove_empty(secrets_made)


def published_values(data_dir: Path) -> dict[str, Any]:
    """All values whose publishers live."""
    values: dict[str, Any] = {}
    for component in _read(data_dir).values():
        if is_alive(int(component["pid"]), component["started_ticks"]):
            values.update(component["values"])
    return values


def running_components(data_dir: Path) -> dict[str, int]:
    """Component -> pid of those that live."""
    return {
        name: int(component["pid"])
        for name, component in _read(data_dir).items()
        if is_alive(int(component["pid"]), component["started_ticks"])
    }


def write_report(data_dir: Path, report: dict[str, Any]) -> None:
    """Keep the engine's report where this machine's other processes find it while the database is away.

    On a full disk the report before is overwritten in place: its blocks are there, and more than it needed.
    """
    path = data_dir / REPORT_NAME
    text = json.dumps({"written_at_s": time.time(), "report": report})
    text = text.ljust(-(-len(text) // REPORT_BYTES_STEP) * REPORT_BYTES_STEP)
    try:
        _write_private(path, text, durable=False)
    except OSError:
        with path.open("r+", encoding="utf-8") as file:
            file.write(text)


def read_report(data_dir: Path) -> tuple[dict[str, Any], float | None]:
    """The engine's last report and its age in seconds; {} and None when there is none that can be read."""
    try:
        kept = json.loads((data_dir / REPORT_NAME).read_text(encoding="utf-8"))
        return kept["report"], max(0.0, time.time() - kept["written_at_s"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}, None


def development_secret(data_dir: Path, name: str) -> str:
    """A random secret made at first need and kept in a file that only its owner reads."""
    path = secret_path(data_dir, name)
    with _locked(data_dir):
        if held := read_secret(data_dir, name):
            return held
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = secrets.token_urlsafe(32)
        _write_private(path, made)
    return made


def read_secret(data_dir: Path, name: str) -> str | None:
    """The secret's text, or None when it was never made."""
    try:
        return secret_path(data_dir, name).read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(error) from error


def secret_path(data_dir: Path, name: str) -> Path:
    return data_dir / "secrets" / name


def is_alive(pid: int, started_ticks: int | None) -> bool:
    """Whether that very process lives: a recycled pid has another start time."""
    return started_ticks is not None and _started_ticks(pid) == started_ticks


def this_process() -> dict[str, object]:
    """What makes this process known to others: `has_ended` tells by it whether it still lives."""
    return {"pid": os.getpid(), "started_ticks": _started_ticks(os.getpid()), "pids_of": _pids_of()}


def has_ended(process: Mapping[str, Any] | None) -> bool:
    """Whether `process` is known to be gone. One on another machine, or in another container, is not seen from here."""
    if not process or process.get("pids_of") != _pids_of():
        return False
    try:
        os.kill(process["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # somebody else's, which may be hidden from us
        return False
    return not is_alive(process["pid"], process["started_ticks"])


def _stated(values: dict[str, object]) -> dict[str, object]:
    return {"pid": os.getpid(), "started_ticks": _started_ticks(os.getpid()), "values": values}


def _started_ticks(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot; None when there is none or it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])


@cache
def _pids_of() -> str:
    """Among which processes a pid means one process: this boot of this machine, and its space of pids."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot} {Path('/proc/self/ns/pid').readlink()}"


def _read(data_dir: Path) -> dict[str, Any]:
    path = data_dir / RUNTIME_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _unreadable(error) from error
    try:
        content = json.loads(text)
        version, components = int(content["version"]), dict(content["components"])
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{path} is damaged ({error}); delete it and start again") from error
    if version > RUNTIME_VERSION:
        raise SettingsError(
            f"{path} has version {version}, this program reads {RUNTIME_VERSION}: a newer one runs here; end that one"
            " first, or use it instead"
        )
    return components


def _unreadable(error: OSError) -> SettingsError:
    advice = "; run as the user who started it" if isinstance(error, PermissionError) else ""
    return SettingsError(f"cannot read {error.filename}: {error.strerror}{advice}")


def _write(data_dir: Path, components: dict[str, Any]) -> None:
    content = {"version": RUNTIME_VERSION, "components": components}
    _write_private(data_dir / RUNTIME_NAME, json.dumps(content, indent=2))


def _write_private(path: Path, text: str, *, durable: bool = True) -> None:
    """Replace the file in one step, readable by its owner only from its first byte; `durable`: also by a power cut."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
        if durable:
            file.flush()
            os.fsync(file.fileno())
    draft.replace(path)


def _locked(data_dir: Path) -> AbstractContextManager[None]:
    """One writer at a time, among processes."""
    return locked(data_dir / LOCK_NAME)
