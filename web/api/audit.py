"""The audit log, for Admins to read. Nothing writes it over REST but the changes themselves."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, Field

from web.auth.guard import Need
from web.contract.declare import Noun
from web.contract.shapes import Paging
from web.serving.call import Call
from web.serving.lists import AFTER_ALL_IDS, Part, Source, each, listed
from web.serving.rows import Rows
from web.wire.csv import Table

noun = Noun("audit", "Who changed what")

LIST_ENTRIES = "SELECT id, entry, hash FROM audit_log WHERE id < $1 ORDER BY id DESC OFFSET $2 LIMIT $3"
ENTRIES = Source(LIST_ENTRIES, "SELECT count(*) FROM audit_log", ("id",), (AFTER_ALL_IDS,))

COLUMNS = (
    "id", "at", "action", "actor", "actor_name", "impersonated_by", "address", "subject", "before", "after", "hash"
)  # fmt: skip
TABLE = Table(COLUMNS)


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


@noun.get("/audit", Need.ADMIN, AuditPage, statuses=(401, 403, 422), table=TABLE, is_list=True)
async def list_audit_entries(call: Call, query: Paging) -> Rows:
    """Newest first; `skip` and `limit`, or `page` and `page_size`. As CSV without any of them all."""
    return await listed(call, ENTRIES, (), Part.of(call, query), each(_entry), rows_in="entries")


def _entry(row: Any) -> AuditEntry:
    return AuditEntry(**json.loads(row["entry"]), hash=row["hash"].hex())
