"""What people ask of alarms: acknowledge, shelve, take out of service, …

A command is a row of a table, written with its row of the audit log. The engine carries it to its facility and decides
the row with the commit that puts it into force; here we wait for that a little.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Protocol

from pydantic_core import to_json
from quart import Response

from engine.clock import Clock
from web.api.alarms import present_alarm
from web.audit import Action, Actor, audit
from web.auth.guard import Need
from web.contract.alarm_shapes import AlarmCommandState, NewAlarmCommand
from web.contract.declare import Noun
from web.errors import HttpRefusal, NotFound, NotUsable
from web.serving.call import Call
from web.serving.routes import json_response

noun = Noun("alarm-commands", "What people ask of alarms")

SAID = ("command", "reason", "until", "assignee", "work_order", "verdict", "about_event_id")
FIRST_LOOK_S = 0.03
LOOK_S_MAX = 0.5
TELL_ENGINE = "SELECT pg_notify('alarm_commands', $1)"
LOCK_FACILITY = "SELECT retired_at FROM facilities WHERE id = $1 FOR NO KEY UPDATE"
# Of one alarm none is of the same moment as another: the journal tells them apart by it.
ASK = """
INSERT INTO alarm_commands (command_id, facility_id, alarm_key, command, actor, actor_name, reason, until, assignee,
                            work_order, verdict, about_event_id, state, refusal, asked_at)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'waiting', '',
       greatest(clock_timestamp(), max(asked_at) + interval '1 microsecond')
  FROM alarm_commands
 WHERE facility_id = $2 AND alarm_key = $3
ON CONFLICT (command_id) DO NOTHING
RETURNING command_id
"""
READ_ASKED = """
SELECT facility_id, alarm_key, command, actor, reason, until, assignee, work_order, verdict, about_event_id, state,
       refusal
  FROM alarm_commands
 WHERE command_id = $1
"""
FIND_ACTIVATION = """
SELECT FROM alarm_events WHERE id = $1 AND facility_id = $2 AND alarm_key = $3 AND transition = 'activated'
"""
NO_ACTIVATION = "is not the id of an activation of this alarm: `/alerts` and `/journal` have it"
OTHER_COMMAND = "This command_id is of another command; give each command one of its own"
RETIRED = "The facility is retired"


@noun.post(
    "/alarm-commands/{facility_id}",
    Need.EDIT,
    AlarmCommandState,
    statuses=(401, 403, 404, 409, 422),
    may_be_accepted=True,
)
async def command_alarm(call: Call, facility_id: str, body: NewAlarmCommand) -> Response:
    """200: it is in force. 202: it is written down and will be in force as soon as its facility can; ask again with the
    same `command_id` to hear of it. 409: it was refused, and `detail` says why; asking again is answered alike.
    """
    command_id = body.command_id or uuid.uuid4().hex
    wanted = {
        "facility_id": facility_id,
        "alarm_key": body.alarm_id,
        "command": body.command.value,
        "reason": body.reason,
        "until": body.until,
        "assignee": body.assignee,
        "work_order": body.work_order,
        "verdict": None if body.verdict is None else body.verdict.value,
        "about_event_id": body.event_id,
    }
    async with call.database.transaction() as connection:
        await ask(connection, call.actor, command_id, wanted)
    asked = await decided(call.database, call.services.clock, command_id, body.wait_s)
    if asked["state"] == "refused":
        raise HttpRefusal(409, asked["refusal"])
    async with call.database.transaction() as connection:
        alarm = await present_alarm(connection, facility_id, body.alarm_id)
    answer = AlarmCommandState(command_id=command_id, state=asked["state"], alarm=alarm)
    return json_response(to_json(answer), 200 if answer.state == "done" else 202)


async def ask(connection: Any, actor: Actor, command_id: str, said: Mapping[str, Any]) -> None:
    """Write the command down, or find that it is written. HttpRefusal when it is another one, or its facility retired.

    said  facility_id, alarm_key, and by name what is in SAID
    """
    wanted = {"facility_id": said["facility_id"], "alarm_key": said["alarm_key"], "actor": actor.principal}
    wanted |= {name: said.get(name) for name in SAID}
    facility = await connection.fetchrow(LOCK_FACILITY, wanted["facility_id"])
    if facility is None:
        raise NotFound("Facility")
    known = await connection.fetchrow(READ_ASKED, command_id)
    if known is not None:
        _check_same(known, wanted)
        return
    if facility["retired_at"] is not None:
        raise HttpRefusal(409, RETIRED)
    event_id = wanted["about_event_id"]
    activation = (event_id, wanted["facility_id"], wanted["alarm_key"])
    if event_id is not None and await connection.fetchrow(FIND_ACTIVATION, *activation) is None:
        raise NotUsable.of("body", "event_id", NO_ACTIVATION)
    values = {**wanted, "actor_name": actor.name}
    names = (
        "facility_id", "alarm_key", "command", "actor", "actor_name", "reason", "until", "assignee", "work_order",
        "verdict", "about_event_id",
    )  # fmt: skip
    if await connection.fetchrow(ASK, command_id, *(values[name] for name in names)) is None:
        raise HttpRefusal(409, OTHER_COMMAND)
    await connection.execute(TELL_ENGINE, wanted["facility_id"])
    told = {name: wanted[name] for name in SAID if wanted[name]}
    subject = f"alarm:{wanted['facility_id']}:{wanted['alarm_key']}"
    await audit(connection, actor, Action.ALARM_COMMANDED, subject, after={**told, "command_id": command_id})


def _check_same(known: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    if any(known[name] != value for name, value in wanted.items()):
        raise HttpRefusal(409, OTHER_COMMAND)


class Reads(Protocol):
    """The part of a database that waiting needs."""

    async def row(self, sql: str, *arguments: object) -> Any:
        """The first row, or None."""


async def decided(database: Reads, clock: Clock, command_id: str, wait_s: float) -> Mapping[str, Any]:
    """The command when it is decided, or after `wait_s`. Looked at ever more seldom: mostly it takes an instant."""
    until_s = clock.monotonic_s() + wait_s
    look_s = FIRST_LOOK_S
    while True:
        asked: Mapping[str, Any] | None = await database.row(READ_ASKED, command_id)
        if asked is None:  # the facility was removed meanwhile, or the caller's right to it
            raise NotFound("Facility")
        left_s = until_s - clock.monotonic_s()
        if asked["state"] != "waiting" or left_s <= 0:
            return asked
        await clock.sleep(min(look_s, left_s))
        look_s = min(2 * look_s, LOOK_S_MAX)
