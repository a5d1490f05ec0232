"""Bad readings through the real reader and decoder: a dead letter with its reason, a row set aside, or none of both."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

import native
from engine.bus.message_handlers import EntityHandler, MessageHandler, ReadingHandler
from engine.bus.reader import BusReader
from engine.clock import ManualClock
from engine.facility.port import DONE, Answer, Share
from engine.messages import activation_of, deactivation_of, setup_of
from engine.metrics import Metrics
from engine.model import DeadLetter, EntityMessage
from tests.fakes.broker import ModelBroker
from tests.faults.bad_input import CASES, FUTURE_S_MAX, RECEIVED_AT, Case, ahead, body, reading, rows
from tests.unit.test_bad_input_entities import KINDS

QUEUE = "queue"


@dataclass
class Accepting:
    """Facilities that take in everything and remember it."""

    readings: list[dict[str, object]] = field(default_factory=list)
    refused: list[DeadLetter] = field(default_factory=list)
    recorded: list[DeadLetter] = field(default_factory=list)
    messages: list[EntityMessage] = field(default_factory=list)

    def lane(self, facility_id: str) -> str:
        return facility_id

    async def ingest(self, shares: Sequence[Share]) -> dict[str, Answer]:
        for share in shares:
            for batch in share.batches:
                self.readings += native.batch_rows(batch)  # type: ignore[arg-type]
            self.refused += share.refused
        return dict.fromkeys((share.facility_id for share in shares), DONE)

    async def apply(self, facility_id: str, messages: Sequence[EntityMessage]) -> Answer:
        self.messages += messages
        return DONE

    async def probe(self, facility_id: str) -> bool:
        return True

    async def record_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        self.recorded += letters


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_where_a_body_ends(case: Case) -> None:
    taken, broker = await read(case.body)
    dead = broker.dead_letters(QUEUE)
    assert [letter.reason for letter in dead] == ([case.dead] if case.dead else [])
    assert [letter.body for letter in dead] == ([case.body] if case.dead else [])
    assert all(letter.description and len(letter.description) <= 4096 for letter in dead)
    told = [(letter.source, letter.queue, letter.reason, letter.detail) for letter in taken.recorded]
    assert told == [("bus", QUEUE, letter.reason, letter.description) for letter in dead]
    assert [letter.body for letter in taken.recorded] == [case.body[:4096].decode(errors="replace")] * len(dead)
    assert len(taken.readings) == case.good
    assert [letter.reason for letter in taken.refused] == list(case.refused)
    assert all(letter.source == "row" and letter.detail and letter.body for letter in taken.refused)
    assert broker.waiting(QUEUE) == 0
    assert broker.counts["deliveries"] == 1, "at its first delivery"


async def test_bad_bodies_delay_nobody_and_spoil_no_neighbour() -> None:
    bad = [case.body for case in CASES if case.dead]
    taken, broker = await read(*bad, body(sensor_id="healthy"), *bad)
    assert [row["sensor_id"] for row in taken.readings] == ["healthy"]
    assert len(broker.dead_letters(QUEUE)) == 2 * len(bad)
    assert broker.counts["redeliveries"] == 0


async def test_a_good_row_comes_out_as_it_went_in() -> None:
    taken, _ = await read(rows(reading(data="24.60"), reading(data=...), reading(sensor_id="é", data=" 007 ")))
    assert [(row["sensor_id"], row["data"]) for row in taken.readings] == [("s-1", "24.60"), ("é", " 007 ")]


@pytest.mark.parametrize("data", ["NaN", "Infinity", "-inf", "1e999", "open", ""])
def test_what_is_no_number_is_kept_as_text_and_never_scored(data: str) -> None:
    """It is stored with its flags, and returns no alarm to normal."""
    core = native.FacilityCore("f-1", "{}")
    sensor = {"op": "upsert", "sensor_id": "s-1", "sensor_no": 1, "type": "Temperature", "status": "Active"}
    core.apply("config", json_bytes({"version": 1, "sensors": [{**sensor, "expected_interval_s": 15}]}))
    start_us = round(RECEIVED_AT.timestamp() * 1e6)
    hot = core.apply("batch", native.encode_batch("f-1", [("s-1", start_us, "99.5")], start_us))
    assert [event.transition for event in hot.events] == ["activated"]
    later_us = start_us + 600_000_000
    effects = core.apply("batch", native.encode_batch("f-1", [("s-1", later_us, data)], later_us))
    assert effects.rows == 1
    assert effects.events == []
    assert [alarm.active for alarm in core.alarms()] == [True]


@pytest.mark.parametrize(
    ("parse", "good", "bad", "reason"),
    [
        (setup_of, "setup", b'{"facility_id": "f-1"}', "missing_field"),
        (activation_of, "activation", b"\xff", "not_utf8"),
        (deactivation_of, "deactivation", b"[" * 10_000 + b"]" * 10_000, "too_deep"),
    ],
)
async def test_bad_entity_messages_die_at_their_first_delivery(
    parse: Callable[[bytes], EntityMessage], good: str, bad: bytes, reason: str
) -> None:
    taken, broker = await read(bad, json_bytes(KINDS[good][1]), handler_of=entities(parse))
    assert [(letter.reason, letter.delivery_count) for letter in broker.dead_letters(QUEUE)] == [(reason, 0)]
    assert [message.facility_id for message in taken.messages] == ["f-1"]
    assert broker.waiting(QUEUE) == 0


@pytest.mark.parametrize(
    ("parse", "kind"), [(setup_of, "setup"), (activation_of, "activation"), (deactivation_of, "deactivation")]
)
@pytest.mark.parametrize(
    ("seconds", "dead"),
    [(0, []), (FUTURE_S_MAX, []), (FUTURE_S_MAX + 0.000001, ["future"]), (86_400 * 9_000, ["future"])],
)
async def test_entity_messages_are_held_to_their_receipt_as_readings_are(
    parse: Callable[[bytes], EntityMessage], kind: str, seconds: float, dead: list[str]
) -> None:
    sent = json_bytes({**KINDS[kind][1], "tracked_at": ahead(seconds)})
    taken, broker = await read(sent, handler_of=entities(parse))
    letters = broker.dead_letters(QUEUE)
    assert [letter.reason for letter in letters] == dead
    assert len(taken.messages) == 1 - len(dead)
    assert all(
        "beyond the latest time that is accepted, 2026-01-01T10:20:00" in letter.description for letter in letters
    )


def entities(parse: Callable[[bytes], EntityMessage]) -> Callable[[Accepting], EntityHandler]:
    return lambda held: EntityHandler(held, parse, future_s_max=FUTURE_S_MAX)


def json_bytes(value: object) -> bytes:
    return json.dumps(value).encode()


async def read(
    *bodies: bytes, handler_of: Callable[[Accepting], EntityHandler] | None = None
) -> tuple[Accepting, ModelBroker]:
    """What became of `bodies` once the queue has nothing left."""
    clock = ManualClock(round(RECEIVED_AT.timestamp() * 1e6))
    broker, taken = ModelBroker(clock), Accepting()
    handler: MessageHandler = (
        ReadingHandler(taken, future_s_max=FUTURE_S_MAX) if handler_of is None else handler_of(taken)
    )
    reader = BusReader(QUEUE, broker.source(QUEUE), handler, taken, taken, clock=clock, metrics=Metrics())
    for each in bodies:
        broker.send(QUEUE, each)
    running = asyncio.create_task(reader.run())
    async with asyncio.timeout(30):
        while broker.waiting(QUEUE):
            await asyncio.sleep(0.001)
    reader.stop()
    while not running.done():
        await clock.advance(0.5)
    await running
    return taken, broker
