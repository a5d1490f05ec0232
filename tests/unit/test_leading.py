"""What an engine does with the lead: lets go of it whatever happens, and leaves alone what is the next leader's."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray
import ray._private.node

from engine.bus.actor import INTAKE_NAME
from engine.clock import ManualClock
from engine.cluster import private_ray
from engine.cluster import process as cluster_process
from engine.cluster import supervisor as cluster_supervisor
from engine.cluster.supervisor import Supervisor
from engine.errors import StoreUnavailable
from engine.historian.port import CameDue
from engine.settings import Settings


class Lead:
    held = True

    def __init__(self) -> None:
        self.released = False

    async def release(self) -> None:
        self.released = True


class Store:
    """A database that lets anybody lead and takes no status."""

    outbox = replays = None

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


class News:
    """Changes as they are heard; the connection ends when there are no more."""

    def __init__(self, *heard: str) -> None:
        self._heard = list(heard)

    async def next(self) -> set[str]:
        if not self._heard:
            raise StoreUnavailable("the connection was closed")
        return {self._heard.pop(0)}

    def close(self) -> None: ...


class Reloading:
    """An intake that is told which facilities to load again."""

    def __init__(self) -> None:
        self.told: list[list[str]] = []
        self.reload = self

    async def remote(self, facility_ids: list[str]) -> None:
        self.told.append(facility_ids)


class Led:
    """A database that lets us lead and has two facilities."""

    outbox = replays = None

    def __init__(self) -> None:
        self.passes = 0

    async def try_lead(self) -> Lead:
        return Lead()

    async def apply_planned_rules(self) -> list[CameDue]:
        self.passes += 1
        return [CameDue(1, "f", "s", None), CameDue(2, "f", "s", "high_high needs a limit")]

    async def facility_ids(self) -> list[str]:
        return ["f", "g"]


@pytest.mark.parametrize("first", ["heard", "away"])
async def test_no_change_of_a_configuration_falls_between_loading_and_listening(
    first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = [News("f"), News("g")]
    services_had_news: list[bool] = []
    stopping = asyncio.Event()
    settings = Settings(_env_file=None, database_url="postgresql://h/d", ray_address="10.0.0.1:6379")
    monkeypatch.setattr(cluster_supervisor, "own_node", lambda: "a")
    monkeypatch.setattr(cluster_supervisor, "kill_leftovers", lambda: None)
    store = Led()
    engine = Supervisor(settings, store, ManualClock(0), "10.0.0.1:6379", stopping)  # type: ignore[arg-type]

    async def open_news(channel: str) -> News:
        if first == "away" and len(opened) == 2 and not services_had_news:
            raise StoreUnavailable("too many connections")
        return opened.pop(0)

    class EndsHere(Exception):
        pass

    def start_services(*_: object) -> None:
        services_had_news.append(engine._news is not None)
        raise EndsHere

    async def look() -> None: ...

    monkeypatch.setattr(engine, "_open_news", open_news)
    monkeypatch.setattr(engine, "_look", look)
    monkeypatch.setattr(engine._services, "start", start_services)
    with pytest.raises(EndsHere):
        await engine.run()
    assert services_had_news == [first == "heard"]
    assert store.passes == (first == "heard"), "what came due while nobody led holds before any facility loads"
    engine._services._handles[INTAKE_NAME] = intake = Reloading()
    for _ in range(2):  # the second time after the connection was lost
        with pytest.raises(StoreUnavailable):
            await engine._follow_changes()
    all_of_them = ["f", "g"]
    begun = [["f"]] if first == "heard" else [all_of_them, ["f"]]
    assert intake.told == [*begun, all_of_them, ["g"]]


async def test_a_private_ray_that_was_too_slow_to_start_is_started_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Ray gives up after 30 s, which a busy machine may need; what else goes wrong ends the engine, and says so."""
    begun: list[str] = []
    said = [Exception("The current node timed out during startup."), None, Exception("no room for the object store")]

    def init(**options: object) -> object:
        begun.append(str(options["address"]))
        if (error := said.pop(0)) is not None:
            raise error
        return SimpleNamespace(address_info={"address": "127.0.0.1:1"})

    async def no_pause(*_: object) -> None: ...

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(cluster_process, "pause", no_pause)
    settings = Settings(_env_file=None, data_dir=tmp_path)
    store = Store()
    address = await cluster_process._enter_ray(settings, store, asyncio.Event())  # type: ignore[arg-type]
    assert (address, begun, store.told) == ("127.0.0.1:1", ["local", "local"], 1)
    with pytest.raises(Exception, match="no room"):
        await cluster_process._enter_ray(settings, store, asyncio.Event())  # type: ignore[arg-type]
    assert private_ray.TOO_SLOW in Path(ray._private.node.__file__).read_text(), "Ray says it otherwise now"


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
    settings = Settings(_env_file=None, ray_address="10.0.0.1:6379")
    store = Store()
    engine = Supervisor(settings, store, ManualClock(0), "10.0.0.1:6379", asyncio.Event())  # type: ignore[arg-type]
    engine._services._handles[INTAKE_NAME] = Untouchable()
    engine._superseded = True
    await engine._stop_actors()
    assert not killed and not store.told
