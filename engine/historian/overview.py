"""The state of an installation as its database tells it, for `gasinsight status`, which is not the engine."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from engine.errors import StoreUnavailable
from engine.historian.connecting import connect, connect_s_max
from engine.historian.connection import translated_errors

ANSWER_S_MAX = 4.0

_STATUS = """
SELECT component, state, extract(epoch FROM clock_timestamp() - updated_at)::float8 AS age_s FROM engine_status
"""
_FACILITIES = """
SELECT facilities.id, facilities.name, facilities.status,
    (SELECT count(*) FROM sensors WHERE sensors.facility_id = facilities.id) AS sensors,
    (SELECT count(*) FROM alarms WHERE alarms.facility_id = facilities.id AND active) AS active_alarms,
    (SELECT count(*) FROM parked WHERE parked.facility_id = facilities.id AND kind <> 'refused') AS parked,
    extract(epoch FROM clock_timestamp() - greatest(
        (SELECT recorded_at FROM facility_commits WHERE facility_commits.facility_id = facilities.id
            ORDER BY commit_no DESC LIMIT 1),
        (SELECT recorded_at FROM checkpoints WHERE checkpoints.facility_id = facilities.id)
    ))::float8 AS last_commit_age_s
FROM facilities ORDER BY facilities.name, facilities.id LIMIT $1
"""
_COUNTS = """
SELECT (SELECT count(*) FROM facilities) AS facilities, (SELECT count(*) FROM sensors) AS sensors,
    (SELECT count(*) FROM alarms WHERE active) AS active_alarms,
    (SELECT count(*) FROM parked WHERE kind <> 'refused') AS parked,
    (SELECT count(*) FROM dead_letters) AS dead_letters
"""


@dataclass(frozen=True, slots=True)
class Overview:
    """`components`: engine_status by component, each with `age_s`; `facilities`: at most as many as asked for.

    `error`: why nothing else is known.
    """

    server_version: str
    components: dict[str, dict[str, Any]]
    facilities: list[dict[str, Any]]
    counts: dict[str, int]
    error: str | None = None


async def read_overview(database_url: str, facilities_max: int) -> Overview:
    """Raises StoreUnavailable when the database does not answer, soon also when it hangs."""
    answer_s_max = max(ANSWER_S_MAX, connect_s_max(database_url))
    async with translated_errors("cannot read the state of the installation"):
        try:
            async with asyncio.timeout(answer_s_max):
                return await _read(database_url, facilities_max)
        except TimeoutError:
            raise StoreUnavailable(f"PostgreSQL has not answered for {answer_s_max:g} s") from None


async def _read(database_url: str, facilities_max: int) -> Overview:
    connection = await connect(database_url, command_timeout=ANSWER_S_MAX)
    try:
        version = connection.get_server_version()
        return Overview(
            f"{version.major}.{version.minor}",
            {
                row["component"]: {**json.loads(row["state"]), "age_s": row["age_s"]}
                for row in await connection.fetch(_STATUS)
            },
            [dict(row) for row in await connection.fetch(_FACILITIES, facilities_max)],
            dict(await connection.fetchrow(_COUNTS)),
        )
    finally:
        connection.terminate()
