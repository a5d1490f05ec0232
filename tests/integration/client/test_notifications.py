"""Notifications in the typed client and in the terminal, against a real web server; the engine's part is played."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from typer.testing import CliRunner, Result

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
from engine.commands.cli.app import app
from engine.commands.login import NotDone
from engine.errors import SettingsError
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


async def gasinsight(web: Web, *words: str, **environment: str) -> Result:
    login = ["--url", f"http://127.0.0.1:{web.port}", "--user", ADMIN_EMAIL, "--data-dir", str(web.settings.data_dir)]
    environment = {"GASINSIGHT_PASSWORD": ADMIN_PASSWORD, "COLUMNS": "200", **environment}
    return await asyncio.to_thread(CliRunner().invoke, app, ["notify", *words, *login], env=environment)


async def test_the_command_makes_lists_and_tests(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.commands.notify.TEST_WAIT_S", 0)
    assert "add-channel` makes one" in (await gasinsight(web, "channels")).stdout
    assert "add-subscription` makes one" in (await gasinsight(web, "subscriptions")).stdout
    file = tmp_path / "new.json"
    login = {"user": "gas", "password": {"env": "MAIL_PASSWORD"}}
    file.write_text(json.dumps({"name": "[red]call", "mail": {**MAIL.model_dump(exclude_none=True), **login}}))
    made = await gasinsight(web, "add-channel", str(file), MAIL_PASSWORD="a mailbox of its own")
    assert "channel 1 ([red]call) is made" in made.stdout, made.exception
    file.write_text(json.dumps({"channel_id": 1, "name": "night", "days": [6, 7], "from_time": "22:00"}))
    made = await gasinsight(web, "add-subscription", str(file), "--json")
    assert json.loads(made.stdout)["channel_name"] == "[red]call"

    channels = (await gasinsight(web, "channels")).stdout
    assert "[red]call" in channels and "a@plant.example, b@plant.example by mail.plant.example" in channels
    assert "Sat, Sun 22:00-00:00 UTC" in (await gasinsight(web, "subscriptions")).stdout
    tried = await gasinsight(web, "test", "[red]call")
    assert "to b@plant.example: waiting; does the engine run?" in tried.stdout
    assert_says(tried, NotDone, "not everybody has the test yet")
    listed = await gasinsight(web, "list", "--channel", "1", "--state", "waiting", "--limit", "1")
    assert "b@plant.example" in listed.stdout and "1 of 2 messages." in listed.stdout
    lines = (await gasinsight(web, "list", "--json")).stdout.splitlines()
    assert [json.loads(line)["recipient"] for line in lines] == ["b@plant.example", "a@plant.example"]
    assert_says(await gasinsight(web, "test", "2"), NotDone, "no channel has the id or the name '2'")


async def test_a_test_that_everybody_has_is_a_success(web: Web, gis: GasInSight) -> None:
    await gis.notifications.create_channel(NewChannel(name="mail", mail=MAIL))
    testing = asyncio.create_task(gasinsight(web, "test", "mail"))
    while await web.database.execute(DELIVER) != "UPDATE 2":
        await asyncio.sleep(0.02)
    tried = await testing
    assert (tried.exit_code, tried.stdout.splitlines()) == (
        0,
        [f"test over mail to {recipient}: delivered" for recipient in MAIL.to],
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is no JSON, line 1"),
        ("[]", "should hold one JSON object"),
        ('{"name": "a", "mial": {}}', "mial: Extra inputs are not permitted"),
        ('{"name": "a", "webhook": {"url": "https://a.example"}}', "webhook.secret: Field required"),
        ('{"name": "a", "teams": {"url": {"env": "NOWHERE_SET"}}}', "teams.url is to be in the variable NOWHERE_SET"),
        ('{"name": "a", "teams": {"url": {"file": "x"}}}', 'should be a value, or {"env": "NAME"}'),
    ],
)
def test_a_file_that_is_no_channel_is_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "new.json").write_text(text)
    words = ["notify", "add-channel", str(tmp_path / "new.json"), "--user", "ann", "--password", "x"]
    assert_says(CliRunner().invoke(app, [*words, "--data-dir", str(tmp_path)]), SettingsError, sentence)


def assert_says(result: Result, kind: type[Exception], sentence: str) -> None:
    """`main` prints such errors as one sentence."""
    assert isinstance(result.exception, kind), result.output
    assert sentence in str(result.exception)
