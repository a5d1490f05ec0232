"""Set-aside input through the engine again: over REST, through the readers and facilities, into PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import native
from engine.bus import redriven
from engine.bus.holding import RAW_BYTES_MAX, Held, _letter
from engine.bus.message_handlers import EntityHandler, MessageHandler, ReadingHandler
from engine.bus.redriven import PARSERS, redriving_reader
from engine.bus.source import BusMessage
from engine.clock import US_PER_S, SystemClock
from engine.facility.directory import Directory
from engine.facility.host import FacilityHost
from engine.facility.port import Host, Share
from engine.historian.historian import Historian
from engine.messages import body_of, time_text
from engine.metrics import Metrics
from engine.model import DeadLetter
from engine.settings import Settings
from tests.contract.stores import withdraw
from tests.integration.historian.outcomes import activation, setup
from tests.integration.web.harness import Web, web_server
from web.contract.set_aside_shapes import AT_ONCE_MAX

pytestmark = pytest.mark.postgres
NOW_US = SystemClock().now_us() // US_PER_S * US_PER_S


@dataclass
class Starter:
    """Hosts in this process."""

    historian: Historian
    settings: Settings
    hosts: dict[int, FacilityHost] = field(default_factory=dict)

    async def start(self, slot: int, node_id: str | None) -> Host:
        return self.hosts.setdefault(slot, FacilityHost(self.historian, self.settings, SystemClock(), Metrics()))

    async def living(self) -> dict[int, Host]:
        return {}

    async def end(self, slot: int) -> None:
        raise AssertionError

    async def remove(self, slot: int) -> None:
        raise AssertionError


@dataclass
class Plant:
    """A web server, and an engine without Ray and bus."""

    web: Web
    historian: Historian
    directory: Directory
    admin: dict[str, str]

    def restart(self, **settings: int) -> None:
        """The engine's processes, with other settings; the facility is known."""
        starter = Starter(self.historian, self.web.settings.model_copy(update=settings))
        self.directory = Directory(self.historian, starter, SystemClock(), Metrics(), per_host=1)
        self.directory.add_known(["f"])

    async def keep(self, *letters: DeadLetter) -> None:
        await self.historian.record_dead_letters(letters)

    async def letters(self) -> list[dict[str, Any]]:
        answer = await self.web.client.get("/dead-letters", headers=self.admin)
        return list(answer.json()["dead_letters"])

    async def parked(self) -> list[dict[str, Any]]:
        return list((await self.web.client.get("/parked", headers=self.admin)).json()["parked"])

    async def stored(self) -> list[tuple[str, str]]:
        rows = await self.web.database.fetch(
            "SELECT id, coalesce(text_value, value::text) AS data FROM sensor_records JOIN sensors USING (sensor_no)"
            " ORDER BY id, tracked_at"
        )
        return [(row["id"], row["data"]) for row in rows]

    async def ask(self, origin: str, ids: list[int] | None = None, **query: str) -> dict[str, Any]:
        body = {"origin": origin} if ids is None else {"origin": origin, "ids": ids}
        answer = await self.web.client.post("/redrives", headers=self.admin, params=query, json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def redriven(self, origin: str = "dead_letters") -> list[tuple[str, str]]:
        """All there are, through a running engine; state and outcome of each, oldest first."""
        rows = await (self.letters() if origin == "dead_letters" else self.parked())
        asked = await self.ask(origin, [row["id"] for row in rows])
        async with self.running():
            return await self.ended(asked["redrive_id"])

    async def ended(self, redrive_id: str) -> list[tuple[str, str]]:
        async with asyncio.timeout(20):
            while True:
                answer = await self.web.client.get("/redrives", headers=self.admin, params={"redrive_id": redrive_id})
                rows = answer.json()["redrives"]
                if all(row["state"] != "waiting" for row in rows):
                    return [(row["state"], row["outcome"]) for row in reversed(rows)]
                await asyncio.sleep(0.02)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        readers = [
            redriving_reader(
                kind, self._handler(kind), self.directory, self.historian, clock=SystemClock(), metrics=Metrics()
            )
            for kind in self.web.settings.queues
        ]
        tasks = [asyncio.create_task(reader.run()) for reader in readers]
        yield
        for reader in readers:
            reader.stop()
        await asyncio.gather(*tasks)

    def _handler(self, kind: str) -> MessageHandler:
        if kind == "data":
            return ReadingHandler(self.directory, future_s_max=300)
        return EntityHandler(self.directory, PARSERS[kind], future_s_max=300)


@pytest_asyncio.fixture
async def plant(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Plant]:
    monkeypatch.setattr(redriven, "LOOK_S", 0.02)
    async with web_server(database_url, tmp_path) as web:
        assert web.settings.postgresql_url is not None
        historian = await Historian.open(web.settings.postgresql_url, web.settings, SystemClock())
        starter = Starter(historian, web.settings)
        directory = Directory(historian, starter, SystemClock(), Metrics(), per_host=1)
        yield Plant(web, historian, directory, await web.admin())
        await historian.close()


async def make(plant: Plant, facility_id: str = "f", *sensor_ids: str) -> None:
    await plant.directory.apply(
        facility_id, [setup(facility_id), *(activation(facility_id, each) for each in sensor_ids)]
    )


def reading(sensor_id: str = "s", at_us: int = NOW_US, data: str = "20.5", facility_id: str = "f") -> dict[str, str]:
    return {"sensor_id": sensor_id, "facility_id": facility_id, "tracked_at": time_text(at_us), "data": data}


def row_letter(fields: dict[str, str], reason: str = "future") -> DeadLetter:
    body = json.dumps(fields)
    facility_id, sensor_id = fields.get("facility_id", "f"), fields["sensor_id"]
    return DeadLetter(
        "row", "", reason, "", body, facility_id, sensor_id, ("refused", facility_id, sensor_id, "None", body)
    )


def message_letter(body: bytes, queue: str = "sensor-data-queue", number: int = 1) -> DeadLetter:
    held = Held(BusMessage(body, number, 0, NOW_US, NOW_US, None), NOW_US, NOW_US, refusal=("not_json", "line 1"))
    return _letter(queue, held)


async def test_a_row_whose_cause_is_over_is_stored_and_no_dead_letter_any_more(plant: Plant) -> None:
    await make(plant, "f", "s")
    await plant.keep(row_letter(reading()))
    assert await plant.redriven() == [("done", "")]
    assert (await plant.letters(), await plant.stored()) == ([], [("s", "20.5")])


async def test_a_row_whose_cause_stands_is_one_dead_letter_again_and_says_so(plant: Plant) -> None:
    await make(plant, "f", "s")
    await plant.keep(row_letter(reading(at_us=NOW_US + 3_600 * US_PER_S)))
    for _ in range(2):
        [(state, outcome)] = await plant.redriven()
        assert (state, outcome.split(":")[0]) == ("refused", "future")
        [letter] = await plant.letters()
        assert (letter["source"], letter["reason"], letter["sensor_id"]) == ("row", "future", "s")
    assert await plant.stored() == []


async def test_a_reading_that_was_stored_meanwhile_is_not_stored_twice(plant: Plant) -> None:
    await make(plant, "f", "s")
    await plant.keep(row_letter(reading()))
    share = Share("f", (native.encode_batch("f", [("s", NOW_US, "20.5")], NOW_US),))
    await plant.directory.ingest([share])
    assert await plant.redriven() == [("done", "")]
    assert await plant.stored() == [("s", "20.5")]


async def test_a_message_goes_in_whole_and_its_bad_rows_are_letters_of_their_own(plant: Plant) -> None:
    await make(plant, "f", "s")
    rows = [reading(at_us=NOW_US - each * US_PER_S, data=str(each)) for each in range(100)]
    body = json.dumps([*rows, {"sensor_id": "s", "facility_id": "f"}]).encode()
    assert len(body) > 4096
    await plant.keep(message_letter(body))
    assert await plant.redriven() == [("done", "")]
    assert len(await plant.stored()) == 100
    assert [(letter["source"], letter["reason"]) for letter in await plant.letters()] == [("row", "missing_field")]


async def test_each_kind_of_message_finds_its_queue(plant: Plant) -> None:
    new = activation("f", "s")
    await plant.keep(
        message_letter(body_of(setup("f")).encode(), "facility-setup-queue", 1),
        message_letter(body_of(new).encode(), "sensor-activation-queue", 2),
        message_letter(json.dumps(reading()).encode(), "sensor-data-queue", 3),
    )
    asked = await plant.redriven()
    assert len(asked) == 3 and {state for state, _ in asked} <= {"done", "parked"}, "in whatever order they are taken"
    async with plant.running(), asyncio.timeout(20):
        while not await plant.stored():  # a parent that came later takes in what waited for it
            await plant.directory.reload("f")
    assert (await plant.letters(), await plant.parked()) == ([], [])


async def test_what_no_redrive_helps_is_left_and_why(plant: Plant) -> None:
    large = message_letter(b"x" * (RAW_BYTES_MAX + 1), number=1)
    fits = message_letter(b"x" * RAW_BYTES_MAX, "sensor-activation-queue", number=2)
    await plant.keep(large, message_letter(b"{}", "queue of somebody", 3), fits)
    of_body = {(letter["queue"], len(letter["body"])): letter["id"] for letter in await plant.letters()}
    of_somebody = of_body["queue of somebody", 2]
    shown = [
        (await plant.web.client.get(f"/dead-letters/{each}", headers=plant.admin)).json() for each in of_body.values()
    ]
    [largest] = [each["id"] for each in shown if not each["is_whole"]]
    [fitting] = [each["id"] for each in shown if len(each["content"]) == RAW_BYTES_MAX]
    asked = await plant.ask("dead_letters", [largest, of_somebody, fitting, 10**6])
    whys = {each["id"]: each["why"] for each in asked["left"]}
    assert whys == {largest: "not whole", of_somebody: "unknown queue", 10**6: "gone"}
    assert asked["taken"] == 1
    filtered = await plant.web.client.post(
        "/redrives?reason=another", headers=plant.admin, json={"origin": "dead_letters", "ids": [largest]}
    )
    assert filtered.json()["left"] == [{"id": largest, "why": "does not fit"}]
    async with plant.running():
        [(state, _)] = await plant.ended(asked["redrive_id"])
    assert (state, len(await plant.letters())) == ("refused", 3)


async def test_what_has_no_effect_is_put_back_and_not_lost(plant: Plant) -> None:
    """Of a retired sensor one reading is told of and the others are only counted: here each was asked for."""
    await make(plant, "f", "s")
    await withdraw(plant.web.database, "retire", "f", "s")
    await plant.directory.reload("f")
    await plant.keep(*(row_letter(reading(at_us=NOW_US - each * US_PER_S)) for each in range(3)))
    ended = await plant.redriven()
    assert [state for state, _ in ended] == ["refused"] * 3
    bodies = [json.loads(letter["body"])["tracked_at"] for letter in await plant.letters()]
    assert sorted(bodies) == sorted(time_text(NOW_US - each * US_PER_S) for each in range(3))


async def test_parked_rows_go_again_and_wait_again_or_take_effect(plant: Plant) -> None:
    await make(plant, "f")
    await plant.directory.ingest([Share("f", (native.encode_batch("f", [("s", NOW_US, "20.5")], NOW_US),))])
    assert [row["reason"] for row in await plant.parked()] == ["unknown_sensor"]
    assert await plant.redriven("parked") == [("parked", "unknown_sensor")]
    [row] = await plant.parked()
    asked = await plant.ask("parked", [row["id"]])
    assert await plant.parked() == []
    await plant.directory.apply("f", [activation("f", "s")])
    async with plant.running():
        assert await plant.ended(asked["redrive_id"]) == [("done", "")]
    assert await plant.stored() == [("s", "20.5")]


async def test_a_limit_that_still_stands_makes_the_same_dead_letter_again(plant: Plant) -> None:
    await make(plant, "f", "s")
    plant.restart(sensors_per_facility_max=1)
    await plant.directory.apply("f", [activation("f", "another")])
    [before] = await plant.letters()
    assert before["reason"] == "sensors_per_facility_max"
    assert [state for state, _ in await plant.redriven()] == ["refused"]
    [after] = await plant.letters()
    assert after["body"] == before["body"]
    plant.restart(sensors_per_facility_max=2)
    assert await plant.redriven() == [("done", "")]
    assert await plant.letters() == []


async def test_a_death_in_between_ends_a_row_once(plant: Plant) -> None:
    await make(plant, "f", "s")
    await plant.keep(row_letter(reading()))
    asked = await plant.ask("dead_letters", [letter["id"] for letter in await plant.letters()])
    share = Share("f", (native.encode_batch("f", [("s", NOW_US, "20.5")], NOW_US),))
    await plant.directory.ingest([share])  # taken in, and nobody was left to say so
    [row] = await plant.historian.waiting_redrives("data", [], 10)
    async with plant.running():
        assert await plant.ended(asked["redrive_id"]) == [("done", "")]
    await plant.historian.refuse_redrive(row.id, "late", "of an intake that was taken for dead")
    assert (await plant.letters(), await plant.stored()) == ([], [("s", "20.5")])


async def test_what_is_no_text_is_kept_whole_and_shown_as_it_came(plant: Plant) -> None:
    await plant.keep(message_letter(b"\xff\x00\xfe"))
    [letter] = await plant.letters()
    shown = (await plant.web.client.get(f"/dead-letters/{letter['id']}", headers=plant.admin)).json()
    assert (shown["encoding"], b64decode(shown["content"])) == ("base64", b"\xff\x00\xfe")
    assert (shown["is_whole"], shown["redriven_as"]) == (True, "data")
    for absent in ("/dead-letters/2000000", f"/dead-letters/{2**70}", "/parked/2000000"):
        assert (await plant.web.client.get(absent, headers=plant.admin)).status_code == 404, absent


async def test_lists_and_choices_are_filtered_and_bounded(plant: Plant) -> None:
    await plant.keep(*(row_letter(reading(f"s{each}"), "future" if each else "odd") for each in range(AT_ONCE_MAX + 1)))
    client, admin = plant.web.client, plant.admin
    one = (await client.get("/dead-letters", headers=admin, params={"facility_id": "f", "sensor_id": "s7"})).json()
    assert (one["total"], one["dead_letters"][0]["sensor_id"]) == (1, "s7")
    for nothing in ({"facility_id": "g"}, {"start_date": "2126-01-01"}, {"end_date": "2020-01-01"}, {"reason": "none"}):
        assert (await client.get("/dead-letters", headers=admin, params=nothing)).json()["total"] == 0
    all_of_f = partial(
        client.post, "/redrives", headers=admin, params={"facility_id": "f"}, json={"origin": "dead_letters"}
    )
    assert (await all_of_f()).status_code == 422, "one more than at once"
    nothing_said = await client.post("/redrives", headers=admin, json={"origin": "dead_letters"})
    assert nothing_said.status_code == 422
    many = {"origin": "dead_letters", "ids": list(range(1, AT_ONCE_MAX + 2))}
    assert (await client.post("/redrives", headers=admin, json=many)).status_code == 422
    unreasoned = await client.post(
        "/discards", headers=admin, params={"reason": "odd"}, json={"origin": "dead_letters"}
    )
    assert unreasoned.status_code == 422
    gone = await client.post(
        "/discards", headers=admin, params={"reason": "odd"}, json={"origin": "dead_letters", "reason": "a test rig"}
    )
    assert gone.json() == {"deleted": 1}
    assert (await all_of_f()).json()["taken"] == AT_ONCE_MAX
    assert (await all_of_f()).status_code == 404
    assert (await client.get("/dead-letters", headers=admin)).json()["total"] == 0
    newest = (await client.get("/audit", headers=admin, params={"limit": 2})).json()["entries"]
    assert [entry["action"] for entry in newest] == ["input.redriven", "input.deleted"]
    assert newest[1]["after"] == {"reason": "a test rig"}
