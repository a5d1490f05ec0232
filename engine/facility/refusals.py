"""Good messages that find no place, as dead letters: told once for each body, completed on their queue."""

from __future__ import annotations

from engine.messages import body_of
from engine.model import REFUSED, DeadLetter, EntityMessage, FacilitySetup


def refused_message(message: EntityMessage, reason: str, detail: str) -> DeadLetter:
    """The dead letter of a setup, an activation or a deactivation."""
    body = body_of(message)
    sensor_id = "" if isinstance(message, FacilitySetup) else message.sensor_id
    return DeadLetter(REFUSED, "", reason, detail, body, message.facility_id, sensor_id, (REFUSED, reason, body))
