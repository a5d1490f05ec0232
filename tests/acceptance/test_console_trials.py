"""A change of rules is proved at the console before it holds: by a replay, by what would calm an alarm; or planned."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from engine.clock import SystemClock
from engine.historian.historian import Historian
from engine.replay.documents import kept_document
from engine.replay.values import Difference, FacilityResult, Figures
from tests.acceptance.test_console import console, plant, pytestmark, sign_in
from tests.acceptance.test_console_rules import RULES
from tests.integration.web.harness import Web, web_server
from tests.integration.web.planted import told

__all__ = ["pytestmark"]
TRIAL: Final = f"{RULES} .trial"
NONE: Final = {"same": 0, "added": 0, "removed": 0, "changed": 0}


@asynccontextmanager
async def engine(web: Web) -> AsyncIterator[Historian]:
    """What works at replays, without Ray."""
    assert web.settings.postgresql_url is not None
    historian = await Historian.open(web.settings.postgresql_url, web.settings, SystemClock())
    try:
        yield historian
    finally:
        await historian.close()


async def begun(historian: Historian) -> Any:
    """The part that somebody asks for."""
    async with asyncio.timeout(5):
        while not (parts := await historian.replays.claim(9)):
            await asyncio.sleep(0.02)
    return parts[0]


def came_of_it(number: int, at_us: int) -> FacilityResult:
    """The sensor's alarm is told once more, and one is told a minute later; an alarm of another sensor goes."""
    added = Difference("added", True, f"{number}:high", "high", "activated", "high", "one more", None, at_us)
    later = Difference(
        "later", True, f"{number}:low", "low", "activated", "low", "moved", at_us - 10**9, at_us - 94 * 10**7
    )
    gone = Difference("removed", True, f"{number + 1}:high", "high", "activated", "high", "elsewhere", at_us, None)
    before = Figures(3, {"high": 2, "low": 1}, ())
    after = Figures(4, {"high": 3, "low": 1}, ())
    alarms = {**NONE, "same": 1, "added": 1, "removed": 1, "earlier": 0, "later": 1}
    begun_us = at_us - 86_400 * 10**6
    return FacilityResult(
        "f", begun_us, at_us, None, 70, 2, alarms, NONE, before, after, ("late alarms are those of now",), "c",
        (added, later, gone),
    )  # fmt: skip


async def open_form(page: Any, high: str) -> None:
    await sign_in(page)
    await page.evaluate("location.hash = '#/sensor/s'")
    await page.locator(f"{RULES} .rules-held >> text=25").wait_for()
    await page.locator(f"{RULES} header button").click()
    await page.locator("input[aria-label='high: Limit']").fill(high)


async def test_a_change_is_tried_on_the_last_week_and_says_what_it_would_have_done(
    database_url: str, tmp_path: Path
) -> None:
    async with web_server(database_url, tmp_path) as web, engine(web) as historian, console(web, refused=True) as page:
        number = await plant(web)
        await web.sensor("t", "f")
        await open_form(page, "24")
        await page.locator(f"{TRIAL} >> text=Try on the last day").click()
        await page.locator(f"{TRIAL} >> text=waits for the engine").wait_for()
        await page.locator(f"{TRIAL} >> text=Cancel").click()
        await page.locator(f"{TRIAL} >> text=Cancelled").wait_for()
        assert await web.database.fetchval("SELECT state FROM replays") == "cancelled"
        await page.locator(f"{TRIAL} >> text=Try on the last week").click()
        part = await begun(historian)
        await historian.replays.tell(part, 0.5, 35)
        await historian.replays.sum_up(0)
        await page.locator(f"{TRIAL} >> text=readings lived again: 35").wait_for()
        assert await page.locator(f"{TRIAL} progress").get_attribute("value") == "0.5"
        at = datetime.now(UTC) - timedelta(hours=30)
        await historian.replays.end(part, kept_document(came_of_it(number, round(at.timestamp() * 1e6))), 70)
        await historian.replays.sum_up(0)
        await page.locator(f"{TRIAL} >> text=1 the same · 1 added · 1 gone · 1 later").wait_for()
        rows = await page.locator(f"{TRIAL} .table tr").all_inner_texts()
        assert "\t".join(rows[1:3]).split() == ["All", "3", "4", "Critical", "0", "0"]
        named = await page.locator(f"{TRIAL} > div > .trial-alarms li").evaluate_all(
            "all => all.map(one => one.dataset.kind)"
        )
        assert named == ["added", "later"], "another sensor's stand apart"
        assert await page.locator(f"{TRIAL} li[data-kind=later] >> text=1 min").count() == 1
        await page.locator(f"{TRIAL} >> text=Elsewhere in the facility: 1").wait_for()
        await page.locator(f"{TRIAL} >> text=late alarms are those of now").wait_for()
        wanted = json.loads(await web.database.fetchval("SELECT wanted FROM replays"))
        assert wanted["until_us"] - wanted["from_us"] == timedelta(days=7) // timedelta(microseconds=1)
        (proposal,) = wanted["proposals"]
        assert (proposal["sensor_id"], proposal["rules"]["rules"]) == ("s", [{"rule": "high", "limit": 24.0}])

        await page.locator(f"{TRIAL} li[data-kind=added] a").click()
        await page.wait_for_function("location.hash.startsWith('#/sensor/s?at=')")
        await page.locator("input[aria-label='high: Limit']").fill("1e40")
        await page.locator(f"{TRIAL} >> text=Tried with other settings").wait_for()
        await page.locator(f"{TRIAL} >> text=Try on the last day").click()
        await page.locator(f"{TRIAL} .problem >> text=high").wait_for()
        await page.locator(f"{RULES} >> text=Cancel").last.click()
        await page.locator(f"{RULES} .rules-held").wait_for()
        async with asyncio.timeout(5):
            while await web.database.fetchval("SELECT count(*) FROM replays"):
                await asyncio.sleep(0.02)


async def test_a_change_is_planned_with_its_reason_and_withdrawn(database_url: str, tmp_path: Path) -> None:
    async with (
        web_server(database_url, tmp_path) as web,
        console(web, refused=True, timezone_id="Europe/Berlin") as page,
    ):
        await plant(web)
        await open_form(page, "24")
        await page.locator("input[name=reason]").fill("order 4711")
        await page.locator(f"{RULES} >> text=Put in force").click()
        await page.locator(f"{RULES} .rules-held >> text=24").wait_for()
        await page.locator(f"{RULES} .versions summary").click()
        await page.locator(f"{RULES} .versions li >> text=order 4711").wait_for()
        await page.locator(f"{RULES} header button").click()
        await page.locator("input[aria-label='high: Limit']").fill("26")
        moment = page.locator("input[name=effective_from]")
        await moment.fill("2020-01-01T06:00")
        await page.locator(f"{RULES} button[type=submit] >> text=Plan").click()
        await page.locator(f"{RULES} form > .problem >> text=is not to come").wait_for()
        tomorrow = datetime.now(UTC).date() + timedelta(days=1)
        await moment.fill(f"{tomorrow}T06:00")
        await page.locator(f"{RULES} button[type=submit] >> text=Plan").click()
        await page.locator(f"{RULES} .planned li >> text=high · Limit: 26").wait_for()
        planned = await web.database.fetchrow("SELECT effective_from, settings FROM planned_rules")
        assert planned["effective_from"].hour in {4, 5}, "six o'clock in Berlin"
        assert json.loads(planned["settings"])["rules"] == [{"rule": "high", "limit": 26.0}]
        await page.locator(f"{RULES} .rules-held >> text=24").wait_for()
        await page.locator(f"{RULES} .planned button").click()
        await page.locator(f"{RULES} .planned").wait_for(state="detached")
        assert await web.database.fetchval("SELECT count(*) FROM planned_rules") == 0


async def test_what_would_calm_an_alarm_is_filled_into_the_form(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web, console(web, refused=True) as page:
        number = await plant(web)
        await planted_nuisance(web, number)
        await sign_in(page)
        await page.evaluate("location.hash = '#/sensor/s'")
        await page.locator(f"{RULES} >> text=What would calm it?").click()
        calming = page.locator(f"{RULES} .calming")
        await calming.locator("text=Fill into the form").click()
        assert await page.locator("input[aria-label='high: Deadband']").input_value() != ""
        await page.locator(f"{RULES} .changes li >> text=high · ").first.wait_for()
        await page.locator(f"{RULES} header button").wait_for(state="detached")


async def planted_nuisance(web: Web, number: int) -> None:
    """For an hour a value that goes beyond its limit for one reading of every second minute."""
    begin = datetime.now(UTC) - timedelta(hours=2)
    at = [begin + timedelta(seconds=15 * place) for place in range(240)]
    await web.readings(number, *((moment, "25.5" if place % 8 == 2 else "24.5") for place, moment in enumerate(at)))
    for moment in at[2::8]:
        await told(web, f"{number}:high", number, moment, "f")
