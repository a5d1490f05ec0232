"""The journal's rows of a range as lives: when each alarm was told, stood, returned and was acknowledged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

LOOK_BACK: Final = timedelta(hours=1)
"""How long before a range is looked for a flood that reaches into it."""
ROWS_MAX: Final = 500_000
"""Of the journal, for one range; some seconds of work."""

_OF_FACILITIES = """
       ($1 OR {0}.facility_id IN (SELECT facility_id FROM facility_rights WHERE principal = $2))
   AND (cardinality($3::text[]) = 0 OR {0}.facility_id = ANY($3::text[]))
"""
_LAST = """(
    SELECT max(e.event_time) FROM alarm_events e
     WHERE e.facility_id = a.facility_id AND e.alarm_key = a.alarm_key AND e.transition = '{}'
       AND e.event_time < $4::timestamptz AND NOT e.late)"""
# What stood at the beginning began before it, with the first row after the last return: each alarm's are looked up by
# themselves, which costs as many probes as there are alarms, however long the journal is. Late rows tell of the past
# and move nothing; of them only the summaries are counted.
READ = f"""
WITH latest AS MATERIALIZED (
    SELECT a.facility_id, a.alarm_key, {_LAST.format("returned")} AS returned_at,
           greatest({_LAST.format("activated")}, {_LAST.format("activated_silently")}) AS begun_at
      FROM alarms a
     WHERE {_OF_FACILITIES.format("a")}
), told AS (
    SELECT e.facility_id, e.alarm_key, e.event_time, e.id, e.transition, e.priority
      FROM alarm_events e
     WHERE {_OF_FACILITIES.format("e")}
       AND e.event_time >= $4::timestamptz AND e.event_time <= $5::timestamptz
       AND (NOT e.late AND e.transition IN ('activated', 'activated_silently', 'returned', 'acknowledged', 're_alarmed')
            OR e.transition IN ('past_excursion', 'late_exceedance'))
    UNION ALL
    SELECT b.facility_id, b.alarm_key, b.event_time, b.id, b.transition, b.priority
      FROM latest l
     CROSS JOIN LATERAL (
           SELECT * FROM alarm_events e
            WHERE e.facility_id = l.facility_id AND e.alarm_key = l.alarm_key
              AND e.transition IN ('activated', 'activated_silently') AND NOT e.late
              AND e.event_time > coalesce(l.returned_at, '-infinity') AND e.event_time < $4::timestamptz
           OFFSET 0) b
     WHERE l.begun_at > coalesce(l.returned_at, '-infinity')
)
SELECT * FROM told
 ORDER BY facility_id COLLATE "C", alarm_key COLLATE "C", event_time, id
 LIMIT {ROWS_MAX + 1}
"""  # noqa: S608 - numbers only


@dataclass(slots=True)
class Standing:
    """From a beginning to its return. `is_told`: people heard of it; `is_own`: it began with that."""

    since: datetime
    is_told: bool
    is_own: bool
    until: datetime | None = None

    def end(self, otherwise: datetime) -> datetime:
        """When it returned, or that."""
        return self.until or otherwise


@dataclass(slots=True)
class Life:
    """Of one alarm.

    told            moments at which people were told, those of the hour before the range among them
    priorities      of each of those
    acknowledged    when each of those was, or None
    """

    facility_id: str
    alarm_id: str
    told: list[datetime] = field(default_factory=list)
    priorities: list[str] = field(default_factory=list)
    acknowledged: list[datetime | None] = field(default_factory=list)
    standings: list[Standing] = field(default_factory=list)
    silent: list[datetime] = field(default_factory=list)
    re_alarmed: list[datetime] = field(default_factory=list)
    past: list[datetime] = field(default_factory=list)

    def tell(self, row: Sequence[Any]) -> None:
        """What the next row says."""
        _, _, at, _, transition, priority = row
        standing = self.standings[-1] if self.standings and self.standings[-1].until is None else None
        match transition:
            case "activated":
                self.told.append(at)
                self.priorities.append(priority)
                self.acknowledged.append(None)
                if standing is None:
                    self.standings.append(Standing(at, is_told=True, is_own=True))
                else:
                    standing.is_told = True
            case "activated_silently":
                self.silent.append(at)
                if standing is None:
                    self.standings.append(Standing(at, is_told=False, is_own=False))
            case "returned" if standing is not None:
                standing.until = at
            case "acknowledged" if self.acknowledged and self.acknowledged[-1] is None:
                self.acknowledged[-1] = at
            case "re_alarmed":
                self.re_alarmed.append(at)
            case "past_excursion" | "late_exceedance":
                self.past.append(at)


def lives_of(rows: Iterable[Sequence[Any]]) -> list[Life]:
    """Of rows of READ, in its order."""
    lives = []
    for (facility_id, alarm_id), told in groupby(rows, key=itemgetter(0, 1)):
        life = Life(facility_id, alarm_id)
        for row in told:
            life.tell(row)
        lives.append(life)
    return lives
