"""`gasinsight simulate`: one run of the simulated hub against the bus of the settings."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from typing import Any

from engine.clock import SystemClock
from engine.commands.following import fault_text
from engine.commands.given_files import check_writable
from engine.commands.steps import Screen
from engine.errors import SettingsError
from engine.hub.simulator import BusSender, Hub, HubOptions, Report
from engine.runtime import effective_settings


def run_simulate(overrides: dict[str, object], options: HubOptions, as_json: bool) -> None:
    """Blocks until the duration is over or Ctrl-C."""
    check_writable(options.ledger, "--ledger")
    check_writable(options.truth, "--truth")
    settings = effective_settings(**overrides)
    if settings.servicebus_connection_string is None:
        raise SettingsError(
            f"no bus: start `gasinsight up` or `gasinsight bus` with {settings.data_dir},"
            " or set SERVICEBUS_CONNECTION_STRING"
        )
    logging.getLogger("azure").setLevel(logging.CRITICAL)  # the hub tells its troubles itself
    sender = BusSender(settings.servicebus_connection_string.get_secret_value())
    hub = Hub(options, settings.queues, sender, SystemClock(), _teller(Screen(as_json)))
    asyncio.run(_until_stopped(hub))


async def _until_stopped(hub: Hub) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, hub.stop)
    await hub.run()


def _teller(screen: Screen) -> Report:
    texts: dict[str, Callable[[dict[str, Any]], str]] = {
        "setup": lambda f: f"{f['facilities']} facilities set up",
        "activated": lambda f: f"{f['sensors']} sensors activated",
        "fault": fault_text,
        "progress": lambda f: (
            f"{f['readings']:,} readings sent, {f['per_s']}/s"
            + (f", {f['behind_s']} s behind" if f["behind_s"] >= 1 else "")
        ),
        "waiting": lambda f: f"the bus is away, trying again in {f['seconds']} s: {f['because']}",
        "done": lambda f: f"done: {f['readings']:,} readings sent",
    }

    def tell(event: str, fields: dict[str, Any]) -> None:
        screen.event(event, f"{time.strftime('%H:%M:%S')}  {texts[event](fields)}", **fields)

    return tell
