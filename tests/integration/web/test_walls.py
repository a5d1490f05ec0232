"""The second wall: with the guard removed on purpose, PostgreSQL still shows and changes no foreign row."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio

from engine.errors import StoreUnavailable
from engine.historian.connection import prepare_connection
from engine.historian.partitions import make_day, partition_name
from engine.historian.schema import metadata
from engine.historian.web_role import MAKE_WEB_ROLE, problem_with_roles
from migrations import upgrade
from tests.integration.web.access_matrix import Case, Walker, cases
from tests.integration.web.harness import (
    CHEAP,
    PAST,
    HeldFeed,
    Web,
    serving,
    settings_for,
    until_answered,
    web_server,
)
from web.api.facilities import FACILITIES
from web.app import create_app
from web.auth.guard import Guard, Person, Program
from web.auth.passwords import Passwords
from web.database import Database
from web.errors import NotPermitted

pytestmark = pytest.mark.postgres
MARK = "FOREIGN-SECRET"
FOREIGN_VALUE = 77.0625
LIMITED = "gasinsight_limited_owner"

# What a User with a right in `own` alone sees of each table, as a whole; of a table that is not named here, nothing.
REFUSED = "refused"
SEEN: dict[str, Any] = {
    "facilities": 1,
    "sensors": 1,
    "locations": 2,
    "sensor_records": 1,
    "reading_rollups": 1,
    "reading_conflicts": 1,
    "alarm_events": 1,
    "alarms": 1,
    "detection_settings": 2,
    "detection_versions": 2,
    "sensor_rules": 2,
    "planned_rules": 2,
    "facility_groups": 1,
    "alarm_commands": 1,
    "shift_notes": 1,
    "replays": 0,
    "replay_parts": 0,
    "parked": 0,
    "dead_letters": 0,
    "redrives": 0,
    "audit_log": 0,
    "permissions": 1,
    "sign_in_names": 0,
    "notification_subscriptions": 0,
    "notification_messages": 0,
    "api_key_grants": 0,
}
FILL = """
UPDATE locations SET address = '{mark}'
 WHERE id IN (SELECT location_id FROM facilities WHERE id = 'foreign'
               UNION SELECT location_id FROM sensors WHERE facility_id = 'foreign');
INSERT INTO sensor_records SELECT sensor_no, now() - interval '1 hour', {value}, NULL, 0, 0 FROM sensors;
INSERT INTO reading_rollups (sensor_no, width_s, bucket, n, readings, good) SELECT sensor_no, 60, now(), 1, 1, 1
  FROM sensors;
INSERT INTO reading_conflicts (sensor_no, tracked_at, digest, recorded_at) SELECT sensor_no, now(), '', now()
  FROM sensors;
INSERT INTO alarms SELECT id, 'high', NULL, 'high', true, false, '', false, 'high', now(), 1 FROM facilities;
INSERT INTO detection_settings (facility_id, sensor_type, budget_days)
SELECT id, 'Temperature', {value} FROM facilities;
INSERT INTO detection_settings (facility_id, sensor_id, is_on) SELECT facility_id, id, true FROM sensors;
INSERT INTO sensor_rules (facility_id, sensor_type, settings, set_by, set_by_name)
SELECT id, 'Temperature', '{{}}', 'user:1', 'admin' FROM facilities;
INSERT INTO sensor_rules (facility_id, sensor_id, settings, set_by, set_by_name)
SELECT facility_id, id, '{{}}', 'user:1', 'admin' FROM sensors;
INSERT INTO planned_rules (facility_id, sensor_type, settings, effective_from, set_by, set_by_name)
SELECT id, 'Temperature', '{{}}', now() + interval '1 day', 'user:1', 'admin' FROM facilities;
INSERT INTO planned_rules (facility_id, sensor_id, settings, effective_from, set_by, set_by_name)
SELECT facility_id, id, '{{}}', now() + interval '1 day', 'user:1', 'admin' FROM sensors;
INSERT INTO facility_groups (facility_id, settings, set_by, set_by_name)
SELECT id, '{{}}', 'user:1', 'admin' FROM facilities;
INSERT INTO alarm_commands (command_id, facility_id, alarm_key, command, asked_at, actor, actor_name, reason, state,
    refusal)
SELECT id, id, 'high', 'comment', now(), 'user:1', 'admin', '{mark}', 'done', '' FROM facilities;
INSERT INTO shift_notes (facility_id, author, author_name, note) SELECT id, 'user:1', 'admin', '{mark}' FROM facilities;
INSERT INTO replays (id, asked_by, asked_by_name, facility_ids, wanted, expires_at)
SELECT id, 'user:1', '{mark}', ARRAY[id], '{{"from_us": 0, "until_us": 1, "basis": "then", "proposals": []}}',
    now() + interval '1 day' FROM facilities;
INSERT INTO replay_parts (replay_id, place, facility_id, problem) SELECT id, 1, id, '{mark}' FROM facilities;
INSERT INTO parked (kind, facility_id, sensor_id, body, reason, digest, parked_at)
SELECT 'reading', id, '', '{mark}', '{mark}', id::bytea, now() FROM facilities;
INSERT INTO dead_letters (source, queue, reason, detail, body, facility_id, sensor_id, recorded_at)
SELECT 'q', 'q', '{mark}', '{mark}', '{mark}', id, '', now() FROM facilities;
INSERT INTO redrives (redrive_id, origin, kind, source, queue, reason, detail, facility_id, sensor_id, body, asked_by,
    asked_by_name)
SELECT '{mark}', 'parked', 'data', 'parked', '', '{mark}', '{mark}', id, '', '{mark}', 'user:1', 'admin'
  FROM facilities;
INSERT INTO users (username, email, hashed_password, role) VALUES ('{mark}', '{mark}@x', '{mark}', 'User');
INSERT INTO permissions (user_id, facility_id, permission_type)
SELECT id, 'foreign', 'Edit' FROM users WHERE username = '{mark}'
"""


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        for facility_id, name in (("own", "Own"), ("foreign", MARK)):
            await running.facility(facility_id, name)
            sensor_no = await running.sensor(f"{facility_id} sensor", facility_id)
            await running.database.execute(
                """WITH place AS (INSERT INTO locations (longitude, latitude) VALUES (1, 2) RETURNING id)
                   UPDATE sensors SET name = $2, location_id = place.id FROM place WHERE sensor_no = $1""",
                sensor_no,
                name,
            )
            await running.alert(facility_id, sensor_no, name)
        await running.database.execute(FILL.format(mark=MARK, value=FOREIGN_VALUE))
        await running.database.execute(
            "UPDATE sensor_records SET value = 1 FROM sensors s WHERE s.sensor_no = sensor_records.sensor_no"
            " AND s.facility_id = 'own'"
        )
        await running.api_key(MARK, ("foreign", "Edit"))
        yield running


@pytest.fixture
def no_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody is an Admin to the web server, and every facility admits everybody."""

    async def admit(self: Guard, caller: Any, need: Any, sql: str, wanted_ids: set[str], what: str) -> list[str]:
        return [wanted_id.removesuffix(" sensor") for wanted_id in wanted_ids]

    monkeypatch.setattr(Guard, "_require", admit)
    for kind in (Person, Program):
        monkeypatch.setattr(kind, "is_admin", property(lambda self: True))


class Burglar(Walker):
    """Asks everything about the foreign facility, and keeps what is answered."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.said: dict[str, tuple[int, str]] = {}
        self.done: list[str] = []

    async def new_key(self) -> int:
        key_id: int = await self.web.database.fetchval("SELECT id FROM api_keys WHERE name = $1", MARK)
        return key_id

    async def new_planned(self, place: str) -> int:
        return int(await self.web.database.fetchval("SELECT min(id) FROM planned_rules WHERE facility_id = 'foreign'"))

    async def new_user(self) -> int:
        user_id: int = await self.web.database.fetchval("SELECT id FROM users WHERE username = $1", MARK)
        return user_id

    async def new_permission(self) -> int:
        return int(await self.web.database.fetchval("SELECT id FROM permissions WHERE facility_id = 'foreign'"))

    async def ask(
        self, case: Case, operation: dict[str, Any], path: str, query: dict[str, Any], token: str | None, is_known: bool
    ) -> str | int:
        answer = await self.web.client.request(
            case.method,
            path,
            headers={"Authorization": f"Bearer {token}"},
            params={**query, "latest": "true"} if path == "/sensors" else query,
            **self.body(operation, case.place),
        )
        self.said[f"{case.caller}: {case.route}"] = (answer.status_code, answer.text)
        if case.method != "GET" and case.need in {"Admin", "Edit"} and answer.status_code == 200:
            self.done.append(f"{case.caller}: {case.route}")
        return answer.status_code


FOR_EVERYBODY = {"/ws/notifications", "/ws/alarms"}
"""Sockets that whoever signed in may open, and that tell of what they may view."""
STORED = (
    "facilities",
    "sensors",
    "locations",
    "parked",
    "redrives",
    "alarms",
    "detection_settings",
    "sensor_rules",
    "planned_rules",
)


async def stored(web: Web) -> dict[str, set[str]]:
    """Every row that a request could change and that is not one of the walker's own, as text."""
    queries = {
        **{name: f"SELECT * FROM {name}" for name in STORED},
        "dead_letters": f"SELECT * FROM dead_letters WHERE reason = '{MARK}'",  # beside those that the walker plants
        "permissions": "SELECT * FROM permissions WHERE facility_id = 'foreign' OR user_id = 1",
        "api_keys": f"SELECT name, expires_at, revoked_at FROM api_keys WHERE name = '{MARK}'",
        "api_key_grants": "SELECT * FROM api_key_grants WHERE facility_id = 'foreign'",
    }
    rows = {name: {str(row) for row in await web.database.fetch(query)} for name, query in queries.items()}
    users = await web.database.fetch("SELECT username, email, hashed_password, role, sessions_valid_from FROM users")
    return {**rows, "users": {str(row) for row in users if row["username"] in {MARK, "admin"}}}


async def test_without_the_guard_no_route_shows_or_changes_a_foreign_row(web: Web, no_guard: None) -> None:
    document = (await web.client.get("/openapi.json")).json()
    burglar = Burglar(web, document, "")
    burglar.admin = await web.admin()
    thieves = ("user without right", "View", "Edit", "key to edit")
    for caller in thieves:
        burglar.tokens[caller] = await burglar.new_token(caller)
    before = await stored(web)
    opened = []
    matrix = list(cases(document))
    names_facility = {case.route for case, _ in matrix if case.place == "foreign"}
    for case, operation in matrix:
        if case.caller in thieves and case.place == ("foreign" if case.route in names_facility else "own"):
            found = await burglar.outcome(case, operation)
            if case.method.startswith("WS") and found != 403 and case.path not in FOR_EVERYBODY:
                opened.append(f"{case.route} by {case.caller}")
    assert len(burglar.said) > 100
    shown = [f"{route}: {text[:300]}" for route, (_, text) in burglar.said.items() if MARK in text]
    assert not shown, "\n".join(shown)
    assert not [route for route, (_, text) in burglar.said.items() if str(FOREIGN_VALUE) in text]
    failed = {route: said for route, said in burglar.said.items() if said[0] >= 500 and "readyz" not in route}
    assert not failed
    assert not opened
    assert not burglar.done
    after = await stored(web)
    assert {name for name in before if before[name] != after[name]} == set()
    assert await web.database.fetchval("SELECT count(*) FROM users WHERE username LIKE 'new%'") == 0


async def test_the_guard_really_was_what_refused(web: Web) -> None:
    """The same walk with the guard in place is refused there: what the test above removes exists."""
    _, viewer, _ = await web.user("viewer", ("own", "View"))
    assert (await web.client.get("/facilities/foreign", headers=viewer)).status_code == 403
    assert (await web.client.get("/parked", headers=viewer)).status_code == 403


@pytest_asyncio.fixture
async def database(web: Web) -> AsyncIterator[Database]:
    opened = Database(web.settings.database_url or "", 2, 5.0)
    await opened.open()
    yield opened
    await opened.close()


async def test_each_table_shows_a_user_only_what_is_said_here(web: Web, database: Database) -> None:
    user_id, _, _ = await web.user("viewer", ("own", "View"))
    viewer = database.bound_to(f"user:{user_id}", read_only=True)
    nobody = database.bound_to(None, read_only=True)
    found: dict[str, Any] = {}
    for name in metadata.tables:
        try:
            found[name] = len(await viewer.rows(f"SELECT * FROM {name}"))
            assert await nobody.rows(f"SELECT * FROM {name}") == [], name
        except NotPermitted:
            found[name] = REFUSED
    assert found == {name: SEEN.get(name, REFUSED) for name in metadata.tables}
    assert await viewer.rows("SELECT DISTINCT principal FROM facility_rights") == [(f"user:{user_id}",)]
    assert [row["id"] for row in await viewer.rows("SELECT id FROM users")] == [user_id]
    for column in ("users.hashed_password", "api_keys.secret_hash", "refresh_tokens.token_hash"):
        table, name = column.split(".")
        with pytest.raises(NotPermitted):
            await database.bound_to("user:1", read_only=True).rows(f"SELECT {name} FROM {table}")


async def test_a_view_does_not_edit_and_an_edit_does_not_give_away(web: Web, database: Database) -> None:
    viewer_id, _, _ = await web.user("viewer", ("own", "View"))
    editor_id, _, _ = await web.user("editor", ("own", "Edit"))
    rename = "UPDATE facilities SET name = 'x' RETURNING id"
    assert await database.bound_to(f"user:{viewer_id}", read_only=False).rows(rename) == []
    editor = database.bound_to(f"user:{editor_id}", read_only=False)
    assert await editor.rows(rename) == [("own",)]
    silence = "UPDATE detection_settings SET is_on = false RETURNING facility_id"
    assert await database.bound_to(f"user:{viewer_id}", read_only=False).rows(silence) == []
    assert {row["facility_id"] for row in await editor.rows(silence)} == {"own"}
    await editor.execute("DELETE FROM detection_settings")  # of which it sees its own
    assert await web.database.fetchval("SELECT count(*) FROM detection_settings") == 2
    assert await editor.rows("UPDATE users SET role = 'Admin' RETURNING id") == []
    assert await editor.rows("UPDATE permissions SET permission_type = 'Edit' RETURNING id") == []
    for stolen in (
        "UPDATE sensors SET facility_id = 'own'",
        f"INSERT INTO permissions (user_id, facility_id, permission_type) VALUES ({editor_id}, 'foreign', 'Edit')",
        "INSERT INTO users (username, email, hashed_password, role) VALUES ('a', 'b', 'c', 'Admin')",
        "INSERT INTO detection_settings (facility_id, sensor_type, is_on) VALUES ('foreign', 'Flow', false)",
        "INSERT INTO detection_settings (facility_id, sensor_id, is_on) VALUES ('own', 'foreign sensor', false)",
        "UPDATE detection_versions SET set_by = 'user:1'",
        "DELETE FROM sensor_records",
        "UPDATE audit_log SET entry = ''",
        "INSERT INTO audit_log VALUES (1, '', '')",
        "CREATE TABLE mine (id int)",
    ):
        with pytest.raises(NotPermitted):
            await editor.execute(stolen)


async def test_to_name_a_foreign_sensor_shows_nothing_of_it(web: Web, database: Database) -> None:
    user_id, _, _ = await web.user("viewer", ("own", "View"))
    numbers = dict(await web.database.fetch("SELECT facility_id, sensor_no FROM sensors"))
    for named in numbers.values():
        async with database.bound_to(f"user:{user_id}", read_only=True).transaction() as connection:
            await connection.execute(f"SET LOCAL gasinsight.sensor = {named}")
            for table in ("sensor_records", "reading_rollups", "reading_conflicts"):
                found = await connection.fetch(f"SELECT sensor_no FROM {table}")
                assert [row["sensor_no"] for row in found] == [numbers["own"]], table


async def test_what_a_get_does_cannot_write(web: Web, database: Database) -> None:
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await database.bound_to("user:1", read_only=True).execute("UPDATE facilities SET name = 'x'")


async def test_a_principal_is_a_kind_and_a_number(web: Web, database: Database) -> None:
    for wrong in ("user:1'; RESET ROLE; --", "user:", "1", "user:1 ", "User:1", "user:1\n"):
        with pytest.raises(ValueError, match="principal"):
            database.bound_to(wrong, read_only=True)


async def test_nothing_of_a_caller_stays_on_the_connection(web: Web) -> None:
    single = Database(web.settings.database_url or "", 1, 5.0)
    await single.open()
    try:
        now = "SELECT current_user::text || ' ' || coalesce(current_setting('gasinsight.principal', true), '')"
        owner = await single.value(now)
        assert await single.bound_to("user:1", read_only=True).value(now) == "gasinsight_web user:1"
        assert await single.value(now) == owner
        with pytest.raises(asyncpg.DivisionByZeroError):
            await single.bound_to("user:1", read_only=False).value("SELECT 1 / 0")
        assert await single.value(now) == owner
        asking = asyncio.create_task(single.bound_to("user:1", read_only=False).value("SELECT pg_sleep(20)"))
        await asyncio.sleep(0.2)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await single.value(now) == owner
    finally:
        await single.close()


async def test_a_partition_made_later_is_behind_the_wall_too(web: Web, database: Database) -> None:
    user_id, _, _ = await web.user("viewer", ("own", "View"))
    later = datetime.now(UTC) + timedelta(days=30)
    engine = await asyncpg.connect(web.settings.database_url)
    await prepare_connection(engine)
    await make_day(engine, later.date())
    await engine.close()
    await web.database.execute("INSERT INTO sensor_records SELECT sensor_no, $1, 3, NULL, 0, 0 FROM sensors", later)
    viewer = database.bound_to(f"user:{user_id}", read_only=True)
    assert len(await viewer.rows("SELECT * FROM sensor_records WHERE tracked_at = $1", later)) == 1
    for partition in (partition_name(later.date()), "sensor_records_default"):
        with pytest.raises(NotPermitted):
            await viewer.rows(f"SELECT * FROM {partition}")


async def test_the_policy_on_readings_asks_once_a_statement(web: Web, database: Database) -> None:
    user_id, _, _ = await web.user("viewer", ("own", "View"))
    plan = await database.bound_to(f"user:{user_id}", read_only=True).rows(
        "EXPLAIN (VERBOSE) SELECT avg(value) FROM sensor_records WHERE sensor_no = 1 AND tracked_at > $1", PAST
    )
    filters = [line for (line,) in plan if "Filter:" in line and "sensor_no" in line]
    assert filters
    assert all("hashed SubPlan" in line and "caller_" not in line for line in filters), filters


async def test_a_statement_that_takes_too_long_is_a_503_in_json(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = "SELECT pg_sleep(30), $1::bool, $2::text, $3::text, $4::text, $5::int8, $6::int8"
    monkeypatch.setattr("web.api.facilities.FACILITIES", replace(FACILITIES, read=slow))
    async with web_server(database_url, tmp_path, statement_timeout_s=0.5) as web:
        answer = await web.client.get("/facilities", headers=await web.admin())
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/json")
        assert "longer" in answer.json()["detail"]
        assert (await web.client.get("/users/me", headers=await web.admin())).status_code == 200


async def test_an_owner_without_the_right_to_make_roles_is_told_what_to_do(postgres_url: str, tmp_path: Path) -> None:
    """Managed PostgreSQL: the user of DATABASE_URL owns the database and nothing else."""
    boss = await asyncpg.connect(postgres_url)
    await boss.execute(f"CREATE ROLE {LIMITED} LOGIN PASSWORD 'limited'")
    await boss.execute(f"CREATE DATABASE of_limited_owner OWNER {LIMITED}")
    host = postgres_url.rpartition("@")[2].partition("/")[0]
    url = f"postgresql://{LIMITED}:limited@{host}/of_limited_owner"
    try:
        with pytest.raises(Exception, match=f"GRANT gasinsight_web TO {LIMITED}"):
            await asyncio.to_thread(upgrade.upgrade, url)
        await boss.execute(MAKE_WEB_ROLE)
        await boss.execute(f"GRANT gasinsight_web TO {LIMITED}")
        await asyncio.to_thread(upgrade.upgrade, url)
        async with web_server(url, tmp_path) as web:
            await web.facility("own")
            _, viewer, _ = await web.user("viewer", ("own", "View"))
            assert len((await web.client.get("/facilities", headers=viewer)).json()) == 1
            assert await problem_with_roles(url) is None
            await boss.execute(f"REVOKE gasinsight_web FROM {LIMITED}")
            found, advice = await problem_with_roles(url) or ("", "")
            assert ("no member" in found, f"GRANT gasinsight_web TO {LIMITED}" in advice) == (True, True)
            refused = await web.client.get("/facilities", headers=viewer)
            assert refused.status_code == 503
        limited = Database(url, 1, 5.0)
        await limited.open()
        with pytest.raises(StoreUnavailable, match="GRANT gasinsight_web TO"):
            await limited.bound_to("user:1", read_only=True).value("SELECT 1")
        await limited.close()
        app = create_app(settings_for(url, tmp_path), HeldFeed(), passwords=Passwords(CHEAP))
        async with serving(app) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            waiting = await client.get("/readyz", params={"part": "web"})
            assert (waiting.status_code, "GRANT gasinsight_web TO" in waiting.json()["detail"]) == (503, True)
            await boss.execute(f"GRANT gasinsight_web TO {LIMITED}")
            await until_answered(f"{client.base_url}/readyz?part=web")
    finally:
        await boss.execute("DROP DATABASE of_limited_owner WITH (FORCE)")
        await boss.execute(f"DROP ROLE {LIMITED}")
        await boss.close()
