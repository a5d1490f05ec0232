"""Channels and subscriptions over REST, what they keep secret, and the page that acknowledges."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from engine.notify.links import LINK_S_MAX, new_link
from engine.notify.sealing import unseal
from tests.integration.web.harness import Web, web_server
from web.api import notifications as routes
from web.contract import notification_shapes as shapes

pytestmark = pytest.mark.postgres

WEBHOOK = {"url": "https://hooks.plant.example/gas?token=of-the-receiver", "secret": "sixteen letters!"}
MAIL = {
    "host": "mail.plant.example",
    "user": "gas",
    "password": "a mailbox of its own",
    "sender": "gas@plant.example",
    "to": ["ann@plant.example"],
}
SECRETS = ("of-the-receiver", "sixteen letters!", "a mailbox of its own")
KEY = "another key of this test, to seal with"
Json = dict[str, Any]


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        await running.facility("f")
        yield running


async def post(web: Web, path: str, body: Json, status: int = 200) -> Any:
    answer = await web.client.post(path, headers=await web.admin(), json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def get(web: Web, path: str, **query: Any) -> Any:
    answer = await web.client.get(path, headers=await web.admin(), params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def channel(web: Web, **changes: Any) -> Json:
    made: Json = await post(web, "/notification-channels", {"name": "control room", "webhook": WEBHOOK, **changes})
    return made


async def test_what_a_channel_keeps_secret_goes_in_and_never_comes_out(web: Web) -> None:
    made = await channel(web)
    assert (made["kind"], made["host"]) == ("webhook", "hooks.plant.example")
    mail = await post(web, "/notification-channels", {"name": "mail", "mail": MAIL})
    assert (mail["to"], mail["user"], mail["port"]) == (MAIL["to"], "gas", 587)
    changed = await web.client.put(
        f"/notification-channels/{made['id']}", headers=await web.admin(), json={"webhook": WEBHOOK, "enabled": False}
    )
    seen = [made, mail, changed.json(), await get(web, "/notification-channels"), await get(web, "/audit")]
    assert not [secret for secret in SECRETS if secret in json.dumps(seen)]
    rows = await web.database.fetch("SELECT * FROM notification_channels ORDER BY id")
    assert [unseal(KEY, row["sealed"]) for row in rows] == [WEBHOOK, {"password": MAIL["password"]}]
    assert not [secret for secret in SECRETS if secret in str([row["settings"] for row in rows])]


async def test_a_change_keeps_what_it_does_not_name(web: Web) -> None:
    made = await channel(web, acknowledge=True)
    path = f"/notification-channels/{made['id']}"
    sealed = await web.database.fetchval("SELECT sealed FROM notification_channels")
    answer = await web.client.put(path, headers=await web.admin(), json={"name": "night shift"})
    assert answer.json() == {**made, "name": "night shift"}
    assert await web.database.fetchval("SELECT sealed FROM notification_channels") == sealed
    answer = await web.client.put(path, headers=await web.admin(), json={"mail": MAIL})
    assert (answer.status_code, answer.json()["detail"]) == (409, "The channel is of the kind webhook, and stays that")
    answer = await web.client.put(path, headers=await web.admin(), json={"acknowledge": False})
    assert (answer.json()["acknowledge"], answer.json()["host"]) == (False, made["host"])


@pytest.mark.parametrize(
    "part",
    [
        {},
        {"webhook": WEBHOOK, "mail": MAIL},
        {"webhook": {**WEBHOOK, "url": "http://hooks.plant.example"}},
        {"webhook": {**WEBHOOK, "url": "https://user@hooks.plant.example"}},
        {"webhook": {**WEBHOOK, "secret": "fifteen letters"}},
        {"mail": {**MAIL, "security": "none"}},
        {"mail": {**MAIL, "password": None}},
        {"mail": {**MAIL, "to": []}},
        {"mail": {**MAIL, "to": ["ann@plant.example", "Ann@plant.example"]}},
        {"mail": {**MAIL, "to": [f"{n}@plant.example" for n in range(shapes.RECIPIENTS_MAX + 1)]}},
        {"mail": {**MAIL, "sender": "gas@plant.example\r\nBcc: x@y"}},
    ],
)
async def test_what_is_no_channel_is_refused(web: Web, part: Json) -> None:
    await post(web, "/notification-channels", {"name": "control room", **part}, 422)


async def test_limits_are_told(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    recipients = [f"{n}@plant.example" for n in range(shapes.RECIPIENTS_MAX)]
    assert (
        len((await post(web, "/notification-channels", {"name": "m", "mail": {**MAIL, "to": recipients}}))["to"]) == 20
    )
    monkeypatch.setattr(routes, "CHANNELS_MAX", 2)
    made = await channel(web)
    refused = await post(web, "/notification-channels", {"name": "third", "webhook": WEBHOOK}, 409)
    assert refused["detail"] == "There are 2 channels already, which is all there may be"
    monkeypatch.setattr(routes, "SUBSCRIPTIONS_MAX", 1)
    wanted = {"channel_id": made["id"], "name": "all", "after_minutes": shapes.AFTER_MINUTES_MAX}
    await post(web, "/notification-subscriptions", {**wanted, "after_minutes": shapes.AFTER_MINUTES_MAX + 1}, 422)
    await post(web, "/notification-subscriptions", wanted)
    refused = await post(web, "/notification-subscriptions", wanted, 409)
    assert refused["detail"] == "There are 1 subscriptions already, which is all there may be"


async def test_a_secret_has_a_least_length_and_a_subscription_most_facilities_and_rules(web: Web) -> None:
    shortest = "x" * shapes.SECRET_CHARACTERS_MIN
    made = await channel(web, webhook={**WEBHOOK, "secret": shortest})
    shorter = {**WEBHOOK, "secret": shortest[1:]}
    await post(web, "/notification-channels", {"name": "shorter", "webhook": shorter}, 422)
    await web.database.execute(
        "INSERT INTO facilities SELECT 'f' || n, name, status, type, location_id, created_at"
        " FROM facilities, generate_series(1, $1) n",
        shapes.FACILITIES_MAX,
    )
    wanted = {"channel_id": made["id"], "name": "all"}
    for name, all_of_them in (
        ("facility_ids", [f"f{n}" for n in range(1, shapes.FACILITIES_MAX + 1)]),
        ("alarm_rules", [f"rule{n}" for n in range(shapes.RULES_MAX)]),
    ):
        kept = await post(web, "/notification-subscriptions", {**wanted, name: all_of_them})
        assert len(kept[name]) == len(all_of_them)
        await post(web, "/notification-subscriptions", {**wanted, name: [*all_of_them, "f"]}, 422)


async def test_a_name_is_taken_once(web: Web) -> None:
    await channel(web)
    refused = await post(web, "/notification-channels", {"name": "control room", "mail": MAIL}, 409)
    assert refused["detail"] == "There is a channel control room already"


async def test_without_a_key_no_channel_is_made(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path, notification_key=None) as web:
        refused = await post(web, "/notification-channels", {"name": "control room", "webhook": WEBHOOK}, 409)
        assert refused["detail"].startswith("NOTIFICATION_KEY is not set")


async def test_a_subscription_is_made_read_changed_and_taken_away(web: Web) -> None:
    made = await channel(web)
    wanted = {
        "channel_id": made["id"],
        "name": "night, urgent",
        "facility_ids": ["f"],
        "alarm_rules": ["high"],
        "least_priority": "high",
        "from_time": "22:00",
        "to_time": "06:00",
        "zone": "Europe/Berlin",
        "days": [6, 7],
    }
    subscription = await post(web, "/notification-subscriptions", wanted)
    assert {name: subscription[name] for name in wanted} == wanted
    path = f"/notification-subscriptions/{subscription['id']}"
    assert await get(web, path) == subscription
    changed = {**wanted, "facility_ids": [], "days": [1], "after_minutes": 10}
    answer = await web.client.put(path, headers=await web.admin(), json=changed)
    assert {name: answer.json()[name] for name in changed} == changed
    assert await get(web, "/notification-subscriptions") == [answer.json()]
    assert (await web.client.delete(path, headers=await web.admin())).json() == answer.json()
    assert await get(web, "/notification-subscriptions") == []


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"zone": "Mars/Olympus"}, 422),
        ({"zone": "foo+3"}, 422),
        ({"days": []}, 422),
        ({"days": [1, 1]}, 422),
        ({"days": [8]}, 422),
        ({"from_time": "24:00"}, 422),
        ({"after_minutes": 5, "returned": True}, 422),
        ({"facility_ids": ["nowhere"]}, 404),
        ({"channel_id": 2_000_000}, 404),
    ],
)
async def test_what_is_no_subscription_is_refused(web: Web, changes: Json, status: int) -> None:
    made = await channel(web)
    await post(web, "/notification-subscriptions", {"channel_id": made["id"], "name": "all", **changes}, status)


async def test_a_test_waits_for_the_engine_and_says_what_became_of_it(web: Web) -> None:
    made = await post(web, "/notification-channels", {"name": "mail", "mail": {**MAIL, "to": ["a@b.org", "c@d.org"]}})
    first, second = (await post(web, f"/notification-tests/{made['id']}", {"wait_s": 0}))["notifications"]
    assert (first["recipient"], second["recipient"], first["state"]) == ("a@b.org", "c@d.org", "waiting")
    page = await get(web, "/notifications", channel_id=made["id"], notification_state="waiting", page_size=1)
    assert (page["total"], page["notifications"]) == (2, [second])
    assert (await get(web, "/notifications", notification_state="delivered"))["total"] == 0
    await web.database.execute("UPDATE notification_messages SET state = 'delivered', ended_at = now()")
    assert (await get(web, "/notifications"))["notifications"][1]["next_try_at"] is None
    await web.client.put(f"/notification-channels/{made['id']}", headers=await web.admin(), json={"enabled": False})
    await post(web, f"/notification-tests/{made['id']}", {}, 409)


async def told(web: Web, **settings: Any) -> tuple[UUID, int]:
    """A message that told of `1:high`, which stands: its id, and the row of the journal."""
    number = await web.sensor("s", "f")
    event_id = await web.alarm("f", "1:high", number)
    made = await channel(web, **{"acknowledge": True, **settings})
    alarm = dict.fromkeys(("value", "limit", "unit", "consequence", "response", "sensor_id", "sensor_name"))
    alarm |= {"event_id": event_id, "facility_id": "f", "facility_name": "North", "alarm_id": "1:high"}
    alarm |= {"priority": "high", "transition": "activated", "message": "<b>above</b> its limit", "after_minutes": 0}
    alarm |= {"event_time_here": "2026-01-01 01:00:00 Europe/Berlin"}
    message_id = uuid4()
    await web.database.execute(
        """INSERT INTO notification_messages (message_id, group_id, channel_id, recipient, subject, content, made_at,
                                              state, attempts, next_try_at, ended_at, error)
           VALUES ($1, $1, $2, 'ann@plant.example', 'told', $3, now(), 'delivered', 1, now(), now(), '')""",
        message_id,
        made["id"],
        json.dumps({"total": 1, "counts": {"high": 1}, "alarms": [alarm]}),
    )
    return message_id, event_id


async def now_s(web: Web) -> int:
    return int(await web.database.fetchval("SELECT extract(epoch FROM now())"))


def token_of(message_id: UUID, made_at_s: int, key: str = KEY) -> str:
    return new_link("", key, message_id, made_at_s).partition("token=")[2]


async def test_a_link_acknowledges_by_its_button_only_and_in_the_recipients_name(web: Web) -> None:
    message_id, event_id = await told(web)
    token = token_of(message_id, await now_s(web))
    page = await web.client.get("/acknowledge", params={"token": token})
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "form-action 'self'" in page.headers["Content-Security-Policy"]
    assert "&lt;b&gt;above&lt;/b&gt; its limit" in page.text
    assert "<b>" not in page.text
    assert await web.database.fetchval("SELECT count(*) FROM alarm_commands") == 0
    button = {"token": token, "event_id": str(event_id)}
    monkey = pytest.MonkeyPatch()
    monkey.setattr("web.api.acknowledge.WAIT_S", 0)
    try:
        for _ in range(2):  # the second finds the first
            done = await web.client.post("/acknowledge", data=button)
            assert done.status_code == 200, done.text
            assert "By ann@plant.example." in done.text
    finally:
        monkey.undo()
    (command,) = await web.database.fetch("SELECT * FROM alarm_commands")
    assert (command["command"], command["actor_name"], command["state"]) == (
        "acknowledge",
        "ann@plant.example",
        "waiting",
    )
    assert command["actor"].startswith("channel:")
    entry = json.loads(await web.database.fetchval("SELECT entry FROM audit_log ORDER BY id DESC LIMIT 1"))
    assert (entry["action"], entry["actor"], entry["actor_name"]) == (
        "alarm.commanded",
        command["actor"],
        "ann@plant.example",
    )


async def test_a_link_that_is_not_good_is_told_so(web: Web) -> None:
    message_id, event_id = await told(web)
    made_at_s = await now_s(web)
    good = token_of(message_id, made_at_s - LINK_S_MAX + 60)
    assert (await web.client.get("/acknowledge", params={"token": good})).status_code == 200
    for bad in (
        token_of(message_id, made_at_s - LINK_S_MAX - 1),
        token_of(uuid4(), made_at_s),
        token_of(message_id, made_at_s, "somebody else's key"),
        f"{good}x",
        "é",
    ):
        assert (await web.client.get("/acknowledge", params={"token": bad})).status_code == 404
        answer = await web.client.post("/acknowledge", data={"token": bad, "event_id": str(event_id)})
        assert answer.status_code == 404, answer.text
    assert (await web.client.post("/acknowledge", data={"token": good, "event_id": "77"})).status_code == 422
    await web.database.execute("UPDATE notification_channels SET enabled = false")
    assert (await web.client.get("/acknowledge", params={"token": good})).status_code == 404
    assert await web.database.fetchval("SELECT count(*) FROM alarm_commands") == 0


async def test_an_old_link_does_not_acknowledge_what_came_again_since(web: Web) -> None:
    message_id, event_id = await told(web)
    await web.database.execute(
        """INSERT INTO alarm_events SELECT (jsonb_populate_record(e, '{"id": 2000000, "rule_version": 77}')).*
             FROM alarm_events e"""
    )
    button = {"token": token_of(message_id, await now_s(web)), "event_id": str(event_id)}
    answer = await web.client.post("/acknowledge", data=button)
    assert (answer.status_code, answer.json()["detail"].partition(" since")[0]) == (409, "The alarm has come again")


async def test_a_channel_that_does_not_offer_links_takes_none(web: Web) -> None:
    message_id, _ = await told(web, acknowledge=False)
    token = token_of(message_id, await now_s(web))
    assert (await web.client.get("/acknowledge", params={"token": token})).status_code == 404
