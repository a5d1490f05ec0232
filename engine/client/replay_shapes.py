"""Replays and what came of them, as frozen values; see shapes.py."""

from __future__ import annotations

from typing import Any

from engine.client.shapes import Shape, Time


class Replay(Shape):
    """How far it is. `state`: queued, running, done, failed or cancelled; `progress`: from 0 to 1."""

    id: str
    facility_ids: list[str]
    start_date: Time
    end_date: Time
    settings: str
    proposals: list[dict[str, Any]]
    state: str
    progress: float
    readings: int
    asked_by: str
    asked_by_name: str
    created_at: Time
    ended_at: Time | None
    expires_at: Time

    @property
    def has_ended(self) -> bool:
        return self.state not in {"queued", "running"}


class Replays(Shape):
    replays: list[Replay]
    total: int


class AlarmDifferences(Shape):
    """Beginnings of alarms: the same on both sides, or not."""

    same: int
    added: int
    removed: int
    earlier: int
    later: int
    changed: int


class RowDifferences(Shape):
    """Other rows of the journal."""

    same: int
    added: int
    removed: int
    changed: int


class FrequentAlarm(Shape):
    alarm_id: str
    alarms: int


class ReplayFigures(Shape):
    """Alarms that people were told of."""

    alarms: int
    by_priority: dict[str, int]
    most_frequent: list[FrequentAlarm]


class ReplayDifference(Shape):
    """`kind`: added, removed, earlier, later or changed; `seconds`: how much later it is told now."""

    kind: str
    is_alarm: bool
    alarm_id: str
    sensor_id: str | None
    rule: str
    transition: str
    priority: str
    message: str
    stored_at: Time | None
    replayed_at: Time | None
    seconds: float | None
    fields: list[str]


class ReplayResult(Shape):
    """What came of one facility. `differences` are the first of `differences_total`."""

    judged_from: Time | None
    judged_until: Time
    is_same: bool
    readings: int
    alarms: AlarmDifferences
    others: RowDifferences
    before: ReplayFigures
    after: ReplayFigures
    remarks: list[str]
    checksum: str
    differences_total: int
    differences: list[ReplayDifference]


class ReplayPart(Shape):
    """One facility; `problem` says why it failed."""

    facility_id: str
    state: str
    progress: float
    readings: int
    problem: str | None
    result: ReplayResult | None


class ReplayWithResults(Replay):
    """What is of all facilities together is None until all are done."""

    is_same: bool | None
    alarms: AlarmDifferences | None
    checksum: str | None
    parts: list[ReplayPart]
