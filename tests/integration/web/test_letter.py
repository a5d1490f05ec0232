"""The sentences of the wire contract, one table each, that no other test holds to the letter."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.integration.web.harness import ADMIN_EMAIL, ADMIN_PASSWORD, Web, bearer, web_server
from tests.unit.contract_table import FACILITY_TYPE_COLORS, FACILITY_TYPES, ROWS, SENSOR_TYPE_COLORS, SENSOR_TYPES
from web.contract.shapes import LIMIT_MAX, PAGE_SIZE_MAX

pytestmark = pytest.mark.postgres

ORIGIN = {"Origin": "https://front.example"}
T0 = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        yield running


def url_of(path: str) -> str:
    """With ids that nothing has, and where a number is due, that are none."""
    return path.replace("{user_id}", "abc").replace("{permission_id}", "abc").replace("{", "no-").replace("}", "")


async def test_401_comes_before_everything_else_and_says_why(web: Web) -> None:
    """Before 404 of an unknown id, 422 of a bad one, of an unusable query and of a body that is no JSON."""
    for route, row in ROWS.items():
        method, _, path = route.partition(" ")
        for header, detail in (
            (None, "Not authenticated"),
            ("Basic YTpi", "Not authenticated"),
            ("Bearer nonsense", "Could not validate credentials"),
        ):
            headers = ORIGIN | ({"Authorization": header} if header else {})
            answer = await web.client.request(
                method, url_of(path), headers=headers, params={"limit": "x", "freq": "x", "user_id": "x"}, content=b"{"
            )
            assert answer.headers["access-control-allow-origin"] == ORIGIN["Origin"], route
            assert "Origin" in answer.headers["vary"], route
            assert answer.headers["content-type"] == "application/json", route
            if row.who == "all":
                assert answer.status_code in {200, 422}, (route, answer.text)
                continue
            assert (answer.status_code, answer.json()) == (401, {"detail": detail}), route
            assert answer.headers["www-authenticate"] == "Bearer", route


async def test_ids_that_are_no_numbers_are_422_and_unknown_ones_404(web: Web) -> None:
    admin = await web.admin()
    start = {"start_date": "2026-11-22 10:00:00"}
    for route in ROWS:
        method, _, path = route.partition(" ")
        if "{" not in path:
            continue
        unusable, unknown = url_of(path), url_of(path).replace("abc", "2000000")
        body = {"name": "x"} if method == "PUT" else None
        answer = await web.client.request(method, unknown, headers=admin, json=body, params=start)
        assert (answer.status_code, type(answer.json()["detail"])) == (404, str), (route, answer.text)
        if unusable != unknown:
            for text in ("abc", "1.5", "1e3", "0x1", "1%20"):
                answer = await web.client.request(method, unusable.replace("abc", text), headers=admin, json=body)
                assert answer.status_code == 422, (route, text, answer.text)
                assert [set(problem) for problem in answer.json()["detail"]] == [{"loc", "msg", "type"}]


async def test_whom_a_permission_names_is_404_when_unknown_and_422_when_no_number(web: Web) -> None:
    await web.facility("f")
    admin = await web.admin()
    for user_id, status in ((1, 200), ("1", 200), (2, 404), (0, 404), (-1, 404), (2**31, 404), (-(2**40), 404),
                            (10**30, 404), ("x", 422), (1.5, 422), (None, 422), ([1], 422)):  # fmt: skip
        body = {"user_id": user_id, "facility_id": "f", "permission_type": "View"}
        answer = await web.client.post("/permissions", headers=admin, json=body)
        assert answer.status_code == status, (user_id, answer.text)


async def test_a_preflight_is_answered_on_any_path_before_login_and_routing(web: Web) -> None:
    for path in ("/", "/nowhere/at/all", "/users/abc", "/docs", "/ws/notifications", "/auth/token"):
        for wanted in ("PUT", "DELETE", "PATCH"):
            asked = {"Access-Control-Request-Method": wanted, "Access-Control-Request-Headers": "authorization,x-any"}
            answer = await web.client.options(path, headers=ORIGIN | asked)
            assert answer.status_code == 200, path
            assert answer.headers["access-control-allow-origin"] == ORIGIN["Origin"]
            assert answer.headers["access-control-allow-headers"] == "authorization,x-any"
            assert wanted in answer.headers["access-control-allow-methods"].split(", ")
            assert (answer.headers["access-control-max-age"], answer.headers["vary"]) == ("600", "Origin")


async def test_every_way_to_send_a_login_and_a_refresh_token(web: Web) -> None:
    stale = {"Authorization": "Bearer expired.or.nonsense"}
    fields = {"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD}
    sent: list[dict[str, Any]] = [
        {"data": fields},
        {"data": {**fields, "grant_type": "password", "scope": "", "client_id": "x"}},
        {"data": {**fields, "username": ADMIN_EMAIL.upper()}},
        {"data": {**fields, "username": "admin"}},
        {"files": {name: (None, text) for name, text in fields.items()}},
        {"json": fields},
    ]
    for one in sent:
        answer = await web.client.post("/auth/token", headers=stale, **one)
        assert answer.status_code == 200, (one, answer.text)
        assert set(answer.json()) == {"access_token", "refresh_token", "token_type"}
        assert answer.json()["token_type"] == "bearer"
    for missing in ({}, {"username": "admin"}, {"password": "x"}, {"username": "", "password": "x"}):
        assert (await web.client.post("/auth/token", data=missing)).status_code == 422
    pair = await web.sign_in()
    for way in ("params", "data", "json", "files"):
        token: Any = {"refresh_token": pair["refresh_token"]}
        sent_as: dict[str, Any] = {way: {"refresh_token": (None, pair["refresh_token"])} if way == "files" else token}
        answer = await web.client.post("/auth/refresh-token", headers=stale, **sent_as)
        assert answer.status_code == 200, (way, answer.text)
        fresh = answer.json()
        assert fresh["access_token"] != pair["access_token"] and fresh["refresh_token"] != pair["refresh_token"]
        pair = fresh
    none = await web.client.post("/auth/refresh-token", headers=stale)
    assert none.status_code == 422
    colors = await web.client.get("/dashboard/colors", headers=stale)
    assert colors.status_code == 200


async def test_tokens_carry_the_claims_that_clients_read(web: Web) -> None:
    user_id, _, _ = await web.user("kim")
    pair = (await web.client.post(f"/auth/impersonate/{user_id}", headers=await web.admin())).json()
    fresh = (await web.client.post("/auth/refresh-token", params={"refresh_token": pair["refresh_token"]})).json()
    for one in (pair, fresh):
        claims = json.loads(base64.urlsafe_b64decode(one["access_token"].split(".")[1] + "=="))
        assert (claims["sub"], claims["id"], claims["impersonated_by"]) == ("kim", user_id, 1)
        assert isinstance(claims["exp"], int)


async def test_lists_give_100_unless_asked_and_any_number_of_facilities_and_sensors(web: Web) -> None:
    await web.facility("f0", name="name 0")
    await web.database.execute(
        """INSERT INTO facilities (id, name, status, type, location_id, created_at)
           SELECT 'f' || n, 'name ' || n % 7, 'Active', 'TankFarm', 1, now() FROM generate_series(1, 149) n"""
    )
    await web.database.execute(
        """INSERT INTO sensors (id, facility_id, name, status, type, expected_freq, signal_interval_s, installed_at,
                                status_changed_at)
           SELECT 's' || n, 'f0', 'name ' || n % 7, 'Active', 'Flow', '15S', 15, now(), now()
             FROM generate_series(1, 150) n"""
    )
    admin = await web.admin()

    async def get(path: str, **query: object) -> list[dict[str, Any]]:
        answer = await web.client.get(path, headers=admin, params={name: str(value) for name, value in query.items()})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()
        return found

    for path in ("/facilities", "/sensors"):
        everything = await get(path, limit=10**15)
        assert len(everything) == 150
        assert everything == sorted(everything, key=lambda one: (one["name"], one["id"]))
        assert await get(path) == everything[:100]
        assert await get(path, skip=100) == everything[100:]
        for size in (10, 25, 50):
            assert await get(path, page=2, page_size=size) == everything[size : 2 * size]
        assert await get(path, page=9, page_size=50) == []
        assert await get(path, limit=0) == []


async def test_pages_of_what_grows_without_end_have_a_largest_size(web: Web) -> None:
    await web.facility("f")
    admin = await web.admin()
    for path in ("/users", "/alerts", "/alerts/recent", "/alerts/facility/f", "/parked", "/dead-letters"):
        for name, most in (("limit", LIMIT_MAX), ("page_size", PAGE_SIZE_MAX)):
            if path == "/alerts/recent" and name == "page_size":
                continue
            assert (await web.client.get(path, headers=admin, params={name: most})).status_code == 200, path
            refused = await web.client.get(path, headers=admin, params={name: most + 1})
            assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["query", name]), path


async def test_frequencies_and_times_in_all_their_spellings(web: Web) -> None:
    await web.facility("f")
    number = await web.sensor("s", "f")
    await web.readings(number, *((T0 + timedelta(minutes=n), f"{n}.50") for n in range(60)))
    admin = await web.admin()

    async def ask(query: str) -> httpx.Response:
        return await web.client.get(f"/sensor-records/s?{query}", headers=admin)  # to the letter, "+" too

    hour = "start_date=2026-11-22%2010:00:00&end_date=2026-11-22T10:59"
    for same in (("15T", "15min", "900S", "900s"), ("1H", "1h", "60T", "60min", "3600s"), ("1D", "1d", "24H", "1440T")):
        bodies = [(await ask(f"{hour}&freq={freq}")).text for freq in same]
        assert len(set(bodies)) == 1 and '"data":"' in bodies[0], same
    assert (await ask(hour)).text == (await ask(f"{hour}&freq=15T&aggregation=mean")).text, "the defaults"
    assert (await ask(f"{hour}&freq=")).text == (await ask(hour)).text, "empty is absent"
    fine = (await ask("start_date=2026-11-22%2010:00:00&end_date=2026-11-22T10:00:30&freq=30s")).json()["records"]
    assert [(one["tracked_at"], one["data"]) for one in fine] == [
        ("2026-11-22T10:00:00Z", "0.50"),
        ("2026-11-22T10:00:30Z", "0.50"),
    ]
    wanted = (await ask(hour)).text
    for start in ("2026-11-22T10:00:00", "2026-11-22+10:00:00", "2026-11-22T10:00Z", "2026-11-22T10:00:00.000Z",
                  "2026-11-22T12:00:00%2B02:00", "2026-11-22T12:00:00+02:00", "2026-11-22T05:00:00-05:00"):  # fmt: skip
        for end in ("2026-11-22T10:59:00", "2026-11-22T12:59+02:00", "2026-11-22%2010:59:00Z"):
            assert (await ask(f"start_date={start}&end_date={end}")).text == wanted, (start, end)
    for name, value in (
        ("freq", "15"), ("freq", "T"), ("freq", "0T"), ("freq", "-15T"), ("freq", "1.5H"), ("freq", "15M"),
        ("freq", "15 T"), ("aggregation", "median"), ("aggregation", "MEAN"), ("end_date", "Invalid%20date"),
        ("end_date", "yesterday"), ("end_date", "2026-11-22T25:00"), ("end_date", "2026-02-30"),
    ):  # fmt: skip
        refused = await ask(f"start_date=2026-11-22%2010:00:00&{name}={value}")
        assert refused.status_code == 422, (name, value, refused.text)
        assert refused.json()["detail"][0]["loc"] == ["query", name]


async def test_the_dashboard_counts_orders_and_leaves_out(web: Web) -> None:
    """A sensor of each type, the n-th n times, of one facility of each type."""
    facility_types = list(FACILITY_TYPES)
    for n, kind in enumerate(facility_types):
        await web.facility(f"f{n}", kind=kind, status=("Active", "Offline")[n % 2])
    types = sorted(SENSOR_TYPES)
    sensors = sum(range(1, len(types) + 1))
    await web.database.execute(
        """INSERT INTO sensors (id, facility_id, name, status, type, expected_freq, signal_interval_s, installed_at,
                                status_changed_at)
           SELECT 's' || k || '-' || i, 'f0', 'x', CASE WHEN k = 1 THEN 'Fault' ELSE 'Active' END, t, '15S', 15, now(),
                  now()
             FROM unnest($1::text[]) WITH ORDINALITY AS kinds (t, k), generate_series(1, k) AS i""",
        types,
    )
    admin = await web.admin()
    board = (await web.client.get("/dashboard", headers=admin)).json()
    assert board["metrics"] == {
        "total_facilities": 7,
        "active_facilities": 4,
        "maintenance_facilities": 0,
        "offline_facilities": 3,
        "facility_types": 7,
        "total_sensors": sensors,
        "active_sensors": sensors - 1,
        "inactive_sensors": 1,
        "avg_sensors_per_facility": round(sensors / 7, 2),
    }
    charts = board["chart_data"]
    assert [(one["name"], one["value"]) for one in charts["status_data"]] == [("Active", 4), ("Offline", 3)]
    assert [(one["name"], one["value"]) for one in charts["sensor_status_data"]] == [
        ("Active", sensors - 1),
        ("Fault", 1),
    ]
    shown = charts["sensor_type_data"]
    assert [one["value"] for one in shown] == list(range(len(types), len(types) - 10, -1)), (
        "the ten most frequent, descending"
    )
    assert [one["name"].replace(" ", "") for one in shown] == types[::-1][:10]
    assert {one["name"] for one in charts["type_data"]} == {
        "Drilling Rig", "Pipelines", "Tank Farm", "Underground Storage", "Processing Plant", "Import Terminal",
        "Export Terminal",
    }  # fmt: skip
    colors = (await web.client.get("/dashboard/colors")).json()
    for entries, names in (("type_data", "facilityTypes"), ("sensor_type_data", "sensorTypes")):
        assert all(one["color"] == colors[names][one["name"].replace(" ", "")] for one in charts[entries])
    _, nothing, _ = await web.user("kim")
    empty = (await web.client.get("/dashboard", headers=nothing)).json()
    assert set(empty["metrics"].values()) == {0}
    assert list(empty["chart_data"].values()) == [[], [], [], []]


async def test_the_colours_are_those_of_the_contract(web: Web) -> None:
    colors = (await web.client.get("/dashboard/colors")).json()
    assert list(colors["sensorStatus"].items()) == [
        ("Active", "#4caf50"),
        ("Inactive", "#f44336"),
        ("Maintenance", "#ff9800"),
        ("Fault", "#d32f2f"),
        ("Offline", "#f44336"),
    ]
    assert list(colors["facilityTypes"].items()) == list(FACILITY_TYPE_COLORS.items())
    assert list(colors["sensorTypes"].items()) == list(SENSOR_TYPE_COLORS.items())


async def test_what_is_sent_beside_the_known_keys_is_ignored(web: Web) -> None:
    await web.facility("f", name="North")
    await web.sensor("s", "f")
    headers = await web.admin()
    extra = {"unknown": {"deep": [1]}, "id": "other", "created_at": "x"}
    for method, path, body in (
        ("POST", "/users", {"username": "kim", "email": "kim@x.org", "password": "a good long one"}),
        ("PUT", "/users/2", {"email": "kim@y.org"}),
        ("POST", "/permissions", {"user_id": 2, "facility_id": "f", "permission_type": "Edit"}),
        ("PUT", "/sensors/s", {"expected_freq": "15S"}),
        ("PUT", "/facilities/f", {"name": "South"}),
        ("PUT", "/sensors/s", {"name": "Flare"}),
    ):
        answer = await web.client.request(method, path, headers=headers, json=body | extra)
        assert answer.status_code == 200, (path, answer.text)
        assert set(extra) & set(answer.json()) <= {"id", "created_at"}
        assert all(answer.json()[name] == value for name, value in body.items() if name != "password")
    for empty in ({}, {"name": None}):
        kept = await web.client.put("/facilities/f", headers=headers, json=empty)
        assert kept.json()["name"] == "South"


async def test_an_alert_says_why_as_far_as_the_journal_does(web: Web) -> None:
    headers = await web.admin()
    await web.facility("f")
    number = await web.sensor("s", "f")
    why = {
        "rule": "anomaly",
        "value": 61.2,
        "band": [63.9, 64.8],
        "since_us": 1_795_342_260_000_000,
        "views": [{"name": "shift", "decades": 5.5, "says": "is falling faster than usual"}],
        "kind": "continuous",
    }
    of_version_1 = {"rule": "anomaly", "score_decades": 9.0, "views": {"ewma_residual": 9.0}}
    limit = {"rule": "high", "value": 25.5, "limit": 25.0, "unit": "°C", "range": [20.0, 25.0]}
    for explanation in (None, of_version_1, limit, why):
        await web.alert("f", number, "unusual", explanation=explanation)
    for path in ("/alerts", "/alerts/recent", "/alerts/facility/f"):
        newest, of_limit, old, none = (
            alert["explanation"] for alert in (await web.client.get(path, headers=headers)).json()[:4]
        )
        assert old is None and none is None
        assert (of_limit["rule"], of_limit["limit"], of_limit["views"]) == ("high", 25.0, [])
        assert newest["views"] == why["views"]
        assert newest["band"] == [63.9, 64.8]
        assert newest["since"] == "2026-11-22T10:11:00"
        assert newest["contributors"] == [] and newest["limit"] is None


async def test_an_alert_carries_its_sensor_as_the_sensor_itself_is_spelled(web: Web) -> None:
    """Also where an older server stored another spelling."""
    await web.facility("f")
    number = await web.sensor("s", "f", freq="1H", expected_interval_s=3600)
    await web.alert("f", number, "too hot")
    headers = bearer(await web.sign_in())
    sensor = (await web.client.get("/sensors/s", headers=headers)).json()
    alert = (await web.client.get("/alerts/recent", headers=headers)).json()[0]
    assert sensor["expected_freq"] == "60T"
    assert {name: sensor[name] for name in alert["sensor"]} == alert["sensor"]
    facility = (await web.client.get("/facilities/f", headers=headers)).json()
    assert {name: facility[name] for name in alert["facility"]} == alert["facility"]
