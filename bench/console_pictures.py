"""`python -m bench.console_pictures` (a part of `make pictures`): the pictures in docs/console.md, of the demo.

The demo runs in a folder and on a port of its own until alarms stand; a browser then shows what an operator sees.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

from PIL import Image
from playwright.async_api import Browser, Page, async_playwright

from bench.house import UNSET
from engine import runtime
from engine.processes.parts import LOOPBACK
from engine.processes.polling import answers, until
from engine.processes.ports import free_port

FOLDER = Path(__file__).resolve().parents[1] / "docs/pictures"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
USER = "admin@example.com"
START_S_MAX = 180.0
STOP_S_MAX = 60.0
ALARMS_S_MAX = 480.0
ALARMS_MIN = 3
SETTLE_MS = 1_500
COLOURS = 256
BYTES_MAX = 150_000

DESK = (1280, 800)
PHONE = (390, 844)


@dataclass(frozen=True, slots=True)
class Picture:
    """What is shown where: `link` leads there, `ready` is there as soon as it can be looked at, `then` is clicked."""

    name: str
    ready: str
    link: str = ""
    then: str = ""
    theme: Literal["dark", "light"] = "light"
    size: tuple[int, int] = DESK


PICTURES = (
    Picture("console-overview-dark", ".card-alarms a", theme="dark"),
    Picture("console-overview", ".card-alarms a"),
    Picture("console-alarms", ".alarm", "#/alarms"),
    Picture("console-facility", ".sensor-tile", ".card:first-child h3 a"),
    Picture("console-sensor", ".chart canvas", ".card-alarms a[href^='#/sensor/']", ".range button", theme="dark"),
    Picture("console-handover", ".table", "#/reports/handover"),
    Picture("console-history", ".happened", "#/history", theme="dark"),
    Picture("console-phone", ".card-alarms a", size=PHONE),
)


@asynccontextmanager
async def demo() -> AsyncIterator[tuple[str, str]]:
    """Its address and its admin's password."""
    folder = Path(tempfile.mkdtemp(prefix="gasinsight-pictures-"))
    folder.chmod(0o711)
    port = free_port(LOOPBACK, 0)
    data_dir = folder / "data"
    command = ["-m", "engine.commands.cli.app", "up", "--simulate", "--facilities", "5", "--json", "--port", str(port)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, "--data-dir", str(data_dir), env=os.environ | UNSET, stdout=asyncio.subprocess.DEVNULL
    )
    url = f"http://{LOOPBACK}:{port}"
    try:
        await until(partial(answers, f"{url}/readyz"), START_S_MAX, "the demo")
        yield url, runtime.read_secret(data_dir, "admin_password") or ""
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.wait(), STOP_S_MAX)
        shutil.rmtree(folder, ignore_errors=True)


async def open_console(browser: Browser, url: str, password: str, picture: Picture, user: str = USER) -> Page:
    width, height = picture.size
    page = await browser.new_page(
        viewport={"width": width, "height": height}, color_scheme=picture.theme, locale="en", timezone_id="UTC"
    )
    await page.goto(f"{url}/console")
    await page.locator("input[type=password]").fill(password)
    await page.locator("form input:not([type=password]):not([type=checkbox])").first.fill(user)
    await page.keyboard.press("Enter")
    await page.wait_for_selector(".overview")
    return page


async def alarms_stand(browser: Browser, url: str, password: str) -> None:
    page = await open_console(browser, url, password, PICTURES[0])
    await page.locator(".card-alarms a").nth(ALARMS_MIN - 1).wait_for(timeout=ALARMS_S_MAX * 1000)
    await page.close()


async def shown(browser: Browser, url: str, password: str, picture: Picture) -> Page:
    """What the picture is of, ready to be looked at."""
    page = await open_console(browser, url, password, picture)
    if picture.link.startswith("#"):
        await page.goto(f"{url}/console{picture.link}")
    elif picture.link:
        await page.locator(picture.link).first.click()
    await page.wait_for_selector(picture.ready)
    if picture.then:
        await page.locator(picture.then).first.click()
    await page.wait_for_timeout(SETTLE_MS)
    return page


async def take(browser: Browser, url: str, password: str, picture: Picture) -> bytes:
    page = await shown(browser, url, password, picture)
    shot = await page.screenshot()
    await page.close()
    return smaller(shot)


def smaller(png: bytes) -> bytes:
    """With few colours: an interface has no more, and it is a fraction of the bytes."""
    into = BytesIO()
    Image.open(BytesIO(png)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(into, "png", optimize=True)
    return into.getvalue()


async def draw(url: str, password: str) -> None:
    async with async_playwright() as playwright:
        path = next(filter(None, map(shutil.which, BROWSERS)), None)
        browser: Any = await playwright.chromium.launch(executable_path=path, args=SWITCHES)
        await alarms_stand(browser, url, password)
        for picture in PICTURES:
            png = await take(browser, url, password, picture)
            assert len(png) < BYTES_MAX, f"{picture.name} has {len(png)} bytes"
            (FOLDER / f"{picture.name}.png").write_bytes(png)
        await browser.close()


async def main() -> None:
    async with demo() as (url, password):
        await draw(url, password)


if __name__ == "__main__":
    asyncio.run(main())
