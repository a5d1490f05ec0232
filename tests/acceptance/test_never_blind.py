"""Whatever a sensor does, somebody is told: each way in which one can fail to inform, walked on the running system.

The ways run side by side, each with a sensor (or a facility) of its own, a reading a second where it is well. What is
told is read as people and programs read it: the journal over REST, dead letters, what is set aside.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from threading import Event
from typing import Final

import httpx
import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusSender

from tests.acceptance.field_hub import ACTIVATION, DATA, SETUP, naive, now
from tests.acceptance.front_end import FrontEnd
from tests.acceptance.ways_to_fail import DEACTIVATION, NORMAL, WAYS, WELL_S, Body, Place, Sent, activation_of
from tests.acceptance.whole_system import PASSWORD, running

pytestmark = [
    pytest.mark.ray,
    pytest.mark.xdist_group("never blind"),
    pytest.mark.bus,
    pytest.mark.postgres,
    pytest.mark.slow,
    pytest.mark.timeout(900),
]

PLAYED_S_MIN: Final = 45
"""For what must not be told."""
TOLD_S_MAX: Final = 150.0
QUICK: Final = {"STALE_S_MIN": "5", "TICK_S": "1"}
"""What is told after a minute of silence is told here after five seconds."""


@dataclass
class Site:
    """A facility with a sensor a way, and one whose hub stops."""

    bus: str
    facility: str = field(default_factory=lambda: f"site-{uuid.uuid4()}")
    silent: str = field(default_factory=lambda: f"silent-{uuid.uuid4()}")

    def place(self, number: int) -> Place:
        return Place(self.facility, f"{self.facility}-{number:02}")

    def silent_places(self) -> list[Place]:
        return [Place(self.silent, f"{self.silent}-{number}") for number in range(8)]

    def play(self, enough: Event) -> None:
        """Everything, second by second."""
        with ServiceBusClient.from_connection_string(self.bus) as client:
            senders = {queue: client.get_queue_sender(queue) for queue in (SETUP, ACTIVATION, DATA, DEACTIVATION)}
            self._set_up(senders)
            begun = time.monotonic()
            for second in count():
                if enough.wait(max(0.0, begun + second - time.monotonic())):
                    return
                sent = [one for number, each in enumerate(WAYS) for one in each.play(self.place(number), second)]
                if second < WELL_S:
                    sent += [place.reading(NORMAL) for place in self.silent_places()]
                _send(senders, sent)

    def _set_up(self, senders: dict[str, ServiceBusSender]) -> None:
        where = {"address": None, "longitude": 7.5, "latitude": 51.25, "tracked_at": naive(now())}
        names = (self.facility, self.silent)
        facilities = [{"facility_id": one, "facility_name": one[:8], "facility_type": "TankFarm"} for one in names]
        _send(senders, [(SETUP, one | where) for one in facilities])
        places = [(self.place(number), each.type) for number, each in enumerate(WAYS) if each.activated]
        places += [(place, "GasDetection") for place in self.silent_places()]
        _send(senders, [(ACTIVATION, activation_of(place, kind)) for place, kind in places])


def _send(senders: dict[str, ServiceBusSender], sent: Sequence[Sent]) -> None:
    for queue, sender in senders.items():
        of_queue = [body if isinstance(body, bytes) else json.dumps(body) for to, body in sent if to == queue]
        if of_queue:
            sender.send_messages([ServiceBusMessage(body) for body in of_queue])


@dataclass
class Outcome:
    """By way, what was told; and the rules that spoke in the facility whose hub stopped."""

    of_way: list[set[str]]
    of_silent: list[str]


@pytest.fixture(scope="module")
def outcome() -> Iterator[Outcome]:
    with running(QUICK) as system:
        site, enough = Site(system.bus), Event()
        with ThreadPoolExecutor() as hub:
            playing = hub.submit(site.play, enough)
            try:
                found = heard(site, FrontEnd(system.url, system.email, PASSWORD))
            finally:
                enough.set()
            playing.result()
        yield found


def heard(site: Site, admin: FrontEnd) -> Outcome:
    """What is told while they go on like that: once of each way something that was expected, or no more is awaited."""
    begun = time.monotonic()
    while True:
        silent = [row["rule"] for row in activations(admin, site.silent)]
        found = Outcome(told(admin, site), silent)
        is_whole = all(rules & each.told_by for rules, each in zip(found.of_way, WAYS, strict=True)) and silent
        played_s = time.monotonic() - begun
        if (is_whole and played_s > PLAYED_S_MIN) or played_s > TOLD_S_MAX:
            return found
        time.sleep(1)


@pytest.mark.parametrize("number", range(len(WAYS)), ids=[each.name for each in WAYS])
def test_each_way_is_told(outcome: Outcome, number: int) -> None:
    wanted, found = WAYS[number], outcome.of_way[number]
    assert found & wanted.told_by, f"told was {found or 'nothing'}"
    assert not found & wanted.never


def test_there_are_as_many_ways_as_are_promised() -> None:
    assert len(WAYS) >= 30 and len({each.name for each in WAYS}) == len(WAYS)


def test_a_hub_that_stops_is_one_message(outcome: Outcome) -> None:
    assert outcome.of_silent == ["silent"]


def told(admin: FrontEnd, site: Site) -> list[set[str]]:
    """By way: the rules that spoke of its sensor, and where something of it was set aside."""
    found: list[set[str]] = [set() for _ in WAYS]
    number_of = {site.place(number).sensor: number for number in range(len(WAYS))}
    for row in activations(admin, site.facility):
        if row["sensor_id"] in number_of:
            found[number_of[row["sensor_id"]]].add(row["rule"])
    for aside, path in (("dead_letters", "/dead-letters"), ("parked", "/parked")):
        rows = json.dumps(admin.get(path, limit=1000))
        for sensor, number in number_of.items():
            if sensor in rows:
                found[number].add(aside)
    return found


def activations(admin: FrontEnd, facility: str) -> list[Body]:
    """Of the journal: what people were told."""
    query = {"facility_id": facility, "format": "ndjson"}
    answer = httpx.get(f"{admin.base}/exports/alarms", params=query, headers=admin.headers, timeout=30)
    if answer.status_code == 404:  # not made yet
        return []
    assert answer.status_code == 200, answer.text
    rows = [json.loads(line) for line in answer.text.splitlines()]
    return [row for row in rows if row["transition"] == "activated"]
