"""The field hub's view from outside: written from the wire contract alone, with azure-servicebus, REST and websockets.

Messages come in any order across the queues, twice, with activations before their setup and readings before both;
afterwards everything counts exactly once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusSubQueue
from websockets.asyncio.client import connect

from tests.acceptance.whole_system import System

pytestmark = [
    pytest.mark.ray,
    pytest.mark.xdist_group("system"),
    pytest.mark.bus,
    pytest.mark.postgres,
    pytest.mark.slow,
    pytest.mark.timeout(900),
]

SETUP = "facility-setup-queue"
ACTIVATION = "sensor-activation-queue"
DATA = "sensor-data-queue"
DEACTIVATION = "sensor-deactivation-queue"
QUEUES = (SETUP, ACTIVATION, DATA, DEACTIVATION)


@dataclass(frozen=True)
class Reading:
    sensor_id: str
    facility_id: str
    tracked_at: datetime
    data: str

    def body(self) -> dict[str, str]:
        return {
            "sensor_id": self.sensor_id,
            "facility_id": self.facility_id,
            "tracked_at": naive(self.tracked_at),
            "data": self.data,
        }


async def test_the_hubs_messages_count_once_in_any_order(system: System) -> None:
    field = Field(random.Random(20261122), minutes_ago(4))
    async with httpx.AsyncClient(base_url=system.url, timeout=30) as web:
        token = await login(web, system)
        web.headers["Authorization"] = f"Bearer {token}"
        alerts_seen: list[dict[str, Any]] = []
        admitted = asyncio.Event()
        address = f"{system.url}/ws/notifications?token={token}"
        listening = asyncio.create_task(listen(address, alerts_seen, admitted))
        await asyncio.wait_for(admitted.wait(), 60)
        await asyncio.to_thread(field.send_all, system.bus)
        await eventually(lambda: counted_once(web, field), seconds=90)

        for facility_id in field.facilities:
            facility = (await web.get(f"/facilities/{facility_id}")).json()
            assert (facility["status"], facility["name"]) == ("Active", f"Terminal {facility_id[:8]}")
            sensors = (await web.get("/sensors", params={"facility_id": facility_id})).json()
            assert {sensor["id"] for sensor in sensors} == field.sensors_of(facility_id)
            for sensor in sensors:
                assert sensor["name"] == f"Sensor {sensor['id']}"
                assert sensor["expected_freq"] == "15S"
                assert sensor["status"] == ("Inactive" if sensor["id"] == field.deactivated else "Active")

        alerts = await limit_alerts(web, field)
        assert Counter(alert["sensor_id"] for alert in alerts) == Counter(field.violating)
        assert all(
            alert["message"] == f"Problem detected: Temperature Sensor value in Terminal {alert['facility']['id'][:8]}"
            " is above maximum threshold (25.0)"
            for alert in alerts
        )
        await eventually(lambda: told_once(alerts_seen, alerts), seconds=20)
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening

    assert await asyncio.to_thread(dead_letters, system.bus) == field.deserved_dead_letters
    assert await asyncio.to_thread(left_on_queues, system.bus) == dict.fromkeys(QUEUES, 0)


async def test_a_redelivered_day_changes_nothing(system: System) -> None:
    """The same hub sends everything a second time, in another order: same readings, same alerts, no new facility."""
    async with httpx.AsyncClient(base_url=system.url, timeout=30) as web:
        web.headers["Authorization"] = f"Bearer {await login(web, system)}"
        field = Field(random.Random(7), minutes_ago(4))
        await asyncio.to_thread(field.send_all, system.bus)
        await eventually(lambda: counted_once(web, field), seconds=60)
        facilities = (await web.get("/facilities")).json()
        alerts = await limit_alerts(web, field)
        await asyncio.to_thread(field.send_all, system.bus)
        await eventually(lambda: empty(system.bus), seconds=60)
        assert await counted_once(web, field) is None
        assert (await web.get("/facilities")).json() == facilities
        assert [alert["id"] for alert in await limit_alerts(web, field)] == [alert["id"] for alert in alerts]


async def test_a_committed_reading_reaches_who_watches_the_sensor(system: System) -> None:
    field = Field(random.Random(99), minutes_ago(4), facilities=1)
    async with httpx.AsyncClient(base_url=system.url, timeout=30) as web:
        token = await login(web, system)
        web.headers["Authorization"] = f"Bearer {token}"
        await asyncio.to_thread(field.send_all, system.bus)
        await eventually(lambda: counted_once(web, field), seconds=60)
        watched = field.readings[-1]
        frames: list[dict[str, Any]] = []
        path = f"/ws/sensor-data/{watched.sensor_id}?token={token}"
        watching = asyncio.create_task(listen(system.url + path, frames, asyncio.Event()))
        for second in range(30):  # the first watcher of a facility is connected to its process in the background
            first = Reading(watched.sensor_id, watched.facility_id, now(), f"21.{second:02d}")
            await asyncio.to_thread(send, system.bus, DATA, [json.dumps(first.body()).encode()])
            await asyncio.sleep(1.0)
            if frames:
                break
        fresh = Reading(watched.sensor_id, watched.facility_id, now(), "21.50")
        await asyncio.to_thread(send, system.bus, DATA, [json.dumps(fresh.body()).encode()])
        await eventually(lambda: holds(fresh.body() in frames, f"not among {frames}; {watching}"), seconds=20)
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        assert all(set(frame) == {"sensor_id", "facility_id", "tracked_at", "data"} for frame in frames)
        assert all(frames.count(frame) == 1 for frame in frames)


class Field:
    """Two terminals with three temperature sensors each, twelve readings a sensor on a 15 s grid from `start`."""

    def __init__(self, chance: random.Random, start: datetime, *, facilities: int = 2) -> None:
        self._order = chance
        self.facilities = [str(uuid.UUID(int=chance.getrandbits(128))) for _ in range(facilities)]
        self._sensors = {
            str(uuid.UUID(int=chance.getrandbits(128))): facility_id
            for facility_id in self.facilities
            for _ in range(3)
        }
        names = list(self._sensors)
        self.violating = names[::2]
        self.deactivated = names[1]
        self._installed = start - timedelta(minutes=1)
        self.readings = [
            Reading(
                sensor_id, facility_id, start + timedelta(seconds=15 * number), self._data(chance, sensor_id, number)
            )
            for number in range(12)
            for sensor_id, facility_id in self._sensors.items()
        ]
        self.nonsense = (b"this is not json", b'\xff\xfe{"sensor_id": "x"}')
        self.deserved_dead_letters = Counter({(DATA, "not_json"): 1, (DATA, "not_utf8"): 1})

    def sensors_of(self, facility_id: str) -> set[str]:
        return {sensor_id for sensor_id, owner in self._sensors.items() if owner == facility_id}

    def _data(self, chance: random.Random, sensor_id: str, number: int) -> str:
        return "31.25" if sensor_id in self.violating and number == 6 else f"{chance.uniform(21.5, 23.5):.2f}"

    def send_all(self, connection_string: str) -> None:
        """Readings first, then activations, then setups; every second message twice; nonsense in between."""
        bodies = [json.dumps(reading.body()).encode() for reading in self.readings]
        bodies += self._order.sample(bodies, len(bodies) // 2)
        self._order.shuffle(bodies)
        send(connection_string, DATA, bodies[: len(bodies) // 2])
        send(connection_string, DEACTIVATION, [json.dumps(self._deactivation()).encode()])
        activations = [json.dumps(self._activation(sensor_id)).encode() for sensor_id in self._sensors] * 2
        self._order.shuffle(activations)
        send(connection_string, ACTIVATION, activations)
        time.sleep(1.0)
        send(connection_string, SETUP, [json.dumps(self._setup(name)).encode() for name in self.facilities] * 2)
        send(connection_string, DATA, [*bodies[len(bodies) // 2 :], *self.nonsense])

    def _setup(self, facility_id: str) -> dict[str, Any]:
        return {
            "facility_id": facility_id,
            "facility_name": f"Terminal {facility_id[:8]}",
            "address": None,
            "longitude": 21.01,
            "latitude": 56.51,
            "facility_type": "ImportTerminal",
            "tracked_at": naive(self._installed),
        }

    def _activation(self, sensor_id: str) -> dict[str, Any]:
        return {
            "sensor_id": sensor_id,
            "facility_id": self._sensors[sensor_id],
            "address": "Jetty 1",
            "longitude": 21.01,
            "latitude": 56.51,
            "sensor_type": "Temperature",
            "signal_interval": 15,
            "tracked_at": naive(self._installed),
        }

    def _deactivation(self) -> dict[str, Any]:
        return {
            "sensor_id": self.deactivated,
            "facility_id": self._sensors[self.deactivated],
            "tracked_at": naive(now()),
        }


async def counted_once(web: httpx.AsyncClient, field: Field) -> str | None:
    """None when the grid of every sensor shows exactly what was sent, else what is missing."""
    for sensor_id in {reading.sensor_id for reading in field.readings}:
        sent = {naive(r.tracked_at): r.data for r in field.readings if r.sensor_id == sensor_id}
        times = sorted(sent)
        answer = await web.get(
            f"/sensor-records/{sensor_id}",
            params={"start_date": times[0].replace("T", " "), "end_date": times[-1], "freq": "15S"},
        )
        if answer.status_code != 200:
            return f"sensor {sensor_id}: {answer.status_code} {answer.text[:200]}"
        body = answer.json()
        shown = {record["tracked_at"].removesuffix("Z"): record["data"] for record in body["records"]}
        if shown != sent:
            return f"sensor {sensor_id}: sent {len(sent)}, shown {sum(shown.get(at) == sent[at] for at in sent)}"
        mean = sum(map(float, sent.values())) / len(sent)
        if abs(float(body["analytics"]["mean"]) - mean) > 1e-9:
            return f"sensor {sensor_id}: mean {body['analytics']['mean']}, of what was sent {mean}"
    return None


async def limit_alerts(web: httpx.AsyncClient, field: Field) -> list[dict[str, Any]]:
    """The field's alerts of the limits: these tests neither wait for silence nor judge the anomaly score."""
    answer = await web.get("/alerts", params={"limit": 1000})
    assert answer.status_code == 200, answer.text
    ours = [alert for alert in answer.json() if alert["facility"]["id"] in field.facilities]
    return [alert for alert in ours if "threshold" in alert["message"]]


async def told_once(seen: list[dict[str, Any]], alerts: list[dict[str, Any]]) -> str | None:
    told = Counter(frame["alert_id"] for frame in seen if "threshold" in frame["message"])
    wanted = Counter(alert["id"] for alert in alerts)
    return None if told == wanted else f"notified {dict(told)}, alerts {dict(wanted)}"


async def holds(fact: bool, otherwise: str) -> str | None:
    return None if fact else otherwise


async def empty(connection_string: str) -> str | None:
    left = await asyncio.to_thread(left_on_queues, connection_string)
    return None if not any(left.values()) else f"still on the queues: {left}"


async def listen(url: str, into: list[dict[str, Any]], admitted: asyncio.Event) -> None:
    async with connect(url.replace("http://", "ws://"), open_timeout=60) as socket_:
        admitted.set()
        async for frame in socket_:
            into.append(json.loads(frame))


async def login(web: httpx.AsyncClient, system: System) -> str:
    answer = await web.post("/auth/token", data={"username": system.email, "password": system.password})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


async def eventually(check: Callable[[], Any], *, seconds: float) -> None:
    """Ask `check` until it answers None; its last answer says what was still wrong."""
    deadline = time.monotonic() + seconds
    while (wrong := await check()) is not None:
        assert time.monotonic() < deadline, wrong
        await asyncio.sleep(0.5)


def send(connection_string: str, queue: str, bodies: list[bytes]) -> None:
    with ServiceBusClient.from_connection_string(connection_string) as client, client.get_queue_sender(queue) as sender:
        for start in range(0, len(bodies), 50):
            sender.send_messages([ServiceBusMessage(body) for body in bodies[start : start + 50]])


def dead_letters(connection_string: str) -> Counter[tuple[str, str | None]]:
    """Queue and reason of everything on the four dead-letter queues; peeked, not taken."""
    found: Counter[tuple[str, str | None]] = Counter()
    with ServiceBusClient.from_connection_string(connection_string) as client:
        for queue in QUEUES:
            with client.get_queue_receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as receiver:
                for message in receiver.peek_messages(max_message_count=250):
                    found[queue, message.dead_letter_reason] += 1
    return found


def left_on_queues(connection_string: str) -> dict[str, int]:
    """Messages that nobody completed."""
    with ServiceBusClient.from_connection_string(connection_string) as client:
        return {queue: peeked(client, queue) for queue in QUEUES}


def peeked(client: ServiceBusClient, queue: str) -> int:
    with client.get_queue_receiver(queue) as receiver:
        return len(receiver.peek_messages(max_message_count=250))


def now() -> datetime:
    return datetime.now(UTC)


def minutes_ago(minutes: float) -> datetime:
    return (now() - timedelta(minutes=minutes)).replace(microsecond=0)


def naive(moment: datetime) -> str:
    """The hub's spelling: UTC without a suffix."""
    return moment.replace(tzinfo=None).isoformat()
