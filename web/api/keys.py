"""API keys of programs and notebooks: Admins make, list and revoke them."""

from __future__ import annotations

from typing import Any

import asyncpg

from web.audit import Action, audit
from web.auth.guard import Need, key_principal
from web.auth.keys import new_key
from web.contract.declare import Noun
from web.contract.key_shapes import NEW_KEY_BYTES_MAX, ApiKey, ApiKeyPage, KeyGrant, NewApiKey, ShownApiKey
from web.contract.shapes import Paging
from web.errors import NotFound
from web.serving.call import Call
from web.serving.lists import Part, Source, each, listed
from web.serving.rows import Rows

noun = Noun("api keys", "How programs call: send the key as `Authorization: Bearer`")

INSERT_KEY = """
INSERT INTO api_keys (public_id, secret_hash, name, created_by, created_by_name, expires_at)
VALUES ($1, $2, $3, $4, $5, now() + make_interval(days => $6))
RETURNING id
"""
INSERT_GRANTS = """
INSERT INTO api_key_grants (api_key_id, facility_id, permission_type)
SELECT $1, * FROM unnest($2::text[], $3::text[])
"""
SELECT_KEYS = """
SELECT k.id, k.public_id, k.name, k.created_at, k.created_by, k.created_by_name, k.expires_at, k.revoked_at,
       k.last_used_at,
       CASE WHEN k.revoked_at IS NOT NULL THEN 'Revoked' WHEN k.expires_at <= now() THEN 'Expired' ELSE 'Active' END
           AS status,
       array(SELECT (g.facility_id, g.permission_type) FROM api_key_grants g
              WHERE g.api_key_id = k.id ORDER BY g.facility_id) AS grants
  FROM api_keys k
"""
LIST_KEYS = SELECT_KEYS + " WHERE (k.name, k.id) > ($1, $2) ORDER BY k.name, k.id OFFSET $3 LIMIT $4"
READ_KEY = SELECT_KEYS + " WHERE k.id = $1"
KEYS = Source(LIST_KEYS, "SELECT count(*) FROM api_keys", ("name", "id"), ("", 0))
REVOKE_KEY = "UPDATE api_keys SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL RETURNING id"


@noun.post("/api-keys", Need.ADMIN, ShownApiKey, statuses=(404,), body_bytes_max=NEW_KEY_BYTES_MAX)
async def create_api_key(call: Call, body: NewApiKey) -> ShownApiKey:
    """`key` is in this answer and nowhere else: the server keeps only a hash of it."""
    key, maker = new_key(), call.person
    try:
        async with call.database.transaction() as connection:
            key_id = await connection.fetchval(
                INSERT_KEY, key.public_id, key.secret_hash, body.name, maker.user_id, maker.name, body.days
            )
            await connection.execute(
                INSERT_GRANTS,
                key_id,
                [grant.facility_id for grant in body.facilities],
                [grant.permission_type for grant in body.facilities],
            )
            fields = _fields(await connection.fetchrow(READ_KEY, key_id))
            await audit(connection, call.actor, Action.KEY_CREATED, key_principal(key_id), after=_kept(fields))
    except asyncpg.ForeignKeyViolationError as error:
        raise NotFound("Facility") from error
    return ShownApiKey(**fields, key=key.text)


@noun.get("/api-keys", Need.ADMIN, ApiKeyPage, is_list=True)
async def list_api_keys(call: Call, query: Paging) -> Rows:
    """By name, with those that ended; `skip` and `limit`, or `page` and `page_size`."""
    shape = each(lambda row: ApiKey(**_fields(row)))
    return await listed(call, KEYS, (), Part.of(call, query), shape, rows_in="api_keys")


@noun.get("/api-keys/{key_id}", Need.ADMIN, ApiKey, statuses=(404,))
async def read_api_key(call: Call, key_id: int) -> ApiKey:
    """One key, without its secret."""
    return ApiKey(**_fields(await call.database.row(READ_KEY, key_id)))


@noun.delete("/api-keys/{key_id}", Need.ADMIN, ApiKey, statuses=(404,))
async def revoke_api_key(call: Call, key_id: int) -> ApiKey:
    """At once, for good, and its open websockets close. What it was stays in the list."""
    async with call.database.transaction() as connection:
        is_changed = await connection.fetchval(REVOKE_KEY, key_id) is not None
        fields = _fields(await connection.fetchrow(READ_KEY, key_id))
        if is_changed:
            await audit(connection, call.actor, Action.KEY_REVOKED, key_principal(key_id), before=_kept(fields))
    return ApiKey(**fields)


def _kept(fields: dict[str, Any]) -> dict[str, Any]:
    """What the audit log keeps."""
    grants = {grant.facility_id: grant.permission_type for grant in fields["facilities"]}
    return {"name": fields["name"], "public_id": fields["public_id"], "facilities": grants}


def _fields(row: Any | None) -> dict[str, Any]:
    if row is None:
        raise NotFound("Key")
    fields = dict(row)
    grants = fields.pop("grants")
    fields["facilities"] = [KeyGrant(facility_id=grant[0], permission_type=grant[1]) for grant in grants]
    return fields
