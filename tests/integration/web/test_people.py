"""Users and permissions to the letter of the wire contract, by an Admin over REST."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.web.harness import Web, web_server

pytestmark = pytest.mark.postgres

USER_KEYS = ["id", "username", "email", "created_at", "last_login", "role"]
PERMISSION_KEYS = ["id", "user_id", "facility_id", "permission_type", "granted_at"]


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        for facility_id in ("f", "g"):
            await running.facility(facility_id)
        yield running


async def test_a_user_is_made_read_changed_and_deleted(web: Web) -> None:
    admin = await web.admin()
    body = {"username": "ida", "email": "ida@plant.example", "password": "the first password"}
    made = (await web.client.post("/users", headers=admin, json=body)).json()
    assert list(made) == USER_KEYS
    assert (made["role"], made["last_login"]) == ("User", None)
    assert (await web.client.get(f"/users/{made['id']}", headers=admin)).json() == made
    changed = (await web.client.put(f"/users/{made['id']}", headers=admin, json={"email": "i@gas.example"})).json()
    assert changed == {**made, "email": "i@gas.example"}
    unchanged = (await web.client.put(f"/users/{made['id']}", headers=admin, json={})).json()
    assert unchanged == changed
    await web.sign_in("i@gas.example", "the first password")
    await web.client.put(f"/users/{made['id']}", headers=admin, json={"password": "the second password"})
    refused = await web.client.post("/auth/token", data={"username": "ida", "password": "the first password"})
    assert refused.status_code == 401
    await web.sign_in("ida", "the second password")
    granted = {"user_id": made["id"], "facility_id": "f", "permission_type": "View"}
    assert (await web.client.post("/permissions", headers=admin, json=granted)).status_code == 200
    gone = await web.client.delete(f"/users/{made['id']}", headers=admin)
    assert (gone.status_code, gone.json()["id"]) == (200, made["id"])
    for method in ("GET", "PUT", "DELETE"):
        answer = await web.client.request(method, f"/users/{made['id']}", headers=admin, json={"role": "User"})
        assert (answer.status_code, answer.json()) == (404, {"detail": "User not found"})


async def test_nobody_deletes_or_demotes_the_last_admin(web: Web) -> None:
    admin = await web.admin()
    answer = await web.client.delete("/users/1", headers=admin)
    assert (answer.status_code, answer.json()["detail"]) == (400, "You cannot delete yourself")
    assert (await web.client.put("/users/1", headers=admin, json={"role": "User"})).status_code == 400
    second_id, second, _ = await web.user("second")
    await web.client.put(f"/users/{second_id}", headers=admin, json={"role": "Admin"})
    answers = await asyncio.gather(  # each deletes the other at the same moment
        web.client.delete(f"/users/{second_id}", headers=admin), web.client.delete("/users/1", headers=second)
    )
    assert sum(answer.status_code == 200 for answer in answers) == 1
    # 404: admitted while still an Admin, and nobody any more when the database was asked
    assert {answer.status_code for answer in answers} - {200} <= {400, 401, 403, 404}
    assert await web.database.fetchval("SELECT count(*) FROM users WHERE role = 'Admin'") == 1


async def test_a_permission_is_granted_replaced_listed_and_revoked(web: Web) -> None:
    admin = await web.admin()
    user_id, user, _ = await web.user("kim", ("f", "View"), ("g", "View"))
    (first, other) = (await web.client.get("/permissions", headers=admin, params={"user_id": user_id})).json()
    assert list(first) == PERMISSION_KEYS
    body = {"user_id": user_id, "facility_id": "f", "permission_type": "Edit"}
    replaced = (await web.client.post("/permissions", headers=admin, json=body)).json()
    assert replaced == {**first, "permission_type": "Edit", "granted_at": replaced["granted_at"]}
    both: dict[str, Any] = {"user_id": user_id, "facility_id": "f"}
    assert (await web.client.get("/permissions", headers=admin, params=both)).json() == [replaced, other]
    assert (await web.client.get("/permissions", headers=admin, params={"facility_id": "f"})).json() == [replaced]
    assert (await web.client.get("/permissions", headers=admin)).json() == []
    assert (await web.client.put("/facilities/f", headers=user, json={"name": "New"})).status_code == 200
    gone = await web.client.delete(f"/permissions/{first['id']}", headers=admin)
    assert (gone.status_code, gone.json()) == (200, replaced)
    assert (await web.client.delete(f"/permissions/{first['id']}", headers=admin)).status_code == 404
    assert (await web.client.put("/facilities/f", headers=user, json={"name": "Newer"})).status_code == 403


async def test_grants_to_one_user_at_once_leave_one_permission(web: Web) -> None:
    admin = await web.admin()
    user_id, _, _ = await web.user("kim")
    body = {"user_id": user_id, "facility_id": "f"}
    answers = await asyncio.gather(
        *(
            web.client.post("/permissions", headers=admin, json={**body, "permission_type": kind})
            for kind in ("View", "Edit") * 5
        )
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1
