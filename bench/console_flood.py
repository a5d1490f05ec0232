"""`python -m bench.console_flood [--minutes 3]`: the alarm list in a browser while alarms pour in.

A web server with `STANDING` active alarms and `SENSORS` sensors, each of a facility of its own so that no incident
folds its alarms; no engine. `A_MINUTE` new alarms are committed as the engine commits them, and with each one of the
standing ones, which somebody has acknowledged, is over. Measured in the page: from a commit to the frame that shows its
row, how long a key takes to be answered (the browser's own event timing), how far a row under the pointer moved, and
the heap before and after; with `--minutes 20` all that stood at first are over.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import shutil
import sys
import time
from typing import Any

import asyncpg
import httpx
from playwright.async_api import Page, async_playwright

from bench.console_pictures import BROWSERS, SWITCHES, Picture, open_console
from bench.fanout import answer_of
from bench.report import Figure, at_most, percentile
from bench.site import ADMIN, insert_sensors, open_site
from engine.processes.parts import LOOPBACK

STANDING = 10_000
A_MINUTE = 500
SENSORS = 2_000
ROW_MS_MAX, INPUT_MS_MAX = 250.0, 50.0
SETTLE_S = 3.0
INSERT = """
WITH event AS (
    INSERT INTO alarm_events (id, facility_id, alarm_key, sensor_no, rule, rule_version, transition, event_time,
        recorded_at, priority, alert_type, message, value, limit_value, explanation, late, actor, reason)
    SELECT nextval('alarm_events_id_seq'), facility_id, sensor_no || ':' || $3, sensor_no, 'high', 1, 'activated',
        $4, $4, (ARRAY['critical', 'high', 'medium', 'low'])[1 + sensor_no % 4], 'Anomaly', $5 || sensor_no, 26, 25,
        '{}', false, 'system', ''
    FROM sensors WHERE sensor_no BETWEEN $1 AND $2 RETURNING *
)
INSERT INTO alarms (facility_id, alarm_key, sensor_no, rule, active, acknowledged, suppression, latched, priority,
    since, last_event_id, message, value, limit_value)
SELECT facility_id, alarm_key, sensor_no, rule, true, $6, 'none', false, priority, event_time, id, message, value,
    limit_value FROM event
"""
RETURN = """
WITH event AS (
    INSERT INTO alarm_events (id, facility_id, alarm_key, sensor_no, rule, rule_version, transition, event_time,
        recorded_at, priority, alert_type, message, explanation, late, actor, reason)
    SELECT nextval('alarm_events_id_seq'), facility_id, alarm_key, sensor_no, rule, 1, 'returned', now(), now(),
        priority, 'Anomaly', message, '{}', false, 'system', ''
    FROM alarms WHERE alarm_key = $1 RETURNING *
)
UPDATE alarms SET active = false, last_event_id = event.id FROM event WHERE alarms.alarm_key = event.alarm_key
"""
WATCH = """() => {
  window.shown = new Map(); window.inputs = []; window.moves = 0;
  const look = () => {
    const at = performance.timeOrigin + performance.now();
    for (const row of document.querySelectorAll('.alarm .said')) {
      const found = /flood (\\d+)/.exec(row.textContent);
      if (found && !window.shown.has(found[1])) window.shown.set(found[1], at);
    }
  };
  new MutationObserver(() => requestAnimationFrame(look))
    .observe(document.querySelector('.list'), {childList: true, subtree: true});
  new PerformanceObserver((list) => { for (const entry of list.getEntries()) window.inputs.push(entry.duration); })
    .observe({type: 'event', durationThreshold: 16, buffered: false});
}"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.console_flood", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="how long alarms pour in (default 3)")
    return parser.parse_args()


async def stand(database: asyncpg.Connection) -> list[int]:
    """The sensors' numbers; the alarms are of long ago, some of each sensor."""
    wanted = {f"s{number}": (f"f{number}", "Temperature", 15) for number in range(SENSORS)}
    numbers = sorted((await insert_sensors(database, wanted)).values())
    for each in range(STANDING // SENSORS):
        since = await database.fetchval("SELECT now() - make_interval(days => 2 + $1)", each)
        await database.execute(INSERT, numbers[0], numbers[-1], f"{each}", since, "standing ", True)
    return numbers


async def pour(
    database: asyncpg.Connection, numbers: list[int], minutes: float, label: str = "new"
) -> dict[str, float]:
    """Commit alarms one by one; when each was, in seconds since 1970."""
    committed: dict[str, float] = {}
    begun = time.monotonic()
    for place in range(round(A_MINUTE * minutes)):
        await asyncio.sleep(max(0.0, begun + place * 60 / A_MINUTE - time.monotonic()))
        number = numbers[place % len(numbers)]
        async with database.transaction():
            now = await database.fetchval("SELECT now()")
            await database.execute(INSERT, number, number, f"{label}{place // len(numbers)}", now, "flood ", False)
            await database.execute(RETURN, f"{number}:{place // len(numbers)}")
            await database.execute("SELECT pg_notify('alarm_events', '')")
        committed.setdefault(str(number), time.time())
    return committed


async def press_keys(page: Page, enough: asyncio.Event) -> None:
    """What an operator does meanwhile, where the newest stay in sight: choose, and choose otherwise."""
    await page.keyboard.press("j")
    while not enough.is_set():
        await page.keyboard.press("x")
        await asyncio.sleep(0.25)


async def heap_mb(page: Page) -> float:
    session = await page.context.new_cdp_session(page)
    await session.send("HeapProfiler.collectGarbage")
    used: dict[str, Any] = await session.send("Runtime.getHeapUsage")
    return float(used["usedSize"]) / 2**20


async def held_still(page: Page, database: asyncpg.Connection, numbers: list[int]) -> float:
    """With the pointer on a row, alarms come: how many pixels the row moves."""
    row = page.locator(".alarm").nth(3)
    await row.hover()
    before = await row.bounding_box()
    text = await row.inner_text()
    await pour(database, numbers, 20 / A_MINUTE, "later")
    await asyncio.sleep(SETTLE_S)
    after = await page.locator(".alarm").nth(3).bounding_box()
    assert before is not None and after is not None
    same = await page.locator(".alarm").nth(3).inner_text()
    return abs(after["y"] - before["y"]) if same.split("\n")[1] == text.split("\n")[1] else float("inf")


async def measure(page: Page, database: asyncpg.Connection, numbers: list[int], minutes: float) -> list[Figure]:
    await page.evaluate("location.hash = '#/alarms'")
    await page.wait_for_selector(f".list[aria-rowcount='{STANDING}']", timeout=60_000)
    await page.locator(".sort select").select_option("time")
    await page.mouse.move(5, 5)
    await page.evaluate(WATCH)
    heap_before = await heap_mb(page)
    enough = asyncio.Event()
    pressing = asyncio.create_task(press_keys(page, enough))
    committed = await pour(database, numbers[: round(A_MINUTE * minutes)], minutes)
    await asyncio.sleep(SETTLE_S)
    enough.set()
    await pressing
    shown = dict(await page.evaluate("[...window.shown]"))
    inputs = await page.evaluate("window.inputs") or [0.0]
    lags = [shown[number] - 1000 * at for number, at in committed.items() if number in shown]
    heap_after = await heap_mb(page)
    moved = await held_still(page, database, numbers[::-1])
    return [
        Figure("rows seen", len(lags), f"of {len(committed)}", goal="all", met=len(lags) == len(committed)),
        at_most("commit to row, p99", [percentile(lags, 0.99)], "ms", ROW_MS_MAX),
        Figure("commit to row, p50", percentile(lags, 0.5), "ms"),
        at_most("key to frame, p99", [percentile(inputs, 0.99)], "ms", INPUT_MS_MAX),
        Figure("row under the pointer moved", moved, "px", goal="0", met=moved == 0),
        Figure("heap before", heap_before, "MB"),
        Figure("heap after", heap_after, "MB"),
    ]


async def main() -> None:
    minutes = arguments().minutes
    gc.disable()
    async with open_site() as site, async_playwright() as playwright:
        database = await asyncpg.connect(site.database_url)
        numbers = await stand(database)
        server = await site.python("-m", "bench.broadcast", BENCH_STALLED_S="60")
        assert server.stdout is not None
        url = f"http://{LOOPBACK}:{(await answer_of(server.stdout))['port']}"
        async with httpx.AsyncClient(base_url=url) as client:
            await site.sign_in(client)
        browser = await playwright.chromium.launch(
            executable_path=next(filter(None, map(shutil.which, BROWSERS)), None), args=SWITCHES
        )
        page = await open_console(browser, url, ADMIN["ADMIN_PASSWORD"], Picture("list", ""), ADMIN["ADMIN_EMAIL"])
        for each in await measure(page, database, numbers, minutes):
            met = "" if each.met is None else "met" if each.met else "missed"
            sys.stdout.write(f"{each.name:30} {each.value:10.1f} {each.unit:10} {each.goal:12} {met}\n")
        await browser.close()
        await database.close()


if __name__ == "__main__":
    asyncio.run(main())
