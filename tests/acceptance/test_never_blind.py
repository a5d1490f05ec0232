"""Whatever a sensor does, somebody is told: each way in which one can fail to inform, walked on the running system.

The ways run side by side, each with a sensor (or a facility) of its own, a reading a second where it is well. What is
told is read as people and programs read it: the journal over REST, dead letters, what is set aside.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from threading import Event
from typing import Any, Final

import httpx
import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusSender

from tests.acceptance.field_hub import ACTIVATION, DATA, SETUP, naive, now
from tests.acceptance.front_end import FrontEnd
from tests.acceptance.whole_system import PASSWORD, running

pytestmark = [
    pytest.mark.ray,
    pytest.mark.xdist_group("never blind"),
    pytest.mark.bus,
    pytest.mark.postgres,
    pytest.mark.slow,
    pytest.mark.timeout(900),
]

DEACTIVATION: Final = "sensor-deactivation-queue"
NORMAL: Final = "15"
"""Of a gas detector."""
WELL_S: Final = 6
PLAYED_S_MIN: Final = 45
"""For what must not be told."""
TOLD_S_MAX: Final = 150.0
HOUR: Final = timedelta(hours=1)
QUICK: Final = {"STALE_S_MIN": "5", "TICK_S": "1"}
"""What is told after a minute of silence is told here after five seconds."""

Body = dict[str, Any]
Sent = tuple[str, Body | bytes]
"""Queue and message."""


@dataclass(frozen=True)
class Place:
    """A sensor of one way, in a facility that all share or in its own."""

    facility: str
    sensor: str

    def reading(self, data: Any, ahead: timedelta = timedelta(0), **other: Any) -> Sent:
        at = naive(now() + ahead)
        return DATA, {"sensor_id": self.sensor, "facility_id": self.facility, "tracked_at": at, "data": data} | other


Play = Callable[[Place, int], Sequence[Sent]]
"""What is sent in this second, from 0."""


@dataclass(frozen=True)
class Way:
    """`told_by`: the rules of which one at least speaks; or where it is set aside: dead_letters, parked.
    `after` what it is told, where that is not as AFTER has it.
    """

    name: str
    play: Play
    told_by: frozenset[str]
    type: str = "GasDetection"
    never: frozenset[str] = frozenset()
    activated: bool = True
    after: str | None = None


def well_until_then(then: Play) -> Play:
    return lambda place, second: [place.reading(NORMAL)] if second < WELL_S else then(place, second)


def says(data: Any) -> Play:
    return well_until_then(lambda place, _: [place.reading(data)])


def stamped(ahead: timedelta, data: str = NORMAL) -> Play:
    return well_until_then(lambda place, _: [place.reading(data, ahead)])


def way(name: str, play: Play, *told_by: str, **other: Any) -> Way:
    return Way(name, play, frozenset(told_by), **other)


def _same_again(place: Place, _: int) -> Sequence[Sent]:
    queue, body = place.reading(NORMAL)
    assert isinstance(body, dict)
    return [(queue, body | {"tracked_at": FIRST})]


def _stepping(place: Place, second: int) -> Sequence[Sent]:
    return [place.reading(NORMAL, timedelta(minutes=-5 if second % 2 else -50))]


def _ahead_once(data: str) -> Play:
    def play(place: Place, second: int) -> Sequence[Sent]:
        return [place.reading(NORMAL, timedelta(seconds=250)) if second == WELL_S else place.reading(data)]

    return well_until_then(play)


def _back_after_deactivation(place: Place, second: int) -> Sequence[Sent]:
    off, on = (DEACTIVATION, place_entity(place)), (ACTIVATION, activation_of(place, "GasDetection"))
    return [off] if second == WELL_S else [on] if second == WELL_S + 6 else []


def place_entity(place: Place) -> Body:
    return {"sensor_id": place.sensor, "facility_id": place.facility, "tracked_at": naive(now())}


def activation_of(place: Place, sensor_type: str) -> Body:
    where = {"address": None, "longitude": 7.5, "latitude": 51.25}
    return place_entity(place) | {"sensor_type": sensor_type, "signal_interval": 1} | where


def stranger(place: Place) -> Sent:
    queue, body = place.reading(NORMAL)
    assert isinstance(body, dict)
    return queue, body | {"facility_id": f"{place.facility}-not"}


def unknown_type(place: Place, second: int) -> Sequence[Sent]:
    return [(ACTIVATION, activation_of(place, "GasDetektor"))] if second % 10 == 0 else []


FIRST: Final = naive(now())
_SILENCE: Final = "5 intervals, at least 60 s, and up to 10 s more"
CLOCK_FOUND: Final = "4 readings, over 10 s and 2 intervals"
AFTER: Final = {
    "clock": CLOCK_FOUND,
    "bad_value": _SILENCE,
    "high": "the reading",
    "low": "the reading",
    "stale": _SILENCE,
    "dead_letters": "the message",
    "parked": "the message",
}
"""By what tells it, when, as the settings are at first; docs/alarms.md has it."""
WAYS: Final = [
    way("falls silent", well_until_then(lambda *_: []), "stale"),
    way("never says anything", lambda *_: [], "stale"),
    way("says Bad", says("Bad"), "bad_value"),
    way("says I/O Timeout", says("I/O Timeout"), "bad_value"),
    way("says No Data", says("no_data"), "bad_value"),
    way("says nothing with every message", says(""), "bad_value", "stale"),
    way("says blanks", says("   "), "bad_value", "stale"),
    way("says NaN", says("NaN"), "bad_value"),
    way("says Infinity", says("-Infinity"), "bad_value"),
    way("says null", says(None), "bad_value", "stale"),
    way("says true", says(True), "bad_value", "stale"),
    way("says a list", says([35]), "bad_value", "stale"),
    way("says an object", says({"value": 35}), "bad_value", "stale"),
    way("has a decimal comma", says("35,0"), "bad_value"),
    way("has a thousands separator", says("1,035.0"), "bad_value"),
    way("has a unit behind the number", says("35 ppm"), "bad_value"),
    way("says more than there is", says("1e300"), "high"),
    way("is outside of what is physical", says("-5000"), "low"),
    way("is above its limit", says("80"), "high"),
    way("is below its limit", says("3"), "low"),
    way("measures in another unit", says("35000"), "high"),
    way("has a clock that goes back an hour", stamped(-HOUR), "clock"),
    way("has a clock that goes back, and gas", stamped(-HOUR, "80"), "high", after=CLOCK_FOUND),
    way("has lost its battery: 1970", stamped(-timedelta(days=365 * 55)), "clock", "stale"),
    way("has a clock that goes back a day", stamped(-timedelta(days=1), "80"), "high", after=CLOCK_FOUND),
    way("has a clock that steps", well_until_then(_stepping), "clock", "stale"),
    way("is ahead once, then there is gas", _ahead_once("80"), "high", never=frozenset({"stale"})),
    way("is ahead by minutes, with gas", stamped(timedelta(minutes=4), "80"), "high", never=frozenset({"stale"})),
    way("is ahead by hours", stamped(6 * HOUR), "stale"),
    way("says the same reading again and again", well_until_then(_same_again), "stale"),
    way("says the good ones under another facility", well_until_then(lambda place, _: [stranger(place)]), "stale"),
    way("sends no JSON", well_until_then(lambda *_: [(DATA, b"{")]), "stale"),
    way("sends no time", well_until_then(lambda place, _: [place.reading(NORMAL, tracked_at=None)]), "stale"),
    way("is deactivated, comes back and says nothing", well_until_then(_back_after_deactivation), "stale"),
    way(
        "is of a type that nobody knows",
        unknown_type,
        "dead_letters",
        activated=False,
    ),
    way("was never announced", lambda place, _: [place.reading("80")], "parked", activated=False),
]


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
    assert answer.status_code == 200, answer.text
    rows = [json.loads(line) for line in answer.text.splitlines()]
    return [row for row in rows if row["transition"] == "activated"]
