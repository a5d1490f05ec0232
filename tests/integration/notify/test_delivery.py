"""None lost, none doubled beyond what the protocols allow: real receivers that go away, and a deliverer that dies."""

from __future__ import annotations

import random

import pytest

from engine import faultpoints
from engine.historian.outbox import GIVE_UP_S, GROUP_S_MAX, LEASE_S
from engine.notify.webhook import signature
from tests.integration.notify.conftest import SECRET, Site

pytestmark = pytest.mark.postgres


async def test_an_alarm_is_told_once_over_https_signed_and_with_its_facts(site: Site) -> None:
    await site.subscribe(await site.channel(acknowledge=True))
    await site.happens(site.now(value=26.5))
    await site.step()
    (received,) = site.receiver.received
    document = received.document
    assert received.headers["GasInSight-Message"] == document["id"]
    assert received.headers["GasInSight-Signature"] == signature(SECRET, received.body)
    assert received.headers["Host"] == f"127.0.0.1:{site.receiver.port}"
    assert document["subject"] == "[Facility f] HIGH: Problem detected"
    assert document["acknowledge_url"].startswith("https://gas.plant.example/acknowledge?token=")
    (alarm,) = document["alarms"]
    said = {name: alarm[name] for name in ("facility_id", "sensor_id", "rule", "value", "limit", "event_time")}
    assert said == {
        "facility_id": "f",
        "sensor_id": "f-s0",
        "rule": "high",
        "value": 26.5,
        "limit": 25.0,
        "event_time": "2026-01-01T00:00:00.000000Z",
    }
    await site.step(GROUP_S_MAX)
    assert len(site.receiver.received) == 1
    assert [row["state"] for row in await site.messages()] == ["delivered"]


async def test_a_mail_goes_over_starttls_after_a_login_to_each_recipient(site: Site) -> None:
    people = ["ann@plant.example", "bob@plant.example"]
    await site.subscribe(await site.channel("mail", to=people), zone="Europe/Berlin")
    await site.happens(site.now())
    await site.step()
    await site.step()
    first, second = site.mailbox.mails
    assert [first["To"], second["To"]] == people
    assert first["Subject"] == "[Facility f] HIGH: Problem detected"
    assert first["Message-ID"] != second["Message-ID"]
    assert "time: 2026-01-01 01:00:00 Europe/Berlin" in first.get_content()
    assert "Acknowledge:" not in first.get_content()


async def test_a_mail_that_was_refused_is_tried_again_under_the_same_id(site: Site) -> None:
    await site.subscribe(await site.channel("mail"))
    site.mailbox.refusals = ["451 not now"]
    await site.happens(site.now())
    await site.step()
    (waiting,) = await site.messages()
    assert (waiting["state"], waiting["attempts"]) == ("waiting", 1)
    assert "451" in waiting["error"]
    await site.step(4.9)
    assert not site.mailbox.mails
    await site.step(0.1)
    (mail,) = site.mailbox.mails
    assert str(waiting["message_id"]) in mail["Message-ID"]


async def test_a_card_goes_to_teams(site: Site) -> None:
    await site.subscribe(await site.channel("teams", acknowledge=True))
    await site.happens(site.now())
    await site.step()
    ((attachment,),) = [each.document["attachments"] for each in site.receiver.received]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert attachment["content"]["body"][0]["text"] == "[Facility f] HIGH: Problem detected"
    assert attachment["content"]["actions"][0]["url"].startswith("https://gas.plant.example/acknowledge?token=")


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_lost_or_doubled_while_receivers_come_and_go(site: Site, seed: int) -> None:
    """A request that was taken and not answered may come again: under its id, which is how it is known."""
    chance = random.Random(seed)
    await site.subscribe(await site.channel())
    await site.subscribe(await site.channel("mail", name="mail"))
    for number in range(25):
        await site.happens(site.now(rule=f"rule{number}"))
        match chance.randrange(6):
            case 0:
                await site.receiver.stop()
            case 1:
                await site.receiver.stop()
                await site.receiver.start()
            case 2:
                site.receiver.answers = [chance.choice([500, 302, 404, None])]
            case 3:
                await site.mailbox.stop()
            case 4:
                await site.mailbox.stop()
                await site.mailbox.start()
            case 5:  # the deliverer dies somewhere, and another one takes over
                site.deliverer.stop()
                site.deliverer = site.another_deliverer()
        await site.step(chance.choice([0, 1, 7, 40]))
    site.receiver.answers = []
    for server in (site.receiver, site.mailbox):
        await server.stop()
        await server.start()
    for _ in range(20):
        await site.step(GROUP_S_MAX)
    rows = await site.database.fetch("SELECT id FROM alarm_events ORDER BY id")
    by_id = {each.document["id"]: each for each in site.receiver.received}
    told = [alarm["event_id"] for each in by_id.values() for alarm in each.document["alarms"]]
    assert sorted(told) == [row["id"] for row in rows]
    mails = {mail["Message-ID"]: mail for mail in site.mailbox.mails}
    assert len(mails) == len(site.mailbox.mails)
    lines = [line for mail in mails.values() for line in mail.get_content().splitlines()]
    assert [lines.count(f"  alarm: 1:rule{number}") for number in range(25)] == [1] * 25


async def test_who_dies_between_sending_and_marking_sends_it_again_under_the_same_id(site: Site) -> None:
    async def die(name: str) -> None:
        if name == "notification_sent":
            raise RuntimeError("the test ends it here")

    await site.subscribe(await site.channel())
    await site.happens(site.now())
    before = faultpoints.install(die)
    try:
        await site.step()
    finally:
        faultpoints.install(before)
    site.deliverer = site.another_deliverer()
    await site.step(LEASE_S - 1)
    assert len(site.receiver.received) == 1
    await site.step(1)
    first, again = site.receiver.received
    assert first.body == again.body
    assert first.headers["GasInSight-Message"] == again.headers["GasInSight-Message"]
    await site.step(GROUP_S_MAX)
    assert len(site.receiver.received) == 2


async def test_two_engines_send_one_message(site: Site) -> None:
    await site.subscribe(await site.channel())
    await site.happens(site.now())
    other = site.another_deliverer()
    await site.deliverer.step()
    await other.step()
    await site.deliverer.settle()
    await other.settle()
    assert len(site.receiver.received) == 1


async def test_after_a_day_it_is_given_up_and_that_is_said(site: Site) -> None:
    await site.subscribe(await site.channel())
    await site.receiver.stop()
    await site.happens(site.now())
    await site.step()
    await site.step(61)
    await site.deliverer.look()
    (trouble,) = site.deliverer.troubles
    assert trouble.startswith("notifications to control room: 1 wait, the oldest for 61 s (127.0.0.1 does not answer")
    await site.step(GIVE_UP_S - 62)
    assert [row["state"] for row in await site.messages()] == ["waiting"]
    await site.step(300)
    assert [row["state"] for row in await site.messages()] == ["given_up"]
    await site.deliverer.look()
    assert "1 were given up within a day" in site.deliverer.troubles[0]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"notification_networks": ""}, "127.0.0.1 is 127.0.0.1, which is no public address"),
        ({"notification_key": None}, "NOTIFICATION_KEY is not set"),
    ],
)
async def test_what_the_settings_do_not_allow_is_not_sent_and_says_why(
    site: Site, changes: dict[str, object], error: str
) -> None:
    await site.subscribe(await site.channel())
    await site.subscribe(await site.channel("mail", name="mail"))
    await site.happens(site.now())
    site.deliverer = site.another_deliverer(**changes)
    await site.step()
    assert (site.receiver.received, site.mailbox.mails) == ([], [])
    assert all(error in row["error"] for row in await site.messages())


async def test_a_redirect_is_not_followed(site: Site) -> None:
    await site.subscribe(await site.channel())
    site.receiver.answers = [302]
    await site.happens(site.now())
    await site.step()
    assert len(site.receiver.received) == 1
    assert [row["error"] for row in await site.messages()] == ["127.0.0.1 answered 302"]
