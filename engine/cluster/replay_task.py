"""The Ray side of a replay: a process of its own for one facility, which ends with it."""

from __future__ import annotations

import asyncio
import os
from typing import Any, Final

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from engine import faultpoints
from engine.clock import SystemClock
from engine.historian.historian import Historian
from engine.historian.replays import ReplayPart
from engine.logs import configure_logging, open_actor_log
from engine.replay.working import work
from engine.settings import Settings

NICE: Final = 19
TASK_NAME: Final = "replay"
TASK_OPTIONS: Final[dict[str, Any]] = {
    "num_cpus": 0,
    "max_retries": 0,
    "max_calls": 1,  # or what comes next in this process would stand behind all others too
}


async def run_on_ray(settings: Settings, part: ReplayPart, node_id: str) -> None:
    """Ends with it. Raises RayError when its process or node is gone, and what `work` raises."""
    affinity = NodeAffinitySchedulingStrategy(node_id, soft=False)
    await _TASK.options(name=TASK_NAME, scheduling_strategy=affinity).remote(settings, part)


def replay_part(settings: Settings, part: ReplayPart) -> None:
    """Runs in the process of the task. Its threads begin later, and stand where it does."""
    os.setpriority(os.PRIO_PROCESS, 0, NICE)
    configure_logging(settings, TASK_NAME, open_actor_log(settings))
    faultpoints.install_from_environment()
    asyncio.run(_work(settings, part))


_TASK: Final[Any] = ray.remote(**TASK_OPTIONS)(replay_part)


async def _work(settings: Settings, part: ReplayPart) -> None:
    url = settings.postgresql_url
    assert url is not None
    historian = await Historian.open(url, settings, SystemClock())
    try:
        await work(part, historian.replays, url, settings)
    finally:
        await historian.close()
