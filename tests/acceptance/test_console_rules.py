"""What is changed at the console: seen beforehand, refused in the server's words, in force afterwards, taken back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.acceptance.test_console import console, plant, pytestmark, sign_in, tell
from tests.integration.web.harness import Web, web_server

__all__ = ["pytestmark"]
RULES = "section.rules[aria-label='Alarm rules']"
DETECTION = "section.rules[aria-label='Detection of anomalies']"


async def last_set(web: Web) -> Any:
    return json.loads(await web.database.fetchval("SELECT settings FROM sensor_rules ORDER BY id DESC LIMIT 1"))


async def test_a_limit_is_changed_with_its_effect_in_sight_and_taken_back(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        await plant(web)  # 22.5, 23.5 and 24.5 in turn, 67 times
        async with console(web, refused=True) as page:
            await sign_in(page)
            await page.evaluate("location.hash = '#/sensor/s'")
            await page.locator(f"{RULES} .rules-held >> text=25").wait_for()
            await page.locator(f"{RULES} header button").click()
            assert await page.locator(f"{RULES} button[type=submit]").is_disabled(), "nothing is changed yet"
            limit = page.locator("input[aria-label='high: Limit']")
            await limit.fill("24")
            await page.locator(f"{RULES} .changes >> text=high · Limit: 25 → 24").wait_for()
            await page.locator(f"{RULES} .changes >> text=0 excursions so far, 66 with the change").wait_for()
            await limit.fill("1e40")
            await page.locator(f"{RULES} button[type=submit]").click()
            await page.locator(f"{RULES} .problem >> text=high").wait_for()
            await page.locator("tr.is-refused label").wait_for()
            await limit.fill("24")
            await page.locator("select[aria-label='high: Priority']").select_option("critical")
            await page.locator(f"{RULES} button[type=submit]").click()
            await page.locator(f"{RULES} .rules-held .priority-critical >> text=24").wait_for()
            assert await last_set(web) == {"rules": [{"rule": "high", "limit": 24.0, "priority": "critical"}]}
            await page.locator(f"{RULES} header button").click()
            await page.locator(f"{RULES} >> text=As the type has it").last.click()
            await page.locator(f"{RULES} .rules-held >> text=25").wait_for()
            assert await last_set(web) == {}


async def test_how_anomalies_are_looked_for_is_changed(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        await plant(web)
        async with console(web) as page:
            await sign_in(page)
            await page.evaluate("location.hash = '#/sensor/s'")
            await page.locator(f"{DETECTION} >> text=One false alarm in 20 days").wait_for()
            await page.locator(f"{DETECTION} header button").click()
            await page.locator(f"{DETECTION} .number").first.fill("60")
            await page.locator(f"{DETECTION} button[type=submit]").click()
            await page.locator(f"{DETECTION} >> text=One false alarm in 60 days").wait_for()


async def test_a_number_is_what_was_typed_key_by_key(database_url: str, tmp_path: Path) -> None:
    """Also while it is none yet: `-`, `0.`; and what is none is not sent."""
    async with web_server(database_url, tmp_path) as web:
        await plant(web)
        async with console(web) as page:
            await sign_in(page)
            await page.evaluate("location.hash = '#/sensor/s'")
            await page.locator(f"{RULES} header button").click()
            for field, typed in (("Limit", "-1.05"), ("Deadband", "0,05")):
                await page.locator(f"input[aria-label='high: {field}']").press_sequentially(typed)
            await page.locator("input[aria-label='high: On-delay, s']").press_sequentially("1x")
            await page.locator(f"{RULES} button[type=submit]").click()
            assert await page.locator("input.number:invalid").count() == 1
            assert await web.database.fetchval("SELECT count(*) FROM sensor_rules") == 0
            await page.locator("input[aria-label='high: On-delay, s']").fill("")
            await page.locator(f"{RULES} button[type=submit]").click()
            await page.locator(f"{RULES} .rules-held >> text=-1.05").wait_for()
            assert await last_set(web) == {"rules": [{"rule": "high", "limit": -1.05, "deadband": 0.05}]}
            await page.locator(f"{RULES} header button").click()
            limit = page.locator("input[aria-label='high: Limit']")
            await limit.fill("")
            assert await limit.get_attribute("placeholder") == "—", "what holds without it is not known here"
            await page.locator(f"{DETECTION} header button").click()
            lowest = page.locator(f"{DETECTION} .number").nth(2)
            await lowest.fill("")
            await lowest.press_sequentially("-40.5")
            await page.locator(f"{DETECTION} button[type=submit]").click()
            await page.locator(f"{DETECTION} >> text=measures from -40.5").wait_for()


async def test_a_facility_is_drawn_by_places_and_leads_to_what_is_wrong(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        number = await plant(web)
        for sensor_id, kind in (("v", "Vibration"), ("g", "GasDetection"), ("p", "Pressure")):
            await web.sensor(sensor_id, "f", kind)
        await tell(web, number, "high", "critical")
        async with console(web) as page:
            await sign_in(page)
            await page.evaluate("location.hash = '#/facility/f'")
            await page.locator(".station .place-icon.has-critical").wait_for()
            places = await page.locator(".station h2").all_inner_texts()
            assert places == ["Compression", "Line", "Area"], "in the direction of the flow, what is around it last"
            await page.locator(".station .tap.priority-critical").click()
            await page.wait_for_selector(".sensor-page")
