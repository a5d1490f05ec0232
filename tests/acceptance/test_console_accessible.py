"""Every page of the console as axe sees it, in both themes: nothing serious for who sees, hears or points otherwise."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from tests.acceptance.test_console import console, plant, pytestmark, sign_in, tell
from tests.integration.web.harness import web_server

__all__ = ["pytestmark"]
AXE: Final = (files("axe_playwright_python") / "axe.min.js").read_text()
SERIOUS: Final = {"serious", "critical"}
PAGES: Final = {
    "overview": ("", ".card.priority-critical"),
    "alarms": ("alarms", ".alarm"),
    "facility": ("facility/f", ".tap"),
    "sensor": ("sensor/s", "section.rules .rules-held"),
    "hand-over": ("reports/handover", "main h1"),
    "figures": ("reports/figures", "main h1"),
    "monthly": ("reports/monthly", "main h1"),
    "history": ("history", "main h1"),
    "exports": ("exports", "main h1"),
    **{part: (f"admin/{part}", "main h1") for part in ("users", "keys", "audit", "system")},
    "notifications": ("admin/notifications", "section[aria-label='What was sent'] .nothing"),
}


async def found_by_axe(page: Any) -> list[str]:
    """In a line each: what is wrong, with the first place. In the dark only colours are others."""
    await page.evaluate(AXE)  # past the page's policy, which lets nothing in
    await page.emulate_media(color_scheme="light")
    found = await page.evaluate("axe.run({resultTypes: ['violations']})")
    await page.emulate_media(color_scheme="dark")
    dark = await page.evaluate("axe.run({resultTypes: ['violations'], runOnly: ['color-contrast']})")
    return [
        f"{each['id']}: {each['help']}: {each['nodes'][0]['html'][:200]}"
        for each in found["violations"] + dark["violations"]
        if each["impact"] in SERIOUS
    ]


async def test_axe_finds_nothing_serious(database_url: str, tmp_path: Path) -> None:
    found = {}
    async with web_server(database_url, tmp_path) as web:
        number = await plant(web)
        for sensor_id, kind in (("v", "Vibration"), ("g", "GasDetection")):
            await web.sensor(sensor_id, "f", kind)
        for rule, priority in (("high", "critical"), ("low", "high"), ("stale", "medium"), ("anomaly", "low")):
            await tell(web, number, rule, priority)
        async with console(web) as page:
            await sign_in(page)
            for name, (address, ready) in PAGES.items():
                await page.evaluate("address => { location.hash = `#/${address}` }", address)
                await page.locator(ready).first.wait_for()
                await page.wait_for_load_state("networkidle")
                if serious := await found_by_axe(page):
                    found[name] = serious
            await page.evaluate("location.hash = '#/sensor/s'")
            await page.locator("section.rules header button").first.click()
            if serious := await found_by_axe(page):
                found["changing rules"] = serious
            await page.evaluate("location.hash = '#/admin/notifications'")
            await page.locator("text=New channel").click()
            if serious := await found_by_axe(page):
                found["a channel"] = serious
    assert not found
