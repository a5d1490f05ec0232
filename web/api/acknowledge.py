"""The page behind the link of a notification: one button for each of its alarms.

Looking changes nothing, because mail scanners follow links; the button sends what acknowledges. Who holds the link is
the recipient of the message, by name, in the journal and in the audit log.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from quart import Response, request

from engine.notify.links import message_of
from engine.notify.words import facts, headline
from web.api.alarm_commands import ask, decided
from web.audit import Actor
from web.auth.guard import Need
from web.contract.declare import Noun, Page
from web.contract.notification_shapes import Acknowledgement, AcknowledgeQuery
from web.edge.requests import read_fields, secret_parameter
from web.errors import HttpRefusal, NotUsable
from web.serving.call import Call

noun = Noun("acknowledge", "The page behind the link of a notification")

WAIT_S = 5.0
NOT_GOOD = "This link is not good, or not any more: sign in to acknowledge"
POLICY = "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
READ_MESSAGE = """
SELECT m.message_id, m.channel_id, m.recipient, m.subject, m.content, c.name
  FROM notification_messages m JOIN notification_channels c ON c.id = m.channel_id
 WHERE m.message_id = $1 AND c.enabled AND coalesce((c.settings ->> 'acknowledge')::boolean, false)
"""
READ_STATE = "SELECT acknowledged, acknowledged_by FROM alarms WHERE facility_id = $1 AND alarm_key = $2"
COME_AGAIN = """
SELECT EXISTS (SELECT FROM alarm_events
                WHERE facility_id = $1 AND alarm_key = $2 AND id > $3 AND transition = 'activated')
"""


@noun.get("/acknowledge", Need.NOTHING, Page, statuses=(404, 422), secret_query=AcknowledgeQuery)
async def show_acknowledge_page(call: Call) -> Response:
    """What the message told, and a button for each alarm. Changes nothing. 404 for a link that is not good any more."""
    token = secret_parameter(request.scope, "token") or ""  # type: ignore[arg-type]
    message = await _message(call, token)
    rows = [f"<h1>{escape(message['subject'])}</h1>"]
    for alarm in json.loads(message["content"])["alarms"]:
        state = await call.services.database.row(READ_STATE, alarm["facility_id"], alarm["alarm_id"])
        rows.append(f"<h2>{escape(headline(alarm))}</h2><ul>")
        rows += [f"<li>{escape(name)}: {escape(said)}</li>" for name, said in facts(alarm)]
        rows.append("</ul>")
        if state is not None and state["acknowledged"]:
            rows.append("<p>It is acknowledged.</p>")
        else:
            rows.append(
                f'<form method="post" action="acknowledge"><input type="hidden" name="token" value="{escape(token)}">'
                f'<button name="event_id" value="{alarm["event_id"]}">Acknowledge</button></form>'
            )
    return _page(rows)


@noun.post("/acknowledge", Need.NOTHING, Page, statuses=(404, 409), form=Acknowledgement)
async def acknowledge_by_link(call: Call) -> Response:
    """As the recipient of the message. 404 for a link that is not good any more, 409 for an alarm that has come again
    since, and for one that cannot be acknowledged.
    """
    fields = await read_fields()
    message = await _message(call, str(fields.get("token", "")))
    alarm = _alarm(message, str(fields.get("event_id", "")))
    database = call.services.database
    facility_id, alarm_key, event_id = alarm["facility_id"], alarm["alarm_id"], alarm["event_id"]
    if await database.value(COME_AGAIN, facility_id, alarm_key, event_id):
        raise HttpRefusal(409, "The alarm has come again since this message: see the newer one, or sign in")
    who = message["recipient"] or message["name"]
    actor = Actor(f"channel:{message['channel_id']}", who, address=call.browser.address)
    wanted = {"facility_id": facility_id, "alarm_key": alarm_key, "command": "acknowledge", "reason": "by a link"}
    command_id = f"link-{message['message_id'].hex}-{event_id}"
    async with database.transaction() as connection:
        await ask(connection, actor, command_id, wanted)
    asked = await decided(database, call.services.clock, command_id, WAIT_S)
    if asked["state"] == "refused":
        raise HttpRefusal(409, asked["refusal"])
    done = "Acknowledged." if asked["state"] == "done" else "Written down; it will be acknowledged in a moment."
    return _page([f"<h1>{done}</h1>", f"<p>{escape(headline(alarm))}</p>", f"<p>By {escape(who)}.</p>"])


async def _message(call: Call, token: str) -> Any:
    key = call.services.settings.notification_key
    now_s = call.services.clock.now_us() / 1e6
    message_id = None if key is None else message_of(token, key.get_secret_value(), now_s)
    message = None if message_id is None else await call.services.database.row(READ_MESSAGE, message_id)
    if message is None:
        raise HttpRefusal(404, NOT_GOOD)
    return message


def _alarm(message: Mapping[str, Any], event_id: str) -> dict[str, Any]:
    """The one of the message; no other may be acknowledged by its link."""
    for alarm in json.loads(message["content"])["alarms"]:
        if str(alarm["event_id"]) == event_id:
            found: dict[str, Any] = alarm
            return found
    raise NotUsable.of("body", "event_id", "should be of an alarm in the message")


def _page(rows: list[str]) -> Response:
    html = "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>GasInSight</title>',
            '<meta name="viewport" content="width=device-width, initial-scale=1"></head><body>',
            *rows,
            "</body></html>",
        ]
    )
    response = Response(html, mimetype="text/html")
    response.headers["Content-Security-Policy"] = POLICY
    return response
