"""The ways in which a sensor can fail to inform, each with what is sent and what must tell of it (docs/alarms.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from tests.acceptance.field_hub import ACTIVATION, DATA, naive, now

DEACTIVATION: Final = "sensor-deactivation-queue"
NORMAL: Final = "15"
"""Of a gas detector."""
WELL_S: Final = 6
HOUR: Final = timedelta(hours=1)

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


def newest_again() -> Play:
    """Its last good reading over and over, as it was sent."""
    sent: list[Sent] = []

    def play(place: Place, second: int) -> Sequence[Sent]:
        if second < WELL_S or not sent:
            sent[:] = [place.reading(NORMAL)]
        return tuple(sent)

    return play


def _stands_still(place: Place, _: int) -> Sequence[Sent]:
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
    "out_of_physical_range": "the reading",
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
    way("says more than there is", says("1e300"), "out_of_physical_range"),
    way("is outside of what is physical", says("-5000"), "out_of_physical_range"),
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
    way("says the same reading again and again", newest_again(), "stale"),
    way("has a clock that stands still", well_until_then(_stands_still), "clock", "stale"),
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
