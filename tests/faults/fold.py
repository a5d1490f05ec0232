"""What the database must hold: the committed log entries of a facility folded, in their order, through a fresh core
and a model of the tables in plain Python. Written from the design, not from the historian's SQL.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from engine.model import LogEntry
from native import FacilityCore
from tests.fakes.copy_rows import StoredRow, copied_rows


class Event(NamedTuple):
    """The columns of `alarm_events` that a log decides (ids and recorded times are the database's own)."""

    alarm_key: str
    transition: str
    event_time_us: int
    rule_version: int
    sensor_no: int | None
    rule: str
    priority: str
    alert_type: str
    value: float | None
    limit: float | None
    score: float | None
    message: str
    late: bool
    actor: str
    reason: str


class Standing(NamedTuple):
    """An alarm that is not normal, as the core has it and as the table `alarms` shows it; 0: it was never active."""

    active: bool
    acknowledged: bool
    suppression: str
    until_us: int | None
    latched: bool
    since_us: int
    assignee: str | None


@dataclass(slots=True)
class Folded:
    """`states[n]` is the core's snapshot after commit n, kept for the commits that were asked for and the last."""

    readings: dict[tuple[int, int], StoredRow] = field(default_factory=dict)
    conflicts: set[tuple[int, int, bytes | None, str | None]] = field(default_factory=set)
    events: dict[tuple[str, str, int, int], Event] = field(default_factory=dict)
    unknown: set[tuple[str, int]] = field(default_factory=set)
    states: dict[int, bytes] = field(default_factory=dict)
    alarms: dict[str, Standing] = field(default_factory=dict)

    def state(self) -> bytes:
        """After the last entry."""
        return self.states[max(self.states)]


def fold(
    facility_id: str, settings_json: str, commits: Iterable[Sequence[LogEntry]], states_of: Container[int] = ()
) -> Folded:
    """Apply the entries of each commit in their order to an empty facility. Snapshots are large: say which you need."""
    core = FacilityCore(facility_id, settings_json)
    tables = Folded()
    last = 0
    for entries in commits:
        for entry in entries:
            effects = core.apply(entry.kind.value, entry.payload)
            for event in effects.events:
                if event.only_if_stored is None or tuple(event.only_if_stored) not in tables.readings:
                    _journal(tables, event)
            for row in copied_rows(effects.copy_rows):
                _store(tables, row)
            tables.unknown.update((sensor_id, tracked_at_us) for sensor_id, tracked_at_us, _ in effects.unknown)
            last = entry.commit_no
            if last in states_of:
                tables.states[last] = core.snapshot()
    tables.states[last] = core.snapshot()
    tables.alarms = {
        alarm.alarm_key: Standing(**{name: getattr(alarm, name) for name in Standing._fields})
        for alarm in core.alarms()
    }
    return tables


def _store(tables: Folded, row: StoredRow) -> None:
    """The first reading of a moment stays; the same value again is nothing new, another one is a conflict."""
    first = tables.readings.setdefault((row.sensor_no, row.tracked_at_us), row)
    if (first.value_bits, first.text_value) != (row.value_bits, row.text_value):
        tables.conflicts.add((row.sensor_no, row.tracked_at_us, row.value_bits, row.text_value))


def _journal(tables: Folded, event: object) -> None:
    """A transition of an alarm at a moment under a rule version is journaled once."""
    taken = {name: getattr(event, name) for name in Event._fields}
    row = Event(**{**taken, "alert_type": str(taken["alert_type"])})
    tables.events.setdefault((row.alarm_key, row.transition, row.event_time_us, row.rule_version), row)
