"""What an engine does with the lead: lets go of it whatever happens, and leaves alone what is the next leader's."""

from __future__ import annotations

import asyncio

import pytest

from engine.clock import ManualClock
from engine.cluster import process as cluster_process
from engine.cluster import supervisor as cluster_supervisor
from engine.cluster.supervisor import INTAKE_NAME, Supervisor
from engine.errors import StoreUnavailable
from engine.settings import Settings


class Lead:
    held = True

    def __init__(self) -> None:
        self.released = False

    async def release(self) -> None:
        self.released = True


class Store:
    """A database that lets anybody lead and takes no status."""

    def __init__(self) -> None:
        self.lead = Lead()
        self.told = 0

    async def try_lead(self) -> Lead:
        return self.lead

    async def write_engine_status(self, *_: object) -> None:
        self.told += 1
        raise StoreUnavailable("disk full")


async def test_an_engine_that_waits_for_ray_lets_go_of_the_lead_also_when_it_cannot_say_so() -> None:
    store = Store()
    await cluster_process._tell_waiting(store, "10.0.0.1:6379", "gone")  # type: ignore[arg-type]
    assert store.told == 1 and store.lead.released


class Untouchable:
    """The next leader's actors."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"{name} of the next leader's actor was asked")


async def test_a_superseded_engine_leaves_the_next_leaders_actors_on_a_shared_ray(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    killed: list[bool] = []
    monkeypatch.setattr(cluster_supervisor, "own_node", lambda: "a")
    monkeypatch.setattr(cluster_supervisor, "kill_leftovers", lambda: killed.append(True))
    settings = Settings(_env_file=None, ray_address="10.0.0.1:6379")  # type: ignore[call-arg]
    store = Store()
    engine = Supervisor(settings, store, ManualClock(0), "10.0.0.1:6379", asyncio.Event())  # type: ignore[arg-type]
    engine._services._handles[INTAKE_NAME] = Untouchable()
    engine._superseded = True
    await engine._stop_actors()
    assert not killed and not store.told
