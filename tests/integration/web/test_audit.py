"""The audit log: every change is one row in its transaction, and whatever is done to the rows afterwards is found."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from engine.errors import SettingsError
from engine.historian.audit import ChainCheck, newest, read_last, verify
from engine.historian.audit_head import HEADS_NAME, read_head, remember
from tests.integration.web.access_matrix import Case, Walker, cases
from tests.integration.web.harness import ADMIN_PASSWORD, Web, web_server
from web.audit import Action, Actor, audit

pytestmark = pytest.mark.postgres
ROOT = Path(__file__).parents[3]

# Every route that changes something is in one of these two; a new one fails the test until somebody decides.
AUDITED = {
    "POST /auth/impersonate/{user_id}": Action.USER_IMPERSONATED,
    "POST /users": Action.USER_CREATED,
    "PUT /users/{user_id}": Action.USER_UPDATED,
    "DELETE /users/{user_id}": Action.USER_DELETED,
    "POST /permissions": Action.PERMISSION_GRANTED,
    "DELETE /permissions/{permission_id}": Action.PERMISSION_REVOKED,
    "PUT /facilities/{facility_id}": Action.FACILITY_UPDATED,
    "POST /retire/facility/{facility_id}": Action.FACILITY_RETIRED,
    "DELETE /facilities/{facility_id}": Action.FACILITY_REMOVED,
    "POST /retire/sensor/{sensor_id}": Action.SENSOR_RETIRED,
    "DELETE /sensors/{sensor_id}": Action.SENSOR_REMOVED,
    "PUT /sensors/{sensor_id}": Action.SENSOR_UPDATED,
    "PUT /detection/sensor/{sensor_id}": Action.DETECTION_UPDATED,
    "DELETE /detection/sensor/{sensor_id}": Action.DETECTION_UPDATED,
    "PUT /detection/facility/{facility_id}": Action.DETECTION_UPDATED,
    "DELETE /detection/facility/{facility_id}": Action.DETECTION_UPDATED,
    **{
        f"{method} /rules/{what}": Action.RULES_UPDATED
        for method in ("PUT", "DELETE")
        for what in ("sensor/{sensor_id}", "facility/{facility_id}")
    },
    "POST /planned-rules/sensor/{sensor_id}": Action.RULES_PLANNED,
    "POST /planned-rules/facility/{facility_id}": Action.RULES_PLANNED,
    "DELETE /planned-rules/{planned_id}": Action.RULES_WITHDRAWN,
    "PUT /groups/facility/{facility_id}": Action.GROUPS_UPDATED,
    "POST /alarm-commands/{facility_id}": Action.ALARM_COMMANDED,
    "POST /shift-notes/{facility_id}": Action.SHIFT_NOTED,
    "POST /notification-channels": Action.CHANNEL_CREATED,
    "PUT /notification-channels/{channel_id}": Action.CHANNEL_UPDATED,
    "DELETE /notification-channels/{channel_id}": Action.CHANNEL_DELETED,
    "POST /notification-tests/{channel_id}": Action.CHANNEL_TESTED,
    "POST /notification-subscriptions": Action.SUBSCRIPTION_CREATED,
    "PUT /notification-subscriptions/{subscription_id}": Action.SUBSCRIPTION_UPDATED,
    "DELETE /notification-subscriptions/{subscription_id}": Action.SUBSCRIPTION_DELETED,
    "POST /api-keys": Action.KEY_CREATED,
    "DELETE /api-keys/{key_id}": Action.KEY_REVOKED,
    "POST /auth/password": Action.PASSWORD_CHANGED,
    "POST /export-jobs": Action.EXPORT_CREATED,
    "POST /replays": Action.REPLAY_CREATED,
    "POST /redrives": Action.INPUT_REDRIVEN,
    "POST /discards": Action.INPUT_DELETED,
}
NOT_AUDITED = {
    "POST /auth/token": "signing in changes nothing that others see; it is counted and logged",
    "POST /auth/refresh-token": "goes on with a login; only the re-use of a token is audited",
    "POST /auth/logout": "ends one's own login; ending all of them is audited",
    "POST /auth/oidc/token": "signs in, like POST /auth/token",
    "DELETE /export-jobs/{job_id}": "takes away one's own file; making it is audited",
    "DELETE /replays/{replay_id}": "ends or forgets a replay, which changes nothing; asking for it is audited",
    "POST /acknowledge": "asks for a command, which is audited where the link is good (test_notifications.py)",
    "POST /ws/tickets": "a ticket of 30 s for one's own right",
}
SECRETS = (ADMIN_PASSWORD, "a name of twenty letters and more", "$argon2", "gik_")


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        for facility_id in ("own", "foreign"):
            await running.facility(facility_id)
            await running.sensor(f"{facility_id} sensor", facility_id)
        yield running


async def entries(web: Web) -> list[dict[str, Any]]:
    return await read_last(str(web.settings.database_url), 10_000)


async def test_every_changing_route_writes_exactly_one_row_and_a_refused_change_none(web: Web) -> None:
    document = (await web.client.get("/openapi.json")).json()
    changing = {
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method in operations
        if method not in {"get", "head"}
    }
    assert changing == {*AUDITED, *NOT_AUDITED}, "say in AUDITED or NOT_AUDITED what a new route is"
    walker = Quiet(web, document, "")
    await walker.prepare()
    wrong = []
    for case, operation in cases(document):
        if case.route not in AUDITED or case.caller != "Admin" or case.place == "foreign":
            continue
        found = await walker.rows_written(case, operation)
        is_absent = case.place == "absent" or case.route == "POST /auth/password"  # the walker's password is wrong
        wanted = [] if is_absent else [AUDITED[case.route]]
        if found != wanted:
            wrong.append(f"{case.route}, {case.place}: {found}, not {wanted}")
    assert not wrong, "\n".join(wrong)
    changed = {"current_password": ADMIN_PASSWORD, "new_password": "a name of twenty letters and more"}
    answer = await web.client.post("/auth/password", headers=await web.admin(), json=changed)
    assert answer.status_code == 200, answer.text
    assert (await entries(web))[-1]["action"] == Action.PASSWORD_CHANGED
    kept = await web.database.fetchval("SELECT string_agg(entry, ' ') FROM audit_log")
    assert not [secret for secret in SECRETS if secret in kept]
    assert (await verify(str(web.settings.database_url), None)).problem is None


class Quiet(Walker):
    """Makes what a request is about before it counts, without the server."""

    async def new_key(self) -> int:
        key_id: int = await self.web.database.fetchval(
            """INSERT INTO api_keys (public_id, secret_hash, name, created_by_name, expires_at)
               VALUES (gen_random_uuid()::text, '', 'target', '', now() + interval '1 day') RETURNING id"""
        )
        return key_id

    async def rows_written(self, case: Case, operation: dict[str, Any]) -> list[str]:
        before = len(await entries(self.web))
        await self.outcome(case, operation)
        return [entry["action"] for entry in (await entries(self.web))[before:]]


async def test_a_row_says_who_through_whom_from_where_and_what_differs(web: Web) -> None:
    admin = await web.admin()
    user_id, _, _ = await web.user("ida", ("own", "View"))
    made = await web.client.put(
        f"/users/{user_id}", headers=admin, json={"role": "Admin", "password": "a new password"}
    )
    assert made.status_code == 200
    updated = (await entries(web))[-1]
    assert (updated["actor"], updated["actor_name"], updated["address"]) == ("user:1", "admin", "127.0.0.1")
    assert (updated["subject"], updated["impersonated_by"]) == (f"user:{user_id}", None)
    assert updated["before"] == {"role": "User"}
    assert updated["after"] == {"role": "Admin", "password_changed": True}

    pair = (await web.client.post(f"/auth/impersonate/{user_id}", headers=admin)).json()
    through = {"Authorization": f"Bearer {pair['access_token']}"}
    for name in ("New", "New"):  # the second changes nothing
        await web.client.put("/facilities/own", headers=through, json={"name": name})
    impersonated, renamed = (await entries(web))[-2:]
    assert (impersonated["action"], impersonated["subject"]) == ("user.impersonated", f"user:{user_id}")
    assert (renamed["actor"], renamed["impersonated_by"]) == (f"user:{user_id}", "user:1")
    assert (renamed["before"], renamed["after"]) == ({"name": "North"}, {"name": "New"})

    granted = {"user_id": user_id, "facility_id": "own", "permission_type": "Edit"}
    await web.client.post("/permissions", headers=admin, json=granted)
    replaced = (await entries(web))[-1]
    assert replaced["before"] == {"facility_id": "own", "permission_type": "View"}
    assert replaced["after"] == {"facility_id": "own", "permission_type": "Edit"}
    await web.client.delete(f"/users/{user_id}", headers=admin)
    assert (await entries(web))[-1]["before"]["permissions"] == [{"facility_id": "own", "permission_type": "Edit"}]


async def test_what_fails_in_the_database_leaves_no_row_and_no_gap(web: Web) -> None:
    admin = await web.admin()
    before = await entries(web)
    taken = {"username": "admin", "email": "other@plant.example", "password": "a new password"}
    assert (await web.client.post("/users", headers=admin, json=taken)).status_code == 400
    with pytest.raises(ZeroDivisionError):
        async with web.database.transaction():
            await audit(web.database, Actor("user:1", "admin"), Action.USER_UPDATED, "user:1", after={"x": 1})
            raise ZeroDivisionError
    assert await entries(web) == before
    with pytest.raises(ValueError, match="do not belong into the audit log"):
        await audit(web.database, Actor("user:1", "admin"), Action.USER_UPDATED, "user:1", after={"password": "x"})


async def test_the_first_admin_is_the_first_row(web: Web) -> None:
    first = (await entries(web))[0]
    assert (first["action"], first["actor"], first["subject"]) == ("user.created", "system", "user:1")
    assert first["after"]["role"] == "Admin"


async def test_admins_read_it_newest_first_and_in_pages(web: Web) -> None:
    admin = await web.admin()
    _, user, _ = await web.user("ida", ("own", "View"))
    page = (await web.client.get("/audit", headers=admin, params={"page": 1, "page_size": 2})).json()
    assert [entry["action"] for entry in page["entries"]] == ["permission.granted", "user.created"]
    assert page["total"] == len(await entries(web))
    rest = (await web.client.get("/audit", headers=admin, params={"skip": 1, "limit": 1})).json()
    assert [entry["id"] for entry in rest["entries"]] == [page["entries"][1]["id"]]
    assert (await web.client.get("/audit", headers=user)).status_code == 403


async def filled(database_url: str, rows: int) -> asyncpg.Connection:
    connection = await asyncpg.connect(database_url)
    for number in range(rows):
        await audit(
            connection, Actor("system", "test"), Action.FACILITY_UPDATED, f"facility:{number}", after={"n": "é"}
        )
    return connection


async def test_processes_that_write_at_once_make_one_chain(database_url: str) -> None:
    connections = [await filled(database_url, 0) for _ in range(8)]

    async def write(connection: asyncpg.Connection) -> None:
        for number in range(10):
            async with connection.transaction():
                await audit(
                    connection, Actor("user:1", "a"), Action.USER_UPDATED, f"user:{number}", after={"n": number}
                )

    await asyncio.gather(*(write(connection) for connection in connections))
    check = await verify(database_url, None)
    assert (check.rows, check.problem) == (80, None)
    for connection in connections:
        await connection.close()


TAMPERED = {
    "UPDATE audit_log SET entry = replace(entry, 'facility:3', 'facility:9') WHERE id = 4": 4,
    "UPDATE audit_log SET hash = sha256('x') WHERE id = 4": 4,
    "DELETE FROM audit_log WHERE id = 4": 4,
    "DELETE FROM audit_log WHERE id = 1": 1,
    "INSERT INTO audit_log VALUES (0, '{}', '')": 1,
    "INSERT INTO audit_log SELECT 11, entry, hash FROM audit_log WHERE id = 10": 11,
    "UPDATE audit_log SET id = 20 - id WHERE id IN (4, 16)": 4,
    "DELETE FROM audit_log WHERE id > 7": None,
    "TRUNCATE audit_log": None,
}


async def test_whatever_a_superuser_does_to_the_rows_is_found(database_url: str) -> None:
    connection = await filled(database_url, 10)
    good = await verify(database_url, None)
    assert (good.rows, good.problem, await verify(database_url, good.head)) == (10, None, good)
    refused = [statement for statement in TAMPERED if not statement.startswith("INSERT")]
    for statement in refused:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await connection.execute(f"SET session_replication_role = replica; {statement}")
    await connection.execute("SET session_replication_role = origin; CREATE TABLE kept AS TABLE audit_log")
    await connection.execute("ALTER TABLE audit_log DISABLE TRIGGER audit_log_append_only")
    for statement, row in TAMPERED.items():
        await connection.execute(statement)
        found = await verify(database_url, good.head)
        assert found.problem is not None, statement
        assert found.row == row, (statement, found)
        await connection.execute("TRUNCATE audit_log; INSERT INTO audit_log TABLE kept")
    assert await verify(database_url, good.head) == good
    await audit(connection, Actor("system", "test"), Action.USER_UPDATED, "user:1", after={"n": 1})
    assert (await verify(database_url, good.head)).problem is None  # it has grown since
    await connection.close()


async def test_an_entry_with_a_hash_that_fits_but_of_another_row_is_found(database_url: str) -> None:
    connection = await filled(database_url, 2)
    for forged in ('{"id":7,"at":"x"}', "no JSON"):
        await connection.execute(
            "INSERT INTO audit_log SELECT 3, $1, sha256(hash || convert_to($1, 'UTF8')) FROM audit_log WHERE id = 2",
            forged,
        )
        assert (await verify(database_url, None)).row == 3
        await connection.execute("ALTER TABLE audit_log DISABLE TRIGGER audit_log_append_only")
        await connection.execute("DELETE FROM audit_log WHERE id = 3")
    await connection.close()


async def test_a_chain_written_anew_is_told_by_the_head_that_was_kept(database_url: str) -> None:
    connection = await filled(database_url, 3)
    head = (await verify(database_url, None)).head
    await connection.execute("ALTER TABLE audit_log DISABLE TRIGGER audit_log_append_only; TRUNCATE audit_log")
    for number in range(3):
        await audit(connection, Actor("system", "forged"), Action.USER_UPDATED, f"user:{number}", after={"n": 1})
    await connection.close()
    assert (await verify(database_url, None)).problem is None
    assert "not in the chain" in str((await verify(database_url, head)).problem)


def gasinsight(database_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "engine.commands.cli.app", *arguments],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_the_command_says_whether_it_is_whole_and_ends_with_1_when_not(database_url: str, tmp_path: Path) -> None:
    connection = await filled(database_url, 3)
    words = ("audit", "verify", "--data-dir", str(tmp_path / "nowhere"))  # nothing is remembered
    run = await asyncio.to_thread(gasinsight, database_url, *words, "--json")
    told = json.loads(run.stdout)
    assert (run.returncode, told["whole"], told["rows"]) == (0, True, 3)
    shown = await asyncio.to_thread(gasinsight, database_url, "audit", "show", "--last", "2")
    assert [line.split()[0] for line in shown.stdout.splitlines()] == ["2", "3"]
    await connection.execute("ALTER TABLE audit_log DISABLE TRIGGER audit_log_append_only")
    await connection.execute("DELETE FROM audit_log WHERE id = 3")
    await connection.close()
    assert (await asyncio.to_thread(gasinsight, database_url, *words)).returncode == 0
    cut = await asyncio.to_thread(gasinsight, database_url, *words, "--expect-head", told["head"])
    assert (cut.returncode, "BROKEN" in cut.stdout) == (1, True)
    mistyped = await asyncio.to_thread(gasinsight, database_url, "audit", "verify", "--expect-head", "5f2c")
    assert (mistyped.returncode, "64 hexadecimal digits" in mistyped.stderr) == (2, True)


CUT: dict[str, str] = {
    "DELETE FROM audit_log WHERE id > 2": "has 2 rows without it: rows were cut off the end",
    "TRUNCATE audit_log": "has 0 rows without it: rows were cut off the end",
    "UPDATE audit_log SET hash = sha256('x') WHERE id = 3": "row 3 or its hash was changed",
}


@pytest.mark.parametrize(("statement", "said"), CUT.items())
async def test_a_log_that_was_cut_is_told_by_what_this_machine_remembers(
    database_url: str, tmp_path: Path, statement: str, said: str
) -> None:
    connection = await filled(database_url, 3)
    words = ("audit", "verify", "--data-dir", str(tmp_path))
    first = await asyncio.to_thread(gasinsight, database_url, *words)
    assert first.returncode == 0 and "No earlier head of this database is known here" in first.stdout
    assert (tmp_path / HEADS_NAME).stat().st_mode & 0o777 == 0o600
    grown = await asyncio.to_thread(gasinsight, database_url, *words)
    assert grown.returncode == 0 and "It continues what this machine remembers: 3 rows" in grown.stdout
    await connection.execute(f"ALTER TABLE audit_log DISABLE TRIGGER audit_log_append_only; {statement}")
    for _ in range(2):  # what is wrong is not remembered
        cut = await asyncio.to_thread(gasinsight, database_url, *words)
        assert cut.returncode == 1 and said in cut.stdout, cut.stdout
    await connection.close()


async def test_an_emptied_log_that_is_filled_anew_is_told_and_a_restore_that_is_meant_is_shown(
    database_url: str, tmp_path: Path
) -> None:
    connection = await filled(database_url, 3)
    words = ("audit", "verify", "--data-dir", str(tmp_path))
    await asyncio.to_thread(gasinsight, database_url, *words)
    await connection.execute("ALTER TABLE audit_log DISABLE TRIGGER audit_log_append_only; TRUNCATE audit_log")
    for number in range(4):
        await audit(connection, Actor("system", "forged"), Action.USER_UPDATED, f"user:{number}", after={"n": 1})
    await connection.close()
    anew = await asyncio.to_thread(gasinsight, database_url, *words)
    assert anew.returncode == 1 and "4 rows without it: everything was written anew, or an older backup" in anew.stdout
    await asyncio.to_thread(gasinsight, database_url, "db", "settle", "--data-dir", str(tmp_path))
    meant = await asyncio.to_thread(gasinsight, database_url, *words)
    assert meant.returncode == 0 and "A restore set it back from 3 rows, head " in meant.stdout
    again = json.loads((await asyncio.to_thread(gasinsight, database_url, *words, "--json")).stdout)
    assert again["whole"] and again["remembered_rows"] == 4 and again["set_back"].startswith("3 rows")


async def test_what_the_engine_remembers_it_compares(database_url: str, tmp_path: Path) -> None:
    connection = await filled(database_url, 2)
    head, problem = await newest(connection, None)
    assert (head.rows, problem) == (2, None)
    assert (await newest(connection, head))[1] is None
    await audit(connection, Actor("system", "test"), Action.USER_UPDATED, "user:1", after={"n": 1})
    grown, problem = await newest(connection, head)
    assert (grown.rows, problem) == (3, None)
    remember(tmp_path, database_url, grown)
    assert read_head(tmp_path, database_url) == grown
    assert read_head(tmp_path, database_url + "_other") is None
    if os.geteuid() == 0:
        os.chown(tmp_path, 12345, -1)
        remember(tmp_path, database_url, grown)
        assert (tmp_path / HEADS_NAME).stat().st_uid == 12345, "the engine of that account has to read it"
    await connection.execute("ALTER TABLE audit_log DISABLE TRIGGER audit_log_append_only; TRUNCATE audit_log")
    emptied, problem = await newest(connection, grown)
    assert emptied.rows == 0 and problem is not None and "rows were cut off the end" in problem
    await connection.close()
    (tmp_path / HEADS_NAME).write_text("[]")
    with pytest.raises(SettingsError, match="is damaged"):
        read_head(tmp_path, database_url)


async def test_an_empty_log_is_whole(database_url: str) -> None:
    assert await verify(database_url, None) == ChainCheck(0, "00" * 32)
    assert (await verify(database_url, "00" * 32)).problem is None
