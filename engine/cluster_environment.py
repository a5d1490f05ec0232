"""What a process must have in its environment before it imports Ray (which reads it at import)."""

from __future__ import annotations

from engine import runtime
from engine.settings import Settings


def private_ray_environment(settings: Settings) -> dict[str, str]:
    """Token authentication for the private Ray of this data folder; the token is made at first need."""
    runtime.development_secret(settings.data_dir, "ray_token")
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(runtime.secret_path(settings.data_dir, "ray_token").absolute()),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_enable_metrics_collection": "0",
        "RAY_ADDRESS": "",
    }


def published_ray(settings: Settings) -> str | None:
    """The address of the private Ray that an engine on this data folder runs now."""
    address = runtime.published_values(settings.data_dir).get("ray_address")
    return str(address) if address else None
