"""From the lives of alarms to the figures of a range, each beside its target. docs/alarms.md says what each means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from math import ceil
from typing import Final

from web.contract.figure_shapes import (
    AlarmTally,
    Figures,
    FiguresOfDay,
    Flood,
    Load,
    Measure,
    Offender,
    Rolling,
    Spread,
)
from web.figures.floods import BEGINS_ABOVE, WINDOW, Seen, floods_of, most_at_once
from web.figures.lives import LOOK_BACK, Life, Standing
from web.wire.alarms import Priority

CHATTERS_AT: Final = 3
CHATTERS_WITHIN: Final = timedelta(minutes=1)
FLEETING: Final = timedelta(minutes=1)
"""What returns sooner is over before anybody can look."""
STALE: Final = timedelta(hours=24)
SHARES_OF_MIN: Final = 100
"""Fewer alarms have no shares that mean anything."""
OFFENDERS_MAX: Final = 10
FLOODS_MAX: Final = 20
ACCEPTABLE_IN_WINDOW: Final = 1.0
ONE_ALARM_A_DAY: Final = 1.0
"""The ten most frequent have at most a twentieth of about 150 a day, so that each has less than this."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Range:
    """By event time, both ends within."""

    start: datetime
    end: datetime

    def has(self, at: datetime) -> bool:
        return self.start <= at <= self.end

    def part(self, since: datetime, until: datetime) -> timedelta:
        """How much of that is in it."""
        return max(timedelta(), min(until, self.end) - max(since, self.start))


class _OfAlarm:
    """One alarm in a range."""

    def __init__(self, life: Life, within: Range) -> None:
        self.life = life
        self.within = within
        self.first = next((place for place, at in enumerate(life.told) if at >= within.start), len(life.told))
        self.told = life.told[self.first :]
        self.is_chattering = any(
            last - first <= CHATTERS_WITHIN
            for first, last in zip(self.told, self.told[CHATTERS_AT - 1 :], strict=False)
        )
        self.fleeting = sum(
            one.is_own and one.since >= within.start and one.until is not None and one.until - one.since < FLEETING
            for one in life.standings
        )

    @property
    def standing(self) -> timedelta:
        ends = self.within.end
        return sum((self.within.part(one.since, one.end(ends)) for one in self.life.standings), timedelta())

    def acknowledged_after(self) -> list[float]:
        """Seconds."""
        pairs = zip(self.told, self.life.acknowledged[self.first :], strict=True)
        return [(seen - at).total_seconds() for at, seen in pairs if seen is not None]

    def stood(self) -> list[float]:
        """Seconds, of what people were told of and returned in the range."""
        over = (one for one in self.life.standings if one.is_told and one.until is not None)
        return [(one.until - one.since).total_seconds() for one in over if one.until and one.until >= self.within.start]

    def stale(self) -> list[Standing]:
        """What people were told of and stood too long, at some moment of the range."""
        ends = self.within.end
        told = (one for one in self.life.standings if one.is_told)
        return [one for one in told if one.since + STALE < one.end(ends) and one.end(ends) >= self.within.start]


def figures_of(lives: Iterable[Life], within: Range, window: Rolling | None = None) -> Figures:
    """Of lives that reach LOOK_BACK before the range. Of the sensors of offenders nothing is known here."""
    alarms = [_OfAlarm(life, within) for life in lives]
    heard = sorted(at for alarm in alarms for at in alarm.life.told if at >= within.start - LOOK_BACK)
    floods = [flood for flood in floods_of(heard, within.end) if flood.ended is None or flood.ended > within.start]
    tally = _tally(alarms, within)
    days = _days(alarms, floods, within)
    standing = [alarm for alarm in alarms if any(one.until is None for one in alarm.stale())]
    standing.sort(key=lambda alarm: alarm.life.standings[-1].since)
    return Figures(
        window=window,
        start=within.start,
        end=within.end,
        tally=tally,
        measures=_measures(alarms, heard, floods, days, within),
        acknowledged_after=spread([seconds for alarm in alarms for seconds in alarm.acknowledged_after()]),
        stood=spread([seconds for alarm in alarms for seconds in alarm.stood()]),
        floods=_floods(floods, within),
        offenders=[_offender(alarm, tally.activations) for alarm in worst(alarms)[:OFFENDERS_MAX] if alarm.told],
        stale=[_offender(alarm, tally.activations) for alarm in standing[:OFFENDERS_MAX]],
        days=days,
    )


def bad_actors(lives: Iterable[Life], within: Range) -> list[Offender]:
    """Alarms that are not at their own target, who was heard most often first. Nothing is known here of their sensors.

    What was told once or twice is nobody's nuisance, however short it was.
    """
    alarms = [_OfAlarm(life, within) for life in lives]
    activations = sum(len(alarm.told) for alarm in alarms)
    often = [alarm for alarm in worst(alarms) if len(alarm.told) >= CHATTERS_AT]
    return [_offender(alarm, activations) for alarm in often if not meets_target(_load(alarm), within)]


def load_of(life: Life, within: Range) -> Load:
    """Of one alarm."""
    return _load(_OfAlarm(life, within))


def meets_target(load: Load, within: Range, true_events: int = 0) -> bool:
    """No chattering, nothing fleeting, and at most one a day beside those that are true."""
    many = max(1.0, ONE_ALARM_A_DAY * ((within.end - within.start) / _DAY))
    return not load.is_chattering and not load.fleeting and load.activations - true_events <= many


def worst(alarms: Iterable[_OfAlarm]) -> list[_OfAlarm]:
    """Who was heard most often first."""
    return sorted(alarms, key=lambda alarm: (-len(alarm.told), alarm.life.facility_id, alarm.life.alarm_id))


def _tally(alarms: Sequence[_OfAlarm], within: Range) -> AlarmTally:
    def count(name: str) -> int:
        return sum(within.has(at) for alarm in alarms for at in getattr(alarm.life, name))

    return AlarmTally(
        activations=sum(len(alarm.told) for alarm in alarms),
        silent=count("silent"),
        re_alarmed=count("re_alarmed"),
        past=count("past"),
        acknowledged=sum(len(alarm.acknowledged_after()) for alarm in alarms),
        returned=sum(len(alarm.stood()) for alarm in alarms),
    )


def _measures(
    alarms: Sequence[_OfAlarm],
    heard: Sequence[datetime],
    floods: Sequence[Seen],
    days: Sequence[FiguresOfDay],
    within: Range,
) -> list[Measure]:
    length = within.end - within.start
    activations = sum(len(alarm.told) for alarm in alarms)
    per_window = activations * (WINDOW / length) if length else None
    in_flood = sum(flood.seconds_in(within.start, within.end) for flood in floods)
    flood_share = in_flood / length.total_seconds() if length else None
    of_ten = sum(len(alarm.told) for alarm in worst(alarms)[:10])
    stale = max(day.stale for day in days)
    priorities = Counter(priority for alarm in alarms for priority in alarm.life.priorities[alarm.first :])
    chattering = sum(alarm.is_chattering for alarm in alarms)
    fleeting = sum(alarm.fleeting for alarm in alarms)
    at_once = most_at_once(heard, within.start)

    def share(name: str, part: int, target: str, most: float, least: float = 0.0) -> Measure:
        value = part / activations if activations else None
        met = None if value is None or activations < SHARES_OF_MIN else least <= value <= most
        return Measure(name=name, value=value, unit="of the activations", target=target, met=met)

    return [
        Measure(
            name="per_10_min",
            value=per_window,
            unit="activations",
            target="about 1; 2 can be managed",
            met=None if per_window is None else per_window <= ACCEPTABLE_IN_WINDOW,
        ),
        Measure(
            name="most_in_10_min",
            value=at_once,
            unit="activations",
            target=f"at most {BEGINS_ABOVE}",
            met=at_once <= BEGINS_ABOVE,
        ),
        Measure(
            name="flood_share",
            value=flood_share,
            unit="of the time",
            target="below 0.01",
            met=None if flood_share is None else flood_share < 0.01,
        ),
        Measure(name="stale_on_a_day", value=stale, unit="alarms", target="below 5", met=stale < 5),
        Measure(name="chattering", value=chattering, unit="alarms", target="0", met=chattering == 0),
        Measure(name="fleeting", value=fleeting, unit="activations", target="0", met=fleeting == 0),
        share("top_ten_share", of_ten, "at most 0.05", 0.05),
        share("low_share", priorities["low"], "about 0.8 or more", 1.0, 0.8),
        share("medium_share", priorities["medium"], "about 0.15 or less", 0.15),
        share("high_share", priorities["high"] + priorities["critical"], "about 0.05 or less", 0.05),
    ]


def spread(seconds: list[float]) -> Spread:
    """By nearest rank, so that each is one that was."""
    if not seconds:
        return Spread(n=0, p50_s=None, p90_s=None, max_s=None)
    seconds.sort()
    ranks = (ceil(len(seconds) * tenths / 10) - 1 for tenths in (5, 9))
    p50_s, p90_s = (seconds[rank] for rank in ranks)
    return Spread(n=len(seconds), p50_s=p50_s, p90_s=p90_s, max_s=seconds[-1])


def _floods(floods: Sequence[Seen], within: Range) -> list[Flood]:
    longest = sorted(floods, key=lambda flood: -flood.seconds_in(within.start, within.end))[:FLOODS_MAX]
    return [Flood(began=flood.began, ended=flood.ended, activations=flood.activations) for flood in longest]


def _days(alarms: Sequence[_OfAlarm], floods: Sequence[Seen], within: Range) -> list[FiguresOfDay]:
    heard = Counter(at.date() for alarm in alarms for at in alarm.told)
    stale: Counter[date] = Counter()
    for alarm in alarms:
        too_long = ((one.since + STALE, one.end(within.end)) for one in alarm.stale())
        stale.update({day for since, until in too_long for day in _dates(max(since, within.start), until)})
    found = []
    for day in _dates(within.start, within.end):
        begins = datetime.combine(day, time(), UTC)
        until = min(begins + _DAY, within.end)
        flood_s = sum(flood.seconds_in(max(begins, within.start), until) for flood in floods)
        found.append(FiguresOfDay(day=day, activations=heard[day], flood_s=flood_s, stale=stale[day]))
    return found


def _dates(since: datetime, until: datetime) -> list[date]:
    """UTC days from one moment to another."""
    first, last = since.astimezone(UTC).date(), until.astimezone(UTC).date()
    return [first + place * _DAY for place in range((last - first).days + 1)]


def _load(alarm: _OfAlarm) -> Load:
    return Load(
        activations=len(alarm.told),
        is_chattering=alarm.is_chattering,
        fleeting=alarm.fleeting,
        standing_s=alarm.standing.total_seconds(),
    )


def _offender(alarm: _OfAlarm, activations: int) -> Offender:
    life, load = alarm.life, _load(alarm)
    return Offender(
        facility_id=life.facility_id,
        alarm_id=life.alarm_id,
        sensor_id=None,
        sensor_name=None,
        rule=life.alarm_id.rpartition(":")[2],
        priority=_priority(life),
        share=load.activations / activations if activations else 0.0,
        **load.model_dump(),
    )


def _priority(life: Life) -> Priority:
    """When people were told of it last."""
    newest: Priority = life.priorities[-1]  # type: ignore[assignment]  # the journal has no others
    return newest
