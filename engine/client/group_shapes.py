"""What several sensors of a facility are judged by together, as frozen values; see shapes.py."""

from __future__ import annotations

from typing import Any

from engine.client.shapes import Shape, Time


class GroupsVersion(Shape):
    """What was set once, and by whom; the newest holds."""

    version: int
    set_at: Time
    set_by: str
    set_by_name: str
    settings: dict[str, Any]


class FacilityGroups(Shape):
    """`groups` and `rests` are as in docs/alarm-rules.md; a group's alarms have the ids `{no}:vote` and so on."""

    facility_id: str
    groups: list[dict[str, Any]]
    rests: list[dict[str, Any]]
    versions: list[GroupsVersion]
