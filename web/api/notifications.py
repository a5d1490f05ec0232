"""Whom alarms are told outside of this system: Admins set up channels and subscriptions, and see what was sent.

The engine sends. What a channel keeps secret goes in sealed; the role that answers requests cannot even read it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import time
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from engine.notify.sealing import NO_KEY, seal
from web.audit import Action, audit, changes
from web.auth.guard import Need
from web.contract.declare import Noun
from web.contract.notification_shapes import (
    BODY_BYTES_MAX,
    CHANNELS_MAX,
    SUBSCRIPTIONS_MAX,
    Channel,
    ChannelChanges,
    ChannelKind,
    NewChannel,
    NewSubscription,
    Notification,
    NotificationPage,
    NotificationQuery,
    Notifications,
    NotificationTest,
    Subscription,
)
from web.contract.shapes import Paging
from web.errors import HttpRefusal, NotFound, NotUsable
from web.serving.call import Call
from web.serving.lists import AFTER_ALL_IDS, Part, Source, each, listed
from web.serving.rows import Rows

noun = Noun("notifications", "Whom alarms are told outside of this system")

TEST_SUBJECT = "Test of GasInSight notifications"
FIRST_LOOK_S = 0.1
LOOK_S_MAX = 1.0

CHANNEL = "SELECT id, name, kind, enabled, settings, created_at FROM notification_channels"
CHANNELS = Source(
    f"{CHANNEL} WHERE (name, id) > ($1, $2) ORDER BY name, id OFFSET $3 LIMIT $4",
    "SELECT count(*) FROM notification_channels",
    ("name", "id"),
    ("", 0),
)
READ_CHANNEL = f"{CHANNEL} WHERE id = $1"
LOCK_CHANNEL = f"{READ_CHANNEL} FOR NO KEY UPDATE"
TAKE_TURN = "SELECT pg_advisory_xact_lock(hashtext('gasinsight notification channels'))"
COUNT_CHANNELS = "SELECT count(*) FROM notification_channels"
INSERT_CHANNEL = """
INSERT INTO notification_channels (name, kind, enabled, settings, sealed) VALUES ($1, $2, $3, $4, $5)
RETURNING id, name, kind, enabled, settings, created_at
"""
UPDATE_CHANNEL = """
UPDATE notification_channels SET name = $2, enabled = $3, settings = $4 WHERE id = $1
RETURNING id, name, kind, enabled, settings, created_at
"""
SEAL_CHANNEL = "UPDATE notification_channels SET sealed = $2 WHERE id = $1"
DELETE_CHANNEL = "DELETE FROM notification_channels WHERE id = $1"
SUBSCRIPTION = """
SELECT s.id, s.channel_id, c.name AS channel_name, s.name, s.facility_ids, s.rules, s.least_priority, s.returned,
       s.after_minutes, s.days, s.from_time, s.to_time, s.zone, s.created_at
  FROM notification_subscriptions s JOIN notification_channels c ON c.id = s.channel_id
"""
SUBSCRIPTIONS = Source(
    f"{SUBSCRIPTION} WHERE s.id > $1 ORDER BY s.id OFFSET $2 LIMIT $3",
    "SELECT count(*) FROM notification_subscriptions",
    ("id",),
    (0,),
)
READ_SUBSCRIPTION = f"{SUBSCRIPTION} WHERE s.id = $1"
COUNT_SUBSCRIPTIONS = "SELECT count(*) FROM notification_subscriptions"
COLUMNS = (
    "channel_id", "name", "facility_ids", "rules", "least_priority", "returned", "after_minutes", "days", "from_time",
    "to_time", "zone"
)  # fmt: skip
INSERT_SUBSCRIPTION = f"""
INSERT INTO notification_subscriptions ({", ".join(COLUMNS)})
VALUES ({", ".join(f"${number}" for number in range(1, len(COLUMNS) + 1))}) RETURNING id
"""  # noqa: S608 - names of columns
UPDATE_SUBSCRIPTION = f"""
UPDATE notification_subscriptions SET {", ".join(f"{name} = ${n}" for n, name in enumerate(COLUMNS, 2))} WHERE id = $1
"""  # noqa: S608
DELETE_SUBSCRIPTION = "DELETE FROM notification_subscriptions WHERE id = $1"
KNOWS_ZONE = "SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = $1)"
UNKNOWN_FACILITIES = "SELECT unnest($1::text[]) EXCEPT SELECT id FROM facilities LIMIT 1"
WANTED = "($1::int IS NULL OR m.channel_id = $1) AND ($2::text IS NULL OR m.state = $2)"
MESSAGE = """
SELECT m.id, m.message_id::text, m.channel_id, c.name AS channel_name, m.recipient, m.subject,
       coalesce((m.content ->> 'total')::int, 0) AS alarms, m.state, m.attempts, m.made_at,
       CASE WHEN m.state = 'waiting' THEN m.next_try_at END AS next_try_at, m.ended_at, m.error
  FROM notification_messages m JOIN notification_channels c ON c.id = m.channel_id
"""
MESSAGES = Source(
    f"{MESSAGE} WHERE {WANTED} AND m.id < $3 ORDER BY m.id DESC OFFSET $4 LIMIT $5",
    f"SELECT count(*) FROM notification_messages m WHERE {WANTED}",  # noqa: S608
    ("id",),
    (AFTER_ALL_IDS,),
)
READ_GROUP = f"{MESSAGE} WHERE m.group_id = $1 ORDER BY m.id"
WRITE_TEST = """
INSERT INTO notification_messages (message_id, group_id, channel_id, recipient, subject, content, made_at, state,
                                   attempts, next_try_at, error)
VALUES ($1, $2, $3, $4, $5, $6, now(), 'waiting', 0, now(), '')
"""


@noun.get("/notification-channels", Need.ADMIN, list[Channel], is_list=True)
async def list_notification_channels(call: Call, query: Paging) -> Rows:
    """By name, without what they keep secret; `skip` and `limit`, or `page` and `page_size`."""
    return await listed(call, CHANNELS, (), Part.of(call, query), each(_channel))


@noun.post("/notification-channels", Need.ADMIN, Channel, statuses=(409,))
async def create_notification_channel(call: Call, body: NewChannel) -> Channel:
    """409 for a name that is taken, for too many, and where the server has no NOTIFICATION_KEY to seal secrets with."""
    assert body.kind is not None, "the shape says so"
    settings, sealed = _settings(body, body.acknowledge), _sealed(call, body)
    try:
        async with call.database.transaction() as connection:
            await connection.execute(TAKE_TURN)
            if await connection.fetchval(COUNT_CHANNELS) >= CHANNELS_MAX:
                raise HttpRefusal(409, f"There are {CHANNELS_MAX} channels already, which is all there may be")
            row = await connection.fetchrow(
                INSERT_CHANNEL, body.name, body.kind.value, body.enabled, json.dumps(settings), sealed
            )
            await audit(connection, call.actor, Action.CHANNEL_CREATED, _named(row["id"]), after=_kept(row))
    except asyncpg.UniqueViolationError as error:
        raise _taken(body.name) from error
    return _channel(row)


@noun.get("/notification-channels/{channel_id}", Need.ADMIN, Channel, statuses=(404,))
async def read_notification_channel(call: Call, channel_id: int) -> Channel:
    """One channel, without what it keeps secret."""
    return _channel(_present(await call.database.row(READ_CHANNEL, channel_id)))


@noun.put("/notification-channels/{channel_id}", Need.ADMIN, Channel, statuses=(404, 409))
async def update_notification_channel(call: Call, channel_id: int, body: ChannelChanges) -> Channel:
    """What is absent stays. Its kind does too: 409 for a part that is of another."""
    sealed = None if body.kind is None else _sealed(call, body)
    try:
        async with call.database.transaction() as connection:
            old = _present(await connection.fetchrow(LOCK_CHANNEL, channel_id))
            if body.kind not in {None, ChannelKind(old["kind"])}:
                raise HttpRefusal(409, f"The channel is of the kind {old['kind']}, and stays that")
            settings = json.loads(old["settings"])
            acknowledge = settings["acknowledge"] if body.acknowledge is None else body.acknowledge
            settings = {**settings, "acknowledge": acknowledge} if sealed is None else _settings(body, acknowledge)
            name = old["name"] if body.name is None else body.name
            enabled = old["enabled"] if body.enabled is None else body.enabled
            row = await connection.fetchrow(UPDATE_CHANNEL, channel_id, name, enabled, json.dumps(settings))
            before, after = changes(_kept(old), _kept(row))
            if sealed is not None:
                await connection.execute(SEAL_CHANNEL, channel_id, sealed)
                after["secrets_changed"] = True
            if after:
                await audit(
                    connection, call.actor, Action.CHANNEL_UPDATED, _named(channel_id), before=before, after=after
                )
    except asyncpg.UniqueViolationError as error:
        raise _taken(str(body.name)) from error
    return _channel(row)


@noun.delete("/notification-channels/{channel_id}", Need.ADMIN, Channel, statuses=(404,))
async def delete_notification_channel(call: Call, channel_id: int) -> Channel:
    """With its subscriptions, and with what waits for it."""
    async with call.database.transaction() as connection:
        row = _present(await connection.fetchrow(LOCK_CHANNEL, channel_id))
        await connection.execute(DELETE_CHANNEL, channel_id)
        await audit(connection, call.actor, Action.CHANNEL_DELETED, _named(channel_id), before=_kept(row))
    return _channel(row)


@noun.post("/notification-tests/{channel_id}", Need.ADMIN, Notifications, statuses=(404, 409))
async def send_test_notification(call: Call, channel_id: int, body: NotificationTest) -> Notifications:
    """A message that says it is a test, to each recipient, as the engine sends all others. The answer is what became of
    it within `wait_s`: `waiting` with an `error` is tried again like any other.
    """
    group_id = uuid.uuid4()
    async with call.database.transaction() as connection:
        row = _present(await connection.fetchrow(READ_CHANNEL, channel_id))
        if not row["enabled"]:
            raise HttpRefusal(409, "The channel is off")
        content = {"version": 1, "kind": "test", "channel": row["name"], "total": 0, "counts": {}, "alarms": []}
        for recipient in json.loads(row["settings"]).get("to") or [""]:
            message = uuid.uuid4(), group_id, channel_id, recipient, TEST_SUBJECT, json.dumps(content)
            await connection.execute(WRITE_TEST, *message)
        await audit(connection, call.actor, Action.CHANNEL_TESTED, _named(channel_id))
    return Notifications(notifications=await _tried(call, group_id, body.wait_s))


@noun.get("/notification-subscriptions", Need.ADMIN, list[Subscription], is_list=True)
async def list_notification_subscriptions(call: Call, query: Paging) -> Rows:
    """In the order in which they were made; `skip` and `limit`, or `page` and `page_size`."""
    return await listed(call, SUBSCRIPTIONS, (), Part.of(call, query), each(_subscription))


@noun.post("/notification-subscriptions", Need.ADMIN, Subscription, statuses=(404, 409), body_bytes_max=BODY_BYTES_MAX)
async def create_notification_subscription(call: Call, body: NewSubscription) -> Subscription:
    """From now on: what was recorded before is told to nobody anew. 404 for a channel or facility that is not there."""
    async with call.database.transaction() as connection:
        await connection.execute(TAKE_TURN)
        if await connection.fetchval(COUNT_SUBSCRIPTIONS) >= SUBSCRIPTIONS_MAX:
            raise HttpRefusal(409, f"There are {SUBSCRIPTIONS_MAX} subscriptions already, which is all there may be")
        await _check(connection, body)
        made_id = await connection.fetchval(INSERT_SUBSCRIPTION, *_values(body))
        row = await connection.fetchrow(READ_SUBSCRIPTION, made_id)
        about = f"notification_subscription:{made_id}"
        await audit(connection, call.actor, Action.SUBSCRIPTION_CREATED, about, after=body.model_dump(mode="json"))
    return _subscription(row)


@noun.get("/notification-subscriptions/{subscription_id}", Need.ADMIN, Subscription, statuses=(404,))
async def read_notification_subscription(call: Call, subscription_id: int) -> Subscription:
    """One subscription."""
    return await _read_subscription(call.database, subscription_id)


@noun.put("/notification-subscriptions/{subscription_id}", Need.ADMIN, Subscription, statuses=(404,))
async def update_notification_subscription(call: Call, subscription_id: int, body: NewSubscription) -> Subscription:
    """All of it is as said here, from now on."""
    async with call.database.transaction() as connection:
        old = _subscription(_present(await connection.fetchrow(READ_SUBSCRIPTION, subscription_id), "Subscription"))
        await _check(connection, body)
        await connection.execute(UPDATE_SUBSCRIPTION, subscription_id, *_values(body))
        new = _subscription(await connection.fetchrow(READ_SUBSCRIPTION, subscription_id))
        before, after = changes(old.model_dump(mode="json"), new.model_dump(mode="json"))
        if after:
            about = f"notification_subscription:{subscription_id}"
            await audit(connection, call.actor, Action.SUBSCRIPTION_UPDATED, about, before=before, after=after)
    return new


@noun.delete("/notification-subscriptions/{subscription_id}", Need.ADMIN, Subscription, statuses=(404,))
async def delete_notification_subscription(call: Call, subscription_id: int) -> Subscription:
    """With what it would have told and is in no message yet."""
    async with call.database.transaction() as connection:
        old = _subscription(_present(await connection.fetchrow(READ_SUBSCRIPTION, subscription_id), "Subscription"))
        await connection.execute(DELETE_SUBSCRIPTION, subscription_id)
        about = f"notification_subscription:{subscription_id}"
        await audit(connection, call.actor, Action.SUBSCRIPTION_DELETED, about, before=old.model_dump(mode="json"))
    return old


@noun.get("/notifications", Need.ADMIN, NotificationPage, is_list=True)
async def list_notifications(call: Call, query: NotificationQuery) -> Rows:
    """What was told, or is to be, the newest first; of the last 90 days."""
    scope = query.channel_id, query.notification_state
    return await listed(call, MESSAGES, scope, Part.of(call, query), each(_notification), rows_in="notifications")


async def _tried(call: Call, group_id: uuid.UUID, wait_s: float) -> list[Notification]:
    """When all were tried, or after `wait_s`."""
    clock = call.services.clock
    until_s, look_s = clock.monotonic_s() + wait_s, FIRST_LOOK_S
    while True:
        found = [_notification(row) for row in await call.database.rows(READ_GROUP, group_id)]
        left_s = until_s - clock.monotonic_s()
        if left_s <= 0 or all(one.state != "waiting" or one.error for one in found):
            return found
        await clock.sleep(min(look_s, left_s))
        look_s = min(2 * look_s, LOOK_S_MAX)


async def _read_subscription(database: Any, subscription_id: int) -> Subscription:
    return _subscription(_present(await database.row(READ_SUBSCRIPTION, subscription_id), "Subscription"))


async def _check(connection: Any, body: NewSubscription) -> None:
    """What only the database knows."""
    if await connection.fetchrow(READ_CHANNEL, body.channel_id) is None:
        raise NotFound("Channel")
    if await connection.fetchrow(UNKNOWN_FACILITIES, body.facility_ids) is not None:
        raise NotFound("Facility")
    if not await connection.fetchval(KNOWS_ZONE, body.zone):
        raise NotUsable.of("body", "zone", "should be the name of a time zone, such as Europe/Berlin or UTC")


def _settings(body: ChannelChanges, acknowledge: bool) -> dict[str, Any]:
    """What everybody may know."""
    if body.mail is not None:
        return {"acknowledge": acknowledge, **body.mail.model_dump(exclude={"password"})}
    way = body.webhook or body.teams
    assert way is not None, "one of them is given"
    return {"acknowledge": acknowledge, "host": urlsplit(way.url).hostname}


def _sealed(call: Call, body: ChannelChanges) -> bytes:
    """What nobody may."""
    key = call.services.settings.notification_key
    if key is None:
        raise HttpRefusal(409, NO_KEY)
    if body.mail is not None:
        secrets = body.mail.model_dump(include={"password"})
    else:
        way = body.webhook or body.teams
        assert way is not None, "one of them is given"
        secrets = way.model_dump()
    return seal(key.get_secret_value(), secrets)


def _values(body: NewSubscription) -> list[Any]:
    """By COLUMNS."""
    said = body.model_dump()
    said |= {"facility_ids": body.facility_ids or None, "rules": body.alarm_rules or None}
    for name in ("from_time", "to_time"):
        hour, minute = said[name].split(":")
        said[name] = time(int(hour), int(minute))
    return [said[name] for name in COLUMNS]


def _channel(row: Any) -> Channel:
    said = dict.fromkeys(("port", "security", "user", "sender")) | {"to": []} | json.loads(row["settings"])
    return Channel(**{**said, **{name: row[name] for name in ("id", "name", "kind", "enabled", "created_at")}})


def _subscription(row: Any) -> Subscription:
    said = dict(row)
    said |= {"facility_ids": row["facility_ids"] or [], "alarm_rules": said.pop("rules") or []}
    return Subscription(**said | {name: f"{row[name]:%H:%M}" for name in ("from_time", "to_time")})


def _notification(row: Any) -> Notification:
    return Notification(**row)


def _kept(row: Any) -> dict[str, Any]:
    """Of a channel, for the audit log."""
    return {"name": row["name"], "kind": row["kind"], "enabled": row["enabled"], **_said(json.loads(row["settings"]))}


def _said(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


def _named(channel_id: int) -> str:
    return f"notification_channel:{channel_id}"


def _present(row: Any | None, what: str = "Channel") -> Any:
    if row is None:
        raise NotFound(what)
    return row


def _taken(name: str) -> HttpRefusal:
    return HttpRefusal(409, f"There is a channel {name} already")
