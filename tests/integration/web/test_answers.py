"""What every answer has: security headers on each route, CSV where it is offered, limits on what is asked for."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.integration.web.harness import Web, serving, settings_for, web_server
from web.app import create_app
from web.history.grid import CELLS_MAX

pytestmark = pytest.mark.postgres

T0 = datetime(2026, 11, 22, 10, tzinfo=UTC)
HOSTILE = '=HYPERLINK("http://evil.example","a"),\n;'
SHOWN = HOSTILE.replace("\n", "\\x0a")
SECURITY = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
PAGES = ("/", "/docs", "/redoc", "/console")


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path, statement_timeout_s=1, trusted_proxies="127.0.0.0/8") as running:
        await running.facility("f", name=HOSTILE)
        sensor_no = await running.sensor("s", "f")
        await running.readings(sensor_no, (T0, "-24.60"), (T0 + timedelta(seconds=15), HOSTILE))
        await running.alert("f", sensor_no, "+cmd")
        yield running


def check_headers(answer: httpx.Response) -> None:
    where = f"{answer.request.method} {answer.request.url.path} {answer.status_code}"
    assert SECURITY.items() <= dict(answer.headers).items(), where
    assert "permissions-policy" in answer.headers, where
    assert "server" not in answer.headers, where
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy, where
    for word in ("unsafe-eval", "http:", "https:", "*"):
        assert word not in policy, where
    scripts = next((part for part in policy.split(";") if part.strip().startswith("script-src")), "")
    assert "unsafe" not in scripts, where
    for name in SECURITY.keys() | {"content-security-policy", "cache-control"}:
        assert len(answer.headers.get_list(name)) == 1, (where, name)
    if not answer.request.url.path.startswith("/static/") and answer.request.url.path not in {*PAGES, "/favicon.ico"}:
        assert answer.headers["cache-control"] == "no-store", where


async def test_every_route_answers_with_security_headers_whoever_asks(web: Web) -> None:
    document = (await web.client.get("/openapi.json")).json()
    walked = 0
    admin = await web.admin()
    for path, operations in document["paths"].items():
        for method in operations:
            url = path.replace("{facility_id}", "f").replace("{sensor_id}", "s").replace("{", "").replace("}", "")
            for headers in ({}, admin):
                check_headers(await web.client.request(method, url, headers=headers))
                walked += 1
                if path == "/auth/logout":
                    admin = await web.admin()
    assert walked > 60
    for page in (*PAGES, "/openapi.json", "/favicon.ico", "/static/home.css", "/static/nothing", "/nowhere"):
        check_headers(await web.client.get(page, headers={"Accept": "text/html"}))


async def test_https_is_asked_for_where_the_request_came_over_it(web: Web) -> None:
    plain = await web.client.get("/livez")
    assert "strict-transport-security" not in plain.headers
    behind = await web.client.get("/livez", headers={"X-Forwarded-Proto": "https"})
    assert behind.headers["strict-transport-security"] == "max-age=31536000"


async def test_a_proxy_that_is_not_trusted_says_nothing(web: Web, tmp_path: Path) -> None:
    app = create_app(settings_for(web.settings.database_url or "", tmp_path), web.feed)
    async with serving(app) as port:
        answer = await web.client.get(f"http://127.0.0.1:{port}/livez", headers={"X-Forwarded-Proto": "https"})
        assert "strict-transport-security" not in answer.headers


def rows_of(answer: httpx.Response) -> list[list[str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == "attachment"
    assert "Accept" in ", ".join(answer.headers.get_list("vary"))
    return list(csv.reader(io.StringIO(answer.text, newline="")))


async def test_history_and_alerts_are_csv_for_who_asks_and_run_nothing(web: Web) -> None:
    admin = await web.admin()
    renamed = await web.client.put("/sensors/s", headers=admin, json={"name": "@SUM(1)"})
    assert renamed.status_code == 200
    as_csv = {**admin, "Accept": "text/csv"}
    query = {"start_date": "2026-11-22 10:00:00", "end_date": "2026-11-22T10:00:20", "freq": "15S"}
    records = rows_of(await web.client.get("/sensor-records/s", headers=as_csv, params=query))
    assert records == [
        ["sensor_id", "tracked_at", "data"],
        ["s", "2026-11-22T10:00:00Z", "-24.60"],
        ["s", "2026-11-22T10:00:15Z", f"'{SHOWN}"],
    ]
    head, alert = rows_of(await web.client.get("/alerts", headers=as_csv))
    named = dict(zip(head, alert, strict=True))
    assert named["message"] == "'+cmd"
    assert named["sensor.name"] == "'@SUM(1)"
    assert named["facility.name"] == f"'{SHOWN}"
    head, *entries = rows_of(await web.client.get("/audit", headers=as_csv))
    renaming = next(entry for entry in entries if "sensor.updated" in entry)
    assert dict(zip(head, renaming, strict=True))["after"] == '{"name":"@SUM(1)"}'
    for accept in ("*/*", "application/json", "text/html, */*;q=0.1", "text/csv;q=0.1, application/json", "nonsense"):
        answer = await web.client.get("/sensor-records/s", headers={**admin, "Accept": accept}, params=query)
        assert answer.headers["content-type"] == "application/json", accept
        assert answer.json()["records"][0]["data"] == "-24.60"
    refused = await web.client.get("/sensor-records/s", headers=as_csv, params={"start_date": "Invalid date"})
    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/json"


async def test_a_grid_has_so_many_cells_and_no_more(web: Web) -> None:
    admin = await web.admin()
    for cells, status in ((CELLS_MAX, 200), (CELLS_MAX + 1, 422)):
        end = T0 + timedelta(seconds=15 * (cells - 1))
        query = {"start_date": f"{T0:%Y-%m-%d %H:%M:%S}", "end_date": f"{end:%Y-%m-%dT%H:%M:%S}", "freq": "15S"}
        answer = await web.client.get("/sensor-records/s", headers=admin, params=query)
        assert answer.status_code == status, answer.text[:200]
        if status == 200:
            assert len(answer.json()["records"]) == cells


async def test_a_statement_that_takes_too_long_is_ended_and_another_is_not(web: Web) -> None:
    """The sensors' table is locked for longer than a statement may take, and then for less."""
    admin = await web.admin()
    async with web.database.transaction():
        await web.database.execute("LOCK TABLE sensors IN ACCESS EXCLUSIVE MODE")
        answer = await web.client.get("/sensors", headers=admin)
        assert answer.status_code == 503
        assert answer.json() == {"detail": "This takes longer than it may; ask for less at once"}
        assert int(answer.headers["retry-after"]) > 0
    assert (await web.client.get("/sensors", headers=admin)).status_code == 200
