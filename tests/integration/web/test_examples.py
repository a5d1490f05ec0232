"""The examples of the OpenAPI document are answers of this server, given to the requests beside them.

`make examples` records them anew into web/contract/examples.json; here a fresh server must answer in the same shape.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from websockets.asyncio.client import connect

from engine.replay.documents import kept_document, wanted_document
from engine.replay.values import Basis, Difference, FacilityResult, Figures, Period
from tests.integration.web.harness import ADMIN_EMAIL, ADMIN_PASSWORD, Web, bearer, web_server
from tests.integration.web.planted import planted
from tests.unit.contract_table import ROWS, WEBSOCKETS
from web.contract.openapi import EXAMPLES

pytestmark = pytest.mark.postgres

FACILITY = "8d7f6a3e-52c1-4b0e-9a57-0c1f3b6d2e44"
SENSOR = "c2b9e6d0-7f14-4a83-b6f5-91e0a4d7c358"
OTHER_SENSOR = "f51d3c72-0e9b-4d26-8c47-6ab2d9e81f05"
T0 = datetime(2026, 11, 22, 10, 15, 0, 123456, tzinfo=UTC)
ALERT = (
    "Problem detected: Temperature Sensor value in Terminal North is rising faster than this time of day ever saw:"
    " 24.9 °C, expected 23.1 to 24.3; unusual for 4 min"
)
WHY = {
    "rule": "anomaly",
    "value": 24.9,
    "unit": "°C",
    "score": 9.4,
    "threshold": 7.5,
    "expected": 23.7,
    "band": [23.1, 24.3],
    "since_us": 1_795_342_260_123_456,
    "movement": "rising",
    "views": [
        {"name": "time_of_day", "decades": 5.8, "says": "is rising faster than this time of day ever saw"},
        {"name": "shift", "decades": 5.2, "says": "is rising faster than usual"},
    ],
}
Example = dict[str, Any]

NEW_USER = {"username": "ida", "email": "ida@plant.example", "password": "a long first password", "role": "User"}
GRANT = {"user_id": 2, "facility_id": FACILITY, "permission_type": "View"}
NEW_KEY = {
    "name": "weekly report",
    "facilities": [{"facility_id": FACILITY, "permission_type": "View"}],
    "days": 90,
}
OF_TYPE = {"sensor_type": "Temperature", "budget_days": 60, "physical_low": -40, "physical_high": 120}
ALARM = "1:high"
COMMAND_ID = "shift-7-42"
ACKNOWLEDGE = {"alarm_id": ALARM, "command": "acknowledge", "reason": "on my way", "command_id": COMMAND_ID}
REPLAY_ID = "7a0c2f3be1d94c5f8b6e4d1a90c37f52"
NEW_REPLAY: Example = {
    "start_date": "2026-11-22",
    "end_date": "2026-11-22",
    "proposals": [{"sensor_id": SENSOR, "rules": {"rules": [{"rule": "high", "limit": 24}]}}],
}
LIVED_AGAIN = FacilityResult(
    FACILITY,
    1_795_305_600_000_000,
    1_795_392_000_000_000,
    1_795_219_200_000_000,
    11_520,
    1_537,
    {"same": 3, "added": 1, "removed": 0, "earlier": 0, "later": 0, "changed": 0},
    {"same": 6, "added": 1, "removed": 0, "changed": 0},
    Figures(3, {"medium": 3}, (("1:high", 3),)),
    Figures(4, {"medium": 4}, (("1:high", 4),)),
    ("2 commands of people had no alarm to go to, or would be refused today",),
    "5f1d3a0c9b7e24868d0f6a1be35c790212d84fae6b93c05d7e8a41f60b2c9d37",
    (Difference("added", True, "1:high", "high", "activated", "medium", ALERT, None, 1_795_342_500_123_456),),
)
NEW_CHANNEL = {
    "name": "control room",
    "acknowledge": True,
    "webhook": {"url": "https://hooks.plant.example/gas", "secret": "at least sixteen characters"},
}
SEARCHED = {"facility_id": FACILITY, "after": 1, "transition": ["activated"], "text": "too high", "limit": 1}
NIGHTLY = {
    "channel_id": 1,
    "name": "urgent, at night",
    "facility_ids": [FACILITY],
    "alarm_rules": ["high", "high_high"],
    "least_priority": "high",
    "days": [1, 2, 3, 4, 5, 6, 7],
    "from_time": "22:00",
    "to_time": "06:00",
    "zone": "Europe/Berlin",
}
OF_SENSOR = {"budget_days": 5, "warming_readings": 1000}
GROUPS = {
    "groups": [
        {
            "name": "Gas in hall 2",
            "kind": "vote",
            "votes": 1,
            "members": [{"sensor_id": SENSOR, "rules": ["high", "high_high"]}],
            "priority": "critical",
        }
    ],
    "rests": [
        {
            "name": "compressor stopped",
            "while": {"sensor_id": OTHER_SENSOR, "is": "Stopped"},
            "alarms": [{"sensor_id": SENSOR, "rules": ["low"]}],
        }
    ],
}
STRICTER = {"rules": [{"rule": "high", "limit": 24, "priority": "high", "source": "operating handbook 3.2"}]}
# Whenever the examples are recorded, it is to come; what is shown is one moment, so that they stay as they are.
LATER = {"effective_from": (datetime.now(UTC) + timedelta(days=30)).isoformat(), "reason": "order 4711"}
SHOWN_LATER = "2026-12-01T06:00:00Z"
RANGE = {"start_date": "2026-11-22 10:15:00", "end_date": "2026-11-22T10:16", "freq": "15S", "aggregation": "mean"}
PART = {"start_date": "2026-11-22 10:15:00", "end_date": "2026-11-22T10:16", "order": "asc", "limit": 2}
HANDOVER = {"start_date": "2026-11-22", "end_date": "2026-11-22"}
PROPOSALS: tuple[str, Example, Example, None] = (
    "GET /alarm-proposals",
    {},
    {
        "facility_id": [FACILITY],
        "start_date": "2026-01-01 10:15",
        "end_date": "2026-01-01 11:15",
        "skip": 0,
        "limit": 1,
    },
    None,
)
# In this order, by the first Admin: route, path, query, body.
REQUESTS: list[tuple[str, Example, Example, Example | None]] = [
    ("POST /users", {}, {}, NEW_USER),
    ("POST /permissions", {}, {}, GRANT),
    ("GET /users/me", {}, {}, None),
    ("GET /users", {}, {"page": 1, "page_size": 10}, None),
    ("GET /users/{user_id}", {"user_id": 2}, {}, None),
    ("PUT /users/{user_id}", {"user_id": 2}, {}, {"email": "ida@gas.example"}),
    ("POST /auth/impersonate/{user_id}", {"user_id": 2}, {}, None),
    ("GET /permissions", {}, {"user_id": 2}, None),
    ("GET /facilities", {}, {"skip": 0, "limit": 100}, None),
    ("GET /facilities/{facility_id}", {"facility_id": FACILITY}, {}, None),
    ("PUT /facilities/{facility_id}", {"facility_id": FACILITY}, {}, {"name": "Terminal North"}),
    ("GET /sensors", {}, {"facility_id": FACILITY}, None),
    ("GET /sensors/{sensor_id}", {"sensor_id": SENSOR}, {}, None),
    ("PUT /sensors/{sensor_id}", {"sensor_id": OTHER_SENSOR}, {}, {"name": "Flare", "expected_freq": "1T"}),
    ("PUT /detection/facility/{facility_id}", {"facility_id": FACILITY}, {}, OF_TYPE),
    ("GET /detection/facility/{facility_id}", {"facility_id": FACILITY}, {}, None),
    ("PUT /detection/sensor/{sensor_id}", {"sensor_id": SENSOR}, {}, OF_SENSOR),
    ("GET /detection/sensor/{sensor_id}", {"sensor_id": SENSOR}, {}, None),
    ("DELETE /detection/sensor/{sensor_id}", {"sensor_id": SENSOR}, {}, None),
    (
        "DELETE /detection/facility/{facility_id}",
        {"facility_id": FACILITY},
        {"sensor_type": "Temperature"},
        None,
    ),
    ("PUT /rules/facility/{facility_id}", {"facility_id": FACILITY}, {}, {"sensor_type": "Temperature", **STRICTER}),
    ("GET /rules/facility/{facility_id}", {"facility_id": FACILITY}, {}, None),
    ("PUT /groups/facility/{facility_id}", {"facility_id": FACILITY}, {}, GROUPS),
    ("GET /groups/facility/{facility_id}", {"facility_id": FACILITY}, {}, None),
    ("GET /group-history/facility/{facility_id}", {"facility_id": FACILITY}, {}, None),
    ("PUT /rules/sensor/{sensor_id}", {"sensor_id": SENSOR}, {}, STRICTER | {"reason": "order 4711"}),
    ("GET /rules/sensor/{sensor_id}", {"sensor_id": SENSOR}, {}, None),
    ("GET /rule-history/sensor/{sensor_id}", {"sensor_id": SENSOR}, {"skip": 0, "limit": 100}, None),
    ("GET /rule-history/facility/{facility_id}", {"facility_id": FACILITY}, {"page": 1, "page_size": 10}, None),
    ("POST /planned-rules/sensor/{sensor_id}", {"sensor_id": SENSOR}, {}, STRICTER | LATER),
    ("GET /planned-rules/sensor/{sensor_id}", {"sensor_id": SENSOR}, {"skip": 0, "limit": 100}, None),
    (
        "POST /planned-rules/facility/{facility_id}",
        {"facility_id": FACILITY},
        {},
        {"sensor_type": "Temperature", **STRICTER, **LATER},
    ),
    ("GET /planned-rules/facility/{facility_id}", {"facility_id": FACILITY}, {"page": 1, "page_size": 10}, None),
    ("DELETE /planned-rules/{planned_id}", {"planned_id": 1}, {"facility_id": FACILITY}, None),
    ("DELETE /rules/sensor/{sensor_id}", {"sensor_id": SENSOR}, {}, None),
    ("DELETE /rules/facility/{facility_id}", {"facility_id": FACILITY}, {"sensor_type": "Temperature"}, None),
    ("GET /sensor-records/{sensor_id}", {"sensor_id": SENSOR}, RANGE, None),
    ("GET /sensor-records", {}, RANGE | {"sensor_id": [SENSOR, OTHER_SENSOR]}, None),
    ("GET /sensor-readings/{sensor_id}", {"sensor_id": SENSOR}, PART, None),
    ("GET /alerts", {}, {"page": 1, "page_size": 10}, None),
    ("GET /alerts/recent", {}, {"limit": 20}, None),
    ("GET /alerts/facility/{facility_id}", {"facility_id": FACILITY}, {}, None),
    ("GET /alarms", {}, {"facility_id": FACILITY}, None),
    ("GET /alarm-counts", {}, {"facility_id": FACILITY}, None),
    (
        "GET /alarm-figures",
        {},
        {"facility_id": [FACILITY], "start_date": "2026-11-22", "end_date": "2026-11-23 12:00:00"},
        None,
    ),
    ("POST /shift-notes/{facility_id}", {"facility_id": FACILITY}, {}, {"note": "valve 3 sticks, order 4711"}),
    ("GET /shift-notes", {}, {"facility_id": [FACILITY], "limit": 10}, None),
    ("GET /reports/monthly", {}, {"facility_id": [FACILITY], "month": "2026-10"}, None),
    ("GET /reports/figures", {}, {"facility_id": [FACILITY], "month": "2026-10"}, None),
    ("GET /reports/handover", {}, {"facility_id": [FACILITY], **HANDOVER}, None),
    ("GET /alarms/{alarm_id}", {"alarm_id": ALARM}, {"facility_id": FACILITY}, None),
    ("GET /incidents", {}, {"facility_id": FACILITY}, None),
    ("POST /alarm-commands/{facility_id}", {"facility_id": FACILITY}, {}, ACKNOWLEDGE),
    ("POST /replays", {}, {"facility_id": [FACILITY]}, NEW_REPLAY),
    ("GET /replays", {}, {"page": 1, "page_size": 10}, None),
    ("GET /replays/{replay_id}", {"replay_id": REPLAY_ID}, {}, None),
    ("DELETE /replays/{replay_id}", {"replay_id": REPLAY_ID}, {}, None),
    ("POST /notification-channels", {}, {}, NEW_CHANNEL),
    ("GET /notification-channels", {}, {}, None),
    ("GET /notification-channels/{channel_id}", {"channel_id": 1}, {}, None),
    ("PUT /notification-channels/{channel_id}", {"channel_id": 1}, {}, {"name": "control room and security"}),
    ("POST /notification-tests/{channel_id}", {"channel_id": 1}, {}, {"wait_s": 0}),
    ("POST /notification-subscriptions", {}, {}, NIGHTLY),
    ("GET /notification-subscriptions", {}, {}, None),
    ("GET /notification-subscriptions/{subscription_id}", {"subscription_id": 1}, {}, None),
    ("PUT /notification-subscriptions/{subscription_id}", {"subscription_id": 1}, {}, NIGHTLY | {"after_minutes": 10}),
    ("GET /notifications", {}, {"page": 1, "page_size": 10}, None),
    ("DELETE /notification-subscriptions/{subscription_id}", {"subscription_id": 1}, {}, None),
    ("DELETE /notification-channels/{channel_id}", {"channel_id": 1}, {}, None),
    ("GET /journal", {}, SEARCHED, None),
    ("GET /dashboard", {}, {}, None),
    ("GET /dashboard/facility/{facility_id}", {"facility_id": FACILITY}, {}, None),
    ("GET /dashboard/colors", {}, {}, None),
    ("POST /api-keys", {}, {}, NEW_KEY),
    ("GET /api-keys", {}, {"page": 1, "page_size": 10}, None),
    ("GET /api-keys/{key_id}", {"key_id": 1}, {}, None),
    ("DELETE /api-keys/{key_id}", {"key_id": 1}, {}, None),
    ("GET /audit", {}, {"page": 1, "page_size": 10}, None),
    ("GET /parked", {}, {}, None),
    ("GET /parked/{parked_id}", {"parked_id": 1}, {}, None),
    ("GET /dead-letters", {}, {"facility_id": FACILITY, "reason": "future"}, None),
    ("GET /dead-letters/{letter_id}", {"letter_id": 1}, {}, None),
    ("POST /redrives", {}, {}, {"origin": "dead_letters", "ids": [2, 3]}),
    ("GET /redrives", {}, {"page": 1, "page_size": 10}, None),
    ("POST /discards", {}, {"reason": "not_json"}, {"origin": "dead_letters", "reason": "sent by a test rig"}),
    ("GET /livez", {}, {}, None),
    ("DELETE /permissions/{permission_id}", {"permission_id": 1}, {}, None),
    ("DELETE /users/{user_id}", {"user_id": 2}, {}, None),
    ("POST /auth/logout", {}, {}, None),
]
# After the refusals, which are about the same.
LAST_REQUESTS: list[tuple[str, Example, Example, Example | None]] = [
    ("POST /retire/sensor/{sensor_id}", {"sensor_id": SENSOR}, {}, None),
    ("DELETE /sensors/{sensor_id}", {"sensor_id": SENSOR}, {}, None),
    ("POST /retire/facility/{facility_id}", {"facility_id": FACILITY}, {}, None),
    ("DELETE /facilities/{facility_id}", {"facility_id": FACILITY}, {}, None),
]


async def test_the_examples_are_what_the_server_answers(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        await fill(web)
        answered = await record(web)
        document = (await web.client.get("/openapi.json")).json()
    if os.environ.get("RECORD_EXAMPLES"):
        EXAMPLES.write_text(json.dumps(answered, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return
    recorded = json.loads(EXAMPLES.read_text(encoding="utf-8"))
    assert set(ROWS) | {f"WS {path}" for path in WEBSOCKETS} <= set(recorded), "run `make examples`"
    assert set(recorded) == set(answered)
    for route, example in recorded.items():
        for part in ("path", "query", "body"):
            assert example.get(part) == answered[route].get(part) or "token" in str(example[part]), (route, part)
        for part in ("answer", "frame"):
            assert shape(example.get(part)) == shape(answered[route].get(part)), f"{route}: run `make examples`"
        check_against_schema(document, route, example)


async def fill(web: Web) -> None:
    await web.facility(FACILITY, name="Terminal North", kind="ImportTerminal")
    number = await web.sensor(SENSOR, FACILITY)
    await web.sensor(OTHER_SENSOR, FACILITY, kind="FlameDetection", freq="30S", expected_interval_s=30)
    await web.readings(number, *((T0 + timedelta(seconds=15 * n), f"{24.6 + n / 10:.2f}") for n in range(4)))
    await web.alert(FACILITY, number, ALERT, explanation=WHY)
    told = {"message": "above maximum threshold (25.0)", "acknowledged": True, "acknowledged_by": "user:1"}
    await web.alarm(FACILITY, ALARM, number, since=T0, acknowledged_at=T0 + timedelta(minutes=2), **told)
    await web.database.execute(  # asked and in force: the same again is answered alike
        """INSERT INTO alarm_commands (command_id, facility_id, alarm_key, command, asked_at, actor, actor_name, reason,
                                       state, refusal, decided_at)
           VALUES ($1, $2, $3, $4, $6, 'user:1', 'admin', $5, 'done', '', $6)""",
        COMMAND_ID,
        FACILITY,
        ALARM,
        ACKNOWLEDGE["command"],
        ACKNOWLEDGE["reason"],
        T0,
    )
    await web.database.execute(
        """INSERT INTO replays (id, asked_by, asked_by_name, facility_ids, wanted, expires_at, state, progress,
                                readings, ended_at)
           VALUES ($1, 'user:1', 'admin', ARRAY[$2], $3, now() + interval '7 days', 'done', 1, $4, now())""",
        REPLAY_ID,
        FACILITY,
        json.dumps(
            wanted_document(Period(1_795_305_600_000_000, 1_795_392_000_000_000), Basis.TODAY, NEW_REPLAY["proposals"])
        ),
        LIVED_AGAIN.readings,
    )
    await web.database.execute(
        """INSERT INTO replay_parts (replay_id, place, facility_id, state, progress, readings, result)
           VALUES ($1, 1, $2, 'done', 1, $3, $4)""",
        REPLAY_ID,
        FACILITY,
        LIVED_AGAIN.readings,
        json.dumps(kept_document(LIVED_AGAIN)),
    )
    await web.database.execute(
        """INSERT INTO parked (kind, facility_id, sensor_id, tracked_at, body, reason, digest, parked_at)
           VALUES ('reading', $1, 'not activated yet', $2, '{"data": "24.61"}', 'unknown sensor', 'x', $2)""",
        FACILITY,
        T0,
    )
    await web.database.execute(
        """INSERT INTO dead_letters (source, queue, reason, detail, body, facility_id, sensor_id, recorded_at)
           VALUES ('bus', 'sensor-data-queue', 'not_json', 'expected value at line 1 column 1', 'hello', '', '', $1),
                  ('row', '', 'future', 'tracked_at is 3600 s ahead', $2, $3, $4, $1)""",
        T0,
        json.dumps(
            {"sensor_id": SENSOR, "facility_id": FACILITY, "tracked_at": "2026-11-22T11:15:00", "data": "24.61"}
        ),
        FACILITY,
        SENSOR,
    )


async def record(web: Web) -> dict[str, Example]:
    """What a running server answers to REQUESTS, and what its websockets send."""
    form = {"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD}
    first = (await web.client.post("/auth/token", data=form)).json()
    refresh = {"refresh_token": first["refresh_token"]}
    second = (await web.client.post("/auth/refresh-token", params=refresh)).json()
    found: dict[str, Example] = {
        "POST /auth/token": {"body": form, "answer": first},
        "POST /auth/refresh-token": {"query": refresh, "answer": second},
        **await frames(web, second["access_token"]),
    }
    found |= await answers(web, REQUESTS, bearer(second))
    key = found["POST /api-keys"]["answer"]
    key["key"] = f"gik_{key['public_id']}_…"  # all of it would make secret scanners ring wherever this source lies
    admin = await web.admin()  # a refusal for too many failed sign-ins is among those that follow
    await planted(web, "PT-7", facility_id=FACILITY)
    found |= await answers(web, [PROPOSALS], admin)
    found |= await refusals(web)
    return found | await answers(web, LAST_REQUESTS, admin)


async def answers(web: Web, requests: list[Any], headers: dict[str, str]) -> dict[str, Example]:
    found: dict[str, Example] = {}
    for route, path, query, body in requests:
        method, _, template = route.partition(" ")
        answer = await web.client.request(method, template.format(**path), params=query, json=body, headers=headers)
        assert answer.status_code == 200, (route, answer.text)
        shown = body | {"effective_from": SHOWN_LATER} if body is not None and "effective_from" in body else body
        parts = {"path": path, "query": query, "body": shown, "answer": answer.json()}
        found[route] = {name: part for name, part in parts.items() if name == "answer" or part}
    return found


async def refusals(web: Web) -> dict[str, Example]:
    """One of each status; 408 and 503 would take long or a database that is away."""
    admin = await web.admin()
    _, user, _ = await web.user("tom")
    asked: list[tuple[int, str, str, Example]] = [
        (400, "DELETE", "/users/1", {"headers": admin}),
        (401, "GET", "/users/me", {}),
        (403, "GET", f"/facilities/{FACILITY}", {"headers": user}),
        (404, "GET", "/sensors/unknown", {"headers": admin}),
        (413, "POST", "/users", {"headers": admin, "content": b" " * 2**21}),
        (422, "GET", f"/sensor-records/{SENSOR}", {"headers": admin, "params": {**RANGE, "freq": "fast"}}),
    ]
    found: dict[str, Example] = {}
    for status, method, path, options in asked:
        answer = await web.client.request(method, path, **options)
        assert answer.status_code == status, answer.text
        found[str(status)] = {"answer": answer.json()}
    wrong = {"username": ADMIN_EMAIL, "password": "a guess"}
    while (answer := await web.client.post("/auth/token", data=wrong)).status_code != 429:
        assert answer.status_code == 401
    return found | {"429": {"answer": answer.json()}}


async def frames(web: Web, token: str) -> dict[str, Example]:
    found: dict[str, Example] = {}
    for path in ("/ws/sensor-data/{sensor_id}", "/ws/facility-data/{facility_id}"):
        url = web.ws(path.format(sensor_id=SENSOR, facility_id=FACILITY), token=token)
        async with connect(url) as socket:
            await web.feed.until_watched(FACILITY)
            web.feed.publish(FACILITY, (SENSOR, "2026-11-22T10:16:00.123456", "24.61"))
            found[f"WS {path}"] = {"frame": json.loads(await socket.recv())}
        await web.feed.until_watched(FACILITY, 0)
    number = await web.database.fetchval("SELECT sensor_no FROM sensors WHERE id = $1", SENSOR)
    async with connect(web.ws("/ws/notifications", token=token)) as socket:
        await web.alert(FACILITY, number, ALERT, explanation=WHY)
        found["WS /ws/notifications"] = {"frame": json.loads(await socket.recv())}
    async with connect(web.ws("/ws/alarms", token=token, after=1)) as socket:
        found["WS /ws/alarms"] = {"frame": json.loads(await socket.recv())}
    return found


def shape(value: Any) -> Any:
    """Its keys and types; of a list the shapes in it, once each."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return sorted({json.dumps(shape(inner), sort_keys=True) for inner in value})
    return type(value).__name__


def check_against_schema(document: dict[str, Any], route: str, example: Example) -> None:
    method, _, path = route.partition(" ")
    if method.isdigit():
        model = "Problems" if method == "422" else "Detail"
        check(document, {"$ref": f"#/components/schemas/{model}"}, example["answer"], route)
        return
    if method == "WS":
        check(document, document["x-websockets"][path]["message"]["schema"], example["frame"], route)
        return
    operation = document["paths"][path][method.lower()]
    shown = operation["responses"]["200"]["content"]["application/json"]
    check(document, shown["schema"], shown["example"], route)
    for content in operation.get("requestBody", {}).get("content", {}).values():
        if "example" in content:
            check(document, content["schema"], content["example"], route)
    for parameter in operation["parameters"]:
        if "example" in parameter:
            check(document, parameter["schema"], parameter["example"], f"{route} {parameter['name']}")


def check(document: dict[str, Any], schema: dict[str, Any], value: Any, where: str) -> None:
    whole = {**schema, "components": document["components"]}
    problems = [error.message for error in jsonschema_rs.Draft202012Validator(whole).iter_errors(value)]
    assert not problems, (where, problems)
