"""`native.FacilityCore` as the engine uses it: readings in, rows and events and frames out, state kept and restored."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator

import pytest

import native
from native import FacilityCore, Flag

START_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
S = 1_000_000
POSTGRES_EPOCH_US = 946_684_800 * S

Row = tuple[str, int, str]


def sensor(sensor_id: str, sensor_no: int, kind: str, **changes: object) -> dict[str, object]:
    return {
        "op": "upsert",
        "sensor_id": sensor_id,
        "sensor_no": sensor_no,
        "type": kind,
        "expected_interval_s": 15,
        "status": "Active",
    } | changes


def config(version: int, *sensors: dict[str, object], **changes: object) -> bytes:
    return json.dumps({"version": version, "facility_name": "Alpha", "sensors": sensors} | changes).encode()


def batch(*rows: Row, received_s: int = 0) -> bytes:
    shifted = [(sensor_id, START_US + seconds * S, data) for sensor_id, seconds, data in rows]
    return native.encode_batch("plant", shifted, START_US + received_s * S)


def tick(seconds: int) -> bytes:
    return json.dumps({"watermark_us": START_US + seconds * S}).encode()


@pytest.fixture
def core() -> FacilityCore:
    core = FacilityCore("plant", "{}")
    core.apply("config", config(1, sensor("t", 1, "Temperature"), sensor("g", 2, "GasDetection")))
    return core


def tuples(copy_rows: bytes) -> Iterator[tuple[int, int, float | None, str | None, float | None, int]]:
    at = 0
    while at < len(copy_rows):
        assert struct.unpack_from(">h", copy_rows, at) == (6,)
        at += 2
        fields: list[bytes | None] = []
        for _ in range(6):
            (length,) = struct.unpack_from(">i", copy_rows, at)
            at += 4
            fields.append(None if length < 0 else copy_rows[at : at + length])
            at += max(length, 0)
        number, time, value, text, score, flags = fields
        assert number is not None
        assert time is not None
        assert flags is not None
        yield (
            struct.unpack(">i", number)[0],
            struct.unpack(">q", time)[0] + POSTGRES_EPOCH_US,
            None if value is None else struct.unpack(">d", value)[0],
            None if text is None else text.decode(),
            None if score is None else struct.unpack(">f", score)[0],
            struct.unpack(">h", flags)[0],
        )


def test_rows_events_and_frames_of_a_batch(core: FacilityCore) -> None:
    effects = core.apply("batch", batch(("t", 0, "24.60"), ("x", 1, "9"), ("t", 61, "25.5"), ("g", 61, "leak")))
    assert list(tuples(effects.copy_rows)) == [
        (1, START_US, 24.6, "24.60", None, Flag.WARMING),
        (1, START_US + 61 * S, 25.5, None, None, Flag.WARMING | Flag.ABOVE_HIGH),
        (2, START_US + 61 * S, None, "leak", None, Flag.TEXT),
    ]
    assert effects.rows == 3
    assert effects.dirty_minutes == [START_US, START_US + 60 * S]
    assert effects.unknown == [("x", START_US + S, "9")]
    assert effects.counts == {
        "rows": 3, "late": 0, "duplicate": 0, "conflict": 0, "text": 1, "bad": 0, "unknown": 1
    }  # fmt: skip
    (event,) = effects.events
    assert event.message == ("Problem detected: Temperature Sensor value in Alpha is above maximum threshold (25.0)")
    assert (event.alarm_key, event.sensor_no, event.sensor_id, event.rule) == ("1:high", 1, "t", "high")
    assert (event.transition, event.event_time_us, event.rule_version) == ("activated", START_US + 61 * S, 1)
    assert (event.priority, event.alert_type, event.value, event.limit) == ("medium", "Anomaly", 25.5, 25.0)
    assert (event.late, event.only_if_stored, event.actor, event.reason) == (False, None, "system", "")
    assert json.loads(event.explanation_json)["range"] == [20.0, 25.0]
    assert effects.live() == [
        ("t", 1, START_US, frame("t", "2026-01-01T00:00:00", "24.60")),
        ("t", 1, START_US + 61 * S, frame("t", "2026-01-01T00:01:01", "25.5")),
        ("g", 2, START_US + 61 * S, frame("g", "2026-01-01T00:01:01", "leak")),
    ]
    assert core.latest_frames({"g"}) == effects.live(sensor_ids={"g"})


def frame(sensor_id: str, tracked_at: str, data: str) -> bytes:
    fields = {"sensor_id": sensor_id, "facility_id": "plant", "tracked_at": tracked_at, "data": data}
    return json.dumps(fields, separators=(",", ":")).encode()


def test_frames_leave_out_what_is_not_news(core: FacilityCore) -> None:
    core.apply("batch", batch(("t", 10, "22")))
    effects = core.apply("batch", batch(("t", 10, "22"), ("t", 10, "23"), ("t", 5, "21"), ("g", 11, "15")))
    assert effects.rows == 4
    assert (effects.counts["duplicate"], effects.counts["conflict"], effects.counts["late"]) == (1, 1, 1)
    assert [(sensor_id, at) for sensor_id, _, at, _ in effects.live()] == [
        ("t", START_US + 5 * S),
        ("g", START_US + 11 * S),
    ]
    assert [row[0] for row in effects.live(not_stored=[(1, START_US + 5 * S)])] == ["g"]
    assert effects.live(frozenset(), set()) == []


def test_latest_values(core: FacilityCore) -> None:
    core.apply("batch", batch(("t", 10, "007"), ("t", 5, "1")))
    (latest,) = core.latest()
    assert (latest.sensor_id, latest.sensor_no, latest.tracked_at_us, latest.data) == ("t", 1, START_US + 10 * S, "007")
    assert (latest.score, latest.flags) == (None, Flag.WARMING | Flag.BELOW_LOW)
    assert core.sensor_ids() == ["t", "g"]


def test_a_redelivered_batch_has_no_effect_that_is_not_conditional(core: FacilityCore) -> None:
    payload = batch(("t", 0, "26"), ("t", 90, "22"), ("t", 180, "22"), ("g", 5, "25"), received_s=200)
    first = core.apply("batch", payload)
    assert [(e.alarm_key, e.transition) for e in first.events] == [
        ("1:high", "activated"), ("1:high", "returned"), ("2:high", "activated")
    ]  # fmt: skip
    state = core.snapshot()
    again = core.apply("batch", payload)
    assert core.snapshot() == state
    assert all(event.only_if_stored and event.late for event in again.events)
    assert again.copy_rows != b""


def test_alarms_that_are_not_normal(core: FacilityCore) -> None:
    core.apply("batch", batch(("g", 0, "25"), ("t", 0, "26"), ("t", 15, "22"), ("t", 90, "22")))
    states = {alarm.alarm_key: (alarm.active, alarm.acknowledged, alarm.state) for alarm in core.alarms()}
    assert states == {
        "1:high": (False, False, "returned_unacknowledged"),
        "2:high": (True, False, "unacknowledged"),
    }
    alarm = core.alarms()[1]
    assert (alarm.sensor_id, alarm.rule, alarm.priority, alarm.since_us) == ("g", "high", "high", START_US)
    assert (alarm.suppression, alarm.latched) == ("none", False)


def test_silence_by_ticks(core: FacilityCore) -> None:
    core.apply("tick", tick(0))
    events = [event for seconds in range(10, 100, 10) for event in core.apply("tick", tick(seconds)).events]
    assert [(e.alarm_key, e.rule, e.transition, e.priority, e.alert_type) for e in events] == [
        ("1:stale", "stale", "activated", "low", "System"),
        ("2:stale", "stale", "activated", "low", "System"),
    ]
    assert {e.event_time_us for e in events} == {START_US + 80 * S}
    assert events[0].message == "No reading from Temperature Sensor in Alpha for more than 75 s"
    (back,) = core.apply("batch", batch(("t", 95, "22"))).events
    assert (back.transition, back.rule) == ("returned", "stale")


WHATEVER = (
    *('"Bad"', '"NaN"', '""', '"35,0"', '"35 ppm"', '"1e999"', '"true"', '"null"', '"[35]"', '"\\u001b[2J"'),
    *("NaN", "Infinity", "1e999", "true", "false", "null", "[35]", '{"value": 35}'),
    *("1e300", "-1e300", '"1e300"', "35", "0.5"),
)


@pytest.mark.parametrize("data", WHATEVER)
@pytest.mark.parametrize("kind", ["GasDetection", "HydrogenSulfideContent", "Temperature"])
def test_of_whatever_a_detector_sends_one_rule_speaks(kind: str, data: str) -> None:
    core = FacilityCore("plant", "{}")
    core.apply("config", config(1, sensor("g", 1, kind)))
    for seconds in range(0, 200, 4):
        at = f"2026-01-01T00:{seconds // 60:02}:{seconds % 60:02}"
        body = f'{{"facility_id": "plant", "sensor_id": "g", "tracked_at": "{at}", "data": {data}}}'
        decoded = native.decode([body.encode()], START_US + seconds * S, 300.0)
        for place in range(len(decoded.facility_ids)):
            core.apply("batch", decoded.batch(place))
        core.apply("tick", tick(seconds))
    assert len([alarm for alarm in core.alarms() if alarm.active]) == 1


def test_settings_are_the_callers() -> None:
    core = FacilityCore("plant", json.dumps({"stale_s_min": 10, "stale_intervals": 1.5, "tick_gap_s_max": 1000}))
    core.apply("config", config(1, sensor("t", 1, "Temperature", expected_interval_s=2)))
    core.apply("tick", tick(0))
    assert core.apply("tick", tick(10)).events == []
    assert [event.rule for event in core.apply("tick", tick(11)).events] == ["stale"]
    with pytest.raises(native.PayloadError, match="settings"):
        FacilityCore("plant", '{"stale_s_min": -1}')
    with pytest.raises(native.PayloadError, match="settings"):
        FacilityCore("plant", "nonsense")


def test_a_restored_core_is_the_same(core: FacilityCore) -> None:
    other = FacilityCore("plant", "{}")
    other.replay("config", config(1, sensor("t", 1, "Temperature"), sensor("g", 2, "GasDetection")))
    for step in range(400):
        payload = batch(
            ("t", step * 15, f"{22 + step % 7 / 10:.2f}"), ("g", step * 15, "21" if step % 50 == 0 else "15")
        )
        core.apply("batch", payload)
        other.replay("batch", payload)
        if step % 97 == 0:
            state = core.snapshot()
            core = FacilityCore.restore("plant", state, "{}")
            assert core.snapshot() == state
    assert core.snapshot() == other.snapshot()
    assert core.latest()[0].score is not None


def test_the_log_keeps_a_batch_in_fewer_bytes(core: FacilityCore) -> None:
    before = core.snapshot()
    payload = batch(("t", 0, "24.60"), ("x", 1, "9"), ("g", 61, "leak"))
    effects = core.apply("batch", payload)
    other = FacilityCore.restore("plant", before, "{}")
    other.replay("batch", effects.log_payload)
    assert other.snapshot() == core.snapshot()
    assert [row["sensor_id"] for row in native.batch_rows(effects.log_payload)] == ["#1", "x", "#2"]
    assert core.apply("tick", tick(5)).log_payload == tick(5)
    ids = [f"7f3c9a52-0b1e-4c55-9d0a-2f1f6f{number:06x}" for number in range(1000)]
    core.apply("config", config(2, *(sensor(id_, number + 10, "Flow") for number, id_ in enumerate(ids))))
    log = core.apply("batch", batch(*((id_, 100, "250.25") for id_ in ids))).log_payload
    assert len(log) < 10 * 1000


def test_snapshots_that_cannot_be_read(core: FacilityCore) -> None:
    state = core.snapshot()
    for damaged in (b"", state[:-1], bytes([*state[:20], state[20] ^ 1, *state[21:]])):
        with pytest.raises(native.SnapshotCorruptError):
            FacilityCore.restore("plant", damaged, "{}")
    with pytest.raises(native.SnapshotCorruptError, match="facility"):
        FacilityCore.restore("elsewhere", state, "{}")
    assert issubclass(native.SnapshotVersionError, ValueError)
    assert FacilityCore.CORE_VERSION == native.CORE_VERSION


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("batch", b""),
        ("batch", native.encode_batch("elsewhere", [("t", START_US, "1")], 0)),
        ("config", b"{}"),
        ("config", config(2, sensor("t", 9, "Temperature"))),
        ("config", config(2, sensor("n", 9, "Unheard"))),
        ("tick", b'{"watermark_us": "now"}'),
        ("command", b'{"op": "dance"}'),
        ("party", b""),
    ],
)
def test_payloads_that_cannot_be_applied(core: FacilityCore, kind: str, payload: bytes) -> None:
    state = core.snapshot()
    for call in (core.apply, core.replay):
        with pytest.raises(native.PayloadError):
            call(kind, payload)
    assert core.snapshot() == state


def test_an_inactive_sensor_is_stored_and_silent(core: FacilityCore) -> None:
    core.apply("batch", batch(("g", 0, "25")))
    change = config(2, sensor("g", 2, "GasDetection", status="Inactive"), at_us=START_US + 9 * S)
    (returned,) = core.apply("config", change).events
    assert (returned.transition, returned.event_time_us) == ("returned", START_US + 9 * S)
    assert returned.reason == "the sensor was deactivated"
    effects = core.apply("batch", batch(("g", 15, "99")))
    assert (effects.rows, effects.events) == (1, [])


def test_a_known_history_gives_known_bits(core: FacilityCore) -> None:
    """The same constants stand in the cargo tests: an unoptimised build and the wheel agree to the bit."""
    chance, copied = 0, 0
    for number in range(200):
        rows: list[Row] = []
        for step in range(20):
            chance = (chance * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % 2**64
            draw = chance >> 33
            sensor_id = "tg"[draw % 2]
            hundredths = (2100 if sensor_id == "t" else 1300) + draw % 300 + (900 if draw % 997 == 0 else 0)
            seconds = (number * 20 + step) * 15 + draw % 40
            rows.append((sensor_id, seconds, f"{hundredths // 100}.{hundredths % 100:02}"))
        copied = zlib.crc32(core.apply("batch", batch(*rows, received_s=number * 300 + 300)).copy_rows, copied)
        core.apply("tick", tick(number * 300))
    assert (zlib.crc32(core.snapshot()[:-4]), copied) == (2_227_889_473, 485_343_442)


def test_state_stays_small(core: FacilityCore) -> None:
    core.apply("config", config(2, *(sensor(f"s{number}", number + 10, "Flow") for number in range(1000))))
    assert core.state_bytes() / 1002 < 4096


def test_an_anomaly_says_why(core: FacilityCore) -> None:
    draws = [(n * 7919) % 101 / 300 for n in range(900)]
    rows = [("t", 15 * n, f"{22 + draw:.2f}") for n, draw in enumerate(draws)]
    assert core.apply("batch", batch(*rows)).events == []
    (event,) = core.apply("batch", batch(("t", 15 * 900, "24.90"))).events
    assert event.rule == "anomaly"
    assert event.message.startswith(
        "Problem detected: Temperature Sensor value in Alpha jumped up between two readings: 24.9 °C, "
    )
    explanation = json.loads(event.explanation_json)
    assert explanation["value"] == 24.9 > explanation["band"][1] > explanation["expected"] > explanation["band"][0]
    assert explanation["score"] == event.score >= explanation["threshold"]
    assert explanation["since_us"] == event.event_time_us
    assert explanation["movement"] == "jump_up"
    decades = [view["decades"] for view in explanation["views"]]
    assert decades == sorted(decades, reverse=True)
    assert all(view["says"] for view in explanation["views"])
