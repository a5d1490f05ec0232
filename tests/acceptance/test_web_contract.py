"""A front end's view of the server, written from the wire contract alone: HTTP and websockets, nothing of the project.

The server is `hypercorn web.main:app` as a process of its own; facilities and history are put into its database
beforehand, because the contract creates them over Service Bus only.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.acceptance.front_end import FrontEnd
from tests.acceptance.web_alone import EMAIL, FORM, PASSWORD, served

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

NAIVE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?")

USER = {"id", "username", "email", "created_at", "last_login", "role"}
PERMISSION = {"id", "user_id", "facility_id", "permission_type", "granted_at"}
LOCATION = {"id", "address", "longitude", "latitude"}
FACILITY = {"id", "name", "status", "type", "location_id", "created_at", "location"}
SENSOR = {
    "id", "name", "facility_id", "status", "type", "expected_freq", "location_id", "installed_at", "location"
}  # fmt: skip
ALERT = {"id", "sensor_id", "type", "message", "created_at"}
ALERT_SENSOR = {"id", "name", "status", "type", "facility_id", "installed_at", "expected_freq"}
ALERT_FACILITY = {"id", "name", "status", "type", "created_at"}


def test_the_wire_contract(database_url: str, tmp_path: Path) -> None:
    """One server, the tables of the contract from top to bottom."""
    with served(database_url, tmp_path) as base:
        check_everything(base)


def check_everything(base: str) -> None:
    admin = FrontEnd(base, EMAIL, PASSWORD)
    check_pages(base)
    check_cors(base)
    check_signing_in(base)
    check_refresh(base)
    user = check_users(base, admin)
    check_permissions(base, admin, user)
    check_facilities(admin)
    check_sensors(admin)
    check_records(admin)
    check_alerts(admin)
    check_dashboard(base, admin)
    check_rights(base, admin)
    check_websockets(base)
    check_old_tokens_at_the_notifications(base)


def check_pages(base: str) -> None:
    page = httpx.get(base, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.status_code == 200 and "text/html" in page.headers["content-type"]
    assert "/docs" in page.text and "default-src 'none'" in page.headers["content-security-policy"]
    for path in ("/docs", "/redoc"):
        page = httpx.get(base + path)
        assert page.status_code == 200 and "text/html" in page.headers["content-type"]
        links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert links and all(link.startswith("/") for link in links), "nothing from a CDN"
        assert all(httpx.get(base + link).status_code == 200 for link in links)
    assert httpx.get(f"{base}/openapi.json").json()["openapi"].startswith("3.1")
    assert httpx.get(f"{base}/livez").status_code == 200
    ready = httpx.get(f"{base}/readyz")
    assert ready.status_code == 503 and set(ready.json()["checks"]) == {"web", "database", "bus", "engine"}
    assert httpx.get(f"{base}/metrics").text.startswith("# ")


def check_cors(base: str) -> None:
    for path in ("/users/me", "/auth/token", "/does/not/exist", "/sensors/x/y"):
        answer = httpx.options(
            base + path,
            headers={
                "Origin": "https://app.gas.example",
                "Access-Control-Request-Method": "PUT",
                "Access-Control-Request-Headers": "authorization, content-type, x-odd",
            },
        )
        assert answer.status_code == 200, path
        assert answer.headers["access-control-allow-origin"] == "https://app.gas.example"
        assert answer.headers["vary"] == "Origin"
        assert answer.headers["access-control-allow-headers"] == "authorization, content-type, x-odd"
        assert {"GET", "POST", "PUT", "DELETE"} <= set(answer.headers["access-control-allow-methods"].split(", "))
        assert answer.headers["access-control-max-age"] == "600"


def check_signing_in(base: str) -> None:
    pair = httpx.post(f"{base}/auth/token", data=FORM).json()
    assert set(pair) == {"access_token", "refresh_token", "token_type"} and pair["token_type"] == "bearer"
    claims = json.loads(base64.urlsafe_b64decode(pair["access_token"].split(".")[1] + "=="))
    assert claims["sub"] == "admin" and isinstance(claims["id"], int) and claims["exp"] > time.time()
    assert httpx.post(f"{base}/auth/token", data={**FORM, "username": "admin"}).status_code == 200
    stale = {"Authorization": "Bearer expired.or.nonsense"}
    assert httpx.post(f"{base}/auth/token", data=FORM, headers=stale).status_code == 200
    for wrong in ({**FORM, "password": "x"}, {**FORM, "username": "nobody@gas.example"}):
        refused = httpx.post(f"{base}/auth/token", data=wrong)
        assert refused.status_code == 401 and isinstance(refused.json()["detail"], str)
    anonymous = httpx.get(f"{base}/users/me")
    assert (anonymous.status_code, anonymous.json()) == (401, {"detail": "Not authenticated"})
    assert anonymous.headers["www-authenticate"] == "Bearer"
    bad = httpx.get(f"{base}/users/me", headers=stale)
    assert (bad.status_code, bad.json()) == (401, {"detail": "Could not validate credentials"})
    assert bad.headers["www-authenticate"] == "Bearer"
    assert httpx.get(f"{base}/users/not-a-number").status_code == 401
    assert httpx.get(f"{base}/facilities/absent").status_code == 401


def check_refresh(base: str) -> None:
    first = httpx.post(f"{base}/auth/token", data=FORM).json()
    time.sleep(6.5)  # the access token lives 6 s here
    expired = {"Authorization": f"Bearer {first['access_token']}"}
    assert httpx.get(f"{base}/users/me", headers=expired).status_code == 401

    async def at_once() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=base, headers=expired) as client:
            token = {"refresh_token": first["refresh_token"]}
            return await asyncio.gather(*(client.post("/auth/refresh-token", params=token) for _ in range(6)))

    answers = asyncio.run(at_once())
    assert [answer.status_code for answer in answers] == [200] * 6
    assert len({answer.text for answer in answers}) == 1
    second = answers[0].json()
    assert second["refresh_token"] != first["refresh_token"] and second["access_token"] != first["access_token"]
    in_form = httpx.post(f"{base}/auth/refresh-token", data={"refresh_token": second["refresh_token"]})
    third = httpx.post(f"{base}/auth/refresh-token", json={"refresh_token": in_form.json()["refresh_token"]})
    assert third.status_code == 200
    headers = {"Authorization": f"Bearer {third.json()['access_token']}"}
    assert "detail" in httpx.post(f"{base}/auth/logout", headers=headers).json()
    for pair in (third.json(), second):
        void = httpx.post(f"{base}/auth/refresh-token", params={"refresh_token": pair["refresh_token"]})
        assert void.status_code == 401
    assert httpx.post(f"{base}/auth/refresh-token", params={"refresh_token": "nonsense"}).status_code == 401


def check_users(base: str, admin: FrontEnd) -> dict[str, Any]:
    me = admin.get("/users/me")
    assert set(me) == USER and me["username"] == "admin" and me["email"] == EMAIL and me["role"] == "Admin"
    assert NAIVE.fullmatch(me["created_at"]) and NAIVE.fullmatch(me["last_login"])
    new = {"username": "ida", "email": "ida@gas.example", "password": "number one", "role": "User", "ignored": True}
    ida: dict[str, Any] = admin.ask("POST", "/users", json=new)
    assert set(ida) == USER and ida["role"] == "User" and ida["last_login"] is None
    assert isinstance(admin.ask("POST", "/users", 400, json=new)["detail"], str)
    assert isinstance(admin.ask("POST", "/users", 422, json={"username": "x"})["detail"], list)
    page = admin.get("/users", skip=0, limit=1)
    assert page["total"] == 2 and [user["username"] for user in page["users"]] == ["admin"]
    assert admin.get("/users", page=2, page_size=1)["users"] == [ida]
    assert admin.get(f"/users/{ida['id']}") == ida
    assert admin.ask("PUT", f"/users/{ida['id']}", json={"password": "number two"})["username"] == "ida"
    old = httpx.post(f"{base}/auth/token", data={"username": "ida@gas.example", "password": "number one"})
    assert old.status_code == 401
    pair = admin.ask("POST", f"/auth/impersonate/{ida['id']}")
    as_ida = httpx.get(f"{base}/users/me", headers={"Authorization": f"Bearer {pair['access_token']}"})
    assert as_ida.json()["id"] == ida["id"]
    assert httpx.post(f"{base}/auth/refresh-token", params={"refresh_token": pair["refresh_token"]}).status_code == 200
    admin.ask("POST", "/auth/impersonate/99999", 404)
    admin.get("/users/99999", 404)
    problems = admin.get("/users/abc", 422)["detail"]
    assert all(set(problem) == {"loc", "msg", "type"} for problem in problems)
    admin.ask("DELETE", f"/users/{me['id']}", 400)
    return ida


def check_permissions(base: str, admin: FrontEnd, user: dict[str, Any]) -> None:
    grant = {"user_id": user["id"], "facility_id": "fa-1", "permission_type": "View"}
    first = admin.ask("POST", "/permissions", json=grant)
    assert set(first) == PERMISSION and NAIVE.fullmatch(first["granted_at"])
    admin.ask("POST", "/permissions", json={**grant, "permission_type": "Edit"})
    listed = admin.get("/permissions", user_id=user["id"], facility_id="absent")
    assert [one["permission_type"] for one in listed] == ["Edit"], "replaced; user_id wins"
    assert admin.get("/permissions", facility_id="fa-1") == listed
    assert admin.get("/permissions") == []
    admin.ask("POST", "/permissions", 404, json={**grant, "facility_id": "absent"})
    admin.ask("POST", "/permissions", 404, json={**grant, "user_id": 99999})
    admin.ask("POST", "/permissions", 422, json={**grant, "permission_type": "Own"})
    assert admin.ask("DELETE", f"/permissions/{listed[0]['id']}") == listed[0]
    admin.ask("DELETE", f"/permissions/{listed[0]['id']}", 404)
    admin.ask("POST", "/permissions", json=grant)
    gone = admin.ask("POST", "/users", json={"username": "tom", "email": "tom@gas.example", "password": "toms word"})
    admin.ask("POST", "/permissions", json={**grant, "user_id": gone["id"]})
    assert admin.ask("DELETE", f"/users/{gone['id']}")["username"] == "tom"


def check_facilities(admin: FrontEnd) -> None:
    facilities = admin.get("/facilities")
    assert [one["id"] for one in facilities] == ["fa-2", "fa-1", "fa-3"], "by name, then id"
    assert all(set(one) == FACILITY and set(one["location"]) == LOCATION for one in facilities)
    assert facilities[0]["location"] == {"id": 2, "address": None, "longitude": 8.0, "latitude": 52.0}
    assert facilities[0]["created_at"] == "2026-11-01T08:00:00"
    assert admin.get("/facilities", skip=1, limit=1) == [facilities[1]]
    assert admin.get("/facilities/fa-1") == facilities[1]
    admin.get("/facilities/absent", 404)
    assert admin.ask("PUT", "/facilities/fa-3", json={"name": "Charlie"})["name"] == "Charlie"
    assert admin.ask("PUT", "/facilities/fa-3", json={})["name"] == "Charlie"


def check_sensors(admin: FrontEnd) -> None:
    sensors = admin.get("/sensors", facility_id="fa-1")
    assert [one["id"] for one in sensors] == ["se-1", "se-2"]
    assert all(set(one) >= SENSOR for one in sensors)
    assert sensors[1]["location"] is None and sensors[1]["installed_at"] == "2026-11-01T08:00:00.500000"
    assert len(admin.get("/sensors")) == 3
    assert admin.get("/sensors", facility_id="fa-1", skip=1, limit=10) == [sensors[1]]
    changed = admin.ask("PUT", "/sensors/se-3", json={"status": "Maintenance", "expected_freq": "15T"})
    assert (changed["status"], changed["expected_freq"]) == ("Maintenance", "15T")
    assert admin.get("/sensors/se-3") == changed
    admin.ask("PUT", "/sensors/se-3", 422, json={"status": "Sleeping"})
    admin.get("/sensors/absent", 404)


def check_records(admin: FrontEnd) -> None:
    whole: dict[str, Any] = {"start_date": "2026-11-20 10:00:00", "end_date": "2026-11-20T11:00"}
    body = admin.get("/sensor-records/se-1", **whole)
    assert set(body) == {"records", "analytics"}
    assert body["analytics"] == pytest.approx({"mean": 49.625, "min": 20.0, "max": 79.25})
    times = [record["tracked_at"] for record in body["records"]]
    assert times == [f"2026-11-20T10:{minute:02}:30Z" for minute in (0, 15, 30, 45)]
    assert set(body["records"][0]) == {"sensor_id", "tracked_at", "data"}
    assert [float(record["data"]) for record in body["records"]] == [27.375, 42.375, 57.375, 72.125]
    for freq in ("15min", "900S", "900s"):
        assert admin.get("/sensor-records/se-1", **whole, freq=freq) == body
    lowest = admin.get("/sensor-records/se-1", **whole, aggregation="min")["records"]
    assert [record["data"] for record in lowest] == ["20", "35", "50", "65"]
    minute: dict[str, Any] = {"start_date": "2026-11-20T10:00:00Z", "end_date": "2026-11-20T10:01:00"}
    fine = admin.get("/sensor-records/se-1", **minute, freq="1S")["records"]
    assert [record["tracked_at"][-4:] for record in fine] == [":00Z", ":15Z", ":30Z", ":45Z", ":00Z"]
    assert [record["data"] for record in fine] == [None, None, "20.0", "20.25", "20.25"], "the last is repeated"
    empty = {"records": [], "analytics": {"mean": None, "min": None, "max": None}}
    assert admin.get("/sensor-records/se-2", start_date="2026-11-20 10:00:00") == empty
    for query in (
        {"start_date": "Invalid date"},
        {"start_date": "2026-11-20 10:00:00", "freq": "15X"},
        {"start_date": "2026-11-20 10:00:00", "aggregation": "median"},
        {"start_date": "2020-01-01 00:00:00", "freq": "15S"},
        {},
    ):
        assert isinstance(admin.get("/sensor-records/se-1", 422, **query)["detail"], list), query
    admin.get("/sensor-records/absent", 404, start_date="2026-11-20 10:00:00")


def check_alerts(admin: FrontEnd) -> None:
    recent = admin.get("/alerts/recent")
    assert [alert["id"] for alert in recent] == [n for n in range(40, 0, -1) if n % 5][:20]
    assert all(set(alert) >= ALERT | {"sensor", "facility"} for alert in recent)
    assert set(recent[0]["sensor"]) == ALERT_SENSOR and set(recent[0]["facility"]) == ALERT_FACILITY
    assert recent[0]["type"] == "Anomaly" and NAIVE.fullmatch(recent[0]["created_at"])
    assert admin.get("/alerts/recent", limit=3) == recent[:3]
    assert admin.get("/alerts", skip=1, limit=2) == recent[1:3]
    assert admin.get("/alerts", page=2, page_size=2) == recent[2:4]
    of_one = admin.get("/alerts/facility/fa-2")
    assert [alert["id"] for alert in of_one] == [n for n in range(39, 0, -3) if n % 5]
    assert all(set(alert) >= ALERT for alert in of_one)
    assert not any({"sensor", "facility"} & set(alert) for alert in of_one)
    admin.get("/alerts/facility/absent", 404)


def check_dashboard(base: str, admin: FrontEnd) -> None:
    board = admin.get("/dashboard")
    assert board["metrics"] == {
        "total_facilities": 3,
        "active_facilities": 1,
        "maintenance_facilities": 1,
        "offline_facilities": 1,
        "facility_types": 2,
        "total_sensors": 3,
        "active_sensors": 1,
        "inactive_sensors": 2,
        "avg_sensors_per_facility": 1.0,
    }
    charts = board["chart_data"]
    assert charts["status_data"] == [
        {"name": "Active", "value": 1, "color": "#4caf50"},
        {"name": "Maintenance", "value": 1, "color": "#ff9800"},
        {"name": "Offline", "value": 1, "color": "#f44336"},
    ]
    assert {"name": "Tank Farm", "value": 2, "color": "#2196f3"} in charts["type_data"]
    assert [entry["name"] for entry in charts["sensor_status_data"]] == ["Active", "Inactive", "Maintenance"]
    assert charts["sensor_type_data"] == [
        {"name": "Temperature", "value": 2, "color": "#ff5722"},
        {"name": "Hydrogen Sulfide Content", "value": 1, "color": "#ff5722"},
    ]
    one = admin.get("/dashboard/facility/fa-1")
    assert one["metrics"]["total_sensors"] == 2 and one["metrics"]["avg_sensors_per_facility"] == 2.0
    admin.get("/dashboard/facility/absent", 404)
    colors = httpx.get(f"{base}/dashboard/colors", headers={"Authorization": "Bearer nonsense"}).json()
    assert set(colors) == {"sensorTypes", "sensorStatus", "facilityTypes"}
    assert colors["sensorTypes"]["LeakDetection"] == "#f44336"
    assert colors["sensorStatus"]["Fault"] == "#d32f2f" and colors["facilityTypes"]["ExportTerminal"] == "#cddc39"
    assert all(re.fullmatch("#[0-9a-f]{6}", color) for names in colors.values() for color in names.values())


def check_rights(base: str, admin: FrontEnd) -> None:
    """Ida has View on fa-1 and nothing else."""
    ida = FrontEnd(base, "ida@gas.example", "number two")
    assert [one["id"] for one in ida.get("/facilities")] == ["fa-1"]
    assert {one["facility_id"] for one in ida.get("/sensors")} == {"fa-1"}
    assert {alert["facility"]["id"] for alert in ida.get("/alerts/recent")} == {"fa-1"}
    assert ida.get("/dashboard")["metrics"]["total_facilities"] == 1
    for path in ("/facilities/fa-2", "/sensors/se-3", "/alerts/facility/fa-2", "/dashboard/facility/fa-2", "/users"):
        assert ida.get(path, 403) == {"detail": "Not enough permissions"}, path
    ida.get("/sensors", 403, facility_id="fa-2")
    ida.get("/sensor-records/se-3", 403, start_date="2026-11-20 10:00:00")
    ida.ask("PUT", "/facilities/fa-1", 403, json={"name": "x"})
    ida.ask("PUT", "/sensors/se-1", 403, json={"name": "x"})
    ida.get("/facilities/absent", 404)


def check_websockets(base: str) -> None:
    ida = FrontEnd(base, "ida@gas.example", "number two")
    assert re.fullmatch(r"[A-Za-z0-9._~-]+", ida.pair["access_token"]), "put into the URL raw"
    with ida.watching("/ws/sensor-data/se-1"), ida.watching("/ws/notifications"):
        pass
    for path, token in (
        ("/ws/sensor-data/se-1", "nonsense"),
        ("/ws/sensor-data/se-1", ida.pair["refresh_token"]),
        ("/ws/sensor-data/absent", None),
        ("/ws/sensor-data/se-3", None),
        ("/ws/notifications", "nonsense"),
    ):
        assert ida.refused_watching(path, token) == 403, path
    for path in ("/ws/sensor-data/se-1", "/ws/notifications"):
        with pytest.raises(InvalidStatus) as refused, connect(f"{base.replace('http://', 'ws://')}{path}"):
            pass
        assert refused.value.response.status_code == 403, path


def check_old_tokens_at_the_notifications(base: str) -> None:
    """After a refresh the page goes on knocking with its old token until it is loaded again; nobody is banned."""
    ida = FrontEnd(base, "ida@gas.example", "number two")
    with ida.watching("/ws/notifications") as open_socket:
        old = ida.pair["access_token"]
        time.sleep(6.5)
        assert ida.get("/users/me")["username"] == "ida" and ida.pair["access_token"] != old, "refreshed"
        for _ in range(30):  # two and a half minutes of it
            assert ida.refused_watching("/ws/notifications", old) == 403
        ida.get("/users/me")
        with ida.watching("/ws/notifications"), pytest.raises(TimeoutError):
            open_socket.recv(timeout=0)  # open, and stays so although its token has expired
