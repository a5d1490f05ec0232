"""The life of an engine process, from Ray's start to its end. Import only when Ray's environment is set."""

from __future__ import annotations

import asyncio
import signal

import structlog

from engine import runtime
from engine.clock import SystemClock
from engine.cluster_ray import join_ray, leave_ray, start_private_ray
from engine.cluster_supervisor import Supervisor
from engine.historian.historian import Historian
from engine.logs import rotate_actor_log
from engine.settings import Settings

log = structlog.get_logger()


def run_engine(settings: Settings) -> None:
    """Blocks until SIGTERM or SIGINT, or until another engine leads. One engine a data folder."""
    runtime.claim(settings.data_dir, "engine")
    try:
        asyncio.run(_run(settings))
    finally:
        runtime.withdraw(settings.data_dir, "engine")
        log.info("engine_stopped")


async def _run(settings: Settings) -> None:
    assert settings.database_url is not None
    address = settings.ray_address
    if address is None:
        log.info("starting_ray")
        rotate_actor_log(settings)
        address = start_private_ray(settings)
    else:
        join_ray(address)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):  # after Ray, which installs handlers of its own
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    clock = SystemClock()
    historian = await Historian.open(settings.database_url, settings, clock)
    try:
        runtime.publish(settings.data_dir, "engine", ray_address=address)
        await Supervisor(settings, historian, clock, address, stopping).run()
    finally:
        await historian.close()
        leave_ray(settings)
