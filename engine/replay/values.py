"""What is asked of a replay and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from engine.errors import GasInSightError
from engine.facility.payloads import iso_utc

DIFFERENCES_MAX: Final = 100_000
"""Of one facility: rows that are on one side only wait in memory for those of the other side."""


def moment_text(time_us: int) -> str:
    """UTC, as people and programs read it in a result."""
    return iso_utc(time_us)


class ReplayRefused(GasInSightError):
    """What is asked for cannot be replayed; says why in words."""


class Basis(StrEnum):
    """THEN: every configuration as it was when it was. TODAY: the settings of now, for the whole period."""

    THEN = "then"
    TODAY = "today"


@dataclass(frozen=True, slots=True)
class Period:
    """Steps that were committed from `from_us` on and before `until_us`, whatever the times of their readings."""

    from_us: int
    until_us: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """For a sensor, or for a type of a facility's sensors: bodies as they are PUT to /rules/… and /detection/…; or for
    a facility, as it is PUT to /groups/facility/….

    `rules` and `groups` replace what is set there, `detection` changes what it names; None: as it is today.
    """

    facility_id: str | None = None
    sensor_id: str | None = None
    sensor_type: str | None = None
    rules: Mapping[str, Any] | None = None
    detection: Mapping[str, Any] | None = None
    groups: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Proposals are laid over what is set today; with any, `basis` is TODAY."""

    period: Period
    basis: Basis = Basis.THEN
    proposals: tuple[Proposal, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """One alarm, or another row of the journal, that is not the same on both sides.

    kind        added, removed, earlier, later or changed (same moment, other content: `fields`)
    is_alarm    a beginning of an alarm; else what follows one (a return, an acknowledgement)
    seconds     how much later it is told now; negative: earlier
    """

    kind: str
    is_alarm: bool
    alarm_key: str
    rule: str
    transition: str
    priority: str
    message: str
    stored_us: int | None
    replayed_us: int | None
    fields: tuple[str, ...] = ()

    @property
    def seconds(self) -> float | None:
        if self.stored_us is None or self.replayed_us is None:
            return None
        return (self.replayed_us - self.stored_us) / 1e6


@dataclass(frozen=True, slots=True)
class Figures:
    """Alarms that people were told of, in the whole period."""

    alarms: int
    by_priority: Mapping[str, int]
    most_frequent: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class FacilityResult:
    """What came of one facility.

    judged_from_us   None: nothing of the period can be replayed
    begun_us         where the replay began, to have the state of then; None: at the facility's very beginning
    alarms, others   rows by kind (same, added, …): beginnings of alarms, and what follows them
    remarks          what could not be judged, and why, in sentences
    checksum         of everything that the core told and of the differences, in order
    """

    facility_id: str
    judged_from_us: int | None
    judged_until_us: int
    begun_us: int | None
    readings: int
    entries: int
    alarms: Mapping[str, int]
    others: Mapping[str, int]
    before: Figures
    after: Figures
    remarks: tuple[str, ...]
    checksum: str
    differences: tuple[Difference, ...] = field(repr=False)

    @property
    def is_same(self) -> bool:
        """Row by row, of all that could be judged."""
        return self.judged_from_us is not None and not self.differences
