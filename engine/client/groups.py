"""What several sensors of a facility are judged by together: votes and the like, and what is suppressed by design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from engine.client.asking import Asking, Part, quoted
from engine.client.group_shapes import FacilityGroups
from engine.client.rule_shapes import GroupsThen
from engine.client.rules import VERSIONS, because, of_moment


class Groups:
    """Of one client, as `gis.groups`. To look needs View, to change Edit. A group and a rest are as in the JSON of
    docs/alarm-rules.md.
    """

    def __init__(self, client: Asking) -> None:
        self._client = client

    async def of_facility(self, facility_id: str, *, at: datetime | None = None) -> FacilityGroups:
        """As they are; or were `at` a moment."""
        return await self._client.get(FacilityGroups, _of_facility(facility_id), **of_moment(at))

    async def history(self, facility_id: str, *, skip: int = 0, limit: int = VERSIONS) -> Part[GroupsThen]:
        """Versions of all of a facility's, the newest first."""
        path = f"/group-history/facility/{quoted(facility_id)}"
        return await self._client.part(GroupsThen, path, skip=skip, limit=limit)

    async def set_for_facility(
        self,
        facility_id: str,
        groups: Sequence[Mapping[str, Any]] = (),
        rests: Sequence[Mapping[str, Any]] = (),
        *,
        reason: str | None = None,
    ) -> FacilityGroups:
        """In the place of all that were set before; what is not named ends. Unusable says what cannot be."""
        body = {"groups": [*map(_unnumbered, groups)], "rests": [*map(dict, rests)], **because(reason)}
        return await self._client.send(FacilityGroups, "PUT", _of_facility(facility_id), body)


def _unnumbered(group: Mapping[str, Any]) -> dict[str, Any]:
    """A group as the server gave it may be sent back: its number goes with its name."""
    return {name: value for name, value in group.items() if name != "no"}


def _of_facility(facility_id: str) -> str:
    return f"/groups/facility/{quoted(facility_id)}"
