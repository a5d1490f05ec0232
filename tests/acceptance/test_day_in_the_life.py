"""A day in the life, from the wire contract alone: the whole system, a field hub, two people at front ends.

Nothing of the project is imported: httpx, websockets and azure-servicebus speak to it as programs in the field do.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tests.acceptance.field_hub import FieldHub
from tests.acceptance.front_end import FrontEnd, LoggedOut, frames
from tests.acceptance.whole_system import System

pytestmark = [
    pytest.mark.ray,
    pytest.mark.xdist_group("system"),
    pytest.mark.bus,
    pytest.mark.postgres,
    pytest.mark.slow,
    pytest.mark.timeout(900),
]

NEW_PASSWORD = "chosen by the operator 1"
ANN = "ann@plant.example"
ANNS_PASSWORD = "anns own password 2"
REVOKED_S_MAX = 5.0


def test_a_day_in_the_life(system: System) -> None:
    hub = FieldHub(system.bus)
    hub.set_up()
    admin = the_first_admin_chooses_a_password(system)
    until(lambda: {one["id"] for one in admin.get("/facilities")} >= {hub.north, hub.south})
    until(lambda: len(admin.get("/sensors", facility_id=hub.north)) == 2)
    sent = hub.history(hub.sensors[0], (f"22.{number}5" for number in range(8)))

    ann = FrontEnd(system.url, *a_user_is_made(admin))
    assert ann.get("/facilities") == ann.get("/sensors") == ann.get("/alerts/recent") == []
    ann.get(f"/facilities/{hub.north}", 403)
    granted = grant(admin, ann, hub.north, "View")
    ann_sees_exactly_one_facility(ann, hub)
    the_history_is_complete(ann, hub, sent)
    with ExitStack() as watched:
        values = watched.enter_context(ann.watching(f"/ws/sensor-data/{hub.sensors[0]}"))
        anns_alerts = watched.enter_context(ann.watching("/ws/notifications"))
        admins_alerts = watched.enter_context(admin.watching("/ws/notifications"))
        a_reading_out_of_range_is_one_alert(hub, ann, values, anns_alerts)
        assert frames(admins_alerts, 1)[0]["sensor_id"] == hub.sensors[0]
        view_reads_and_edit_changes(admin, ann, hub, granted)
        the_pages_turn(admin, ann)
        refreshes_at_once_get_the_same_pair(ann)
        the_right_ends_while_watching(admin, ann, hub, values)
        nothing_more_is_told(hub, anns_alerts, admins_alerts)
    the_admin_looks_through_anns_eyes(system, admin, ann)
    logging_out_ends_the_login(ann)
    until(lambda: admin.get("/dashboard/facility/" + hub.north)["metrics"]["total_sensors"] == 2)


def the_first_admin_chooses_a_password(system: System) -> FrontEnd:
    first = FrontEnd(system.url, system.email, system.password)
    me = first.get("/users/me")
    assert (me["username"], me["role"], me["email"]) == ("admin", "Admin", system.email) and me["last_login"]
    assert first.ask("PUT", f"/users/{me['id']}", json={"password": NEW_PASSWORD})["id"] == me["id"]
    old, system.password = system.password, NEW_PASSWORD
    refused = httpx.post(f"{system.url}/auth/token", data={"username": system.email, "password": old})
    assert refused.status_code == 401
    return FrontEnd(system.url, system.email, NEW_PASSWORD)


def a_user_is_made(admin: FrontEnd) -> tuple[str, str]:
    made = admin.ask("POST", "/users", json={"username": "ann", "email": ANN, "password": ANNS_PASSWORD})
    assert (made["role"], made["last_login"]) == ("User", None)
    again = {"username": "ann2", "email": ANN, "password": "x"}
    assert isinstance(admin.ask("POST", "/users", 400, json=again)["detail"], str)
    return ANN, ANNS_PASSWORD


def grant(admin: FrontEnd, ann: FrontEnd, facility_id: str, permission_type: str) -> dict[str, Any]:
    body = {"user_id": ann.get("/users/me")["id"], "facility_id": facility_id, "permission_type": permission_type}
    granted: dict[str, Any] = admin.ask("POST", "/permissions", json=body)
    assert {key: granted[key] for key in body} == body
    assert granted in admin.get("/permissions", user_id=body["user_id"])
    return granted


def ann_sees_exactly_one_facility(ann: FrontEnd, hub: FieldHub) -> None:
    (north,) = ann.get("/facilities")
    assert (north["id"], north["name"], north["status"]) == (hub.north, f"North {hub.north[:8]}", "Active")
    assert north["location"] == {**north["location"], "address": None, "longitude": 7.5, "latitude": 51.25}
    assert ann.get(f"/facilities/{hub.north}") == north
    assert {one["id"] for one in ann.get("/sensors")} == set(hub.sensors)
    sensor = ann.get(f"/sensors/{hub.sensors[0]}")
    assert (sensor["name"], sensor["expected_freq"]) == (f"Sensor {hub.sensors[0]}", "15S")
    board = ann.get("/dashboard")
    assert (board["metrics"]["total_facilities"], board["metrics"]["active_sensors"]) == (1, 2)
    assert board["chart_data"]["type_data"] == [{"name": "Tank Farm", "value": 1, "color": "#2196f3"}]
    assert ann.get(f"/dashboard/facility/{hub.north}") == board
    for path in ("/facilities/", "/dashboard/facility/", "/alerts/facility/"):
        assert ann.get(path + hub.south, 403) == {"detail": "Not enough permissions"}
    ann.get("/sensors", 403, facility_id=hub.south)
    ann.get(f"/sensors/{hub.south_sensor}", 403)
    ann.get("/users", 403)
    assert ann.refused_watching(f"/ws/sensor-data/{hub.south_sensor}") == 403
    ann.get("/facilities/nowhere", 404)


def the_history_is_complete(ann: FrontEnd, hub: FieldHub, sent: dict[str, str]) -> None:
    """The front end's spelling: start with a blank, end as its picker has it."""
    times = list(sent)
    period = {"start_date": times[0].replace("T", " "), "end_date": times[-1]}
    query: dict[str, Any] = {**period, "freq": "15S", "aggregation": "mean"}
    path = f"/sensor-records/{hub.sensors[0]}"
    until(lambda: len(ann.get(path, **query)["records"]) == len(sent))
    shown = ann.get(path, **query)
    assert {one["tracked_at"].removesuffix("Z"): one["data"] for one in shown["records"]} == sent
    numbers = [float(text) for text in sent.values()]
    assert (shown["analytics"]["min"], shown["analytics"]["max"]) == (min(numbers), max(numbers))
    assert shown["analytics"]["mean"] == pytest.approx(sum(numbers) / len(numbers))
    ann.get(f"/sensor-records/{hub.south_sensor}", 403, **query)
    ann.get(path, 422, start_date="Invalid date")


def a_reading_out_of_range_is_one_alert(
    hub: FieldHub, ann: FrontEnd, values: ClientConnection, alerts: ClientConnection
) -> None:
    """Three readings above the limit are one excursion: one alert, and three points of the chart."""
    sent = [hub.read(hub.sensors[0], text) for text in ("24.50", "26.10", "26.40", "25.90")]
    assert frames(values, 4) == sent
    (alert,) = frames(alerts, 1)
    said = f"Problem detected: Temperature Sensor value in North {hub.north[:8]} is above maximum threshold (25.0)"
    contract = {"type", "alert_id", "sensor_id", "facility_id", "message", "created_at", "alert_type"}
    assert set(alert) == {*contract, "event_time"}
    assert (alert["type"], alert["sensor_id"], alert["message"]) == ("alert", hub.sensors[0], said)
    with pytest.raises(TimeoutError):
        alerts.recv(timeout=1)
    (listed,) = ann.get("/alerts/recent", limit=20)
    assert (listed["id"], listed["message"]) == (alert["alert_id"], said)
    assert (listed["sensor"]["id"], listed["facility"]["id"]) == (hub.sensors[0], hub.north)
    assert [one["id"] for one in ann.get(f"/alerts/facility/{hub.north}")] == [alert["alert_id"]]


def view_reads_and_edit_changes(admin: FrontEnd, ann: FrontEnd, hub: FieldHub, granted: dict[str, Any]) -> None:
    new_name = {"name": f"Norden {hub.north[:8]}"}
    ann.ask("PUT", f"/facilities/{hub.north}", 403, json=new_name)
    grant(admin, ann, hub.north, "Edit")
    assert ann.ask("PUT", f"/facilities/{hub.north}", json=new_name)["name"] == new_name["name"]
    assert ann.ask("PUT", f"/sensors/{hub.sensors[1]}", json={"name": "Inlet"})["name"] == "Inlet"
    left = grant(admin, ann, hub.north, "View")
    assert admin.get("/permissions", user_id=left["user_id"]) == [left], "one permission, replaced twice"
    ann.ask("PUT", f"/facilities/{hub.north}", 403, json=new_name)


def the_pages_turn(admin: FrontEnd, ann: FrontEnd) -> None:
    """`page` from 1 with `page_size`, and `skip` with `limit`, over the same stable order."""
    made = [
        admin.ask("POST", "/users", json={"username": f"u{n:02}", "email": f"u{n}@plant.example", "password": "pw"})
        for n in range(9)
    ]
    first = admin.get("/users", page=1, page_size=10)
    second = admin.get("/users", page=2, page_size=10)
    assert (first["total"], len(first["users"]), len(second["users"])) == (11, 10, 1)
    names = [user["username"] for user in first["users"] + second["users"]]
    assert names == ["admin", "ann", *(user["username"] for user in made)]
    assert admin.get("/users", skip=10, limit=10) == second
    assert ann.get("/alerts", page=1, page_size=10) == ann.get("/alerts/recent")
    for user in made:
        assert admin.ask("DELETE", f"/users/{user['id']}")["id"] == user["id"]


def refreshes_at_once_get_the_same_pair(ann: FrontEnd) -> None:
    """The front end does not serialise them: each sends the same refresh token, the old bearer and no body."""
    held = ann.pair["refresh_token"]

    def refresh(_: int) -> dict[str, str]:
        answer = httpx.post(f"{ann.base}/auth/refresh-token", params={"refresh_token": held}, headers=ann.headers)
        assert answer.status_code == 200, answer.text
        pair: dict[str, str] = answer.json()
        return pair

    with ThreadPoolExecutor(8) as browser:
        pairs = list(browser.map(refresh, range(8)))
    assert all(pair == pairs[0] for pair in pairs) and pairs[0]["refresh_token"] != held
    ann.pair = pairs[0]
    assert ann.get("/users/me")["username"] == "ann"


def the_right_ends_while_watching(admin: FrontEnd, ann: FrontEnd, hub: FieldHub, values: ClientConnection) -> None:
    (held,) = admin.get("/permissions", user_id=ann.get("/users/me")["id"])
    assert admin.ask("DELETE", f"/permissions/{held['id']}") == held
    with pytest.raises(ConnectionClosed):
        values.recv(timeout=REVOKED_S_MAX)
    for path in (f"/facilities/{hub.north}", f"/sensors/{hub.sensors[0]}", f"/dashboard/facility/{hub.north}"):
        ann.get(path, 403)
    assert ann.get("/facilities") == ann.get("/alerts/recent") == []
    assert ann.refused_watching(f"/ws/sensor-data/{hub.sensors[0]}") == 403


def nothing_more_is_told(hub: FieldHub, anns_alerts: ClientConnection, admins_alerts: ClientConnection) -> None:
    hub.read(hub.sensors[1], "19.00")
    (alert,) = frames(admins_alerts, 1)
    assert alert["sensor_id"] == hub.sensors[1] and "below minimum threshold (20.0)" in alert["message"]
    with pytest.raises(TimeoutError):
        anns_alerts.recv(timeout=1)


def the_admin_looks_through_anns_eyes(system: System, admin: FrontEnd, ann: FrontEnd) -> None:
    user_id = ann.get("/users/me")["id"]
    pair = admin.ask("POST", f"/auth/impersonate/{user_id}")
    claims = json.loads(base64.urlsafe_b64decode(pair["access_token"].split(".")[1] + "=="))
    assert (claims["sub"], claims["id"]) == ("ann", user_id) and claims["exp"] > time.time()
    assert claims["impersonated_by"] == admin.get("/users/me")["id"]
    eyes = FrontEnd(system.url, ANN, ANNS_PASSWORD)
    eyes.pair = pair
    eyes.refresh()
    assert eyes.get("/users/me")["id"] == user_id and eyes.get("/facilities") == []
    eyes.get("/users", 403)
    ann.ask("POST", f"/auth/impersonate/{user_id}", 403)


def logging_out_ends_the_login(ann: FrontEnd) -> None:
    assert isinstance(ann.ask("POST", "/auth/logout")["detail"], str)
    with pytest.raises(LoggedOut):
        ann.refresh()


def until(holds: Callable[[], bool], seconds: float = 40.0) -> None:
    """Wait until it holds: what the hub sent is on its way."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.2)
