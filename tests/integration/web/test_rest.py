"""REST over a real server and database: who may, what comes back, what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

from tests.integration.web.harness import ADMIN_EMAIL, ADMIN_PASSWORD, Web, bearer, web_server

pytestmark = pytest.mark.postgres


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        yield running


async def test_signing_in_by_email_or_user_name_sets_last_login(web: Web) -> None:
    for login in (ADMIN_EMAIL, ADMIN_EMAIL.upper(), "admin"):
        pair = await web.sign_in(login, ADMIN_PASSWORD)
        assert pair["token_type"] == "bearer"
    me = await web.client.get("/users/me", headers=bearer(pair))
    assert me.json()["username"] == "admin"
    assert me.json()["role"] == "Admin"
    assert "+" not in me.json()["last_login"] and not me.json()["last_login"].endswith("Z")


async def test_multipart_and_json_bodies_sign_in_too(web: Web) -> None:
    fields = {"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD}
    multipart = {name: (None, value) for name, value in fields.items()}
    assert (await web.client.post("/auth/token", files=multipart)).status_code == 200
    assert (await web.client.post("/auth/token", json=fields)).status_code == 200


async def test_a_bcrypt_hash_of_the_older_server_verifies_once_and_is_replaced(web: Web) -> None:
    import bcrypt

    old = bcrypt.hashpw(b"from before", bcrypt.gensalt(4)).decode()
    await web.database.execute(
        "INSERT INTO users (username, email, hashed_password, role) VALUES ('old', 'old@plant.example', $1, 'User')",
        old,
    )
    refused = await web.client.post("/auth/token", data={"username": "old", "password": "from then"})
    assert refused.status_code == 401
    await web.sign_in("old", "from before")
    replaced: str = await web.database.fetchval("SELECT hashed_password FROM users WHERE username = 'old'")
    assert replaced.startswith("$argon2id$")
    await web.sign_in("old@plant.example", "from before")


async def test_tokens_of_the_wrong_type_or_key_are_refused(web: Web) -> None:
    pair = await web.sign_in()
    wrong_type = await web.client.get("/users/me", headers={"Authorization": f"Bearer {pair['refresh_token']}"})
    assert wrong_type.status_code == 401
    assert wrong_type.json() == {"detail": "Could not validate credentials"}
    as_refresh = await web.client.post("/auth/refresh-token", params={"refresh_token": pair["access_token"]})
    assert as_refresh.status_code == 401


async def test_a_new_password_works_and_ends_old_sessions(web: Web) -> None:
    user_id, old_headers, _ = await web.user("kim")
    admin = await web.admin()
    unchanged = await web.client.put(f"/users/{user_id}", headers=admin, json={"password": "", "email": "k@x.org"})
    assert (unchanged.status_code, unchanged.json()["email"]) == (200, "k@x.org")
    assert (await web.client.get("/users/me", headers=old_headers)).status_code == 200
    changed = await web.client.put(f"/users/{user_id}", headers=admin, json={"password": "another"})
    assert changed.status_code == 200
    assert (await web.client.get("/users/me", headers=old_headers)).status_code == 401
    await web.sign_in("kim", "another")


async def test_the_last_admin_stays_an_admin(web: Web) -> None:
    admin = await web.admin()
    me = (await web.client.get("/users/me", headers=admin)).json()
    assert (await web.client.put(f"/users/{me['id']}", headers=admin, json={"role": "User"})).status_code == 400
    assert (await web.client.delete(f"/users/{me['id']}", headers=admin)).status_code == 400


async def test_a_user_sees_exactly_what_was_permitted(web: Web) -> None:
    for facility_id in ("seen", "edited", "foreign"):
        await web.facility(facility_id, name=facility_id)
        await web.sensor(f"{facility_id}-1", facility_id)
        await web.alert(facility_id, await web.sensor(f"{facility_id}-2", facility_id), f"alert of {facility_id}")
    _, user, _ = await web.user("kim", ("seen", "View"), ("edited", "Edit"))

    async def get(path: str, **query: str) -> object:
        return (await web.client.get(path, headers=user, params=query)).json()

    assert [facility["id"] for facility in await get("/facilities")] == ["edited", "seen"]  # type: ignore[attr-defined]
    assert len(await get("/sensors")) == 4  # type: ignore[arg-type]
    assert [alert["facility"]["id"] for alert in await get("/alerts")] == ["edited", "seen"]  # type: ignore[attr-defined]
    assert (await get("/dashboard"))["metrics"]["total_facilities"] == 2  # type: ignore[index]
    for path in ("/facilities/", "/alerts/facility/", "/dashboard/facility/"):
        assert (await web.client.get(path + "seen", headers=user)).status_code == 200
        assert (await web.client.get(path + "foreign", headers=user)).status_code == 403
        assert (await web.client.get(path + "absent", headers=user)).status_code == 404
    for path in ("/sensors/", "/sensor-records/"):
        query = {"start_date": "2026-01-01 00:00:00", "freq": "1D"}
        assert (await web.client.get(path + "seen-1", headers=user, params=query)).status_code == 200
        assert (await web.client.get(path + "foreign-1", headers=user, params=query)).status_code == 403
        assert (await web.client.get(path + "absent-1", headers=user, params=query)).status_code == 404
    assert (await web.client.put("/facilities/seen", headers=user, json={"name": "x"})).status_code == 403
    renamed = await web.client.put("/facilities/edited", headers=user, json={"name": "South", "unknown": 1})
    assert renamed.json()["name"] == "South"
    assert (await web.client.put("/sensors/seen-1", headers=user, json={"name": "x"})).status_code == 403


ODD_IDS = (
    "a/b c?ü%41", "a%2Fb", "..", "../x", "/x", "x/", "/", "//", "a;b&c=d", "a\nb", " ", "'\"\\", "𝄞" * 200, "recent"
)  # fmt: skip


async def test_ids_are_opaque_text(web: Web) -> None:
    admin = await web.admin()
    token = admin["Authorization"].removeprefix("Bearer ")
    for odd in ODD_IDS:
        await web.facility(odd)
        await web.sensor(odd, odd)
        quoted = quote(odd, safe="").replace(".", "%2E")  # httpx would walk up at `..`
        for path in (f"/facilities/{quoted}", f"/sensors/{quoted}"):
            assert (await web.client.get(path, headers=admin)).json().get("id") == odd, path
        for path in ("alerts/facility", "dashboard/facility", "sensor-records"):
            answer = await web.client.get(f"/{path}/{quoted}", headers=admin, params={"start_date": "2026-11-01"})
            assert answer.status_code == 200, (path, odd)
        async with connect(web.ws(f"/ws/sensor-data/{quoted}", token=token)):
            pass
    assert (await web.client.get("/facilities/%00", headers=admin)).status_code == 404


async def test_changing_a_sensor_spells_its_frequency_and_stamps_its_status(web: Web) -> None:
    await web.facility("f")
    await web.sensor("s", "f")
    admin = await web.admin()
    for sent, kept, seconds in (("1H", "60T", 3600), ("90s", "90S", 90), ("15min", "15T", 900), ("60S", "1T", 60)):
        changed = await web.client.put("/sensors/s", headers=admin, json={"expected_freq": sent})
        assert changed.json()["expected_freq"] == kept
        assert await web.database.fetchval("SELECT signal_interval_s FROM sensors") == seconds
    await web.database.execute("UPDATE sensors SET signal_interval_s = 90, expected_freq = '1T'")
    for body in ({"name": "North", "expected_freq": "1T"}, {"status": "Active"}, {}):
        assert (await web.client.put("/sensors/s", headers=admin, json=body)).json()["expected_freq"] == "1T"
        assert await web.database.fetchval("SELECT signal_interval_s FROM sensors") == 90, "as the hub declared it"
    longest = await web.client.put("/sensors/s", headers=admin, json={"expected_freq": "366D"})
    assert longest.json()["expected_freq"] == "527040T"
    for freq in ("0S", "31622401S", "367D", "300000000000S", "9" * 12 + "D"):
        refused = await web.client.put("/sensors/s", headers=admin, json={"expected_freq": freq})
        assert refused.status_code == 422, freq
    changed = await web.client.put("/sensors/s", headers=admin, json={"status": "Fault"})
    assert changed.json()["status"] == "Fault"
    assert await web.database.fetchval("SELECT now() - status_changed_at < interval '1 minute' FROM sensors")
    assert (await web.client.put("/sensors/s", headers=admin, json={"status": "Broken"})).status_code == 422
    ahead = await web.database.fetchval(
        "UPDATE sensors SET status_changed_at = now() + interval '200 s' RETURNING status_changed_at"
    )
    assert (await web.client.put("/sensors/s", headers=admin, json={"status": "Inactive"})).status_code == 200
    kept = await web.database.fetchval("SELECT status_changed_at FROM sensors")
    assert kept == ahead, "what was applied before stays older than the change, whose clock it was"


async def test_sensors_give_their_latest_reading_when_asked(web: Web) -> None:
    await web.facility("f")
    number = await web.sensor("s", "f")
    await web.sensor("t", "f")
    now = datetime.now(UTC).replace(microsecond=0)
    await web.readings(number, (now - timedelta(seconds=20), "1.5"), (now, "24.60"))
    admin = await web.admin()
    plain = (await web.client.get("/sensors", headers=admin)).json()
    assert [sensor["latest"] for sensor in plain] == [None, None]
    asked = (await web.client.get("/sensors", headers=admin, params={"latest": "true", "facility_id": "f"})).json()
    assert asked[0]["latest"]["data"] == "24.60"
    assert asked[0]["latest"]["tracked_at"] == now.replace(tzinfo=None).isoformat()
    assert asked[1]["latest"] is None


async def test_paging_both_ways(web: Web) -> None:
    admin = await web.admin()
    for n in range(12):
        await web.database.execute(
            "INSERT INTO users (username, email, hashed_password, role) VALUES ($1, $1 || '@x', '-', 'User')",
            f"u{n:02}",
        )
    by_skip = (await web.client.get("/users", headers=admin, params={"skip": 10, "limit": 10})).json()
    by_page = (await web.client.get("/users", headers=admin, params={"page": 2, "page_size": 10})).json()
    assert by_skip == by_page
    assert by_page["total"] == 13
    assert [user["username"] for user in by_page["users"]] == ["u09", "u10", "u11"]
    assert (await web.client.get("/users", headers=admin, params={"page": 0})).status_code == 422


async def test_a_taken_name_or_address_is_400(web: Web) -> None:
    await web.user("kim")
    admin = await web.admin()
    for name, email in (("kim", "new@x.org"), ("new", "KIM@plant.example")):
        answer = await web.client.post(
            "/users", headers=admin, json={"username": name, "email": email, "password": "p", "role": "User"}
        )
        assert answer.status_code == 400, answer.text
    user_id, _, _ = await web.user("lee")
    assert (await web.client.put(f"/users/{user_id}", headers=admin, json={"username": "kim"})).status_code == 400


async def test_deleting_a_user_takes_permissions_and_sessions_along(web: Web) -> None:
    await web.facility("f")
    user_id, headers, _ = await web.user("kim", ("f", "View"))
    admin = await web.admin()
    gone = await web.client.delete(f"/users/{user_id}", headers=admin)
    assert gone.json()["username"] == "kim"
    assert (await web.client.get("/users/me", headers=headers)).status_code == 401
    assert (await web.client.get("/permissions", headers=admin, params={"facility_id": "f"})).json() == []
    assert (await web.client.delete(f"/users/{user_id}", headers=admin)).status_code == 404


async def test_parked_input_and_dead_letters_are_for_admins(web: Web) -> None:
    await web.database.execute(
        """INSERT INTO parked (kind, facility_id, sensor_id, tracked_at, body, reason, digest, parked_at)
           VALUES ('reading', 'f', 's', now(), '{}', 'unknown sensor', 'x', now()),
                  ('refused', 'f', 's', now(), '{}', 'missing_field: data', 'y', now())"""
    )
    await web.database.execute(
        """INSERT INTO dead_letters (source, queue, reason, detail, body, facility_id, sensor_id, recorded_at)
           VALUES ('bus', 'sensor-data-queue', 'not_json', 'line 1', '{', '', '', now())"""
    )
    admin = await web.admin()
    parked = (await web.client.get("/parked", headers=admin)).json()
    assert (parked["total"], [row["reason"] for row in parked["parked"]]) == (1, ["unknown sensor"])
    dead = (await web.client.get("/dead-letters", headers=admin)).json()
    assert (dead["total"], dead["dead_letters"][0]["reason"]) == (1, "not_json")
    _, user, _ = await web.user("kim")
    assert (await web.client.get("/parked", headers=user)).status_code == 403
    assert (await web.client.get("/dead-letters", headers=user)).status_code == 403
