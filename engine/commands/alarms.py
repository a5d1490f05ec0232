"""`gasinsight alarms`: what is not normal, and what a person does about it, in the terminal."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from engine.client import Alarm, AlarmCounts, AlarmFrame, Commanded, GasInSight, Incident, JournalEntry
from engine.client.alarms import PAGE_ROWS
from engine.commands.login import LoginOptions, NotDone, asked, find_login, told_errors
from engine.commands.steps import plain, print_line
from engine.printable import escaped

_STATES = {
    "unacknowledged": "bold red",
    "returned_unacknowledged": "yellow",
    "latched": "yellow",
    "acknowledged": "red",
}
_DONE = {
    "acknowledge": "acknowledged",
    "comment": "commented",
    "assign": "assigned",
    "suppress": "suppressed by design",
    "unsuppress": "not suppressed any more",
    "shelve": "shelved",
    "unshelve": "on no shelf any more",
    "out_of_service": "out of service",
    "return_to_service": "in service",
    "reset": "reset",
    "verdict": "judged",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """One command to one alarm. `facility_id` None: of the facility in which there is an alarm of that id now."""

    alarm_id: str
    facility_id: str | None
    command: str
    said: dict[str, Any] = field(default_factory=dict)


def run_list(overrides: dict[str, object], options: LoginOptions, wanted: dict[str, str], as_json: bool) -> None:
    """What is not normal, and how many of which nobody is told."""

    async def read(gis: GasInSight) -> tuple[list[Alarm], AlarmCounts]:
        return await _all(gis, wanted), await gis.alarms.counts(wanted.get("facility_id"))

    alarms, counts = asked(overrides, options, read)
    if as_json:
        for alarm in alarms:
            print_line(_json_line(alarm))
        return
    if alarms:
        Console(highlight=False).print(_table(alarms))
    kept = {
        "shelved": counts.shelved,
        "suppressed by design": counts.by_design,
        "out of service": counts.out_of_service,
    }
    said = ", ".join(f"{count} {what}" for what, count in kept.items())
    print_line(f"{counts.active} active, {counts.unacknowledged} of them not acknowledged; {said}.")


def run_show(
    overrides: dict[str, object], options: LoginOptions, alarm_id: str, facility_id: str | None, as_json: bool
) -> None:
    """One alarm and its history, the oldest first."""

    async def read(gis: GasInSight) -> Any:
        return await gis.alarms.alarm(await _facility_of(gis, alarm_id, facility_id), alarm_id)

    found = asked(overrides, options, read)
    if as_json:
        print_line(_json_line(found))
        return
    Console(highlight=False).print(_table([found.alarm]))
    for entry in reversed(found.history):
        print_line(_entry_text(entry))


def run_incidents(overrides: dict[str, object], options: LoginOptions, facility_id: str | None, as_json: bool) -> None:
    """Alarms that began together, the newest last."""

    async def read(gis: GasInSight) -> list[Incident]:
        return await gis.alarms.incidents(facility_id=facility_id)

    found = asked(overrides, options, read)
    for incident in reversed(found):
        print_line(_json_line(incident) if as_json else _incident_text(incident))
    if not found and not as_json:
        print_line("No three alarms of a facility began together in the last seven days.")


def run_command(overrides: dict[str, object], options: LoginOptions, wanted: Wanted, as_json: bool) -> None:
    """Say what came of it. NotDone when it is not in force yet, so that a script does not take it for that."""

    async def command(gis: GasInSight) -> tuple[str, Commanded]:
        facility_id = await _facility_of(gis, wanted.alarm_id, wanted.facility_id)
        return facility_id, await gis.alarms.command(facility_id, wanted.alarm_id, wanted.command, **wanted.said)

    facility_id, done = asked(overrides, options, command)
    if as_json:
        print_line(_json_line(done))
    if not done.is_done:
        raise NotDone(
            "it is written down and will be in force as soon as the facility can: `gasinsight status` says more"
        )
    if not as_json:
        said = f"alarm {wanted.alarm_id} of facility {facility_id} is {_DONE[wanted.command]}"
        now = f"; it is {done.alarm.state.replace('_', ' ')}" if done.alarm is not None else ""
        print_line(escaped(f"{said}{now}."))


def run_verdict(
    overrides: dict[str, object], options: LoginOptions, wanted: Wanted, event_id: int | None, as_json: bool
) -> None:
    """Of that activation, or of the newest one of the alarm."""
    if event_id is None:
        event_id = asked(overrides, options, lambda gis: _newest_activation(gis, wanted))
    run_command(overrides, options, replace(wanted, said={**wanted.said, "event_id": event_id}), as_json)


async def _newest_activation(gis: GasInSight, wanted: Wanted) -> int:
    facility_id = await _facility_of(gis, wanted.alarm_id, wanted.facility_id)
    found = await gis.alarms.alarm(facility_id, wanted.alarm_id, history=PAGE_ROWS)
    for entry in found.history:
        if entry.transition == "activated":
            return entry.id
    raise NotDone(f"the newest {PAGE_ROWS} rows of alarm {wanted.alarm_id} have no activation; name one with --event")


def run_watch(overrides: dict[str, object], options: LoginOptions, after: int | None, as_json: bool) -> None:
    """A line for everything that happens, until Ctrl-C."""
    login = find_login(overrides, options)

    async def watch() -> None:
        stopping = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        async with GasInSight(login.url, login.user, login.password) as gis:
            following = asyncio.ensure_future(_follow(gis, after, as_json))
            stop = asyncio.ensure_future(stopping.wait())
            await asyncio.wait({following, stop}, return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            if following.done():
                following.result()
            following.cancel()
            await asyncio.gather(following, stop, return_exceptions=True)

    with told_errors():
        asyncio.run(watch())


async def _follow(gis: GasInSight, after: int | None, as_json: bool) -> None:
    def tell_away(error: Exception) -> None:
        sys.stderr.write(escaped(f"{error}") + "\n")

    async with aclosing(gis.alarms.live(after=after, on_away=tell_away)) as frames:
        async for frame in frames:
            print_line(_json_line(frame) if as_json else _frame_text(frame))


def _json_line(shape: BaseModel) -> str:
    """In ASCII, so that no terminal obeys what stands in it."""
    return json.dumps(shape.model_dump(mode="json", exclude_none=True))


async def _all(gis: GasInSight, wanted: dict[str, str]) -> list[Alarm]:
    found: list[Alarm] = []
    while True:
        part = await gis.alarms.now(**wanted, skip=len(found))  # type: ignore[arg-type]  # names of its parameters
        found += part.rows
        if len(part.rows) < PAGE_ROWS:
            return found


async def _facility_of(gis: GasInSight, alarm_id: str, facility_id: str | None) -> str:
    if facility_id is not None:
        return facility_id
    found = sorted({alarm.facility_id for alarm in await _all(gis, {}) if alarm.id == alarm_id})
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotDone(f"no alarm {alarm_id} is other than normal; give --facility to command it nevertheless")
    raise NotDone(
        f"there is an alarm {alarm_id} in {len(found)} facilities; give --facility, one of {', '.join(found)}"
    )


def _table(alarms: list[Alarm]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("alarm", "facility", "sensor", "state", "priority", "since", "what"):
        table.add_column(column, overflow="fold")
    for alarm in alarms:
        table.add_row(
            plain(alarm.id),
            plain(alarm.facility_name or alarm.facility_id),
            plain(alarm.sensor_name or ""),
            plain(_state_text(alarm), _STATES.get(alarm.state, "")),
            plain(alarm.priority),
            plain(_moment_text(alarm.since)),
            plain(alarm.message or alarm.rule),
        )
    return table


def _state_text(alarm: Alarm) -> str:
    until = f" until {_moment_text(alarm.suppressed_until)}" if alarm.suppressed_until is not None else ""
    by = f" by {alarm.suppressed_by}: {alarm.suppression_reason}" if alarm.suppressed_by is not None else ""
    return f"{alarm.state.replace('_', ' ')}{until}{by}"


def _frame_text(frame: AlarmFrame) -> str:
    if frame.event is not None:
        return _entry_text(frame.event)
    gap = "what was seen before is not the past of this server; " if frame.type == "gap" else ""
    return f"{gap}{len(frame.alarms or ())} alarms are not normal (as of {frame.after_id})"


def _entry_text(entry: JournalEntry) -> str:
    who = "" if entry.actor == "system" else f" by {entry.actor_name or entry.actor}"
    why = entry.reason or entry.message
    until = "" if entry.until is None else f" until {_moment_text(entry.until)}"
    verdict = "" if entry.verdict is None else f" {entry.verdict} on {entry.about_event_id}"
    said = f"{entry.transition.replace('_', ' ')}{verdict}{until}{who}{': ' if why else ''}{why}"
    return escaped(f"{entry.id}  {_moment_text(entry.event_time)}  {entry.facility_id} {entry.alarm_id}  {said}")


def _incident_text(incident: Incident) -> str:
    first = incident.first_out
    where = incident.facility_name or incident.facility_id
    counts = f"{incident.alarms} alarms, {incident.active} active, {incident.unacknowledged} not acknowledged"
    return escaped(
        f"{_moment_text(incident.began)}  {incident.state.replace('_', ' ')}  {where}: {counts};"
        f" first {first.alarm_id}: {first.message}"
    )


def _moment_text(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
