"""Every route of the OpenAPI document x every role x own, foreign and absent facility: who may is what it declares.

A new route is walked without a change here; one whose declaration and behaviour differ fails.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from web_harness import Web, web_server

pytestmark = pytest.mark.postgres

BODIES: dict[str, Any] = {
    "/permissions": {"user_id": 1, "facility_id": "own", "permission_type": "View"},
    "/users": {"username": "new", "email": "new@plant.example", "password": "p"},
}
QUERY = {"start_date": "2026-11-20 00:00:00", "freq": "1D"}
ADMITTED = {"View": {"View", "Edit", "Admin"}, "Edit": {"Edit", "Admin"}, "user": {"View", "Edit", "Admin", "nothing"}}


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        for facility_id in ("own", "foreign"):
            await running.facility(facility_id)
            await running.sensor(f"{facility_id} sensor", facility_id)
        yield running


async def test_every_route_admits_exactly_whom_it_declares(web: Web) -> None:
    _, viewer, _ = await web.user("viewer", ("own", "View"))
    _, editor, _ = await web.user("editor", ("own", "Edit"))
    _, nobody, _ = await web.user("nobody")
    callers = {"View": viewer, "Edit": editor, "nothing": nobody, "Admin": await web.admin()}
    document = (await web.client.get("/openapi.json")).json()
    walked = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            walked += 1
            await walk_route(web, method, path, operation["x-needs"], callers)
    assert walked > 30


async def walk_route(web: Web, method: str, path: str, need: str, callers: dict[str, dict[str, str]]) -> None:
    what = f"{method} {path}"
    anonymous = await ask(web, method, path, "own", {})
    assert (anonymous == 401) == (need != "all"), what
    assert await ask(web, method, path, "absent", {}) == anonymous, f"{what}: 401 comes before 404"
    if need == "all":
        return
    assert await ask(web, method, path, "own", {"Authorization": "Bearer nonsense"}) == 401, what
    for role, headers in callers.items():
        if role == "Admin":
            continue  # who would change what the others are asked about
        expected = role in ADMITTED.get(need, {"Admin"})
        if need in {"View", "Edit"}:
            named = "{" in path
            assert (await ask(web, method, path, "own", headers) == 200) == (expected or not named), (what, role)
            if named:
                assert await ask(web, method, path, "foreign", headers) == 403, (what, role)
                assert await ask(web, method, path, "absent", headers) == 404, (what, role)
        elif path != "/auth/logout":
            assert (await ask(web, method, path, "own", headers) == 403) == (not expected), (what, role)
    if need in {"View", "Edit"} and "{" in path:
        assert await ask(web, method, path, "own", callers["Admin"]) == 200, what
        assert await ask(web, method, path, "absent", callers["Admin"]) == 404, what


async def ask(web: Web, method: str, path: str, facility_id: str, headers: dict[str, str]) -> int:
    url = path.replace("{facility_id}", facility_id).replace("{sensor_id}", f"{facility_id} sensor")
    for name in ("user_id", "permission_id"):
        url = url.replace(f"{{{name}}}", "2000000")
    body = BODIES.get(path, {"name": "renamed"}) if method in {"post", "put"} else None
    answer = await web.client.request(method, url, headers=headers, params=QUERY, json=body)
    assert answer.status_code != 500, (method, path, answer.text)
    return answer.status_code


async def test_the_document_describes_every_answer(web: Web) -> None:
    document = (await web.client.get("/openapi.json")).json()
    assert document["openapi"] == "3.1.0"
    schemas = document["components"]["schemas"]

    def references(node: Any) -> set[str]:
        if isinstance(node, dict):
            own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
            return own.union(*(references(inner) for inner in node.values()))
        return set().union(*(references(inner) for inner in node)) if isinstance(node, list) else set()

    missing = {ref for ref in references(document) if ref.removeprefix("#/components/schemas/") not in schemas}
    assert not missing
    assert {"User", "Facility", "Sensor", "AlertWithDetails", "Dashboard", "Grid", "TokenPair"} <= set(schemas)
    assert document["paths"]["/facilities/{facility_id}"]["get"]["x-needs"] == "View"
    assert schemas["User"]["properties"]["created_at"]["type"] == "string"
