"""What one shift tells the next about a facility. Written once and never changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from web.api.histories import Beginning, End
from web.audit import Action, audit
from web.auth.guard import Need
from web.contract.declare import FEW_FIELDS_BYTES_MAX, Noun
from web.contract.report_shapes import NOTE_MAX, NewShiftNote, ShiftNote, ShiftNotes
from web.errors import HttpRefusal, NotFound
from web.serving.call import Call

noun = Noun("shift-notes", "What one shift tells the next")

NOTES_MAX = 500
NOTE_BYTES_MAX = 6 * NOTE_MAX + FEW_FIELDS_BYTES_MAX
"""However its characters are escaped."""
LOCK_FACILITY = "SELECT retired_at FROM facilities WHERE id = $1 FOR NO KEY UPDATE"
WRITE = """
INSERT INTO shift_notes (facility_id, author, author_name, note) VALUES ($1, $2, $3, $4)
RETURNING id, facility_id, written_at, author, author_name, note
"""
READ = """
SELECT n.id, n.facility_id, n.written_at, n.author, n.author_name, n.note FROM shift_notes n
 WHERE ($1 OR n.facility_id IN (SELECT facility_id FROM facility_rights WHERE principal = $2))
   AND (cardinality($3::text[]) = 0 OR n.facility_id = ANY($3::text[]))
   AND ($4::timestamptz IS NULL OR n.written_at >= $4) AND ($5::timestamptz IS NULL OR n.written_at <= $5)
 ORDER BY n.id DESC LIMIT $6
"""


class NotesQuery(BaseModel):
    """By when they were written."""

    facility_id: list[str] = []
    start_date: Beginning | None = None
    end_date: End | None = None
    limit: int = Field(100, ge=1, le=NOTES_MAX)


@noun.post(
    "/shift-notes/{facility_id}",
    Need.EDIT,
    ShiftNote,
    statuses=(401, 403, 404, 409, 422),
    body_bytes_max=NOTE_BYTES_MAX,
)
async def write_note(call: Call, facility_id: str, body: NewShiftNote) -> ShiftNote:
    """A note for those who come next."""
    async with call.database.transaction() as connection:
        facility = await connection.fetchrow(LOCK_FACILITY, facility_id)
        if facility is None:
            raise NotFound("Facility")
        if facility["retired_at"] is not None:
            raise HttpRefusal(409, "The facility is retired")
        row = await connection.fetchrow(WRITE, facility_id, call.caller.principal, call.caller.name, body.note)
        note = ShiftNote(**row)
        about = {"id": note.id, "note": note.note}
        await audit(connection, call.actor, Action.SHIFT_NOTED, f"facility:{facility_id}", after=about)
    return note


@noun.get("/shift-notes", Need.VIEW, ShiftNotes, statuses=(401, 403, 404, 422))
async def list_notes(call: Call, query: NotesQuery) -> ShiftNotes:
    """The newest, of those facilities or of all that the caller may view."""
    rows = await notes_of(call, query.facility_id, query.start_date, query.end_date, query.limit)
    return ShiftNotes(notes=[ShiftNote(**row) for row in rows])


async def notes_of(
    call: Call, facility_ids: list[str], start: datetime | None, end: datetime | None, limit: int
) -> list[Any]:
    """Rows with the fields of ShiftNote, the newest first."""
    return await call.database.rows(READ, call.caller.is_admin, call.caller.principal, facility_ids, start, end, limit)
