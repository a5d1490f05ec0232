"""An operator's shift at the console, in a real browser: no complaint of the policy, no mouse, no alarm lost."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.web.harness import ADMIN_EMAIL, ADMIN_PASSWORD, Web, web_server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.postgres,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: the console was not looked at in a browser"),
]
SWITCHES = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FACILITY = "North Ridge"
MANY = 10_000
ROWS_DRAWN_MAX = 60


@asynccontextmanager
async def console(web: Web, *, refused: bool = False, **options: Any) -> AsyncIterator[Any]:
    """A signed-out page; at its end nothing may have complained. `refused`: the server refuses what is sent."""
    from playwright.async_api import async_playwright

    complaints: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        page = await browser.new_page(locale="en", **options)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: complaints.append(line.text) if is_complaint(line, refused) else None)
        try:
            await page.goto(f"http://127.0.0.1:{web.port}/console")
            yield page
        finally:
            await browser.close()
    assert not complaints


def is_complaint(line: Any, refused: bool) -> bool:
    """Not the 503 of /readyz, since there is no engine here, nor what the browser says of a line that we cut."""
    passing = ["status of 503", "ERR_INTERNET_DISCONNECTED", "ERR_CONNECTION_REFUSED"]
    passing += ["status of 422"] * refused
    return line.type in {"error", "warning"} and not any(word in line.text for word in passing)


async def sign_in(page: Any, name: str = ADMIN_EMAIL, password: str = ADMIN_PASSWORD) -> None:
    await page.keyboard.type(name)
    await page.keyboard.press("Tab")
    await page.keyboard.type(password)
    await page.keyboard.press("Enter")
    await page.wait_for_selector(".overview")


async def plant(web: Web) -> int:
    await web.facility("f", FACILITY)
    await web.facility("g", "South Shore")
    number = await web.sensor("s", "f")
    now = datetime.now(UTC)
    await web.readings(number, *((now - timedelta(seconds=15 * back), f"{22 + back % 3}.5") for back in range(200)))
    return number


async def tell(web: Web, number: int, rule: str, priority: str = "high") -> int:
    """An alarm of the sensor begins now, as the engine writes it."""
    event_id = await web.alarm("f", f"{number}:{rule}", number, datetime.now(UTC), priority=priority)
    await web.database.execute("UPDATE alarm_events SET priority = $2 WHERE id = $1", event_id, priority)
    await web.database.execute("SELECT pg_notify('alarm_events', '')")
    return event_id


async def tell_late(web: Web, number: int, rule: str) -> None:
    """An excursion that is over, told as the engine tells it: late, and somebody's to acknowledge."""
    async with web.database.transaction():
        event_id = await tell(web, number, rule)
        await web.database.execute("UPDATE alarm_events SET late = true WHERE id = $1", event_id)
        await web.database.execute("UPDATE alarms SET active = false WHERE alarm_key = $1", f"{number}:{rule}")


async def until_asked(web: Web) -> None:
    async with asyncio.timeout(5):
        while not await web.database.fetchval("SELECT count(*) FROM alarm_commands WHERE state = 'waiting'"):
            await asyncio.sleep(0.02)


async def carry_out(web: Web, number: int, rule: str, transition: str, **columns: object) -> None:
    """What waits is in force, told as the engine tells it."""
    await until_asked(web)
    event_id = await web.alert("f", number, "done", transition)
    await web.database.execute(
        "UPDATE alarm_events SET alarm_key = $2, rule = $3 WHERE id = $1", event_id, f"{number}:{rule}", rule
    )
    for name, value in {**columns, "last_event_id": event_id}.items():
        await web.database.execute(f"UPDATE alarms SET {name} = $2 WHERE alarm_key = $1", f"{number}:{rule}", value)
    await web.decide()


async def test_a_shift_by_keyboard_alone(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        number = await plant(web)
        async with console(web) as page:
            await sign_in(page)
            await page.wait_for_selector(f".card.is-calm >> text={FACILITY}")
            await tell(web, number, "high", "critical")
            await page.wait_for_selector(".card.priority-critical .card-alarms a[href='#/sensor/s']")
            assert await page.locator(".counts [data-priority=critical] b").inner_text() == "1"
            assert await page.locator(".sound").text_content() == "Sound on"
            await page.keyboard.press("m")
            await page.wait_for_selector(".sound.is-off:has-text('Sound muted')")
            await page.keyboard.press("2")
            await page.wait_for_selector(".alarm.state-unacknowledged")
            await page.keyboard.press("j")
            await page.keyboard.press("a")
            now = datetime.now(UTC)
            await carry_out(web, number, "high", "acknowledged", acknowledged=True, acknowledged_at=now)
            await page.wait_for_selector(".alarm.state-acknowledged")
            await page.keyboard.press("s")
            await page.wait_for_selector("dialog[open] [name=reason]:focus")
            await page.keyboard.type("calibration")
            await page.keyboard.press("Enter")
            await carry_out(web, number, "high", "shelved", suppression="shelved", suppression_reason="calibration")
            await page.wait_for_selector(".alarm.state-shelved >> text=calibration")
            assert await page.locator("[data-count=shelvedCount] b").inner_text() == "1"
            await page.keyboard.press("Enter")
            await page.wait_for_selector(".sensor-page .chart canvas")
            await page.wait_for_selector(".story .told >> text=too high")
        asked = await web.database.fetch("SELECT command, reason FROM alarm_commands ORDER BY asked_at")
        assert [tuple(row) for row in asked] == [("acknowledge", ""), ("shelve", "calibration")]


async def test_alarms_that_began_together_are_one_row_that_unfolds(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        number = await plant(web)
        for rule in ("high", "anomaly", "stale"):
            await tell(web, number, rule)
        async with console(web) as page:
            await sign_in(page)
            await page.wait_for_selector(".incident-card >> text=3 alarms · 3 active · 3 unacknowledged")
            await page.keyboard.press("2")
            await page.wait_for_selector(".alarm.incident")
            assert await page.locator(".list-row").count() == 1
            await page.keyboard.press("j")
            await page.keyboard.press("Enter")
            await page.wait_for_selector(".alarm.is-member")
            assert await page.locator(".alarm.is-member").count() == 3


async def test_no_row_moves_under_the_pointer_and_many_are_drawn_few(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        number = await plant(web)
        await tell(web, number, "low", "low")
        async with console(web) as page:
            await sign_in(page)
            await page.keyboard.press("2")
            await page.wait_for_selector(".alarm.priority-low")
            await page.hover(".alarm.priority-low")
            await tell(web, number, "high", "critical")
            await page.wait_for_selector(".waiting >> text=1 new")
            assert await page.locator(".list-row").count() == 1
            await page.keyboard.press("n")
            await page.wait_for_selector(".list-row:first-child .alarm.priority-critical")
            await page.hover(".bar")
            await web.database.execute(
                """INSERT INTO alarms SELECT moved.* FROM alarms a, generate_series(1, $1) n, jsonb_populate_record(
                       a, jsonb_build_object('alarm_key', 'many:' || n, 'last_event_id', a.last_event_id + n)) moved
                    WHERE a.rule = 'low'""",
                MANY,
            )
            await page.reload()
            await page.wait_for_selector(f".list[aria-rowcount='{MANY + 2}']")
            assert await page.locator(".list-row").count() <= ROWS_DRAWN_MAX
            await page.keyboard.press("End")
            await page.wait_for_selector(f".list-row > [aria-rowindex='{MANY + 2}']")
            assert await page.locator(".list-row").count() <= ROWS_DRAWN_MAX


async def test_a_lost_line_is_said_and_no_alarm_is_lost(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        number = await plant(web)
        async with console(web) as page:
            await sign_in(page)
            await page.wait_for_selector("[data-line=live]")
            await page.context.set_offline(True)
            await page.wait_for_selector(".line-lost >> text=Connection lost")
            await tell(web, number, "high")
            await tell(web, number, "anomaly")
            await page.context.set_offline(False)
            await page.wait_for_selector(".toast >> text=nothing was missed")
            await page.wait_for_selector("[data-count=unacknowledgedCount] b:has-text('2')")


async def test_what_is_told_late_and_what_latches_is_shown_as_the_server_has_it(
    database_url: str, tmp_path: Path
) -> None:
    async with web_server(database_url, tmp_path) as web:
        number = await plant(web)
        async with console(web) as page:
            await sign_in(page)
            await page.keyboard.press("2")
            await tell_late(web, number, "high")
            await page.wait_for_selector(".alarm.state-returned_unacknowledged")
            async with web.database.transaction():
                began = await tell(web, number, "low")
                await web.database.execute(
                    "UPDATE alarm_events SET explanation = '{\"latched\": true}' WHERE id = $1", began
                )
            await page.wait_for_selector(".alarm.state-unacknowledged")
            async with web.database.transaction():
                ended = await web.alert("f", number, "done", "returned")
                await web.database.execute(
                    "UPDATE alarm_events SET alarm_key = $2, rule = 'low' WHERE id = $1", ended, f"{number}:low"
                )
            await page.wait_for_selector(".alarm.state-latched")


async def test_a_hand_over(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        number = await plant(web)
        event_id = await tell(web, number, "high")
        async with console(web, accept_downloads=True) as page:
            await sign_in(page)
            await page.keyboard.press("4")
            await page.locator(".history [data-event]").wait_for()
            await page.keyboard.press("/")
            await page.keyboard.type("nowhere")
            await page.wait_for_selector(".nothing >> text=Nothing matches")
            await page.locator("#search").fill("ridge")
            await page.locator(".history [data-event]").wait_for()
            await page.get_by_label("Who").fill("nobody")
            await page.wait_for_selector(".nothing >> text=Nothing matches")
            assert "text=ridge&by=nobody" in page.url
            await page.get_by_label("Who").fill("")
            await page.get_by_role("button", name="Judge").click()
            await page.get_by_text("false: it was not").click()
            await page.locator("dialog [name=reason]").fill("test gas")
            await page.keyboard.press("Enter")
            await judged(web, number)
            await page.wait_for_selector(f"[data-event='{event_id}'] button:has-text('false: it was not')")
            await page.locator(f"[data-event='{event_id}'] .happened-at").click()
            await page.get_by_role("button", name="The whole history").wait_for()
            await page.locator("[data-event]").nth(1).wait_for(state="detached")
            await page.keyboard.press("3")
            await page.wait_for_selector("[aria-label='What stands now'] >> text=too high")
            await page.locator("textarea").fill("valve 3 sticks,\norder 4711 is open")
            await page.locator(".note-form button").click()
            await page.wait_for_selector("[aria-label=Notes] .note")
            assert await page.locator("[aria-label=Notes] .note").inner_text() == "valve 3 sticks,\norder 4711 is open"
            assert "valve 3 sticks" in await downloaded(page, page.get_by_role("button", name="CSV"))
            of_the_screen = page.locator(".bar, .desk-bar, .note-form").filter(visible=True)
            assert await of_the_screen.count() >= 3
            await page.emulate_media(media="print")
            assert not await of_the_screen.count()
            await page.emulate_media(media="screen")
            await page.get_by_role("link", name="Alarm figures").click()
            await page.wait_for_selector(".days")
            await page.get_by_role("link", name="List of a month").click()
            await page.locator("input[type=month]").fill(f"{datetime.now(UTC):%Y-%m}")
            await page.wait_for_selector("[aria-label='False alarms'] >> text=test gas")
            await page.keyboard.press("Escape")
            await page.keyboard.press("5")
            await page.get_by_text("CSV", exact=True).click()
            await page.get_by_role("button", name="Make the file").click()
            read = await downloaded(page, page.get_by_role("button", name="Download"))
            assert read.startswith("facility_id,sensor_id,tracked_at,value")
            await page.get_by_role("button", name="Take away").click()
            await page.wait_for_selector("text=No files yet")


async def judged(web: Web, number: int) -> None:
    """The verdict that waits is in force, as the engine tells it."""
    await until_asked(web)
    told = await web.alert("f", number, "done", "verdict")
    await web.database.execute(
        """UPDATE alarm_events e SET alarm_key = c.alarm_key, actor = c.actor, reason = c.reason,
                  command_id = c.command_id FROM alarm_commands c WHERE e.id = $1""",
        told,
    )
    await web.decide()


async def downloaded(page: Any, button: Any) -> str:
    async with page.expect_download() as begun:
        await button.click()
    return Path(await (await begun.value).path()).read_text(encoding="utf-8")


async def test_an_administrators_day(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        await plant(web)
        await web.database.execute(
            """INSERT INTO dead_letters (source, queue, reason, detail, body, facility_id, sensor_id, recorded_at)
               VALUES ('row', 'readings', 'no time', '', '{"a": 1}', 'f', 's', now())"""
        )
        async with console(web) as page:
            await sign_in(page)
            await page.locator(".more-pages summary").click()
            await page.get_by_role("link", name="Administration").click()
            await page.get_by_role("button", name="New user").click()
            await page.locator("dialog [name=username]").fill("anna")
            await page.locator("dialog [name=email]").fill("anna@plant.example")
            await page.locator("dialog [name=password]").fill("a password of hers")
            await page.keyboard.press("Enter")
            await page.locator("tr", has_text="anna").get_by_role("button", name="Permissions").click()
            await page.wait_for_selector("dialog >> text=May not see any facility")
            await page.locator("dialog").get_by_role("button", name="may view").click()
            await page.wait_for_selector(f"dialog .grants >> text={FACILITY}")
            await page.locator("dialog").get_by_role("button", name="Close").click()

            boss = page.locator("tr", has_text=ADMIN_EMAIL)
            await boss.get_by_role("button", name="Change").click()
            assert await page.locator("dialog [name=role]").input_value() == "Admin", (
                "who changes a name changes no role"
            )
            await page.keyboard.press("Escape")

            await page.get_by_role("link", name="API keys").click()
            await page.get_by_role("button", name="New key").click()
            await page.locator("dialog [name=name]").fill("office")
            await page.locator("dialog summary").first.click()
            await page.locator("dialog .choice-list").get_by_text(FACILITY).first.click()
            await page.get_by_role("button", name="Make the key").click()
            key = await page.locator(".shown-key input").input_value()
            assert (await web.client.get("/facilities", headers={"Authorization": f"Bearer {key}"})).is_success
            await page.locator("dialog").get_by_role("button", name="Close").click()
            await page.get_by_role("button", name="Take back").click()
            await page.locator("dialog").get_by_role("button", name="Take back").click()
            await page.wait_for_selector("td:has-text('taken back')")

            await page.get_by_role("link", name="Out of use").click()
            south = page.locator("tr", has_text="South Shore")
            await south.get_by_role("button", name="Take out of use").click()
            await page.locator("dialog .danger").click()
            await south.locator("time").wait_for()
            await south.get_by_role("button", name="Remove for good").click()
            assert await page.locator("dialog .danger").is_disabled()
            await page.locator("dialog [name=confirm]").fill("South Shore")
            await page.locator("dialog .danger").click()
            await south.wait_for(state="detached")

            await page.get_by_role("link", name="Intake").click()
            await page.wait_for_selector("td:has-text('no time')")
            await page.get_by_role("link", name="Audit log").click()
            for action in ("facility.removed", "facility.retired", "key.revoked", "permission.granted"):
                await page.wait_for_selector(f"td:has-text('{action}')")
            await page.get_by_role("link", name="System").click()
            await page.wait_for_selector("text=gasinsight drain NODE")


async def test_a_page_for_admins_is_hidden_from_others(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        await plant(web)
        await web.user("anna", ("f", "View"))
        async with console(web) as page:
            await sign_in(page, "anna@plant.example", "pw anna")
            await page.locator(".more-pages summary").click()
            pages = await page.locator(".more-pages li").all_inner_texts()
            assert [text.split() for text in pages] == [["Reports", "3"], ["History", "4"], ["Export", "5"]]
            await page.goto(f"http://127.0.0.1:{web.port}/console#/admin/users")
            await page.wait_for_selector("text=you may not see it")


async def test_the_first_view_fits_a_phone(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        number = await plant(web)
        await tell(web, number, "high")
        async with console(web, viewport={"width": 390, "height": 800}) as page:
            await sign_in(page)
            await page.reload(wait_until="commit")
            await page.wait_for_selector(".card.priority-high")
            sys.stdout.write(f"first view after {await page.evaluate('performance.now()'):.0f} ms\n")
            width = await page.evaluate("document.documentElement.scrollWidth")
            assert width <= 390, "a phone need not scroll sideways"
