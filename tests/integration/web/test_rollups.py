"""Grids that are read from rollups, compared with the contract's definition over the readings."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from engine.historian.connection import prepare_connection
from engine.historian.rollups import rollup_pass
from tests.integration.web.harness import Web, web_server
from tests.integration.web.test_records import DAY, SECOND, Readings, grid, naive_grid, same_text
from web.database import Database
from web.history import grid_readings, slices
from web.history.grid import step_for

pytestmark = pytest.mark.postgres

MINUTE = timedelta(minutes=1)


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Web]:
    """Every window counts as long."""
    monkeypatch.setattr(grid_readings, "WORTH_READINGS", -1)
    monkeypatch.setattr(grid_readings, "CELL_ROWS", -1)
    async with web_server(database_url, tmp_path) as running:
        await running.facility("f")
        yield running


async def roll_up(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await prepare_connection(connection)
    while await rollup_pass(connection):
        pass
    await connection.close()


def irregular(chance: random.Random, count: int, texts: list[str]) -> Readings:
    at, readings = DAY + timedelta(seconds=chance.uniform(0, 9000)), []
    for _ in range(count):
        at += timedelta(seconds=chance.choice([15] * 9 + [90, 4000, 20_000]) + chance.choice([0, 0.137]))
        readings.append((at, chance.choice(texts) if chance.random() < 0.7 else f"{chance.gauss(20, 5):.2f}"))
    return readings


@pytest.mark.parametrize("seed", range(4))
async def test_a_grid_from_rollups_is_the_contracts_definition(
    web: Web, database_url: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read at once, and in slices of some cells."""
    chance = random.Random(seed)
    if seed > 1:
        monkeypatch.setattr(slices, "SLICE_CELLS", chance.randint(1, 20))
    number = await web.sensor("s", "f")
    readings = irregular(chance, 900, ["24.61", "5", "-0.5", "1e3"] + ["OPEN", "2e200"] * (seed % 2))
    early = sorted(chance.sample(readings, 700))
    await web.readings(number, *early)
    await roll_up(database_url)
    assert await web.database.fetchval("SELECT count(*) FROM reading_rollups WHERE width_s > 60")
    await web.readings(number, *(reading for reading in readings if reading not in early))  # marked, not rolled up
    admin, last = await web.admin(), readings[-1][0]
    for _ in range(12):
        start = DAY + chance.randint(0, 100_000) * SECOND
        end = start + chance.choice([timedelta(hours=7), timedelta(days=2, seconds=5), last - DAY])
        freq_s = chance.choice([3600, 7200, 10_801, 21_600, 86_400])
        aggregation = chance.choice(["mean", "min", "max"])
        query = {"start_date": f"{start:%Y-%m-%d %H:%M:%S}", "end_date": f"{end:%Y-%m-%dT%H:%M:%S.%fZ}"}
        body = await grid(web, admin, "s", **query, freq=f"{freq_s}S", aggregation=aggregation)
        expected, analytics = naive_grid(readings, start, end, freq_s * SECOND, 15 * SECOND, aggregation)
        assert [record["tracked_at"] for record in body["records"]] == [time for time, _ in expected]
        for record, (time, text) in zip(body["records"], expected, strict=True):
            assert same_text(record["data"], text), (time, record, text)
        assert body["analytics"] == pytest.approx(analytics, rel=1e-11)


async def test_the_rollups_are_used_where_they_may_be_and_nowhere_else(web: Web, database_url: str) -> None:
    number = await web.sensor("s", "f", freq="1T", expected_interval_s=60)
    await web.readings(number, *[(DAY + n * MINUTE, "1.0") for n in range(4 * 1440)])
    await roll_up(database_url)
    # Readings that no mark tells of: only what is read from the readings sees them.
    await web.database.execute("UPDATE sensor_records SET value = 3")
    query = {"start_date": "2026-11-20 00:00:00", "end_date": "2026-11-23T23:59:59", "freq": "1D"}
    admin = await web.admin()
    body = await grid(web, admin, "s", **query)
    assert [record["data"] for record in body["records"]] == ["1", "1", "1", "1.00138888889"]
    await web.database.execute("INSERT INTO rollup_dirty (facility_id, minute) VALUES ('f', $1)", DAY + 90 * MINUTE)
    await web.database.execute("INSERT INTO rollup_dirty (facility_id, minute) VALUES ('other', $1)", DAY)
    body = await grid(web, admin, "s", **query)
    assert body["records"][0]["data"] == "1.00138888889"


@pytest.mark.parametrize("points", [1, 2, 10, 97, 400])
async def test_max_points_gives_at_most_so_many_cells(web: Web, database_url: str, points: int) -> None:
    chance = random.Random(points)
    number = await web.sensor("s", "f")
    readings = irregular(chance, 300, ["24.61", "5"])
    await web.readings(number, *readings)
    await roll_up(database_url)
    start, end = DAY, readings[-1][0] + SECOND
    query = {"start_date": f"{start:%Y-%m-%d %H:%M:%S}", "end_date": f"{end:%Y-%m-%dT%H:%M:%S.%fZ}"}
    body = await grid(web, await web.admin(), "s", **query, max_points=str(points))
    step_s, unit_s = step_for((end - start) // timedelta(microseconds=1), points, 15)
    expected, analytics = naive_grid(readings, start, end, step_s * SECOND, 15 * SECOND, "mean", unit_s)
    assert [record["tracked_at"] for record in body["records"]] == [time for time, _ in expected]
    assert all(same_text(record["data"], text) for record, (_, text) in zip(body["records"], expected, strict=True))
    assert points / 3 <= len(body["records"]) <= points
    assert body["analytics"] == pytest.approx(analytics, rel=1e-11)


async def test_max_points_has_limits(web: Web) -> None:
    await web.sensor("s", "f")
    admin = await web.admin()
    for points, status in (("0", 422), ("1", 200), ("100000", 200), ("100001", 422), ("many", 422)):
        query = {"start_date": "2020-01-01", "end_date": "2026-01-01", "max_points": points}
        answer = await web.client.get("/sensor-records/s", headers=admin, params=query)
        assert answer.status_code == status, (points, answer.text)


async def test_naming_a_sensor_shows_it_only_to_those_who_may_see_it(web: Web, database_url: str) -> None:
    await web.facility("g")
    own, foreign = await web.sensor("own", "f"), await web.sensor("foreign", "g")
    for number in (own, foreign):
        await web.readings(number, (DAY, "1.0"))
    await roll_up(database_url)
    user_id, _, _ = await web.user("kim", ("f", "View"))
    database = Database(database_url, 1, 5)
    await database.open()
    for principal, visible in ((f"user:{user_id}", {own}), ("user:999999", set()), (None, set())):
        bound = database.bound_to(principal, read_only=True)
        for named in (own, foreign):
            async with grid_readings.about_sensor(bound, named) as connection:
                for table in ("sensor_records", "reading_rollups"):
                    found = await connection.fetch(f"SELECT sensor_no FROM {table}")
                    assert {row["sensor_no"] for row in found} == visible, (principal, named, table)
    await database.close()


@pytest.mark.parametrize(
    "gap", [timedelta(0), timedelta(days=1), timedelta(days=1, microseconds=1), 30 * timedelta(1), 31 * timedelta(1)]
)
async def test_the_first_reading_is_found_however_late_it_comes(web: Web, database_url: str, gap: timedelta) -> None:
    number, first = await web.sensor("s", "f"), DAY - timedelta(days=40) + gap
    await web.readings(number, (first, "1.0"), (first + 90 * SECOND, "2.0"), (DAY, "3.0"))
    await roll_up(database_url)
    query = {"start_date": f"{DAY - timedelta(days=40):%Y-%m-%d}", "end_date": "2026-11-21", "freq": "1D"}
    records = (await grid(web, await web.admin(), "s", **query))["records"]
    shown = next(record for record in records if record["data"] is not None)
    assert (shown["tracked_at"], shown["data"]) == (f"{first:%Y-%m-%dT%H:%M:%S}Z", "1.5")
    empty = await grid(web, await web.admin(), "s", start_date="2026-01-01", end_date="2026-03-01", freq="1D")
    assert empty["records"] == []
