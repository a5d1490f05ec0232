"""Logins over a real server and database: one pair for many refreshes, what ends a login, who may look through whom."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import KeySet, OKPKey
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.integration.web.harness import ADMIN_EMAIL, CHEAP, Web, bearer, settings_for, web_server
from tests.token_mutants import Forge, hmac_signer
from web.auth.first_admin import create_first_admin
from web.auth.password_line import OF_ACCOUNT_MAX
from web.auth.passwords import Passwords
from web.database import Database

pytestmark = [pytest.mark.postgres, pytest.mark.filterwarnings("ignore:EdDSA is deprecated")]

REUSE_S = 30
USES = 50
SAMPLE = 400


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        yield running


async def refresh(web: Web, pair: dict[str, Any], **headers: str) -> httpx.Response:
    query = {"refresh_token": pair["refresh_token"]}
    return await web.client.post("/auth/refresh-token", params=query, headers=headers)


async def status_of(web: Web, pair: dict[str, Any]) -> tuple[int, int]:
    """What the access token and the refresh token are good for; uses the latter."""
    me = await web.client.get("/users/me", headers=bearer(pair))
    return me.status_code, (await refresh(web, pair)).status_code


async def audited(web: Web, action: str) -> list[dict[str, Any]]:
    rows = await web.database.fetch("SELECT entry FROM audit_log ORDER BY id")
    return [entry for row in rows if (entry := json.loads(row["entry"]))["action"] == action]


async def age_uses(web: Web, seconds: float) -> None:
    await web.database.execute("UPDATE refresh_tokens SET used_at = used_at - make_interval(secs => $1)", seconds)


def new_key(path: Path) -> str:
    path.write_bytes(OKPKey.generate_key("Ed25519").as_pem(private=True))
    return str(path)


@pytest.mark.parametrize("algorithm", ["HS256", "EdDSA"])
async def test_fifty_uses_at_once_in_two_processes_get_one_new_pair(
    algorithm: str, database_url: str, tmp_path: Path
) -> None:
    changes = {"algorithm": algorithm, "signing_keys": new_key(tmp_path / "key.pem")}
    async with (
        web_server(database_url, tmp_path, **changes) as here,
        web_server(database_url, tmp_path, **changes) as there,
    ):
        first = await here.sign_in()
        answers = await asyncio.gather(*(refresh(web, first) for web in (here, there) * (USES // 2)))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.text for answer in answers}) == 1
        second = answers[0].json()
        assert second["access_token"] != first["access_token"] and second["refresh_token"] != first["refresh_token"]
        assert await here.database.fetchval("SELECT count(*) FROM refresh_tokens") == 2
        assert await status_of(there, second) == (200, 200)


async def test_a_used_token_answers_for_thirty_seconds_and_then_ends_the_login_of_a_copy(web: Web) -> None:
    first, other_login = await web.sign_in(), await web.sign_in()
    second = (await refresh(web, first)).json()
    await age_uses(web, REUSE_S - 3)
    assert (await refresh(web, first)).status_code == 200
    assert await web.database.fetchval("SELECT count(*) FROM refresh_tokens") == 3, "no third token of this login"
    assert await audited(web, "refresh.reused") == []
    await age_uses(web, 3)
    copied = {"User-Agent": "somebody else's"}
    assert (await refresh(web, first, **copied)).status_code == 401
    assert await status_of(web, second) == (401, 401), "a copy is about, and nobody knows who holds it"
    assert await status_of(web, other_login) == (200, 200)
    (entry,) = await audited(web, "refresh.reused")
    assert (entry["actor"], entry["subject"], entry["address"]) == ("user:1", "user:1", "127.0.0.1")
    assert first["refresh_token"] not in json.dumps(entry)


async def test_a_refresh_that_meets_the_logout_revives_nothing(web: Web) -> None:
    """It commits its new token after the logout has looked, so that this token alone is not marked."""
    pair = await web.sign_in()
    second = (await refresh(web, pair)).json()
    await web.client.post("/auth/logout", headers=bearer(second))
    await web.database.execute("UPDATE refresh_tokens SET revoked_at = NULL WHERE used_at IS NULL")
    assert await web.database.fetchval("SELECT count(*) FROM refresh_tokens WHERE revoked_at IS NULL") == 1
    assert await status_of(web, second) == (401, 401)


async def test_logout_ends_this_login_or_all(web: Web) -> None:
    here, phone = await web.sign_in(), await web.sign_in()
    assert (await web.client.post("/auth/logout", headers=bearer(here))).json() == {"detail": "Signed out"}
    assert await status_of(web, here) == (401, 401)
    assert await status_of(web, phone) == (200, 200)
    here = await web.sign_in()
    answer = await web.client.post("/auth/logout", headers=bearer(here), params={"everywhere": "true"})
    assert answer.json() == {"detail": "Signed out everywhere"}
    for pair in (here, phone):
        assert await status_of(web, pair) == (401, 401)
    assert [entry["subject"] for entry in await audited(web, "sessions.ended")] == ["user:1"]
    assert (await status_of(web, await web.sign_in())) == (200, 200)


async def test_a_deleted_user_and_an_expired_token_get_nothing(web: Web) -> None:
    user_id, _, _ = await web.user("kim")
    pair = await web.sign_in("kim", "pw kim")
    await web.database.execute("UPDATE refresh_tokens SET expires_at = now() WHERE user_id = $1", user_id)
    assert await status_of(web, pair) == (200, 401)
    pair = await web.sign_in("kim", "pw kim")
    assert (await web.client.delete(f"/users/{user_id}", headers=await web.admin())).status_code == 200
    assert await status_of(web, pair) == (401, 401)


async def test_a_refresh_waits_for_a_logout_or_a_deletion_that_was_first(web: Web) -> None:
    user_id, _, _ = await web.user("kim")
    for first in ("UPDATE refresh_tokens SET revoked_at = now() WHERE user_id = $1", "DELETE FROM users WHERE id = $1"):
        pair = await web.sign_in("kim", "pw kim")
        async with web.database.transaction():
            await web.database.execute(first, user_id)
            refreshing = asyncio.create_task(refresh(web, pair))
            await asyncio.sleep(0.3)
            assert not refreshing.done()
        assert (await refreshing).status_code == 401


async def test_sign_ins_at_once_all_succeed(web: Web) -> None:
    pairs = await asyncio.gather(*(web.sign_in() for _ in range(OF_ACCOUNT_MAX)))
    assert len({pair["refresh_token"] for pair in pairs}) == OF_ACCOUNT_MAX


async def test_a_user_changes_the_own_password(web: Web) -> None:
    await web.user("kim")
    here, phone = await web.sign_in("kim", "pw kim"), await web.sign_in("kim", "pw kim")

    async def change(current: str, new: str) -> httpx.Response:
        body = {"current_password": current, "new_password": new}
        return await web.client.post("/auth/password", json=body, headers=bearer(here))

    assert (await change("pw of somebody", "new")).json() == {"detail": "The current password is wrong"}
    assert (await change("pw kim", "")).status_code == 422
    assert (await change("pw kim", "x" * 1025)).status_code == 422
    assert await audited(web, "password.changed") == []
    changed = await change("pw kim", "x" * 1024)
    assert changed.status_code == 200
    for ended in (here, phone):
        assert await status_of(web, ended) == (401, 401)
    assert await status_of(web, changed.json()) == (200, 200)
    (entry,) = await audited(web, "password.changed")
    assert entry["actor"] == entry["subject"]
    refused = await web.client.post("/auth/token", data={"username": "kim", "password": "pw kim"})
    assert refused.status_code == 401
    await web.sign_in("kim", "x" * 1024)


@pytest.mark.parametrize("asked_for", [{"password_characters_min": 8}, {"environment": "production"}])
async def test_passwords_worth_the_name_at_every_door(
    database_url: str, tmp_path: Path, asked_for: dict[str, object]
) -> None:
    secret_key = "zDq4-only-of-this-test-and-long-enough-91"
    async with web_server(database_url, tmp_path, secret_key=secret_key, **asked_for) as web:
        admin = await web.admin()
        new = {"username": "kim", "email": "kim@x.org"}
        for password in ("x", "short12", "password1", "kim@x.org"):
            answer = await web.client.post("/users", headers=admin, json={**new, "password": password})
            assert answer.status_code == 422
            assert answer.json()["detail"][0]["loc"] == ["body", "password"]
        made = await web.client.post("/users", headers=admin, json={**new, "password": "eight888"})
        assert made.status_code == 200
        path = f"/users/{made.json()['id']}"
        assert (await web.client.put(path, headers=admin, json={"password": "7seven7"})).status_code == 422
        assert (await web.client.put(path, headers=admin, json={"password": "kim@x.org"})).status_code == 422
        assert (await web.client.put(path, headers=admin, json={"password": "eight999"})).status_code == 200
        kim = bearer(await web.sign_in("kim", "eight999"))
        for password, status in (("7seven7", 422), ("eight000", 200)):
            own = {"current_password": "eight999", "new_password": password}
            assert (await web.client.post("/auth/password", headers=kim, json=own)).status_code == status


async def test_last_login_is_when_somebody_signed_in(web: Web) -> None:
    user_id, _, _ = await web.user("kim")
    read = "SELECT last_login FROM users WHERE id = $1"
    before = await web.database.fetchval(read, user_id)
    assert before is not None
    admin = await web.admin()
    pair = (await web.client.post(f"/auth/impersonate/{user_id}", headers=admin)).json()
    await refresh(web, pair)
    await web.client.post("/auth/token", data={"username": "kim", "password": "wrong"})
    assert await web.database.fetchval(read, user_id) == before
    await web.sign_in("kim", "pw kim")
    assert await web.database.fetchval(read, user_id) > before


async def test_what_an_admin_may_through_the_eyes_of_another(web: Web) -> None:
    admin = await web.admin()
    made = await web.client.post(
        "/users", headers=admin, json={"username": "vice", "email": "v@x.org", "password": "pw", "role": "Admin"}
    )
    vice_id = made.json()["id"]
    kim_id, _, _ = await web.user("kim")
    pair = (await web.client.post(f"/auth/impersonate/{vice_id}", headers=admin)).json()
    eyes = bearer((await refresh(web, pair)).json())
    assert (await web.client.get("/users", headers=eyes)).status_code == 200, "what vice may"
    for path, query in ((f"/auth/impersonate/{kim_id}", {}), ("/auth/logout", {"everywhere": "true"})):
        assert (await web.client.post(path, headers=eyes, params=query)).status_code == 403, path
    change = {"current_password": "pw", "new_password": "mine"}
    assert (await web.client.post("/auth/password", headers=eyes, json=change)).status_code == 403
    renamed = await web.client.put(f"/users/{kim_id}", headers=eyes, json={"username": "kimberly"})
    assert renamed.status_code == 200
    (entry,) = await audited(web, "user.updated")
    assert (entry["actor"], entry["impersonated_by"]) == (f"user:{vice_id}", "user:1"), "both are written down"
    assert [entry["subject"] for entry in await audited(web, "user.impersonated")] == [f"user:{vice_id}"]
    assert (await web.client.post("/auth/logout", headers=eyes)).status_code == 200
    await web.sign_in("vice", "pw")


async def test_an_impersonation_ends_with_the_admin_who_began_it(web: Web) -> None:
    admin = await web.admin()
    user_id, own, _ = await web.user("kim")
    for ended_by in ("UPDATE users SET role = 'User' WHERE id = 1", "DELETE FROM users WHERE id = 1"):
        pair = (await web.client.post(f"/auth/impersonate/{user_id}", headers=admin)).json()
        assert await status_of(web, pair) == (200, 200)
        await web.database.execute(ended_by)
        assert await status_of(web, pair) == (401, 401)
        assert (await web.client.get("/users/me", headers=own)).status_code == 200
        if "role" in ended_by:
            await web.database.execute("UPDATE users SET role = 'Admin' WHERE id = 1")
            assert await status_of(web, pair) == (401, 401), "it does not come back with the role"


async def test_no_impersonation_begins_in_the_moment_in_which_its_admin_ends(web: Web) -> None:
    user_id, _, _ = await web.user("kim")
    vice_id, _, _ = await web.user("vice")
    for ended_by in ("role = 'User'", "sessions_valid_from = clock_timestamp()"):
        await web.database.execute("UPDATE users SET role = 'Admin' WHERE id = $1", vice_id)
        vice = bearer(await web.sign_in("vice", "pw vice"))
        async with web.database.transaction():
            await web.database.execute(f"UPDATE users SET {ended_by} WHERE id = $1", vice_id)
            beginning = asyncio.create_task(web.client.post(f"/auth/impersonate/{user_id}", headers=vice))
            await asyncio.sleep(0.3)
            assert not beginning.done(), "admitted by what was so, and waits"
        assert (await beginning).status_code == 401
    assert await web.database.fetchval("SELECT count(*) FROM refresh_tokens WHERE impersonated_by IS NOT NULL") == 0


async def test_an_admin_may_give_up_role_and_password_at_once(web: Web) -> None:
    vice_id, vice, _ = await web.user("vice")
    await web.database.execute("UPDATE users SET role = 'Admin' WHERE id = $1", vice_id)
    body = {"role": "User", "password": "another one"}
    answer = await web.client.put(f"/users/{vice_id}", headers=vice, json=body)
    assert (answer.status_code, answer.json()["role"]) == (200, "User")
    assert (await web.client.get("/users/me", headers=vice)).status_code == 401
    await web.sign_in("vice", "another one")


@pytest.mark.parametrize("how", ["password", "everywhere", "by another Admin"])
async def test_what_ends_an_admins_sessions_ends_what_they_began_as_others(web: Web, how: str) -> None:
    user_id, own, _ = await web.user("kim")
    vice_id, vice, _ = await web.user("vice")
    admin = await web.admin()
    await web.client.put(f"/users/{vice_id}", headers=admin, json={"role": "Admin"})
    pair = (await web.client.post(f"/auth/impersonate/{user_id}", headers=vice)).json()
    assert await status_of(web, pair) == (200, 200)
    if how == "password":
        body = {"current_password": "pw vice", "new_password": "another one"}
        ended = await web.client.post("/auth/password", headers=vice, json=body)
    elif how == "everywhere":
        ended = await web.client.post("/auth/logout", headers=vice, params={"everywhere": "true"})
    else:
        ended = await web.client.put(f"/users/{vice_id}", headers=admin, json={"password": "another one"})
    assert ended.status_code == 200, ended.text
    assert await status_of(web, pair) == (401, 401)
    assert (await web.client.get("/users/me", headers=own)).status_code == 200, "kim's own login goes on"


async def test_keys_change_within_the_thirty_seconds(database_url: str, tmp_path: Path) -> None:
    """Half of the processes sign with the new key already; whoever refreshes in both gets one login all the same."""
    old, new = new_key(tmp_path / "old.pem"), new_key(tmp_path / "new.pem")
    async with (
        web_server(database_url, tmp_path, algorithm="EdDSA", signing_keys=f"{old},{new}") as before,
        web_server(database_url, tmp_path, algorithm="EdDSA", signing_keys=f"{new},{old}") as after,
    ):
        first = await before.sign_in()
        pairs = [(await refresh(web, first)).json() for web in (before, after, before)]
        assert pairs[0] == pairs[2] != pairs[1]
        assert await before.database.fetchval("SELECT count(*) FROM refresh_tokens") == 2
        for pair in pairs:
            for web in (before, after):
                assert await status_of(web, pair) == (200, 200)


async def test_others_can_verify_with_the_published_keys(database_url: str, tmp_path: Path, web: Web) -> None:
    assert (await web.client.get("/.well-known/jwks.json")).json() == {"keys": []}
    key = new_key(tmp_path / "key.pem")
    async with web_server(database_url, tmp_path, algorithm="EdDSA", signing_keys=key) as signing:
        pair = await signing.sign_in()
        keys = KeySet.import_key_set((await signing.client.get("/.well-known/jwks.json")).json())
        claims = jwt.decode(pair["access_token"], keys, algorithms=["EdDSA"]).claims
        assert (claims["sub"], claims["id"]) == ("admin", 1)


async def test_changed_tokens_over_http(web: Web) -> None:
    """A sample of what tests/unit/test_web_token_mutants.py puts to the verify function."""
    pair = await web.sign_in()
    secret = web.settings.secret_key
    assert secret is not None
    signer = hmac_signer(secret.get_secret_value().encode())
    fit = [m for _, m in Forge(pair["access_token"], signer, [], 7).mutants() if len(m) < 8000 and m.isascii()]
    sent = [m for m in random.Random(7).sample(fit, SAMPLE) if m.isprintable() and m == m.strip() and m]
    for mutant in sent:
        answer = await web.client.get("/users/me", headers={"Authorization": f"Bearer {mutant}"})
        assert (answer.status_code, answer.json()) == (401, {"detail": "Could not validate credentials"}), mutant
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    changed = [m for _, m in Forge(pair["refresh_token"], signer, [], 8).mutants()]
    for mutant in random.Random(8).sample(changed, SAMPLE // 4):
        answer = await web.client.post("/auth/refresh-token", json={"refresh_token": mutant})
        assert answer.status_code in {401, 413, 422}, mutant[:200]
    assert await status_of(web, pair) == (200, 200)


async def test_open_streams_end_with_their_login_and_no_other(web: Web) -> None:
    here, phone = await web.sign_in(), await web.sign_in()
    user_id, _, _ = await web.user("kim")
    await web.user("vice")
    await web.database.execute("UPDATE users SET role = 'Admin' WHERE username = 'vice'")
    vice = await web.sign_in("vice", "pw vice")
    eyes = (await web.client.post(f"/auth/impersonate/{user_id}", headers=bearer(vice))).json()
    streams = [connect(web.ws("/ws/notifications", token=pair["access_token"])) for pair in (here, phone, eyes)]
    async with streams[0] as of_here, streams[1] as of_phone, streams[2] as of_eyes:
        await web.client.post("/auth/logout", headers=bearer(here))
        await web.database.execute("UPDATE users SET role = 'User' WHERE username = 'vice'")
        for ended in (of_here, of_eyes):
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(ended.recv(), 5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(of_phone.recv(), 0.5)


async def test_many_processes_at_once_make_one_admin(database_url: str, tmp_path: Path) -> None:
    databases = [Database(database_url, 2, 10) for _ in range(4)]
    passwords = [Passwords(CHEAP) for _ in databases]
    given = [settings_for(database_url, tmp_path, admin_password=f"password {n}") for n in range(4)]
    try:
        await asyncio.gather(*(database.open() for database in databases))
        await asyncio.gather(
            *(create_first_admin(databases[n % 4], passwords[n % 4], given[n % 4]) for n in range(12)),
        )
        rows = await databases[0].rows("SELECT username, email, role FROM users")
        assert [tuple(row) for row in rows] == [("admin", ADMIN_EMAIL, "Admin")]
    finally:
        for each in passwords:
            each.close()
        for database in databases:
            await database.close()


async def test_without_a_password_a_random_one_is_shown_once(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with web_server(database_url, tmp_path, admin_password=None) as web:
        shown = capsys.readouterr().err
        assert shown.count("First admin:") == 1
        password = shown.partition("password ")[2].split()[0]
        assert len(password) >= 20
        await web.sign_in(ADMIN_EMAIL, password)
    async with web_server(database_url, tmp_path, admin_password=None) as web:
        await web.sign_in("admin", password)
    assert "password" not in capsys.readouterr().err


async def test_an_admin_who_is_there_is_left_alone(database_url: str, tmp_path: Path) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "INSERT INTO users (username, email, hashed_password, role) VALUES ('boss', 'b@x.org', '-', 'Admin')"
    )
    await connection.close()
    async with web_server(database_url, tmp_path) as web:
        await asyncio.sleep(0.1)
        assert [row["username"] for row in await web.database.fetch("SELECT username FROM users")] == ["boss"]
