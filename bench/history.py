"""Days of readings as production has them: a partition a day, in the order in which they came, rolled up by day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from bench.report import Say
from bench.site import insert_sensors

BEGIN = datetime(2026, 10, 1, tzinfo=UTC)
FACILITIES, SENSORS = 10, 1000
EVERY = timedelta(minutes=1)
_DAY = timedelta(days=1)
_FILL_S_MAX = 600.0

ADD_PARTITION = "CREATE TABLE sensor_records_{0:%Y%m%d} PARTITION OF sensor_records FOR VALUES FROM ('{0}') TO ('{1}')"
# Every sensor once a minute, not all at the same moment; some without a score, some late.
ADD_READINGS = """
INSERT INTO sensor_records (sensor_no, tracked_at, value, score, flags)
SELECT sensor_no, at + (sensor_no - $4::int) * interval '37 ms',
       round((20 + 5 * sin(extract(epoch FROM at) / 9000) + random())::numeric, 2)::float8,
       CASE WHEN random() < 0.9 THEN 3 * random() END, CASE WHEN random() < 0.02 THEN 1 ELSE 0 END
  FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 us', $3::interval) at
       CROSS JOIN LATERAL generate_series($4::int, $5::int + 0 * extract(epoch FROM at)::int) sensor_no
"""
ADD_DAYS = """
INSERT INTO reading_rollups (sensor_no, width_s, bucket, n, sum, sum_sq, min, max, first, last, readings, good)
SELECT sensor_no, 86400, date_trunc('day', tracked_at), count(*), sum(value), sum(value * value), min(value),
       max(value), min(value), max(value), count(*), count(*)
  FROM sensor_records GROUP BY sensor_no, date_trunc('day', tracked_at)
"""


def end_of(rows: int) -> datetime:
    """The moment before which so many readings lie, whole minutes of all sensors."""
    return BEGIN + rows // SENSORS * EVERY


async def fill(database: Any, rows: int, say: Say) -> None:
    """`database` is a connection in UTC. Sets up the sensors too."""
    say(f"{rows:,} readings of {SENSORS:,} sensors, one a minute each")
    sensors = {
        f"sensor-{n:04}": (f"facility-{n * FACILITIES // SENSORS:02}", "Temperature", EVERY.seconds)
        for n in range(SENSORS)
    }
    numbers = sorted((await insert_sensors(database, sensors)).values())
    begin, end = BEGIN, end_of(rows)
    while begin < end:
        await database.execute(ADD_PARTITION.format(begin, begin + _DAY))
        until = min(end, begin + _DAY)
        await database.execute(ADD_READINGS, begin, until, EVERY, numbers[0], numbers[-1], timeout=_FILL_S_MAX)
        begin += _DAY
    await database.execute(ADD_DAYS, timeout=_FILL_S_MAX)
    await database.execute("VACUUM ANALYZE", timeout=_FILL_S_MAX)
