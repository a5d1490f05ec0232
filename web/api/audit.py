"""The audit log, for Admins to read. Nothing writes it over REST but the changes themselves."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, Field

from web.auth.guard import Need
from web.contract.declare import Noun
from web.contract.shapes import Paging
from web.serving.call import Call
from web.wire.csv import Table

noun = Noun("audit", "Who changed what")

LIST_ENTRIES = "SELECT entry, hash FROM audit_log ORDER BY id DESC OFFSET $1 LIMIT $2"
COUNT_ENTRIES = "SELECT count(*) FROM audit_log"

COLUMNS = (
    "id", "at", "action", "actor", "actor_name", "impersonated_by", "address", "subject", "before", "after", "hash"
)  # fmt: skip
TABLE = Table(COLUMNS, rows_in="entries")


class AuditEntry(BaseModel):
    """One change. `before` and `after` hold what differs, never a secret."""

    id: int
    at: str = Field(description="UTC")
    action: str = Field(description="what happened, such as `user.created`")
    actor: str = Field(description="`user:` or `key:` and its id, or `system`")
    actor_name: str
    impersonated_by: str | None = Field(description="the Admin who acted as this user")
    address: str | None = Field(description="where the request came from")
    subject: str = Field(description="what was changed: a kind and an id, such as `user:5`")
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    hash: str = Field(description="SHA-256 over the hash of the entry before and this entry")


class AuditPage(BaseModel):
    entries: list[AuditEntry]
    total: int


@noun.get("/audit", Need.ADMIN, AuditPage, statuses=(401, 403, 422), table=TABLE)
async def list_audit_entries(call: Call, query: Paging) -> AuditPage:
    """Newest first; `skip` and `limit`, or `page` and `page_size`."""
    rows = await call.database.rows(LIST_ENTRIES, query.offset, query.rows_max)
    total = await call.database.value(COUNT_ENTRIES)
    entries = [AuditEntry(**json.loads(row["entry"]), hash=row["hash"].hex()) for row in rows]
    return AuditPage(entries=entries, total=total)
