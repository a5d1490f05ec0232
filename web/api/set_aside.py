"""Input that has no effect (yet): parked until its parent arrives, or given up with a reason. For Admins.

What one can do about it is in web/api/redrives.py.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Final

from web.auth.guard import Need
from web.contract.declare import Noun
from web.contract.set_aside_shapes import (
    DeadLetter,
    DeadLetterPage,
    DeadLetterWhole,
    Parked,
    ParkedPage,
    SetAsideQuery,
)
from web.errors import NotFound
from web.serving.call import Call
from web.serving.lists import AFTER_ALL_IDS, Part, Source, each, listed
from web.serving.rows import Rows

noun = Noun("intake", "Input that waits or was given up")

FITS = """
($1::text IS NULL OR facility_id = $1) AND ($2::text IS NULL OR sensor_id = $2)
   AND ($3::text IS NULL OR reason = $3)
   AND ($4::timestamptz IS NULL OR {at} >= $4) AND ($5::timestamptz IS NULL OR {at} < $5)
"""
"""The scope of a SetAsideFilter; `at`: the column of when it was set aside."""
# Earlier versions parked refused rows; the engine moves those to the dead letters.
PARKED_FIT = f"kind <> 'refused' AND {FITS.format(at='parked_at')}"
LETTERS_FIT = FITS.format(at="recorded_at")
_PARKED = "SELECT id, kind, facility_id, sensor_id, tracked_at, body, reason, parked_at FROM parked"
PARKED = Source(
    f"{_PARKED} WHERE {PARKED_FIT} AND id < $6 ORDER BY id DESC OFFSET $7 LIMIT $8",
    f"SELECT count(*) FROM parked WHERE {PARKED_FIT}",  # noqa: S608 - parts of this file
    ("id",),
    (AFTER_ALL_IDS,),
)
_LETTERS = "SELECT id, source, queue, reason, detail, body, facility_id, sensor_id, recorded_at"
DEAD_LETTERS = Source(
    f"{_LETTERS} FROM dead_letters WHERE {LETTERS_FIT} AND id < $6 ORDER BY id DESC OFFSET $7 LIMIT $8",
    f"SELECT count(*) FROM dead_letters WHERE {LETTERS_FIT}",  # noqa: S608
    ("id",),
    (AFTER_ALL_IDS,),
)

EXCERPT_SURE: Final = 4_090
"""Bytes of a body that is shorter than any that was cut, also in the middle of a character."""
IS_WHOLE = f"(raw IS NOT NULL OR (octet_length(body) < {EXCERPT_SURE} AND position(U&'\\FFFD' IN body) = 0))"
# A message goes by its queue ({names}, {kinds}: what the queues of this installation carry), a row is a reading, and
# the rest are bodies that we wrote ourselves: no value in them can hold a bare quote.
KIND = """
CASE source WHEN 'bus' THEN ({kinds}::text[])[array_position({names}::text[], queue)] WHEN 'row' THEN 'data'
    ELSE CASE WHEN position('"facility_name":' IN body) > 0 THEN 'setup'
              WHEN position('"sensor_type":' IN body) > 0 THEN 'activation'
              WHEN position('"data":' IN body) > 0 THEN 'data' ELSE 'deactivation' END END
"""
READ_LETTER = f"""
{_LETTERS}, raw, {IS_WHOLE} AS is_whole, {KIND.format(names="$2", kinds="$3")} AS kind FROM dead_letters WHERE id = $1
"""
READ_PARKED = f"{_PARKED} WHERE id = $1 AND kind <> 'refused'"


@noun.get("/parked", Need.ADMIN, ParkedPage, statuses=(401, 403, 422), is_list=True)
async def list_parked(call: Call, query: SetAsideQuery) -> Rows:
    """What waits for its facility or sensor; newest first."""
    shape = each(lambda row: Parked(**row))
    return await listed(call, PARKED, query.scope, Part.of(call, query), shape, rows_in="parked")


@noun.get("/parked/{parked_id}", Need.ADMIN, Parked, statuses=(401, 403, 404))
async def read_parked(call: Call, parked_id: int) -> Parked:
    """One of them; its body is whole."""
    row = await call.database.row(READ_PARKED, parked_id)
    if row is None:
        raise NotFound("Parked row")
    return Parked(**row)


@noun.get("/dead-letters", Need.ADMIN, DeadLetterPage, statuses=(401, 403, 422), is_list=True)
async def list_dead_letters(call: Call, query: SetAsideQuery) -> Rows:
    """What will never take effect: messages moved to a dead-letter queue (`source` bus), bad rows of good messages
    (row), what waited too long (parked), and what is good and found no place (refused); newest first.
    """
    shape = each(lambda row: DeadLetter(**row))
    return await listed(call, DEAD_LETTERS, query.scope, Part.of(call, query), shape, rows_in="dead_letters")


@noun.get("/dead-letters/{letter_id}", Need.ADMIN, DeadLetterWhole, statuses=(401, 403, 404))
async def read_dead_letter(call: Call, letter_id: int) -> DeadLetterWhole:
    """One of them, with all that is kept of what came."""
    queues = queue_kinds(call)
    row = await call.database.row(READ_LETTER, letter_id, *queues)
    if row is None:
        raise NotFound("Dead letter")
    shown = {name: row[name] for name in DeadLetter.model_fields}
    content, encoding = _content(row)
    redriven_as = row["kind"] if row["is_whole"] else None
    return DeadLetterWhole.model_validate(
        {**shown, "content": content, "encoding": encoding, "is_whole": row["is_whole"], "redriven_as": redriven_as}
    )


def queue_kinds(call: Call) -> tuple[list[str], list[str]]:
    """Names of the queues, and what each carries."""
    queues = call.services.settings.queues
    return list(queues.values()), list(queues)


def _content(row: Any) -> tuple[str, str]:
    if row["raw"] is None:
        return row["body"], "text"
    try:
        return row["raw"].decode(), "text"
    except UnicodeDecodeError:
        return b64encode(row["raw"]).decode(), "base64"
