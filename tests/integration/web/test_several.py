"""Several sensors in one request: the grids that each gives by itself, for who may see all of them."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.integration.web.harness import Web, web_server
from tests.integration.web.test_records import DAY, SECOND, grid
from web.api.records import SENSORS_MAX
from web.history import line

pytestmark = pytest.mark.postgres

RANGE = {"start_date": "2026-11-20 00:00:00", "end_date": "2026-11-20T06:00:00"}


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        for facility_id in ("f", "g"):
            await running.facility(facility_id)
        yield running


async def several(web: Web, headers: dict[str, str], *sensor_ids: str, **query: str | list[str]) -> httpx.Response:
    return await web.client.get(
        "/sensor-records", headers=headers, params={**RANGE, **query, "sensor_id": list(sensor_ids)}
    )


@pytest.mark.parametrize(
    "query",
    [
        {"freq": "1H"},
        {"freq": "15S"},
        {"max_points": "40", "aggregation": "max", "with": "n,good_fraction"},
        {"max_points": "50", "downsample": "minmax"},
        {"max_points": "600", "downsample": "lttb"},
    ],
)
async def test_the_grids_are_those_of_each_sensor(
    web: Web, query: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one without readings, one with other steps, one in another facility, and pieces that are pauses."""
    monkeypatch.setattr(line, "READINGS_MAX", 500)
    chance, admin = random.Random(3), await web.admin()
    for sensor_id, facility_id, interval_s, count in (
        ("a", "f", 15, 900), ("empty", "f", 15, 0), ("b/raw", "g", 60, 200), ('q"', "f", 15, 1),
    ):  # fmt: skip
        number = await web.sensor(sensor_id, facility_id, freq=f"{interval_s}S", expected_interval_s=interval_s)
        await web.readings(
            number, *[(DAY + n * interval_s * SECOND, f"{chance.gauss(20, 5):.2f}") for n in range(count)]
        )
    names = ["b/raw", "empty", "a", 'q"']
    answer = await several(web, admin, *names, "a", **query)
    assert answer.status_code == 200, answer.text
    grids = answer.json()["grids"]
    assert [one.pop("sensor_id") for one in grids] == names, "once each, in the order in which they were named"
    for name, one in zip(names, grids, strict=True):
        path = f"{name.replace('/', '%2F').replace(chr(34), '%22')}"
        assert one == await grid(web, admin, path, **RANGE, **query), name
    assert not grids[1]["records"] and len(grids[2]["records"]) > 6


async def test_all_must_be_there_and_seen(web: Web) -> None:
    for sensor_id, facility_id in (("own", "f"), ("own too", "f"), ("foreign", "g")):
        await web.sensor(sensor_id, facility_id)
    _, kim, _ = await web.user("kim", ("f", "View"))
    admin = await web.admin()
    for names, status in (
        (("own", "own too"), 200),
        (("own", "foreign"), 403),
        (("foreign", "absent"), 404),
        (("absent", "own"), 404),
        (("own", "nul\x00"), 404),
        ((), 422),
        (("",), 422),
    ):
        assert (await several(web, kim, *names)).status_code == status, names
    assert (await several(web, admin, "own", "foreign")).status_code == 200
    assert (await several(web, {}, "absent")).status_code == 401
    assert (await several(web, kim, "absent", freq="fast")).status_code == 404, "before what is wrong with the query"
    assert (await several(web, kim, "own", freq="fast")).status_code == 422


async def test_so_many_sensors_and_no_more(web: Web) -> None:
    names = [f"s{n:02}" for n in range(SENSORS_MAX + 1)]
    for name in names:
        await web.sensor(name, "f")
    admin = await web.admin()
    most = await several(web, admin, *names[:SENSORS_MAX])
    assert len(most.json()["grids"]) == SENSORS_MAX == 20
    refused = await several(web, admin, *names)
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["query", "sensor_id"]


async def test_many_cells_are_streamed_and_whole(web: Web) -> None:
    admin = await web.admin()
    for name in ("a", "b"):
        number = await web.sensor(name, "f")
        await web.readings(number, (DAY, "1.5"), (DAY + 3600 * SECOND, "2.5"))
    day = {"start_date": "2026-11-20", "end_date": "2026-11-21", "freq": "15S"}
    async with web.client.stream(
        "GET", "/sensor-records", headers=admin, params={**day, "sensor_id": ["a", "b"]}
    ) as answer:
        assert answer.headers.get("transfer-encoding") == "chunked"
        await answer.aread()
    assert [len(one["records"]) for one in answer.json()["grids"]] == [2 * 5760] * 2
