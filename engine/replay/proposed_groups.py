"""What sensors would be judged by together if it were proposed today: in the place of the groups that are set now."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import native
from engine.replay.proposing import SetNow
from engine.replay.values import Proposal, ReplayRefused

FIRST_NUMBER: Final = 2_000_000_000
"""Of groups that are only proposed: no sensor and no group that there ever was has such a number."""
_NAMES_A_SENSOR: Final = frozenset({"sensor_id", "commanded", "reported"})


def with_groups(now: SetNow, proposals: Iterable[Proposal]) -> SetNow:
    """As it would be with the last groups that are proposed for the facility; a name keeps the number that it has.

    Raises ReplayRefused with the core's sentence for what it refuses.
    """
    proposed = [each.groups for each in proposals if each.groups is not None and each.facility_id == now.facility_id]
    if not proposed:
        return now
    groups = _numbered(proposed[-1], now.group_numbers)
    for sensor_id in _sensors(groups):
        if sensor_id not in now.types:
            raise ReplayRefused(f"facility {now.facility_id!r} has no sensor {sensor_id!r} to be in a group")
    try:
        native.check_groups(json.dumps(groups))
    except ValueError as error:
        raise ReplayRefused(str(error)) from error
    numbers = {group["no"] for group in groups.get("groups", ())}
    return replace(now, groups=groups, numbers=now.numbers | numbers)


def _numbered(said: Mapping[str, Any], known: Mapping[str, int]) -> dict[str, Any]:
    groups = said.get("groups", [])
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        raise ReplayRefused("groups are a list of objects")
    free = iter(range(FIRST_NUMBER, FIRST_NUMBER + len(groups)))
    numbered = []
    for group in groups:
        number = known.get(str(group.get("name"))) or next(free)
        numbered.append({**{name: value for name, value in group.items() if value != []}, "no": number})
    return {name: value for name, value in {**said, "groups": numbered}.items() if value}


def _sensors(said: object, name: str = "") -> Iterator[str]:
    if isinstance(said, dict):
        for inner_name, inner in said.items():
            yield from _sensors(inner, inner_name)
    elif isinstance(said, list):
        for inner in said:
            yield from _sensors(inner)
    elif name in _NAMES_A_SENSOR and isinstance(said, str):
        yield said
