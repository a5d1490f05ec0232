"""Who changed what, from where: one row for each change, written in the change's own transaction, as its last step.

The rows form a chain of hashes that `gasinsight audit verify` checks. Writers take turns from here to their commit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

SYSTEM = "system"
NEVER_KEPT = frozenset({"password", "hashed_password", "secret", "token", "token_hash", "key", "key_hash"})

APPEND = "SELECT audit_append($1)"


class Action(StrEnum):
    """Everything that is written down. The name says what happened to the subject."""

    USER_CREATED = "user.created"
    USER_UPDATED = "user.updated"
    USER_DELETED = "user.deleted"
    NAME_NOT_HELD = "name.not_held"
    USER_IMPERSONATED = "user.impersonated"
    PASSWORD_CHANGED = "password.changed"  # noqa: S105 - the name of an event
    SESSIONS_ENDED = "sessions.ended"
    REFRESH_REUSED = "refresh.reused"
    REFRESH_FOLLOWED = "refresh.followed"
    PERMISSION_GRANTED = "permission.granted"
    PERMISSION_REVOKED = "permission.revoked"
    FACILITY_UPDATED = "facility.updated"
    FACILITY_RETIRED = "facility.retired"
    FACILITY_REMOVED = "facility.removed"
    SENSOR_UPDATED = "sensor.updated"
    SENSOR_RETIRED = "sensor.retired"
    SENSOR_REMOVED = "sensor.removed"
    DETECTION_UPDATED = "detection.updated"
    ALARM_COMMANDED = "alarm.commanded"
    RULES_UPDATED = "rules.updated"
    RULES_PLANNED = "rules.planned"
    RULES_WITHDRAWN = "rules.withdrawn"
    SHIFT_NOTED = "shift.noted"
    GROUPS_UPDATED = "groups.updated"
    KEY_CREATED = "key.created"
    KEY_REVOKED = "key.revoked"
    CHANNEL_CREATED = "notification_channel.created"
    CHANNEL_UPDATED = "notification_channel.updated"
    CHANNEL_DELETED = "notification_channel.deleted"
    CHANNEL_TESTED = "notification_channel.tested"
    SUBSCRIPTION_CREATED = "notification_subscription.created"
    SUBSCRIPTION_UPDATED = "notification_subscription.updated"
    SUBSCRIPTION_DELETED = "notification_subscription.deleted"
    EXPORT_CREATED = "export.created"
    REPLAY_CREATED = "replay.created"
    INPUT_REDRIVEN = "input.redriven"
    INPUT_DELETED = "input.deleted"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it. `impersonated_by`: principal of the Admin behind it; `address`: where the request came from."""

    principal: str
    name: str
    impersonated_by: str | None = None
    address: str | None = None


async def audit(
    connection: Any,
    actor: Actor,
    action: Action,
    subject: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write one row. `subject` is a kind and an id (`user:5`, `sensor:abc`); `before` and `after` hold what changed.

    `connection` is in the transaction of the change; call this last, because nobody else writes until it ends.
    """
    if secrets := NEVER_KEPT & {*(before or {}), *(after or {})}:
        raise ValueError(f"{', '.join(secrets)} do not belong into the audit log: say that it changed, not what it is")
    fields = {
        "action": action,
        "actor": actor.principal,
        "actor_name": actor.name,
        "address": actor.address,
        "after": after,
        "before": before,
        "impersonated_by": actor.impersonated_by,
        "subject": subject,
    }
    await connection.fetchval(APPEND, json.dumps(fields, separators=(",", ":"), sort_keys=True, default=str))


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What differs: as it was, and as it is now."""
    names = [name for name in after if before.get(name) != after[name]]
    return {name: before.get(name) for name in names}, {name: after[name] for name in names}
