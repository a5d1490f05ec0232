"""`gasinsight watch`: what a person's front end would show, in the terminal; or the same as JSON lines."""

from __future__ import annotations

import asyncio
import getpass
import json
import signal
import sys
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from rich.live import Live

from engine.commands.client import Login, Server, ServerUnavailable
from engine.commands.steps import Screen
from engine.commands.watch_view import Board
from engine.errors import SettingsError
from engine.runtime import effective_settings, published_values
from engine.settings import Settings

LOOK_AGAIN_S = 10.0
REDRAW_S = 0.5


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """What the person asked for; None is for us to find out."""

    url: str | None
    user: str | None
    password: str | None = field(repr=False)
    facility: str | None
    sensors_max: int
    duration_s: float | None
    as_json: bool


def run_watch(overrides: dict[str, object], options: WatchOptions) -> None:
    """Blocks until Ctrl-C or the end of `duration_s`."""
    settings = effective_settings(**overrides)
    published = published_values(settings.data_dir)
    url = options.url or published.get("web_url") or f"http://{settings.web_host}:{settings.web_port}"
    login = _login(options, settings)
    asyncio.run(_until_stopped(_Watch(Server(url, login), options), options.duration_s))


def _login(options: WatchOptions, settings: Settings) -> Login:
    user = options.user or settings.admin_email
    if options.password is not None:
        return Login(user, options.password)
    if options.user is None and settings.admin_password is not None:
        return Login(user, settings.admin_password.get_secret_value())
    if not sys.stdin.isatty():
        raise SettingsError(f"no password for {user}; set GASINSIGHT_PASSWORD or give --password")
    return Login(user, getpass.getpass(f"Password of {user}: "))


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
    finally:
        running.cancel()
        stopped.cancel()
        await asyncio.gather(running, stopped, return_exceptions=True)
        await watch.close()


class _Watch:
    """One websocket a facility for values, one for alerts; facilities that appear later are found by looking again."""

    def __init__(self, server: Server, options: WatchOptions) -> None:
        self._server = server
        self._options = options
        self._board = Board(server.url, options.sensors_max)
        self._screen = Screen(options.as_json)
        self._following: dict[str, asyncio.Task[None]] = {}

    async def close(self) -> None:
        for task in self._following.values():
            task.cancel()
        await asyncio.gather(*self._following.values(), return_exceptions=True)
        await self._server.close()

    async def run(self) -> None:
        await self._server.log_in()
        await self._look()
        for alert in reversed(await self._server.get("/alerts/recent", limit=5)):
            self._board.old_alert(alert)
        self._follow("alerts", "/ws/notifications", self._alert)
        if self._options.as_json or not self._screen.console.is_terminal:
            await self._look_on()
        else:
            await asyncio.gather(self._look_on(), self._draw())

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AGAIN_S)
            try:
                await self._look()
                self._board.trouble = ""
            except ServerUnavailable as error:
                self._board.trouble = str(error)

    async def _look(self) -> None:
        wanted = (self._options.facility or "").casefold()
        for facility in await self._server.get("/facilities", limit=1000):
            if wanted and wanted not in facility["name"].casefold() and wanted not in facility["id"].casefold():
                continue
            self._board.know_facility(facility)
            for sensor in await self._server.get(
                "/sensors", facility_id=facility["id"], limit=self._options.sensors_max
            ):
                self._board.know_sensor(sensor)
            path = f"/ws/facility-data/{quote(facility['id'], safe='')}"
            self._follow(facility["id"], path, self._value)
        if wanted and not self._board.has_facilities:
            raise SettingsError(f"no facility that {self._options.facility!r} could mean")

    def _follow(self, name: str, path: str, tell: Any) -> None:
        if name not in self._following:
            self._following[name] = asyncio.create_task(self._pass_on(path, tell))

    async def _pass_on(self, path: str, tell: Any) -> None:
        async for frame in self._server.frames(path):
            tell(frame)

    def _value(self, frame: dict[str, Any]) -> None:
        self._board.value(frame)
        if self._options.as_json:
            _line("value", frame)

    def _alert(self, frame: dict[str, Any]) -> None:
        if self._options.facility and not self._board.has_facility(frame["facility_id"]):
            return
        said = self._board.alert(frame)
        if self._options.as_json:
            _line("alert", frame)
        elif not self._screen.console.is_terminal:
            self._screen.event("alert", said)

    async def _draw(self) -> None:
        with Live(console=self._screen.console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(self._board.render(self._screen.console.size), refresh=True)
                await asyncio.sleep(REDRAW_S)


def _line(kind: str, frame: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"kind": kind, **frame}) + "\n")
    sys.stdout.flush()
