"""`gasinsight db maintain` as a process of its own: what it tells, changes, and leaves behind when it is killed."""

from __future__ import annotations

import datetime as dt
import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from engine import faultpoints
from engine.clock import US_PER_S, SystemClock
from engine.historian.historian import Historian
from engine.historian.partitions import day_of, make_day, partition_name, start_us
from engine.model import SensorType
from engine.settings import Settings
from tests.integration.gasinsight import gasinsight
from tests.integration.historian.outcomes import Reading, committed, facility_of_types, outcome

pytestmark = pytest.mark.postgres
RETENTION = {
    "RETENTION_DAYS": "20",
    "RETENTION_DAYS_BY_TYPE": "GasDetection=40,Vibration=5",
    "MINUTE_ROLLUPS_DAYS": "50",
}
STATE = {
    "readings": "SELECT tableoid::regclass::text, * FROM sensor_records ORDER BY sensor_no, tracked_at",
    "days": "SELECT c.relname FROM pg_class c WHERE c.relkind = 'r' AND c.relname LIKE 'sensor_records%' ORDER BY 1",
    "rollups": "SELECT * FROM reading_rollups ORDER BY 1, 2, 3",
    "marks": "SELECT facility_id, minute FROM rollup_dirty ORDER BY 1, 2",
    "letters": "SELECT reason, detail, body, sensor_id FROM dead_letters ORDER BY body",
    "floors": "SELECT * FROM retention_floors ORDER BY sensor_type",
}


def ago(days: int) -> dt.date:
    return day_of(SystemClock().now_us()) - dt.timedelta(days=days)


async def plant(database_url: str) -> None:
    """Something for each step: days to drop, to thin out and to write anew, strays young and old, rollups."""
    historian = await Historian.open(database_url, Settings(_env_file=None), SystemClock())
    types = [SensorType.GAS_DETECTION, SensorType.VIBRATION, SensorType.NOISE]
    state, numbers = await facility_of_types(historian, "f", types)
    database = await asyncpg.connect(database_url)
    for days in (60, 45, 30, 7):
        await make_day(database, ago(days))
    moments = [start_us(ago(days)) + 43_200 * US_PER_S for days in (60, 45, 30, 7, 3)]
    rows: list[Reading] = [(no, at_us, 1.5, None) for at_us in moments for no in numbers]
    await committed(historian, outcome(state, 3, [*rows, (numbers[0], 0, 1.0, None)]))
    await historian.close()
    await database.execute(
        f"INSERT INTO {partition_name(ago(7))} "
        "SELECT $1, $2::timestamptz + number * interval '1 second', number, NULL, 0, 0 "
        "FROM generate_series(1, 30000) number",
        numbers[1],
        dt.datetime.combine(ago(7), dt.time(), dt.UTC),
    )
    await database.close()


async def state_of(database_url: str) -> dict[str, list[tuple[Any, ...]]]:
    database = await asyncpg.connect(database_url)
    state = {name: [tuple(row) for row in await database.fetch(query)] for name, query in STATE.items()}
    await database.close()
    return state


def maintained(database_url: str, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return gasinsight("db", "maintain", "--json", *words, database_url=database_url, **RETENTION, **more)


def told(run: subprocess.CompletedProcess[str]) -> list[tuple[str, str, int]]:
    assert run.returncode == 0, run.stderr
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    return [(each["event"], each["name"], each["rows"]) for each in lines if "rows" in each]


async def test_a_dry_run_tells_what_a_run_does_and_changes_nothing(database_url: str) -> None:
    await plant(database_url)
    before = await state_of(database_url)
    dry = maintained(database_url, "--dry-run")
    assert await state_of(database_url) == before
    assert told(dry) == [
        ("set_aside", "sensor_records_default", 1),
        ("made", partition_name(ago(3)), 3),
        ("dropped", partition_name(ago(60)), 0),
        ("dropped", partition_name(ago(45)), 0),
        ("expired", partition_name(ago(30)), 2),
        ("expired", partition_name(ago(7)), 30_001),
    ]
    run = maintained(database_url)
    done = [each for each in told(run) if each[0] not in {"given_back", "rollups_expired"}]
    assert done == told(dry)
    assert [each[:2] for each in told(run) if each[0] == "given_back"] == [("given_back", partition_name(ago(7)))]
    assert [each for each in told(run) if each[0] == "rollups_expired"] == [("rollups_expired", "60 s", 4)]
    assert told(maintained(database_url)) == []
    *listed, sizes = (json.loads(line) for line in maintained(database_url, "--dry-run").stdout.splitlines())
    assert (sizes["event"], sizes["days"], sizes["bytes"]) == ("sizes", 12, sum(each["bytes"] for each in listed))


async def test_text_says_it_in_sentences(database_url: str) -> None:
    await plant(database_url)
    run = gasinsight("db", "maintain", database_url=database_url, **RETENTION)
    assert run.returncode == 0, run.stderr
    assert f"{partition_name(ago(7))}: 30,001 readings removed (Vibration)" in run.stdout
    assert "sensor_records_default: 1 readings of before the retention are dead letters" in run.stdout


@pytest.mark.parametrize("point", sorted(faultpoints.MAINTENANCE_POINTS))
async def test_a_run_that_is_killed_is_finished_by_the_next(database_url: str, tmp_path: Path, point: str) -> None:
    await plant(database_url)
    (tmp_path / point).write_text("kill")
    killed = maintained(database_url, **{faultpoints.ENVIRONMENT: str(tmp_path)})
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    told(maintained(database_url))
    state = await state_of(database_url)
    assert told(maintained(database_url)) == []
    assert await state_of(database_url) == state
    whole = [partition_name(ago(days)) for days in (30, 7, 3, 1, 0, -1, -2, -3, -4, -5, -6, -7)]
    assert [name for (name,) in state["days"]] == [*whole, "sensor_records_default"]
    kept = {(row[0], row[1]) for row in state["readings"]}
    first = min(row[1] for row in state["readings"])
    of_day = {7: (0, 2), 3: (0, 1, 2), 30: (0,)}
    assert kept == {(partition_name(ago(days)), first + number) for days, those in of_day.items() for number in those}
    assert len(state["readings"]) == 6
    assert [row[0] for row in state["letters"]] == ["before_retention"]
    assert state["marks"] == []
    assert all(row[1] == row[2] == row[3] for row in state["floors"])
    widths = [row[1] for row in state["rollups"]]
    assert {width: widths.count(width) for width in widths} == {60: 12, 3600: 16, 86_400: 16}
