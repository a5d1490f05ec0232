"""The outcomes of several facilities in one transaction: what is written, in which order, and who is left out."""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any

from engine.historian.journal import append_events
from engine.historian.limits import WHAT, Tallies, tell_refusals
from engine.historian.queries import SQL
from engine.model import REFUSED, CommandVerdict, CommitAnswer, DeadLetter, EntityChange, Outcome, ParkedItem, Verdict

OUT_OF_SEQUENCE = "out_of_sequence"
_COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)  # signature, flags, no header extension
_COPY_TRAILER = b"\xff\xff"
_READING = struct.Struct(">iq")


class ContentRefused(ValueError):
    """An outcome of the group contradicts the database; the transaction must be rolled back."""


async def write_group(
    connection: Any, outcomes: Sequence[Outcome], tallies: Tallies, now_us: int
) -> dict[str, CommitAnswer]:
    """Write outcomes of distinct facilities inside the caller's open transaction; answers by facility, if it commits.

    Those that may not be written (fenced, out of sequence) are answered too and leave no trace. Any other trouble is
    raised, whoever's it is.
    """
    answers = await _left_out(connection, outcomes)
    kept = [outcome for outcome in outcomes if outcome.facility_id not in answers]
    if not kept:
        return answers
    await _change_entities(connection, kept, now_us)
    refused = await _move_parked(connection, kept, tallies, now_us)
    before, conflicts, old = await _store_readings(connection, kept, now_us)
    await _append_log(connection, kept, before, now_us)
    await decide_commands(connection, [verdict for outcome in kept for verdict in outcome.commands], now_us)
    for outcome in kept:
        answers[outcome.facility_id] = CommitAnswer(
            Verdict.COMMITTED,
            not_stored=frozenset(before.get(outcome.facility_id, ())),
            conflicts=conflicts.get(outcome.facility_id, 0),
            not_parked=Counter(each.reason for each in refused if each.facility_id == outcome.facility_id),
            set_aside=old.get(outcome.facility_id, 0),
        )
    events = [
        (outcome.facility_id, event)
        for outcome in kept
        for event in outcome.events
        if event.only_if_stored not in answers[outcome.facility_id].not_stored
    ]
    # Last, both of them: they hold up every other writer with events.
    await append_events(connection, events, now_us)
    letters = [letter for outcome in kept for letter in outcome.dead_letters]
    await tell_refusals(connection, [*letters, *refused], tallies, now_us)
    return answers


async def _left_out(connection: Any, outcomes: Sequence[Outcome]) -> dict[str, CommitAnswer]:
    """Who may not write. From here to the commit nobody can take an epoch of these facilities."""
    facility_ids = [outcome.facility_id for outcome in outcomes]
    epochs = {row["facility_id"]: row["epoch"] for row in await connection.fetch(SQL["epochs_hold"], facility_ids)}
    rows = await connection.fetch(SQL["last_commit_nos"], facility_ids)
    last = {row["facility_id"]: row["commit_no"] for row in rows}
    wanted = sorted(parked_id for outcome in outcomes for parked_id in outcome.unparked_ids)
    present: set[int] = set()
    if wanted:
        present = {row["id"] for row in await connection.fetch(SQL["parked_hold"], wanted)}
    answers: dict[str, CommitAnswer] = {}
    for outcome in outcomes:
        epoch = epochs.get(outcome.facility_id)
        if epoch != outcome.epoch:
            fence = f"epoch {outcome.epoch} is over; the facility is at {epoch}"
            answers[outcome.facility_id] = CommitAnswer(Verdict.FENCED, fence)
        elif (reason := _out_of_sequence(outcome, last[outcome.facility_id])) is not None:
            answers[outcome.facility_id] = CommitAnswer(Verdict.UNKNOWN, reason)
        elif not present.issuperset(outcome.unparked_ids):
            gone = sorted(set(outcome.unparked_ids) - present)
            answers[outcome.facility_id] = CommitAnswer(
                Verdict.UNKNOWN, f"{OUT_OF_SEQUENCE}: parked rows {gone} have gone"
            )
    return answers


def _out_of_sequence(outcome: Outcome, last_commit_no: int) -> str | None:
    """Why the outcome does not follow the last one that was committed.

    A checkpoint of another state than the outcome's own would take entries of the log with it that it does not hold.
    """
    numbers = [entry.commit_no for entry in outcome.entries]
    end = last_commit_no + len(numbers)
    if numbers != list(range(last_commit_no + 1, end + 1)):
        return f"{OUT_OF_SEQUENCE}: commit_no {numbers} after {last_commit_no}"
    if outcome.checkpoint is not None and outcome.checkpoint.commit_no != end:
        return f"{OUT_OF_SEQUENCE}: a checkpoint of commit_no {outcome.checkpoint.commit_no} at {end}"
    return None


async def _change_entities(connection: Any, outcomes: Sequence[Outcome], now_us: int) -> None:
    for outcome in outcomes:
        for change in outcome.changes:
            if change.op == "insert_sensor":
                await connection.execute(SQL["sensor_insert"], *_sensor_row(change))
            elif change.op == "sensor_status" and change.status is not None:
                await connection.execute(
                    SQL["sensor_set_status"],
                    change.sensor_id,
                    outcome.facility_id,
                    change.status.value,
                    change.changed_at_us,
                )
            elif change.op == "facility_closed":
                await connection.execute(SQL["facility_close"], outcome.facility_id, now_us)
            else:
                raise ContentRefused(f"entity change {change.op!r} is not known or not complete")


def _sensor_row(change: EntityChange) -> tuple[Any, ...]:
    activation = change.activation
    if activation is None or change.sensor_no is None:
        raise ContentRefused("insert_sensor needs the activation and a reserved sensor_no")
    return (
        activation.sensor_id,
        change.sensor_no,
        activation.facility_id,
        f"Sensor {activation.sensor_id}",
        activation.type.value,
        expected_freq(activation.expected_interval_s),
        activation.expected_interval_s,
        activation.tracked_at_us,
        activation.location.address,
        activation.location.longitude,
        activation.location.latitude,
    )


def expected_freq(expected_interval_s: int) -> str:
    """The contract's spelling: 15 -> `15S`, 60 -> `1T`, 90 -> `1T` (whole minutes)."""
    return f"{expected_interval_s}S" if expected_interval_s < 60 else f"{expected_interval_s // 60}T"


async def _move_parked(connection: Any, outcomes: Sequence[Outcome], tallies: Tallies, now_us: int) -> list[DeadLetter]:
    """Answers with what was refused instead of being parked."""
    applied = [parked_id for outcome in outcomes for parked_id in outcome.unparked_ids]
    if applied:
        await connection.execute(SQL["parked_remove"], applied)
    refused = await park(connection, [item for outcome in outcomes for item in outcome.parked], tallies, now_us)
    letters = [letter for outcome in outcomes for letter in outcome.dead_letters]
    await keep_letters(connection, [*letters, *refused], now_us)
    return refused


async def park(connection: Any, items: Sequence[ParkedItem], tallies: Tallies, now_us: int) -> list[DeadLetter]:
    """Add rows to the parking table; one that is there already adds nothing. Answers with what finds no room."""
    if not items:
        return []
    digests = [_digest(identity(item)) for item in items]
    present = {row["digest"] for row in await connection.fetch(SQL["parked_present"], digests)}
    new = {digest: item for digest, item in zip(digests, items, strict=True) if digest not in present}
    room = await tallies.parked.room(connection)
    room_of = {
        facility_id: await tallies.parked_of(facility_id).room(connection)
        for facility_id in sorted({item.facility_id for item in new.values()})
    }
    admitted: list[tuple[bytes, ParkedItem]] = []
    refused: list[DeadLetter] = []
    for digest, item in new.items():
        if len(admitted) < room and room_of[item.facility_id] > 0:
            room_of[item.facility_id] -= 1
            admitted.append((digest, item))
        else:
            limit = "parked_max" if len(admitted) >= room else "parked_per_facility_max"
            refused.append(_unparked(item, limit, tallies.most(limit)))
    for digest, item in admitted:
        tallies.parked.add([digest])
        tallies.parked_of(item.facility_id).add([digest])
    kept = [item for _, item in admitted]
    columns = [
        [item.kind for item in kept],
        [item.facility_id for item in kept],
        [item.sensor_id for item in kept],
        [item.tracked_at_us for item in kept],
        [item.body for item in kept],
        [item.reason for item in kept],
        [digest for digest, _ in admitted],
    ]
    if kept:
        await connection.execute(SQL["parked_add"], *columns, now_us)
    return refused


def _unparked(item: ParkedItem, limit: str, most: int) -> DeadLetter:
    """Told apart as the parked row would be, so that a redelivery adds nothing."""
    detail = f"{item.kind}: {item.reason}, and there are {most} {WHAT[limit]} waiting, the most there may be"
    return DeadLetter(REFUSED, "", limit, detail, item.body, item.facility_id, item.sensor_id, identity(item))


def identity(item: ParkedItem) -> tuple[str, ...]:
    """What a parked row is told apart by, and the dead letter that it becomes instead."""
    return item.kind, item.facility_id, item.sensor_id, str(item.tracked_at_us), item.body


async def keep_letters(connection: Any, letters: Sequence[DeadLetter], now_us: int) -> None:
    """Add dead letters; one that is there already adds nothing."""
    if not letters:
        return
    columns = [
        [getattr(letter, name).replace("\0", "\N{REPLACEMENT CHARACTER}") for letter in letters]
        for name in ("source", "queue", "reason", "detail", "body", "facility_id", "sensor_id")
    ]
    digests = [_digest(letter.identity) for letter in letters]
    raw = [letter.raw for letter in letters]
    await connection.execute(SQL["dead_letters_add"], *columns, digests, raw, now_us)


def _digest(parts: Sequence[str]) -> bytes:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()


async def decide_commands(connection: Any, verdicts: Sequence[CommandVerdict], now_us: int) -> None:
    """What was decided already stays so."""
    if verdicts:
        columns = [verdict.command_id for verdict in verdicts], [verdict.refusal for verdict in verdicts]
        await connection.execute(SQL["commands_decide"], *columns, now_us)


async def _store_readings(
    connection: Any, outcomes: Sequence[Outcome], now_us: int
) -> tuple[dict[str, set[tuple[int, int]]], dict[str, int], dict[str, int]]:
    """COPY and store. By facility: what was there before or is of before the retention, how many of those that were
    there differ for the first time, and how many are of before the retention.
    """
    rows = sum(outcome.rows for outcome in outcomes)
    if not rows and not any(outcome.copy_rows for outcome in outcomes):
        return {}, {}, {}
    staged = await connection.copy_to_table("staging", source=_copy_stream(outcomes), format="binary")
    if staged != f"COPY {rows}":
        raise ContentRefused(f"{staged} where the outcomes say {rows} rows")
    marks = [(outcome.facility_id, minute) for outcome in outcomes for minute in outcome.dirty_minutes]
    seen = await connection.fetchrow(SQL["staged_look"], min((minute for _, minute in marks), default=None))
    if seen["stranger"] is not None:
        raise ContentRefused(f"no sensor has number {seen['stranger']}")
    before: dict[str, set[tuple[int, int]]] = {}
    old: Counter[str] = Counter()
    if seen["may_be_old"]:
        for row in await connection.fetch(SQL["staged_old_set_aside"], now_us):
            before.setdefault(row["facility_id"], set()).add((row["sensor_no"], row["tracked_at"]))
            old[row["facility_id"]] += 1
    await connection.execute(SQL["minutes_mark"], [mark[0] for mark in marks], [mark[1] for mark in marks])
    stored = await connection.execute(SQL["readings_store"])
    if stored == f"INSERT 0 {rows - old.total()}":
        return before, {}, old
    for row in await connection.fetch(SQL["readings_not_stored"]):
        before.setdefault(row["facility_id"], set()).add((row["sensor_no"], row["tracked_at"]))
    conflicts = await connection.fetch(SQL["conflicts_record"], now_us)
    return before, {row["facility_id"]: row["conflicts"] for row in conflicts}, old


async def _copy_stream(outcomes: Sequence[Outcome]) -> AsyncIterator[bytes]:
    yield _COPY_HEADER
    for outcome in outcomes:
        if outcome.copy_rows:
            yield outcome.copy_rows
    yield _COPY_TRAILER


async def _append_log(
    connection: Any, outcomes: Sequence[Outcome], before: Mapping[str, set[tuple[int, int]]], now_us: int
) -> None:
    """The entries of an outcome know its first, which holds what of its readings was there `before`: with that the log
    can be replayed as it was lived."""
    entries = [(outcome, entry) for outcome in outcomes for entry in outcome.entries]
    if entries:
        firsts = [outcome.entries[0].commit_no for outcome, _ in entries]
        await connection.execute(
            SQL["log_append"],
            [outcome.facility_id for outcome, _ in entries],
            [entry.commit_no for _, entry in entries],
            [entry.kind.value for _, entry in entries],
            [entry.payload for _, entry in entries],
            firsts,
            [
                packed_readings(before.get(outcome.facility_id, ())) if entry.commit_no == first else None
                for (outcome, entry), first in zip(entries, firsts, strict=True)
            ],
            now_us,
        )
    for outcome in outcomes:
        point = outcome.checkpoint
        if point is not None:
            await connection.execute(
                SQL["checkpoint_set"], outcome.facility_id, point.commit_no, point.core_version, point.state, now_us
            )
            await connection.execute(SQL["checkpoint_keep"], outcome.facility_id, point.is_break)


def packed_readings(readings: Collection[tuple[int, int]]) -> bytes | None:
    """(sensor_no, tracked_at_us) of readings in twelve bytes each; None: of none."""
    return b"".join(_READING.pack(*reading) for reading in sorted(readings)) or None


def unpacked_readings(packed: bytes | None) -> frozenset[tuple[int, int]]:
    """What `packed_readings` packed."""
    return frozenset((sensor_no, time_us) for sensor_no, time_us in _READING.iter_unpack(packed or b""))
