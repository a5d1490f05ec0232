"""`python -m bench.console_colours FOLDER`: the console as people see it who tell fewer colours apart.

The demo runs until alarms stand; each page is drawn in both themes as it is, and with each kind of colour vision that
the browser simulates. Somebody has to look; what the pages rely on beside colour is in docs/console.md.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, Final, Literal

from playwright.async_api import async_playwright

from bench.console_pictures import BROWSERS, PICTURES, SWITCHES, Picture, alarms_stand, demo, shown, smaller

THEMES: Final[tuple[Literal["dark", "light"], ...]] = ("light", "dark")
KINDS: Final = ("none", "protanopia", "deuteranopia", "tritanopia")
PAGES: Final = (
    *(picture for picture in PICTURES if picture.name not in {"console-overview-dark", "console-phone"}),
    Picture("console-rules", ".rules-held", ".card-alarms a[href^='#/sensor/']", "section.rules header button"),
    Picture("console-figures", ".table", "#/reports/figures"),
    Picture("console-exports", "main h1", "#/exports"),
    *(
        Picture(f"console-{part}", "main h1", f"#/admin/{part}")
        for part in ("users", "keys", "notifications", "facilities", "intake", "audit", "system")
    ),
)


async def draw(url: str, password: str, folder: Path) -> None:
    async with async_playwright() as playwright:
        path = next(filter(None, map(shutil.which, BROWSERS)), None)
        browser: Any = await playwright.chromium.launch(executable_path=path, args=SWITCHES)
        await alarms_stand(browser, url, password)
        for theme, picture in product(THEMES, PAGES):
            page = await shown(browser, url, password, replace(picture, theme=theme))
            eyes = await page.context.new_cdp_session(page)  # with its end the browser would see all colours again
            for kind in KINDS:
                await eyes.send("Emulation.setEmulatedVisionDeficiency", {"type": kind})
                (folder / f"{picture.name}-{theme}-{kind}.png").write_bytes(smaller(await page.screenshot()))
            await page.close()
        await browser.close()


async def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    async with demo() as (url, password):
        await draw(url, password, folder)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
