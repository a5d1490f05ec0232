"""The pages in a real browser: they draw, show the state, try a route out, and ask nobody else for anything."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.integration.web.harness import ADMIN_EMAIL, ADMIN_PASSWORD, web_server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.postgres,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: the pages were not looked at in a browser"),
]
SWITCHES = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


async def test_the_pages_work_in_a_browser_without_the_internet(database_url: str, tmp_path: Path) -> None:
    from playwright.async_api import async_playwright

    async with web_server(database_url, tmp_path) as web, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        page = await browser.new_page()
        base = f"http://127.0.0.1:{web.port}"
        strangers: set[str] = set()
        complaints: list[str] = []

        async def pull_the_cable(route: Any) -> None:
            if route.request.url.startswith((f"{base}/", "data:", "blob:")):
                await route.continue_()
            else:
                strangers.add(route.request.url)
                await route.abort()

        await page.context.route("**/*", pull_the_cable)
        page.on("request", lambda request: strangers.update({request.url} - mine(request.url, base)))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: complaints.append(line.text) if is_complaint(line) else None)
        operations = (await web.client.get("/openapi.json")).json()["paths"]
        try:
            await look_at_home(page, base)
            await try_a_route_out(page, base, sum(len(methods) for methods in operations.values()))
            await read_the_reference(page, base, operations)
        finally:
            await browser.close()
        assert not complaints
        assert not strangers


def is_complaint(line: Any) -> bool:
    """A broken policy, a missing file; not the 503 of /readyz, which the page is there to show."""
    return line.type in {"error", "warning"} and "503" not in line.text


def mine(url: str, base: str) -> set[str]:
    return {url} if url.startswith((f"{base}/", "data:", "blob:")) else set()


async def look_at_home(page: Any, base: str) -> None:
    await page.goto(base)
    await page.wait_for_selector("li[data-part=database].is-ready")
    await page.wait_for_selector("li[data-part=engine].is-missing")
    for path in ("/docs", "/redoc", "/readyz", "/metrics"):
        assert await page.locator(f"main a[href='{path}']").count() >= 1
    assert await page.locator("#origin").inner_text() == base


async def try_a_route_out(page: Any, base: str, operations: int) -> None:
    """Signs in as a front end would, and asks with the token."""
    await page.goto(f"{base}/docs")
    await page.wait_for_selector(".opblock")
    assert await page.locator(".opblock").count() == operations
    await page.click(".auth-wrapper .authorize")
    await page.fill("#oauth_username", ADMIN_EMAIL)
    await page.fill("#oauth_password", ADMIN_PASSWORD)
    await page.click(".auth-btn-wrapper button.authorize")
    await page.click(".auth-btn-wrapper button.btn-done")
    await page.click("#operations-users-read_me .opblock-summary")
    await page.click("#operations-users-read_me .try-out__btn")
    await page.click("#operations-users-read_me .execute")
    async with asyncio.timeout(10):
        while ADMIN_EMAIL not in await page.locator("#operations-users-read_me").inner_text():
            await asyncio.sleep(0.1)


async def read_the_reference(page: Any, base: str, paths: dict[str, Any]) -> None:
    await page.goto(f"{base}/redoc")
    await page.wait_for_selector("h1:has-text('GasInSight')")
    shown = await page.locator("#redoc").inner_text()
    assert all(path in shown for path in paths)
    assert "Terminal North" in await page.locator("#redoc").inner_html(), "examples are shown"
    await page.fill("input[placeholder='Search...']", "impersonate")
    await page.wait_for_selector("[data-role='search:results'] >> text=Impersonate")
