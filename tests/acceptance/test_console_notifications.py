"""Whom alarms are told is set up at the console: a channel, its test, a subscription, and what was sent."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Final

from tests.acceptance.test_console import console, plant, pytestmark, sign_in
from tests.integration.web.harness import Web, web_server

__all__ = ["pytestmark"]
CHANNELS: Final = "section[aria-label='Channels']"
SUBSCRIPTIONS: Final = "section[aria-label='Subscriptions']"
SENT: Final = "section[aria-label='What was sent']"


async def delivered(web: Web) -> None:
    """As the engine says it of what waits."""
    async with asyncio.timeout(5):
        while not await web.database.fetch(
            "UPDATE notification_messages SET state = 'delivered', attempts = 1, ended_at = now() RETURNING id"
        ):
            await asyncio.sleep(0.02)


async def fill(page: Any, **fields: str) -> None:
    for name, value in fields.items():
        await page.locator(f"dialog [name={name}]").fill(value)


async def save(page: Any) -> None:
    await page.locator("dialog button[type=submit]").click()


async def test_a_channel_is_made_tested_and_told_of_what_somebody_chose(database_url: str, tmp_path: Path) -> None:
    async with (
        web_server(database_url, tmp_path) as web,
        console(web, refused=True, timezone_id="Europe/Berlin") as page,
    ):
        await plant(web)
        await sign_in(page)
        await page.evaluate("location.hash = '#/admin/notifications'")
        await page.locator(f"{SENT} .nothing").wait_for()
        assert await page.locator(f"{SUBSCRIPTIONS} button").is_disabled(), "there is no channel yet"
        await page.locator(f"{CHANNELS} >> text=New channel").click()
        await fill(page, name="on call", host="mail.plant.example", sender="gas@plant.example", user="gas")
        await fill(page, to="ann@plant.example\nbob@plant.example")
        await save(page)
        await page.locator("dialog .problem >> text=both user and password").wait_for()
        await fill(page, password="a mailbox of its own")
        await save(page)
        await page.locator(f"{CHANNELS} td >> text=ann@plant.example, bob@plant.example").wait_for()
        await page.locator(f"{CHANNELS} >> text=Test").last.click()
        await delivered(web)
        await page.locator(".toast >> text=The test was taken: on call").wait_for()
        await page.locator(f"{SENT} td >> text=bob@plant.example").wait_for()
        await page.locator(f"{SENT} select").last.select_option("given_up")
        await page.locator(f"{SENT} .nothing").wait_for()

        await page.locator(f"{CHANNELS} >> text=Change").click()
        await fill(page, name="night shift")
        await save(page)
        await page.locator(f"{CHANNELS} td >> text=night shift").wait_for()
        settings = json.loads(await web.database.fetchval("SELECT settings FROM notification_channels"))
        assert settings["host"] == "mail.plant.example", "what nobody named stays"

        await page.locator(f"{SUBSCRIPTIONS} >> text=New subscription").click()
        await fill(page, name="nights", from_time="22:00", to_time="06:00", after_minutes="10")
        assert await page.locator("dialog [name=least_priority]").input_value() == "low", "all are told unless one says"
        await page.locator("dialog [name=least_priority]").select_option("high")
        for day in ("Sat", "Sun"):
            await page.locator(f"dialog .chip >> text={day}").click()
        await save(page)
        hours = page.locator(f"{SUBSCRIPTIONS} td >> text=/^Mon, Tue, Wed, Thu, Fri, 22:00.06:00 .Europe.Berlin.$/")
        await hours.wait_for()
        about = await page.locator(f"{SUBSCRIPTIONS} td.is-wide").first.inner_text()
        assert about == "All facilities · All rules · ≥ High · unacknowledged after 10 min"
        await page.locator(f"{CHANNELS} >> text=Remove").click()
        await page.locator("dialog button.danger").click()
        await page.locator(f"{SUBSCRIPTIONS} .nothing").wait_for()
        assert await web.database.fetchval("SELECT count(*) FROM notification_channels") == 0
