"""Notifications: whom alarms are told outside of the system, and what was sent."""

from __future__ import annotations

from typing import Any

from engine.client.asking import Asking, Part
from engine.client.notification_shapes import (
    Channel,
    Mail,
    NewChannel,
    NewSubscription,
    Notification,
    NotificationPage,
    Subscription,
    Teams,
    TriedNotifications,
    Webhook,
)

ROWS = 500
"""The server keeps no more channels or subscriptions than this."""

SENT = 100
WAIT_S = 5.0


class Notifications:
    """Of one client, as `gis.notifications`; NotPermitted for everybody but Admins."""

    def __init__(self, client: Asking) -> None:
        self._client = client

    # channels

    async def channels(self) -> list[Channel]:
        """All, by name."""
        return await self._client.rows(Channel, "/notification-channels", limit=ROWS)

    async def channel(self, channel_id: int) -> Channel:
        return await self._client.get(Channel, _of_channel(channel_id))

    async def create_channel(self, new: NewChannel) -> Channel:
        """Refused when the name is taken, and where the server has no key to seal secrets with."""
        return await self._client.send(Channel, "POST", "/notification-channels", new.model_dump(exclude_none=True))

    async def replace_channel(
        self,
        channel_id: int,
        *,
        name: str | None = None,
        enabled: bool | None = None,
        acknowledge: bool | None = None,
        way: Webhook | Mail | Teams | None = None,
    ) -> Channel:
        """What is None stays. `way` replaces the old one whole, its secrets too, and is of the same kind."""
        said: dict[str, Any] = {"name": name, "enabled": enabled, "acknowledge": acknowledge}
        body = {key: value for key, value in said.items() if value is not None}
        if way is not None:
            body[type(way).__name__.lower()] = way.model_dump(exclude_none=True)
        return await self._client.send(Channel, "PUT", _of_channel(channel_id), body)

    async def delete_channel(self, channel_id: int) -> Channel:
        """With its subscriptions, and with what waits for it."""
        return await self._client.send(Channel, "DELETE", _of_channel(channel_id))

    async def test(self, channel_id: int, *, wait_s: float = WAIT_S) -> list[Notification]:
        """Send a message that says it is a test, one to each recipient, and wait for what becomes of it: at most 30 s
        and less than the client's timeout. Refused when the channel is off.
        """
        path, body = f"/notification-tests/{channel_id}", {"wait_s": wait_s}
        return (await self._client.send(TriedNotifications, "POST", path, body)).notifications

    # subscriptions

    async def subscriptions(self) -> list[Subscription]:
        """All, in the order in which they were made."""
        return await self._client.rows(Subscription, "/notification-subscriptions", limit=ROWS)

    async def subscription(self, subscription_id: int) -> Subscription:
        return await self._client.get(Subscription, _of_subscription(subscription_id))

    async def create_subscription(self, new: NewSubscription) -> Subscription:
        """Of what is recorded from now on."""
        return await self._client.send(Subscription, "POST", "/notification-subscriptions", _body(new))

    async def replace_subscription(self, subscription_id: int, new: NewSubscription) -> Subscription:
        """All of it is as said here, from now on."""
        return await self._client.send(Subscription, "PUT", _of_subscription(subscription_id), _body(new))

    async def delete_subscription(self, subscription_id: int) -> Subscription:
        """With what it would have told and is in no message yet."""
        return await self._client.send(Subscription, "DELETE", _of_subscription(subscription_id))

    # messages

    async def sent(
        self, *, channel_id: int | None = None, state: str | None = None, skip: int = 0, limit: int = SENT
    ) -> Part[Notification]:
        """Some of the messages of the last 90 days, and those that wait, the newest first; and how many there are."""
        wanted = {"channel_id": channel_id, "notification_state": state}
        query = {name: value for name, value in wanted.items() if value is not None}
        page = await self._client.get(NotificationPage, "/notifications", **query, skip=skip, limit=limit)
        return Part(page.notifications, page.total)


def _body(new: NewSubscription) -> dict[str, Any]:
    """Also of one that the server answered with."""
    return new.model_dump(include=set(NewSubscription.model_fields))


def _of_channel(channel_id: int) -> str:
    return f"/notification-channels/{channel_id}"


def _of_subscription(subscription_id: int) -> str:
    return f"/notification-subscriptions/{subscription_id}"
