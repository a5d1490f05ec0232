"""Who is told of what and when: rights in the journal's order, times of day, floods, escalation."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any

import pytest

from engine.historian.outbox import EVENTS_AT_ONCE, GIVE_UP_S, GROUP_S, KEPT_DAYS, LINES_MAX
from tests.integration.notify.conftest import Site, minutes, us

pytestmark = pytest.mark.postgres


async def told_rules(site: Site) -> list[str]:
    return [alarm["rule"] for each in site.receiver.received for alarm in each.document["alarms"]]


async def test_five_hundred_alarms_are_a_handful_of_messages(site: Site) -> None:
    await site.subscribe(await site.channel())
    for number in range(50):
        await site.happens(*(site.now(rule=f"{number}-{each}") for each in range(10)))
        await site.step(3)
    for _ in range(4):
        await site.step(GROUP_S)
    received = [each.document for each in site.receiver.received]
    assert sum(each["total"] for each in received) == 500
    assert len(received) <= 5
    assert received[0]["total"] == 10
    assert max(len(each["alarms"]) for each in received) == LINES_MAX
    assert received[-1]["subject"].startswith("[Facility f] ")
    assert site.told == sorted(site.told)


async def test_the_first_is_told_at_once_and_what_follows_waits_for_the_next_message(site: Site) -> None:
    await site.subscribe(await site.channel())
    await site.happens(site.now(rule="a"))
    await site.step()
    await site.happens(site.now(rule="b"))
    await site.step(GROUP_S - 1)
    assert await told_rules(site) == ["a"]
    await site.step(1)
    assert await told_rules(site) == ["a", "b"]
    await site.happens(site.now(rule="c"))
    await site.step(GROUP_S)
    assert await told_rules(site) == ["a", "b"]  # the wait has doubled
    await site.happens(site.now(rule="d", priority="critical"))
    await site.step()
    assert await told_rules(site) == ["a", "b", "d", "c"]


async def test_an_alarm_that_nobody_acknowledges_is_escalated_at_its_time(site: Site) -> None:
    await site.subscribe(await site.channel(), after_minutes=10)
    await site.happens(site.now(), site.now(sensor=1))
    await site.step()
    await site.happens(site.now("acknowledged", sensor=1))
    await site.step(minutes(10) - 1)
    assert site.told == []
    await site.step(1)
    (received,) = site.receiver.received
    (alarm,) = received.document["alarms"]
    assert (alarm["sensor_id"], alarm["after_minutes"]) == ("f-s0", 10)
    assert received.document["subject"].endswith("(nobody acknowledged it for 10 min)")
    await site.step(minutes(60))
    assert len(site.receiver.received) == 1


async def test_what_comes_and_goes_is_escalated_from_its_first_time(site: Site) -> None:
    await site.subscribe(await site.channel(), after_minutes=10)
    for _ in range(5):
        await site.happens(site.now())
        await site.step(minutes(1))
        await site.happens(site.now("returned"))
        await site.step(minutes(1))
    assert len(site.told) == 1


async def test_an_alarm_that_comes_after_it_was_acknowledged_has_its_own_time(site: Site) -> None:
    await site.subscribe(await site.channel(), after_minutes=10)
    first = site.now()
    await site.clock.advance(1)
    acknowledged = site.now("acknowledged")
    await site.clock.advance(1)
    await site.happens(first, acknowledged, site.now("returned"))
    await site.happens(site.now())
    await site.step(minutes(10) - 1)
    assert site.told == []
    await site.step(1)
    assert len(site.told) == 1


@pytest.mark.parametrize("suppression", ["shelved", "suppressed", "out_of_service"])
async def test_what_is_kept_from_people_is_not_told(site: Site, suppression: str) -> None:
    channel = await site.channel()
    await site.subscribe(channel, after_minutes=10)
    await site.subscribe(channel, returned=True)
    await site.happens(site.now())
    await site.step()
    await site.happens(site.now(suppression))
    await site.clock.advance(1)
    await site.happens(site.now("activated_silently", rule="low"), site.now("returned"))
    await site.step(minutes(30))
    assert await told_rules(site) == ["high"]


async def test_the_end_is_told_to_who_wants_it_and_heard_of_the_beginning(site: Site) -> None:
    await site.subscribe(await site.channel(), returned=True)
    await site.happens(site.now())
    await site.step()
    await site.happens(site.now("returned"), site.now("returned", rule="low"))
    await site.step(GROUP_S)
    told = [
        (alarm["rule"], alarm["transition"]) for each in site.receiver.received for alarm in each.document["alarms"]
    ]
    assert told == [("high", "activated"), ("high", "returned")]


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        ({}, ["a", "b", "c"]),
        ({"least_priority": "medium"}, ["b", "c"]),
        ({"least_priority": "critical"}, ["c"]),
        ({"rules": ["a", "c"]}, ["a", "c"]),
        ({"facility_ids": ["g"]}, []),
        ({"facility_ids": ["g", "f"]}, ["a", "b", "c"]),
    ],
)
async def test_a_subscription_says_of_what(site: Site, changes: dict[str, Any], rules: list[str]) -> None:
    await site.subscribe(await site.channel(), **changes)
    priorities = {"a": "low", "b": "medium", "c": "critical"}
    await site.happens(*(site.now(rule=rule, priority=priority) for rule, priority in priorities.items()))
    await site.step()
    assert sorted(await told_rules(site)) == rules


async def test_a_channel_is_told_once_of_what_two_subscriptions_want(site: Site) -> None:
    channel = await site.channel()
    await site.subscribe(channel)
    await site.subscribe(channel, least_priority="high")
    await site.happens(site.now())
    await site.step()
    assert len(site.told) == 1


NIGHT = {"from_time": time(22), "to_time": time(6), "zone": "Europe/Berlin"}


@pytest.mark.parametrize(
    ("moment", "changes", "is_told"),
    [
        # the clocks of Berlin go from 02:00 to 03:00 on 2026-03-29, and from 03:00 to 02:00 on 2026-10-25
        ("2026-03-28T20:59:59", NIGHT, False),
        ("2026-03-28T21:00:00", NIGHT, True),
        ("2026-03-29T03:59:59", NIGHT, True),
        ("2026-03-29T04:00:00", NIGHT, False),
        ("2026-10-25T04:59:59", NIGHT, True),
        ("2026-10-25T05:00:00", NIGHT, False),
        # the night from Saturday to Sunday is Saturday's
        ("2026-03-29T03:00:00", {**NIGHT, "days": [6]}, True),
        ("2026-03-29T03:00:00", {**NIGHT, "days": [7]}, False),
        ("2026-03-29T20:30:00", {**NIGHT, "days": [7]}, True),
        # both halves of the hour that comes twice
        ("2026-10-25T00:30:00", {"from_time": time(2), "to_time": time(3), "zone": "Europe/Berlin"}, True),
        ("2026-10-25T01:30:00", {"from_time": time(2), "to_time": time(3), "zone": "Europe/Berlin"}, True),
        ("2026-10-25T02:00:00", {"from_time": time(2), "to_time": time(3), "zone": "Europe/Berlin"}, False),
        # an escalation is judged by when it would be told
        ("2026-03-30T05:55:00", {"from_time": time(6), "to_time": time(7), "after_minutes": 5}, True),
        ("2026-03-30T06:55:00", {"from_time": time(6), "to_time": time(7), "after_minutes": 5}, False),
    ],
)
async def test_times_of_day_hold_over_the_change_of_the_clock(
    site: Site, moment: str, changes: dict[str, Any], is_told: bool
) -> None:
    await site.subscribe(await site.channel(), **changes)
    at_s = datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()
    await site.clock.advance(at_s - site.clock.now_us() / 1e6)
    await site.happens(site.now())
    await site.step()
    await site.step(minutes(5))
    assert bool(site.told) is is_told


async def test_what_happened_before_there_was_a_subscription_is_no_news(site: Site) -> None:
    channel = await site.channel()
    await site.happens(site.now())
    await site.step()
    await site.subscribe(channel)
    await site.step(minutes(1))
    assert site.told == []


async def test_a_long_journal_is_read_in_pieces_without_a_gap(site: Site) -> None:
    await site.subscribe(await site.channel())
    events = [site.now(rule=f"rule {number}") for number in range(EVENTS_AT_ONCE + 1)]
    await site.happens(*events)
    await site.step()
    (received,) = site.receiver.received
    assert received.document["total"] == EVENTS_AT_ONCE + 1
    assert received.document["counts"] == {"critical": 0, "high": EVENTS_AT_ONCE + 1, "medium": 0, "low": 0}


async def test_what_was_removed_meanwhile_is_told_to_nobody(site: Site) -> None:
    await site.subscribe(await site.channel())
    await site.receiver.stop()
    await site.happens(site.now())
    await site.historian.outbox.plan()
    await site.database.execute("DELETE FROM alarm_events")
    await site.step()
    assert await site.messages() == []


async def test_what_was_told_long_ago_is_forgotten_and_what_is_off_is_given_up(site: Site) -> None:
    channel = await site.channel()
    await site.subscribe(channel)
    await site.happens(site.now())
    await site.step()
    await site.receiver.stop()
    await site.happens(site.now(rule="low"))
    await site.step(GROUP_S)
    await site.database.execute("UPDATE notification_channels SET enabled = false")
    outbox = site.historian.outbox
    await outbox.keep_house(site.clock.now_us() + us(GIVE_UP_S))
    assert [row["state"] for row in await site.messages()] == ["delivered", "waiting"]
    await outbox.keep_house(site.clock.now_us() + us(GIVE_UP_S + 1))
    assert [row["state"] for row in await site.messages()] == ["delivered", "given_up"]
    await outbox.keep_house(site.clock.now_us() + us(KEPT_DAYS * 86_400 - GROUP_S))
    assert len(await site.messages()) == 2
    await outbox.keep_house(site.clock.now_us() + us(KEPT_DAYS * 86_400 + 1))
    assert await site.messages() == []
    assert await site.database.fetchval("SELECT count(*) FROM notification_entries") == 0
