"""Lazy frames over a real database and a real server: what a query needs is read, and nothing else."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import polars as pl
import pytest
import pytest_asyncio

from engine.exports import reading
from engine.exports.selection import SelectionRefused
from engine.notebook import Database, Server, facilities, scan_alarms, scan_records, scan_rollups, sensors, sources
from engine.notebook.sources import NotRead
from tests.integration.web.harness import Web, web_server
from web.edge.request_limits import QUERY_BYTES_MAX, QUERY_FIELDS_MAX

pytestmark = pytest.mark.postgres
ROOT = Path(__file__).parents[3]
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
YESTERDAY = TODAY - timedelta(days=1)


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        for facility_id in ("north", "south"):
            await running.facility(facility_id)
            for name in ("a", "b"):
                number = await running.sensor(f"{facility_id} {name}", facility_id)
                await running.readings(number, *[(YESTERDAY + timedelta(hours=n), f"{n}.5") for n in range(48)])
        await running.alert("north", await running.database.fetchval("SELECT min(sensor_no) FROM sensors"), "Problem")
        yield running


async def collected(frame: pl.LazyFrame, statements: list[str] | None = None) -> pl.DataFrame:
    as_it_is = reading._copy

    async def told(connection: Any, statement: str, *rest: Any) -> None:
        if statements is not None:
            statements.append(statement)
        await as_it_is(connection, statement, *rest)

    with patch("engine.exports.reading._copy", told):
        return await asyncio.to_thread(frame.collect)


async def test_only_the_columns_times_and_sensors_of_the_query_are_read(web: Web, database_url: str) -> None:
    statements: list[str] = []
    query = scan_records(source=Database(database_url)).filter(
        pl.col("sensor_id") == "south b",
        pl.col("tracked_at") >= TODAY,
        pl.col("tracked_at") < TODAY + timedelta(hours=2),
    )
    found = await collected(query.select("value"), statements)
    assert found["value"].to_list() == [24.5, 25.5]
    number = await web.database.fetchval("SELECT sensor_no FROM sensors WHERE id = 'south b'")
    of_readings = [statement for statement in statements if "FROM sensor_records" in statement]
    assert of_readings == [
        f"SELECT sensor_no, tracked_at, value FROM sensor_records WHERE sensor_no = ANY('{{{number}}}'::int[])"
        f" AND tracked_at >= '{TODAY:%Y-%m-%d} 00:00:00.000000+00'"
        f" AND tracked_at < '{TODAY:%Y-%m-%d} 02:00:00.000000+00'"
    ]
    plan = await web.database.fetch(f"EXPLAIN {of_readings[0]}")
    touched = {word for row in plan for word in row[0].split() if word.startswith("sensor_records_")}
    assert {name.removesuffix("_pkey") for name in touched} == {f"sensor_records_{TODAY:%Y%m%d}"}


async def test_a_condition_that_nothing_can_meet_reads_nothing(web: Web, database_url: str) -> None:
    statements: list[str] = []
    never = scan_records(end="2026-01-01", source=Database(database_url)).filter(pl.col("tracked_at") > TODAY)
    assert (await collected(never, statements)).is_empty()
    assert statements == []


@pytest.mark.parametrize("by", ["database", "server"])
async def test_both_ways_give_the_same(web: Web, database_url: str, by: str) -> None:
    key = (await web.api_key("notebook", ("north", "View"), ("south", "View")))["key"]
    server = Server(f"http://127.0.0.1:{web.port}", key)
    source: Any = Database(database_url) if by == "database" else server
    found = await collected(scan_records("north", YESTERDAY, TODAY, source=source))
    assert found["tracked_at"].to_list() == [YESTERDAY + timedelta(hours=n) for n in range(24)] * 2
    assert (await collected(scan_records(source=source).filter(pl.col("value") > 46).select(pl.len()))).item() == 8
    assert (await collected(scan_records(sensor=["north a", "south a"], source=source).head(3))).height == 3
    assert (await asyncio.to_thread(lambda: sensors("south", source=source)))["sensor_id"].to_list() == [
        "south a",
        "south b",
    ]
    assert (await asyncio.to_thread(lambda: facilities(source=source)))["facility_id"].to_list() == ["north", "south"]
    assert (await collected(scan_alarms("north", source=source)))["message"].to_list() == ["Problem"]
    assert (await collected(scan_rollups("north", source=source))).height == 0


async def test_a_key_sees_its_facility_and_nothing_else(web: Web) -> None:
    server = Server(f"http://127.0.0.1:{web.port}", (await web.api_key("notebook", ("north", "View")))["key"])
    assert (await collected(scan_records(source=server)))["facility_id"].unique().to_list() == ["north"]
    with pytest.raises(NotRead, match="403: Not enough permissions"):
        await collected(scan_records("south", source=server))
    with pytest.raises(NotRead, match="401: "):
        await collected(scan_records(source=Server(server.url, "gik_x_y")))


def test_what_fits_into_a_query_is_what_the_server_takes() -> None:
    assert (sources.QUERY_BYTES_MAX, sources.QUERY_FIELDS_MAX) == (QUERY_BYTES_MAX, QUERY_FIELDS_MAX)


BESIDES = len(["format", "columns"])


@pytest.mark.parametrize("by", ["condition", "argument"])
@pytest.mark.parametrize(
    ("sensors_wanted", "id_bytes", "is_named"),
    [
        (QUERY_FIELDS_MAX - BESIDES, 3, True),
        (QUERY_FIELDS_MAX - BESIDES + 1, 3, False),
        (8, 1_000, True),
        (9, 1_000, False),
    ],
)
async def test_more_sensors_than_a_request_may_name_are_chosen_here(
    web: Web, database_url: str, sensors_wanted: int, id_bytes: int, is_named: bool, by: str
) -> None:
    ids = [f"{number:0{id_bytes}}" for number in range(110)]
    for sensor_id in ids:
        await web.readings(await web.sensor(sensor_id, "south"), (YESTERDAY, "1.5"))
    key = (await web.api_key("notebook", ("north", "View"), ("south", "View")))["key"]
    server = Server(f"http://127.0.0.1:{web.port}", key)
    wanted, statements = ids[:sensors_wanted], list[str]()
    query = scan_records(sensor=wanted if by == "argument" else None, source=server)
    if by == "condition":
        query = query.filter(pl.col("sensor_id").is_in(wanted))
    found = await collected(query.select("value", "sensor_id"), statements)
    assert found["sensor_id"].to_list() == wanted
    of_readings = [statement for statement in statements if "FROM sensor_records" in statement]
    assert of_readings and all("'north'" not in statement for statement in of_readings)
    numbers = {
        number for each in of_readings for number in re.findall(r"[0-9]+", each.split("ANY('{")[1].split("}")[0])
    }
    assert len(numbers) == (sensors_wanted if is_named else len(ids) + 2), "all of its facility, and of no other"
    with pytest.raises(NotRead, match="no sensor 'absent'"):
        await collected(scan_records(sensor=[*wanted, "absent"], source=server))


async def test_more_facilities_than_a_request_may_name_are_chosen_here(web: Web) -> None:
    ids = [f"many {number:03}" for number in range(QUERY_FIELDS_MAX)]
    for facility_id in ids:
        await web.facility(facility_id)
        await web.readings(await web.sensor(f"{facility_id} a", facility_id), (YESTERDAY, "1.5"))
    key = (await web.api_key("notebook", *((facility_id, "View") for facility_id in ["north", *ids])))["key"]
    server = Server(f"http://127.0.0.1:{web.port}", key)
    found = await collected(scan_records(ids, source=server).select("facility_id"))
    assert found["facility_id"].to_list() == ids
    with pytest.raises(NotRead, match="no facility 'south'"):
        await collected(scan_records(["south", *ids], source=server))


async def test_where_there_are_no_sensors_there_is_nothing(web: Web) -> None:
    await web.facility("empty")
    key = (await web.api_key("notebook", ("empty", "View")))["key"]
    query = scan_records("empty", source=Server(f"http://127.0.0.1:{web.port}", key))
    assert (await collected(query.filter(pl.col("sensor_id") == "a"))).is_empty()


async def test_an_id_that_is_none_is_told(web: Web, database_url: str) -> None:
    with pytest.raises(SelectionRefused, match="there is no facility 'nroth'"):
        await collected(scan_records("nroth", source=Database(database_url)))


async def test_who_has_enough_leaves_no_transaction(web: Web, database_url: str) -> None:
    with patch("engine.exports.pieces.PIECE_ROWS", 1):
        assert (await collected(scan_records(source=Database(database_url)).head(1))).height == 1
    asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gasinsight-export'"
    for _ in range(200):
        if await web.database.fetchval(asked) == 0:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("a session of the query is still there")


async def test_the_example_of_the_document_runs(web: Web, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await web.facility("ridge-1")
    await web.sensor("TT-4", "ridge-1")
    key = (await web.api_key("notebook", ("ridge-1", "View")))["key"]
    programs = re.findall(r"```py\n(.*?)```", (ROOT / "docs/data-science.md").read_text(), re.DOTALL)
    (program,) = (each for each in programs if "engine.notebook" in each)
    monkeypatch.setenv("DATABASE_URL", database_url)
    for said, meant in (("https://gas.example.org", f"http://127.0.0.1:{web.port}"), ("gik_…", key)):
        assert said in program
        program = program.replace(said, meant)
    await asyncio.to_thread(exec, compile(program, "docs/data-science.md", "exec"), {})
