"""A row of the journal, the same from the table and from the core, so that two can be held against each other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from engine.model import AlarmEvent

BEGINNINGS: Final = frozenset({"activated", "activated_silently", "late_exceedance", "past_excursion"})

Key = tuple[str, str, int, int]
"""What the journal tells rows of a facility apart by: alarm, transition, event time, version of the rules."""


@dataclass(frozen=True, slots=True)
class Told:
    alarm_key: str
    sensor_no: int | None
    rule: str
    rule_version: int
    transition: str
    event_time_us: int
    priority: str
    alert_type: str
    value: float | None
    limit: float | None
    score: float | None
    message: str
    explanation: Mapping[str, Any]
    late: bool
    actor: str
    reason: str
    command_id: str | None

    @property
    def key(self) -> Key:
        return self.alarm_key, self.transition, self.event_time_us, self.rule_version

    @property
    def begins(self) -> bool:
        """Whether an alarm begins with it, told to people or not."""
        return self.transition in BEGINNINGS

    def unlike(self, other: Told) -> tuple[str, ...]:
        """Names of the fields that differ."""
        return tuple(each.name for each in fields(self) if getattr(self, each.name) != getattr(other, each.name))

    def canonical(self) -> bytes:
        """Equal rows give equal bytes."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()


_OF_THE_EVENT: Final = [each.name for each in fields(Told) if each.name not in {"explanation", "alert_type"}]


def of_event(event: AlarmEvent) -> Told:
    """As the core told it."""
    said = {name: getattr(event, name) for name in _OF_THE_EVENT}
    return Told(**said, alert_type=event.alert_type.value, explanation=json.loads(event.explanation_json))


def of_row(row: Mapping[str, Any]) -> Told:
    """As the journal has it; see `replay_journal`."""
    columns = {"event_time_us": "event_time", "limit": "limit_value"}
    said = {name: row[columns.get(name, name)] for name in _OF_THE_EVENT}
    return Told(**said, alert_type=row["alert_type"], explanation=json.loads(row["explanation"]))
