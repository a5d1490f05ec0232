"""Where facilities are, and what happens when the processes that hold them do not behave."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from engine.clock import US_PER_S, ManualClock
from engine.errors import FacilityUnavailable
from engine.facility import directory as module
from engine.facility.directory import RESTARTS_MAX, Directory
from engine.facility.host import FacilityHost
from engine.facility.port import Answer, Host, HostStatus, Result, Share
from engine.facility.slot import START_S_MAX
from engine.metrics import Metrics
from engine.settings import Settings
from tests.fakes.historian import FakeHistorian
from tests.fakes.messages import T0_US, activation, batch, deactivation, setup
from tests.unit.test_reader import KillableHost


@dataclass
class Starter:
    """Hosts by slot, made at first need like Ray's named actors."""

    historian: FakeHistorian
    clock: ManualClock
    hosts: dict[int, FacilityHost] = field(default_factory=dict)
    ended: list[int] = field(default_factory=list)
    kind: type[FacilityHost] = KillableHost

    async def start(self, slot: int, node_id: str | None) -> Host:
        if slot not in self.hosts:
            settings = Settings(_env_file=None)
            self.hosts[slot] = self.kind(self.historian, settings, self.clock, Metrics())
            self.hosts[slot].node_id = node_id
        return self.hosts[slot]

    async def living(self) -> dict[int, Host]:
        return dict(self.hosts)

    async def end(self, slot: int) -> None:
        self.ended.append(slot)
        del self.hosts[slot]

    async def remove(self, slot: int) -> None:
        del self.hosts[slot]


class Silent(FacilityHost):
    """Hangs, or is still starting."""

    async def status(self) -> HostStatus:
        await asyncio.Event().wait()
        raise AssertionError


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
    share = Share("f", (batch(("s", 1, "21")),))
    assert (await directory.ingest([share]))["f"].result is Result.DONE
    assert (await directory.apply("f", [deactivation(at_s=9)])).result is Result.DONE
    assert (await directory.apply("f", [activation()])).result is Result.DONE
    assert len(starter.historian.parking) == 3
    assert (await directory.apply("f", [setup()])).result is Result.DONE
    assert starter.historian.parking == {}
    assert list(starter.historian.readings.values()) == ["21"]


@pytest.mark.parametrize("deed", ["retire", "remove"])
async def test_a_facility_that_is_gone_is_forgotten_and_its_input_has_no_effect_until_a_later_setup(
    starter: Starter, deed: str
) -> None:
    directory = directory_of(starter)
    for name in ("f", "g"):
        await directory.apply(name, [setup(name)])
        await directory.apply(name, [activation("s" if name == "f" else "t", facility_id=name)])
    getattr(starter.historian, deed)("f", T0_US + 100 * US_PER_S)

    share = Share("f", (batch(("s", 110, "21")),))
    first = (await directory.ingest([share]))["f"].result
    assert first is Result.FENCED
    assert await directory.reclaim_fenced() == ["f"]
    assert directory.slot_of("f") is None and directory.slot_of("g") == 0
    assert (await directory.ingest([share]))["f"].result is Result.DONE
    assert (await directory.apply("f", [setup()])).result is Result.DONE
    assert directory.slot_of("f") is None
    assert starter.historian.readings == {} and starter.historian.parking == {}
    reason = f"{deed}d_facility"
    assert {letter.reason for letter in starter.historian.dead_letters} == {reason}
    await directory.follow(starter.historian.facility_ids())
    assert directory.slot_of("f") is None

    later = replace(setup(), tracked_at_us=T0_US + 200 * US_PER_S)
    assert (await directory.apply("f", [later])).result is Result.DONE
    assert (await directory.apply("f", [activation(at_s=200)])).result is Result.DONE
    assert (await directory.ingest([Share("f", (batch(("s", 210, "22")),))]))["f"].result is Result.DONE
    assert list(starter.historian.readings.values()) == ["22"]


async def listed() -> list[str]:
    return []


async def test_a_facility_that_is_not_listed_any_more_is_asked_and_forgotten(starter: Starter) -> None:
    directory = directory_of(starter)
    await directory.apply("f", [setup()])
    starter.historian.remove("f", T0_US + 100 * US_PER_S)
    await directory.follow(listed())
    assert directory.slot_of("f") is None
    await directory.apply("g", [setup("g")])
    await directory.follow(listed())
    assert directory.slot_of("g") == 0, "it was made since the list was read"


async def test_a_facility_made_while_they_are_listed_is_not_asked(starter: Starter) -> None:
    directory = directory_of(starter)
    asked: list[str] = []
    reload = directory.reload

    async def noted(facility_id: str) -> Answer:
        asked.append(facility_id)
        return await reload(facility_id)

    async def slow_list() -> list[str]:
        await directory.apply("g", [setup("g")])
        return []

    directory.reload = noted  # type: ignore[method-assign]
    await directory.apply("f", [setup()])
    await directory.follow(slow_list())
    assert asked == ["f"]


async def test_as_many_facilities_as_there_may_be_and_one_alert_for_the_rest(starter: Starter) -> None:
    starter.historian.limits = Settings(_env_file=None, facilities_max=2, parked_per_facility_max=1)
    directory = directory_of(starter)
    for name in ("a", "b", "c", "d", "c"):
        assert (await directory.apply(name, [setup(name)])).result is Result.DONE
    assert [directory.slot_of(name) is None for name in "abcd"] == [False, False, True, True]
    letters = [(each.reason, each.facility_id) for each in starter.historian.dead_letters]
    assert letters == [("facilities_max", "c"), ("facilities_max", "d")]
    assert [event.alarm_key for _, event in starter.historian.events] == ["facilities_max"]

    share = Share("c", (batch(("s", 1, "21"), ("s", 2, "21"), facility_id="c"),))
    assert (await directory.ingest([share]))["c"].result is Result.DONE
    assert len(starter.historian.parking) == 1
    assert starter.historian.dead_letters[-1].reason == "parked_per_facility_max"
    counted = directory._metrics.snapshot()["counters"]
    assert counted["gasinsight_parked_total"] == {'kind="reading"': 1}
    assert counted["gasinsight_dead_letters_total"]['reason="parked_per_facility_max"'] == 1


async def test_a_facility_that_came_to_be_meanwhile_is_found(starter: Starter) -> None:
    directory = directory_of(starter)
    await starter.historian.create_facility(setup())
    assert (await directory.ingest([Share("f", (batch(("s", 1, "21")),))]))["f"].result is Result.DONE
    assert [item.reason for item in starter.historian.parking.values()] == ["unknown_sensor"]


async def test_while_the_store_is_away_nobody_is_called_unknown(starter: Starter) -> None:
    directory = directory_of(starter)
    starter.historian.away = True
    answers = await directory.ingest([Share("f", (batch(("s", 1, "21")),))])
    assert answers["f"].result is Result.UNAVAILABLE


async def test_a_process_that_keeps_dying_is_left_alone_for_a_while(starter: Starter) -> None:
    directory = directory_of(starter)
    await directory.apply("f", [setup()])
    host = starter.hosts[0]
    assert isinstance(host, KillableHost)
    host.poison = b""  # every batch kills
    share = Share("f", (batch(("s", 1, "21")),))
    results = [(await directory.ingest([share]))["f"].result for _ in range(RESTARTS_MAX + 1)]
    assert results == [Result.CRASHED] * RESTARTS_MAX + [Result.UNAVAILABLE]
    assert host.deaths == RESTARTS_MAX
    host.poison = b"\0never"
    await starter.clock.advance(31)
    assert (await directory.ingest([share]))["f"].result is Result.DONE


async def test_a_process_that_died_is_asked_until_it_is_back(starter: Starter) -> None:
    class Restarting(KillableHost):
        """Dies of the share; its next process answers only after `down_s`."""

        back_at_us = 0
        down_s = 3

        async def status(self) -> HostStatus:
            if self._clock.now_us() < self.back_at_us:
                raise FacilityUnavailable("the process is starting")
            return await super().status()

        def _die(self) -> None:
            self.back_at_us = self._clock.now_us() + self.down_s * US_PER_S
            super()._die()

    starter.kind = Restarting
    directory = directory_of(starter)
    await directory.apply("f", [setup()])
    host = starter.hosts[0]
    assert isinstance(host, Restarting)
    host.poison = b""
    share = Share("f", (batch(("s", 1, "21")),))

    async def asked(seconds: float) -> bool:
        """Whether the answer is there after so many seconds of the directory's clock."""
        for _ in range(round(seconds / module.ASK_AGAIN_S)):
            await asyncio.sleep(0.001)
            await starter.clock.advance(module.ASK_AGAIN_S)
        await asyncio.sleep(0.001)
        return asking.done()

    asking = asyncio.create_task(directory.ingest([share]))
    assert not await asked(2.5)
    assert await asked(1.0)
    assert (await asking)["f"].result is Result.CRASHED

    host.down_s = 3600
    asking = asyncio.create_task(directory.ingest([share]))
    assert await asked(module.BACK_S_MAX + 1)
    assert (await asking)["f"].result is Result.UNAVAILABLE


async def test_a_process_that_hangs_is_ended(starter: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STATUS_S_MAX", 0.01)
    directory = directory_of(starter)
    await directory.apply("f", [setup()])
    starter.hosts[0].__class__ = Silent
    for _ in range(4):
        await asyncio.gather(directory.statuses(), directory.statuses())
        assert starter.ended == []
        await starter.clock.advance(module.SILENCE_S_MAX / 4)
    assert await directory.statuses() == {0: None}
    assert starter.ended == [0]
    assert (await directory.ingest([Share("f", (batch(("s", 1, "21")),))]))["f"].result is Result.DONE


async def test_a_process_that_starts_has_more_time_than_one_that_hangs(
    starter: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that died and is started again: ending it would only make it later."""
    monkeypatch.setattr(module, "STATUS_S_MAX", 0.01)
    starter.kind = Silent
    directory = directory_of(starter)
    directory.add_known(["f"])
    for _ in range(2):
        ended = len(starter.ended)
        for _ in range(4):
            await directory.statuses()
            await starter.clock.advance(START_S_MAX / 4)
            assert len(starter.ended) == ended
        assert await directory.statuses() == {0: None}
        assert len(starter.ended) == ended + 1
        starter.hosts.clear()


async def test_only_the_asked_directory_takes_a_fenced_facility_back(starter: Starter) -> None:
    ours, theirs = directory_of(starter), directory_of(Starter(starter.historian, starter.clock))
    await ours.apply("f", [setup()])
    await ours.apply("f", [activation()])
    await theirs.apply("f", [setup()])
    answers = await ours.ingest([Share("f", (batch(("s", 1, "21")),))])
    assert answers == {"f": Answer(Result.FENCED, answers["f"].reason)}
    assert await ours.reclaim_fenced() == ["f"]
    assert (await ours.ingest([Share("f", (batch(("s", 1, "21")),))]))["f"].result is Result.DONE


async def test_ticks_reach_every_facility_also_one_that_was_never_spoken_to(starter: Starter) -> None:
    await starter.historian.create_facility(setup())
    directory = directory_of(starter)
    directory.add_known(["f"])
    await directory.tick(T0_US)
    assert [entry.kind for entry in starter.historian.entries("f")] == ["config", "tick"]


async def test_two_hundred_facilities_in_four_processes_take_one_call_each(starter: Starter) -> None:
    class Counting(FacilityHost):
        calls = 0

        async def ingest(self, shares: Sequence[Share]) -> dict[str, Answer]:
            self.calls += 1
            return await super().ingest(shares)

    starter.kind = Counting
    directory = directory_of(starter, per_host=50)
    names = [f"f{number}" for number in range(200)]
    for name in names:
        await starter.historian.create_facility(setup(name))
    directory.add_known(names)
    assert len({directory.lane(name) for name in names}) == 4

    theirs = directory_of(Starter(starter.historian, starter.clock))  # one facility has a newer incarnation elsewhere
    await directory.apply("f7", [setup("f7")])
    await theirs.apply("f7", [setup("f7")])
    row = ("s", 1, "21")
    answers = await directory.ingest([Share(name, (batch(row, facility_id=name),)) for name in names])

    assert [host.calls for host in starter.hosts.values() if isinstance(host, Counting)] == [1] * 4
    assert [name for name in names if answers[name].result is not Result.DONE] == ["f7"]
    assert answers["f7"].result is Result.FENCED
