"""API keys: made, shown once, listed and revoked by Admins; what is kept of them."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.web.harness import Web, web_server
from web.auth.keys import SECRET_BYTES

pytestmark = pytest.mark.postgres

DAY = timedelta(days=1)


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        for facility_id in ("own", "shown", "foreign"):
            await running.facility(facility_id, f"Facility {facility_id}")
            await running.sensor(f"{facility_id} sensor", facility_id)
        yield running


def wanted(name: str, *grants: tuple[str, str], days: object = 7) -> dict[str, Any]:
    facilities = [{"facility_id": facility_id, "permission_type": kind} for facility_id, kind in grants]
    return {"name": name, "facilities": facilities, "days": days}


async def test_a_key_is_shown_once_listed_and_revoked(web: Web) -> None:
    admin = await web.admin()
    key = await web.api_key("weekly report", ("own", "Edit"), ("shown", "View"))
    assert re.fullmatch(r"gik_[0-9a-f]{16}_[0-9a-f]{72}", key["key"])
    assert key["facilities"] == [
        {"facility_id": "own", "permission_type": "Edit"},
        {"facility_id": "shown", "permission_type": "View"},
    ]
    assert (key["status"], key["created_by_name"], key["last_used_at"]) == ("Active", "admin", None)
    left = datetime.fromisoformat(key["expires_at"]) - datetime.fromisoformat(key["created_at"])
    assert abs(left - 7 * DAY) < timedelta(minutes=1)

    shown = {name: value for name, value in key.items() if name != "key"}
    assert (await web.client.get(f"/api-keys/{key['id']}", headers=admin)).json() == shown
    await web.api_key("another", ("own", "View"))
    page = (await web.client.get("/api-keys", headers=admin)).json()
    assert [one["name"] for one in page["api_keys"]] == ["another", "weekly report"]
    assert page["total"] == 2
    second = (await web.client.get("/api-keys?page=2&page_size=1", headers=admin)).json()
    assert second == {"api_keys": [shown], "total": 2}

    revoked = (await web.client.delete(f"/api-keys/{key['id']}", headers=admin)).json()
    assert revoked["status"] == "Revoked"
    assert {**revoked, "revoked_at": None, "status": "Active"} == shown
    again = await web.client.delete(f"/api-keys/{key['id']}", headers=admin)
    assert again.json() == revoked, "a second revocation changes nothing"
    entries = [json.loads(row["entry"]) for row in await web.database.fetch("SELECT entry FROM audit_log ORDER BY id")]
    of_keys = [entry for entry in entries if entry["action"].startswith("key.")]
    told = [(entry["action"], entry["subject"], entry["actor_name"]) for entry in of_keys]
    assert told[0] == ("key.created", f"key:{key['id']}", "admin")
    assert told[2:] == [("key.revoked", f"key:{key['id']}", "admin")]
    assert of_keys[0]["after"]["facilities"] == {"own": "Edit", "shown": "View"}


async def test_the_database_holds_nothing_that_opens(web: Web) -> None:
    key = await web.api_key("notebook", ("own", "View"))
    secret = key["key"].rpartition("_")[2][: SECRET_BYTES * 2]
    tables = await web.database.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    for table in tables:
        rows = await web.database.fetch(f'SELECT t::text AS row FROM "{table["tablename"]}" t')
        assert not any(secret in row["row"] for row in rows), table["tablename"]
    row = await web.database.fetchrow("SELECT * FROM api_keys")
    assert len(row["secret_hash"]) == 32
    assert row["secret_hash"].hex() != secret


UNUSABLE: list[tuple[dict[str, Any], str]] = [
    (wanted("", ("own", "View")), "name"),
    (wanted("x" * 201, ("own", "View")), "name"),
    (wanted("none"), "facilities"),
    (wanted("twice", ("own", "View"), ("own", "Edit")), "facilities"),
    (wanted("admin", ("own", "Admin")), "facilities"),
    (wanted("past", ("own", "View"), days=0), "days"),
    (wanted("long", ("own", "View"), days=366), "days"),
    (wanted("endless", ("own", "View"), days=None), "days"),
    ({"facilities": [{"facility_id": "own", "permission_type": "View"}]}, "name"),
]


async def test_what_is_no_key(web: Web) -> None:
    admin = await web.admin()
    for body, where in UNUSABLE:
        answer = await web.client.post("/api-keys", headers=admin, json=body)
        assert answer.status_code == 422, body
        assert where in answer.text, body
    assert await web.database.fetchval("SELECT count(*) FROM api_keys") == 0


async def test_limits_are_kept_on_their_good_side(web: Web) -> None:
    await web.api_key("x" * 200, ("own", "View"), days=365)
    await web.api_key("brief", ("own", "View"), days=1)
    unknown = await web.client.post("/api-keys", headers=await web.admin(), json=wanted("k", ("absent", "View")))
    assert (unknown.status_code, unknown.json()) == (404, {"detail": "Facility not found"})
    assert await web.database.fetchval("SELECT count(*) FROM api_keys") == 2
