"""What must be true when a run has drained: the database is the fold of its commits, and the ledger is closed."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg

from engine.bus.holding import EXCERPT_BYTES_MAX
from native import FacilityCore
from tests.fakes.broker import ModelBroker
from tests.fakes.copy_rows import StoredRow
from tests.faults.fold import Event, Folded, Standing, fold
from tests.faults.history import Commit
from tests.faults.hub import QUEUES, Plan, Sensor

READINGS = """
    SELECT sensor_no, tracked_at, float8send(value) AS value, text_value, float4send(score) AS score, flags
    FROM sensor_records WHERE sensor_no = ANY($1)
"""
JOURNAL = """
    SELECT alarm_key, transition, event_time, rule_version, sensor_no, rule, priority, alert_type, value, limit_value,
           score, message, late, actor, reason
    FROM alarm_events WHERE facility_id = $1 ORDER BY id
"""
ALARMS = """
    SELECT alarm_key, active, acknowledged, suppression, suppressed_until, latched, since, assignee,
           message IS NOT NULL AS was_active
    FROM alarms
    WHERE facility_id = $1 AND (active OR NOT acknowledged OR latched OR suppression <> 'none')
"""
CONFLICTS = """
    SELECT sensor_no, tracked_at, float8send(value) AS value, text_value
    FROM reading_conflicts WHERE sensor_no = ANY($1)
"""
BEGUN = {"activated", "activated_silently"}
RELEASED = {"unshelved", "unsuppressed", "in_service"}
LOG = """
SELECT commit_no, kind, payload FROM facility_commits WHERE facility_id = $1 AND commit_no > $2 ORDER BY commit_no
"""


async def check_fold(db: asyncpg.Connection, commits: Sequence[Commit], facility_id: str, settings_json: str) -> Folded:
    """Readings, conflicts, journal, alarms and state of a facility are those of its commits, bit for bit."""
    checkpointed = await db.fetchval("SELECT commit_no FROM checkpoints WHERE facility_id = $1", facility_id)
    folded = fold(facility_id, settings_json, commits, states_of={checkpointed})
    numbers = [row["sensor_no"] for row in await db.fetch("SELECT * FROM sensors WHERE facility_id = $1", facility_id)]
    stored = [
        StoredRow(row["sensor_no"], us(row["tracked_at"]), row["value"], row["text_value"], row["score"], row["flags"])
        for row in await db.fetch(READINGS, numbers)
    ]
    same(f"readings of {facility_id}", stored, list(folded.readings.values()))
    conflicts = [
        (row["sensor_no"], us(row["tracked_at"]), row["value"], row["text_value"])
        for row in await db.fetch(CONFLICTS, numbers)
    ]
    same(f"conflicts of {facility_id}", conflicts, list(folded.conflicts))
    journal = [_event(row) for row in await db.fetch(JOURNAL, facility_id)]
    same(f"journal of {facility_id}", journal, list(folded.events.values()))
    await _check_alarms(db, facility_id, folded)
    await _check_state(db, facility_id, settings_json, folded)
    return folded


async def _check_alarms(db: asyncpg.Connection, facility_id: str, folded: Folded) -> None:
    """What the table says of alarms that are not normal is what the core has: people see what is. `since` is what the
    journal said last; a late reading may have told the core better, and that is no news.
    """
    since_us = {
        event.alarm_key: event.event_time_us
        for event in folded.events.values()
        if not event.late and event.transition in BEGUN | {"returned"}
    }
    shown = {
        row["alarm_key"]: Standing(
            row["active"],
            row["acknowledged"],
            row["suppression"],
            None if row["suppressed_until"] is None else us(row["suppressed_until"]),
            row["latched"],
            us(row["since"]) if row["was_active"] else 0,
            row["assignee"],
        )
        for row in await db.fetch(ALARMS, facility_id)
    }
    expected = {key: alarm._replace(since_us=since_us.get(key, 0)) for key, alarm in folded.alarms.items()}
    assert shown == expected, f"alarms of {facility_id}: shown {shown}, the core and the journal have {expected}"


async def _check_state(db: asyncpg.Connection, facility_id: str, settings_json: str, folded: Folded) -> None:
    """The checkpoint is the fold's state at its commit, and with the log behind it the state of now."""
    checkpoint = await db.fetchrow("SELECT commit_no, state FROM checkpoints WHERE facility_id = $1", facility_id)
    core = FacilityCore(facility_id, settings_json)
    after = 0
    if checkpoint is not None:
        after = checkpoint["commit_no"]
        assert checkpoint["state"] == folded.states[after], f"checkpoint of {facility_id} at {after} differs"
        core = FacilityCore.restore(facility_id, checkpoint["state"], settings_json)
    log = await db.fetch(LOG, facility_id, after)
    assert [row["commit_no"] for row in log] == list(range(after + 1, max(folded.states) + 1)), "the log has a gap"
    for row in log:
        core.replay(row["kind"], row["payload"])
    assert core.snapshot() == folded.state(), f"{facility_id}: checkpoint and log do not lead to the state of the fold"


async def check_ledger(db: asyncpg.Connection, broker: ModelBroker, plan: Plan) -> None:
    """Everything sent is stored, parked or dead with a deserved reason, and nothing is left on a queue."""
    assert {queue: broker.waiting(queue) for queue in QUEUES} == dict.fromkeys(QUEUES, 0)
    deserved = Counter((sent.queue, sent.body, sent.dead) for _, sent in plan.sends if sent.dead is not None)
    dead = Counter((d.queue, d.body, d.reason) for queue in QUEUES for d in broker.dead_letters(queue))
    assert dead == deserved, f"dead letters beside the deserved: {dead - deserved}, missing: {deserved - dead}"
    sensors = {
        row["id"]: row
        for row in await db.fetch("SELECT * FROM sensors WHERE facility_id = ANY($1::text[])", plan.facilities)
    }
    activated = {sensor.sensor_id for sensor in plan.sensors.values() if sensor.activated}
    assert set(sensors) == activated, f"sensors {set(sensors)}, activated were {activated}"
    for sensor_id, row in sensors.items():
        assert row["status"] == plan.sensors[sensor_id].final_status(), f"status of {sensor_id}"
    await _check_rows(db, plan, sensors)
    await _check_parked(db, plan)
    await _check_letters(db, plan, dead)


async def _check_rows(db: asyncpg.Connection, plan: Plan, sensors: dict[str, Any]) -> None:
    sent: dict[tuple[int, int], set[str]] = {}
    for row in plan.rows():
        if row.sensor_id in sensors:
            sent.setdefault((sensors[row.sensor_id]["sensor_no"], row.tracked_at_us), set()).add(row.data)
    numbers = [row["sensor_no"] for row in sensors.values()]
    stored: dict[tuple[int, int], list[str | float]] = {}
    for query in (READINGS, CONFLICTS):
        for row in await db.fetch(query, numbers):
            stored.setdefault((row["sensor_no"], us(row["tracked_at"])), []).append(_data(row))
    assert stored.keys() == sent.keys(), (
        f"readings lost: {sent.keys() - stored.keys()}, invented: {stored.keys() - sent.keys()}"
    )
    for key, texts in sent.items():
        assert len(stored[key]) == len(texts), f"{key}: sent {texts}, stored with conflicts {stored[key]}"
        assert all(any(_same_data(text, data) for data in stored[key]) for text in texts), f"{key}: {texts}"


async def _check_parked(db: asyncpg.Connection, plan: Plan) -> None:
    """Parked are the readings of sensors that were never activated, and nothing else."""
    rows = await db.fetch("SELECT * FROM parked WHERE facility_id = ANY($1::text[])", plan.facilities)
    waiting = {(row["sensor_id"], us(row["tracked_at"])) for row in rows if row["kind"] == "reading"}
    orphans = {(row.sensor_id, row.tracked_at_us) for row in plan.rows() if not plan.sensors[row.sensor_id].activated}
    assert waiting == orphans, f"parked readings: too many {waiting - orphans}, lost {orphans - waiting}"
    assert {row["kind"] for row in rows} <= {"reading"}


async def _check_letters(db: asyncpg.Connection, plan: Plan, dead: Counter[tuple[str, bytes, str]]) -> None:
    """People are told of every bad row and of every message in a dead-letter queue, once."""
    refused = await db.fetch(
        "SELECT reason FROM dead_letters WHERE source = 'row' AND facility_id = ANY($1::text[])", plan.facilities
    )
    spoiled = {sent.body for _, sent in plan.sends if sent.refused_rows}
    assert len(refused) == len(spoiled), f"{len(refused)} bad rows are told of, {len(spoiled)} sent"
    rows = await db.fetch("SELECT queue, body, reason FROM dead_letters WHERE source = 'bus'")
    told = Counter((row["queue"], row["body"], row["reason"]) for row in rows)
    buried: Counter[tuple[str, str, str]] = Counter()
    for (queue, body, reason), count in dead.items():
        excerpt = body[:EXCERPT_BYTES_MAX].decode(errors="replace")
        buried[queue, excerpt.replace("\0", "\N{REPLACEMENT CHARACTER}"), reason] += count
    assert told == buried, f"told beside the dead: {told - buried}, dead and not told: {buried - told}"


def check_alerts(plan: Plan, folded: Folded, numbers: dict[str, int]) -> None:
    """Each planted violation left exactly one activation or late exceedance; no alarm activates twice without a return,
    unless people had it kept from them meanwhile.
    """
    for sensor in plan.sensors.values():
        if sensor.planted_us is not None and sensor.sensor_id in numbers:
            told = _told(folded, sensor, numbers[sensor.sensor_id])
            assert len(told) == 1, f"{sensor.sensor_id} at {sensor.planted_us}: {told}"
    active: set[str] = set()
    before: dict[str, str] = {}
    silent: set[str] = set()
    for event in folded.events.values():
        if event.late:
            continue
        is_active = event.alarm_key in active
        # people may be told later of what was activated silently, and again after they had put it aside
        is_owed = event.alarm_key in silent or before.get(event.alarm_key) in RELEASED
        is_told_anew = event.transition == "activated" and is_active and is_owed
        if event.transition in BEGUN | {"returned"}:
            silent = (
                silent | {event.alarm_key} if event.transition == "activated_silently" else silent - {event.alarm_key}
            )
            if not is_told_anew:
                assert is_active == (event.transition == "returned"), f"{event} out of turn"
                active ^= {event.alarm_key}
        before[event.alarm_key] = event.transition


def _told(folded: Folded, sensor: Sensor, sensor_no: int) -> list[Event]:
    return [
        event
        for event in folded.events.values()
        if (event.sensor_no, event.event_time_us, event.rule) == (sensor_no, sensor.planted_us, "high")
        and event.transition in BEGUN | {"late_exceedance", "past_excursion"}
    ]


def same(what: str, stored: Sequence[Any], expected: Sequence[Any]) -> None:
    """The same rows, each as often; says the first few that differ."""
    left, right = Counter(stored), Counter(expected)
    missing, beside = list((right - left).elements()), list((left - right).elements())
    assert left == right, f"{what}: missing {missing[:3]} ({len(missing)}), beside {beside[:3]} ({len(beside)})"


def us(moment: datetime) -> int:
    """Exact microseconds; a float would round them."""
    past = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (past.days * 86_400 + past.seconds) * 1_000_000 + past.microseconds


def _event(row: Any) -> Event:
    return Event(
        **{name: row[name] for name in Event._fields if name not in {"event_time_us", "limit"}},
        event_time_us=us(row["event_time"]),
        limit=row["limit_value"],
    )


def _data(row: Any) -> str | float:
    if row["text_value"] is not None:
        return str(row["text_value"])
    value: float = struct.unpack("!d", row["value"])[0]
    return value


def _same_data(sent: str, stored: str | float) -> bool:
    return sent == stored if isinstance(stored, str) else float(sent) == stored
