"""Which Ray an engine uses, and what must be in the environment of a process before it imports Ray."""

from __future__ import annotations

import os
from pathlib import Path

from engine import runtime
from engine.errors import SettingsError
from engine.settings import PRIVATE_RAY, Settings

DEFAULT_TOKEN_PATH = Path("~/.ray/auth_token")


def check_ray_settings(settings: Settings) -> None:
    """Raises SettingsError when it is not said which Ray is meant, or how it lets us in."""
    if settings.ray_address is None and settings.environment == "production":
        raise SettingsError(
            "RAY_ADDRESS is not set: in production give the host:port of the Ray cluster,"
            f" or RAY_ADDRESS={PRIVATE_RAY} if this engine is to start a Ray of its own"
        )
    if not settings.ray_is_private:
        check_token()


def check_token() -> None:
    """A cluster is only joined with a token; raises SettingsError when there is none in our environment."""
    mode = os.environ.get("RAY_AUTH_MODE", "")
    if mode != "token":
        raise SettingsError(
            f"RAY_AUTH_MODE is {mode or 'not set'}: a Ray cluster must ask for a token, because who reaches its ports"
            " can run code there; start it with RAY_AUTH_MODE=token and set the same here, with RAY_AUTH_TOKEN_PATH or"
            " RAY_AUTH_TOKEN"
        )
    if os.environ.get("RAY_AUTH_TOKEN"):
        return
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or DEFAULT_TOKEN_PATH).expanduser()
    try:
        token = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(
            f"the token of the Ray cluster is not readable at {path} ({error.strerror}): set RAY_AUTH_TOKEN_PATH to the"
            " file that holds it, or RAY_AUTH_TOKEN"
        ) from error
    if not token:
        raise SettingsError(f"{path} holds no token; write that of the Ray cluster into it")


def private_ray_environment(settings: Settings) -> dict[str, str]:
    """Token authentication for the private Ray of this data folder; the token is made at first need."""
    runtime.development_secret(settings.data_dir, "ray_token")
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": "",  # it would come before the path
        "RAY_AUTH_TOKEN_PATH": str(runtime.secret_path(settings.data_dir, "ray_token").absolute()),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_enable_metrics_collection": "0",
        # How long a call to an actor that died waits before it says so, and how often that is looked at; a second each
        # otherwise, in which the actor is back.
        "RAY_timeout_ms_task_wait_for_death_info": "100",
        "RAY_core_worker_internal_heartbeat_ms": "100",
        "RAY_worker_niceness": "0",  # 15 otherwise: every other process of the machine would come before the readings
        "RAY_ADDRESS": "",
    }


def ray_to_watch(settings: Settings) -> tuple[str, dict[str, str]] | None:
    """For the web side: the address of the engine's Ray, and what to add to the environment; None: not known (yet)."""
    published = runtime.published_values(settings.data_dir)
    if address := published.get("ray_address"):
        return str(address), private_ray_environment(settings) if published.get("ray_is_private") else {}
    if settings.ray_address is None or settings.ray_is_private:
        return None
    return settings.ray_address, {}
