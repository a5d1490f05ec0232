"""Input that waits or was given up, and what became of what was redriven, as frozen values; see shapes.py."""

from __future__ import annotations

from typing import Literal

from engine.client.shapes import Shape, Time

Origin = Literal["dead_letters", "parked"]


class DeadLetter(Shape):
    """Input that will never take effect by itself. `body`: at least the beginning of it."""

    id: int
    source: str
    queue: str | None
    reason: str
    detail: str
    body: str
    facility_id: str | None
    sensor_id: str | None
    recorded_at: Time


class DeadLetterWhole(DeadLetter):
    """`content`: all that is kept of what came, text or base64; `redriven_as`: None where it cannot be redriven."""

    content: str
    encoding: str
    is_whole: bool
    redriven_as: str | None


class DeadLetterPage(Shape):
    dead_letters: list[DeadLetter]
    total: int


class Parked(Shape):
    """Input that waits for its facility or sensor."""

    id: int
    kind: str
    facility_id: str | None
    sensor_id: str | None
    tracked_at: Time | None
    body: str
    reason: str
    parked_at: Time


class ParkedPage(Shape):
    parked: list[Parked]
    total: int


class Left(Shape):
    """`why`: does not fit (the filter), gone, not whole or unknown queue."""

    id: int
    why: str


class Redriven(Shape):
    redrive_id: str
    taken: int
    left: list[Left]


class Discarded(Shape):
    deleted: int


class Redrive(Shape):
    """One row that was redriven. `state`: waiting, done, parked or refused, the last two for `outcome`."""

    id: int
    redrive_id: str
    origin: str
    kind: str
    source: str
    queue: str | None
    reason: str
    facility_id: str | None
    sensor_id: str | None
    state: str
    outcome: str
    asked_by: str
    asked_by_name: str
    asked_at: Time
    ended_at: Time | None


class RedrivePage(Shape):
    redrives: list[Redrive]
    total: int
