"""How long the commit log is kept: what a replay may ask for, and what a load needs."""

from __future__ import annotations

import asyncpg
import pytest

from engine.clock import US_PER_S
from engine.historian.maintenance import Did, maintain, opened, planned
from engine.retention import Retention
from engine.settings import Settings

pytestmark = pytest.mark.postgres

DAY_US = 86_400 * US_PER_S
NOW_US = 1_780_000_000 * US_PER_S
LIVED = """
INSERT INTO locations (longitude, latitude) VALUES (10, 59);
INSERT INTO facilities SELECT 'f', 'Alpha', 'Active', 'TankFarm', id, now() FROM locations;
INSERT INTO facility_commits SELECT 'f', number, 'tick', '', now() FROM generate_series(1, 6) number;
INSERT INTO checkpoints VALUES ('f', 5, 1, '', now());
"""


@pytest.mark.parametrize(
    ("days", "log", "kept"), [(35, [3, 4, 5, 6], [2, 4]), (36, [1, 2, 3, 4, 5, 6], [2, 4]), (0, [6], [])]
)
async def test_the_log_is_kept_from_the_last_state_of_before(
    database_url: str, days: int, log: list[int], kept: list[int]
) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(LIVED)
    for commit_no, age_days in ((2, 36), (4, 1)):
        at_s = (NOW_US - age_days * DAY_US) // US_PER_S
        await connection.execute(
            "INSERT INTO kept_checkpoints VALUES ('f', $1, 1, '', false, to_timestamp($2::int8))", commit_no, at_s
        )
    told: list[Did] = []
    retention = Retention(400, {}, {}, days)
    async with opened(database_url, Settings(_env_file=None)) as keeper:
        await planned(keeper, retention, NOW_US, told.append)
        would = [each for each in told if each.what == "log_trimmed"]
        told.clear()
        await maintain(keeper, retention, NOW_US, told.append)
    assert [each for each in told if each.what == "log_trimmed"] == would
    assert sum(each.rows for each in would) == 6 - len(log)
    rows = await connection.fetch("SELECT commit_no FROM facility_commits ORDER BY commit_no")
    assert [row["commit_no"] for row in rows] == log
    points = await connection.fetch("SELECT commit_no FROM kept_checkpoints ORDER BY commit_no")
    assert [row["commit_no"] for row in points] == kept
    await connection.close()
