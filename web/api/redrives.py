"""Set-aside input sent through the engine again, or deleted for good. For Admins.

What is redriven is moved into a table that the engine reads: from then on it is the engine's, which says what becomes
of it (docs/decisions/0110).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Final

from web.api.set_aside import IS_WHOLE, KIND, LETTERS_FIT, PARKED_FIT, queue_kinds
from web.audit import Action, audit
from web.auth.guard import Need
from web.contract.declare import Noun
from web.contract.set_aside_shapes import (
    AT_ONCE_MAX,
    BODY_BYTES_MAX,
    Chosen,
    Discarded,
    Left,
    NewDiscard,
    Redrive,
    Redriven,
    RedrivePage,
    RedriveQuery,
    SetAsideFilter,
    WhyLeft,
)
from web.errors import NotFound, NotUsable
from web.serving.call import Call
from web.serving.lists import AFTER_ALL_IDS, Part, Source, each, listed
from web.serving.rows import Rows

noun = Noun("redrives", "Set-aside input through the engine again")

_FITS: Final = {"dead_letters": LETTERS_FIT, "parked": PARKED_FIT}
_INTO = """
INSERT INTO redrives (redrive_id, asked_by, asked_by_name, origin, kind, source, queue, reason, detail, facility_id,
                      sensor_id, body, raw, digest)
"""
_KIND = KIND.format(names="$5", kinds="$6")
MOVE_LETTERS = f"""
WITH moved AS (DELETE FROM dead_letters WHERE id = ANY($1) AND {IS_WHOLE} AND {_KIND} IS NOT NULL RETURNING *),
taken AS ({_INTO}
    SELECT $2, $3, $4, 'dead_letters', {_KIND}, source, queue, reason, detail, facility_id, sensor_id, body, raw, digest
      FROM moved ORDER BY id)
SELECT id FROM moved
"""  # noqa: S608
# Put back, it is a dead letter as one that waited too long is.
MOVE_PARKED = f"""
WITH moved AS (DELETE FROM parked WHERE id = ANY($1) AND kind <> 'refused' RETURNING *),
taken AS ({_INTO}
    SELECT $2, $3, $4, 'parked', CASE kind WHEN 'reading' THEN 'data' ELSE kind END, 'parked', '', reason, '',
           facility_id, sensor_id, body, NULL, digest
      FROM moved ORDER BY id)
SELECT id FROM moved
"""  # noqa: S608
WHY_LEFT = f"SELECT id, {IS_WHOLE} AS is_whole FROM dead_letters WHERE id = ANY($1)"  # noqa: S608
LIST = """
SELECT id, redrive_id, origin, kind, source, queue, reason, facility_id, sensor_id, state, outcome, asked_by,
       asked_by_name, asked_at, ended_at
  FROM redrives
"""
_SEEN = "($1::text IS NULL OR redrive_id = $1) AND ($2::text IS NULL OR state = $2)"
REDRIVES = Source(
    f"{LIST} WHERE {_SEEN} AND id < $3 ORDER BY id DESC OFFSET $4 LIMIT $5",
    f"SELECT count(*) FROM redrives WHERE {_SEEN}",  # noqa: S608
    ("id",),
    (AFTER_ALL_IDS,),
)


@noun.post("/redrives", Need.ADMIN, Redriven, statuses=(401, 403, 404, 422), body_bytes_max=BODY_BYTES_MAX)
async def create_redrive(call: Call, query: SetAsideFilter, body: Chosen) -> Redriven:
    """It goes through the engine as a message that comes now. While its cause stands it becomes the one dead letter
    again that it was; what was stored meanwhile is not stored twice. `GET /redrives` tells of each row.
    """
    redrive_id = uuid.uuid4().hex
    async with call.database.transaction() as connection:
        ids = await _chosen(connection, query, body)
        who = redrive_id, call.caller.principal, call.caller.name
        if body.origin == "dead_letters":
            moved = await connection.fetch(MOVE_LETTERS, ids, *who, *queue_kinds(call))
        else:
            moved = await connection.fetch(MOVE_PARKED, ids, *who)
        taken = sorted(row["id"] for row in moved)
        left = await _left(connection, body.origin, sorted({*(body.ids or ids)} - set(taken)), set(ids))
        if not taken and all(one.why == "gone" for one in left):
            raise NotFound("Set-aside input")
        after = {"origin": body.origin, "ids": taken, "left": len(left)}
        await audit(connection, call.actor, Action.INPUT_REDRIVEN, f"redrive:{redrive_id}", after=after)
    return Redriven(redrive_id=redrive_id, taken=len(taken), left=left)


@noun.get("/redrives", Need.ADMIN, RedrivePage, statuses=(401, 403, 422), is_list=True)
async def list_redrives(call: Call, query: RedriveQuery) -> Rows:
    """Each row that was redriven, and what became of it; newest first. Forgotten after DEAD_LETTERS_DAYS_MAX."""
    scope = query.redrive_id, query.redrive_state
    return await listed(
        call, REDRIVES, scope, Part.of(call, query), each(lambda row: Redrive(**row)), rows_in="redrives"
    )


@noun.post("/discards", Need.ADMIN, Discarded, statuses=(401, 403, 404, 422), body_bytes_max=BODY_BYTES_MAX)
async def create_discard(call: Call, query: SetAsideFilter, body: NewDiscard) -> Discarded:
    """Deleted for good; the audit log keeps who did it, why, and which they were."""
    async with call.database.transaction() as connection:
        ids = await _chosen(connection, query, body)
        rows = await connection.fetch(
            f"DELETE FROM {body.origin} WHERE id = ANY($1) RETURNING id",  # noqa: S608 - one of two names
            ids,
        )
        gone = sorted(row["id"] for row in rows)
        if not gone:
            raise NotFound("Set-aside input")
        before = {"origin": body.origin, "ids": gone}
        await audit(
            connection, call.actor, Action.INPUT_DELETED, f"input:{body.origin}", before=before,
            after={"reason": body.reason},
        )  # fmt: skip
    return Discarded(deleted=len(gone))


async def _chosen(connection: Any, query: SetAsideFilter, body: Chosen) -> list[int]:
    """Ids of the rows that are meant: those given, and of them those that fit the query."""
    if body.ids is None and not any(query.scope):
        raise NotUsable.of("body", "ids", "say which: ids, or a filter in the query")
    fits = f"SELECT id FROM {body.origin} WHERE {_FITS[body.origin]}"  # noqa: S608 - one of two names
    if body.ids is not None:
        if not any(query.scope):
            return body.ids
        rows = await connection.fetch(f"{fits} AND id = ANY($6)", *query.scope, body.ids)
    else:
        rows = await connection.fetch(f"{fits} ORDER BY id LIMIT $6", *query.scope, AT_ONCE_MAX + 1)
    if len(rows) > AT_ONCE_MAX:
        raise NotUsable.of("query", "", f"more than {AT_ONCE_MAX} fit, the most at once: say less")
    return [row["id"] for row in rows]


async def _left(connection: Any, origin: str, ids: Sequence[int], fitting: set[int]) -> list[Left]:
    if not ids:
        return []
    found = {}
    if origin == "dead_letters":
        found = {row["id"]: row["is_whole"] for row in await connection.fetch(WHY_LEFT, ids)}

    def why(one: int) -> WhyLeft:
        if one not in fitting:
            return "does not fit"
        return "gone" if one not in found else "unknown queue" if found[one] else "not whole"

    return [Left(id=one, why=why(one)) for one in ids]
