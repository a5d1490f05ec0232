"""The websockets: `/ws/sensor-data/{sensor_id}`, `/ws/facility-data/{facility_id}`, `/ws/notifications`, `/ws/alarms`.

A client that may not is refused with 403 before the connection is accepted. Clients send nothing; what they send
is dropped. Each socket ends when its user's right ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any

from quart import Blueprint, websocket

from web.auth.guard import Caller, Need
from web.auth.keys import is_key
from web.contract.alarm_shapes import AlarmFrame
from web.contract.declare import Socket
from web.contract.shapes import AlertFrame, ReadingFrame
from web.edge.frames import encoded_messages
from web.edge.proxies import client_address
from web.edge.rates import client_key
from web.edge.requests import SEND_KEY, secret_parameter
from web.errors import HttpRefusal, NotAuthenticated, NotPermitted
from web.live.hub import Watcher
from web.live.rights import OpenSocket
from web.serving.services import Services

POLICY_VIOLATION = 1008
ID_DIGITS_MAX = 18
NOTHING_SEEN = -1

TOKEN = {
    "ticket": {"type": "string", "description": "from `POST /ws/tickets`: good once, for 30 s"},
    "token": {"type": "string", "description": "an access token, where there is no ticket"},
}
SENSOR_DATA = Socket(
    "/ws/sensor-data/{sensor_id}", Need.VIEW, ReadingFrame, "each reading of the sensor as it is stored", TOKEN
)
FACILITY_DATA = Socket(
    "/ws/facility-data/{facility_id}", Need.VIEW, ReadingFrame, "the same for all sensors of a facility", TOKEN
)
NOTIFICATIONS = Socket(
    "/ws/notifications",
    Need.USER,
    AlertFrame,
    "each new alert in a facility that the user may view",
    TOKEN | {"after_id": {"type": "integer", "minimum": 0, "description": "resume after this alert"}},
)
ALARMS = Socket(
    "/ws/alarms",
    Need.USER,
    AlarmFrame,
    "each row of the journal in a facility that the user may view, once and in order; first, what is not normal now",
    TOKEN | {"after": {"type": "integer", "minimum": 0, "description": "resume after this `after_id`, without that"}},
)
SOCKETS = (SENSOR_DATA, FACILITY_DATA, NOTIFICATIONS, ALARMS)


def blueprint(services: Services) -> Blueprint:
    sockets = Blueprint("sockets", __name__)

    @sockets.websocket(SENSOR_DATA.rule)
    async def sensor_data(sensor_id: str) -> None:
        caller = await _admitted(services)
        facility_id = await _viewable(services, caller, sensor_id=sensor_id)
        await _send_readings(services, "sensor-data", caller, facility_id, sensor_id)

    @sockets.websocket(FACILITY_DATA.rule)
    async def facility_data(facility_id: str) -> None:
        caller = await _admitted(services)
        await _viewable(services, caller, facility_id=facility_id)
        await _send_readings(services, "facility-data", caller, facility_id, None)

    @sockets.websocket(NOTIFICATIONS.rule)
    async def notifications() -> None:
        caller = await _admitted(services)
        newest = await services.alarms.position()
        after_id = min(_number("after_id", newest), newest)
        socket = await _socket(services, "notifications", caller, None)
        with services.sockets.opened(socket):
            await websocket.accept()
            await _until_ended(socket, _send_alerts(services, socket, after_id))

    @sockets.websocket(ALARMS.rule)
    async def alarms() -> None:
        caller = await _admitted(services)
        after_id = _number("after", NOTHING_SEEN)
        newest = await services.alarms.position()
        is_gap = after_id != NOTHING_SEEN and not await services.alarms.holds(after_id)
        socket = await _socket(services, "alarms", caller, None)
        with services.sockets.opened(socket):
            await websocket.accept()
            kind = "gap" if is_gap else "snapshot" if after_id == NOTHING_SEEN else None
            await _until_ended(socket, _send_alarms(services, socket, newest if kind else after_id, kind))

    return sockets


async def _admitted(services: Services) -> Caller:
    """Who a ticket or token says it is. Its refusal is a 403: a browser cannot see more, and the front end expects
    no other. It retries with an old token every 5 s, so an expired one is refused before the database is asked.
    """
    ticket, token = (secret_parameter(_scope(), name) for name in ("ticket", "token"))
    stranger = client_key(client_address(_scope()))
    try:
        if ticket is not None:
            caller = await services.tickets.redeem(ticket)
        else:
            caller = await services.guard.caller(token, stranger)
    except NotAuthenticated as refusal:
        if ticket is not None or is_key(token or ""):  # these have cost a query
            services.rates.take(stranger)
        raise NotPermitted from refusal
    services.rates.take(caller.principal)
    return caller


async def _viewable(
    services: Services, caller: Caller, *, sensor_id: str | None = None, facility_id: str | None = None
) -> str:
    try:
        if sensor_id is not None:
            return await services.guard.require_sensor(caller, Need.VIEW, sensor_id)
        return await services.guard.require_facility(caller, Need.VIEW, facility_id or "")
    except HttpRefusal as refusal:
        raise NotPermitted from refusal


async def _socket(
    services: Services, kind: str, caller: Caller, facility_id: str | None, sensor_id: str | None = None
) -> OpenSocket:
    rights = await services.sockets.rights_of(caller)
    if rights is None or (facility_id is not None and not rights.may_view(facility_id)):
        raise NotPermitted
    if facility_id is not None and not await services.sockets.is_shown(facility_id, sensor_id):
        raise NotPermitted
    return OpenSocket(kind, caller, facility_id, rights, sensor_id)


async def _send_readings(
    services: Services, kind: str, caller: Caller, facility_id: str, sensor_id: str | None
) -> None:
    socket = await _socket(services, kind, caller, facility_id, sensor_id)
    with services.sockets.opened(socket):  # while the engine is slow to answer, those that wait for it count too
        async with services.hub.watching(facility_id, sensor_id) as watcher:
            await websocket.accept()
            await _until_ended(socket, _send_frames(watcher))


async def _send_frames(watcher: Watcher) -> None:
    send = _scope()[SEND_KEY]
    while True:
        for message in encoded_messages(await watcher.frames()):
            await send(message)


async def _send_alerts(services: Services, socket: OpenSocket, after_id: int) -> None:
    send = _scope()[SEND_KEY]
    async with aclosing(services.alarms.alerts(after_id)) as alerts:
        async for alert in alerts:
            if socket.rights.may_view(alert.facility_id):
                await send(*encoded_messages([alert.alert or b""]))


async def _send_alarms(services: Services, socket: OpenSocket, after_id: int, kind: str | None) -> None:
    """`kind`: of the frames that say how things are, before those of what happens."""
    send = _scope()[SEND_KEY]
    if kind is not None:
        seen = None if socket.rights.is_admin else list(socket.rights.grants)
        async with aclosing(services.alarms.snapshot(after_id, seen, kind)) as frames:
            async for frame in frames:
                await send(*encoded_messages([frame]))
    async with aclosing(services.alarms.rows(after_id)) as rows:
        async for row in rows:
            if socket.rights.may_view(row.facility_id):
                await send(*encoded_messages([row.event]))


async def _until_ended(socket: OpenSocket, sending: Coroutine[Any, Any, None]) -> None:
    """Send until the client leaves (then Quart cancels us) or its right ends (then we close)."""
    tasks = {
        asyncio.ensure_future(sending),
        asyncio.ensure_future(socket.ended.wait()),
    }
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await websocket.close(POLICY_VIOLATION, "the right to this stream has ended")


def _number(name: str, absent: int) -> int:
    """A parameter of the query; what is no number counts as absent."""
    text = websocket.args.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= ID_DIGITS_MAX else absent


def _scope() -> dict[str, Any]:
    scope: dict[str, Any] = websocket.scope  # type: ignore[assignment]
    return scope
