"""Names in one form, each held by one user: finding, refusing, and what was there before names were compared so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio

from engine.commands.doctor import _check_database
from engine.historian.names import clashing_names
from tests.integration.web.harness import CHEAP, Restarting, Web, settings_for, web_server

pytestmark = pytest.mark.postgres

INSERT = "INSERT INTO users (username, email, hashed_password, role) VALUES ($1, $2, $3, 'User') RETURNING id"


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        yield running


async def create(web: Web, username: str, email: str, password: str = "pw") -> httpx.Response:
    body = {"username": username, "email": email, "password": password}
    return await web.client.post("/users", headers=await web.admin(), json=body)


async def change(web: Web, user_id: int, **body: Any) -> httpx.Response:
    return await web.client.put(f"/users/{user_id}", headers=await web.admin(), json=body)


async def sign_in(web: Web, name: str, password: str = "pw") -> int | None:
    """Who that was; None when it was refused."""
    answer = await web.client.post("/auth/token", data={"username": name, "password": password})
    if answer.status_code != 200:
        return None
    me = await web.client.get("/users/me", headers={"Authorization": f"Bearer {answer.json()['access_token']}"})
    return int(me.json()["id"])


async def audited(web: Web) -> list[dict[str, Any]]:
    rows = await web.database.fetch("SELECT entry FROM audit_log ORDER BY id")
    return [entry for row in rows if (entry := json.loads(row["entry"]))["action"] == "name.not_held"]


async def test_any_spelling_of_a_name_signs_in_and_what_was_typed_is_answered(web: Web) -> None:
    made = (await create(web, "Ann M\u00fcller", "Ann.M\u00fcller@Plant.example")).json()
    assert (made["username"], made["email"]) == ("Ann M\u00fcller", "Ann.M\u00fcller@Plant.example")
    for spelling in (
        "Ann M\u00fcller",
        "  ann mu\u0308ller\t",
        "\uff21NN M\u00dcLLER",
        "ann.m\u00fcller@plant.example",
        "\u00a0ANN.MU\u0308LLER@PLANT.EXAMPLE ",
    ):
        assert await sign_in(web, spelling) == made["id"], spelling
    assert await sign_in(web, "Ann Muller") is None


async def test_a_password_in_another_form_of_unicode_signs_in(web: Web) -> None:
    user_id = (await create(web, "ann", "ann@x.org", "gr\u00fc\u00dfe")).json()["id"]
    assert await sign_in(web, "ann", "gru\u0308\u00dfe") == user_id
    older = await web.database.fetchval(INSERT, "old", "old@x.org", CHEAP.hash("gru\u0308\u00dfe"))
    assert await sign_in(web, "old", "gr\u00fc\u00dfe") == older
    stored = await web.database.fetchval("SELECT hashed_password FROM users WHERE id = $1", older)
    assert CHEAP.verify(stored, "gr\u00fc\u00dfe"), "replaced by a hash of the one form"


@pytest.mark.parametrize(
    ("username", "email", "what"),
    [
        ("ANN", "new@x.org", "Username"),
        (" a\uff4en ", "new@x.org", "Username"),
        ("Ann@X.org", "new@x.org", "Username"),
        ("new", "ANN@x.org", "Email"),
        ("new", "\uff41nn@x.org", "Email"),
        ("new", "Looks@like.one", "Email"),
    ],
)
async def test_nobody_gets_a_name_that_somebody_has(web: Web, username: str, email: str, what: str) -> None:
    await create(web, "ann", "ann@x.org")
    await create(web, "looks@LIKE.one", "other@x.org")
    taken = await create(web, username, email)
    assert (taken.status_code, taken.json()) == (400, {"detail": f"{what} already registered"})
    third = (await create(web, "third", "third@x.org")).json()["id"]
    given = {"username": username} if what == "Username" else {"email": email}
    taken = await change(web, third, **given)
    assert (taken.status_code, taken.json()) == (400, {"detail": f"{what} already registered"})
    assert await sign_in(web, "third") == await sign_in(web, "THIRD@x.org") == third, "nothing was changed"


async def test_a_user_may_have_one_name_twice_and_spell_it_anew(web: Web) -> None:
    user_id = (await create(web, "ann@x.org", "Ann@X.org")).json()["id"]
    assert await sign_in(web, "ANN@x.org") == user_id
    for body in ({"username": "ANN@X.ORG"}, {"email": "ann@x.org"}, {"username": "ann@x.org"}, {"username": "ann"}):
        changed = await change(web, user_id, **body)
        assert changed.status_code == 200, changed.text
        assert await sign_in(web, "ann@X.org") == user_id
    assert await sign_in(web, "Ann") == user_id
    assert (await create(web, "other", "ANN@x.org")).status_code == 400


async def test_a_name_is_free_once_its_holder_is_renamed_or_deleted(web: Web) -> None:
    first = (await create(web, "ann", "ann@x.org")).json()["id"]
    await change(web, first, username="bea")
    assert await sign_in(web, "ann") is None
    second = (await create(web, "Ann", "second@x.org")).json()["id"]
    assert await sign_in(web, "ann") == second
    assert (await web.client.delete(f"/users/{second}", headers=await web.admin())).status_code == 200
    third = (await create(web, "ANN", "second@x.org")).json()["id"]
    assert await sign_in(web, "ann") == third


async def test_of_many_who_want_one_name_at_once_one_gets_it(web: Web) -> None:
    wanted = [("ann", "a@x.org"), ("ANN", "b@x.org"), ("c", "ANN@x.org"), ("a@X.org", "d@x.org"), ("e", "A@x.org")]
    admin = await web.admin()

    async def make(username: str, email: str) -> int:
        body = {"username": username, "email": email, "password": "pw"}
        return (await web.client.post("/users", headers=admin, json=body)).status_code

    answers = await asyncio.gather(*(make(*names) for names in wanted * 2))
    assert set(answers) == {200, 400}
    held = await web.database.fetch("SELECT name_hash FROM sign_in_names WHERE is_held")
    assert len(held) == len(set(held)) == 2 + 2 * answers.count(200)


async def test_what_clashed_before_is_kept_and_told_and_the_first_has_the_name(
    web: Web, database_url: str, tmp_path: Path
) -> None:
    """As a database comes from the version before: users without names in one form, some with one name twice."""
    await web.database.execute("DELETE FROM sign_in_names")
    hashed = CHEAP.hash("pw")
    first = await web.database.fetchval(INSERT, "ann", "first@x.org", hashed)
    second = await web.database.fetchval(INSERT, "ANN", "second@x.org", hashed)
    third = await web.database.fetchval(INSERT, "Second@X.org", "third@x.org", hashed)
    server = Restarting(web)
    await server.start()
    await server.stop()
    assert {await sign_in(web, name) for name in ("ann", "Ann", "ANN", "first@x.org")} == {first}
    assert {await sign_in(web, name) for name in ("second@x.org", "SECOND@X.ORG")} == {second}
    assert await sign_in(web, "third@x.org") == third
    assert [(entry["subject"], entry["after"]) for entry in await audited(web)] == [
        (f"user:{second}", {"name": "ANN", "held_by": f"user:{first}"}),
        (f"user:{third}", {"name": "Second@X.org", "held_by": f"user:{second}"}),
    ]
    assert await clashing_names(database_url) == [("ANN", second, first), ("Second@X.org", third, second)]
    settings = settings_for(database_url, tmp_path)
    finding = await asyncio.to_thread(_check_database, settings, settings)
    assert finding.grade == "warning"
    assert f"user {second} does not sign in by 'ANN', user {first} does" in finding.found
    assert (await change(web, second, role="Admin")).status_code == 200, "a clash is in the way of nothing else"
    assert (await change(web, second, username="ANN")).status_code == 200, "nor is the name that was kept"
    await change(web, first, username="bea")
    assert await sign_in(web, "ann") == second, "the next has it"
    assert (await change(web, third, username="third")).status_code == 200
    finding = await asyncio.to_thread(_check_database, settings, settings)
    assert finding.grade == "ok"
    assert len(await audited(web)) == 2


async def test_users_made_or_renamed_past_the_server_are_found_too(web: Web) -> None:
    user_id = await web.database.fetchval(INSERT, "ann", "Ann@x.org", CHEAP.hash("pw"))
    assert await sign_in(web, "ANN") == user_id
    await web.database.execute("UPDATE users SET username = 'Bea' WHERE id = $1", user_id)
    assert await sign_in(web, "ann") is None
    assert await sign_in(web, "bea") == user_id


async def test_an_admin_who_demotes_oneself_may_change_the_name_with_it(web: Web) -> None:
    vice = (await create(web, "vice", "vice@x.org")).json()["id"]
    await change(web, vice, role="Admin")
    pair = await web.sign_in("vice", "pw")
    headers = {"Authorization": f"Bearer {pair['access_token']}"}
    answer = await web.client.put(f"/users/{vice}", headers=headers, json={"role": "User", "username": "plain"})
    assert answer.status_code == 200, answer.text
    assert await sign_in(web, "PLAIN") == vice


async def test_the_first_admin_takes_no_name_of_a_user(database_url: str, tmp_path: Path) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(INSERT, "ADMIN", "kim@x.org", CHEAP.hash("pw"))
    await connection.close()
    async with web_server(database_url, tmp_path) as web:
        assert [row["username"] for row in await web.database.fetch("SELECT username FROM users")] == ["ADMIN"]
        assert await sign_in(web, "admin", "pw") is not None
