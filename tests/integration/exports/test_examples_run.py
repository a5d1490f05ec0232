"""The scripts in examples/ run against a real database, and say what is so."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from bench.site import insert_sensors
from native import Flag

pytestmark = pytest.mark.postgres
ROOT = Path(__file__).parents[3]
NOW = datetime.now(UTC)
SENSORS = {
    "in-1": ("north", "Flow", 600),
    "in-2": ("north", "Flow", 600),
    "out-1": ("north", "Flow", 600),
    "p-1": ("north", "Pressure", 600),
    "e-1": ("empty", "Pressure", 600),
}


@pytest_asyncio.fixture
async def stored(database_url: str) -> str:
    """Two days every ten minutes; a pressure that exceeds 60 twice and 70 once, and half an hour in which gas leaks."""
    database: Any = await asyncpg.connect(database_url)
    numbers = await insert_sensors(database, SENSORS)
    begin = (NOW - timedelta(days=2)).replace(minute=0, second=0, microsecond=0)
    rows = []
    for step in range(2 * 144):
        at = begin + timedelta(minutes=10 * step)
        out = 70.0 if 120 <= step < 126 else 100.0
        pressure = 75.0 if 60 <= step < 65 else 65.0 if 200 <= step < 203 else 50.0
        anomalous = int(Flag.ANOMALY) if 58 <= step < 65 else 0
        values = {"in-1": 60.0, "in-2": 40.0, "out-1": out, "p-1": pressure}
        rows += [
            (numbers[name], at, value, None, 1.0, anomalous if name == "p-1" else 0) for name, value in values.items()
        ]
    await database.copy_records_to_table("sensor_records", records=rows)
    for number, (transition, step) in enumerate([("activated", 60), ("returned", 65)], 1):
        await database.execute(
            """INSERT INTO alarm_events (id, facility_id, alarm_key, sensor_no, rule, rule_version, transition,
                   event_time, recorded_at, priority, alert_type, message, explanation, late, actor, reason)
               VALUES ($1, 'north', 'high', $2, 'high', 1, $3, $4, $4, 'high', 'Anomaly', 'x', '{}', false, '', '')""",
            number,
            numbers["p-1"],
            transition,
            begin + timedelta(minutes=10 * step),
        )
    await database.close()
    return database_url


async def said(url: str, script: str, *arguments: str, refuses: bool = False) -> str:
    def run() -> str:
        done = subprocess.run(
            [sys.executable, str(ROOT / "examples" / script), *arguments],
            env=os.environ | {"DATABASE_URL": url, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == refuses, done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr if refuses else done.stdout

    return await asyncio.to_thread(run)


async def test_a_week_is_loaded_and_drawn(stored: str, tmp_path: Path) -> None:
    picture = tmp_path / "week.png"
    text = await said(stored, "week.py", "--facility", "north", "--picture", str(picture))
    assert all((sensor_id in text) == (place == "north") for sensor_id, (place, _, _) in SENSORS.items())
    assert picture.read_bytes().startswith(b"\x89PNG")


async def test_faults_are_labelled_and_the_detector_measured(stored: str) -> None:
    text = await said(stored, "faults.py", "--facility", "north")
    assert "1 violations of limits, 1 of them met by an anomaly within 0:30:00" in text
    assert "by the median it spoke 0:20:00 before the limit" in text


async def test_two_limits_are_compared(stored: str) -> None:
    text = await said(stored, "limits.py", "--sensor", "p-1", "--above", "60", "--or", "70")
    assert "above 60: 2 excursions, the longest 0:40:00, the highest 75.0" in text
    assert "above 70: 1 excursions" in text
    assert "1 excursions exceed 60 and never 70:" in text


async def test_a_balance_that_does_not_close_is_told(stored: str) -> None:
    text = await said(stored, "balance.py", "--in", "in-1", "in-2", "--out", "out-1")
    assert "48 hours with all sensors; 1 do not close within 0.02" in text
    assert "30.0" in text


async def test_what_is_in_the_way_is_said_in_a_sentence(stored: str, tmp_path: Path) -> None:
    for script, arguments, sentence in (
        ("limits.py", ("--sensor", "p-1", "--above", "60", "--or", "60"), "both limits are 60: give two that differ"),
        ("limits.py", ("--sensor", "p-2", "--above", "60", "--or", "70"), "there is no sensor 'p-2'"),
        ("limits.py", ("--sensor", "e-1", "--above", "60", "--or", "70"), "e-1 has no numbers of the last 30 days"),
        ("week.py", ("--facility", "nroth"), "there is no facility 'nroth'"),
        ("week.py", ("--facility", "empty", "--picture", str(tmp_path / "week.png")), "so there is nothing to draw"),
        ("faults.py", ("--facility", "nroth"), "there is no facility 'nroth'"),
        ("balance.py", ("--in", "in-1", "--out", "out-2"), "there is no sensor 'out-2'"),
        ("week.py", ("--facility", "north", "--server", "http://127.0.0.1:9"), "did not give all of it"),
    ):
        assert sentence in await said(stored, script, *arguments, refuses=True)


async def test_where_there_are_no_readings_an_example_says_so(stored: str) -> None:
    assert "e-1" in await said(stored, "week.py", "--facility", "empty")
    assert "0 violations of limits" in await said(stored, "faults.py", "--facility", "empty")
    assert "no hour in which all" in await said(stored, "balance.py", "--in", "e-1", "--out", "in-1")
    assert "above 90: no excursion" in await said(stored, "limits.py", "--sensor", "p-1", "--above", "90", "--or", "60")


async def test_help_says_what_an_example_is_for(stored: str) -> None:
    for script in sorted((ROOT / "examples").glob("*.py")):
        if script.name != "shared.py":
            assert "--server URL" in await said(stored, script.name, "--help")
