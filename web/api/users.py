"""Users: everybody reads oneself, Admins manage all."""

from __future__ import annotations

from typing import Any

import asyncpg

from web.auth.guard import Need
from web.declare import Call, Noun
from web.errors import HttpRefusal, NotFound
from web.shapes import NewUser, Paging, User, UserChanges, UserPage

noun = Noun("users", "Who may sign in")

READ_USER = "SELECT id, username, email, created_at, last_login, role FROM users WHERE id = $1"
LIST_USERS = """
SELECT id, username, email, created_at, last_login, role
  FROM users
 ORDER BY username, id
OFFSET $1 LIMIT $2
"""
COUNT_USERS = "SELECT count(*) FROM users"
INSERT_USER = """
INSERT INTO users (username, email, hashed_password, role)
VALUES ($1, $2, $3, $4)
RETURNING id, username, email, created_at, last_login, role
"""
UPDATE_USER = """
UPDATE users
   SET username = coalesce($2, username),
       email = coalesce($3, email),
       role = coalesce($4, role),
       hashed_password = coalesce($5, hashed_password),
       sessions_valid_from = CASE WHEN $5::text IS NULL THEN sessions_valid_from ELSE clock_timestamp() END
 WHERE id = $1
RETURNING id, username, email, created_at, last_login, role
"""
REVOKE_TOKENS = "UPDATE refresh_tokens SET revoked_at = now() WHERE user_id = $1 AND revoked_at IS NULL"
DELETE_USER = "DELETE FROM users WHERE id = $1 RETURNING id, username, email, created_at, last_login, role"
LOCK_ADMINS = "SELECT id FROM users WHERE role = 'Admin' ORDER BY id FOR UPDATE"


@noun.get("/users/me", Need.USER, User, statuses=(401,))
async def read_me(call: Call) -> User:
    """Whose token this is."""
    return await _user(call, call.caller.user_id)


@noun.get("/users", Need.ADMIN, UserPage, statuses=(401, 403, 422))
async def list_users(call: Call, query: Paging) -> UserPage:
    """By user name; `skip` and `limit`, or `page` and `page_size`."""
    rows = await call.services.database.rows(LIST_USERS, query.offset, query.rows_max)
    total = await call.services.database.value(COUNT_USERS)
    return UserPage(users=[User(**row) for row in rows], total=total)


@noun.post("/users", Need.ADMIN, User, statuses=(400, 401, 403, 422))
async def create_user(call: Call, body: NewUser) -> User:
    """400 if the e-mail address or the user name is taken."""
    hashed = await call.services.passwords.hash(body.password)
    try:
        row = await call.services.database.row(INSERT_USER, body.username, body.email, hashed, body.role)
    except asyncpg.UniqueViolationError as error:
        raise _taken(error) from error
    return User(**_present(row))


@noun.get("/users/{user_id}", Need.ADMIN, User, statuses=(401, 403, 404, 422))
async def read_user(call: Call, user_id: int) -> User:
    """One user."""
    return await _user(call, user_id)


@noun.put("/users/{user_id}", Need.ADMIN, User, statuses=(400, 401, 403, 404, 422))
async def update_user(call: Call, user_id: int, body: UserChanges) -> User:
    """A new password ends all of the user's sessions. The last Admin stays one."""
    hashed = None if body.password is None else await call.services.passwords.hash(body.password)
    try:
        async with call.services.database.transaction() as connection:
            if body.role == "User":
                admins = [row["id"] for row in await connection.fetch(LOCK_ADMINS)]
                if admins == [user_id]:
                    raise HttpRefusal(400, "This is the last Admin")
            row = await connection.fetchrow(UPDATE_USER, user_id, body.username, body.email, body.role, hashed)
            if row is not None and hashed is not None:
                await connection.execute(REVOKE_TOKENS, user_id)
    except asyncpg.UniqueViolationError as error:
        raise _taken(error) from error
    return User(**_present(row))


@noun.delete("/users/{user_id}", Need.ADMIN, User, statuses=(400, 401, 403, 404, 422))
async def delete_user(call: Call, user_id: int) -> User:
    """With the user's permissions and sessions. Deleting yourself is refused."""
    if user_id == call.caller.user_id:
        raise HttpRefusal(400, "You cannot delete yourself")
    return User(**_present(await call.services.database.row(DELETE_USER, user_id)))


async def _user(call: Call, user_id: int) -> User:
    return User(**_present(await call.services.database.row(READ_USER, user_id)))


def _present(row: Any | None) -> Any:
    if row is None:
        raise NotFound("User")
    return row


def _taken(error: asyncpg.UniqueViolationError) -> HttpRefusal:
    what = "Email" if "email" in (error.constraint_name or "") else "Username"
    return HttpRefusal(400, f"{what} already registered")
