"""Exports over REST: who gets what, the same bytes again, and nothing left behind."""

from __future__ import annotations

import asyncio
import io
import os
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import polars as pl
import pytest
import pytest_asyncio

from engine.exports import reading
from engine.exports.datasets import DATASETS
from engine.exports.formats import FORMATS
from tests.integration.web.harness import Web, bearer, web_server
from web.contract.declare import File
from web.contract.export_shapes import ExportJob
from web.exports import making

pytestmark = pytest.mark.postgres
DAY = datetime(2026, 11, 20, tzinfo=UTC)
READERS: dict[str, Any] = {
    "parquet": pl.read_parquet,
    "arrow": pl.read_ipc,
    "csv": pl.read_csv,
    "ndjson": pl.read_ndjson,
}


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        for facility_id in ("north", "south"):
            await running.facility(facility_id)
            for name in ("a", "b"):
                number = await running.sensor(f"{facility_id} {name}", facility_id)
                await running.readings(number, *[(DAY + timedelta(hours=n), f"{n}.5") for n in range(48)])
        yield running


async def export(web: Web, headers: dict[str, str], dataset: str = "records", **query: Any) -> httpx.Response:
    return await web.client.get(f"/exports/{dataset}", headers=headers, params=query)


async def job(web: Web, headers: dict[str, str], **body: Any) -> dict[str, Any]:
    answer = await web.client.post("/export-jobs", headers=headers, json={"dataset": "records", **body})
    assert answer.status_code == 200, answer.text
    return await ended(web, headers, answer.json()["id"])


async def ended(web: Web, headers: dict[str, str], job_id: str) -> dict[str, Any]:
    for _ in range(600):
        found: dict[str, Any] = (await web.client.get(f"/export-jobs/{job_id}", headers=headers)).json()
        if found["state"] != "running":
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("the export does not end")


def file_of(path: str) -> str:
    return path.replace("/export-jobs/", "/export-files/")


def kept(web: Web) -> list[str]:
    folder = web.settings.data_dir / "exports"
    return sorted(place.name for place in folder.iterdir()) if folder.exists() else []


async def until_quiet(web: Web) -> None:
    """Neither file nor transaction of an export is left."""
    asked = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gasinsight-export' AND xact_start IS NOT NULL"
    )
    deadline_s = time.monotonic() + 20
    while kept(web) or await web.database.fetchval(asked):
        assert time.monotonic() < deadline_s, (
            kept(web),
            await web.database.fetch("SELECT query FROM pg_stat_activity"),
        )
        await asyncio.sleep(0.05)


def test_the_description_says_what_the_engine_can() -> None:
    assert tuple(kind.mime_type for kind in FORMATS.values()) == File.TYPES
    schema = ExportJob.model_json_schema()["properties"]
    assert schema["dataset"]["enum"] == list(DATASETS)
    assert schema["format"]["enum"] == list(FORMATS)


# --- sent at once -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
async def test_readings_come_as_a_file_of_the_format_asked_for(web: Web, kind: str) -> None:
    answer = await export(web, await web.admin(), format=kind, start_date="2026-11-20", end_date="2026-11-20")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, FORMATS[kind].mime_type), answer.text
    assert answer.headers["Content-Disposition"] == f'attachment; filename="records{FORMATS[kind].suffix}"'
    found = READERS[kind](io.BytesIO(answer.content))
    assert found.columns == [column.name for column in DATASETS["records"].columns]
    assert found.height == 4 * 24
    await until_quiet(web)


async def test_a_range_ends_before_its_end(web: Web) -> None:
    asked = {"start_date": "2026-11-20T10:00:00", "end_date": "2026-11-20 12:00+00:00", "sensor_id": "north a"}
    found = pl.read_parquet(io.BytesIO((await export(web, await web.admin(), **asked)).content))
    assert found["value"].to_list() == [10.5, 11.5]


@pytest.mark.parametrize("dataset", DATASETS)
async def test_every_data_set_can_be_had(web: Web, dataset: str) -> None:
    answer = await export(web, await web.admin(), dataset)
    found = pl.read_parquet(io.BytesIO(answer.content))
    assert found.columns == [column.name for column in DATASETS[dataset].columns]


async def test_several_ids_and_some_columns(web: Web) -> None:
    asked: dict[str, Any] = {"sensor_id": ["south b", "north a"], "columns": "value, sensor_id"}
    found = pl.read_parquet(io.BytesIO((await export(web, await web.admin(), **asked)).content))
    assert found.columns == ["value", "sensor_id"]
    assert found["sensor_id"].unique().sort().to_list() == ["north a", "south b"]
    both: dict[str, Any] = {"facility_id": ["north", "south"]}
    assert pl.read_parquet(io.BytesIO((await export(web, await web.admin(), **both)).content)).height == 192


@pytest.mark.parametrize("who", ["user", "key"])
async def test_who_may_view_one_facility_gets_that_one_and_nothing_else(web: Web, who: str) -> None:
    if who == "user":
        _, headers, _ = await web.user("ann", ("north", "View"))
    else:
        headers = {"Authorization": f"Bearer {(await web.api_key('notebook', ('north', 'View')))['key']}"}
    for dataset in ("records", "sensors", "facilities"):
        found = pl.read_parquet(io.BytesIO((await export(web, headers, dataset)).content))
        assert found["facility_id"].unique().to_list() == ["north"], dataset
    assert (await export(web, headers, facility_id="south")).status_code == 403
    assert (await export(web, headers, facility_id=["north", "south"])).status_code == 403
    assert (await export(web, headers, facility_id=["south", "east"])).status_code == 404
    assert (await export(web, headers, sensor_id=["north a", "south a"])).status_code == 403
    assert (await export(web, headers, sensor_id="north c")).status_code == 404
    refused = await web.client.post(
        "/export-jobs", headers=headers, json={"dataset": "records", "facility_ids": ["south"]}
    )
    assert (refused.status_code, refused.json()["detail"]) == (404, "There is no facility 'south'")
    await until_quiet(web)


@pytest.mark.parametrize(
    ("asked", "name", "why"),
    [
        ({"columns": "valve"}, "columns", "records has no column 'valve'; it has facility_id"),
        ({"columns": "value,value"}, "columns", "named twice"),
        ({"format": "xlsx"}, "format", "Input should be 'parquet', 'arrow', 'csv' or 'ndjson'"),
        ({"start_date": "soon"}, "start_date", "soon"),
        ({"start_date": "2026-11-21", "end_date": "2026-11-20"}, "end_date", "its start must lie before its end"),
    ],
)
async def test_what_cannot_be_is_told_with_what_could(web: Web, asked: dict[str, str], name: str, why: str) -> None:
    answer = await export(web, await web.admin(), **asked)
    assert answer.status_code == 422
    (problem,) = answer.json()["detail"]
    assert problem["loc"] == ["query", name]
    assert why in problem["msg"] or why == "soon"
    assert kept(web) == []


async def test_who_goes_away_leaves_neither_file_nor_transaction(web: Web) -> None:
    headers = await web.admin()
    with patch("engine.exports.pieces.PIECE_ROWS", 1):  # a hundred statements
        async with web.client.stream("GET", "/exports/records", headers=headers, params={"format": "csv"}) as answer:
            async for _ in answer.aiter_bytes():
                break
    await until_quiet(web)


async def test_what_cannot_be_written_down_is_not_taken(web: Web) -> None:
    headers = await web.admin()
    await web.database.execute("ALTER FUNCTION audit_append(text) RENAME TO audit_append_away")
    with patch("engine.exports.reading._copy", _slowly()):
        assert (await export(web, headers)).status_code >= 500
        assert (await web.client.post("/export-jobs", headers=headers, json={"dataset": "records"})).status_code >= 500
    await until_quiet(web)


async def test_who_asks_for_the_head_alone_leaves_nothing(web: Web) -> None:
    answer = await web.client.head("/exports/records", headers=await web.admin())
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, File.TYPES[0])
    await until_quiet(web)


async def test_it_is_written_down_who_took_what(web: Web) -> None:
    _, headers, _ = await web.user("ann", ("north", "View"))
    await export(web, headers, facility_id="north")
    answer = await web.client.get("/audit", headers=await web.admin(), params={"action": "export.created"})
    assert "north" in answer.text
    assert "ann" in answer.text


# --- jobs -------------------------------------------------------------------------------------------------------------


async def test_a_job_is_made_fetched_again_to_the_byte_and_taken_away(web: Web) -> None:
    headers = await web.admin()
    made = await job(web, headers, facility_ids=["north"])
    assert (made["state"], made["rows"], made["facility_ids"], made["problem"]) == ("done", 96, ["north"], None)
    await web.database.execute("UPDATE sensor_records SET value = 0")
    path = f"/export-jobs/{made['id']}"
    first = await web.client.get(file_of(path), headers=headers)
    again = await web.client.get(file_of(path), headers=headers)
    assert len(first.content) == made["bytes"] == int(first.headers["Content-Length"])
    assert first.content == again.content
    assert pl.read_parquet(io.BytesIO(first.content)).height == 96
    assert [one["id"] for one in (await web.client.get("/export-jobs", headers=headers)).json()] == [made["id"]]
    assert (await web.client.delete(path, headers=headers)).json()["id"] == made["id"]
    assert (await web.client.get(path, headers=headers)).status_code == 404
    await until_quiet(web)


async def test_a_broken_download_goes_on_where_it_broke(web: Web) -> None:
    headers = await web.admin()
    made = await job(web, headers)
    path = f"/export-files/{made['id']}"
    whole = (await web.client.get(path, headers=headers)).content
    part = await web.client.get(path, headers={**headers, "Range": "bytes=100-"})
    assert (part.status_code, part.content) == (206, whole[100:])
    assert part.headers["Content-Range"] == f"bytes 100-{len(whole) - 1}/{len(whole)}"
    piece = await web.client.get(path, headers={**headers, "Range": "bytes=5-9", "If-Range": part.headers["ETag"]})
    assert (piece.status_code, piece.content) == (206, whole[5:10])
    other = await web.client.get(path, headers={**headers, "Range": "bytes=5-9", "If-Range": '"another"'})
    assert (other.status_code, other.content) == (200, whole)
    last = await web.client.get(path, headers={**headers, "Range": f"bytes={len(whole) - 1}-"})
    assert last.content == whole[-1:]
    beyond = await web.client.get(path, headers={**headers, "Range": f"bytes={len(whole)}-"})
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{len(whole)}")


async def test_a_job_is_its_makers_alone_and_ends_with_the_right(web: Web) -> None:
    user_id, headers, _ = await web.user("ann", ("north", "View"))
    _, others, _ = await web.user("bob", ("north", "View"))
    made = await job(web, headers)
    path = f"/export-jobs/{made['id']}"
    for method in ("GET", "DELETE"):
        assert (await web.client.request(method, path, headers=others)).status_code == 404
    assert (await web.client.get(file_of(path), headers=await web.admin())).status_code == 404
    assert (await web.client.get(file_of(path), headers=headers)).status_code == 200
    await web.database.execute("DELETE FROM permissions WHERE user_id = $1", user_id)
    assert (await web.client.get(file_of(path), headers=headers)).status_code == 403


async def test_a_running_job_can_be_followed_and_cancelled(web: Web) -> None:
    headers = await web.admin()
    with patch("engine.exports.pieces.PIECE_ROWS", 1), patch("engine.exports.reading._copy", _slowly()):
        answer = await web.client.post("/export-jobs", headers=headers, json={"dataset": "records", "format": "csv"})
        path = f"/export-jobs/{answer.json()['id']}"
        assert (await web.client.get(path, headers=headers)).json()["state"] == "running"
        part = await web.client.get(file_of(path), headers={**headers, "Range": "bytes=5-"})
        assert part.status_code == 409
        assert (await web.client.delete(path, headers=headers)).status_code == 200
    await until_quiet(web)


def _slowly() -> Any:
    as_it_is = reading._copy

    async def copy(*arguments: Any) -> None:
        await asyncio.sleep(0.3)
        await as_it_is(*arguments)

    return copy


async def test_as_many_as_may_run_at_once_and_no_more(web: Web) -> None:
    headers = await web.admin()
    with patch("engine.exports.reading._copy", _slowly()), patch("engine.exports.pieces.PIECE_ROWS", 1):
        made = [
            await web.client.post("/export-jobs", headers=headers, json={"dataset": "records"})
            for _ in range(making.UNDER_WAY_PER_CALLER_MAX + 1)
        ]
        assert [answer.status_code for answer in made] == [200] * making.UNDER_WAY_PER_CALLER_MAX + [429]
        assert made[-1].headers["Retry-After"] == "5"
        assert "2 exports of yours are under way" in made[-1].json()["detail"]
        for answer in made[:-1]:
            await web.client.delete(f"/export-jobs/{answer.json()['id']}", headers=headers)
    await until_quiet(web)


async def test_who_comes_when_all_turns_are_taken_waits_for_one(web: Web) -> None:
    callers = [(await web.user(f"user{n}", ("north", "View")))[1] for n in range(making.RUNNING_MAX + 1)]
    with patch("engine.exports.reading._copy", _slowly()):
        made = [
            await web.client.post("/export-jobs", headers=headers, json={"dataset": "records"}) for headers in callers
        ]
        assert [answer.status_code for answer in made] == [200] * len(callers)
        for headers, answer in zip(callers, made, strict=True):
            assert (await ended(web, headers, answer.json()["id"]))["state"] == "done"


async def test_what_has_no_room_fails_and_says_so(web: Web) -> None:
    headers = await web.admin()
    with patch.object(making, "size_of", return_value=10_001 * 10**6):
        answer = await web.client.post("/export-jobs", headers=headers, json={"dataset": "records", "format": "csv"})
        made = await ended(web, headers, answer.json()["id"])
    assert made["state"] == "failed"
    data = web.settings.data_dir / "exports" / made["id"] / "data"
    assert data.stat().st_size == 0, "the room is for others"
    assert made["problem"] == "exports have 10000 MB together, and this one needs more"
    answer = await web.client.get(f"/export-files/{made['id']}", headers=headers)
    assert (answer.status_code, made["problem"] in answer.json()["detail"]) == (409, True)


async def test_one_caller_keeps_at_most_half_of_the_room(web: Web) -> None:
    headers, other = await web.admin(), (await web.user("sparing", ("north", "View")))[1]
    room = web.settings.exports_mb_max * 10**6
    with patch.object(making, "size_of", return_value=room // 4):
        first = await job(web, headers, format="csv")
        second = await job(web, headers, format="csv")
    with patch.object(making, "size_of", return_value=1):
        third = await job(web, headers, format="csv")
        assert (await job(web, other, format="csv"))["state"] == "done"
    assert [each["state"] for each in (first, second, third)] == ["done", "done", "failed"]
    assert third["problem"].startswith("one caller's exports have 5000 of 10000 MB")
    for each in (first, second):
        await web.client.delete(f"/export-jobs/{each['id']}", headers=headers)
    assert (await job(web, headers, format="csv"))["state"] == "done"


async def test_an_export_whose_time_is_over_is_taken_away(web: Web, database_url: str, tmp_path: Path) -> None:
    headers = await web.admin()
    made = await job(web, headers, keep_hours=1)
    about = tmp_path / "exports" / made["id"] / "about.json"
    assert about.exists()
    about.write_text(about.read_text().replace('"expires_us":', '"expires_us":1,"was":'))
    async with web_server(database_url, tmp_path):
        await until_quiet(web)


async def test_what_failed_and_what_nobody_can_read_is_swept(web: Web, database_url: str, tmp_path: Path) -> None:
    made = await job(web, await web.admin())
    folder = tmp_path / "exports"
    about = folder / made["id"] / "about.json"
    about.write_text(about.read_text().replace('"state":"done"', '"state":"running"'))
    for name in ("torn", "fresh"):
        (folder / name).mkdir()
        (folder / name / "about.json").write_text("{")
    os.utime(folder / "torn", (0, 0))
    async with web_server(database_url, tmp_path):
        deadline_s = time.monotonic() + 20
        while (folder / "torn").exists() or (folder / made["id"] / "data").stat().st_size:
            assert time.monotonic() < deadline_s
            await asyncio.sleep(0.05)
    assert (folder / "fresh").exists()
    assert '"state":"failed"' in about.read_text()


async def test_an_export_whose_server_ended_is_not_running_for_ever(web: Web) -> None:
    headers = await web.admin()
    made = await job(web, headers)
    about = web.settings.data_dir / "exports" / made["id"] / "about.json"
    about.write_text(about.read_text().replace('"state":"done"', '"state":"running"'))
    found = (await web.client.get(f"/export-jobs/{made['id']}", headers=headers)).json()
    assert (found["state"], found["problem"]) == ("failed", "the server ended before it was whole")


async def test_nobody_without_a_token_exports(web: Web) -> None:
    assert (await export(web, {})).status_code == 401
    assert (await web.client.post("/export-jobs", json={"dataset": "records"})).status_code == 401
    assert (await export(web, bearer({"access_token": "x"}))).status_code == 401
