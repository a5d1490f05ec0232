"""The life of an engine process, from Ray's start to its end. Import only when Ray's environment is set."""

from __future__ import annotations

import asyncio
import signal
from typing import Final

import structlog

from engine import faultpoints, runtime
from engine.clock import SystemClock, pause
from engine.cluster.private_ray import end_private_ray, join_ray, leave_ray, parts_of_ray, start_private_ray
from engine.cluster.supervisor import Supervisor
from engine.cluster.watch import RayWatch
from engine.errors import ClusterUnavailable, StoreError, StoreUnavailable
from engine.historian.historian import Historian
from engine.settings import PRIVATE_RAY, Settings
from migrations.upgrade import refuse_older_schema

SCHEMA_RETRY_S: Final = 2.0
JOIN_RETRY_S_MIN: Final = 1.0
JOIN_RETRY_S_MAX: Final = 10.0

log = structlog.get_logger()


def run_engine(settings: Settings) -> None:
    """Blocks until SIGTERM or SIGINT, or until another engine leads. One engine a data folder."""
    faultpoints.install_from_environment()
    runtime.claim(settings.data_dir, "engine")
    try:
        asyncio.run(_run(settings))
    finally:
        runtime.withdraw(settings.data_dir, "engine")
        log.info("engine_stopped")


async def _run(settings: Settings) -> None:
    assert settings.postgresql_url is not None
    stopping = asyncio.Event()
    _follow_signals(stopping)
    await _until_the_schema_fits(settings.postgresql_url, stopping)
    if stopping.is_set():
        return
    clock = SystemClock()
    historian = await Historian.open(settings.postgresql_url, settings, clock)
    try:
        address = await _enter_ray(settings, historian, stopping)
        if address is None:
            return
        _follow_signals(stopping)  # Ray has installed handlers of its own
        watch = RayWatch(parts_of_ray(), lambda: _clear_away(settings))
        watch.start()
        try:
            runtime.publish(settings.data_dir, "engine", ray_address=address, ray_is_private=settings.ray_is_private)
            await Supervisor(settings, historian, clock, address, stopping).run()
        finally:
            watch.end()
            leave_ray(settings)
    finally:
        await historian.close()


async def _until_the_schema_fits(database_url: str, stopping: asyncio.Event) -> None:
    """Wait for a database that is away; raises SettingsError when its schema is older than this program needs."""
    while not stopping.is_set():
        try:
            await refuse_older_schema(database_url)
        except StoreUnavailable as error:
            log.warning("waiting_for_the_store", error=str(error))
            await pause(stopping, SCHEMA_RETRY_S)
        else:
            return


async def _enter_ray(settings: Settings, historian: Historian, stopping: asyncio.Event) -> str | None:
    """The address of our Ray. A cluster that is not there is waited for, never replaced; None: stopped meanwhile."""
    retry_s = JOIN_RETRY_S_MIN
    while not stopping.is_set():
        try:
            return _start_or_join(settings)
        except ClusterUnavailable as error:
            log.warning("waiting_for_ray", error=str(error), next_try_s=retry_s)
            await _tell_waiting(historian, settings.ray_address or PRIVATE_RAY, str(error))
            await pause(stopping, retry_s)
            retry_s = min(2 * retry_s, JOIN_RETRY_S_MAX)
    return None


def _start_or_join(settings: Settings) -> str:
    if settings.ray_is_private:
        log.info("starting_ray")
        return start_private_ray(settings)
    assert settings.ray_address is not None
    join_ray(settings.ray_address)
    return settings.ray_address


async def _tell_waiting(historian: Historian, address: str, reason: str) -> None:
    """Where people look for the engine's state; not when another engine leads, whose state that is then."""
    try:
        leadership = await historian.try_lead()
        if leadership is not None:
            state = {
                "state": "waiting",
                "process": runtime.this_process(),
                "troubles": [f"Ray is not there: {reason}"],
                "ray_address": address,
            }
            try:
                await historian.write_engine_status("engine", state)
            finally:  # or nobody could lead for as long as this process waits
                await leadership.release()
    except StoreError as error:
        log.warning("state_not_told", error=str(error))


def _clear_away(settings: Settings) -> None:
    end_private_ray(settings)
    runtime.withdraw(settings.data_dir, "engine")


def _follow_signals(stopping: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
