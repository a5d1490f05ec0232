"""The grid of `/sensor-records`, compared with the contract's definition written out naively."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.web.harness import Web, web_server
from web.api import histories
from web.history import slices

pytestmark = pytest.mark.postgres

DAY = datetime(2026, 11, 20, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
Readings = list[tuple[datetime, str]]


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        await running.facility("f")
        yield running


async def grid(web: Web, headers: dict[str, str], sensor_id: str, **query: str) -> dict[str, Any]:
    answer = await web.client.get(f"/sensor-records/{sensor_id}", headers=headers, params=query)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def naive_grid(
    readings: Readings,
    start: datetime,
    end: datetime,
    step: timedelta,
    expected: timedelta,
    aggregation: str,
    unit_s: int = 1,
) -> tuple[list[tuple[str, str | None]], dict[str, float | None]]:
    """The definition of the wire contract, cell by cell, with exact means."""
    inside = sorted(reading for reading in readings if start <= reading[0] <= end)
    if not inside:
        return [], {"mean": None, "min": None, "max": None}
    t0 = inside[0][0] - (inside[0][0] - EPOCH) % timedelta(seconds=unit_s)
    k = 0
    while t0 + (k - 1) * step >= start:
        k -= 1
    while t0 + k * step < start:
        k += 1
    cells: list[tuple[str, str | None]] = []
    while (cell := t0 + k * step) <= end:
        held = [reading for reading in inside if cell <= reading[0] < cell + step]
        before = [reading for reading in inside if reading[0] < cell]
        text: str | None = None
        if held:
            text = held[0][1] if len(held) == 1 else aggregated([text for _, text in held], aggregation)
        elif before and cell - before[-1][0] <= 5 * expected:
            text = before[-1][1]
        cells.append((f"{cell:%Y-%m-%dT%H:%M:%S}Z", text))
        k += 1
    numbers = [float(text) for _, text in inside if is_number(text)]
    if not numbers:
        return cells, {"mean": None, "min": None, "max": None}
    mean = float(sum(map(Fraction, numbers)) / len(numbers))
    return cells, {"mean": mean, "min": min(numbers), "max": max(numbers)}


def aggregated(texts: list[str], aggregation: str) -> str:
    numbers = [float(text) for text in texts if is_number(text)]
    if not numbers:
        return texts[-1]
    if aggregation == "mean":
        return repr(float(sum(map(Fraction, numbers)) / len(numbers)))
    return repr(min(numbers) if aggregation == "min" else max(numbers))


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def same_text(one: str | None, other: str | None) -> bool:
    if one == other or one is None or other is None:
        return one == other
    return is_number(one) and is_number(other) and float(one) == pytest.approx(float(other), rel=1e-11)


@pytest.mark.parametrize("seed", range(12))
async def test_the_grid_is_the_contracts_definition(web: Web, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read at once, and in slices and pieces of some cells."""
    chance = random.Random(seed)
    if seed % 2:
        monkeypatch.setattr(slices, "SLICE_CELLS", chance.randint(1, 20))
        monkeypatch.setattr(histories, "PIECE_ROWS", chance.randint(1, 9))
    expected_interval_s = chance.choice([1, 15, 60, 90])
    number = await web.sensor("s", "f", freq=f"{expected_interval_s}S", expected_interval_s=expected_interval_s)
    at, readings = DAY + timedelta(seconds=chance.uniform(0, 500)), {}
    for _ in range(chance.randint(1, 250)):
        gap_s = chance.choice([expected_interval_s] * 8 + [expected_interval_s * chance.randint(2, 30), 0.01])
        at += timedelta(seconds=gap_s + chance.choice([0, 0, 0.137]))
        readings[at] = chance.choice(["24.61", "24.60", "5", f"{chance.gauss(20, 5):.2f}", "OPEN", "-0.5", "1e3"])
    await web.readings(number, *readings.items())
    admin = await web.admin()
    for _ in range(8):
        start = DAY + timedelta(seconds=chance.choice([0, 1, 100, 333, 600, 900]))
        end = min(at, start) + timedelta(seconds=chance.choice([0, 7, 100, 1000, 5000]))
        freq_s = chance.choice([1, 15, 45, 60, 300, 900])
        aggregation = chance.choice(["mean", "min", "max"])
        body = await grid(
            web,
            admin,
            "s",
            start_date=f"{start:%Y-%m-%d %H:%M:%S}",
            end_date=f"{end:%Y-%m-%dT%H:%M:%S.%fZ}",
            freq=f"{freq_s}S",
            aggregation=aggregation,
        )
        cells, analytics = naive_grid(
            list(readings.items()),
            start,
            end,
            max(freq_s, expected_interval_s) * SECOND,
            expected_interval_s * SECOND,
            aggregation,
        )
        assert [record["tracked_at"] for record in body["records"]] == [time for time, _ in cells]
        for record, (time, text) in zip(body["records"], cells, strict=True):
            assert same_text(record["data"], text), (time, record, text)
        assert body["analytics"] == pytest.approx(analytics)


async def test_a_single_reading_comes_back_to_the_letter_and_aggregates_as_the_shortest_decimal(web: Web) -> None:
    number = await web.sensor("s", "f")
    texts = ["24.60", "007", "1e3", "OPEN", "", "5.0", "5"]
    await web.readings(number, *[(DAY + n * 15 * SECOND, text) for n, text in enumerate(texts)])
    later = DAY + timedelta(hours=1)
    await web.readings(number, *[(later + n * SECOND, text) for n, text in enumerate(["1", "2", "4.50", "4.5"])])
    admin = await web.admin()
    body = await grid(web, admin, "s", start_date="2026-11-20 00:00:00", end_date="2026-11-20T00:01:30", freq="15S")
    assert [record["data"] for record in body["records"]] == texts
    for aggregation, text in (("mean", "3"), ("min", "1"), ("max", "4.5")):
        first = {"start_date": "2026-11-20 01:00:00", "end_date": "2026-11-20T01:00"}
        body = await grid(web, admin, "s", **first, aggregation=aggregation)
        assert [record["data"] for record in body["records"]] == ["1"]  # the range ends with its first second
        body = await grid(
            web, admin, "s", start_date="2026-11-20 01:00:00", end_date="2026-11-20T01:00:10", aggregation=aggregation
        )
        assert [record["data"] for record in body["records"]] == [text]


async def test_the_same_moment_in_every_spelling_is_the_same_grid(web: Web) -> None:
    number = await web.sensor("s", "f", freq="1T", expected_interval_s=60)
    await web.readings(number, *[(DAY + n * 60 * SECOND, f"{n}.5") for n in range(120)])
    admin = await web.admin()
    grids = [
        await grid(web, admin, "s", start_date=start, end_date=end, freq=freq)
        for start, end, freq in (
            ("2026-11-20 00:30:00", "2026-11-20T01:30", "15T"),
            ("2026-11-20T00:30:00", "2026-11-20T01:30:00", "15min"),
            ("2026-11-20T00:30:00Z", "2026-11-20T01:30:00.000Z", "900S"),
            ("2026-11-20T02:30:00+02:00", "2026-11-20 03:30:00 02:00", "900s"),
        )
    ]
    assert all(one == grids[0] for one in grids)
    assert len(grids[0]["records"]) == 5
    assert grids[0]["analytics"] == {"mean": 60.5, "min": 30.5, "max": 90.5}


async def test_a_bare_day_is_the_whole_day(web: Web) -> None:
    number = await web.sensor("s", "f", freq="60T", expected_interval_s=3600)
    await web.readings(number, *((DAY + timedelta(hours=n), f"{n}.5") for n in range(-1, 26)))
    admin = await web.admin()
    day = await grid(web, admin, "s", start_date="2026-11-20", end_date="2026-11-20", freq="1H")
    assert [(one["tracked_at"], one["data"]) for one in day["records"]] == [
        (f"2026-11-20T{n:02}:00:00Z", f"{n}.5") for n in range(24)
    ]


async def test_ranges_without_readings_are_empty_and_too_many_cells_are_refused(web: Web) -> None:
    await web.sensor("s", "f")
    admin = await web.admin()
    empty = {"records": [], "analytics": {"mean": None, "min": None, "max": None}}
    assert await grid(web, admin, "s", start_date="2026-11-20", freq="15T") == empty
    assert await grid(web, admin, "s", start_date="2026-11-20", end_date="2026-11-19", freq="15T") == empty
    answer = await web.client.get(
        "/sensor-records/s", headers=admin, params={"start_date": "2020-01-01", "end_date": "2026-01-01", "freq": "15S"}
    )
    assert answer.status_code == 422
    assert "100000" in answer.json()["detail"][0]["msg"]
    limit = await web.client.get(
        "/sensor-records/s",
        headers=admin,
        params={"start_date": "2026-01-01 00:00:00", "end_date": "2026-01-18 08:39:45", "freq": "15S"},
    )
    assert limit.status_code == 200  # exactly 100,000 cells


async def test_sums_beyond_the_largest_number_still_have_a_mean(web: Web) -> None:
    number = await web.sensor("s", "f")
    await web.readings(number, *[(DAY + n * SECOND, "1.7e308") for n in range(4)])
    body = await grid(web, await web.admin(), "s", start_date="2026-11-20", end_date="2026-11-21", freq="1D")
    assert float(body["records"][0]["data"]) == 1.7e308
    assert body["analytics"] == {"mean": 1.7e308, "min": 1.7e308, "max": 1.7e308}


async def test_without_an_end_the_grid_runs_to_now(web: Web) -> None:
    number = await web.sensor("s", "f", freq="1T", expected_interval_s=60)
    now = datetime.now(UTC).replace(microsecond=0)
    await web.readings(number, (now - timedelta(minutes=20), "1"), (now - timedelta(minutes=2), "2"))
    body = await grid(
        web, await web.admin(), "s", start_date=f"{now - timedelta(minutes=25):%Y-%m-%d %H:%M:%S}", freq="1T"
    )
    texts = [record["data"] for record in body["records"]]
    assert texts[:5] == [None] * 5  # before the first reading
    assert texts[5:11] == ["1"] * 6  # it and five intervals
    assert texts[11:23] == [None] * 12
    assert texts[23:26] == ["2"] * 3
