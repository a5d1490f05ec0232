"""Recomputes the buckets in which readings were stored. A bucket is a pure function of the stored readings.

Commits leave marks (facility, minute); a pass takes marks away and recomputes in one transaction. A mark becomes
visible with its readings, and the recomputation sees all that is committed when it starts, so nothing is missed; late
data is just another mark. One pass at a time: two could overwrite a newer bucket with an older one.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from engine.clock import US_PER_S
from engine.historian.queries import SQL

MARKS_MAX = 5_000
STATEMENT_S_MAX = 300.0
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400

Bucket = tuple[str, int]  # facility_id, start in us


async def rollup_pass(connection: Any) -> int:
    """Handle the oldest marks; how many, 0 when there are none or another pass runs."""
    async with connection.transaction():
        await connection.execute(f"SET LOCAL statement_timeout = '{STATEMENT_S_MAX:.0f}s'")
        if not await connection.fetchval(SQL["rollup_turn"]):
            return 0
        marks = await connection.fetch(SQL["rollup_marks_take"], MARKS_MAX)
        minutes = sorted({(row["facility_id"], row["minute"]) for row in marks}, key=lambda bucket: bucket[::-1])
        # Day by day, with the day's bounds as parameters, so that each statement opens one partition only.
        for day_us, of_day in groupby(minutes, key=lambda bucket: _floor(bucket[1], _DAY_S)):
            runs, end_us = _runs(of_day, _MINUTE_S), day_us + _DAY_S * US_PER_S
            await connection.execute(SQL["rollup_minutes"], *runs, day_us, end_us, timeout=STATEMENT_S_MAX)
        for width_s, narrower_s in ((_HOUR_S, _MINUTE_S), (_DAY_S, _HOUR_S)):
            buckets = {(facility_id, _floor(time_us, width_s)) for facility_id, time_us in minutes}
            if buckets:
                runs = _runs(buckets, width_s)
                await connection.execute(SQL["rollup_wider"], *runs, width_s, narrower_s, timeout=STATEMENT_S_MAX)
        return len(marks)


def _floor(time_us: int, width_s: int) -> int:
    return time_us - time_us % (width_s * US_PER_S)


def _runs(buckets: Iterable[Bucket], width_s: int) -> tuple[list[str], list[int], list[int]]:
    """Facility, start and end of buckets that follow one another; in order of time."""
    width_us = width_s * US_PER_S
    found: list[tuple[int, str, int]] = []
    for facility_id, start_us in sorted(buckets):
        if found and found[-1][1:] == (facility_id, start_us):
            found[-1] = (found[-1][0], facility_id, start_us + width_us)
        else:
            found.append((start_us, facility_id, start_us + width_us))
    found.sort()
    return [run[1] for run in found], [run[0] for run in found], [run[2] for run in found]
