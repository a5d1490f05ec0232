"""Input that has no effect (yet): parked until its parent arrives, or given up with a reason. For Admins."""

from __future__ import annotations

from web.auth.guard import Need
from web.contract.declare import Noun
from web.contract.shapes import DeadLetter, DeadLetterPage, Paging, Parked, ParkedPage
from web.serving.call import Call
from web.serving.lists import AFTER_ALL_IDS, Part, Source, each, listed
from web.serving.rows import Rows

noun = Noun("intake", "Input that waits or was given up")

# Earlier versions parked refused rows; the engine moves those to the dead letters.
LIST_PARKED = """
SELECT id, kind, facility_id, sensor_id, tracked_at, body, reason, parked_at
  FROM parked
 WHERE kind <> 'refused' AND id < $1
 ORDER BY id DESC
OFFSET $2 LIMIT $3
"""
PARKED = Source(LIST_PARKED, "SELECT count(*) FROM parked WHERE kind <> 'refused'", ("id",), (AFTER_ALL_IDS,))
LIST_DEAD_LETTERS = """
SELECT id, source, queue, reason, detail, body, facility_id, sensor_id, recorded_at
  FROM dead_letters
 WHERE id < $1
 ORDER BY id DESC
OFFSET $2 LIMIT $3
"""
DEAD_LETTERS = Source(LIST_DEAD_LETTERS, "SELECT count(*) FROM dead_letters", ("id",), (AFTER_ALL_IDS,))


@noun.get("/parked", Need.ADMIN, ParkedPage, statuses=(401, 403, 422), is_list=True)
async def list_parked(call: Call, query: Paging) -> Rows:
    """What waits for its facility or sensor; newest first."""
    return await listed(call, PARKED, (), Part.of(call, query), each(lambda row: Parked(**row)), rows_in="parked")


@noun.get("/dead-letters", Need.ADMIN, DeadLetterPage, statuses=(401, 403, 422), is_list=True)
async def list_dead_letters(call: Call, query: Paging) -> Rows:
    """What will never take effect: messages moved to a dead-letter queue (`source` bus), bad rows of good messages
    (row), what waited too long (parked), and what is good and found no place (refused); newest first.
    """
    shape = each(lambda row: DeadLetter(**row))
    return await listed(call, DEAD_LETTERS, (), Part.of(call, query), shape, rows_in="dead_letters")
