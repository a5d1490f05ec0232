"""What is read from rollups is what the readings would give: counts and extremes to the bit, means to twelve digits."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from native import Flag
from tests.integration.web.harness import Web, web_server
from tests.integration.web.test_records import DAY, SECOND, grid, same_text
from tests.integration.web.test_rollups import roll_up
from web.history import grid_readings, slices
from web.history.rollup_choice import Grid, Stretches

pytestmark = pytest.mark.postgres

BAD = Flag.TEXT | Flag.NON_FINITE | Flag.OUT_OF_PHYSICAL_RANGE
FROM_READINGS, FROM_ROLLUPS = 10**12, -1


class Stored(NamedTuple):
    at: datetime
    value: float | None
    text: str | None
    flags: int


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        await running.facility("f")
        yield running


def stored(chance: random.Random, at: datetime) -> Stored:
    """One reading as the engine stores it; most are numbers, some of those flagged."""
    match chance.choices(["number", "text", "not finite", "huge"], [93, 3, 3, 1])[0]:
        case "text":
            return Stored(at, None, "OPEN", Flag.TEXT)
        case "not finite":
            return Stored(at, None, "NaN", Flag.TEXT | Flag.NON_FINITE)
        case "huge":
            return Stored(at, 2e200, None, Flag.OUT_OF_PHYSICAL_RANGE)
    value = round(chance.gauss(20, 5), 2)
    flags = chance.choice([0] * 8 + [Flag.LATE, Flag.ANOMALY | Flag.ABOVE_HIGH, Flag.OUT_OF_PHYSICAL_RANGE])
    return Stored(at, value, None, flags)


def history(chance: random.Random, count: int) -> list[Stored]:
    """Mostly every 15 s, with gaps; hours of numbers only among hours with texts."""
    at = DAY + timedelta(seconds=chance.uniform(0, 9000))
    found: list[Stored] = []
    while len(found) < count:
        is_plain = chance.random() < 0.6
        for _ in range(chance.randint(1, 200)):
            at += timedelta(seconds=chance.choice([15] * 30 + [90, 4000]) + chance.choice([0, 0.137]))
            one = stored(chance, at)
            found.append(one if not is_plain or one.value else one._replace(value=5.0, text=None, flags=0))
        at += timedelta(seconds=chance.choice([0, 0, 20_000, 90_000]))
    return found


async def store(web: Web, number: int, readings: list[Stored]) -> None:
    await web.database.executemany(
        "INSERT INTO sensor_records (sensor_no, tracked_at, value, text_value, flags) VALUES ($1, $2, $3, $4, $5)",
        [(number, *reading) for reading in readings],
    )
    await web.database.execute(
        """INSERT INTO rollup_dirty (facility_id, minute)
           SELECT DISTINCT 'f', date_trunc('minute', at) FROM unnest($1::timestamptz[]) at""",
        [reading.at for reading in readings],
    )


def counted(readings: list[Stored], start: datetime, end: datetime, cell: str, step_s: int) -> tuple[int, float | None]:
    begins = datetime.fromisoformat(cell)
    held = [
        reading
        for reading in readings
        if start <= reading.at <= end and begins <= reading.at < begins + step_s * SECOND
    ]
    good = [reading for reading in held if reading.value is not None and not reading.flags & BAD]
    return sum(reading.value is not None for reading in held), len(good) / len(held) if held else None


@pytest.mark.parametrize("seed", range(6))
async def test_rollups_give_what_the_readings_give(
    web: Web, database_url: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    if seed % 2:
        monkeypatch.setattr(slices, "SLICE_CELLS", chance.randint(1, 20))
    number, admin = await web.sensor("s", "f"), await web.admin()
    readings = history(chance, 1500)
    late = set(chance.sample(range(len(readings)), 250))
    await store(web, number, [reading for place, reading in enumerate(readings) if place not in late])
    await roll_up(database_url)
    await store(web, number, [readings[place] for place in sorted(late)])  # marked, not rolled up
    for _ in range(10):
        start = DAY + chance.randint(0, 100_000) * SECOND
        end = start + chance.choice([timedelta(hours=7), timedelta(days=2, seconds=5), readings[-1].at - DAY])
        step_s = chance.choice([3600, 5400, 10_801, 86_400])
        query = {"start_date": f"{start:%Y-%m-%d %H:%M:%S}", "end_date": f"{end:%Y-%m-%dT%H:%M:%S.%fZ}"}
        query |= {"freq": f"{step_s}S", "aggregation": chance.choice(["mean", "min", "max"])}
        found: list[dict[str, Any]] = []
        for worth in (FROM_READINGS, FROM_ROLLUPS):
            monkeypatch.setattr(grid_readings, "WORTH_READINGS", worth)
            monkeypatch.setattr(grid_readings, "CELL_ROWS", min(worth, 0))
            found.append(await grid(web, admin, "s", **query, **{"with": "good_fraction,n"}))
        of_readings, of_rollups = found
        assert len(of_readings["records"]) == len(of_rollups["records"])
        for one, other in zip(of_readings["records"], of_rollups["records"], strict=True):
            assert list(other) == ["sensor_id", "tracked_at", "data", "n", "good_fraction"]
            is_same = same_text(one["data"], other["data"]) if query["aggregation"] == "mean" else one == other
            assert is_same and one | {"data": ""} == other | {"data": ""}, (one, other)
            assert (other["n"], other["good_fraction"]) == counted(readings, start, end, other["tracked_at"], step_s)
        one, other = of_readings["analytics"], of_rollups["analytics"]
        assert (one["min"], one["max"]) == (other["min"], other["max"])
        assert same_text(*(None if each["mean"] is None else repr(each["mean"]) for each in (one, other)))


async def test_the_rollups_count_and_are_asked(web: Web, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the comparison above would compare the readings with themselves."""
    monkeypatch.setattr(grid_readings, "WORTH_READINGS", FROM_ROLLUPS)
    monkeypatch.setattr(grid_readings, "CELL_ROWS", -1)
    number = await web.sensor("s", "f")
    await store(web, number, [Stored(DAY + n * 15 * SECOND, 1.0, None, n % 2 * 128) for n in range(3 * 5760)])
    await roll_up(database_url)
    await web.database.execute("UPDATE sensor_records SET flags = 0")
    query = {"start_date": "2026-11-20 00:00:00", "end_date": "2026-11-22T23:59:59", "freq": "1D", "with": "n"}
    body = await grid(web, await web.admin(), "s", **query)
    assert [record["n"] for record in body["records"]] == [5760] * 3
    assert "good_fraction" not in body["records"][0]
    body = await grid(web, await web.admin(), "s", **query | {"with": "good_fraction"})
    assert [round(record["good_fraction"], 2) for record in body["records"]] == [0.5] * 3
    assert "n" not in body["records"][0]


async def test_counts_are_named_and_cells_without_readings_have_none(web: Web) -> None:
    number, admin = await web.sensor("s", "f"), await web.admin()
    await store(web, number, [Stored(DAY, 1.0, None, 0), Stored(DAY + 600 * SECOND, None, "OPEN", 2)])
    query = {
        "start_date": "2026-11-20 00:00:00",
        "end_date": "2026-11-20T00:10:15",
        "freq": "15S",
        "with": "n,good_fraction",
    }
    records = (await grid(web, admin, "s", **query))["records"]
    said = [(record["data"], record["n"], record["good_fraction"]) for record in records]
    assert said[:2] == [("1.0", 1, 1.0), ("1.0", 0, None)]
    assert said[10] == (None, 0, None)
    assert said[-2:] == [("OPEN", 0, 0.0), ("OPEN", 0, None)]
    lines = await web.client.get("/sensor-records/s", headers={**admin, "Accept": "text/csv"}, params=query)
    assert lines.text.splitlines()[:3] == [
        '"sensor_id","tracked_at","data","n","good_fraction"',
        '"s","2026-11-20T00:00:00Z",1.0,1,1.0',
        '"s","2026-11-20T00:00:15Z",1.0,0,',
    ]
    for names, status in (("n", 200), ("", 200), ("n,", 422), ("sum", 422), ("n,good_fraction,n", 200)):
        asked = await web.client.get("/sensor-records/s", headers=admin, params=query | {"with": names})
        assert asked.status_code == status, names


ARE_ALL_OF = Stretches.are_all_of


@pytest.mark.parametrize("seed", range(4))
async def test_both_ways_through_the_rollups_give_the_same_bytes(
    web: Web, database_url: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look a stretch, and one way through all of them where none is left out; texts are read anew."""
    ways: list[bool] = []

    def found_out(stretches: Stretches, part: Grid, width_us: int) -> bool:
        ways.append(ARE_ALL_OF(stretches, part, width_us))
        return ways[-1]

    chance = random.Random(seed)
    monkeypatch.setattr(grid_readings, "WORTH_READINGS", FROM_ROLLUPS)
    monkeypatch.setattr(grid_readings, "CELL_ROWS", -1)
    number, admin = await web.sensor("s", "f"), await web.admin()
    readings = history(chance, 1500)
    marked = chance.choice([0, 200])
    await store(web, number, readings[: 1500 - marked])
    await roll_up(database_url)
    await store(web, number, readings[1500 - marked :])  # not rolled up
    end = readings[-1].at + SECOND
    for _ in range(8):
        start = DAY + chance.randint(0, 100_000) * SECOND
        query = {"start_date": f"{start:%Y-%m-%d %H:%M:%S}", "end_date": f"{end:%Y-%m-%dT%H:%M:%S.%fZ}"}
        query |= chance.choice([{"max_points": "40"}, {"max_points": "700"}, {"freq": "5400S"}, {"freq": "1D"}])
        query |= chance.choice([{"with": "n,good_fraction"}, {"aggregation": "min"}, {"aggregation": "max"}])
        bodies = []
        for are_all_of in (lambda *_: False, found_out):
            monkeypatch.setattr(Stretches, "are_all_of", are_all_of)
            answer = await web.client.get("/sensor-records/s", headers=admin, params=query)
            assert answer.status_code == 200
            bodies.append(answer.content)
        assert bodies[0] == bodies[1], query
    assert False in ways and (marked or True in ways)
