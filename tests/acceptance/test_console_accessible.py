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
ROWS: Final = ".desk-part table tbody tr"
PAGES: Final = {
    "overview": ("", ".card.priority-critical"),
    "alarms": ("alarms", ".alarm"),
    "facility": ("facility/f", ".tap"),
    "sensor": ("sensor/s", "section.rules .rules-held"),
    "hand-over": ("reports/handover", "[aria-label='What stands now'] tbody tr"),
    "figures": ("reports/figures", ".days"),
    "monthly": ("reports/monthly", "main .desk-part"),
    "history": ("history", ".history [data-event]"),
    "exports": ("exports", "main form"),
    "users": ("admin/users", ROWS),
    "keys": ("admin/keys", ".desk-part .nothing"),
    "notifications": ("admin/notifications", "section[aria-label='What was sent'] .nothing"),
    "out of use": ("admin/facilities", "main select"),
    "intake": ("admin/intake", f"{ROWS} input"),
    "audit": ("admin/audit", ROWS),
    "system": ("admin/system", ROWS),
}
"""Where each is, and what is there only with its data."""
LETTER: Final = """
INSERT INTO dead_letters (source, queue, reason, detail, body, facility_id, sensor_id, recorded_at)
VALUES ('row', '', 'future', 'ten minutes ahead', '{}', 'f', 's', now())
"""


async def show(page: Any, address: str, ready: str) -> None:
    """What is beside it in its tabs has gone, and its data are there."""
    await page.evaluate("address => { location.hash = `#/${address}` }", address)
    if "/" in address and address.partition("/")[0] in {"reports", "admin"}:
        await page.locator(f".tabs a[aria-current=page][href='#/{address}']").wait_for()
    await page.locator(ready).first.wait_for()


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
        await web.database.execute(LETTER)
        async with console(web) as page:
            await sign_in(page)
            for name, (address, ready) in PAGES.items():
                await show(page, address, ready)
                if serious := await found_by_axe(page):
                    found[name] = serious
            await show(page, *PAGES["sensor"])
            await page.locator("section.rules header button").first.click()
            await page.locator(".rule-table").wait_for()
            if serious := await found_by_axe(page):
                found["changing rules"] = serious
            await show(page, *PAGES["notifications"])
            await page.locator("text=New channel").click()
            await page.locator("dialog[open]").wait_for()
            if serious := await found_by_axe(page):
                found["a channel"] = serious
    assert not found
