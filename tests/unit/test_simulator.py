"""The simulated hub with a recording sender and a manual clock: order, pace, files, and patience with a lost bus."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from engine.clock import ManualClock
from engine.errors import BusUnavailable, SettingsError
from engine.hub.field import FieldOptions
from engine.hub.simulator import ENVELOPE_BYTES_MAX, Hub, HubOptions, envelopes, messages

QUEUES = {"setup": "s", "activation": "a", "data": "d"}


class RecordingSender:
    def __init__(self, clock: ManualClock, failures: int = 0, truth: Path | None = None) -> None:
        self.sent: list[tuple[float, str, list[bytes]]] = []
        self.closed = False
        self.failures = failures
        self._clock = clock
        self._truth = truth

    async def send(self, queue: str, bodies: Sequence[bytes]) -> None:
        if self._truth is not None:
            written = self._truth.read_text()
            assert all(body.decode() in written for body in bodies), "the truth must be written before it is sent"
        if self.failures:
            self.failures -= 1
            raise BusUnavailable("away")
        self.sent.append((self._clock.monotonic_s(), queue, list(bodies)))

    async def close(self) -> None:
        self.closed = True

    def readings(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = []
        for _, queue, bodies in self.sent:
            for body in bodies if queue == "d" else []:
                value = json.loads(body)
                found.extend(value if isinstance(value, list) else [value])
        return found


async def run(options: HubOptions, failures: int = 0) -> tuple[RecordingSender, list[tuple[str, dict[str, Any]]]]:
    clock = ManualClock()
    events: list[tuple[str, dict[str, Any]]] = []
    sender = RecordingSender(clock, failures, options.truth)
    hub = Hub(options, QUEUES, sender, clock, lambda event, fields: events.append((event, fields)))
    task = asyncio.create_task(hub.run())
    while not task.done():
        await asyncio.sleep(0)
        await clock.advance(0.5)
    await task
    return sender, events


async def test_like_a_hub_it_introduces_itself_and_then_sends_all_sensors_every_interval() -> None:
    field = FieldOptions(facilities=2, sensors=3, rate=0.4, faults="none", jitter=0)  # six sensors, every 15 s
    sender, _ = await run(HubOptions(field, like_hub=True, setup_wait_s=15, activation_wait_s=15, duration_s=60))
    assert [(queue, len(bodies)) for _, queue, bodies in sender.sent[:2]] == [("s", 2), ("a", 6)]
    assert sender.sent[1][0] - sender.sent[0][0] == pytest.approx(15, abs=0.6)
    data = [(at, len(bodies)) for at, queue, bodies in sender.sent if queue == "d"]
    assert data[0][0] - sender.sent[1][0] == pytest.approx(30, abs=1.1)  # 15 s of waiting, 15 s of interval
    assert [count for _, count in data] == [6, 6, 6, 6]
    assert all(later - earlier == pytest.approx(15, abs=0.6) for (earlier, _), (later, _) in pairwise(data))
    assert sender.closed


async def test_the_rate_and_the_duration_are_kept_in_order_of_time() -> None:
    sender, events = await run(HubOptions(FieldOptions(2, 6, 24.0, faults="none"), duration_s=30))
    readings = sender.readings()
    assert len(readings) == pytest.approx(720, rel=0.03)
    times = [reading["tracked_at"] for reading in readings]
    assert times == sorted(times)
    assert events[-1] == ("done", {"readings": len(readings)})


async def test_the_same_seed_sends_the_same_readings() -> None:
    options = HubOptions(FieldOptions(1, 4, 8.0, seed=5), duration_s=40)
    first, second = await run(options), await run(options)
    assert first[0].readings() == second[0].readings()


async def test_ledger_and_truth_tell_everything_sent(tmp_path: Path) -> None:
    ledger, truth = tmp_path / "ledger.json", tmp_path / "truth.jsonl"
    options = HubOptions(FieldOptions(2, 12, 24.0), duration_s=100, ledger=ledger, truth=truth)
    sender, events = await run(options)
    told = [json.loads(line) for line in truth.read_text().splitlines()]
    assert [line["body"] for line in told if line["queue"] == "data"] == sender.readings()
    assert {line["queue"] for line in told} == {"setup", "activation", "data"}
    planted = json.loads(ledger.read_text())
    assert [fault["kind"] for fault in planted["faults"]] == ["gas_alarm", "spike"]
    assert [fields for event, fields in events if event == "fault"] == planted["faults"]
    known = {sensor["sensor_id"] for sensor in planted["sensors"]}
    assert {reading["sensor_id"] for reading in sender.readings()} == known
    assert all(sensor["sensor_id"] in known for fault in planted["faults"] for sensor in fault["sensors"])


async def test_a_lost_bus_delays_but_loses_nothing() -> None:
    options = HubOptions(FieldOptions(1, 4, 8.0, seed=5), duration_s=40)
    patient, events = await run(options, failures=5)
    undisturbed, _ = await run(options)
    assert len(patient.readings()) == len(undisturbed.readings())
    assert [event for event, _ in events].count("waiting") == 5


async def test_stop_ends_the_run_at_once() -> None:
    clock = ManualClock()
    sender = RecordingSender(clock)
    hub = Hub(HubOptions(FieldOptions(1, 4, 8.0)), QUEUES, sender, clock, lambda event, fields: None)
    task = asyncio.create_task(hub.run())
    for _ in range(40):
        await asyncio.sleep(0)
        await clock.advance(0.5)
    hub.stop()
    assert await asyncio.wait_for(task, 5) > 0
    assert sender.closed


def test_bodies_are_objects_or_arrays() -> None:
    rows = [{"data": str(number)} for number in range(5)]
    assert [json.loads(body) for body in messages(rows, 1)] == rows
    assert [json.loads(body) for body in messages(rows, 2)] == [rows[:2], rows[2:4], rows[4:]]


def test_envelopes_keep_order_and_size() -> None:
    bodies = [bytes([65 + number % 26]) * 1000 for number in range(1200)]
    packed = list(envelopes(bodies))
    assert [body for envelope in packed for body in envelope] == bodies
    assert max(sum(map(len, envelope)) for envelope in packed) <= ENVELOPE_BYTES_MAX
    assert list(envelopes([])) == []


def test_impossible_fields_are_refused_with_numbers() -> None:
    with pytest.raises(SettingsError, match="got 0, 5, 1"):
        FieldOptions(0, 5, 1)


@pytest.mark.parametrize(("rate", "expected_interval_s"), [(36.0, 15), (1.0, 45), (0.1, 900), (0.001, 36_000)])
def test_sensors_declare_an_interval_of_the_menu(rate: float, expected_interval_s: int) -> None:
    assert FieldOptions(3, 12, rate).expected_interval_s == expected_interval_s
