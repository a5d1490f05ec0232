"""Where facilities are, and what happens when the processes that hold them do not behave."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from engine.clock import ManualClock
from engine.facility import directory as module
from engine.facility.directory import RESTARTS_MAX, Directory
from engine.facility.host import FacilityHost
from engine.facility.port import Answer, Host, HostStatus, Result, Share
from engine.metrics import Metrics
from engine.settings import Settings
from tests.unit.engine_fakes import T0_US, FakeHistorian, activation, away, batch, deactivation, setup
from tests.unit.test_reader import KillableHost


@dataclass
class Starter:
    """Hosts by slot, made at first need like Ray's named actors."""

    historian: FakeHistorian
    clock: ManualClock
    hosts: dict[int, FacilityHost] = field(default_factory=dict)
    ended: list[int] = field(default_factory=list)
    kind: type[FacilityHost] = KillableHost

    async def start(self, slot: int) -> Host:
        settings = Settings(_env_file=None)  # type: ignore[call-arg]
        return self.hosts.setdefault(slot, self.kind(self.historian, settings, self.clock, Metrics()))

    async def living(self) -> dict[int, Host]:
        return dict(self.hosts)

    async def end(self, slot: int) -> None:
        self.ended.append(slot)
        del self.hosts[slot]


@pytest.fixture
def starter() -> Starter:
    return Starter(FakeHistorian(), ManualClock(T0_US))


def directory_of(starter: Starter, per_host: int = 2) -> Directory:
    return Directory(starter.historian, starter, starter.clock, Metrics(), per_host=per_host)


async def test_facilities_share_processes_and_a_new_directory_finds_them_again(starter: Starter) -> None:
    directory = directory_of(starter)
    for name in ("a", "b", "c"):
        assert (await directory.apply(name, [setup(name)])).result is Result.DONE
    assert [directory.slot_of(name) for name in ("a", "b", "c")] == [0, 0, 1]
    assert directory.lane("a") == directory.lane("b") != directory.lane("c")

    second = directory_of(starter)
    await second.adopt_living()
    second.add_known(["c", "b", "a", "d"])
    assert [second.slot_of(name) for name in ("a", "b", "c", "d")] == [0, 0, 1, 1]


async def test_input_of_a_facility_that_is_not_there_waits_and_is_applied(starter: Starter) -> None:
    directory = directory_of(starter)
    share = Share("f", batch(("s", 1, "21")))
    assert (await directory.ingest([share]))["f"].result is Result.DONE
    assert (await directory.apply("f", [deactivation(at_s=9)])).result is Result.DONE
    assert (await directory.apply("f", [activation()])).result is Result.DONE
    assert len(starter.historian.parking) == 3
    assert (await directory.apply("f", [setup()])).result is Result.DONE
    assert starter.historian.parking == {}
    assert list(starter.historian.readings.values()) == ["21"]


async def test_a_facility_that_came_to_be_meanwhile_is_found(starter: Starter) -> None:
    directory = directory_of(starter)
    await starter.historian.create_facility(setup())
    assert (await directory.ingest([Share("f", batch(("s", 1, "21")))]))["f"].result is Result.DONE
    assert [item.reason for item in starter.historian.parking.values()] == ["unknown_sensor"]


async def test_while_the_store_is_away_nobody_is_called_unknown(starter: Starter) -> None:
    directory = directory_of(starter)

    async def park(items: object) -> list[bool]:
        raise away()

    starter.historian.park_unknown_facility = park  # type: ignore[method-assign, assignment]
    answers = await directory.ingest([Share("f", batch(("s", 1, "21")))])
    assert answers["f"].result is Result.UNAVAILABLE


async def test_a_process_that_keeps_dying_is_left_alone_for_a_while(starter: Starter) -> None:
    directory = directory_of(starter)
    await directory.apply("f", [setup()])
    host = starter.hosts[0]
    assert isinstance(host, KillableHost)
    host.poison = b""  # every batch kills
    share = Share("f", batch(("s", 1, "21")))
    results = [(await directory.ingest([share]))["f"].result for _ in range(RESTARTS_MAX + 1)]
    assert results == [Result.CRASHED] * RESTARTS_MAX + [Result.UNAVAILABLE]
    assert host.deaths == RESTARTS_MAX
    host.poison = b"\0never"
    await starter.clock.advance(31)
    assert (await directory.ingest([share]))["f"].result is Result.DONE


async def test_a_process_that_hangs_is_ended(starter: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(FacilityHost):
        async def status(self) -> HostStatus:
            await asyncio.Event().wait()
            raise AssertionError

    monkeypatch.setattr(module, "STATUS_S_MAX", 0.01)
    directory = directory_of(starter)
    await directory.apply("f", [setup()])
    starter.hosts[0].__class__ = Hanging
    for _ in range(module.SILENCES_MAX):
        assert await directory.statuses() == {0: None}
    assert starter.ended == [0]
    assert (await directory.ingest([Share("f", batch(("s", 1, "21")))]))["f"].result is Result.DONE


async def test_only_the_asked_directory_takes_a_fenced_facility_back(starter: Starter) -> None:
    ours, theirs = directory_of(starter), directory_of(Starter(starter.historian, starter.clock))
    await ours.apply("f", [setup()])
    await ours.apply("f", [activation()])
    await theirs.apply("f", [setup()])
    answers = await ours.ingest([Share("f", batch(("s", 1, "21")))])
    assert answers == {"f": Answer(Result.FENCED, answers["f"].reason)}
    assert await ours.reclaim_fenced() == ["f"]
    assert (await ours.ingest([Share("f", batch(("s", 1, "21")))]))["f"].result is Result.DONE


async def test_ticks_reach_every_facility_also_one_that_was_never_spoken_to(starter: Starter) -> None:
    await starter.historian.create_facility(setup())
    directory = directory_of(starter)
    directory.add_known(["f"])
    await directory.tick(T0_US)
    assert [entry.kind for entry in starter.historian.entries("f")] == ["config", "tick"]
