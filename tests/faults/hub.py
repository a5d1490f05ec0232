"""What the field sends in one run, and the sender's ledger: of every body what must become of it.

The hub of a seed sends setups, activations, readings (single, in batches, late, twice, before their sensor exists),
deactivations and nonsense, in an order that respects nothing. Event times follow the plan, so that a run
may be slow, but never early.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from tests.faults.scheduler import START_US

SETUP = "facility-setup-queue"
ACTIVATION = "sensor-activation-queue"
DATA = "sensor-data-queue"
DEACTIVATION = "sensor-deactivation-queue"
QUEUES = (SETUP, ACTIVATION, DATA, DEACTIVATION)

NORMAL = {
    "Temperature": (20.0, 25.0),
    "Humidity": (40.0, 60.0),
    "Pressure": (1013.0, 1015.0),
    "GasDetection": (10.0, 20.0),
    "ValveStatus": None,
}

NONSENSE: tuple[tuple[str, bytes, str], ...] = (
    (DATA, b"not json at all", "not_json"),
    (DATA, b'{"sensor_id": "x"', "not_json"),
    (DATA, b'\xff\xfe{"sensor_id": "x"}', "not_utf8"),
    (DATA, b"[" * 600 + b"]" * 600, "too_deep"),
    (DATA, b'{"sensor_id": "x", "facility_id": "y"}', "missing_field"),
    (DATA, b'{"sensor_id": 7, "facility_id": "y", "tracked_at": "2026-01-01T00:00:00", "data": "1"}', "wrong_type"),
    (DATA, b'{"sensor_id": "x", "facility_id": "y", "tracked_at": "soon", "data": "1"}', "bad_time"),
    (DATA, b"42", "not_an_object"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One good reading as sent."""

    facility_id: str
    sensor_id: str
    tracked_at_us: int
    data: str


@dataclass(frozen=True, slots=True)
class Sent:
    """One body. `rows` are its good readings, `refused_rows` counts its bad ones, `dead` is why all of it dies.

    `quietly`: sent only when everything before it is settled.
    """

    queue: str
    body: bytes
    rows: tuple[Row, ...] = ()
    refused_rows: int = 0
    dead: str | None = None
    quietly: bool = False


@dataclass(slots=True)
class Sensor:
    """A sensor of the run. `activated` False: its activation is never sent. `planted`: its one violation, if any."""

    sensor_id: str
    facility_id: str
    type: str
    activated: bool
    activations_us: list[int] = field(default_factory=list)
    deactivations_us: list[int] = field(default_factory=list)
    planted_us: int | None = None

    def final_status(self) -> str:
        """The newest status message decides, whatever the order they came in."""
        newest_off = max(self.deactivations_us, default=-1)
        return "Inactive" if newest_off > max(self.activations_us) else "Active"


@dataclass(slots=True)
class Plan:
    """`sends` are (seconds after the start, what); a body that is sent twice stands there twice."""

    facilities: list[str]
    sensors: dict[str, Sensor]
    sends: list[tuple[float, Sent]]

    def rows(self) -> list[Row]:
        return [row for _, sent in self.sends for row in sent.rows]


def plan(tag: str, chance: random.Random, *, seconds: float = 60.0) -> Plan:
    """Everything the hub of this seed sends."""
    facilities = [f"{tag}-facility-{number}" for number in range(chance.choice((1, 1, 1, 2)))]
    made = Plan(facilities, {}, [])
    for facility_id in facilities:
        _send(made, chance.uniform(0, seconds / 4), Sent(SETUP, setup_body(facility_id)))
        for number in range(chance.randint(1, 2)):
            _add_sensor(made, chance, f"{facility_id}-sensor-{number}", facility_id, seconds)
    _add_readings(made, chance, seconds)
    _add_impostor(made, chance, seconds)
    for queue, body, reason in chance.sample(NONSENSE, 2):
        _send(made, chance.uniform(0, seconds), Sent(queue, body, dead=reason))
    for at_s, sent in chance.sample(made.sends, min(4, len(made.sends))):
        if sent.dead is None and not sent.quietly:
            made.sends.append((at_s + chance.uniform(0, 30), sent))
    made.sends.sort(key=lambda send: send[0])
    return made


def _add_sensor(made: Plan, chance: random.Random, sensor_id: str, facility_id: str, seconds: float) -> None:
    sensor = Sensor(sensor_id, facility_id, chance.choice(list(NORMAL)), activated=chance.random() < 0.93)
    made.sensors[sensor_id] = sensor
    if not sensor.activated:
        return
    _activate(made, sensor, 0.0, chance.uniform(0, seconds / 3))
    if chance.random() < 0.3:
        _deactivate(made, sensor, seconds * 0.5, seconds * chance.uniform(0.3, 0.9))
        if chance.random() < 0.6:
            _activate(made, sensor, seconds * 0.7, seconds * chance.uniform(0.3, 1.0))


def _activate(made: Plan, sensor: Sensor, tracked_s: float, sent_s: float) -> None:
    tracked_at_us = START_US + round(tracked_s * 1e6)
    sensor.activations_us.append(tracked_at_us)
    _send(made, max(sent_s, tracked_s), Sent(ACTIVATION, activation_body(sensor, tracked_at_us)))


def _deactivate(made: Plan, sensor: Sensor, tracked_s: float, sent_s: float) -> None:
    tracked_at_us = START_US + round(tracked_s * 1e6)
    sensor.deactivations_us.append(tracked_at_us)
    body = {"sensor_id": sensor.sensor_id, "facility_id": sensor.facility_id, "tracked_at": stamp(tracked_at_us)}
    _send(made, max(sent_s, tracked_s), Sent(DEACTIVATION, json.dumps(body).encode()))


def _add_impostor(made: Plan, chance: random.Random, seconds: float) -> None:
    """An activation of a sensor that another facility has had for long: accepted and without effect."""
    owned = [
        sensor for sensor in made.sensors.values() if sensor.activated and sensor.facility_id != made.facilities[0]
    ]
    if owned:
        impostor = replace(chance.choice(owned), facility_id=made.facilities[0])
        at_us = START_US + round(seconds * 1e6)
        _send(made, seconds * 2, Sent(ACTIVATION, activation_body(impostor, at_us), quietly=True))


def _add_readings(made: Plan, chance: random.Random, seconds: float) -> None:
    """Readings off any grid; one sensor without status changes may get one violation, alone between normal values."""
    taken: set[tuple[str, int]] = set()
    sends: dict[int, list[Row]] = {}
    for sensor in made.sensors.values():
        violation = chance.randrange(2, 6) if NORMAL[sensor.type] and not sensor.deactivations_us else None
        for number in range(chance.randint(6, 10)):
            tracked_s = chance.uniform(0, seconds * 0.9) - (chance.uniform(0, 500) if chance.random() < 0.1 else 0)
            tracked_at_us = START_US + round(tracked_s * 1e6)
            if (sensor.sensor_id, tracked_at_us) in taken:
                continue
            taken.add((sensor.sensor_id, tracked_at_us))
            data = _value(chance, sensor.type, outside=number == violation)
            if number == violation and sensor.activated:
                sensor.planted_us = tracked_at_us
            sent_s = max(tracked_s, 0) + (chance.uniform(0, 40) if chance.random() < 0.3 else 0)
            row = Row(sensor.facility_id, sensor.sensor_id, tracked_at_us, data)
            sends.setdefault(round(sent_s / 5), []).append(row)
            if number != violation and chance.random() < 0.05:
                other = replace(row, data=_value(chance, sensor.type, outside=False) + "0")
                sends.setdefault(round(sent_s / 5) + chance.randint(0, 3), []).append(other)
    for slot, rows in sorted(sends.items()):
        if chance.random() < 0.8:
            rows.sort(key=lambda row: row.tracked_at_us)
        _send_readings(made, chance, slot * 5 + 5.0, rows)


def _send_readings(made: Plan, chance: random.Random, at_s: float, rows: list[Row]) -> None:
    shape = chance.choice(("single", "single", "array", "lines", "spoiled"))
    if shape == "single":
        for row in rows:
            _send(made, at_s, Sent(DATA, json.dumps(reading_fields(row)).encode(), (row,)))
    elif shape == "array":
        _send(made, at_s, Sent(DATA, json.dumps([reading_fields(row) for row in rows]).encode(), tuple(rows)))
    elif shape == "lines":
        _send(made, at_s, Sent(DATA, b"\n".join(json.dumps(reading_fields(row)).encode() for row in rows), tuple(rows)))
    else:
        bad = {**reading_fields(rows[0]), "tracked_at": f"not a time but {at_s}"}
        body = json.dumps([*(reading_fields(row) for row in rows), bad]).encode()
        _send(made, at_s, Sent(DATA, body, tuple(rows), refused_rows=1))


def _value(chance: random.Random, sensor_type: str, *, outside: bool) -> str:
    span = NORMAL[sensor_type]
    if span is None:
        return chance.choice(("open", "closed", "0", "1"))
    low, high = span
    if outside:
        return f"{high + (high - low):.2f}"
    return f"{chance.uniform(low + (high - low) * 0.3, low + (high - low) * 0.7):.2f}"


def _send(made: Plan, at_s: float, sent: Sent) -> None:
    made.sends.append((at_s, sent))


def setup_body(facility_id: str) -> bytes:
    return json.dumps(
        {
            "facility_id": facility_id,
            "facility_name": f"Name of {facility_id}",
            "address": None,
            "longitude": 24.1,
            "latitude": 56.9,
            "facility_type": "TankFarm",
            "tracked_at": stamp(START_US),
        }
    ).encode()


def activation_body(sensor: Sensor, tracked_at_us: int) -> bytes:
    return json.dumps(
        {
            "sensor_id": sensor.sensor_id,
            "facility_id": sensor.facility_id,
            "address": "Pier 1",
            "longitude": 24.1,
            "latitude": 56.9,
            "sensor_type": sensor.type,
            "signal_interval": 15,
            "tracked_at": stamp(tracked_at_us),
        }
    ).encode()


def reading_fields(row: Row) -> dict[str, str]:
    return {
        "sensor_id": row.sensor_id,
        "facility_id": row.facility_id,
        "tracked_at": stamp(row.tracked_at_us),
        "data": row.data,
    }


def stamp(time_us: int) -> str:
    """As the hub writes it: UTC without a suffix."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)).replace(tzinfo=None).isoformat()
