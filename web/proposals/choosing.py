"""Which change of an alarm's rule is proposed: the gentlest that meets the target and keeps all that was true."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from web.contract.figure_shapes import Load
from web.contract.proposal_shapes import Outcome, Tuning
from web.figures.lives import Life, Standing
from web.figures.measuring import Range, load_of, meets_target
from web.proposals.candidates import DELAY_S_MAX, candidates, noise_of
from web.proposals.living import Excursion, Recording, Subject, lived
from web.proposals.truth import Event, Excursions, retold, true_events, untold
from web.wire.alarms import Priority
from web.wire.times import from_us, to_us

WORTH: Final = 0.5
"""A change that leaves more of the activations than this is none that anybody should make."""
STANDING_SHARE_MAX: Final = 0.25
"""Of the time an alarm may stand more than before: one that nearly always stands tells nobody anything."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An alarm, and how it is set.

    now       of its rule, as it holds
    rules     all that is set for the sensor, as the core reads it, its type's under it
    verdicts  of people, by the event time of what they are about
    """

    subject: Subject
    priority: Priority
    now: Tuning
    rules: Mapping[str, Any]
    verdicts: Mapping[int, str]
    within: Range

    def with_(self, tuning: Tuning) -> dict[str, Any]:
        """What would be set of the rule."""
        said = tuning.model_dump(exclude_none=True).items()
        now = self.now.model_dump()
        change: Mapping[str, Any] = next(
            (each for each in self.rules.get("rules", ()) if each["rule"] == self.subject.rule), {}
        )
        return {**change, "rule": self.subject.rule, **{name: value for name, value in said if value != now[name]}}

    def document(self, tuning: Tuning) -> str:
        """All that would be set, as JSON."""
        others = [each for each in self.rules.get("rules", ()) if each["rule"] != self.subject.rule]
        change = self.with_(tuning)
        return json.dumps({**self.rules, "rules": [*others, change] if len(change) > 1 else others})


@dataclass(frozen=True, slots=True)
class Tried:
    """What would have become of the alarm."""

    tuning: Tuning
    load: Load
    delays_s: list[float]
    lost: int
    untold: list[Excursion]


@dataclass(frozen=True, slots=True)
class Chosen:
    """`best` None: nothing is proposed, `outcome` says why. `events`: what was true."""

    outcome: Outcome
    before: Load
    events: list[Event]
    best: Tried | None = None
    meets_target: bool | None = None


async def choose(asked: Asked, recording: Recording) -> Chosen:
    """Each that may be tried in its turn, until one is good."""
    before = await _excursions(asked, recording, asked.now)
    as_it_is = await asyncio.to_thread(_looked_at, asked, before)
    if as_it_is.outcome != "proposed":
        return as_it_is
    load, events = as_it_is.before, as_it_is.events
    best: Tried | None = None
    noise = await asyncio.to_thread(noise_of, recording.values)
    for tuning in candidates(asked.subject, asked.now, asked.priority, noise):
        excursions = await _excursions(asked, recording, tuning)
        tried = await asyncio.to_thread(_judged, asked, tuning, before, excursions, events)
        if not _is_harmless(tried, load, asked) or tried.load.activations > WORTH * load.activations:
            continue
        if meets_target(tried.load, asked.within, len(events)):
            return Chosen("proposed", load, events, tried, meets_target=True)
        if best is None or tried.load.activations < best.load.activations:
            best = tried
    if best is None:
        return Chosen("nothing_helps", load, events)
    return Chosen("proposed", load, events, best, meets_target=False)


def _looked_at(asked: Asked, before: Excursions) -> Chosen:
    """What is so today: whether anything can be proposed, and what of it was true."""
    load = _load(before, asked)
    start_us, end_us = to_us(asked.within.start), to_us(asked.within.end)
    found = true_events(before, asked.verdicts, end_us, asked.subject.interval_s)
    events = [event for event in found if event.since_us >= start_us]
    if not load.activations or retold(events, before).lost:
        return Chosen("not_reproduced", load, events)
    if meets_target(load, asked.within, len(events)):
        return Chosen("all_true" if len(events) >= load.activations else "at_target", load, events)
    return Chosen("proposed", load, events)


async def _excursions(asked: Asked, recording: Recording, tuning: Tuning) -> Excursions:
    return Excursions(await lived(recording, asked.subject, asked.document(tuning)))


def _judged(asked: Asked, tuning: Tuning, before: Excursions, after: Excursions, events: Sequence[Event]) -> Tried:
    told = retold(events, after)
    start_us = to_us(asked.within.start)
    left = [one for one in untold(before, after) if one.since_us >= start_us]
    return Tried(tuning, _load(after, asked), told.delays_s, told.lost, left)


def _is_harmless(tried: Tried, before: Load, asked: Asked) -> bool:
    """Whether all that was true is told in time, and the alarm does not stand for good instead."""
    standing = tried.load.standing_s - before.standing_s
    length = (asked.within.end - asked.within.start).total_seconds()
    late_s = max(tried.delays_s, default=0.0)
    return not tried.lost and late_s <= DELAY_S_MAX[asked.priority] and standing <= STANDING_SHARE_MAX * length


def _load(excursions: Excursions, asked: Asked) -> Load:
    """As figures have it of the journal."""
    told = [from_us(one.since_us) for one in excursions.found]
    standings = [
        Standing(at, is_told=True, is_own=True, until=None if one.until_us is None else from_us(one.until_us))
        for at, one in zip(told, excursions.found, strict=True)
    ]
    return load_of(Life("", "", told, standings=standings), asked.within)
