"""Notifications in the typed client against a real web server; the engine's part is played."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from engine.client import (
    GasInSight,
    Mail,
    NewChannel,
    NewSubscription,
    NotFound,
    NotPermitted,
    Refused,
    Unusable,
    Webhook,
)
from tests.integration.web.harness import ADMIN_EMAIL, ADMIN_PASSWORD, Web, web_server

pytestmark = pytest.mark.postgres

HOOK = Webhook(url="https://hooks.plant.example/gas?token=of-the-receiver", secret="sixteen letters!")
MAIL = Mail(host="mail.plant.example", sender="gas@plant.example", to=["a@plant.example", "b@plant.example"])
DELIVER = "UPDATE notification_messages SET state = 'delivered', attempts = 1, ended_at = now()"


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        await running.facility("f")
        yield running


@pytest_asyncio.fixture
async def gis(web: Web) -> AsyncIterator[GasInSight]:
    async with GasInSight(f"http://127.0.0.1:{web.port}", ADMIN_EMAIL, ADMIN_PASSWORD) as client:
        yield client


async def test_channels_are_made_listed_changed_and_deleted(gis: GasInSight) -> None:
    assert await gis.notifications.channels() == []
    new = NewChannel(name="control room", webhook=HOOK)
    assert "sixteen" not in repr(new) and "of-the-receiver" not in repr(new)
    made = await gis.notifications.create_channel(new)
    assert (made.kind, made.host, made.enabled, made.to) == ("webhook", "hooks.plant.example", True, [])
    with pytest.raises(Refused, match="There is a channel control room already"):
        await gis.notifications.create_channel(NewChannel(name="control room", mail=MAIL))
    mail = await gis.notifications.create_channel(NewChannel(name="a mail", mail=MAIL, acknowledge=True))
    assert (mail.port, mail.to, mail.acknowledge) == (587, MAIL.to, True)
    assert await gis.notifications.channels() == [mail, made]
    changed = await gis.notifications.replace_channel(mail.id, enabled=False)
    assert changed == mail.model_copy(update={"enabled": False})
    moved = await gis.notifications.replace_channel(mail.id, way=MAIL.model_copy(update={"host": "other.example"}))
    assert moved == changed.model_copy(update={"host": "other.example"})
    with pytest.raises(Refused, match="stays that"):
        await gis.notifications.replace_channel(mail.id, way=HOOK)
    assert await gis.notifications.delete_channel(mail.id) == moved
    with pytest.raises(NotFound):
        await gis.notifications.channel(mail.id)
    assert await gis.notifications.channel(made.id) == made


async def test_subscriptions_are_made_listed_replaced_and_deleted(gis: GasInSight) -> None:
    channel = await gis.notifications.create_channel(NewChannel(name="control room", webhook=HOOK))
    new = NewSubscription(channel_id=channel.id, name="night", from_time="22:00", to_time="06:00", zone="Europe/Berlin")
    made = await gis.notifications.create_subscription(new)
    assert (made.channel_name, made.days, made.facility_ids, made.zone) == ("control room", new.days, [], new.zone)
    with pytest.raises(Unusable, match="time zone"):
        await gis.notifications.create_subscription(new.model_copy(update={"zone": "Mars/Olympus"}))
    wanted = made.model_copy(update={"facility_ids": ["f"], "least_priority": "high"})
    assert await gis.notifications.replace_subscription(made.id, wanted) == wanted
    assert await gis.notifications.subscriptions() == [wanted]
    assert await gis.notifications.subscription(made.id) == wanted
    assert await gis.notifications.delete_subscription(made.id) == wanted
    assert await gis.notifications.subscriptions() == []


async def test_a_test_is_sent_and_what_was_sent_is_read_in_parts(web: Web, gis: GasInSight) -> None:
    channel = await gis.notifications.create_channel(NewChannel(name="mail", mail=MAIL))
    first, second = await gis.notifications.test(channel.id, wait_s=0)
    assert ([first.recipient, second.recipient], first.state) == (MAIL.to, "waiting")
    part = await gis.notifications.sent(channel_id=channel.id, state="waiting", skip=1, limit=1)
    assert ([one.id for one in part.rows], part.total) == ([first.id], 2)
    await web.database.execute(DELIVER)
    assert (await gis.notifications.sent(state="waiting")).rows == []
    assert {one.state for one in (await gis.notifications.sent()).rows} == {"delivered"}
    await gis.notifications.replace_channel(channel.id, enabled=False)
    with pytest.raises(Refused, match="The channel is off"):
        await gis.notifications.test(channel.id)


async def test_notifications_are_for_admins(web: Web, gis: GasInSight) -> None:
    await gis.admin.create_user("ann", "ann@plant.example", "a password of hers")
    async with GasInSight(gis.url, "ann", "a password of hers") as ann:
        with pytest.raises(NotPermitted):
            await ann.notifications.channels()
