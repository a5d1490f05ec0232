"""Proposals for the alarms that are a nuisance: what would bring each to its target, and what that would have cost.

One alarm at a time in each process, the worst first; whoever asks waits for a turn, and for each alarm anew.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
from pydantic import BaseModel, Field

from engine.alarm_rules import merged
from engine.model import SensorType
from web.api.alarm_figures import checked_range, named, read_lives
from web.api.histories import Beginning, End
from web.api.rules import in_force
from web.auth.guard import Need
from web.contract.declare import Noun
from web.contract.figure_shapes import Load, Offender
from web.contract.proposal_shapes import AlarmProposal, AlarmProposals, Outcome, Tuning, Untold
from web.contract.rule_shapes import RuleInForce, RuleSettings
from web.errors import NotUsable
from web.figures.measuring import Range, bad_actors, spread
from web.history.grid_readings import PLAN_ONCE, about_sensor
from web.proposals.candidates import BY_READINGS, OF_INSTRUMENTS, WITH_DEADBAND
from web.proposals.choosing import Asked, Chosen, choose
from web.proposals.living import SCORED, Recording, Subject
from web.serving.call import Call
from web.wire.alarms import Priority
from web.wire.times import from_us, to_us

noun = Noun("alarm-proposals", "What would make the worst alarms better")

RANGE_MAX: Final = timedelta(days=31)
USUAL_RANGE: Final = timedelta(days=7)
ALARMS_MAX: Final = 10
"""Of one answer."""
READINGS_MAX: Final = 1_000_000
"""Of one sensor in the range and the day before: some seconds of work for all that is tried."""
SCORED_READINGS_MAX: Final = 200_000
"""The same where detectors are asked, which takes ten times as long: a month of one each 15 s."""
SENSORS_MAX: Final = 20
"""That one may ask for by name."""
UNTOLD_MAX: Final = 20
WARM_UP: Final = timedelta(days=1)
"""So much of the time before the range leads the detectors and delays into it."""
PIECE_ROWS: Final = 5_000
READ_SUBJECT = """
SELECT s.sensor_no, s.type, s.signal_interval_s,
       coalesce(own.budget_days, of_type.budget_days) AS budget_days,
       coalesce(own.warming_readings, of_type.warming_readings) AS warming_readings,
       coalesce(own.physical_low, of_type.physical_low) AS physical_low,
       coalesce(own.physical_high, of_type.physical_high) AS physical_high,
       coalesce(own.is_on, of_type.is_on) AS is_on,
       (SELECT r.settings FROM sensor_rules r WHERE r.sensor_id = s.id ORDER BY r.id DESC LIMIT 1) AS rules_of_sensor,
       (SELECT r.settings FROM sensor_rules r WHERE r.facility_id = s.facility_id AND r.sensor_type = s.type
         ORDER BY r.id DESC LIMIT 1) AS rules_of_type
  FROM sensors s
  LEFT JOIN detection_settings own ON own.sensor_id = s.id
  LEFT JOIN detection_settings of_type ON of_type.facility_id = s.facility_id AND of_type.sensor_type = s.type
 WHERE s.id = $1 AND s.retired_at IS NULL
"""
DETECTION: Final = ("budget_days", "warming_readings", "physical_low", "physical_high", "is_on")
READ_PIECE = """
SELECT (extract(epoch FROM tracked_at) * 1000000)::int8 AS at_us, coalesce(value, 'NaN') AS value
  FROM sensor_records
 WHERE sensor_no = $1 AND tracked_at > $2 AND tracked_at <= $3
 ORDER BY tracked_at
 LIMIT $4
"""
READ_VERDICTS = """
SELECT DISTINCT ON (c.about_event_id) e.event_time, c.verdict
  FROM alarm_commands c JOIN alarm_events e ON e.id = c.about_event_id
 WHERE c.facility_id = $1 AND c.alarm_key = $2 AND c.command = 'verdict' AND c.state = 'done'
   AND e.event_time BETWEEN $3 AND $4
 ORDER BY c.about_event_id, c.asked_at DESC
"""


class ProposalsQuery(BaseModel):
    """By event time. Without `start_date` the seven days before `end_date`, without that up to now."""

    facility_id: list[str] = Field([], description="none: all one may view")
    sensor_id: list[str] = Field([], max_length=SENSORS_MAX, description="alarms of these only; none: of all")
    start_date: Beginning | None = None
    end_date: End | None = None
    skip: int = Field(0, ge=0, description="so many of the worst")
    limit: int = Field(ALARMS_MAX, ge=1, le=ALARMS_MAX)


@noun.get("/alarm-proposals", Need.VIEW, AlarmProposals, statuses=(401, 403, 404, 422))
async def read_proposals(call: Call, query: ProposalsQuery) -> AlarmProposals:
    """For the alarms that chatter, are fleeting or come too often, the worst first: which deadband or delays would
    bring each to its target, lived again over the sensor's stored readings, and what that would have cost. An alarm
    takes up to some seconds: ask for few at once.
    """
    end = query.end_date or from_us(call.services.clock.now_us())
    within = checked_range(query.start_date or end - USUAL_RANGE, end, RANGE_MAX)
    lives = await read_lives(call, query.facility_id, within)
    found = await asyncio.to_thread(bad_actors, lives, within)
    if query.sensor_id:
        found = [one for one in await named(call, found) if one.sensor_id in query.sensor_id]
    actors = found[query.skip : query.skip + query.limit]
    if not query.sensor_id:
        actors = await named(call, actors)
    proposals = [await _proposal(call, actor, within) for actor in actors]
    return AlarmProposals(start=within.start, end=within.end, bad_actors=len(found), proposals=proposals)


@dataclass(frozen=True, slots=True)
class _Known:
    """Of a sensor: its row, what is set for it alone, that over what is set of its type, and the rules that hold."""

    row: Any
    own: dict[str, Any]
    rules: dict[str, Any]
    held: dict[str, RuleInForce]


async def _proposal(call: Call, actor: Offender, within: Range) -> AlarmProposal:
    if actor.rule not in BY_READINGS:
        return _nothing(actor, "instrument" if actor.rule in OF_INSTRUMENTS else "several")
    async with call.services.proposing.turn(call.caller.principal):
        known = await _known(call, actor.sensor_id)
        if known is None or actor.rule not in known.held:
            return _nothing(actor, "gone")
        readings_max = SCORED_READINGS_MAX if actor.rule in SCORED else READINGS_MAX
        recording = await _recording(call, known.row["sensor_no"], within, readings_max)
        if recording is None:
            return _nothing(actor, "too_many_readings")
        asked = await _asked(call, actor, within, known)
        return _told(actor, asked, known.own, await choose(asked, recording))


async def _known(call: Call, sensor_id: str | None) -> _Known | None:
    row = None if sensor_id is None else await call.database.row(READ_SUBJECT, sensor_id)
    if row is None:
        return None
    own, of_type = (json.loads(row[name]) if row[name] else {} for name in ("rules_of_sensor", "rules_of_type"))
    try:
        held = in_force(SensorType(row["type"]), RuleSettings(**of_type), RuleSettings(**own))
    except NotUsable:  # set before the core refused it: nothing of this sensor can be lived again
        return None
    return _Known(row, own, merged(of_type, own), {one.rule: one for one in held})


async def _asked(call: Call, actor: Offender, within: Range, known: _Known) -> Asked:
    verdicts = await call.database.rows(READ_VERDICTS, actor.facility_id, actor.alarm_id, within.start, within.end)
    detection = {name: known.row[name] for name in DETECTION if known.row[name] is not None}
    subject = Subject(known.row["type"], known.row["signal_interval_s"], json.dumps(detection), actor.rule)
    held = known.held[actor.rule]
    now = Tuning(
        deadband=held.deadband if actor.rule in WITH_DEADBAND else None,
        on_delay_s=held.on_delay_s,
        off_delay_s=held.off_delay_s,
    )
    spoken = {to_us(one["event_time"]): one["verdict"] for one in verdicts}
    priority: Priority = held.priority  # type: ignore[assignment]  # the core has no others
    return Asked(subject, priority, now, known.rules, spoken, within)


async def _recording(call: Call, sensor_no: int, within: Range, readings_max: int) -> Recording | None:
    """Of the range and of what leads there; None: it is too much."""
    times, values = [np.array([], np.int64)], [np.array([], np.float64)]
    after, count = within.start - WARM_UP, 0
    while True:
        async with about_sensor(call.database, sensor_no, PLAN_ONCE) as connection:
            rows = await connection.fetch(READ_PIECE, sensor_no, after, within.end, PIECE_ROWS)
        count += len(rows)
        if count > readings_max:
            return None
        times.append(np.fromiter((row["at_us"] for row in rows), np.int64, len(rows)))
        values.append(np.fromiter((row["value"] for row in rows), np.float64, len(rows)))
        if len(rows) < PIECE_ROWS:
            return Recording(np.concatenate(times), np.concatenate(values))
        after = from_us(rows[-1]["at_us"])


def _nothing(actor: Offender, outcome: Outcome) -> AlarmProposal:
    return AlarmProposal(**_who(actor), outcome=outcome)


def _who(actor: Offender) -> dict[str, Any]:
    about = {name: getattr(actor, name) for name in ("facility_id", "alarm_id", "sensor_id", "sensor_name", "rule")}
    load = Load(**{name: getattr(actor, name) for name in Load.model_fields})
    return {**about, "priority": actor.priority, "in_journal": load}


def _told(actor: Offender, asked: Asked, own: dict[str, Any], chosen: Chosen) -> AlarmProposal:
    told = AlarmProposal(
        **_who(actor), outcome=chosen.outcome, now=asked.now, before=chosen.before, true_events=len(chosen.events)
    )
    best = chosen.best
    if best is None:
        return told
    others = [each for each in own.get("rules", ()) if each["rule"] != actor.rule]
    untold = [
        Untold(
            began=from_us(one.since_us),
            ended=None if one.until_us is None else from_us(one.until_us),
            value=one.value,
            verdict=asked.verdicts.get(one.since_us),
        )
        for one in best.untold[:UNTOLD_MAX]
    ]
    return told.model_copy(
        update={
            "proposed": best.tuning,
            "after": best.load,
            "meets_target": chosen.meets_target,
            "delay": spread(best.delays_s),
            "untold_count": len(best.untold),
            "untold": untold,
            "rules": RuleSettings(**{**own, "rules": [*others, asked.with_(best.tuning)]}),
        }
    )
