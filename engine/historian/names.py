"""Names that two users have, which one of them signs in by: for `gasinsight doctor`."""

from __future__ import annotations

from engine.historian.connecting import connect
from engine.historian.connection import translated_errors

CLASHES = """
SELECT waits.name, waits.user_id, holds.user_id AS holder_id
  FROM sign_in_names waits JOIN sign_in_names holds ON holds.name_hash = waits.name_hash AND holds.is_held
 WHERE NOT waits.is_held AND holds.user_id <> waits.user_id
 ORDER BY waits.user_id, waits.name
"""


async def clashing_names(database_url: str) -> list[tuple[str, int, int]]:
    """Each name that somebody does not sign in by, whose it is, and the user who does."""
    async with translated_errors("asking for the names of users"):
        connection = await connect(database_url)
        try:
            return [tuple(row) for row in await connection.fetch(CLASHES)]
        finally:
            await connection.close()
