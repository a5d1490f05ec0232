"""Users: everybody reads oneself, Admins manage all."""

from __future__ import annotations

from typing import Any

import asyncpg

from web.audit import Action, audit, changes
from web.auth.guard import Need, user_principal
from web.auth.names import hold_names, take_turn
from web.auth.password_line import Asker
from web.auth.passwords import check_new_password
from web.auth.sessions import end_all_sessions
from web.contract.declare import Noun
from web.contract.shapes import NewUser, Paging, User, UserChanges, UserPage
from web.errors import HttpRefusal, NotFound
from web.serving.call import Call
from web.serving.lists import Part, Source, each, listed
from web.serving.rows import Rows

noun = Noun("users", "Who may sign in")

READ_USER = "SELECT id, username, email, created_at, last_login, role FROM users WHERE id = $1"
LIST_USERS = """
SELECT id, username, email, created_at, last_login, role
  FROM users
 WHERE (username, id) > ($1, $2)
 ORDER BY username, id
OFFSET $3 LIMIT $4
"""
USERS = Source(LIST_USERS, "SELECT count(*) FROM users", ("username", "id"), ("", 0))
INSERT_USER = """
INSERT INTO users (username, email, hashed_password, role)
VALUES ($1, $2, $3, $4)
RETURNING id, username, email, created_at, last_login, role
"""
LOCK_USER = READ_USER + " FOR UPDATE"
UPDATE_USER = """
UPDATE users SET username = coalesce($2, username), email = coalesce($3, email), role = coalesce($4, role)
 WHERE id = $1
RETURNING id, username, email, created_at, last_login, role
"""
DELETE_USER = "DELETE FROM users WHERE id = $1 RETURNING id, username, email, created_at, last_login, role"
READ_PERMISSIONS = """
SELECT facility_id, permission_type FROM permissions WHERE user_id = $1 ORDER BY facility_id
"""
LOCK_ADMINS = "SELECT id FROM users WHERE role = 'Admin' ORDER BY id FOR UPDATE"


@noun.get("/users/me", Need.PERSON, User, statuses=(401,))
async def read_me(call: Call) -> User:
    """Whose token this is."""
    return await _user(call, call.person.user_id)


@noun.get("/users", Need.ADMIN, UserPage, statuses=(401, 403, 422), is_list=True)
async def list_users(call: Call, query: Paging) -> Rows:
    """By user name; `skip` and `limit`, or `page` and `page_size`."""
    return await listed(call, USERS, (), Part.of(call, query), each(lambda row: User(**row)), rows_in="users")


@noun.post("/users", Need.ADMIN, User, statuses=(400, 401, 403, 422))
async def create_user(call: Call, body: NewUser) -> User:
    """400 if the e-mail address or the user name is taken."""
    check_new_password(call.services.settings, "password", body.password, body.username, body.email)
    hashed = await call.services.passwords.hash(body.password, Asker.of(call.browser.address, body.email))
    await call.services.names.settle()
    try:
        async with call.database.transaction() as connection:
            await take_turn(connection)
            row = await connection.fetchrow(INSERT_USER, body.username, body.email, hashed, body.role)
            await hold_names(connection, row["id"], {"Email": body.email, "Username": body.username})
            subject = user_principal(row["id"])
            await audit(connection, call.actor, Action.USER_CREATED, subject, after=_kept(row))
    except asyncpg.UniqueViolationError as error:
        raise _taken(error) from error
    return User(**row)


@noun.get("/users/{user_id}", Need.ADMIN, User, statuses=(401, 403, 404, 422))
async def read_user(call: Call, user_id: int) -> User:
    """One user."""
    return await _user(call, user_id)


@noun.put("/users/{user_id}", Need.ADMIN, User, statuses=(400, 401, 403, 404, 422))
async def update_user(call: Call, user_id: int, body: UserChanges) -> User:
    """A new password ends all of the user's sessions. The last Admin stays one."""
    hashed = None
    if body.password is not None:
        user = await _user(call, user_id)
        names = (user.username, user.email, body.username, body.email)
        check_new_password(call.services.settings, "password", body.password, *names)
        hashed = await call.services.passwords.hash(body.password, Asker.of(call.browser.address, user.email))
    await call.services.names.settle()
    try:
        async with call.database.transaction() as connection:
            await take_turn(connection)
            if body.role == "User":
                await _keep_an_admin(connection, user_id)
            old = _present(await connection.fetchrow(LOCK_USER, user_id))
            # The role last: who gives up one's own may change nothing after that.
            await _hold_changed_names(connection, old, body)
            if hashed is not None:
                await end_all_sessions(connection, user_id, hashed)
            row = await connection.fetchrow(UPDATE_USER, user_id, body.username, body.email, body.role)
            before, after = changes(_kept(old), _kept(row))
            if hashed is not None:
                after["password_changed"] = True
            if after:
                subject = user_principal(user_id)
                await audit(connection, call.actor, Action.USER_UPDATED, subject, before=before, after=after)
    except asyncpg.UniqueViolationError as error:
        raise _taken(error) from error
    return User(**row)


@noun.delete("/users/{user_id}", Need.ADMIN, User, statuses=(400, 401, 403, 404, 422))
async def delete_user(call: Call, user_id: int) -> User:
    """With the user's permissions and sessions. Deleting yourself is refused."""
    if user_id == call.person.user_id:
        raise HttpRefusal(400, "You cannot delete yourself")
    async with call.database.transaction() as connection:
        await _keep_an_admin(connection, user_id)
        permissions = await connection.fetch(READ_PERMISSIONS, user_id)
        row = _present(await connection.fetchrow(DELETE_USER, user_id))
        before = {**_kept(row), "permissions": [dict(each) for each in permissions]}
        await audit(connection, call.actor, Action.USER_DELETED, user_principal(user_id), before=before)
    return User(**row)


async def _keep_an_admin(connection: Any, user_id: int) -> None:
    """Admins who demote or delete each other at the same moment take turns here."""
    admins = [row["id"] for row in await connection.fetch(LOCK_ADMINS)]
    if admins == [user_id]:
        raise HttpRefusal(400, "This is the last Admin")


async def _hold_changed_names(connection: Any, old: Any, body: UserChanges) -> None:
    given = {"Email": (old["email"], body.email), "Username": (old["username"], body.username)}
    new = {what: now for what, (before, now) in given.items() if now is not None and now != before}
    if new:
        kept = tuple(before for what, (before, _) in given.items() if what not in new)
        await hold_names(connection, old["id"], new, kept)


async def _user(call: Call, user_id: int) -> User:
    return User(**_present(await call.database.row(READ_USER, user_id)))


def _kept(row: Any) -> dict[str, Any]:
    """Of a user, for the audit log."""
    return {"username": row["username"], "email": row["email"], "role": row["role"]}


def _present(row: Any | None) -> Any:
    if row is None:
        raise NotFound("User")
    return row


def _taken(error: asyncpg.UniqueViolationError) -> HttpRefusal:
    what = "Email" if "email" in (error.constraint_name or "") else "Username"
    return HttpRefusal(400, f"{what} already registered")
