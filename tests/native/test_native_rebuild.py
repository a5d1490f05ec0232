"""A facility whose checkpoint or log cannot be read: rebuilt from stored readings, and no alarm notices."""

from __future__ import annotations

from dataclasses import replace

import pytest

import native
from engine.clock import US_PER_S, ManualClock
from engine.facility import recovery
from engine.facility.facility import Facility
from engine.metrics import REBUILDS, Metrics
from engine.model import Checkpoint
from engine.settings import Settings
from tests.fakes.historian import FakeHistorian
from tests.fakes.messages import T0_US, activation, batch, setup

WARM = [("s", 15.0 * step, f"{21 + step * 7 % 13 / 10}") for step in range(400)]
AFTER_S = 15.0 * len(WARM)


def facility_on(historian: FakeHistorian) -> Facility:
    settings = Settings(_env_file=None, checkpoint_readings_max=1)
    return Facility("f", historian, settings, ManualClock(T0_US), Metrics())


def core_of(facility: Facility) -> native.FacilityCore:
    assert facility._core is not None
    return facility._core


@pytest.fixture
async def historian() -> FakeHistorian:
    """A facility with a warm detector and a high alarm that is active."""
    made = FakeHistorian()
    await made.create_facility(setup())
    facility = facility_on(made)
    await facility.apply([activation(), activation("quiet")])
    await facility.ingest(batch(*WARM))
    await facility.ingest(batch(("s", AFTER_S, "30"), ("s", AFTER_S + 15, "31")))
    return made


def damage(historian: FakeHistorian, how: str) -> None:
    held = historian.checkpoints["f"]
    if how == "log":
        entry = historian.entries("f")[-1]
        historian.log["f"] = [replace(entry, commit_no=held.commit_no + 1, payload=entry.payload[:-1])]
        return
    state = b"rotten" if how == "crc" else of_version(held.state, {"newer": native.CORE_VERSION + 1, "older": 1}[how])
    historian.checkpoints["f"] = Checkpoint(held.commit_no, native.CORE_VERSION, state)


def of_version(state: bytes, version: int) -> bytes:
    """A snapshot that says another version of itself, with the crc right."""
    import zlib

    body = state[:3] + bytes([version]) + state[4:-4]
    return body + zlib.crc32(body).to_bytes(4, "little")


def transitions(historian: FakeHistorian) -> list[tuple[str, str]]:
    return [(event.rule, event.transition) for _, event in historian.events]


@pytest.mark.parametrize("how", ["crc", "newer", "older", "log"])
async def test_an_alarm_that_was_announced_stays_active_and_returns_once(
    historian: FakeHistorian, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "REBUILD_READINGS_MAX", 1)  # the alarm began before them
    assert transitions(historian) == [("high", "activated")]
    damage(historian, how)
    facility = facility_on(historian)
    await facility.load()
    assert facility._metrics.snapshot()["counters"][REBUILDS] == {"": 1}
    (alarm,) = core_of(facility).alarms()
    activated = historian.events[0][1]
    assert (alarm.alarm_key, alarm.active, alarm.since_us) == (activated.alarm_key, True, activated.event_time_us)

    await facility.ingest(batch(("s", AFTER_S + 30, "32")))
    assert transitions(historian) == [("high", "activated")]
    await facility.ingest(batch(("s", AFTER_S + 45, "21"), ("s", AFTER_S + 600, "21")))
    assert transitions(historian) == [("high", "activated"), ("high", "returned")]
    assert native.FacilityCore.restore("f", historian.checkpoints["f"].state, "{}").sensor_ids() == ["quiet", "s"]


async def test_an_alarm_that_was_never_announced_is_not_taken_for_known(historian: FakeHistorian) -> None:
    """The readings alone would say that it is active; then nobody would ever hear of it."""
    historian.events.clear()
    damage(historian, "crc")
    facility = facility_on(historian)
    await facility.ingest(batch(("s", AFTER_S + 30, "32"), ("s", AFTER_S + 90, "32")))
    assert transitions(historian) == [("high", "activated")]


async def test_the_rebuilt_core_knows_the_newest_values_and_its_detectors_are_warm(historian: FakeHistorian) -> None:
    whole = facility_on(historian)
    await whole.load()
    damage(historian, "crc")
    rebuilt = facility_on(historian)
    await rebuilt.load()
    told = [(each.sensor_id, each.tracked_at_us, each.data, each.flags) for each in core_of(rebuilt).latest()]
    assert told == [(each.sensor_id, each.tracked_at_us, each.data, each.flags) for each in core_of(whole).latest()]
    assert not told[0][3] & native.Flag.WARMING
    assert core_of(rebuilt).latest()[0].score == core_of(whole).latest()[0].score


async def test_silence_is_counted_anew(historian: FakeHistorian) -> None:
    """Ticks of the past must not make a sensor stale that a rebuilt core has just met."""
    for tick in range(12):
        await facility_on(historian).tick(T0_US + round((AFTER_S + 10 * tick) * US_PER_S))
    before = transitions(historian)
    damage(historian, "crc")
    facility = facility_on(historian)
    for tick in range(12, 18):
        await facility.tick(T0_US + round((AFTER_S + 10 * tick) * US_PER_S))
    assert transitions(historian) == before


async def test_it_is_written_down_at_the_next_stop(historian: FakeHistorian) -> None:
    damage(historian, "crc")
    facility = facility_on(historian)
    await facility.load()
    await facility.checkpoint()
    again = facility_on(historian)
    await again.load()
    assert REBUILDS not in again._metrics.snapshot()["counters"]


@pytest.mark.parametrize("before_the_log", ["nothing", "a checkpoint of version 2"])
async def test_what_only_this_core_makes_of_an_older_log_is_told_when_it_is_so(before_the_log: str) -> None:
    """An older core heard text as a sign of life. Replayed, it makes an alarm that nobody was told of."""
    historian = FakeHistorian()
    await historian.create_facility(setup())
    quiet = Settings(_env_file=None, checkpoint_s_max=1e9)
    older = Facility("f", historian, quiet, ManualClock(T0_US), Metrics())
    await older.apply([activation()])
    if before_the_log != "nothing":
        await older.checkpoint()
        historian.checkpoints["f"] = replace(historian.checkpoints["f"], core_version=2)
    for tick in range(1, 12):
        await older.ingest(batch(("s", 10.0 * tick, "Bad")))
        await older.tick(T0_US + tick * 10 * US_PER_S)
    assert transitions(historian) == [("bad_value", "activated")]
    historian.events.clear()

    facility = facility_on(historian)
    for tick in range(12, 23):
        await facility.ingest(batch(("s", 10.0 * tick, "Bad")))
        await facility.tick(T0_US + tick * 10 * US_PER_S)
        facility = facility_on(historian)
    assert transitions(historian) == [("bad_value", "activated")]
    ((_, event),) = historian.events
    assert event.message == "Temperature Sensor in Alpha: no usable value so far, last received 'Bad'"
