"""`python -m engine`: the engine process. Settings -> Ray -> historians, readers, facilities; ends on SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import sys

import structlog

from engine import runtime
from engine.clock import SystemClock
from engine.cluster_ray import join_ray, leave_ray, start_private_ray
from engine.cluster_supervisor import Supervisor
from engine.errors import GasInSightError, SettingsError
from engine.historian.historian import Historian
from engine.logs import configure_logging
from engine.settings import Settings, load_settings

log = structlog.get_logger()


def main() -> int:
    """Exit status 0 after a clean stop, 1 when it could not start or go on."""
    try:
        # Addresses that are not set are those of the embedded parts that run on this data folder; Ray is never found
        # that way, because the one that is published is an engine's own.
        own_ray = load_settings().ray_address
        settings = runtime.effective_settings().model_copy(update={"ray_address": own_ray})
        configure_logging(settings, "engine")
        _check(settings)
        asyncio.run(_run(settings))
    except GasInSightError as error:
        print(f"engine: {error}", file=sys.stderr)  # noqa: T201  logging may not be set up yet
        return 1
    return 0


def _check(settings: Settings) -> None:
    missing = [name for name in ("database_url", "servicebus_connection_string") if getattr(settings, name) is None]
    if missing:
        raise SettingsError(
            " and ".join(name.upper() for name in missing)
            + f" must be set, or `gasinsight up` must run on {settings.data_dir} (it brings both)"
        )


async def _run(settings: Settings) -> None:
    clock = SystemClock()
    assert settings.database_url is not None
    runtime.claim(settings.data_dir, "engine")
    try:
        address = settings.ray_address
        if address is None:
            log.info("starting_ray")
            address = start_private_ray(settings)
        else:
            join_ray(settings, address, private=False)
        historian = await Historian.open(settings.database_url, settings, clock)
        try:
            supervisor = Supervisor(settings, historian, clock, address)
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, supervisor.stopping.set)
            runtime.publish(settings.data_dir, "engine", ray_address=address)
            await supervisor.run()
        finally:
            await historian.close()
            leave_ray(settings)
    finally:
        runtime.withdraw(settings.data_dir, "engine")
        log.info("engine_stopped")


if __name__ == "__main__":
    sys.exit(main())
