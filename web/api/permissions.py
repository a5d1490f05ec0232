"""Permissions: which facility a User may view or edit."""

from __future__ import annotations

from typing import Any

import asyncpg
from pydantic import BaseModel, Field

from web.audit import Action, audit
from web.auth.guard import Need, user_principal
from web.contract.declare import Noun
from web.contract.shapes import NewPermission, Permission
from web.errors import NotFound
from web.serving.call import Call
from web.serving.lists import Part, Source, each, listed
from web.serving.routes import INT4_MAX
from web.serving.rows import Rows

noun = Noun("permissions", "Who may view and edit which facility")

LIST_OF_USER = """
SELECT id, user_id, facility_id, permission_type, granted_at
  FROM permissions
 WHERE user_id = $1 AND id > $2
 ORDER BY id
OFFSET $3 LIMIT $4
"""
LIST_OF_FACILITY = """
SELECT id, user_id, facility_id, permission_type, granted_at
  FROM permissions
 WHERE facility_id = $1 AND id > $2
 ORDER BY id
OFFSET $3 LIMIT $4
"""
OF_USER = Source(LIST_OF_USER, "SELECT count(*) FROM permissions WHERE user_id = $1", ("id",), (0,))
OF_FACILITY = Source(LIST_OF_FACILITY, "SELECT count(*) FROM permissions WHERE facility_id = $1", ("id",), (0,))
LOCK_USER = "SELECT id FROM users WHERE id = $1 FOR NO KEY UPDATE"  # grants to one user take turns
READ_TYPE = "SELECT permission_type FROM permissions WHERE user_id = $1 AND facility_id = $2"
PUT_PERMISSION = """
INSERT INTO permissions (user_id, facility_id, permission_type)
VALUES ($1, $2, $3)
ON CONFLICT (user_id, facility_id) DO UPDATE SET permission_type = EXCLUDED.permission_type, granted_at = now()
RETURNING id, user_id, facility_id, permission_type, granted_at
"""
DELETE_PERMISSION = """
DELETE FROM permissions WHERE id = $1 RETURNING id, user_id, facility_id, permission_type, granted_at
"""


class PermissionQuery(BaseModel):
    user_id: int | None = Field(None, ge=-(2**31), lt=2**31, description="wins over facility_id")
    facility_id: str | None = None


@noun.get("/permissions", Need.ADMIN, list[Permission], statuses=(401, 403, 422), is_list=True)
async def list_permissions(call: Call, query: PermissionQuery) -> Rows:
    """Of one user or of one facility, always all; neither: none."""
    shape = each(lambda row: Permission(**row))
    if query.user_id is not None or query.facility_id is None:
        return await listed(call, OF_USER, (query.user_id,), Part(), shape)
    return await listed(call, OF_FACILITY, (query.facility_id,), Part(), shape)


@noun.post("/permissions", Need.ADMIN, Permission, statuses=(401, 403, 404, 422))
async def grant_permission(call: Call, body: NewPermission) -> Permission:
    """Replaces the user's present permission for the facility."""
    try:
        async with call.database.transaction() as connection:
            if abs(body.user_id) > INT4_MAX or await connection.fetchval(LOCK_USER, body.user_id) is None:
                raise NotFound("User")
            old_type = await connection.fetchval(READ_TYPE, body.user_id, body.facility_id)
            row = await connection.fetchrow(PUT_PERMISSION, body.user_id, body.facility_id, body.permission_type)
            before = None if old_type is None else {**_kept(row), "permission_type": old_type}
            subject = user_principal(body.user_id)
            await audit(connection, call.actor, Action.PERMISSION_GRANTED, subject, before=before, after=_kept(row))
    except asyncpg.ForeignKeyViolationError as error:
        raise NotFound("Facility") from error
    return Permission(**row)


@noun.delete("/permissions/{permission_id}", Need.ADMIN, Permission, statuses=(401, 403, 404, 422))
async def revoke_permission(call: Call, permission_id: int) -> Permission:
    """Open websockets that rest on it are closed within 5 s."""
    async with call.database.transaction() as connection:
        row = await connection.fetchrow(DELETE_PERMISSION, permission_id)
        if row is None:
            raise NotFound("Permission")
        subject = user_principal(row["user_id"])
        await audit(connection, call.actor, Action.PERMISSION_REVOKED, subject, before=_kept(row))
    return Permission(**row)


def _kept(row: Any) -> dict[str, Any]:
    """Of a permission, for the audit log."""
    return {"facility_id": row["facility_id"], "permission_type": row["permission_type"]}
