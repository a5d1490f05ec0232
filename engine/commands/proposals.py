"""`gasinsight report proposals`: what would bring the worst alarms to their targets, one line each as it is known."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from engine.client import AlarmProposal, GasInSight, Tuning
from engine.clock import US_PER_S
from engine.commands.login import LoginOptions, asked
from engine.commands.steps import print_line
from engine.errors import SettingsError
from engine.exports import moments
from engine.exports.selection import SelectionRefused
from engine.printable import escaped

WHY: Final = {
    "at_target": "today's rules bring it to its target already",
    "all_true": "all that it told was true",
    "nothing_helps": "no deadband or delay helps that loses nothing true: look at the limit",
    "instrument": "look at the instrument and its line: no delay mends them",
    "several": "it is of several sensors together: look at theirs",
    "not_reproduced": "today's rules tell nothing of it: they were others, or its readings came late or are gone",
    "too_many_readings": "the range has too many readings: take a shorter one",
    "gone": "the sensor or the rule is no more",
}


@dataclass(frozen=True, slots=True)
class ProposalsWanted:
    """`start` and `end` are moments or days as people write them; None: the server's last seven days, and now."""

    facility_ids: tuple[str, ...]
    start: str | None
    end: str | None
    alarms_max: int
    as_json: bool


def run_proposals(overrides: dict[str, object], options: LoginOptions, wanted: ProposalsWanted) -> None:
    """Print each as it comes."""
    try:
        start_us = None if wanted.start is None else moments.start_us(wanted.start)
        end_us = None if wanted.end is None else moments.end_us(wanted.end) - 1
    except SelectionRefused as error:
        raise SettingsError(str(error)) from error
    ends = _moment(start_us), _moment(end_us)
    found = asked(overrides, options, lambda gis: _show(gis, wanted, ends))
    if not found and not wanted.as_json:
        print_line("No alarm chatters, is fleeting or comes too often.")


def _moment(time_us: int | None) -> datetime | None:
    return None if time_us is None else datetime.fromtimestamp(time_us / US_PER_S, UTC)


async def _show(gis: GasInSight, wanted: ProposalsWanted, ends: tuple[datetime | None, datetime | None]) -> int:
    """How many there were."""
    terminal = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    is_off = wanted.as_json or not terminal.is_terminal
    shown = 0
    with Progress(*columns, console=terminal, transient=True, disable=is_off) as bars:
        bar = bars.add_task("alarms", total=None)
        while shown < wanted.alarms_max:
            part = await gis.alarms.proposals(
                facility_ids=wanted.facility_ids, start=ends[0], end=ends[1], skip=shown, limit=1
            )
            ends = part.start, part.end  # so that all are of one range
            for proposal in part.proposals:
                print_line(_as_json(proposal) if wanted.as_json else escaped(_line(proposal)))
            if not part.proposals:
                break
            shown += len(part.proposals)
            bars.update(bar, total=min(part.bad_actors, wanted.alarms_max), completed=shown)
    return shown


def _as_json(proposal: AlarmProposal) -> str:
    said = proposal.model_dump(mode="json")
    if proposal.rules is not None:
        said["rules"] = proposal.rules.model_dump(mode="json", exclude_none=True)
    return json.dumps(said)


def _line(one: AlarmProposal) -> str:
    who = f"{one.facility_id} {one.sensor_name or one.alarm_id}, {one.rule} ({one.priority}), {_load(one)}"
    if one.proposed is None or one.now is None or one.before is None or one.after is None or one.delay is None:
        return f"{who}: nothing, {WHY.get(one.outcome, one.outcome)}"
    cost = [f"{one.before.activations} activations become {one.after.activations}"]
    if one.true_events:
        cost.append(f"{one.true_events} true events are told {one.delay.max_s:g} s later at most")
    if one.untold_count:
        cost.append(f"{one.untold_count} excursions are told to nobody")
    if not one.meets_target:
        cost.append("its target is not met")
    return f"{who}: {_changes(one.now, one.proposed)}; {', '.join(cost)}"


def _load(one: AlarmProposal) -> str:
    kinds = (
        one.in_journal.is_chattering and "chatters",
        one.in_journal.fleeting and f"{one.in_journal.fleeting} fleeting",
    )
    return ", ".join([f"told {one.in_journal.activations} times", *(kind for kind in kinds if kind)])


def _changes(now: Tuning, proposed: Tuning) -> str:
    changed = []
    if proposed.deadband != now.deadband:
        changed.append(f"deadband {proposed.deadband:g}")
    if proposed.on_delay_s != now.on_delay_s:
        changed.append(f"on-delay {proposed.on_delay_s:g} s")
    if proposed.off_delay_s != now.off_delay_s:
        changed.append(f"off-delay {proposed.off_delay_s:g} s")
    return ", ".join(changed)
