"""`gasinsight watch`: what a person's front end would show, in the terminal; elsewhere lines, for people or as JSON."""

from __future__ import annotations

import asyncio
import json
import signal
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.live import Live

from engine.client import (
    ClientError,
    GasInSight,
    LiveAlert,
    NotFound,
    NotPermitted,
    Reading,
    ServerError,
    TooManyRequests,
)
from engine.commands.login import Login, LoginOptions, find_login, told_errors
from engine.commands.steps import Screen, forget_reader, print_line
from engine.commands.watch_view import Board
from engine.errors import SettingsError
from engine.printable import escaped

LOOK_AGAIN_S = 10.0
REDRAW_S = 0.5
ALERTS_BEFORE = 5  # shown from before we came


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """What the person asked for."""

    login: LoginOptions
    facility: str | None
    sensors_max: int
    duration_s: float | None
    as_json: bool


def run_watch(overrides: dict[str, object], options: WatchOptions) -> None:
    """Blocks until Ctrl-C or the end of `duration_s`."""
    login = find_login(overrides, options.login)
    with told_errors():
        asyncio.run(_watch(login, options))


async def _watch(login: Login, options: WatchOptions) -> None:
    async with GasInSight(login.url, login.user, login.password) as gis:
        await _until_stopped(_Watch(gis, options), options.duration_s)


async def _until_stopped(watch: _Watch, duration_s: float | None) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    running = asyncio.create_task(watch.run())
    stopped = asyncio.create_task(stopping.wait())
    try:
        done, _ = await asyncio.wait({running, stopped}, timeout=duration_s, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    except BrokenPipeError:
        forget_reader()
    finally:
        running.cancel()
        stopped.cancel()
        await asyncio.gather(running, stopped, return_exceptions=True)


class _Watch:
    """One websocket a facility for values, one for alerts; facilities that appear later are found by looking again."""

    def __init__(self, gis: GasInSight, options: WatchOptions) -> None:
        self._gis = gis
        self._options = options
        self._board = Board(gis.url, options.sensors_max)
        self._screen = Screen(options.as_json)
        self._draws = self._screen.console.is_terminal and not options.as_json
        self._followed: set[str] = set()
        self._told_away: set[str] = set()

    async def run(self) -> None:
        """Ends only with an error that waiting cannot mend, or when it is cancelled."""
        await self._gis.sign_in()
        recent = await self._gis.recent_alerts(ALERTS_BEFORE)
        for alert in reversed(recent):
            self._board.old_alert(alert)
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._look(tasks)
                tasks.create_task(self._look_on(tasks))
                tasks.create_task(self._follow_alerts(recent[0].id if recent else None))
                self._say(self._board.summary)
                if self._draws:
                    tasks.create_task(self._draw())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures

    async def _look_on(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            await asyncio.sleep(LOOK_AGAIN_S)
            try:
                await self._look(tasks)
                self._board.trouble = ""
            except (ServerError, TooManyRequests) as error:
                self._away(error)

    async def _look(self, tasks: asyncio.TaskGroup) -> None:
        wanted = (self._options.facility or "").casefold()
        for facility in await self._gis.facilities():
            if wanted and wanted not in facility.name.casefold() and wanted not in facility.id.casefold():
                continue
            self._board.know_facility(facility)
            if self._board.has_room:
                for sensor in await self._gis.sensors(facility.id):
                    self._board.know_sensor(sensor)
            if facility.id not in self._followed:
                self._followed.add(facility.id)
                tasks.create_task(self._follow_values(facility.id))
        if wanted and not self._board.has_facilities:
            raise SettingsError(f"no facility that {self._options.facility!r} could mean")

    async def _follow_values(self, facility_id: str) -> None:
        try:
            async for reading in self._gis.facility_readings(facility_id, on_away=self._away):
                self._value(reading)
        except (NotPermitted, NotFound) as error:  # if the right comes back, the next look finds the facility again
            self._board.forget_facility(facility_id)
            self._followed.discard(facility_id)
            if self._options.as_json:
                _line("ended", facility_id=facility_id, reason=str(error))

    async def _follow_alerts(self, after_id: int | None) -> None:
        async for alert in self._gis.alerts_live(after_id=after_id, on_away=self._away):
            self._alert(alert)

    def _away(self, error: ClientError) -> None:
        self._board.trouble = reason = str(error)
        if reason in self._told_away:
            return
        self._told_away.add(reason)
        if self._options.as_json:
            _line("away", reason=reason)
        else:
            self._say(reason)

    def _value(self, reading: Reading) -> None:
        change = self._board.value(reading)
        self._told_away.clear()
        if change:
            self._say(change)
        if self._options.as_json:
            if gap := reading.gap:
                _line("gap", facility_id=reading.facility_id, from_at=_text(gap.from_at), to_at=_text(gap.to_at))
            _line("value", **{**reading.model_dump(exclude={"gap"}), "tracked_at": _text(reading.tracked_at)})

    def _alert(self, alert: LiveAlert) -> None:
        if self._options.facility and not self._board.has_facility(alert.facility_id):
            return
        said = self._board.alert(alert)
        if self._options.as_json:
            began = None if alert.event_time is None else _text(alert.event_time)
            times = {"created_at": _text(alert.created_at), "event_time": began}
            _line("alert", **{"type": "alert", **alert.model_dump(), **times})
        else:
            self._say(said)

    def _say(self, text: str) -> None:
        """A line for people where there is no terminal to draw on."""
        if not self._draws and not self._options.as_json:
            print_line(escaped(text))

    async def _draw(self) -> None:
        with Live(console=self._screen.console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(self._board.render(self._screen.console.size), refresh=True)
                await asyncio.sleep(REDRAW_S)


def _text(moment: datetime) -> str:
    """UTC without a suffix, as the wire has it."""
    return moment.replace(tzinfo=None).isoformat()


def _line(kind: str, **fields: Any) -> None:
    print_line(json.dumps({"kind": kind, **fields}))
