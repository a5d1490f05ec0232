"""Input that has no effect (yet): parked until its parent arrives, or given up with a reason. For Admins."""

from __future__ import annotations

from web.auth.guard import Need
from web.contract.declare import Noun
from web.contract.shapes import DeadLetter, DeadLetterPage, Paging, Parked, ParkedPage
from web.serving.call import Call

noun = Noun("intake", "Input that waits or was given up")

# Earlier versions parked refused rows; the engine moves those to the dead letters.
LIST_PARKED = """
SELECT id, kind, facility_id, sensor_id, tracked_at, body, reason, parked_at
  FROM parked
 WHERE kind <> 'refused'
 ORDER BY id DESC
OFFSET $1 LIMIT $2
"""
COUNT_PARKED = "SELECT count(*) FROM parked WHERE kind <> 'refused'"
LIST_DEAD_LETTERS = """
SELECT id, source, queue, reason, detail, body, facility_id, sensor_id, recorded_at
  FROM dead_letters
 ORDER BY id DESC
OFFSET $1 LIMIT $2
"""
COUNT_DEAD_LETTERS = "SELECT count(*) FROM dead_letters"


@noun.get("/parked", Need.ADMIN, ParkedPage, statuses=(401, 403, 422))
async def list_parked(call: Call, query: Paging) -> ParkedPage:
    """What waits for its facility or sensor; newest first."""
    rows = await call.database.rows(LIST_PARKED, query.offset, query.rows_max)
    total = await call.database.value(COUNT_PARKED)
    return ParkedPage(parked=[Parked(**row) for row in rows], total=total)


@noun.get("/dead-letters", Need.ADMIN, DeadLetterPage, statuses=(401, 403, 422))
async def list_dead_letters(call: Call, query: Paging) -> DeadLetterPage:
    """What will never take effect: messages moved to a dead-letter queue (`source` bus), bad rows of good messages
    (row), and what waited too long (parked); newest first.
    """
    rows = await call.database.rows(LIST_DEAD_LETTERS, query.offset, query.rows_max)
    total = await call.database.value(COUNT_DEAD_LETTERS)
    return DeadLetterPage(dead_letters=[DeadLetter(**row) for row in rows], total=total)
