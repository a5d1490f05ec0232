"""The reader's promises with the model broker, facilities in this process and a manual clock."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from engine import messages
from engine.bus.message_handlers import EntityHandler, MessageHandler, ReadingHandler
from engine.bus.reader import BusReader
from engine.bus.source import BusMessage
from engine.clock import US_PER_S, ManualClock
from engine.errors import BusUnavailable, CommitRejected, FacilityUnavailable
from engine.facility.directory import Directory
from engine.facility.host import FacilityHost
from engine.facility.port import Answer, Host, Result, Share
from engine.metrics import Metrics
from engine.model import DeadLetter
from engine.settings import Settings
from tests.fakes.broker import ModelBroker, ModelSource
from tests.fakes.historian import FakeHistorian, away
from tests.fakes.messages import T0_US, activation, deactivation, reading_body, setup

QUEUE = "q"


class KillableHost(FacilityHost):
    """A host whose process dies when a share holds `poison`; the next call finds a new process."""

    poison: bytes = b"\0never"
    deaths = 0
    refuse_calls_until_us = 0

    async def ingest(self, shares: Sequence[Share]) -> dict[str, Answer]:
        self._alive()
        if any(self.poison in batch for share in shares for batch in share.batches):
            self._die()
        return await super().ingest(shares)

    async def load(self, facility_id: str, *, again: bool = False) -> Answer:
        self._alive()
        return await super().load(facility_id, again=again)

    def _alive(self) -> None:
        if self._clock.now_us() < self.refuse_calls_until_us:
            self._die()

    def _die(self) -> None:
        self.deaths += 1
        self._facilities.clear()
        self.incarnation = f"after death {self.deaths}"
        raise FacilityUnavailable("the process died")


@dataclass
class OneHost:
    host: Host

    async def start(self, slot: int, node_id: str | None) -> Host:
        return self.host

    async def living(self) -> dict[int, Host]:
        return {}

    async def end(self, slot: int) -> None:
        raise AssertionError("nobody hangs here")

    async def remove(self, slot: int) -> None:
        raise AssertionError("nobody moves here")


@dataclass
class House:
    """Everything between a queue and the store."""

    clock: ManualClock
    historian: FakeHistorian
    host: KillableHost
    directory: Directory
    metrics: Metrics
    broker: ModelBroker
    source: ModelSource
    reader: BusReader
    running: asyncio.Task[None] | None = None

    def send(self, *bodies: bytes) -> None:
        for body in bodies:
            self.broker.send(QUEUE, body)

    @property
    def completed(self) -> int:
        return self.broker.counts["completed"]

    @property
    def dead(self) -> list[tuple[bytes, str]]:
        """(body, reason) in the order in which they died."""
        return [(letter.body, letter.reason) for letter in self.broker.dead_letters(QUEUE)]

    def start(self) -> None:
        self.running = asyncio.create_task(self.reader.run())

    async def until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        """Let time pass in small steps until the condition holds."""
        for _ in range(round(seconds * 10)):
            if condition():
                return
            await self.clock.advance(0.1)
            await asyncio.sleep(0.0005)  # native calls run in a thread
        raise AssertionError(f"not within {seconds} s: {self.reader.status()}")

    async def stop(self) -> None:
        self.reader.stop()
        assert self.running is not None
        for _ in range(200):
            if self.running.done():
                return await self.running
            await self.clock.advance(0.5)
            await asyncio.sleep(0.0005)
        self.running.cancel()
        raise AssertionError("the reader does not stop")


def house_with(content: str = "data", messages_max: int = 500) -> House:
    clock = ManualClock(T0_US + 3600 * US_PER_S)
    historian, metrics, broker = FakeHistorian(), Metrics(), ModelBroker(clock)
    settings = Settings(_env_file=None)
    host = KillableHost(historian, settings, clock, metrics)
    directory = Directory(historian, OneHost(host), clock, metrics, per_host=100)
    handlers: dict[str, MessageHandler] = {
        "data": ReadingHandler(directory, future_s_max=300),
        "setup": EntityHandler(directory, messages.setup_of, future_s_max=300),
        "activation": EntityHandler(directory, messages.activation_of, future_s_max=300),
        "deactivation": EntityHandler(directory, messages.deactivation_of, future_s_max=300),
    }
    source = broker.source(QUEUE)
    reader = BusReader(
        QUEUE, source, handlers[content], directory, historian, clock=clock, metrics=metrics, messages_max=messages_max
    )
    return House(clock, historian, host, directory, metrics, broker, source, reader)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """A facility `f` with sensor `s`, ready to read."""
    made = house_with()
    await made.directory.apply("f", [setup()])
    await made.directory.apply("f", [activation()])
    yield made
    if made.running is not None:
        await made.stop()


async def test_a_message_is_completed_after_its_reading_is_stored(house: House) -> None:
    house.send(*(reading_body("s", at_s, "21.5") for at_s in range(50)))
    house.start()
    await house.until(lambda: house.completed == 50)
    assert len(house.historian.readings) == 50


async def test_nothing_is_completed_while_the_store_is_away_and_nothing_dies(house: House) -> None:
    """Fifteen minutes: locks are renewed, nothing is given back, nothing dead-lettered, all stored afterwards."""
    house.historian.faults = [away() for _ in range(10_000)]
    house.send(*(reading_body("s", at_s, "21.5") for at_s in range(20)))
    house.start()
    for _ in range(15 * 60):
        await house.clock.advance(1)
        await asyncio.sleep(0)
    assert house.completed == house.broker.counts["abandoned"] == 0
    assert house.broker.counts["renewed"] >= 20
    assert house.dead == []
    house.historian.faults.clear()
    await house.until(lambda: house.completed == 20)
    assert len(house.historian.readings) == 20
    assert house.dead == []


async def test_bad_bodies_are_dead_lettered_at_once_and_delay_nobody(house: House) -> None:
    bad = (b"\xff", b"{}", b"[" * 10_000)
    house.send(bad[0], reading_body("s", 1, "21"), *bad[1:], reading_body("s", 2, "22"))
    house.start()
    await house.until(lambda: house.completed == 2)
    await house.until(lambda: len(house.dead) == 3)
    assert dict(house.dead) == dict(zip(bad, ("not_utf8", "missing_field", "too_deep"), strict=True))
    assert all(letter.description for letter in house.broker.dead_letters(QUEUE))
    told = [(letter.source, letter.queue, letter.reason) for letter in house.historian.dead_letters]
    assert sorted(told) == [("bus", QUEUE, reason) for reason in ("missing_field", "not_utf8", "too_deep")]


def refusing_letters(house: House, *errors: Exception) -> list[Exception]:
    """Each of the next recordings fails with one of these; what is left of them."""
    left, record = list(errors), house.historian.record_dead_letters

    async def refusing(letters: Sequence[DeadLetter]) -> None:
        if left:
            raise left.pop(0)
        await record(letters)

    house.historian.record_dead_letters = refusing  # type: ignore[method-assign]
    return left


async def test_a_bad_body_is_told_of_before_it_is_buried_and_waits_for_the_store(house: House) -> None:
    left = refusing_letters(house, *(away() for _ in range(90)))
    house.send(b"{}", reading_body("s", 1, "21"))
    house.start()
    await house.until(lambda: house.completed == 1)
    await house.until(lambda: len(left) < 20, seconds=120)
    assert (house.dead, house.historian.dead_letters) == ([], [])
    assert house.reader.status()["held"] == 1 and house.broker.counts["renewed"] > 0
    await house.until(lambda: house.dead == [(b"{}", "missing_field")])
    assert [letter.body for letter in house.historian.dead_letters] == ["{}"]
    assert house.broker.counts["deliveries"] == 2, "each at its first"


async def test_at_a_stop_what_cannot_be_told_of_is_given_back(house: House) -> None:
    left = refusing_letters(house, *(away() for _ in range(1000)))
    house.send(b"{}")
    house.start()
    await house.until(lambda: len(left) < 1000)
    await house.stop()
    assert (house.broker.counts["abandoned"], house.dead) == (1, [])


async def test_what_the_store_can_never_take_is_buried_all_the_same(house: House) -> None:
    refusing_letters(house, CommitRejected("the text is too long"))
    house.send(b"{}")
    house.start()
    await house.until(lambda: len(house.dead) == 1)
    assert house.historian.dead_letters == []


async def test_a_redelivery_of_a_bad_body_is_told_of_once_and_another_of_the_same_text_again(house: House) -> None:
    bury = house.source.dead_letter

    async def unheard(message: BusMessage, reason: str, description: str) -> None:
        raise BusUnavailable("no route")

    house.source.dead_letter = unheard  # type: ignore[method-assign]
    house.send(b"{}", b"{}")
    house.start()
    await house.until(lambda: len(house.historian.dead_letters) == 2 and house.reader.status()["held"] == 0)
    house.source.dead_letter = bury  # type: ignore[method-assign]
    await house.until(lambda: len(house.dead) == 2, seconds=120)
    assert house.broker.counts["redeliveries"] == 2
    assert len(house.historian.dead_letters) == 2


async def test_a_bad_row_of_a_good_body_is_a_dead_letter_and_the_message_completed(house: House) -> None:
    good = reading_body("s", 1, "21").decode()
    house.send(f'[{good}, {{"sensor_id": "s"}}]'.encode())
    house.start()
    await house.until(lambda: house.completed == 1)
    assert house.historian.parking == {}
    (letter,) = house.historian.dead_letters
    assert (letter.source, letter.reason, letter.facility_id, letter.sensor_id) == ("row", "missing_field", "f", "s")
    assert list(house.historian.readings.values()) == ["21"]


async def test_readings_of_an_unknown_facility_wait_for_it(house: House) -> None:
    house.send(reading_body("t", 1, "21", "g"))
    house.start()
    await house.until(lambda: house.completed == 1)
    assert [item.reason for item in house.historian.parking.values()] == ["unknown_facility"]
    await house.directory.apply("g", [activation("t", facility_id="g")])
    await house.directory.apply("g", [setup("g", "Beta")])
    assert list(house.historian.readings.values()) == ["21"]
    assert house.historian.parking == {}


async def test_what_waits_for_a_process_goes_together_and_a_bad_message_harms_nobody_else(house: House) -> None:
    calls: list[int] = []
    ingest = house.host.ingest

    async def slow(shares: Sequence[Share]) -> dict[str, Answer]:
        calls.append(sum(len(share.batches) for share in shares))
        await house.clock.sleep(20)
        return await ingest(shares)

    house.host.ingest = slow  # type: ignore[method-assign]
    house.host.poison = b"666.125"
    house.start()
    bodies = [reading_body("s", at_s, "666.125x" if at_s == 6 else "21.5") for at_s in range(10)]
    for body in bodies:
        house.send(body)
        for _ in range(12):
            await house.clock.advance(0.1)
            await asyncio.sleep(0.0005)
    await house.until(lambda: house.completed == 9 and len(house.dead) == 1, seconds=1200)
    assert house.dead == [(bodies[6], "poisoned")]
    assert max(calls) > 1
    assert len(house.historian.readings) == 9


async def test_a_message_that_kills_its_process_is_found_and_its_neighbours_are_stored(house: House) -> None:
    house.host.poison = b"666.125"
    bodies = [reading_body("s", at_s, "21.5") for at_s in range(40)]
    bodies[23] = reading_body("s", 23, "666.125x")
    house.send(*bodies)
    house.start()
    await house.until(lambda: house.completed == 39 and len(house.dead) == 1, seconds=600)
    assert house.dead == [(bodies[23], "poisoned")]
    assert len(house.historian.readings) == 39
    assert house.host.deaths >= 3


async def test_a_lone_message_that_kills_its_process_is_condemned_only_after_a_while(house: House) -> None:
    house.host.poison = b"666.125"
    house.send(reading_body("s", 1, "666.125x"))
    house.start()
    for _ in range(80):
        await house.clock.advance(1)
        await asyncio.sleep(0.0005)
    assert house.dead == []
    await house.until(lambda: len(house.dead) == 1, seconds=120)


async def test_a_process_that_keeps_dying_for_a_minute_costs_no_message(house: House) -> None:
    house.host.refuse_calls_until_us = house.clock.now_us() + 60 * US_PER_S
    house.send(*(reading_body("s", at_s, "21.5") for at_s in range(20)))
    house.start()
    await house.until(lambda: house.completed == 20, seconds=300)
    assert house.dead == []
    assert len(house.historian.readings) == 20
    assert house.host.deaths > 1


async def test_a_rejected_message_is_found_and_its_neighbours_are_stored(house: House) -> None:
    reject = Answer(Result.REJECTED, "23514")

    class Picky(KillableHost):
        async def ingest(self, shares: Sequence[Share]) -> dict[str, Answer]:
            if any(b"13.0625" in batch for share in shares for batch in share.batches):
                return {share.facility_id: reject for share in shares}
            return await super().ingest(shares)

    house.host.__class__ = Picky
    bodies = [reading_body("s", at_s, "13.0625x" if at_s == 5 else "21") for at_s in range(10)]
    house.send(*bodies)
    house.start()
    await house.until(lambda: house.completed == 9 and len(house.dead) == 1)
    assert house.dead == [(bodies[5], "rejected")]


async def test_everything_rejected_is_not_the_messages_fault(house: House) -> None:
    class Refusing(KillableHost):
        async def ingest(self, shares: Sequence[Share]) -> dict[str, Answer]:
            return {share.facility_id: Answer(Result.REJECTED, "42P01") for share in shares}

    house.host.__class__ = Refusing
    house.send(*(reading_body("s", at_s, "21") for at_s in range(4)))
    house.start()
    for _ in range(60):
        await house.clock.advance(1)
        await asyncio.sleep(0.0005)
    assert house.dead == []
    house.host.__class__ = KillableHost
    await house.until(lambda: house.completed == 4)


async def test_at_a_stop_what_is_not_taken_in_is_given_back(house: House) -> None:
    house.historian.faults = [away() for _ in range(10_000)]
    house.send(reading_body("s", 1, "21"), b"not json")
    house.start()
    await house.until(lambda: len(house.dead) == 1)
    await house.stop()
    house.running = None
    assert (house.completed, house.broker.counts["abandoned"], house.broker.deliverable(QUEUE)) == (0, 1, 1)
    with pytest.raises(BusUnavailable, match="closed"):
        await house.source.receive(1, 0)


async def test_the_watermark_stands_still_while_something_is_not_taken_in(house: House) -> None:
    house.start()
    await house.until(lambda: house.reader.watermark_us() is not None)
    await house.clock.advance(5)
    assert (watermark_us := house.reader.watermark_us()) is not None
    assert watermark_us >= house.clock.now_us() - 1_500_000
    house.historian.faults = [away() for _ in range(10_000)]
    house.send(reading_body("s", 1, "21"))
    sent_us = house.clock.now_us()
    for _ in range(30):
        await house.clock.advance(1)
        await asyncio.sleep(0.0005)
    assert house.reader.watermark_us() == sent_us
    house.historian.faults.clear()
    await house.until(lambda: (house.reader.watermark_us() or 0) > sent_us + 20_000_000)


async def test_the_watermark_stands_still_while_the_bus_is_away(house: House) -> None:
    house.start()
    await house.until(lambda: house.reader.status()["connected"])
    house.broker.stop()
    await house.clock.advance(2)
    before = house.reader.watermark_us()
    await house.clock.advance(300)
    assert house.reader.watermark_us() == before
    assert house.reader.status()["error"] == "nothing answers for q"
    house.broker.start()
    await house.until(lambda: house.reader.status()["connected"])


async def test_a_lock_lost_before_completion_has_no_second_effect(house: House) -> None:
    house.historian.faults = [away() for _ in range(10_000)]
    house.send(reading_body("s", 3_700, "30"))  # not yet of the past when it comes again
    house.start()
    await house.until(lambda: house.broker.counts["deliveries"] == 1)
    house.broker.stop()
    house.broker.start()
    await house.until(lambda: house.broker.counts["deliveries"] == 2)
    house.historian.faults.clear()
    await house.until(lambda: house.completed == 1)
    assert house.broker.counts["locks_lost"] == 1
    assert len(house.historian.readings) == 1
    assert len(house.historian.events) == 1


async def test_one_facility_never_has_two_parts_in_flight(house: House) -> None:
    in_flight = {"now": 0, "most": 0}

    class Counting(KillableHost):
        async def ingest(self, shares: Sequence[Share]) -> dict[str, Answer]:
            in_flight["now"] += 1
            in_flight["most"] = max(in_flight["most"], in_flight["now"])
            await self._clock.sleep(0.2)
            try:
                return await super().ingest(shares)
            finally:
                in_flight["now"] -= 1

    house.host.__class__ = Counting
    house.start()
    for at_s in range(30):
        house.send(reading_body("s", at_s, "21"))
        await house.clock.advance(0.05)
    await house.until(lambda: house.completed == 30)
    assert in_flight["most"] == 1
    numbers = [entry.commit_no for entry in house.historian.entries("f")]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("seed", range(20))
async def test_entity_messages_in_any_order_end_the_same(seed: int) -> None:
    """Setup, activations, deactivation and readings, shuffled over their queues and duplicated."""
    chance = random.Random(seed)
    house = house_with("activation")
    steps: list[tuple[str, Any]] = [
        ("setup", setup()),
        ("apply", activation("a")),
        ("apply", activation("b")),
        ("apply", activation("b", 50)),
        ("apply", deactivation("b", 20)),
        ("apply", deactivation("a", 90)),
        ("read", reading_body("a", 30, "21")),
        ("read", reading_body("b", 31, "22")),
    ]
    steps = steps + chance.sample(steps, 5)
    chance.shuffle(steps)
    handler = ReadingHandler(house.directory, future_s_max=300)
    for kind, what in steps:
        if kind == "read":
            decoded = await handler.decode([what], house.clock.now_us())
            answers = await handler.deliver(decoded.parts)
            assert answers["f"].result is Result.DONE
        else:
            assert (await house.directory.apply("f", [what])).result is Result.DONE
    statuses = {sensor.sensor_id: sensor.status.value for sensor in house.historian.sensors.values()}
    assert statuses == {"a": "Inactive", "b": "Active"}
    assert sorted(house.historian.readings.values()) == ["21", "22"]
    assert house.historian.parking == {}


async def test_a_bug_in_a_lane_ends_the_reader_so_that_it_is_seen(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise LookupError("a bug of ours")

    monkeypatch.setattr(house.reader, "finish", broken)
    house.send(reading_body("s", 1, "21.5"))
    house.start()
    running = house.running
    assert running is not None
    await house.until(running.done)
    house.running = None
    with pytest.raises(LookupError, match="a bug of ours"):
        await running
