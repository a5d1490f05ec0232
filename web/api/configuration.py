"""How the engine learns that a facility or a sensor of it was changed over REST: a notification with the commit."""

from __future__ import annotations

TELL_ENGINE = "SELECT pg_notify('facility_config', $1)"
"""$1: the facility's id. Its owner loads it again."""
