"""Who gets in where: every route and websocket of the OpenAPI document x every kind of caller x own, foreign and absent
facility. What to expect is written down here from the wire contract alone; nothing of the guard is asked.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from quart import Quart
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.integration.web.harness import Web, bearer

IN = "admitted"
PLACES = ("own", "foreign", "absent")
WITHOUT_TOKEN = ("nobody", "expired")
RIGHT_IN_KEY = {"key to view": "View", "key to edit": "Edit"}
RIGHT_IN_OWN = {"user without right": None, "View": "View", "Edit": "Edit", "impersonated": "View", **RIGHT_IN_KEY}
CALLERS = (*WITHOUT_TOKEN, *RIGHT_IN_OWN, "Admin")
BY = ("WS by token", "WS by ticket")
ADMITTED_BY = {"View": {"View", "Edit"}, "Edit": {"Edit"}}
PAGES = {
    "/",
    "/docs",
    "/redoc",
    "/openapi.json",
    "/favicon.ico",
    "/static/{name}",
    "/console",
    "/console/",
    "/console/assets/{name}",
}
# An admitted request to these is answered otherwise than with 200, for a reason that is not the caller's rights.
OTHERWISE = {"GET /readyz": 503, "POST /auth/password": 400, "POST /alarm-commands/{facility_id}": 202}
# What takes away what the other cases are about comes last, in this order; each is admitted once a place.
LAST = (
    "POST /retire/sensor/{sensor_id}",
    "POST /retire/facility/{facility_id}",
    "DELETE /sensors/{sensor_id}",
    "DELETE /facilities/{facility_id}",
)
ALARM = "facility:silent"
INCIDENTS: dict[str, int] = {}
"""By facility the id of what began together."""
INSTEAD_OF_OTHERS = {"expires_at", "mail", "teams", "ids"}  # a body says this or something else, not both

_numbers = itertools.count(1)


class NoRule(AssertionError):
    """A route or websocket declares a need for which this table has no rule, or declares none."""


def expected(need: object, caller: str, place: str, is_filter: bool = False) -> str | int:
    """`admitted`, or the status of the refusal: 401 before 404 before 403.

    `is_filter`: the route only filters a list by the place, so an Admin finds nothing where there is none.
    """
    if need == "all":
        return IN
    if need not in {"person", "oneself", "user", "Admin", "View", "Edit"}:
        raise NoRule(f"nobody said who may when a route needs {need!r}")
    if caller in WITHOUT_TOKEN:
        return 401
    if need == "Admin" and caller != "Admin":
        return 403
    if need == "person":
        return 403 if caller in RIGHT_IN_KEY else IN
    if need == "oneself":
        return 403 if caller in RIGHT_IN_KEY or caller == "impersonated" else IN
    if need == "user" or (need == "Admin" and (is_filter or place != "absent")):
        return IN
    if place == "absent":
        return 404
    if caller == "Admin" or (place == "own" and RIGHT_IN_OWN[caller] in ADMITTED_BY[str(need)]):
        return IN
    return 403


def undeclared(app: Quart, document: dict[str, Any]) -> set[str]:
    """Routes and websockets that are served and not in the document: nobody knows who may use them."""
    served = {(rule.websocket, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)) for rule in app.url_map.iter_rules()}
    declared = {(False, path) for path in {*document["paths"], *PAGES}}
    return {path for _, path in served - declared - {(True, path) for path in document["x-websockets"]}}


@dataclass(frozen=True)
class Case:
    method: str
    path: str
    need: str
    caller: str
    place: str
    is_filter: bool = False

    @property
    def route(self) -> str:
        return f"{self.method} {self.path}"


def cases(document: dict[str, Any]) -> list[tuple[Case, dict[str, Any]]]:
    """All, those of `LAST` at the end."""
    return sorted(_cases(document), key=lambda each: LAST.index(each[0].route) if each[0].route in LAST else -1)


def _cases(document: dict[str, Any]) -> Iterator[tuple[Case, dict[str, Any]]]:
    """Each with its operation. What names nothing has no place but `own`, what names no facility is not `foreign`."""
    operations = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    operations += [(way, path, socket) for way in BY for path, socket in document["x-websockets"].items()]
    for method, path, operation in operations:
        in_path = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
        in_query = {one["name"] for one in operation["parameters"] if one["in"] == "query"}
        in_body = body_names(operation, document["components"]["schemas"])
        places: tuple[str, ...] = PLACES[:1]
        if (in_path | in_query | in_body) & {"facility_id", "sensor_id"}:
            places = PLACES
        elif in_path & {"user_id", "permission_id", "key_id", "channel_id", "subscription_id"}:
            places = ("own", "absent")
        for caller, place in itertools.product(CALLERS, places):
            need = operation.get("x-needs", "(not declared)")
            yield Case(method, path, need, caller, place, is_filter=not in_path and not in_body), operation


def body_names(operation: dict[str, Any], schemas: dict[str, Any]) -> set[str]:
    contents = operation.get("requestBody", {}).get("content", {}).values()
    names = (schemas[content["schema"]["$ref"].rpartition("/")[2]]["properties"] for content in contents)
    return set().union(*names)


class Walker:
    """Asks each case of a running server, whose facilities are `own` and `foreign`."""

    def __init__(self, web: Web, document: dict[str, Any], expired: str) -> None:
        self.web = web
        self.schemas = document["components"]["schemas"]
        self.tokens: dict[str, str | None] = {"nobody": None, "expired": expired}
        self.channel_id = 1

    async def prepare(self) -> None:
        self.admin = await self.web.admin()
        self.channel_id = await self.new_channel()
        for caller in CALLERS:
            if caller not in self.tokens:
                self.tokens[caller] = await self.new_token(caller)

    async def new_token(self, caller: str) -> str:
        if caller == "Admin":
            return str((await self.web.sign_in())["access_token"])
        right = RIGHT_IN_OWN[caller]
        if caller in RIGHT_IN_KEY:
            return str((await self.web.api_key(caller, ("own", str(right))))["key"])
        granted = [("own", right)] if right else []
        user_id, _, token = await self.web.user(f"caller{next(_numbers)}", *granted)
        if caller == "impersonated":
            answer = await self.web.client.post(f"/auth/impersonate/{user_id}", headers=self.admin)
            assert answer.status_code == 200, answer.text
            token = answer.json()["access_token"]
        return token

    async def outcome(self, case: Case, operation: dict[str, Any]) -> str | int:
        token = self.tokens[case.caller]
        if token and case.method != "GET" and case.need == "person" and case.caller not in WITHOUT_TOKEN:
            token = await self.new_token(case.caller)  # it may sign its caller out
        if case.path in {"/redrives", "/discards"} and case.place != "absent":
            await self.new_letter(case.place)
        path = case.path
        is_known = True
        for parameter in operation["parameters"]:
            if parameter["in"] == "path":
                value, known = await self.path_value(parameter, case.place)
                path = path.replace(f"{{{parameter['name']}}}", value)
                is_known &= known
        query = self.query(operation, case.place)
        if case.method in BY:
            return await self.knock(path, query | await self.key_to_socket(case.method, token))
        return await self.ask(case, operation, path, query, token, is_known)

    async def ask(
        self, case: Case, operation: dict[str, Any], path: str, query: dict[str, Any], token: str | None, is_known: bool
    ) -> str | int:
        headers = bearer({"access_token": token}) if token else {}
        answer = await self.web.client.request(
            case.method, path, headers=headers, params=query, **self.body(operation, case.place), follow_redirects=False
        )
        assert str(answer.status_code) in operation["responses"], (case, answer.text)
        if case.need == "all":  # the caller is not looked at, so the answer is that to nobody
            nobody = await self.web.client.request(case.method, path, params=query, **self.body(operation, case.place))
            return IN if answer.status_code == nobody.status_code else answer.status_code
        admitted = OTHERWISE.get(case.route, 200 if is_known else 404)
        return IN if answer.status_code == admitted else answer.status_code

    async def key_to_socket(self, way: str, token: str | None) -> dict[str, str]:
        if token is None or way == "WS by token":
            return {"token": token} if token else {}
        answer = await self.web.client.post("/ws/tickets", headers=bearer({"access_token": token}))
        return {"ticket": answer.json()["ticket"]} if answer.status_code == 200 else {"ticket": "none was given"}

    async def knock(self, path: str, query: dict[str, Any]) -> str | int:
        try:
            async with connect(self.web.ws(quote(path), **query)):
                return IN
        except InvalidStatus as refused:
            return refused.response.status_code

    async def path_value(self, parameter: dict[str, Any], place: str) -> tuple[str, bool]:
        """A value, and whether there is such a thing (of facilities and sensors: as far as `place` says so)."""
        makers: dict[str, Callable[[], Any]] = {
            "user_id": self.new_user,
            "permission_id": self.new_permission,
            "key_id": self.new_key,
            "channel_id": self.new_channel,
            "subscription_id": self.new_subscription,
        }
        match parameter["name"]:
            case "facility_id":
                return place, True
            case "sensor_id":
                return f"{place} sensor", True
            case "dataset":
                return "records", True
            case "alarm_id":
                return ALARM, True
            case "incident_id":
                return str(INCIDENTS.get(place, 2_000_000)), True
            case "planned_id":
                return str(await self.new_planned(place)), True
            case name if name in makers:
                return "2000000" if place == "absent" else str(await makers[name]()), True
        return "2000000" if parameter["schema"]["type"] == "integer" else "absent", False

    async def new_user(self) -> int:
        user_id: int = await self.web.database.fetchval(
            """INSERT INTO users (username, email, hashed_password, role) VALUES ($1, $1 || '@x', '-', 'User')
               RETURNING id""",
            f"target{next(_numbers)}",
        )
        return user_id

    async def new_letter(self, place: str) -> None:
        await self.web.database.execute(
            """INSERT INTO dead_letters (source, queue, reason, detail, body, facility_id, sensor_id, recorded_at)
               VALUES ('row', '', 'future', '', '{}', $1, '', now())""",
            place,
        )

    async def new_permission(self) -> int:
        permission_id: int = await self.web.database.fetchval(
            """INSERT INTO permissions (user_id, facility_id, permission_type) VALUES ($1, 'foreign', 'View')
               RETURNING id""",
            await self.new_user(),
        )
        return permission_id

    async def new_key(self) -> int:
        return int((await self.web.api_key("target", ("foreign", "View")))["id"])

    async def new_channel(self) -> int:
        channel_id: int = await self.web.database.fetchval(
            """INSERT INTO notification_channels (name, kind, enabled, settings, sealed)
               VALUES ($1, 'webhook', true, '{"acknowledge": false, "host": "hooks.plant.example"}', '')
               RETURNING id""",
            f"channel{next(_numbers)}",
        )
        return channel_id

    async def new_planned(self, place: str) -> int:
        planned_id: int | None = await self.web.database.fetchval(
            """INSERT INTO planned_rules (facility_id, sensor_type, settings, effective_from, set_by, set_by_name)
               SELECT id, 'Temperature', '{}', now() + interval '1 day', 'user:1', 'admin' FROM facilities WHERE id = $1
               RETURNING id""",
            place,
        )
        return planned_id or 2_000_000

    async def new_subscription(self) -> int:
        subscription_id: int = await self.web.database.fetchval(
            """INSERT INTO notification_subscriptions (channel_id, name, least_priority, returned, after_minutes, days,
                                                       from_time, to_time, zone)
               VALUES ($1, 'all', 'low', false, 0, '{1}', '00:00', '00:00', 'UTC') RETURNING id""",
            await self.new_channel(),
        )
        return subscription_id

    def query(self, operation: dict[str, Any], place: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for parameter in operation["parameters"]:
            if parameter["in"] == "query" and parameter["name"] == "facility_id":
                found["facility_id"] = place
            elif parameter["in"] == "query" and parameter.get("required"):
                found[parameter["name"]] = self.value(parameter["name"], parameter["schema"], place)
        return found

    def body(self, operation: dict[str, Any], place: str) -> dict[str, Any]:
        """A valid one, as its schema says, sent as its first content type."""
        content = operation.get("requestBody", {}).get("content", {})
        for kind, body in content.items():
            value = self.value("", body["schema"], place)
            return {"json": value} if kind == "application/json" else {"data": value}
        return {}

    def value(self, name: str, schema: dict[str, Any], place: str) -> Any:
        voter = {"sensor_id": f"{place} sensor", "rules": ["high"]}
        known = {
            "user_id": 1,
            "facility_id": place,
            "sensor_id": f"{place} sensor",
            "start_date": "2026-11-20 00:00:00",
            "end_date": "2026-11-21 00:00:00",
            "alarm_id": ALARM,
            "command_id": f"c{next(_numbers)}",
            "until": "2026-11-22 18:00:00",
            "effective_from": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
            "facility_ids": [],
            "sensor_ids": [],
            "columns": [],
            "proposals": [],
            "channel_id": self.channel_id,
            "name": f"name {next(_numbers)}",
            "url": "https://hooks.plant.example/gas",
            "from_time": "06:00",
            "to_time": "18:00",
            "zone": "Europe/Berlin",
            "returned": False,
            "wait_s": 0,
            "rules": [{"rule": "high", "limit": 24}],
            "groups": [{"name": "hall", "kind": "vote", "votes": 1, "members": [voter]}],
            "rests": [{"name": "stopped", "while": {"sensor_id": voter["sensor_id"], "below": 2}, "alarms": [voter]}],
            "expected_freq": "15S",
            "physical_low": -40,
            "physical_high": 120,
            "email": f"new{next(_numbers)}@plant.example",
            "username": f"new{next(_numbers)}",
        }
        if name in known:
            return known[name]
        if "$ref" in schema:
            return self.value(name, self.schemas[schema["$ref"].rpartition("/")[2]], place)
        if "anyOf" in schema:
            return self.value(name, schema["anyOf"][0], place)
        if "enum" in schema or "const" in schema:
            return schema.get("enum", [schema.get("const")])[0]
        match schema.get("type"):
            case "object":
                names = schema.get("properties", {}).items()
                return {key: self.value(key, inner, place) for key, inner in names if key not in INSTEAD_OF_OTHERS}
            case "array":
                return [self.value(name, schema["items"], place)]
            case "integer" | "number":
                return max(1, schema.get("minimum", 1))
            case "boolean":
                return True
        return "a name of twenty letters"[: schema.get("maxLength", 99)]


def mismatch(case: Case, found: str | int) -> str | None:
    """Says what is wrong with a case; a websocket refuses with 403 whatever the reason."""
    wanted = expected(case.need, case.caller, case.place, case.is_filter)
    if case.method in BY and wanted != IN:
        wanted = 403
    if found == wanted:
        return None
    return f"{case.route} ({case.need}) by {case.caller}, {case.place} facility: expected {wanted}, found {found}"
