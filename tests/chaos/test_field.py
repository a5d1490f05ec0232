"""What the field sends is what it enters into the ledger, as the product's own decoder reads it."""

from __future__ import annotations

import collections
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import native
from engine import messages
from engine.errors import InputRefused
from engine.model import EntityMessage, SensorActivation, SensorDeactivation
from tests.chaos.field import PLANT_GAP_S, US_PER_S, Field, Parcel
from tests.chaos.ledger import Bad, Ledger, Readings, Setup, Status

START_US = 1_760_000_000 * US_PER_S
PARSERS: dict[str, Callable[[bytes], EntityMessage]] = {
    "setup": messages.setup_of,
    "activation": messages.activation_of,
    "deactivation": messages.deactivation_of,
}


def minutes_of(field: Field, minutes: float) -> list[tuple[int, Parcel]]:
    sent = [(START_US, parcel) for parcel in field.introduction(START_US)]
    at_us = START_US
    while at_us < START_US + minutes * 60 * US_PER_S:
        at_us, parcels = field.next()
        sent += [(at_us, parcel) for parcel in parcels]
    return sent + [(at_us, parcel) for parcel in field.end(at_us)]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


def test_every_body_says_what_its_entry_says(ledger: Ledger) -> None:
    sent = minutes_of(Field(5, 3, 20, 100.0, ledger, START_US), 3)
    sensors = ledger.read().sensors
    seen: collections.Counter[str] = collections.Counter()
    for at_us, parcel in sent:
        entry = parcel.entry
        seen[type(entry).__name__] += 1
        if isinstance(entry, Bad):
            assert refusal(parcel, at_us) == entry.reason
        elif isinstance(entry, Readings):
            decoded = native.decode([parcel.body], at_us, 300)
            assert len(decoded.refused) == entry.refused
            assert sorted(rows_of(decoded)) == sorted(
                (sensors[number].sensor_id, sensors[number].facility_id, tracked_at_us, value)
                for number, tracked_at_us, value, _ in entry.rows.tolist()
            )
        elif isinstance(entry, Status):
            message = PARSERS[parcel.carries](parcel.body)
            assert isinstance(message, SensorActivation | SensorDeactivation)
            assert (message.sensor_id, message.tracked_at_us) == (sensors[entry.sensor].sensor_id, entry.tracked_at_us)
            assert (parcel.carries == "activation") == entry.active
        else:
            assert isinstance(entry, Setup)
            assert messages.setup_of(parcel.body).facility_id == entry.facility_id
    assert set(seen) == {"Setup", "Status", "Readings", "Bad"}
    bodies = [parcel.body for _, parcel in sent if isinstance(parcel.entry, Bad)]
    assert len(set(bodies)) == len(bodies) > 10


def test_time_never_runs_back_and_nobody_is_forgotten(ledger: Ledger) -> None:
    sent = minutes_of(Field(6, 3, 20, 100.0, ledger, START_US), 4)
    times = [at_us for at_us, _ in sent]
    assert times == sorted(times)
    rows = np.concatenate([parcel.entry.rows for _, parcel in sent if isinstance(parcel.entry, Readings)])
    assert len(rows) == pytest.approx(4 * 60 * 100, rel=0.01)
    for number in range(len(ledger.read().sensors)):
        of_sensor = rows[rows["sensor"] == number]["tracked_at_us"]
        assert (np.diff(of_sensor) > 0).all()
        assert (np.diff(of_sensor) < 10 * US_PER_S).all()
        assert len(of_sensor) > 100, f"sensor {number} hardly spoke"


def test_violations_are_apart_and_of_sensors_in_service(ledger: Ledger) -> None:
    sent = minutes_of(Field(7, 3, 20, 100.0, ledger, START_US), 10)
    rows = np.concatenate([parcel.entry.rows for _, parcel in sent if isinstance(parcel.entry, Readings)])
    planted = rows[rows["planted"] == 1]
    assert len(planted) > 50
    for number in set(planted["sensor"].tolist()):
        gaps_us = np.diff(planted[planted["sensor"] == number]["tracked_at_us"])
        assert (gaps_us > (PLANT_GAP_S - 5) * US_PER_S).all()
    changed = {
        parcel.entry.sensor for _, parcel in sent if isinstance(parcel.entry, Status) and not parcel.entry.active
    }
    assert changed
    assert not changed & set(planted["sensor"].tolist())


def test_all_that_spoke_is_activated_and_in_service_in_the_end(ledger: Ledger) -> None:
    sent = minutes_of(Field(8, 3, 20, 100.0, ledger, START_US), 0.45)
    statuses = [parcel.entry for _, parcel in sent if isinstance(parcel.entry, Status)]
    first_us: dict[int, int] = {}
    for at_us, parcel in sent:
        if isinstance(parcel.entry, Readings):
            for number in parcel.entry.rows["sensor"].tolist():
                first_us.setdefault(number, at_us)
    in_time_order = sorted(statuses, key=lambda status: status.tracked_at_us)
    newest = {status.sensor: status.active for status in in_time_order}
    oldest_us = {status.sensor: status.tracked_at_us for status in reversed(in_time_order)}
    assert first_us.keys() <= newest.keys()
    assert all(newest.values())
    assert any(not status.active for status in statuses)
    assert sum(first_us[number] < oldest_us[number] for number in first_us) >= 2, "nobody spoke before its activation"
    setups = {parcel.entry.facility_id for _, parcel in sent if isinstance(parcel.entry, Setup)}
    assert setups == {sensor.facility_id for sensor in ledger.read().sensors}


def test_the_same_seed_sends_the_same(tmp_path: Path) -> None:
    runs = [minutes_of(Field(9, 2, 10, 50.0, Ledger(tmp_path / name), START_US), 1) for name in "ab"]
    assert [parcel.body for _, parcel in runs[0]] == [parcel.body for _, parcel in runs[1]]


def refusal(parcel: Parcel, at_us: int) -> str:
    if parcel.carries == "data":
        (refused,) = native.decode([parcel.body], at_us, 300).refused
        assert refused.row is None
        return refused.reason
    with pytest.raises(InputRefused) as caught:
        PARSERS[parcel.carries](parcel.body)
    return caught.value.reason


def rows_of(decoded: native.Decoded) -> list[tuple[str, str, int, float]]:
    found = []
    for number, facility_id in enumerate(decoded.facility_ids):
        for row in native.batch_rows(decoded.batch(number)):
            found.append((row["sensor_id"], facility_id, row["tracked_at_us"], float(row["data"])))
    return found
