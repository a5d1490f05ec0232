"""One facility in a for loop: serial steps, recovery, parking, fencing. No Ray, no database."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

import native
from engine.clock import US_PER_S, ManualClock
from engine.errors import CommitFenced, CommitRejected, CommitUnknown, FacilityGone, FacilityUnavailable
from engine.facility.facility import Facility
from engine.facility.payloads import core_settings
from engine.messages import body_of
from engine.metrics import Metrics
from engine.model import AlarmCommand, DeadLetter, Detection, EntryKind, ParkedItem, SensorStatus, SensorType, Verdict
from engine.settings import Settings
from native import Flag
from tests.fakes.historian import FakeHistorian, away
from tests.fakes.messages import T0_US, activation, batch, deactivation, setup


def facility_on(historian: FakeHistorian, clock: ManualClock | None = None, **changes: object) -> Facility:
    settings = Settings(_env_file=None, **changes)  # type: ignore[arg-type]
    return Facility("f", historian, settings, clock or ManualClock(T0_US), Metrics())


@pytest.fixture
async def historian() -> FakeHistorian:
    made = FakeHistorian()
    await made.create_facility(setup())
    return made


def folded_state(historian: FakeHistorian) -> bytes:
    """The core after all that was committed, in order, in one go."""
    core = native.FacilityCore("f", core_settings(Settings(_env_file=None)))
    for entry in historian.entries("f"):
        core.replay(entry.kind.value, entry.payload)
    return core.snapshot()


def recovered_state(historian: FakeHistorian) -> bytes:
    """The core as the stored checkpoint and log give it back."""
    settings = core_settings(Settings(_env_file=None))
    held = historian.checkpoints.get("f")
    core = (
        native.FacilityCore("f", settings) if held is None else native.FacilityCore.restore("f", held.state, settings)
    )
    for entry in historian.log["f"]:
        core.replay(entry.kind.value, entry.payload)
    return core.snapshot()


async def test_a_retired_facility_ends_its_alarms_closes_and_is_gone(historian: FakeHistorian) -> None:
    facility = facility_on(historian)
    await facility.apply([activation()])
    await facility.ingest(batch(("s", 1, "99"), ("s", 16, "99")))
    historian.retire("f", T0_US + 20 * US_PER_S)
    with pytest.raises(CommitFenced):
        await facility.ingest(batch(("s", 31, "21")))
    with pytest.raises(FacilityGone):
        await facility.load(again=True)
    assert [event.transition for _, event in historian.events if event.rule == "high"] == ["activated", "returned"]
    assert historian.closed == {"f"}
    assert recovered_state(historian) == folded_state(historian)
    assert len(historian.readings) == 2


async def test_a_sensor_retired_before_a_core_is_rebuilt_ends_its_alarm(historian: FakeHistorian) -> None:
    facility = facility_on(historian)
    await facility.apply([activation("a"), activation("b")])
    await facility.ingest(batch(("a", 1, "99"), ("a", 16, "99")))
    await facility.checkpoint()
    held = historian.checkpoints["f"]
    historian.checkpoints["f"] = replace(held, state=held.state[:-1])
    historian.retire("f", T0_US + 100 * US_PER_S, "a")
    await facility.load(again=True)
    await facility.ingest(batch(("b", 110, "21")))
    assert [event.transition for _, event in historian.events if event.rule == "high"] == ["activated", "returned"]


async def test_a_removed_facility_is_gone(historian: FakeHistorian) -> None:
    facility = facility_on(historian)
    await facility.apply([activation()])
    historian.remove("f", T0_US + 20 * US_PER_S)
    with pytest.raises(FacilityGone):
        await facility.load(again=True)


@pytest.mark.parametrize(("deed", "reason"), [("retire", "retired_sensor"), ("remove", "removed_sensor")])
async def test_what_comes_for_a_sensor_that_is_gone_has_no_effect_until_it_is_activated_later(
    historian: FakeHistorian, deed: str, reason: str
) -> None:
    facility = facility_on(historian)
    await facility.apply([activation("a"), activation("b")])
    await facility.ingest(batch(("a", 1, "99"), ("a", 16, "99"), ("b", 1, "21")))
    before = len(historian.readings)
    getattr(historian, deed)("f", T0_US + 100 * US_PER_S, "a")
    await facility.load(again=True)
    before = len(historian.readings)
    await facility.ingest(batch(("a", 110, "21"), ("b", 110, "21"), ("a", 50, "21")))
    await facility.ingest(batch(("a", 120, "21")))
    await facility.apply([activation("a", 100), deactivation("a", 90)])
    assert len(historian.readings) == before + 1
    assert [(each.reason, each.sensor_id) for each in historian.dead_letters] == [(reason, "a")], "told once"
    ignored = facility._metrics.snapshot()["counters"]["gasinsight_ignored_total"]
    assert ignored[f'reason="{reason}"'] >= 3
    assert historian.parking == {}
    assert not any(event.transition == "activated" for _, event in historian.events[2:])
    assert recovered_state(historian) == folded_state(historian)

    await facility.apply([activation("a", 130)])
    await facility.ingest(batch(("a", 140, "21")))
    assert len(historian.readings) == before + 2
    assert not historian.sensors["a"].is_retired
    assert recovered_state(historian) == folded_state(historian)


async def test_as_many_sensors_as_a_facility_may_have_and_no_more(historian: FakeHistorian) -> None:
    facility = facility_on(historian, sensors_per_facility_max=2)
    await facility.apply([activation("a"), activation("b")])
    assert historian.dead_letters == []
    await facility.apply([activation("c"), deactivation("a", 5), activation("b")])
    await facility.apply([activation("c")])
    assert sorted(historian.sensors) == ["a", "b"]
    assert [(each.reason, each.sensor_id) for each in historian.dead_letters] == [("sensors_per_facility_max", "c")]
    assert [(owner, event.alarm_key) for owner, event in historian.events] == [("", "sensors_per_facility_max:f")]
    assert historian.sensors["a"].status is SensorStatus.INACTIVE, "its neighbours take effect"


async def test_a_sensor_beyond_all_there_may_be_is_a_dead_letter_also_from_the_parking_table(
    historian: FakeHistorian,
) -> None:
    historian.limits = Settings(_env_file=None, sensors_max=1)
    await facility_on(historian).apply([activation("a")])
    waiting = ParkedItem("activation", "f", "b", T0_US, body_of(activation("b")), "unknown_facility")
    historian.park([waiting])
    await facility_on(historian).load()
    assert historian.parking == {}
    assert [(each.reason, each.sensor_id) for each in historian.dead_letters] == [("sensors_max", "b")]


async def test_a_reading_outside_its_range_is_stored_and_alerts_once(historian: FakeHistorian) -> None:
    facility = facility_on(historian)
    await facility.apply([activation()])
    await facility.ingest(batch(("s", 1, "22.5"), ("s", 2, "26.10")))
    await facility.ingest(batch(("s", 1, "22.5"), ("s", 2, "26.10")))  # the same again

    assert sorted(historian.readings.values()) == ["22.5", "26.10"]
    activated = [event for _, event in historian.events if event.transition == "activated"]
    assert [event.message for event in activated] == [
        "Problem detected: Temperature Sensor value in Alpha is above maximum threshold (25.0)"
    ]


async def test_batches_that_go_together_are_one_commit_and_each_reading_counts_once(historian: FakeHistorian) -> None:
    """A redelivery within one commit is like one of an earlier commit: not told late, not shown again."""
    facility = facility_on(historian)
    await facility.apply([activation()])
    cursor, _ = await facility.watch(None, 0)
    commits = len(historian.outcomes)
    late = batch(("s", 4000, "31.0"))
    await facility.ingest(batch(("s", 4010, "22.5")), late, late)

    assert len(historian.outcomes) == commits + 1
    assert [event.transition for _, event in historian.events] == ["activated"]
    _, chunks = await facility.watch(cursor, 0)
    assert [json.loads(frame)["data"] for chunk in chunks for _, _, frame in chunk.frames] == ["22.5", "31.0"]
    assert folded_state(historian) == recovered_state(historian)


async def test_readings_before_their_activation_are_stored_when_it_comes(historian: FakeHistorian) -> None:
    facility = facility_on(historian)
    await facility.ingest(batch(("s", 3, "26.0"), ("s", 2, "21.0"), ("other", 2, "1")))
    assert historian.readings == {}
    assert {item.sensor_id for item in historian.parking.values()} == {"s", "other"}

    await facility.apply([activation()])
    assert sorted(historian.readings.values()) == ["21.0", "26.0"]
    assert {item.sensor_id for item in historian.parking.values()} == {"other"}
    applied = historian.outcomes[-1]
    assert [entry.kind for entry in applied.entries] == [EntryKind.CONFIG, EntryKind.BATCH]
    assert [row["tracked_at_us"] for row in native.batch_rows(applied.entries[1].payload)] == [
        T0_US + 2_000_000,
        T0_US + 3_000_000,
    ]


async def test_what_was_parked_before_the_facility_existed_is_applied_at_its_first_load() -> None:
    from engine.facility.payloads import parked_reading
    from engine.messages import body_of

    historian = FakeHistorian()
    late_message = deactivation(at_s=9)
    await historian.park_unknown_facility(
        [
            parked_reading("f", "s", T0_US + 5_000_000, "23.0"),
            ParkedItem("activation", "f", "s", T0_US, body_of(activation()), "unknown_facility"),
            ParkedItem("deactivation", "f", "s", late_message.tracked_at_us, body_of(late_message), "unknown_facility"),
            parked_reading("f", "nobody", T0_US, "1"),
        ]
    )
    await historian.create_facility(setup())
    await facility_on(historian).load()

    assert list(historian.readings.values()) == ["23.0"]
    assert historian.sensors["s"].status is SensorStatus.INACTIVE
    assert [item.sensor_id for item in historian.parking.values()] == ["nobody"]


async def test_status_changes_apply_in_the_order_of_their_times_not_of_their_arrival(historian: FakeHistorian) -> None:
    def status() -> SensorStatus:
        return historian.sensors["s"].status

    facility = facility_on(historian)
    await facility.apply([activation(at_s=0)])
    await facility.apply([deactivation(at_s=10)])
    assert status() is SensorStatus.INACTIVE
    await facility.apply([activation(at_s=5)])  # a redelivered or older one
    assert status() is SensorStatus.INACTIVE
    await facility.apply([activation(at_s=20)])
    assert status() is SensorStatus.ACTIVE
    await facility.apply([deactivation(at_s=10)])  # redelivered
    assert status() is SensorStatus.ACTIVE
    await facility.apply([activation(at_s=40), deactivation(at_s=30)])  # overtaken
    assert status() is SensorStatus.ACTIVE


async def test_an_activation_that_changes_nothing_commits_nothing(historian: FakeHistorian) -> None:
    facility = facility_on(historian)
    await facility.apply([activation()])
    before = len(historian.outcomes)
    await facility.apply([activation()])
    assert len(historian.outcomes) == before


async def test_a_sensor_of_another_facility_is_left_alone(historian: FakeHistorian) -> None:
    await historian.create_facility(setup("g", "Beta"))
    other = Facility("g", historian, Settings(_env_file=None), ManualClock(T0_US), Metrics())
    await other.apply([activation(facility_id="g")])
    facility = facility_on(historian)
    await facility.apply([activation(facility_id="f")])
    assert historian.sensors["s"].facility_id == "g"
    assert facility._metrics.snapshot()["counters"]["gasinsight_ignored_total"] == {
        'reason="sensor_of_another_facility"': 1
    }


async def test_the_same_outcome_is_sent_again_while_the_store_is_away(historian: FakeHistorian) -> None:
    clock = ManualClock(T0_US)
    facility = facility_on(historian, clock)
    await facility.apply([activation()])
    historian.faults = [away() for _ in range(200)]
    ingesting = asyncio.create_task(facility.ingest(batch(("s", 1, "30"))))
    for _ in range(15):
        await clock.advance(60)
    assert not ingesting.done() or not historian.faults
    historian.faults.clear()
    await clock.advance(10)
    await ingesting
    assert list(historian.readings.values()) == ["30"]
    assert recovered_state(historian) == folded_state(historian)
    assert historian.loads == 1


@pytest.mark.parametrize("written", [False, True], ids=["nothing written", "written, answer lost"])
async def test_an_unknown_commit_loads_again_and_a_retry_has_one_effect(
    historian: FakeHistorian, written: bool
) -> None:
    facility = facility_on(historian)
    await facility.apply([activation()])
    if written:
        historian.lost_answers = 1
    else:
        historian.faults = [Verdict.UNKNOWN]
    with pytest.raises(CommitUnknown):
        await facility.ingest(batch(("s", 1, "30")))
    assert facility.state == "idle"
    await facility.ingest(batch(("s", 1, "30")))
    assert list(historian.readings.values()) == ["30"]
    assert [event.transition for _, event in historian.events] == ["activated"]
    assert recovered_state(historian) == folded_state(historian)


async def test_a_rejected_outcome_leaves_no_trace_in_the_state(historian: FakeHistorian) -> None:
    facility = facility_on(historian)
    await facility.apply([activation()])
    historian.faults = [Verdict.REJECTED]
    with pytest.raises(CommitRejected):
        await facility.ingest(batch(("s", 1, "30")))
    await facility.ingest(batch(("s", 2, "21")))
    assert list(historian.readings.values()) == ["21"]
    assert historian.events == []
    assert recovered_state(historian) == folded_state(historian)


async def test_a_fenced_incarnation_writes_nothing_ever_again_until_told_to_load(historian: FakeHistorian) -> None:
    old, new = facility_on(historian), facility_on(historian)
    await old.apply([activation()])
    await new.ingest(batch(("s", 1, "21")))
    with pytest.raises(CommitFenced):
        await old.ingest(batch(("s", 2, "22")))
    with pytest.raises(CommitFenced):
        await old.ingest(batch(("s", 2, "22")))
    assert old.state == "fenced"
    assert list(historian.readings.values()) == ["21"]
    await old.load(again=True)
    await old.ingest(batch(("s", 2, "22")))
    assert sorted(historian.readings.values()) == ["21", "22"]


async def test_one_that_does_not_know_whether_it_still_owns_the_facility_does_not_take_it(
    historian: FakeHistorian,
) -> None:
    """It slept through its successor's start and woke to an unknown commit."""
    old, new = facility_on(historian), facility_on(historian)
    await old.apply([activation()])
    await new.ingest(batch(("s", 1, "21")))
    historian.faults.append(Verdict.UNKNOWN)
    with pytest.raises(CommitUnknown):
        await old.ingest(batch(("s", 2, "22")))
    with pytest.raises(CommitFenced):
        await old.ingest(batch(("s", 2, "22")))
    assert old.state == "fenced"
    await new.ingest(batch(("s", 3, "23")))
    assert sorted(historian.readings.values()) == ["21", "23"]


async def test_checkpoints_come_by_count_and_by_time_and_shorten_the_log(historian: FakeHistorian) -> None:
    clock = ManualClock(T0_US)
    facility = facility_on(historian, clock, checkpoint_readings_max=3)
    await facility.apply([activation()])
    await facility.ingest(batch(("s", 1, "21"), ("s", 2, "21")))
    assert "f" not in historian.checkpoints
    await facility.ingest(batch(("s", 3, "21")))
    assert historian.checkpoints["f"].commit_no == historian.last_commit_no("f")
    assert historian.log["f"] == []
    await clock.advance(61)
    await facility.ingest(batch(("s", 4, "30")))
    assert historian.checkpoints["f"].commit_no == historian.last_commit_no("f")
    await facility.ingest(batch(("s", 5, "30")))
    assert len(historian.log["f"]) == 1
    assert recovered_state(historian) == folded_state(historian)


async def test_a_reload_in_between_changes_no_state_and_no_journal(historian: FakeHistorian) -> None:
    twin = FakeHistorian()
    await twin.create_facility(setup())
    steady = facility_on(twin)
    await steady.apply([activation()])
    await facility_on(historian).apply([activation()])
    for step, data in enumerate(["21", "30", "31", "22", "22", "19", "19.5", "21", "21.5"], start=1):
        await steady.ingest(batch(("s", 100 * step, data)))
        restarted = facility_on(historian, checkpoint_readings_max=3)
        await restarted.ingest(batch(("s", 100 * step, data)))
    assert recovered_state(historian) == folded_state(twin)
    assert [event for _, event in historian.events] == [event for _, event in twin.events]
    assert len(historian.events) >= 4


async def test_ticks_make_a_silent_sensor_stale_also_across_a_restart(historian: FakeHistorian) -> None:
    await facility_on(historian).apply([activation()])
    for tick in range(1, 12):
        await facility_on(historian).tick(T0_US + tick * 10_000_000)  # a new incarnation each time
    stale = [event for _, event in historian.events if event.rule == "stale"]
    assert [event.transition for event in stale] == ["activated"]
    assert stale[0].alert_type == "System"


async def test_a_tick_that_brings_no_time_is_not_written(historian: FakeHistorian) -> None:
    facility = facility_on(historian)
    await facility.tick(T0_US)
    before = len(historian.outcomes)
    await facility.tick(T0_US)
    await facility.tick(T0_US - 5)
    assert len(historian.outcomes) == before


async def test_parked_input_that_the_store_refuses_does_not_keep_the_facility_from_loading(
    historian: FakeHistorian,
) -> None:
    from engine.facility.payloads import parked_reading

    await facility_on(historian).apply([activation()])
    historian.park([parked_reading("f", "s", T0_US, "23.0")])
    historian.faults = [Verdict.REJECTED]
    facility = facility_on(historian)
    with pytest.raises(FacilityUnavailable):
        await facility.load()
    await facility.ingest(batch(("s", 1, "21")))
    assert list(historian.readings.values()) == ["21"]
    assert len(historian.parking) == 1


async def test_a_refused_row_is_a_dead_letter_with_its_neighbours_commit(historian: FakeHistorian) -> None:
    facility = facility_on(historian)
    await facility.apply([activation()])
    bad = DeadLetter("row", "", "missing_field", "data", '{"sensor_id": "s"}', "f", "s", ("refused", "s"))
    await facility.ingest(batch(("s", 1, "21")), refused=[bad])
    assert historian.outcomes[-1].rows == 1 and historian.outcomes[-1].dead_letters == (bad,)
    assert ([letter.body for letter in historian.dead_letters], historian.parking) == ([bad.body], {})


async def test_steps_of_one_facility_never_overlap(historian: FakeHistorian) -> None:
    facility = facility_on(historian)
    await facility.apply([activation()])
    await asyncio.gather(*(facility.ingest(batch(("s", at_s, "21"))) for at_s in range(1, 30)))
    numbers = [entry.commit_no for entry in historian.entries("f")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert historian.loads == 1


async def test_published_is_what_was_stored_and_only_that(historian: FakeHistorian) -> None:
    facility = facility_on(historian)
    await facility.apply([activation()])
    cursor, _ = await facility.watch(None, 0)
    await facility.ingest(batch(("s", 1, "21.50")))
    await facility.ingest(batch(("s", 1, "21.50"), ("s", 2, "22")))
    cursor, chunks = await facility.watch(cursor, 0)
    frames = [json.loads(frame) for chunk in chunks for _, _, frame in chunk.frames]
    assert [frame["data"] for frame in frames] == ["21.50", "22"]
    assert set(frames[0]) == {"sensor_id", "facility_id", "tracked_at", "data"}
    assert await facility.watch(cursor, 0) == (cursor, ())


async def test_after_a_reload_watchers_get_the_latest_values(historian: FakeHistorian) -> None:
    facility = facility_on(historian)
    await facility.apply([activation()])
    cursor, _ = await facility.watch(None, 0)
    historian.lost_answers = 1
    with pytest.raises(CommitUnknown):
        await facility.ingest(batch(("s", 1, "21.50")))
    await facility.load()
    cursor, chunks = await facility.watch(cursor, 0)
    assert [chunk.snapshot for chunk in chunks] == [True]
    assert json.loads(chunks[0].frames[0][2])["data"] == "21.50"


async def test_a_cancelled_step_is_not_trusted(historian: FakeHistorian) -> None:
    facility = facility_on(historian)
    await facility.apply([activation()])
    historian.faults = [away()]
    ingesting = asyncio.create_task(facility.ingest(batch(("s", 1, "30"))))
    for _ in range(20):
        await asyncio.sleep(0.001)
    ingesting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ingesting
    assert facility.state == "idle"
    await facility.ingest(batch(("s", 2, "31")))
    assert list(historian.readings.values()) == ["31"]
    assert recovered_state(historian) == folded_state(historian)


async def test_settings_of_detection_come_with_a_load_and_stay_in_checkpoint_log_and_rebuild(
    historian: FakeHistorian,
) -> None:
    """Entries from before, which do not know them, are read as before."""
    facility = facility_on(historian)
    await facility.apply([activation()])
    await facility.ingest(batch(("s", 1, "22.5")))
    historian.sensors["s"] = replace(historian.sensors["s"], detection=Detection(physical_low=21, physical_high=23))
    historian.detection = {("f", SensorType.FLOW): Detection(budget_days=3)}
    await facility.load(again=True)
    await facility.apply([activation("w", kind=SensorType.FLOW)])
    sensors = [
        json.loads(entry.payload)["sensors"] for entry in historian.entries("f") if entry.kind is EntryKind.CONFIG
    ]
    said = [[each.get("detection") for each in upserts] for upserts in sensors]
    assert said == [[], [None], [{"physical_low": 21, "physical_high": 23}], [{"budget_days": 3}]]

    assert recovered_state(historian) == folded_state(historian)
    await facility.checkpoint()
    for reload in ("from the checkpoint", "rebuilt"):
        if reload == "rebuilt":
            held = historian.checkpoints["f"]
            historian.checkpoints["f"] = replace(held, state=held.state[:-1])
        await facility.load(again=True)
        await facility.ingest(batch(("s", 10 if reload == "rebuilt" else 5, "23.5")))
        assert Flag.OUT_OF_PHYSICAL_RANGE in newest_flags(facility), reload


def newest_flags(facility: Facility) -> Flag:
    assert facility._core is not None
    return Flag(facility._core.latest()[0].flags)


async def test_a_command_that_the_core_refuses_is_decided_and_leaves_no_entry(historian: FakeHistorian) -> None:
    facility = facility_on(historian)
    await facility.apply([activation()])
    before = (len(historian.entries("f")), historian.loads)
    await facility.command(AlarmCommand("c", "f", "no such alarm", "acknowledge", T0_US, "user:1"))
    (verdict,) = historian.outcomes[-1].commands
    assert verdict.command_id == "c" and verdict.refusal
    assert (len(historian.entries("f")), historian.loads) == before
    await facility.load(again=True)
    await facility.command(AlarmCommand("d", "f", "no such alarm", "acknowledge", T0_US, "user:1"))
    assert historian.outcomes[-1].commands[0].command_id == "d"
    assert recovered_state(historian) == folded_state(historian), "the configuration of the load was kept by itself"
