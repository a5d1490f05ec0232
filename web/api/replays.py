"""Past periods lived again, as jobs: asked for here, worked through by the engine, kept for a while.

The engine reads the table and writes how far it is; nothing of Ray is known here.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from engine.replay.documents import wanted_document
from engine.replay.proposing import read_proposals
from engine.replay.replaying import look
from engine.replay.values import Basis, Period, ReplayRefused, Wanted
from web.audit import Action, audit
from web.auth.guard import Need
from web.contract.declare import Noun
from web.contract.replay_shapes import (
    BODY_BYTES_MAX,
    PERIOD_MAX,
    AlarmDifferences,
    FrequentAlarm,
    NewReplay,
    Replay,
    ReplayDifference,
    ReplayFigures,
    ReplayPart,
    ReplayQuery,
    ReplayResult,
    Replays,
    ReplayWithResults,
)
from web.contract.shapes import Paging
from web.errors import HttpRefusal, NotFound, NotUsable
from web.serving.call import Call
from web.serving.lists import Part, Source, each, listed
from web.serving.rows import Rows
from web.wire.times import from_us, to_us

noun = Noun("replays", "Past periods lived again with rules of now")

UNDER_WAY_PER_CALLER_MAX: Final = 2
UNDER_WAY_MAX: Final = 20
"""Of all callers, waiting or running."""
KEPT_PER_CALLER_MAX: Final = 100
KEPT: Final = timedelta(days=7)
RETRY_AFTER_S: Final = "10"
UNDER_WAY: Final = ("queued", "running")
AFTER_ALL: Final = datetime(9999, 1, 1, tzinfo=UTC)

TAKE_TURN = "SELECT pg_advisory_xact_lock(hashtext('gasinsight replays'))"
COUNT = """
SELECT replays_under_way() AS of_all, count(*) AS kept, count(*) FILTER (WHERE state IN ('queued', 'running')) AS own
  FROM replays WHERE asked_by = $1 AND expires_at > now()
"""
REPLAY = """
SELECT id, asked_by, asked_by_name, facility_ids, wanted, asked_at, expires_at, state, progress, readings, ended_at
  FROM replays
"""
SEEN = "($1 OR asked_by = $2) AND expires_at > now()"
REPLAYS = Source(
    f"{REPLAY} WHERE {SEEN} AND (asked_at, id) < ($3, $4) ORDER BY asked_at DESC, id DESC OFFSET $5 LIMIT $6",
    f"SELECT count(*) FROM replays WHERE {SEEN}",  # noqa: S608
    ("asked_at", "id"),
    (AFTER_ALL, ""),
)
READ = f"{REPLAY} WHERE {SEEN} AND id = $3"
PARTS = """
SELECT facility_id, state, progress, readings, problem, result FROM replay_parts WHERE replay_id = $1 ORDER BY place
"""
SENSORS = "SELECT sensor_no, id FROM sensors WHERE sensor_no = ANY($1::int[])"
INSERT = """
INSERT INTO replays (id, asked_by, asked_by_name, facility_ids, wanted, expires_at)
VALUES ($1, $2, $3, $4, $5, now() + $6)
RETURNING id, asked_by, asked_by_name, facility_ids, wanted, asked_at, expires_at, state, progress, readings, ended_at
"""
INSERT_PARTS = """
INSERT INTO replay_parts (replay_id, place, facility_id)
SELECT $1, place, facility_id FROM unnest($2::text[]) WITH ORDINALITY AS wanted (facility_id, place)
"""
CANCEL = """
UPDATE replays SET state = 'cancelled', ended_at = now() WHERE id = $1 AND state IN ('queued', 'running')
"""
DELETE = "DELETE FROM replays WHERE id = $1"


@noun.post("/replays", Need.VIEW, Replay, statuses=(401, 403, 404, 422, 429), body_bytes_max=BODY_BYTES_MAX)
async def create_replay(call: Call, query: ReplayQuery, body: NewReplay) -> Replay:
    """The engine goes on by itself; ask for it until its `state` is none of `queued` and `running`. 429 while as many
    are under way, or kept, as may be."""
    _check_period(body)
    facility_ids = list(dict.fromkeys(query.facility_id))
    proposals = [proposal.model_dump(mode="json", exclude_none=True) for proposal in body.proposals]
    period = Period(to_us(body.start_date), to_us(body.end_date))
    async with call.database.transaction() as connection:
        try:
            wanted = Wanted(period, Basis.TODAY if proposals else Basis(body.settings), read_proposals(proposals))
            _check_room(await connection.fetchrow(COUNT, call.caller.principal))  # before what takes a while
            await look(connection, facility_ids, wanted)
        except ReplayRefused as error:
            raise NotUsable.of("body", "proposals", str(error)) from error
        await connection.execute(TAKE_TURN)
        _check_room(await connection.fetchrow(COUNT, call.caller.principal))
        replay_id = uuid.uuid4().hex
        document = json.dumps(wanted_document(period, wanted.basis, proposals), ensure_ascii=False)
        who = call.caller.principal, call.caller.name
        row = await connection.fetchrow(INSERT, replay_id, *who, facility_ids, document, KEPT)
        await connection.execute(INSERT_PARTS, replay_id, facility_ids)
        after = {"facility_ids": facility_ids, **body.model_dump(mode="json", include={"start_date", "end_date"})}
        after |= {"settings": wanted.basis.value, "proposals": len(proposals)}
        await audit(connection, call.actor, Action.REPLAY_CREATED, f"replay:{replay_id}", after=after)
    return _replay(row)


@noun.get("/replays", Need.USER, Replays, is_list=True)
async def list_replays(call: Call, query: Paging) -> Rows:
    """One's own, the newest first; an Admin's are everybody's."""
    scope = call.caller.is_admin, call.caller.principal
    return await listed(call, REPLAYS, scope, Part.of(call, query), each(_replay), rows_in="replays")


@noun.get("/replays/{replay_id}", Need.USER, ReplayWithResults, statuses=(404,))
async def read_replay(call: Call, replay_id: str) -> ReplayWithResults:
    """How far it is, and what came of each facility so far."""
    async with call.database.transaction() as connection:
        row = await _seen(call, connection, replay_id)
        rows = await connection.fetch(PARTS, replay_id)
        sensors = {each["sensor_no"]: each["id"] for each in await connection.fetch(SENSORS, _numbers(rows))}
    replay = _replay(row)
    parts = [_part(one, sensors, is_cancelled=replay.state == "cancelled") for one in rows]
    results = [part.result for part in parts if part.result is not None]
    is_whole = len(results) == len(replay.facility_ids)
    return ReplayWithResults(
        **replay.model_dump(),
        is_same=all(result.is_same for result in results) if is_whole else None,
        alarms=_sum([result.alarms for result in results]) if is_whole else None,
        checksum=_checksum(results) if is_whole else None,
        parts=parts,
    )


@noun.delete("/replays/{replay_id}", Need.USER, Replay, statuses=(404,))
async def delete_replay(call: Call, replay_id: str) -> Replay:
    """Cancelled if it has not ended, and then it is kept with what came of it so far; else it is forgotten."""
    async with call.database.transaction() as connection:
        row = await _seen(call, connection, replay_id)
        if row["state"] in UNDER_WAY:  # one that ends meanwhile is kept: nobody has seen what came of it
            await connection.execute(CANCEL, replay_id)
            row = await _seen(call, connection, replay_id)
        else:
            await connection.execute(DELETE, replay_id)
    return _replay(row)


def _check_period(body: NewReplay) -> None:
    if body.end_date <= body.start_date:
        raise NotUsable.of("body", "end_date", "is not after start_date")
    if body.end_date - body.start_date > PERIOD_MAX:
        raise NotUsable.of("body", "end_date", f"is more than {PERIOD_MAX.days} days after start_date")


def _check_room(count: Any) -> None:
    said = None
    if count["own"] >= UNDER_WAY_PER_CALLER_MAX or count["of_all"] >= UNDER_WAY_MAX:
        said = (
            f"{count['own']} replays of yours are under way and {count['of_all']} in all; at most"
            f" {UNDER_WAY_PER_CALLER_MAX} and {UNDER_WAY_MAX} may be"
        )
    elif count["kept"] >= KEPT_PER_CALLER_MAX:
        said = (
            f"{count['kept']} replays of yours are kept, {KEPT_PER_CALLER_MAX} at most; delete some with DELETE"
            " /replays/{id}"
        )
    if said is not None:
        raise HttpRefusal(429, said, {"Retry-After": RETRY_AFTER_S})


async def _seen(call: Call, connection: Any, replay_id: str) -> Any:
    if "\x00" in replay_id:  # PostgreSQL has no such text
        raise NotFound("Replay")
    row = await connection.fetchrow(READ, call.caller.is_admin, call.caller.principal, replay_id)
    if row is None:
        raise NotFound("Replay")
    return row


def _replay(row: Any) -> Replay:
    wanted = json.loads(row["wanted"])
    return Replay(
        id=row["id"],
        facility_ids=row["facility_ids"],
        start_date=from_us(wanted["from_us"]),
        end_date=from_us(wanted["until_us"]),
        settings=wanted["basis"],
        proposals=wanted["proposals"],
        state=row["state"],
        progress=row["progress"],
        readings=row["readings"],
        asked_by=row["asked_by"],
        asked_by_name=row["asked_by_name"],
        created_at=row["asked_at"],
        ended_at=row["ended_at"],
        expires_at=row["expires_at"],
    )


def _numbers(parts: Sequence[Any]) -> list[int]:
    """Of the sensors and groups that differences are of: an alarm's key begins with it."""
    kept = [json.loads(part["result"])["differences"] for part in parts if part["result"] is not None]
    numbers = {one["alarm_key"].partition(":")[0] for differences in kept for one in differences}
    return [int(number) for number in numbers if number.isdecimal()]


def _part(row: Any, sensors: Mapping[int, str], *, is_cancelled: bool) -> ReplayPart:
    is_open = row["state"] in {"queued", "running"}
    return ReplayPart(
        facility_id=row["facility_id"],
        state="cancelled" if is_cancelled and is_open else row["state"],
        progress=row["progress"],
        readings=row["readings"],
        problem=row["problem"] or None,
        result=None if row["result"] is None else _result(json.loads(row["result"]), sensors),
    )


def _result(kept: Mapping[str, Any], sensors: Mapping[int, str]) -> ReplayResult:
    figures = {name: _figures(kept[name]) for name in ("before", "after")}
    differences = [_difference(one, sensors) for one in kept["differences"]]
    return ReplayResult.model_validate({**kept, **figures, "differences": differences})


def _figures(kept: Mapping[str, Any]) -> ReplayFigures:
    frequent = [FrequentAlarm(alarm_id=alarm_id, alarms=alarms) for alarm_id, alarms in kept["most_frequent"]]
    return ReplayFigures(alarms=kept["alarms"], by_priority=kept["by_priority"], most_frequent=frequent)


def _difference(kept: Mapping[str, Any], sensors: Mapping[int, str]) -> ReplayDifference:
    number = kept["alarm_key"].partition(":")[0]
    sensor_id = sensors.get(int(number)) if number.isdecimal() else None
    named = {
        "sensor_id": sensor_id,
        "alarm_id": kept["alarm_key"],
        "stored_at": kept["stored"],
        "replayed_at": kept["replayed"],
    }
    return ReplayDifference.model_validate({**kept, **named})


def _sum(counts: Sequence[AlarmDifferences]) -> AlarmDifferences:
    return AlarmDifferences(
        **{name: sum(getattr(one, name) for one in counts) for name in AlarmDifferences.model_fields}
    )


def _checksum(results: Sequence[ReplayResult]) -> str:
    """As `gasinsight replay` tells it."""
    return hashlib.sha256("".join(result.checksum for result in results).encode()).hexdigest()
