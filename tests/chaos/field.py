"""What the chaos run's field sends, in the order of time: a function of the seed and of when it starts.

Readings go round all sensors that speak, one every 1/rate s, in messages of one, or of 20 to 100 as JSON array, as
lines or as Arrow. Between them, at random: a message nobody can accept, a sensor taken out of service and back, a bad
row in a good message, a sensor that speaks before its activation, a facility that speaks before its setup.
"""

from __future__ import annotations

import heapq
import io
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.hub.roster import Roster, activation_body, make_roster, naive_utc, setup_body
from engine.hub.signals import PROFILES, SignalBank
from tests.chaos.ledger import ROW, Bad, Ledger, Message, Readings, Sensor, Setup, Status, digest_of

US_PER_S: Final = 1_000_000
EXPECTED_INTERVAL_S: Final = 60
ROWS_MIN, ROWS_MAX, SINGLES_MAX = 20, 100, 10
SHAPES: Final = ("singles", "array", "array", "array", "lines", "arrow", "spoiled")
SHAPE_WEIGHTS: Final = (30, 20, 20, 20, 15, 15, 1)
PLANT_EVERY_S: Final = 4.0
PLANT_GAP_S: Final = 180.0
"""Between two violations of a sensor: its alarm has returned by then (off-delays are up to 60 s)."""
PLANT_FIRST_S: Final = 30.0
BAD_EVERY_S: Final = 8.0
RESTLESS_EVERY_S: Final = 12.0
NEWCOMER_EVERY_S: Final = 15.0
NEWCOMER_SHARE: Final = 10
RESTLESS_SHARE: Final = 10

BadMaker = tuple[str, str, Callable[[int, int], bytes]]


def _reading(number: int, **changes: Any) -> bytes:
    fields = {"sensor_id": "x", "facility_id": "y", "tracked_at": "2026-01-01T00:00:00", "data": "1", "n": number}
    return json.dumps({name: value for name, value in {**fields, **changes}.items() if value is not ...}).encode()


def _entity(number: int, **fields: Any) -> bytes:
    common = {"facility_id": f"castle {number}", "longitude": 1.0, "latitude": 2.0, "tracked_at": "2026-01-01T00:00:00"}
    return json.dumps({**common, **fields}).encode()


BAD: Final[tuple[BadMaker, ...]] = (
    ("data", "not_json", lambda n, _: b"not json at all %d" % n),
    ("data", "not_json", lambda n, _: b'{"sensor_id": "x%d"' % n),
    ("data", "not_utf8", lambda n, _: b'\xff\xfe{"n": %d}' % n),
    ("data", "too_deep", lambda n, _: b"[" * 600 + b"%d" % n + b"]" * 600),
    ("data", "not_an_object", lambda n, _: b"%d" % n),
    ("data", "missing_field", lambda n, _: _reading(n, data=...)),
    ("data", "wrong_type", lambda n, _: _reading(n, sensor_id=7)),
    ("data", "bad_time", lambda n, _: _reading(n, tracked_at="soon")),
    ("data", "time_out_of_range", lambda n, _: _reading(n, tracked_at="9999-12-31T23:59:59")),
    ("data", "not_finite", lambda n, _: _reading(n, data="@").replace(b'"@"', b"1e999")),
    ("data", "future", lambda n, now_us: _reading(n, tracked_at=naive_utc(now_us + 86_400 * US_PER_S))),
    ("setup", "unknown_value", lambda n, _: _entity(n, facility_name="A castle", facility_type="Castle")),
    (
        "activation",
        "out_of_range",
        lambda n, _: _entity(n, sensor_id="x", sensor_type="Noise", signal_interval=0),
    ),
    ("deactivation", "not_json", lambda n, _: b"no longer needed: %d" % n),
)


@dataclass(frozen=True, slots=True)
class Parcel:
    """One message for one queue (setup, activation, data, deactivation), and what the ledger is to say of it."""

    carries: str
    body: bytes
    entry: Message


Happening = Callable[[int], list[Parcel]]


class Field:
    """Enters its sensors into the ledger at once; what it returns is for its user to write and to send."""

    def __init__(self, seed: int, facilities: int, sensors: int, rate: float, ledger: Ledger, start_us: int) -> None:
        self._roster = _with_stray_facility(make_roster(facilities, sensors, seed), seed)
        self._random = random.Random(seed)
        self._rate = rate
        self._start_us = start_us
        placed = self._roster.sensors
        self._bank = SignalBank([sensor.type for sensor in placed], [sensor.facility for sensor in placed], seed)
        self._high = np.array([2 * PROFILES[one.type].high - PROFILES[one.type].low for one in placed])
        self._ledger_no = [
            ledger.sensor(Sensor(one.sensor_id, self._roster.facilities[one.facility].facility_id, one.type.value))
            for one in placed
        ]
        self._strays = [number for number, one in enumerate(placed) if one.facility == facilities]
        shuffled = self._random.sample(range(len(placed) - len(self._strays)), len(placed) - len(self._strays))
        self._newcomers = shuffled[: len(shuffled) // NEWCOMER_SHARE]
        self._restless = shuffled[len(self._newcomers) :][: max(1, len(shuffled) // RESTLESS_SHARE)]
        self._round = shuffled[len(self._newcomers) :]
        self._steady = self._round[len(self._restless) :]
        self._at = 0
        self._spoken = 0
        self._number = 0
        self._planted_us = dict.fromkeys(self._steady, start_us - int((PLANT_GAP_S - PLANT_FIRST_S) * US_PER_S))
        self._to_plant: set[int] = set()
        self._owed: dict[int, Happening] = {}
        self._diary: list[tuple[int, int, Happening]] = []
        self._next_shape = self._choose()
        self._plan()

    def introduction(self, now_us: int) -> list[Parcel]:
        """Setups, then activations, of all but the late ones."""
        places = self._roster.facilities[:-1]
        setups = [Parcel("setup", setup_body(each, now_us), Setup(each.facility_id)) for each in places]
        return setups + [self._activation(number, now_us) for number in sorted(self._round)]

    def next(self) -> tuple[int, list[Parcel]]:
        """(when, what): never earlier than what was returned before."""
        shape, size = self._next_shape
        due_us = self._due_us(self._spoken + size - 1)
        if self._diary and self._diary[0][0] <= due_us:
            at_us, _, happening = heapq.heappop(self._diary)
            return at_us, happening(at_us)
        self._next_shape = self._choose()
        return due_us, self._readings(shape, self._take(size))

    def end(self, now_us: int) -> list[Parcel]:
        """What has been promised: the activation of every sensor that has spoken, the setup of its facility."""
        return [parcel for happening in list(self._owed.values()) for parcel in happening(now_us)]

    # --- readings -----------------------------------------------------------------------------------------------------

    def _due_us(self, number: int) -> int:
        return self._start_us + int(number / self._rate * US_PER_S)

    def _choose(self) -> tuple[str, int]:
        shape = self._random.choices(SHAPES, SHAPE_WEIGHTS)[0]
        low, high = (1, SINGLES_MAX) if shape == "singles" else (ROWS_MIN, ROWS_MAX)
        return shape, min(self._random.randint(low, high), len(self._round))

    def _take(self, count: int) -> NDArray[Any]:
        """The next readings as ROW records, whose `sensor` is ours, not the ledger's; all of different sensors."""
        chosen = np.array([self._round[(self._at + place) % len(self._round)] for place in range(count)])
        self._at = (self._at + count) % len(self._round)
        rows = np.zeros(count, ROW)
        rows["sensor"] = chosen
        rows["tracked_at_us"] = [self._due_us(self._spoken + place) for place in range(count)]
        self._spoken += count
        rows["value"] = self._bank.sample(chosen, rows["tracked_at_us"] / US_PER_S).round(2)
        for place in np.flatnonzero(np.isin(chosen, list(self._to_plant))):
            rows["value"][place] = round(float(self._high[chosen[place]]), 2)
            rows["planted"][place] = 1
            self._to_plant.remove(int(chosen[place]))
        return rows

    def _readings(self, shape: str, rows: NDArray[Any]) -> list[Parcel]:
        named = rows.copy()
        named["sensor"] = [self._ledger_no[number] for number in rows["sensor"]]
        fields = self._fields(rows)
        if shape == "singles":
            bodies = [json.dumps(each).encode() for each in fields]
            return [Parcel("data", body, Readings(named[n : n + 1])) for n, body in enumerate(bodies)]
        if shape == "lines":
            body = b"\n".join(json.dumps(each).encode() for each in fields)
        elif shape == "arrow":
            body = _arrow(fields, rows)
        elif shape == "spoiled":
            bad = {**fields[0], "tracked_at": f"not a time but {self._new_number()}"}
            body = json.dumps([*fields, bad]).encode()
            return [Parcel("data", body, Readings(named, refused=1))]
        else:
            body = json.dumps(fields).encode()
        return [Parcel("data", body, Readings(named))]

    def _fields(self, rows: NDArray[Any]) -> list[dict[str, str]]:
        found = []
        for number, at_us, value, _ in rows.tolist():
            sensor = self._roster.sensors[number]
            found.append(
                {
                    "sensor_id": sensor.sensor_id,
                    "facility_id": self._roster.facilities[sensor.facility].facility_id,
                    "tracked_at": naive_utc(at_us),
                    "data": f"{value:.2f}",
                }
            )
        return found

    # --- what happens between -----------------------------------------------------------------------------------------

    def _plan(self) -> None:
        for every_s, happening in (
            (PLANT_EVERY_S, self._plant_violation),
            (BAD_EVERY_S, self._bad),
            (RESTLESS_EVERY_S, self._leave),
            (NEWCOMER_EVERY_S, self._newcomer),
        ):
            self._repeat(self._start_us, every_s, happening)
        self._enter(self._start_us + 20 * US_PER_S, self._strays_speak)

    def _enter(self, at_us: int, happening: Happening) -> None:
        heapq.heappush(self._diary, (at_us, self._new_number(), happening))

    def _repeat(self, after_us: int, every_s: float, happening: Happening) -> None:
        def once(at_us: int) -> list[Parcel]:
            self._repeat(at_us, every_s, happening)
            return happening(at_us)

        self._enter(after_us + int(self._random.uniform(0.5, 1.5) * every_s * US_PER_S), once)

    def _owe(self, at_us: int, happening: Happening) -> None:
        """Will happen at that time, or when the field ends before it."""
        number = self._new_number()

        def once(now_us: int) -> list[Parcel]:
            return happening(now_us) if self._owed.pop(number, None) else []

        self._owed[number] = once
        self._enter(at_us, once)

    def _plant_violation(self, at_us: int) -> list[Parcel]:
        rested_us = at_us - int(PLANT_GAP_S * US_PER_S)
        rested = [number for number, last_us in self._planted_us.items() if last_us <= rested_us]
        if rested:
            number = self._random.choice(rested)
            self._planted_us[number] = at_us
            self._to_plant.add(number)
        return []

    def _bad(self, at_us: int) -> list[Parcel]:
        queue, reason, make = self._random.choice(BAD)
        body = make(self._new_number(), at_us)
        return [Parcel(queue, body, Bad(queue, reason, digest_of(body)))]

    def _leave(self, at_us: int) -> list[Parcel]:
        """A sensor goes out of service (it speaks on, as sensors do) and comes back some seconds later."""
        number = self._random.choice(self._restless)
        back_us = at_us + int(self._random.uniform(3, 9) * US_PER_S)
        self._owe(back_us, lambda now_us: [self._activation(number, now_us)])
        sensor = self._roster.sensors[number]
        place = self._roster.facilities[sensor.facility]
        body = {"sensor_id": sensor.sensor_id, "facility_id": place.facility_id, "tracked_at": naive_utc(at_us)}
        status = Status(self._ledger_no[number], False, at_us)
        return [Parcel("deactivation", json.dumps(body).encode(), status)]

    def _newcomer(self, at_us: int) -> list[Parcel]:
        """A sensor begins to speak; its activation comes some seconds later."""
        if self._newcomers:
            number = self._newcomers.pop()
            self._round.append(number)
            activated_us = at_us + int(self._random.uniform(1, 10) * US_PER_S)
            self._owe(activated_us, lambda now_us: [self._activation(number, now_us)])
        return []

    def _strays_speak(self, at_us: int) -> list[Parcel]:
        """The last facility's sensors speak before they are activated, and are activated before its setup."""
        self._round += self._strays
        place = self._roster.facilities[-1]
        self._owe(at_us + 4 * US_PER_S, lambda now_us: [self._activation(number, now_us) for number in self._strays])
        setup_us = at_us + 8 * US_PER_S
        self._owe(setup_us, lambda now_us: [Parcel("setup", setup_body(place, now_us), Setup(place.facility_id))])
        return []

    def _activation(self, number: int, now_us: int) -> Parcel:
        sensor = self._roster.sensors[number]
        body = activation_body(sensor, self._roster.facilities[sensor.facility], EXPECTED_INTERVAL_S, now_us)
        return Parcel("activation", body, Status(self._ledger_no[number], True, now_us))

    def _new_number(self) -> int:
        self._number += 1
        return self._number


def _with_stray_facility(roster: Roster, seed: int) -> Roster:
    """One facility more, with two sensors."""
    stray = make_roster(1, 2, seed + 1_000_003)
    home = len(roster.facilities)
    sensors = tuple(replace(sensor, facility=home) for sensor in stray.sensors)
    return Roster((*roster.facilities, *stray.facilities), (*roster.sensors, *sensors))


def _arrow(fields: Sequence[dict[str, str]], rows: NDArray[Any]) -> bytes:
    frame = pl.DataFrame(
        {
            "facility_id": [each["facility_id"] for each in fields],
            "sensor_id": [each["sensor_id"] for each in fields],
            "tracked_at": pl.Series(rows["tracked_at_us"], dtype=pl.Int64).cast(pl.Datetime("us")),
            "data": rows["value"],
        }
    )
    stream = io.BytesIO()
    frame.write_ipc_stream(stream, compat_level=pl.CompatLevel.oldest())
    return stream.getvalue()
