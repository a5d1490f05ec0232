"""Histories of few points: readings at their own times that draw the same line, however they were found."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.web.harness import Web, web_server
from tests.integration.web.test_records import DAY, SECOND, Readings, grid, is_number
from tests.integration.web.test_rollups import roll_up
from web.api.histories import POINTS_MAX
from web.history import grid_readings, line

pytestmark = pytest.mark.postgres

WAYS = {"whole": (20_000, 20_000), "cells of readings": (-1, 10**12), "cells of rollups": (-1, -1)}


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        await running.facility("f")
        yield running


def go(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole_max, worth = WAYS[way]
    monkeypatch.setattr(line, "READINGS_MAX", whole_max)
    monkeypatch.setattr(line, "LOOKED_UP_AT_ONCE", 7)
    monkeypatch.setattr(grid_readings, "WORTH_READINGS", worth)
    monkeypatch.setattr(grid_readings, "CELL_ROWS", min(worth, 0))


def readings_of(chance: random.Random, count: int, texts: list[str]) -> Readings:
    at, found = DAY + timedelta(seconds=chance.uniform(0, 900)), []
    for _ in range(count):
        at += timedelta(seconds=chance.choice([15] * 30 + [90, 4000]) + chance.choice([0, 0.137]))
        found.append((at, chance.choice(texts) if chance.random() < 0.2 else f"{chance.gauss(20, 5):.2f}"))
    return found


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def check(body: dict[str, Any], inside: Readings, points_max: int, method: str) -> None:
    numbers = [(at, text) for at, text in inside if is_number(text)]
    points = [(moment(record["tracked_at"]), record["data"]) for record in body["records"]]
    assert len(points) <= points_max
    assert points == sorted(points)
    assert set(points) <= set(numbers), "each is a reading, at its own time and to the letter"
    assert (points[0], points[-1]) == (numbers[0], numbers[-1])
    values = [float(text) for _, text in numbers]
    if method == "minmax":
        assert {min(values), max(values)} <= {float(text) for _, text in points}
    if len(numbers) > points_max:
        assert len(points) > points_max / 3
    assert body["analytics"] == pytest.approx(
        {"mean": sum(values) / len(values), "min": min(values), "max": max(values)}, rel=1e-11
    )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", range(3))
async def test_few_readings_draw_the_line(
    web: Web, database_url: str, way: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    number, admin = await web.sensor("s", "f"), await web.admin()
    readings = readings_of(chance, 2500, ["24.60", "007", "1e3"] + ["OPEN", "", "2e200"] * (seed % 2))
    late = set(chance.sample(range(len(readings)), 300))
    await web.readings(number, *(reading for place, reading in enumerate(readings) if place not in late))
    await roll_up(database_url)
    await web.readings(number, *(readings[place] for place in late))  # marked, not rolled up
    go(way, monkeypatch)
    for _ in range(6):
        start = DAY + chance.randint(0, 20_000) * SECOND
        end = start + chance.choice([timedelta(hours=4), readings[-1][0] - DAY])
        points_max, method = chance.choice([4, 5, 30, 301, 4000]), chance.choice(["minmax", "lttb"])
        query = {"start_date": f"{start:%Y-%m-%d %H:%M:%S}", "end_date": f"{end:%Y-%m-%dT%H:%M:%S.%fZ}"}
        query |= {"max_points": str(points_max), "downsample": method}
        body = await grid(web, admin, "s", **query)
        check(body, [reading for reading in readings if start <= reading[0] <= end], points_max, method)
        assert await grid(web, admin, "s", **query) == body


@pytest.mark.parametrize("way", WAYS)
async def test_a_range_without_numbers_has_no_line(web: Web, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    go(way, monkeypatch)
    number, admin = await web.sensor("s", "f"), await web.admin()
    await web.readings(number, (DAY + SECOND, "OPEN"), (DAY + 2 * SECOND, "SHUT"))
    query = {"end_date": "2026-11-21", "max_points": "10", "downsample": "minmax"}
    empty = {"records": [], "analytics": {"mean": None, "min": None, "max": None}}
    for start in ("2026-11-20", "2026-11-21", "2026-11-23"):
        assert await grid(web, admin, "s", start_date=start, **query) == empty
    await web.readings(number, (DAY + timedelta(seconds=3, microseconds=137_000), "4.50"))
    body = await grid(web, admin, "s", start_date="2026-11-20", **query)
    assert body["records"] == [{"sensor_id": "s", "tracked_at": "2026-11-20T00:00:03.137000Z", "data": "4.50"}]


async def test_readings_closer_than_expected_are_not_read_whole(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sensor's interval says how many there should be; a hundred times as many must not come into memory."""
    monkeypatch.setattr(line, "READINGS_MAX", 200)
    number, admin = await web.sensor("s", "f"), await web.admin()
    readings = [(DAY + n * SECOND / 10, f"{n % 97}.5") for n in range(1000)]
    await web.readings(number, *readings)
    query = {"start_date": "2026-11-20 00:00:00", "end_date": "2026-11-20T00:02:00", "downsample": "minmax"}
    check(await grid(web, admin, "s", **query, max_points="20"), readings, 20, "minmax")


async def test_what_a_rollup_knows_of_a_reading_that_is_gone_is_left_out(
    web: Web, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    go("cells of rollups", monkeypatch)
    number, admin = await web.sensor("s", "f"), await web.admin()
    await web.readings(number, *[(DAY + n * 15 * SECOND, f"{n}.5") for n in range(4 * 240)])
    await roll_up(database_url)
    await web.database.execute("DELETE FROM sensor_records WHERE value = 359.5")
    query = {"start_date": "2026-11-20", "end_date": "2026-11-20", "downsample": "minmax"}
    records = (await grid(web, admin, "s", **query, max_points="24"))["records"]
    assert 6 <= len(records) <= 24
    assert all(is_number(record["data"]) for record in records)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"downsample": "minmax"}, 422),
        ({"downsample": "minmax", "max_points": "3"}, 422),
        ({"downsample": "minmax", "max_points": "4"}, 200),
        ({"downsample": "lttb", "max_points": str(POINTS_MAX)}, 200),
        ({"downsample": "lttb", "max_points": str(POINTS_MAX + 1)}, 422),
        ({"downsample": "every", "max_points": "10"}, 422),
        ({"downsample": "lttb", "max_points": "10", "with": "n"}, 422),
        ({"downsample": "", "max_points": "3", "with": "n"}, 200),
    ],
)
async def test_what_does_not_go_together_is_refused(web: Web, query: dict[str, str], status: int) -> None:
    await web.sensor("s", "f")
    answer = await web.client.get(
        "/sensor-records/s", headers=await web.admin(), params={"start_date": "2025-01-01", **query}
    )
    assert answer.status_code == status, answer.text
