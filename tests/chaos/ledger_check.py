"""Compares the ledger with what the product holds: readings, rollups, journal, parking table, dead letters, queues.

For when the sender has ended and the queues have drained. Works in columns: two million readings take seconds.

Lost is what the bus has accepted and the database does not hold. Doubled is every effect that is there once too often:
a reading counted twice in a rollup, a conflict (the field never sends two values for one time), a transition that
follows itself, a violation told twice, a bad row told of twice, a dead letter more often than its body was sent.
A message that the bus may have or not (`Contents.accepted`) may be there or not, but whole.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field, fields
from typing import Any, Final

import asyncpg
import numpy as np
from azure.servicebus import ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient
from numpy.typing import NDArray

from engine.settings import load_settings
from tests.chaos.ledger import Contents, Ledger, digest_of

EPOCH_2000_US: Final = 946_684_800_000_000
COPY_HEADER_BYTES, COPY_TRAILER_BYTES = 19, 2
READING: Final = np.dtype(
    [("f", ">i2"), ("a", ">i4"), ("no", ">i4"), ("b", ">i4"), ("at", ">i8"), ("c", ">i4"), ("value", ">f8")]
)
BUCKET: Final = np.dtype(
    [("f", ">i2"), ("a", ">i4"), ("no", ">i4"), ("b", ">i4"), ("at", ">i8"), ("c", ">i4"), ("n", ">i4")]
)
READINGS: Final = "SELECT sensor_no, tracked_at, coalesce(value, 'NaN') FROM sensor_records WHERE sensor_no = ANY($1)"
BUCKETS: Final = "SELECT sensor_no, bucket, n FROM reading_rollups WHERE sensor_no = ANY($1) AND width_s = $2"
WIDTHS_S: Final = (60, 3600, 86_400)
TOLD = {"activated", "activated_silently", "late_exceedance", "past_excursion"}
JOURNAL: Final = """
    SELECT facility_id, alarm_key, sensor_no, rule, transition, late,
           (extract(epoch FROM event_time) * 1000000)::bigint AS at_us
    FROM alarm_events WHERE facility_id = ANY($1) ORDER BY id
"""
KEY_BITS: Final = 44  # of microseconds: 203 days
ROLLUP_S_MAX: Final = 120.0
PEEK_MESSAGES: Final = 250
EXAMPLES_MAX: Final = 5

Keys = NDArray[np.uint64]


@dataclass(slots=True)
class LedgerResult:
    """Counts; everything from `lost` on must be 0. `examples` has the first few of each kind, in words.

    sent               readings in messages that the bus accepted
    unsettled          readings in messages of which nobody knows
    alerts_merged      planted violations that arrived while their alarm was still active: part of that excursion
    dead_deserved      bad messages found in the dead-letter queues, each once
    dead_told          messages in dead-letter queues that people are told of in the database
    """

    sent: int = 0
    unsettled: int = 0
    stored: int = 0
    planted: int = 0
    alerts_merged: int = 0
    dead_deserved: int = 0
    dead_told: int = 0
    refused_kept: int = 0
    lost: int = 0
    wrong: int = 0
    invented: int = 0
    rollup_doubled: int = 0
    rollup_missing: int = 0
    conflicts: int = 0
    journal_repeats: int = 0
    alerts_missing: int = 0
    alerts_doubled: int = 0
    dead_undeserved: int = 0
    dead_missing: int = 0
    dead_doubled: int = 0
    dead_untold: int = 0
    parked_left: int = 0
    refused_missing: int = 0
    refused_doubled: int = 0
    statuses_wrong: int = 0
    queued_left: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def doubled(self) -> int:
        """All effects that happened once too often."""
        names = ("rollup_doubled", "conflicts", "journal_repeats", "alerts_doubled", "dead_doubled", "refused_doubled")
        return sum(getattr(self, name) for name in names)

    def problems(self) -> dict[str, int]:
        """What should be 0 and is not."""
        names = [each.name for each in fields(self)]
        faults = names[names.index("lost") : names.index("examples")]
        return {name: getattr(self, name) for name in faults if getattr(self, name)}

    def trials(self) -> str:
        """What else the zeros are over, besides readings."""
        told = self.planted - self.alerts_missing - self.alerts_merged
        return (
            f"{self.planted:,} planted violations: {told:,} told, {self.alerts_merged} part of an alarm that was on; "
            f"{self.dead_deserved:,} bad messages dead-lettered, {self.refused_kept:,} bad rows set aside"
        )

    def tell(self, kind: str, number: int, example: object) -> None:
        """Count `number` of `kind`; the first few come with an example."""
        setattr(self, kind, getattr(self, kind) + number)
        if number and sum(text.startswith(f"{kind}:") for text in self.examples) < EXAMPLES_MAX:
            self.examples.append(f"{kind}: {example}")


async def check_ledger(ledger: Ledger, database_url: str, bus_connection_string: str) -> LedgerResult:
    """Call it when nothing is on its way any more; waits for the rollups."""
    contents = await asyncio.to_thread(ledger.read)
    result = LedgerResult()
    await check_database(contents, database_url, result)
    await check_bus(contents, bus_connection_string, result)
    return result


async def check_database(contents: Contents, database_url: str, result: LedgerResult) -> None:
    """All that PostgreSQL holds."""
    database = await asyncpg.connect(database_url)
    try:
        await _rolled_up(database)
        facilities = sorted({sensor.facility_id for sensor in contents.sensors})
        sensors = await database.fetch(
            "SELECT id, sensor_no, status FROM sensors WHERE facility_id = ANY($1)", facilities
        )
        numbers = {row["id"]: row["sensor_no"] for row in sensors}
        no_of = np.array([numbers.get(sensor.sensor_id, -1) for sensor in contents.sensors], np.int64)
        await _check_readings(database, contents, no_of, result)
        await _check_conflicts(database, no_of, result)
        await _check_journal(database, contents, no_of, facilities, result)
        await _check_set_aside(database, contents, facilities, result)
        _check_statuses(contents, {row["id"]: row["status"] for row in sensors}, result)
    finally:
        await database.close()


async def _rolled_up(database: Any) -> None:
    async with asyncio.timeout(ROLLUP_S_MAX):
        while await database.fetchval("SELECT EXISTS (SELECT FROM rollup_dirty)"):
            await asyncio.sleep(0.5)


# --- readings ---------------------------------------------------------------------------------------------------------


async def _check_readings(database: Any, contents: Contents, no_of: NDArray[np.int64], result: LedgerResult) -> None:
    known = no_of[no_of >= 0].tolist()
    stored = await _copied(database, READING, READINGS, known)
    stored_at = stored["at"].astype(np.int64) + EPOCH_2000_US
    sent_no, sent_at = no_of[contents.rows["sensor"]], contents.rows["tracked_at_us"]
    base = int(min(stored_at.min(initial=2**60), sent_at.min(initial=2**60)))
    have = _keys(stored["no"].astype(np.int64), stored_at, base)
    order = np.argsort(have)
    have, values = have[order], stored["value"].astype(np.float64)[order]
    want = _keys(np.maximum(sent_no, 0), sent_at, base)
    assert len(np.unique(want[sent_no >= 0])) == (sent_no >= 0).sum(), "the ledger holds a reading twice"
    place = np.minimum(np.searchsorted(have, want), max(0, len(have) - 1))
    found = (sent_no >= 0) & (have[place] == want) if len(have) else np.zeros(len(want), bool)
    accepted = contents.row_sequences <= contents.accepted
    result.sent, result.unsettled = int(accepted.sum()), int((~accepted).sum())
    result.stored = len(have)
    _tell_rows("lost", accepted & ~found, contents, result)
    _tell_rows("wrong", found & (values[place] != contents.rows["value"]) if len(have) else found, contents, result)
    result.tell("invented", len(have) - int(found.sum()), "stored readings that nobody has sent")
    for width_s in WIDTHS_S:
        buckets = await _copied(database, BUCKET, BUCKETS, known, width_s)
        _check_rollup(width_s, stored, stored_at, buckets, result)


def _tell_rows(kind: str, which: NDArray[np.bool_], contents: Contents, result: LedgerResult) -> None:
    for place in np.flatnonzero(which)[:EXAMPLES_MAX]:
        sensor, at_us, value, _ = contents.rows[place].tolist()
        result.tell(
            kind, 1, f"{contents.sensors[sensor]} at {at_us} us {value}, message {contents.row_sequences[place]}"
        )
    result.tell(kind, max(0, int(which.sum()) - EXAMPLES_MAX), "and more")


def _check_rollup(
    width_s: int, stored: NDArray[Any], stored_at: NDArray[np.int64], buckets: NDArray[Any], result: LedgerResult
) -> None:
    """The sum of n of a width is the number of stored readings, bucket by bucket."""
    width_us = width_s * 1_000_000
    real = _keys(stored["no"].astype(np.int64), stored_at // width_us, 0)
    shown = _keys(buckets["no"].astype(np.int64), (buckets["at"].astype(np.int64) + EPOCH_2000_US) // width_us, 0)
    distinct, place = np.unique(np.concatenate([real, shown]), return_inverse=True)
    weights = np.concatenate([np.full(len(real), -1), buckets["n"].astype(np.int64)])
    beside = np.bincount(place, weights, len(distinct)).astype(np.int64)
    for kind, wrong in (("rollup_doubled", beside > 0), ("rollup_missing", beside < 0)):
        for number in np.flatnonzero(wrong):
            no, bucket = divmod(int(distinct[number]), 1 << KEY_BITS)
            example = f"{width_s} s bucket {bucket * width_s} of sensor {no}: {beside[number]:+d} readings"
            result.tell(kind, abs(int(beside[number])), example)


def _keys(numbers: NDArray[np.int64], times: NDArray[np.int64], base: int) -> Keys:
    """Sensor and time in one number, so that sorting and searching are quick."""
    past = times - base
    assert len(past) == 0 or int(past.max()) < 1 << KEY_BITS, "the readings span more than 203 days"
    return (numbers.astype(np.uint64) << np.uint64(KEY_BITS)) | past.astype(np.uint64)


async def _copied(database: Any, dtype: np.dtype[Any], query: str, *arguments: Any) -> NDArray[Any]:
    """A query's rows, none of them null, as a record array."""
    raw = bytearray()

    async def take(chunk: bytes) -> None:
        raw.extend(chunk)

    await database.copy_from_query(query, *arguments, output=take, format="binary")
    return np.frombuffer(memoryview(raw)[COPY_HEADER_BYTES:-COPY_TRAILER_BYTES], dtype)


# --- what else the database holds -------------------------------------------------------------------------------------


async def _check_conflicts(database: Any, no_of: NDArray[np.int64], result: LedgerResult) -> None:
    rows = await database.fetch("SELECT * FROM reading_conflicts WHERE sensor_no = ANY($1)", no_of.tolist())
    for row in rows:
        result.tell("conflicts", 1, dict(row))


async def _check_journal(
    database: Any, contents: Contents, no_of: NDArray[np.int64], facilities: list[str], result: LedgerResult
) -> None:
    """No transition follows itself, and each planted violation is told once: as an alert or as a late exceedance."""
    active: dict[tuple[str, str], bool] = {}
    told: Counter[tuple[int, int]] = Counter()
    turns: dict[int, list[tuple[int, bool]]] = defaultdict(list)
    for row in await database.fetch(JOURNAL, facilities):
        if row["rule"] == "high" and row["transition"] in TOLD:
            told[row["sensor_no"], row["at_us"]] += 1
        if row["late"] or row["transition"] not in {"activated", "activated_silently", "returned"}:
            continue
        key, begins = (row["facility_id"], row["alarm_key"]), row["transition"] != "returned"
        if active.get(key, False) == begins:
            result.tell("journal_repeats", 1, dict(row))
        active[key] = begins
        if row["rule"] == "high":
            turns[row["sensor_no"]].append((row["at_us"], begins))
    planted = contents.rows[(contents.rows["planted"] == 1) & (contents.row_sequences <= contents.accepted)]
    result.planted = len(planted)
    for sensor, at_us, _, _ in planted.tolist():
        number = int(no_of[sensor])
        count = told[number, at_us]
        if count > 1:
            result.tell("alerts_doubled", count - 1, f"{contents.sensors[sensor]} at {at_us} us was told {count} times")
        elif count == 0:
            before = [begins for turn_us, begins in sorted(turns[number]) if turn_us < at_us]
            kind = "alerts_merged" if before and before[-1] else "alerts_missing"
            result.tell(kind, 1, f"{contents.sensors[sensor]} at {at_us} us")


async def _check_set_aside(database: Any, contents: Contents, facilities: list[str], result: LedgerResult) -> None:
    for row in await database.fetch("SELECT kind, body FROM parked WHERE facility_id = ANY($1)", facilities):
        result.tell("parked_left", 1, dict(row))
    refused = "SELECT count(*) FROM dead_letters WHERE source = 'row' AND facility_id = ANY($1)"
    result.refused_kept = await database.fetchval(refused, facilities)
    result.dead_told = await database.fetchval("SELECT count(*) FROM dead_letters WHERE source = 'bus'")
    settled = sum(bad for sequence, bad in contents.refused.items() if sequence <= contents.accepted)
    at_most = sum(contents.refused.values())
    result.tell("refused_missing", max(0, settled - result.refused_kept), "bad rows that are not set aside")
    result.tell("refused_doubled", max(0, result.refused_kept - at_most), "bad rows set aside more than once")


def _check_statuses(contents: Contents, shown: dict[str, str], result: LedgerResult) -> None:
    """The newest status message of a sensor decides, in whatever order they came."""
    newest = {}
    for sequence, status in sorted(contents.statuses, key=lambda each: each[1].tracked_at_us):
        if sequence <= contents.accepted:
            newest[status.sensor] = status
    for number, status in newest.items():
        sensor, expected = contents.sensors[number], "Active" if status.active else "Inactive"
        if shown.get(sensor.sensor_id) != expected:
            found = shown.get(sensor.sensor_id, "unknown")
            result.tell("statuses_wrong", 1, f"{sensor} is {found}, the newest message says {expected}")


# --- the bus ----------------------------------------------------------------------------------------------------------


async def check_bus(contents: Contents, connection_string: str, result: LedgerResult) -> None:
    """A bad message must be dead once; it may be there as often as it was sent. Nothing else may be dead or waiting.

    Call it after `check_database`, which counts whom people are told of.
    """
    dead: Counter[tuple[str, str, str]] = Counter()
    bodies: dict[str, bytes] = {}
    async with ServiceBusClient.from_connection_string(connection_string) as client:
        for carries, queue in load_settings().queues.items():
            for message in await _dead(client, queue):
                body = b"".join(message.body)
                bodies[digest_of(body)] = body
                dead[carries, digest_of(body), message.dead_letter_reason or ""] += 1
            async with client.get_queue_receiver(queue) as receiver:
                left = await receiver.peek_messages(PEEK_MESSAGES)
            result.tell("queued_left", len(left), f"on {queue}, counted up to {PEEK_MESSAGES}")
    untold = sum(dead.values()) - result.dead_told
    result.tell("dead_untold", abs(untold), f"{sum(dead.values())} dead messages, {result.dead_told} told of")
    for sequence, bad in contents.bad:
        count = dead.pop((bad.queue, bad.digest, bad.reason), 0)
        if count:
            result.dead_deserved += 1
        elif sequence <= contents.accepted:
            result.tell("dead_missing", 1, f"message {sequence}: {bad}")
        result.tell("dead_doubled", max(0, count - 1 - contents.again[sequence]), f"message {sequence}: {bad}")
    for (carries, digest, reason), count in dead.items():
        result.tell("dead_undeserved", count, f"{carries}: {reason}: {bodies[digest][:200]!r}")


async def _dead(client: ServiceBusClient, queue: str) -> list[Any]:
    async with client.get_queue_receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as receiver:
        found: list[Any] = []
        after = 1
        while batch := await receiver.peek_messages(PEEK_MESSAGES, sequence_number=after):
            found += batch
            newest = batch[-1].sequence_number
            assert newest is not None
            after = newest + 1
        return found
