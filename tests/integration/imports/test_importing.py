"""Imports into a real database: what is stored, counted and left alone, beside live commits and after a kill."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import asyncpg
import polars as pl
import pytest
import pytest_asyncio
from typer.testing import CliRunner

from bench.site import insert_sensors
from engine import faultpoints
from engine.clock import SystemClock
from engine.commands.cli.app import app, main
from engine.historian.connection import prepare_connection
from engine.historian.historian import Historian
from engine.historian.notifications import CONFIGURATION
from engine.historian.rollups import rollup_pass
from engine.imports import entities
from engine.imports.storing import BATCH_ROWS, Counts, open_store
from engine.settings import Settings
from native import Flag
from tests.contract.stores import withdraw
from tests.integration.gasinsight import gasinsight
from tests.integration.historian.outcomes import committed, facility_with_sensors, outcome

pytestmark = pytest.mark.postgres
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
LAST_MONTH = TODAY - timedelta(days=30)
SENSORS = {
    "b-1": ("south", "Pressure", 60),
    "007": ("south", "Pressure", 60),
    "ß-2": ("north", "Temperature", 3600),
    "z-3": ("north", "ValveStatus", 900),
}
LATE, TEXT, NON_FINITE, WARMING = Flag.LATE.value, Flag.TEXT.value, Flag.NON_FINITE.value, Flag.WARMING.value


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Any]:
    opened = await asyncpg.connect(database_url)
    yield opened
    await opened.close()


def run(database_url: str, *arguments: object, **settings: object) -> Any:
    environment = {"DATABASE_URL": database_url} | {name.upper(): str(value) for name, value in settings.items()}
    done = CliRunner().invoke(app, list(map(str, arguments)), env=environment)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def imported(database_url: str, *arguments: object, **settings: object) -> dict[str, Any]:
    done = run(database_url, "import", *arguments, "--json", "--yes", **settings)
    report: dict[str, Any] = json.loads(done.stdout)
    assert done.exit_code == bool(report["refused"] or report["files_refused"])
    return report


def looked_at(database_url: str, *arguments: object, **settings: object) -> dict[str, Any]:
    done = run(database_url, "import", *arguments, "--json", "--dry-run", **settings)
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["event"] == "would_import"
    return report


async def in_thread(work: Any, *arguments: object, **settings: object) -> Any:
    return await asyncio.to_thread(work, *arguments, **settings)


async def filled(database: Any) -> None:
    """As a server has stored them: numbers, texts, spellings, scores; over two days, one of them without partition."""
    numbers = await insert_sensors(database, SENSORS)
    rows: list[tuple[Any, ...]] = []
    for sensor_id, number in numbers.items():
        for day in (LAST_MONTH, TODAY - timedelta(days=1)):
            for place in range(50):
                moment = day + timedelta(minutes=7 * place, microseconds=place)
                if sensor_id == "z-3":
                    rows.append((number, moment, None, " Öffnet ", None, TEXT))
                elif place == 9:
                    rows.append((number, moment, None, "NaN", None, TEXT | NON_FINITE))
                else:
                    text = f"{place / 2:.3f}" if place % 7 == 0 else None
                    rows.append(
                        (number, moment, place / 2, text, place / 50 if place > 5 else None, 64 if place < 6 else 0)
                    )
    await database.copy_records_to_table("sensor_records", records=rows)


async def roll_up(database: Any) -> None:
    """What the engine does of what was stored."""
    await database.execute(
        "INSERT INTO rollup_dirty (facility_id, minute) SELECT DISTINCT facility_id, date_trunc('minute', tracked_at)"
        " FROM sensor_records JOIN sensors USING (sensor_no)"
    )
    await prepare_connection(database)
    while await rollup_pass(database):
        pass


async def moved_out(database_url: str, database: Any, folder: Path, suffix: str) -> None:
    """Facilities and sensors as files, and no longer in the database."""
    await filled(database)
    for dataset in ("facilities", "sensors"):
        await in_thread(run, database_url, "export", dataset, "-o", folder / f"{dataset}{suffix}")
    await emptied(database)


async def emptied(database: Any) -> None:
    await database.execute(
        "TRUNCATE facilities, sensors, sensor_records, reading_rollups, reading_conflicts, rollup_dirty, locations,"
        " facility_epochs RESTART IDENTITY CASCADE"
    )


async def test_some_columns_of_an_export_are_enough(database_url: str, database: Any, tmp_path: Path) -> None:
    await filled(database)
    for name in ("some.ndjson", "some.csv", "some.arrow"):
        columns = ["--sensor", "b-1", "--columns", "tracked_at,value"]
        await in_thread(run, database_url, "export", *columns, "-o", tmp_path / name)
    await database.execute("TRUNCATE sensor_records")
    for name, stored in (("some.ndjson", 98), ("some.csv", 0), ("some.arrow", 0)):
        found = await in_thread(imported, database_url, tmp_path / name, "--sensor", "b-1")
        assert (found["stored"], found["already_there"]) == (stored, 98 - stored)
        assert found["refused"]["no_value"]["rows"] == 2  # the texts were left out


@pytest.mark.parametrize("kind", ["parquet", "arrow", "csv", "ndjson", "folder"])
async def test_what_was_exported_comes_back_as_it_was(
    database_url: str, database: Any, tmp_path: Path, kind: str
) -> None:
    await filled(database)
    await roll_up(database)
    await in_thread(run, database_url, "export", "rollups", "-o", tmp_path / "rollups.before.parquet")
    for dataset in ("facilities", "sensors", "records"):
        await in_thread(run, database_url, "export", dataset, "-o", tmp_path / f"{dataset}.before.parquet")
        if dataset == "records" and kind == "folder":
            await in_thread(run, database_url, "export", "--hive", "-o", tmp_path / "out" / "records")
        else:
            name = f"{dataset}.{kind if kind != 'folder' else 'parquet'}"
            await in_thread(run, database_url, "export", dataset, "-o", tmp_path / "out" / name)
    await emptied(database)
    paths = sorted((tmp_path / "out").iterdir(), reverse=True)  # in no order that helps
    expected = {"stored": 400, "facilities_made": 2, "sensors_made": 4, "already_there": 0, "refused": {}}
    would = await in_thread(looked_at, database_url, *paths)
    assert would.items() >= expected.items()
    assert await database.fetchval("SELECT count(*) FROM facilities") == 0
    done = await in_thread(imported, database_url, *paths)
    assert done.items() >= expected.items()
    for dataset in ("facilities", "sensors", "records", "rollups"):
        after = tmp_path / f"{dataset}.after.parquet"
        await in_thread(run, database_url, "export", dataset, "-o", after)
        frame, before = pl.read_parquet(after), pl.read_parquet(tmp_path / f"{dataset}.before.parquet")
        if kind == "csv" and dataset == "records":  # blanks around a cell are none of it
            before = before.with_columns(pl.col("text").str.strip_chars())
        assert frame.equals(before) and frame.height, dataset
    again = await in_thread(imported, database_url, *paths)
    assert again.items() >= {"stored": 0, "already_there": 406, "conflicts": 0, "facilities_made": 0}.items()


async def test_the_same_again_changes_nothing_and_another_value_is_a_conflict(
    database_url: str, database: Any, tmp_path: Path
) -> None:
    await insert_sensors(database, SENSORS)
    file = tmp_path / "b.parquet"
    frame = pl.DataFrame(
        {"tracked_at": [LAST_MONTH + timedelta(seconds=second) for second in range(100)], "value": [1.5] * 100}
    )
    frame.write_parquet(file)
    assert (await in_thread(imported, database_url, file, "--sensor", "b-1"))["stored"] == 100
    table = await database.fetch("SELECT * FROM sensor_records ORDER BY tracked_at")
    rollups = await database.fetch("SELECT * FROM reading_rollups ORDER BY width_s, bucket")
    assert {row["readings"] for row in rollups if row["width_s"] == 86_400} == {100}
    assert {(row["score"], row["flags"]) for row in table} == {(None, LATE)}
    other = frame.with_columns(value=pl.Series([1.5] * 97 + [2.5, None, 1.5]))
    pl.concat([other, other.tail(1), other.tail(1).with_columns(value=pl.lit(9.0))]).write_parquet(file)
    expected = {"stored": 0, "already_there": 98, "conflicts": 2, "twice": 1}
    for look in (looked_at, imported, imported):
        found = await in_thread(look, database_url, file, "--sensor", "b-1")
        assert found.items() >= expected.items()
        assert found["refused"]["no_value"]["rows"] == 1
    assert await database.fetch("SELECT * FROM sensor_records ORDER BY tracked_at") == table
    assert await database.fetch("SELECT * FROM reading_rollups ORDER BY width_s, bucket") == rollups
    kept = await database.fetch("SELECT value FROM reading_conflicts ORDER BY value")
    assert [row["value"] for row in kept] == [2.5, 9.0]
    assert await database.fetchval("SELECT count(*) FROM rollup_dirty") == 0
    assert await database.fetchval("SELECT count(*) FROM alarm_events") == 0


async def test_a_spelling_is_no_conflict(database_url: str, database: Any, tmp_path: Path) -> None:
    numbers = await insert_sensors(database, SENSORS)
    await database.execute("INSERT INTO sensor_records VALUES ($1, $2, 1.5, '1.50', 0, 0)", numbers["b-1"], LAST_MONTH)
    await database.execute("INSERT INTO sensor_records VALUES ($1, $2, NULL, 'open', 0, 2)", numbers["z-3"], LAST_MONTH)
    file = tmp_path / "a.csv"
    file.write_text(f"tracked_at,b-1,z-3\n{LAST_MONTH:%Y-%m-%dT%H:%M},1.5,open\n")
    found = await in_thread(imported, database_url, file)
    assert found.items() >= {"stored": 0, "already_there": 2, "conflicts": 0}.items()


async def test_what_is_too_old_or_ahead_is_refused_and_the_days_get_partitions(
    database_url: str, database: Any, tmp_path: Path
) -> None:
    await insert_sensors(database, SENSORS)
    now = datetime.now(UTC)
    moments = {
        "future": now + timedelta(seconds=400),
        "kept": now + timedelta(seconds=200),
        "old": TODAY - timedelta(days=40, microseconds=1),
        "young": TODAY - timedelta(days=40),
    }
    file = tmp_path / "b.parquet"
    pl.DataFrame({"tracked_at": list(moments.values()), "value": [1.0] * 4}).write_parquet(file)
    found = await in_thread(imported, database_url, file, "--sensor", "b-1", retention_days=40)
    assert found["stored"] == 2
    assert {reason: told["rows"] for reason, told in found["refused"].items()} == {"future": 1, "too_old": 1}
    assert found["refused"]["too_old"]["examples"][0].endswith("in row 3 of b.parquet")
    assert await database.fetchval("SELECT count(*) FROM sensor_records_default") == 0
    assert await database.fetchval("SELECT count(*) FROM sensor_records") == 2


async def test_each_type_is_kept_as_long_as_it_says_and_what_was_removed_does_not_come_back(
    database_url: str, database: Any, tmp_path: Path
) -> None:
    numbers = await insert_sensors(database, SENSORS)
    days_back = (90, 60, 20, 10)
    moments = [TODAY - timedelta(days=back) for back in days_back]
    file = tmp_path / "all.parquet"
    values = [1.0] * 4
    pl.DataFrame({"tracked_at": moments, "b-1": values, "ß-2": values, "z-3": values}).write_parquet(file)
    kept = "Temperature=90,ValveStatus=20"
    await database.execute("INSERT INTO retention_floors VALUES ('ValveStatus', $1, 'epoch', 'epoch')", moments[3])
    for look in (looked_at, imported):
        found = await in_thread(look, database_url, file, retention_days=60, retention_days_by_type=kept)
        assert found["stored"] == 3 + 4 + 1
        assert {reason: told["rows"] for reason, told in found["refused"].items()} == {"too_old": 4}
    for sensor_id, days in (("b-1", 3), ("ß-2", 4), ("z-3", 1)):
        stored = "SELECT array_agg(tracked_at ORDER BY tracked_at) FROM sensor_records WHERE sensor_no = $1"
        assert await database.fetchval(stored, numbers[sensor_id]) == moments[4 - days :]


async def test_a_facility_that_is_retired_and_closed_has_a_past_too(
    database_url: str, database: Any, tmp_path: Path
) -> None:
    await filled(database)
    for dataset in ("facilities", "sensors", "records"):
        await in_thread(run, database_url, "export", dataset, "-o", tmp_path / f"{dataset}.parquet")
    await database.execute("UPDATE facilities SET retired_at = now(), closed_at = now() WHERE id = 'south'")
    await database.execute("TRUNCATE sensor_records")
    for look in (looked_at, imported):
        found = await in_thread(look, database_url, tmp_path)
        assert found.items() >= {"stored": 400, "already_there": 6, "facilities_made": 0, "refused": {}}.items()


async def test_who_is_made_by_others_meanwhile_stays_as_they_made_it(
    database_url: str, database: Any, tmp_path: Path
) -> None:
    await moved_out(database_url, database, tmp_path, ".parquet")

    async def make(connection: Any, dataset: Any, rows: Any) -> int:
        others = await asyncpg.connect(database_url)
        if dataset.name == "facilities":
            await others.execute(
                "WITH place AS (INSERT INTO locations (longitude, latitude) VALUES (1, 2) RETURNING id)"
                " INSERT INTO facilities (id, name, status, type, location_id, created_at)"
                " SELECT 'south', 'Theirs', 'Active', 'TankFarm', id, now() FROM place"
            )
        else:
            await others.execute(
                "INSERT INTO sensors (id, facility_id, name, status, type, expected_freq, signal_interval_s,"
                " installed_at, status_changed_at)"
                " VALUES ('b-1', 'south', 'Theirs', 'Active', 'Pressure', '1T', 60, now(), now())"
            )
        await others.close()
        return await made(connection, dataset, rows)

    made = entities.make
    with patch.object(entities, "make", make):
        found = await in_thread(imported, database_url, tmp_path)
    assert found.items() >= {"facilities_made": 1, "sensors_made": 3, "already_there": 2}.items()
    assert await database.fetchval("SELECT name FROM facilities WHERE id = 'south'") == "Theirs"
    assert await database.fetchval("SELECT name FROM sensors WHERE id = 'b-1'") == "Theirs"
    places = await database.fetchval("SELECT count(*) FROM locations")
    assert places == 2 + await database.fetchval("SELECT count(location_id) FROM sensors"), "no place of nobody"


async def test_what_stands_in_two_files_counts_once_in_the_look_as_in_the_import(
    database_url: str, database: Any, tmp_path: Path
) -> None:
    await insert_sensors(database, SENSORS)
    moments = [LAST_MONTH + timedelta(seconds=second) for second in range(100)]
    frame = pl.DataFrame({"tracked_at": moments, "b-1": [1.5] * 100, "007": [2.5] * 100})
    frame.head(60).write_parquet(tmp_path / "a.parquet")
    other = pl.when(pl.col("tracked_at") == moments[50]).then(9.0).otherwise("b-1").alias("b-1")
    frame.tail(60).with_columns(other).write_parquet(tmp_path / "b.parquet")
    frame.tail(5).write_parquet(tmp_path / "c.parquet")
    for look in (looked_at, imported):
        found = await in_thread(look, database_url, tmp_path)
        assert found.items() >= {"stored": 200, "already_there": 49, "conflicts": 1, "twice": 0}.items()
    assert await database.fetchval("SELECT count(*) FROM sensor_records") == 200


async def test_of_a_file_with_two_values_for_a_time_the_look_says_what_the_import_does(
    database_url: str, database: Any, tmp_path: Path
) -> None:
    await insert_sensors(database, SENSORS)
    file = tmp_path / "b.csv"
    file.write_text("tracked_at,value\n" + "".join(f"{LAST_MONTH:%Y-%m-%dT%H:%M},{value}\n" for value in (1, 2, 1)))
    for look in (looked_at, imported):
        found = await in_thread(look, database_url, file, "--sensor", "b-1")
        assert found.items() >= {"stored": 1, "conflicts": 1, "twice": 1}.items()


async def test_a_sensor_that_is_removed_meanwhile_leaves_no_readings_behind(
    database_url: str, database: Any, tmp_path: Path
) -> None:
    await filled(database)
    await in_thread(run, database_url, "export", "-o", tmp_path / "all.parquet")
    await database.execute("TRUNCATE sensor_records")
    number = await database.fetchval("SELECT sensor_no FROM sensors WHERE id = 'b-1'")
    removing = database.transaction()
    await removing.start()
    await withdraw(database, "remove", "south", "b-1")  # nobody else sees it yet
    importing = asyncio.create_task(in_thread(imported, database_url, tmp_path / "all.parquet"))
    await lock_waited_for(database_url)
    await removing.commit()
    found = await importing
    assert (found["stored"], found["refused"]) == (
        300,
        {"unknown_sensor": {"rows": 100, "examples": ["'b-1' (removed meanwhile)"]}},
    )
    assert await database.fetchval("SELECT count(*) FROM sensor_records WHERE sensor_no = $1", number) == 0


async def test_whoever_removes_a_sensor_waits_for_those_who_store_its_readings(
    database_url: str, database: Any
) -> None:
    numbers = await insert_sensors(database, SENSORS)
    columns = {"sensor_no": numbers["b-1"], "value": 1.0, "text": None, "score": None, "flags": LATE}
    rows = pl.DataFrame({**columns, "at_us": int(LAST_MONTH.timestamp()) * 1_000_000})
    async with open_store(database_url, Settings(database_url=database_url)) as store:
        async with store.connection.transaction():
            assert (await store._write(rows, 0)).stored == 1
            removing = asyncio.create_task(withdraw(database, "remove", "south", "b-1"))
            await lock_waited_for(database_url)
            assert not removing.done()
        await removing
    historian = await Historian.open(database_url, Settings(database_url=database_url), SystemClock())
    try:
        while await historian.purge_removed():
            pass
    finally:
        await historian.close()
    assert await database.fetchval("SELECT count(*) FROM sensor_records") == 0


async def lock_waited_for(database_url: str) -> None:
    """Until somebody waits for somebody."""
    looking = await asyncpg.connect(database_url)
    try:
        async with asyncio.timeout(60):
            while not await looking.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
                await asyncio.sleep(0.05)
    finally:
        await looking.close()


async def test_a_retention_that_goes_on_meanwhile_is_held_to(database_url: str, database: Any) -> None:
    numbers = await insert_sensors(database, SENSORS)
    edge_us = int(LAST_MONTH.timestamp()) * 1_000_000
    await database.execute("INSERT INTO retention_floors VALUES ('Pressure', $1, 'epoch', 'epoch')", LAST_MONTH)
    columns = {"sensor_no": numbers["b-1"], "value": 1.0, "text": None, "score": None, "flags": LATE}
    rows = pl.DataFrame({"at_us": [edge_us - 1, edge_us]}).with_columns(**{k: pl.lit(v) for k, v in columns.items()})
    async with open_store(database_url, Settings(database_url=database_url)) as store:
        assert await store.write(rows, 0) == Counts(1, old={numbers["b-1"]: 1})


async def test_a_day_that_is_busy_goes_through_the_default_partition(
    database_url: str, database: Any, tmp_path: Path
) -> None:
    await insert_sensors(database, SENSORS)
    file = tmp_path / "b.parquet"
    pl.DataFrame({"tracked_at": [LAST_MONTH], "value": [1.0]}).write_parquet(file)
    async with database.transaction():
        await database.execute("LOCK TABLE sensor_records_default IN ACCESS SHARE MODE")
        found = await in_thread(imported, database_url, file, "--sensor", "b-1")
    assert found["stored"] == 1
    assert found["remarks"] == [f"days that are busy and get a partition later: 1, the first {LAST_MONTH:%F}"]
    assert await database.fetchval("SELECT count(*) FROM sensor_records_default") == 1


async def test_scores_are_those_of_the_offline_twin(database_url: str, database: Any, tmp_path: Path) -> None:
    await insert_sensors(database, SENSORS)
    moments = [LAST_MONTH + timedelta(minutes=minute) for minute in range(1000)]
    frame = pl.DataFrame({"tracked_at": moments, "value": [5 + (minute * 7 % 13) / 100 for minute in range(1000)]})
    pl.concat([frame.tail(500), frame.head(500)]).write_parquet(tmp_path / "b.parquet")
    found = await in_thread(imported, database_url, tmp_path / "b.parquet", "--sensor", "b-1", "--score")
    assert found["stored"] == 1000
    assert found["steps_back"] == 1
    rows = await database.fetch("SELECT score, flags FROM sensor_records ORDER BY tracked_at")
    assert rows[0]["flags"] & WARMING
    assert not any(row["flags"] & LATE for row in rows)
    assert rows[-1]["score"] is not None
    given = frame.with_columns(sensor_id=pl.lit("007"), score=pl.lit(0.25), flags=pl.lit(0))
    given.write_parquet(tmp_path / "given.parquet")
    await in_thread(imported, database_url, tmp_path / "given.parquet", "--score")
    kept = await database.fetchval("SELECT count(*) FROM sensor_records WHERE score = 0.25 AND flags = 0")
    assert kept == 1000


async def test_beside_commits_of_a_live_historian(database_url: str, tmp_path: Path, database: Any) -> None:
    """Both bring the same readings: each is stored once, none is lost, no commit is held up."""
    settings = Settings(database_url=database_url, group_commit_wait_ms=1)
    historian = await Historian.open(database_url, settings, SystemClock())
    try:
        state, (number,) = await facility_with_sensors(historian, "f")
        start_us = int(LAST_MONTH.timestamp()) * 1_000_000
        moments = [LAST_MONTH + timedelta(seconds=second) for second in range(60_000)]
        file = tmp_path / "b.parquet"
        pl.DataFrame({"tracked_at": moments, "value": [1.0] * 60_000}).write_parquet(file)
        importing = asyncio.create_task(in_thread(imported, database_url, file, "--sensor", "f-s0"))
        commit_no, slowest_s, stored = 1, 0.0, 0
        while not importing.done():
            commit_no += 1
            first_us = start_us + (commit_no * 997 % 60_000) * 1_000_000
            rows = [(number, first_us + place * 1_000_000, 1.0, None) for place in range(50)]
            began_s = time.monotonic()
            answer = await committed(historian, outcome(state, commit_no, rows))
            slowest_s = max(slowest_s, time.monotonic() - began_s)
            stored += 50 - len(answer.not_stored)
        report = await importing
    finally:
        await historian.close()
    total = await database.fetchval("SELECT count(*) FROM sensor_records")
    assert commit_no > 5
    assert report["stored"] + stored == total >= 60_000
    assert report["stored"] + report["already_there"] == 60_000
    assert slowest_s < 5


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
async def test_ended_in_the_middle_and_run_again_it_ends_the_same(
    database_url: str, database: Any, tmp_path: Path, how: signal.Signals
) -> None:
    await insert_sensors(database, SENSORS)
    moments = [LAST_MONTH + timedelta(seconds=second) for second in range(200_000)]
    file = tmp_path / "b.parquet"
    pl.DataFrame({"tracked_at": moments, "value": [1.0] * 200_000}).write_parquet(file)
    command = [sys.executable, "-m", main.__module__, "import", str(file), "--sensor", "b-1", "--yes"]
    running = subprocess.Popen(command, env=os.environ | {"DATABASE_URL": database_url}, stderr=subprocess.PIPE)
    deadline_s = time.monotonic() + 60
    while not await database.fetchval("SELECT count(*) FROM sensor_records") and time.monotonic() < deadline_s:
        await asyncio.sleep(0.01)
    running.send_signal(how)
    _, said = await in_thread(running.communicate)
    assert running.returncode != 0
    assert b"Traceback" not in said
    before = await database.fetchval("SELECT count(*) FROM sensor_records")
    assert 0 < before < 200_000
    found = await in_thread(imported, database_url, file, "--sensor", "b-1")
    assert found["stored"] + found["already_there"] == 200_000
    assert found["already_there"] >= before
    assert await database.fetchval("SELECT count(*) FROM sensor_records") == 200_000
    rolled = await database.fetchval("SELECT sum(readings) FROM reading_rollups WHERE width_s = 60")
    assert rolled == 200_000
    assert await database.fetchval("SELECT count(*) FROM rollup_dirty") == 0


@pytest.mark.parametrize(("point", "stored"), [("piece_stored", 0), ("piece_committed", BATCH_ROWS)])
async def test_a_piece_is_there_whole_or_not_at_all(
    database_url: str, database: Any, tmp_path: Path, point: str, stored: int
) -> None:
    await insert_sensors(database, SENSORS)
    rows = BATCH_ROWS + 1
    moments = [LAST_MONTH + timedelta(seconds=second) for second in range(rows)]
    file, orders = tmp_path / "b.parquet", tmp_path / "orders"
    pl.DataFrame({"tracked_at": moments, "value": [1.0] * rows}).write_parquet(file)
    orders.mkdir()
    (orders / point).write_text("kill")
    words = ("import", str(file), "--sensor", "b-1", "--yes")
    killed = gasinsight(*words, database_url=database_url, **{faultpoints.ENVIRONMENT: str(orders)})
    assert killed.returncode == -signal.SIGKILL
    assert await database.fetchval("SELECT count(*) FROM sensor_records") == stored
    found = await in_thread(imported, database_url, file, "--sensor", "b-1")
    assert (found["stored"], found["already_there"]) == (rows - stored, stored)
    rolled = await database.fetchval("SELECT sum(readings) FROM reading_rollups WHERE width_s = 60")
    assert rolled == await database.fetchval("SELECT count(*) FROM sensor_records") == rows


async def test_an_engine_that_runs_is_told_of_new_sensors(database_url: str, database: Any, tmp_path: Path) -> None:
    await filled(database)
    await in_thread(run, database_url, "export", "sensors", "-o", tmp_path / "sensors.parquet")
    await database.execute("DELETE FROM sensors WHERE id IN ('b-1', '007')")
    heard: list[str] = []
    await database.add_listener(CONFIGURATION, lambda *message: heard.append(message[3]))
    found = await in_thread(imported, database_url, tmp_path / "sensors.parquet")
    assert found.items() >= {"sensors_made": 2, "already_there": 2}.items()
    await database.fetchval("SELECT 1")
    assert heard == ["south"]


async def test_an_imported_facility_is_loaded_like_one_that_was_set_up(
    database_url: str, database: Any, tmp_path: Path
) -> None:
    await moved_out(database_url, database, tmp_path, ".parquet")
    await in_thread(imported, database_url, tmp_path)
    historian = await Historian.open(database_url, Settings(database_url=database_url), SystemClock())
    try:
        state = await historian.load("north")
        assert state is not None
        assert {sensor.sensor_id for sensor in state.sensors} == {"ß-2", "z-3"}
        assert state.epoch == 1
    finally:
        await historian.close()


async def test_what_no_facility_or_sensor_can_be_made_of_is_told(
    database_url: str, database: Any, tmp_path: Path
) -> None:
    await moved_out(database_url, database, tmp_path, ".csv")
    sensors = (tmp_path / "sensors.csv").read_text().replace(",ValveStatus,", ",Valve,")
    (tmp_path / "sensors.csv").write_text(sensors.replace("south,", "east,"))
    found = await in_thread(imported, database_url, tmp_path)
    told = found["refused"]["bad_entity"]
    assert (found["facilities_made"], found["sensors_made"], told["rows"]) == (2, 1, 3)
    assert any("sensor_type" in each for each in told["examples"])
    assert any("there is no facility 'east'" in each for each in told["examples"])
    (tmp_path / "sensors.csv").write_text(sensors.replace("3600S,", "1800S,"))
    found = await in_thread(imported, database_url, tmp_path / "sensors.csv")
    assert any("'1800S' does not spell 3600 s" in each for each in found["refused"]["bad_entity"]["examples"])


@pytest.mark.parametrize("command", [("export",), ("import", "a.csv", "--sensor", "a", "--yes")])
async def test_a_database_without_schema_is_told(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text("tracked_at,value\n2026-11-20 10:15,1.5\n")
    done = await asyncio.to_thread(CliRunner().invoke, app, list(command), env={"DATABASE_URL": postgres_url})
    assert "`gasinsight db upgrade` makes it" in str(done.exception)


async def test_it_asks_on_a_terminal_and_nowhere_else(database_url: str, database: Any, tmp_path: Path) -> None:
    await insert_sensors(database, SENSORS)
    file = tmp_path / "b.csv"
    file.write_text(f"tracked_at,value\n{LAST_MONTH:%Y-%m-%dT%H:%M},1.5\nsoon,1\n")
    done = await asyncio.to_thread(CliRunner().invoke, app, ["import", str(file)], env={"DATABASE_URL": database_url})
    assert "nobody can be asked here" in str(done.exception)

    def asked(answer: str) -> Any:
        with patch("engine.commands.importing.is_terminal", return_value=True):
            arguments = ["import", str(file), "--sensor", "b-1"]
            return CliRunner().invoke(app, arguments, input=f"{answer}\n", env={"DATABASE_URL": database_url})

    refused = await asyncio.to_thread(asked, "n")
    assert "2 rows of 1 file: 1 to be stored" in refused.stdout
    assert "'soon' in line 3 of b.csv" in refused.stdout
    assert refused.exit_code == 1
    assert await database.fetchval("SELECT count(*) FROM sensor_records") == 0
    agreed = await asyncio.to_thread(asked, "y")
    assert "1 stored" in agreed.stdout
    assert await database.fetchval("SELECT count(*) FROM sensor_records") == 1
