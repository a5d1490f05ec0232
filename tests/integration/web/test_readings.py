"""Readings as they are stored, a part at a time: every one once, in order, whatever arrives meanwhile."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.web.harness import Web, web_server
from tests.integration.web.test_records import DAY, SECOND

pytestmark = pytest.mark.postgres

RANGE = {"start_date": "2026-11-20 00:00:00", "end_date": "2026-11-20T01:00:00"}
TEXTS = ["24.60", "007", "OPEN", "", "5.0", "1e3", "NaN"]


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        await running.facility("f")
        yield running


async def part(web: Web, headers: dict[str, str], path: str = "/sensor-readings/s", **query: Any) -> dict[str, Any]:
    answer = await web.client.get(path, headers=headers, params={**RANGE, **query} if query else None)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert ("Link" in answer.headers) == (body["next"] is not None)
    if body["next"] is not None:
        found = re.fullmatch(r'<(/sensor-readings/s\?[^>]+)>; rel="next"', answer.headers["Link"])
        assert found and "Link" in answer.headers["Access-Control-Expose-Headers"]
        body["link"] = found[1]
    return body


@pytest.mark.parametrize(("order", "limit"), [("asc", 1), ("asc", 3), ("desc", 3), ("asc", 14), ("desc", 1000)])
async def test_every_reading_comes_once_and_to_the_letter(web: Web, order: str, limit: int) -> None:
    number, admin = await web.sensor("s", "f"), await web.admin()
    readings = [
        (DAY + timedelta(seconds=15 * n, microseconds=n % 2), text) for n, text in enumerate(TEXTS + TEXTS[::-1])
    ]
    outside = [(DAY - SECOND, "1"), (DAY + timedelta(hours=1, microseconds=1), "2")]
    await web.readings(number, *readings, *outside)
    body = await part(web, admin, order=order, limit=limit)
    found, parts = body["readings"], 1
    while body["next"] is not None:
        by_link = await part(web, admin, body["link"])
        assert by_link == await part(web, admin, order=order, limit=limit, after=body["next"])
        body = by_link
        assert len(body["readings"]) <= limit
        found, parts = found + body["readings"], parts + 1
    wanted = [(f"{at.replace(tzinfo=None).isoformat()}", text) for at, text in readings]
    assert [(one["tracked_at"], one["data"]) for one in found] == (wanted if order == "asc" else wanted[::-1])
    assert parts == -(-len(readings) // limit)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_what_arrives_meanwhile_neither_repeats_nor_loses_what_was_there(web: Web, order: str) -> None:
    number, admin = await web.sensor("s", "f"), await web.admin()
    readings = [(DAY + 15 * n * SECOND, f"{n}.5") for n in range(20)]
    await web.readings(number, *readings)
    found: list[str] = []
    body = await part(web, admin, order=order, limit=4)
    while True:
        found += [one["data"] for one in body["readings"]]
        late = 15 * len(found) * SECOND
        await web.readings(number, (DAY + late + SECOND, "late"), (DAY + timedelta(minutes=30) + late, "new"))
        if body["next"] is None:
            break
        body = await part(web, admin, body["link"])
    there = [text for text in found if text not in {"late", "new"}]
    wanted = [text for _, text in readings]
    assert there == (wanted if order == "asc" else wanted[::-1])
    assert ("new" in found) == (order == "asc"), "new ones come where they belong"


async def test_score_flags_and_the_end_that_is_now(web: Web) -> None:
    number, admin = await web.sensor("s", "f"), await web.admin()
    await web.readings(number, (DAY, "24.60"), (DAY + SECOND, "OPEN"))
    await web.database.execute("UPDATE sensor_records SET score = 2.5, flags = 33 WHERE text_value = '24.60'")
    shown = [
        {"tracked_at": "2026-11-20T00:00:00", "data": "24.60", "score": 2.5, "flags": 33},
        {"tracked_at": "2026-11-20T00:00:01", "data": "OPEN", "score": None, "flags": 0},
    ]
    assert await part(web, admin, limit=10) == {"readings": shown, "next": None}
    answer = await web.client.get("/sensor-readings/s", headers=admin, params={"start_date": "2026-11-20"})
    assert answer.json()["readings"] == shown
    as_csv = await web.client.get("/sensor-readings/s", headers={**admin, "Accept": "text/csv"}, params=RANGE)
    assert as_csv.text.splitlines() == [
        '"tracked_at","data","score","flags"',
        '"2026-11-20T00:00:00",24.60,2.5,33',
        '"2026-11-20T00:00:01","OPEN",,0',
    ]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"limit": "0"}, 422),
        ({"limit": "1"}, 200),
        ({"limit": "1000"}, 200),
        ({"limit": "1001"}, 422),
        ({"order": "newest"}, 422),
        ({"after": "the last one"}, 422),
        ({"after": "2026-11-20T00:00:00Z"}, 200),
        ({"after": "1970-01-01"}, 200),
        ({"after": "1970-01-01", "order": "desc", "start_date": "1970-01-01"}, 200),
        ({"start_date": ""}, 422),
    ],
)
async def test_what_is_no_part_is_refused(web: Web, query: dict[str, str], status: int) -> None:
    await web.sensor("s", "f")
    answer = await web.client.get("/sensor-readings/s", headers=await web.admin(), params={**RANGE, **query})
    assert answer.status_code == status, answer.text
