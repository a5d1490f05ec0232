"""`gasinsight export`: files as people ask for them, and nothing where it fails."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import asyncpg
import polars as pl
import pytest
from typer.testing import CliRunner

from bench.site import insert_sensors
from engine.commands.behind import NICE
from engine.commands.cli.app import app, main
from engine.errors import SettingsError

pytestmark = pytest.mark.postgres
FILL = """
INSERT INTO sensor_records (sensor_no, tracked_at, value, flags)
SELECT $1, at, 1.5, 0 FROM generate_series('2026-11-01'::timestamptz, '2026-11-03', $2::interval) at
"""


async def filled(database_url: str, interval: str = "15 min") -> None:
    database: Any = await asyncpg.connect(database_url)
    numbers = await insert_sensors(database, {"p-1": ("north", "Pressure", 900), "p-2": ("south", "Pressure", 900)})
    for number in numbers.values():
        await database.execute(f"SET TIME ZONE 'UTC'; {FILL.replace('$1', str(number)).replace('$2', repr(interval))}")
    await database.close()


def export(database_url: str, *arguments: str) -> Any:
    return CliRunner().invoke(app, ["export", *arguments], env={"DATABASE_URL": database_url})


async def test_a_file_holds_what_was_asked_for(database_url: str, tmp_path: Path) -> None:
    await filled(database_url)
    out = tmp_path / "new folder" / "day.csv"
    day = ["--start", "2026-11-02", "--end", "2026-11-02"]
    done = await asyncio.to_thread(export, database_url, "--sensor", "p-1", *day, "-o", str(out), "--json")
    told = json.loads(done.stdout)
    assert (told["rows"], told["dataset"], told["bytes"]) == (96, "records", out.stat().st_size)
    lines = out.read_text().splitlines()
    assert lines[0] == "facility_id,sensor_id,tracked_at,value,text,score,flags"
    assert lines[1] == "north,p-1,2026-11-02T00:00:00.000000Z,1.5,,,0"
    assert lines[-1] == "north,p-1,2026-11-02T23:45:00.000000Z,1.5,,,0"


async def test_a_folder_is_one_that_polars_reads(database_url: str, tmp_path: Path) -> None:
    await filled(database_url)
    out = tmp_path / "readings"
    assert (await asyncio.to_thread(export, database_url, "--hive", "-o", str(out))).exit_code == 0
    assert sorted(str(file.relative_to(out)) for file in out.rglob("*.parquet"))[0] == (
        "facility_id=north/day=2026-11-01/readings.parquet"
    )
    found = pl.read_parquet(out / "**" / "*.parquet", hive_partitioning=True)
    assert found.height == 2 * 193
    again = await asyncio.to_thread(export, database_url, "--hive", "-o", str(out))
    assert isinstance(again.exception, SettingsError)
    assert "an export replaces no folder" in str(again.exception)


def test_rows_on_standard_output_stand_alone(database_url: str) -> None:
    done = export(database_url, "facilities", "--format", "csv", "-o", "-")
    assert done.stdout == "facility_id,name,type,status,created_at,longitude,latitude,address\n"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["wells"], "there is no data set 'wells'; there are records, rollups, alarms"),
        (["--facility", "east", "-o", "{}/x.parquet"], "there is no facility 'east'"),
        (["--start", "2026-11-02", "--end", "2026-11-01"], "the range is empty"),
        (["--start", "soon"], "'soon' is no time such as"),
        (["--columns", "tracked_at,valve"], "records has no column 'valve'"),
        (["-o", "{}/x.xlsx"], "tells no format"),
        (["-o", "{}"], "is a folder: name a file in it"),
        (["-o", "/dev/null", "--format", "csv"], "is neither a file nor a new name"),
        (["--format", "xlsx"], "there is no format 'xlsx'; there are parquet, arrow, csv, ndjson"),
        (["--hive", "-o", "-"], "has no place on standard output"),
        (["--hive", "--format", "csv"], "is of Parquet files, not of csv"),
        (["alarms", "--hive"], "is for records, not for alarms"),
        (["--hive", "--columns", "facility_id,value"], "needs the column tracked_at"),
        (["-o", "/proc/x.parquet"], "cannot write /proc/"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(
    database_url: str, tmp_path: Path, arguments: list[str], why: str
) -> None:
    done = export(database_url, *(argument.format(tmp_path) for argument in arguments))
    assert isinstance(done.exception, SettingsError)
    assert why in str(done.exception)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
async def test_what_is_interrupted_leaves_neither_file_nor_transaction(
    database_url: str, tmp_path: Path, ended_by: signal.Signals
) -> None:
    await filled(database_url, "200 ms")
    database: Any = await asyncpg.connect(database_url)
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gasinsight-export'"
    folder = tmp_path / "made"
    running = subprocess.Popen(
        [sys.executable, "-m", main.__module__, "export", "--format", "ndjson", "-o", str(folder / "all.ndjson")],
        env=os.environ | {"DATABASE_URL": database_url},
        stderr=subprocess.PIPE,
    )
    deadline_s = time.monotonic() + 60
    while not any(file.stat().st_size for file in folder.glob(".*")) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert await database.fetchval(f"{sessions} AND xact_start IS NOT NULL") > 0, "it was interrupted in the middle"
    assert os.getpriority(os.PRIO_PROCESS, running.pid) == NICE, "readings go before files"
    running.send_signal(ended_by)
    _, said = await asyncio.to_thread(running.communicate, timeout=60)
    assert running.returncode != 0
    assert b"Traceback" not in said
    assert list(tmp_path.iterdir()) == []
    while await database.fetchval(sessions):  # PostgreSQL sees a moment later that nobody is there any more
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.05)
    await database.close()


async def test_who_has_read_enough_ends_it_quietly(database_url: str) -> None:
    await filled(database_url, "1 s")
    command = [sys.executable, "-m", main.__module__, "export", "--format", "csv", "-o", "-"]
    environment = os.environ | {"DATABASE_URL": database_url}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline().startswith(b"facility_id,")
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 0
