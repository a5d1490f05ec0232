"""Lists say how many there are and where the rest is; a spreadsheet gets them whole; long ones come in pieces."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.integration.web.harness import Web, web_server
from web.serving.rows import SLICE_ROWS

pytestmark = pytest.mark.postgres

ALERTS = 2 * SLICE_ROWS + 500
MANY = 250
NAMED = {"/users": "users", "/api-keys": "api_keys", "/audit": "entries", "/parked": "parked",
         "/dead-letters": "dead_letters"}  # fmt: skip
PAGED = ("/facilities", "/sensors", "/alerts", "/alerts/facility/f0", *NAMED)
FILL = (
    """WITH places AS (INSERT INTO locations (longitude, latitude) SELECT 7.5, 51.25 FROM generate_series(1, 250)
                       RETURNING id)
       INSERT INTO facilities (id, name, status, type, location_id, created_at)
       SELECT 'f' || row_number() OVER () - 1, 'Plant ' || row_number() OVER () % 7, 'Active', 'TankFarm', id, now()
         FROM places""",
    """INSERT INTO sensors (id, facility_id, name, status, type, expected_freq, signal_interval_s, installed_at,
                            status_changed_at)
       SELECT 's' || n, 'f0', 'name ' || n % 7, 'Active', 'Flow', '15S', 15, now(), now()
         FROM generate_series(0, 249) n""",
    f"""INSERT INTO alarm_events (id, facility_id, alarm_key, sensor_no, rule, rule_version, transition, event_time,
            recorded_at, priority, alert_type, message, explanation, late, actor, reason)
        SELECT nextval('alarm_events_id_seq'), 'f0', n::text, s.sensor_no, 'high', 1, 'activated', now(), now(),
               'high', 'Anomaly', 'alert ' || n, '{{}}', false, '', ''
          FROM generate_series(1, {ALERTS}) n JOIN sensors s ON s.id = 's' || n % 250""",
    """INSERT INTO users (username, email, hashed_password, role)
       SELECT 'u' || n, n || '@plant.example', '', 'User' FROM generate_series(1, 250) n""",
    """INSERT INTO permissions (user_id, facility_id, permission_type)
       SELECT u.id, f.id, 'View' FROM users u, facilities f WHERE u.username = 'u1'""",
    """INSERT INTO api_keys (public_id, secret_hash, name, created_by, created_by_name, expires_at)
       SELECT n::text, decode(md5(n::text) || md5(n::text), 'hex'), 'key ' || n % 7, NULL, 'boss', now() + '1 day'
         FROM generate_series(1, 250) n""",
    """INSERT INTO parked (kind, facility_id, sensor_id, tracked_at, body, reason, digest, parked_at)
       SELECT 'reading', 'f', 's', now(), '{}', 'no sensor', n::text::bytea, now() FROM generate_series(1, 250) n""",
    """INSERT INTO dead_letters (source, queue, reason, detail, body, facility_id, sensor_id, recorded_at)
       SELECT 'row', 'q', 'bad', '', '', '', '', now() FROM generate_series(1, 250)""",
    """SELECT audit_append('{"action":"x.y","actor":"system","actor_name":"","address":null,"after":null,"before":null,'
                           || '"impersonated_by":null,"subject":"user:1"}')
         FROM generate_series(1, 250)""",
)


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        for statement in FILL:
            await running.database.execute(statement)
        yield running


def rows_of(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text[:500]
    body = answer.json()
    rows: list[dict[str, Any]] = body if isinstance(body, list) else body[NAMED[answer.request.url.path]]
    return rows


def next_of(answer: httpx.Response) -> str | None:
    link = answer.headers.get("link")
    if link is None:
        return None
    match = re.fullmatch(r'<(/[^<>]*)>; rel="next"', link)
    assert match is not None, link
    return match[1]


async def walked(web: Web, headers: dict[str, str], path: str, **query: object) -> list[list[dict[str, Any]]]:
    """The parts that following `Link` leads through; each tells the same total."""
    parts, totals = [], set()
    following: str | None = f"{path}?{httpx.QueryParams({name: str(value) for name, value in query.items()})}"
    while following is not None:
        answer = await web.client.get(following, headers=headers)
        parts.append(rows_of(answer))
        totals.add(answer.headers["x-total-count"])
        following = next_of(answer)
    assert totals == {str(sum(len(part) for part in parts))}, path
    return parts


async def test_every_list_tells_its_total_and_leads_through_all_of_itself(web: Web) -> None:
    admin = await web.admin()
    for path in PAGED:
        count = ALERTS if path.startswith("/alerts") else MANY
        everything = rows_of(await web.client.get(path, headers=admin, params={"limit": 10_000}))
        assert len(everything) >= count
        ids = [row["id"] for row in everything]
        assert len(set(ids)) == len(ids), path
        by_limit = await walked(web, admin, path)
        assert [row for part in by_limit for row in part] == everything, path
        assert len(by_limit) > 1, path
        by_page = await walked(web, admin, path, page_size=97)
        assert [row for part in by_page for row in part] == everything, path
        assert {len(part) for part in by_page[:-1]} == {97}, path
        assert [row for part in await walked_from(web, admin, path) for row in part] == everything[33:], path


async def walked_from(web: Web, headers: dict[str, str], path: str) -> list[list[dict[str, Any]]]:
    first = await web.client.get(path, headers=headers, params={"skip": 33, "limit": 1200})
    parts, following = [rows_of(first)], next_of(first)
    while following is not None:
        answer = await web.client.get(following, headers=headers)
        parts.append(rows_of(answer))
        following = next_of(answer)
    return parts


async def test_other_parameters_go_along_and_what_has_no_next_part_names_none(web: Web) -> None:
    admin = await web.admin()
    parts = await walked(web, admin, "/sensors", facility_id="f0", latest="true", limit=100)
    assert [len(part) for part in parts] == [100, 100, 50]
    assert await walked(web, admin, "/sensors", facility_id="f1") == [[]]
    for path, total in (("/alerts?limit=0", ALERTS), ("/alerts/recent", ALERTS), (f"/alerts?skip={ALERTS}", ALERTS),
                        ("/permissions", 0), ("/alerts?skip=99999&limit=5", ALERTS)):  # fmt: skip
        answer = await web.client.get(path, headers=admin)
        assert (answer.headers["x-total-count"], next_of(answer)) == (str(total), None), path
    exact = await web.client.get(f"/alerts?skip={ALERTS - 10}&limit=10", headers=admin)
    assert (len(rows_of(exact)), next_of(exact)) == (10, None)
    short = await web.client.get(f"/alerts?skip={ALERTS - 11}&limit=10", headers=admin)
    assert next_of(short) == f"/alerts?skip={ALERTS - 1}&limit=10"
    user_id = await web.database.fetchval("SELECT id FROM users WHERE username = 'u1'")
    granted = await web.client.get("/permissions", headers=admin, params={"user_id": user_id})
    assert len(granted.json()) == MANY == int(granted.headers["x-total-count"])


async def test_totals_are_of_what_the_caller_may_view(web: Web) -> None:
    await web.facility("mine")
    number = await web.sensor("own", "mine")
    await web.alert("mine", number, "mine")
    await web.alert("mine", None, "of the system itself, which lists of alerts do not show")
    _, kim, _ = await web.user("kim", ("mine", "View"))
    for path in ("/facilities", "/sensors", "/alerts", "/alerts/recent", "/alerts/facility/mine"):
        answer = await web.client.get(path, headers=kim, params={"limit": 1})
        assert (answer.headers["x-total-count"], len(answer.json()), next_of(answer)) == ("1", 1, None), path


async def test_web_pages_may_read_what_lists_tell(web: Web) -> None:
    admin = {**await web.admin(), "Origin": "https://front.example"}
    answer = await web.client.get("/alerts", headers=admin)
    exposed = {name.strip().lower() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert exposed == {"x-total-count", "link"}


async def test_a_spreadsheet_gets_all_alerts_unless_it_asks_for_some(web: Web) -> None:
    admin = await web.admin()
    as_csv = {**admin, "Accept": "text/csv"}
    everything = rows_of(await web.client.get("/alerts", headers=admin, params={"limit": 10_000}))

    async def ids(query: str) -> tuple[list[str], httpx.Response]:
        answer = await web.client.get(f"/alerts{query}", headers=as_csv)
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        head, *lines = csv.reader(io.StringIO(answer.text, newline=""))
        assert head[0] == "id"
        return [line[0] for line in lines], answer

    whole, answer = await ids("")
    assert whole == [str(row["id"]) for row in everything]
    assert (answer.headers["x-total-count"], next_of(answer)) == (str(ALERTS), None)
    assert "content-length" not in answer.headers, "in pieces"
    for query, part in (("?skip=2400", everything[2400:]), ("?limit=10", everything[:10]), ("?limit=0", []),
                        ("?page=3&page_size=7", everything[14:21]), ("?page=2", everything[10:20])):  # fmt: skip
        found, answer = await ids(query)
        assert found == [str(row["id"]) for row in part], query
        assert answer.headers["x-total-count"] == str(ALERTS)
        assert (next_of(answer) is None) == (query in {"?skip=2400", "?limit=0"}), query
    audit = await web.client.get("/audit", headers=as_csv)
    assert len(audit.text.splitlines()) == 1 + int(audit.headers["x-total-count"]) > MANY


async def test_a_long_list_in_pieces_is_byte_for_byte_the_list(web: Web) -> None:
    admin = await web.admin()
    for path in ("/alerts", "/users", "/parked"):
        long = await web.client.get(path, headers=admin, params={"limit": 10_000})
        parts = [await web.client.get(f"{path}?skip={at}&limit=400", headers=admin) for at in range(0, ALERTS, 400)]
        assert ("content-length" in long.headers) == (path != "/alerts")
        assert all("content-length" in part.headers for part in parts)
        if path == "/alerts":
            assert long.content == b"[" + b",".join(part.content[1:-1] for part in parts) + b"]"
        else:
            name = NAMED[path].encode()
            rows = [part.content.partition(b'":[')[2].rpartition(b'],"total"')[0] for part in parts]
            total = int(long.headers["x-total-count"])
            assert long.content == b'{"%s":[%s],"total":%d}' % (name, b",".join(filter(None, rows)), total)
    head = await web.client.head("/alerts", headers=admin, params={"limit": 10_000})
    assert (head.status_code, head.content, head.headers["x-total-count"]) == (200, b"", str(ALERTS))
