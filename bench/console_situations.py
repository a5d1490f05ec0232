"""`python -m bench.console_situations`: ten planted situations, looked at as an operator does.

The whole system runs; a hub sends each situation to a facility of its own; a browser shows the overview. Printed of
each: which rules were told, after how many seconds, how many actions lead from the overview to the right sensor (a link
is one), and how long before the first alarm its deviation could be seen there.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from playwright.async_api import Page, async_playwright

from bench.console_pictures import BROWSERS, START_S_MAX, STOP_S_MAX, SWITCHES, USER, Picture, open_console
from bench.house import UNSET
from bench.situations import SITUATIONS, WELL_S, Situation
from engine import runtime
from engine.processes.parts import LOOPBACK
from engine.processes.polling import answers, until
from engine.processes.ports import free_port

QUICK = {"STALE_S_MIN": "20", "TICK_S": "1"}
"""What is told after a minute of silence is told here after twenty seconds."""
PLAYED_S = 110
VISIBLE_BY = 0.8
"""So far from the middle of its limits a value is seen to have moved."""
SETUP, ACTIVATION, DATA = "facility-setup-queue", "sensor-activation-queue", "sensor-data-queue"
SEE = """() => Object.fromEntries([...document.querySelectorAll('.card')].map((card) => [card.dataset.facility, {
  links: [...card.querySelectorAll('.card-alarms a')].map((link) => link.getAttribute('href')),
  moved: [...card.querySelectorAll('.key-values a')].map((link) => [link.getAttribute('href'),
    link.querySelector('.deviation-mark').getAttribute('d')]),
}]).concat([['', {
  links: [...document.querySelectorAll('.incident-card')].map((link) => link.getAttribute('href')),
}]]))"""


@dataclass
class Seen:
    """Seconds after the situation began, of each thing the first time; actions: the fewest that led there."""

    told: dict[str, float] = field(default_factory=dict)
    moved_s: float | None = None
    linked_s: float | None = None
    actions: int | None = None


@asynccontextmanager
async def system() -> AsyncIterator[tuple[str, str, str]]:
    """Its address, its admin's password and its bus."""
    folder = Path(tempfile.mkdtemp(prefix="gasinsight-situations-"))
    folder.chmod(0o711)
    data_dir = folder / "data"
    web_port, bus_port = free_port(LOOPBACK, 0), free_port(LOOPBACK, 0)
    ports = {"WEB_PORT": str(web_port), "BUS_PORT": str(bus_port), "DATA_DIR": str(data_dir)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "engine.commands.cli.app", "up", env=os.environ | UNSET | QUICK | ports,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://{LOOPBACK}:{web_port}"
    try:
        await until(partial(answers, f"{url}/readyz"), START_S_MAX, "the system")
        published = json.loads((data_dir / "runtime.json").read_text())["components"].values()
        bus = next(part["values"]["servicebus_connection_string"] for part in published
                   if "servicebus_connection_string" in part["values"])  # fmt: skip
        yield url, runtime.read_secret(data_dir, "admin_password") or "", bus
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.wait(), STOP_S_MAX)
        shutil.rmtree(folder, ignore_errors=True)


def naive(ahead_s: float = 0.0) -> str:
    return (datetime.now(UTC) + timedelta(seconds=ahead_s)).replace(tzinfo=None).isoformat()


def facility_id(situation: Situation) -> str:
    return situation.name.replace(" ", "-").replace(",", "")


def sensor_id(situation: Situation, name: str) -> str:
    return f"{facility_id(situation)}-{name.replace(' ', '-')}"


class Hub:
    """What the field sends, second by second."""

    def __init__(self, client: ServiceBusClient) -> None:
        self._senders = {queue: client.get_queue_sender(queue) for queue in (SETUP, ACTIVATION, DATA)}
        self.began = 0.0

    async def set_up(self) -> None:
        where = {"address": None, "longitude": 7.5, "latitude": 51.25}
        for place, each in enumerate(SITUATIONS):
            where["longitude"] = 7.0 + place
            name = {"facility_id": facility_id(each), "facility_name": each.name.capitalize()}
            await self._send(SETUP, [name | {"facility_type": "ProcessingPlant", "tracked_at": naive()} | where])
            sensors = [
                {"sensor_id": sensor_id(each, one), "facility_id": facility_id(each), "sensor_type": kind,
                 "signal_interval": 1, "tracked_at": naive()} | where
                for one, kind in each.sensors.items()
            ]  # fmt: skip
            await self._send(ACTIVATION, sensors)

    async def play(self) -> None:
        begun = time.monotonic()
        self.began = begun + WELL_S
        for second in range(WELL_S + PLAYED_S):
            await asyncio.sleep(max(0.0, begun + second - time.monotonic()))
            for each in SITUATIONS:
                off_s = each.stamped if second >= WELL_S else 0.0
                said = ((name, each.play(name, second - WELL_S)) for name in each.sensors)
                await self._send(DATA, [
                    {"sensor_id": sensor_id(each, name), "facility_id": facility_id(each), "tracked_at": naive(off_s),
                     "data": data}
                    for name, data in said if data is not None
                ])  # fmt: skip

    async def _send(self, queue: str, bodies: list[dict[str, Any]]) -> None:
        if bodies:
            await self._senders[queue].send_messages([ServiceBusMessage(json.dumps(body)) for body in bodies])


async def set_groups(url: str, token: str) -> None:
    """As soon as the facility and its sensors are there."""
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
        for each in SITUATIONS:
            if each.groups:
                ids = {f'"{name}"': f'"{sensor_id(each, name)}"' for name in each.sensors}
                text = json.dumps({"groups": each.groups})
                for name, real in ids.items():
                    text = text.replace(name, real)
                while (answer := await client.put(f"/groups/facility/{facility_id(each)}", content=text, headers={
                    "Content-Type": "application/json"})).status_code in {404, 422}:  # fmt: skip
                    await asyncio.sleep(1)
                answer.raise_for_status()


async def watch(page: Page, url: str, token: str, hub: Hub, found: dict[str, Seen]) -> None:
    """Look at the overview and the journal, again and again."""
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
        while True:
            now_s = time.monotonic() - hub.began
            cards = await page.evaluate(SEE) if now_s > 0 else {}
            for each in SITUATIONS if now_s > 0 else ():
                look(each, found[each.name], cards, now_s)
                if not found[each.name].told or now_s < PLAYED_S - 10:
                    rows = (
                        await client.get("/journal", params={"facility_id": facility_id(each), "limit": 1000})
                    ).json()
                    for row in rows["journal"]:
                        if row["transition"].startswith("activated") and row["sensor_id"] in {*wanted(each), None}:
                            found[each.name].told.setdefault(row["rule"], now_s)
            await asyncio.sleep(1)


def wanted(each: Situation) -> set[str]:
    return {sensor_id(each, name) for name in each.right}


def look(each: Situation, seen: Seen, cards: dict[str, Any], now_s: float) -> None:
    right = {f"#/sensor/{one}" for one in wanted(each)} or {f"#/facility/{facility_id(each)}"}
    card = cards.get(facility_id(each))
    if card is None:
        return
    if seen.moved_s is None and any(href in right and is_moved(mark) for href, mark in card["moved"]):
        seen.moved_s = now_s
    if seen.linked_s is None and right & {*card["links"], *cards[""]["links"]}:
        seen.linked_s, seen.actions = now_s, 1


def is_moved(mark: str) -> bool:
    """The console draws the middle at 50 and a limit 31.25 from it."""
    at = float(mark[1:].split(maxsplit=1)[0])
    return abs(at - 50) > VISIBLE_BY * 31.25


async def two_actions(page: Page, url: str, each: Situation, seen: Seen) -> None:
    """By the facility's card to its page: is the right one there, marked?"""
    await page.goto(f"{url}/console#/")
    await page.locator(f".card[data-facility='{facility_id(each)}'] h3 a").click()
    await page.wait_for_selector(".sensors")
    for name in each.right:
        link = page.locator(f"a[href='#/sensor/{sensor_id(each, name)}']")
        if await link.count():
            seen.actions = 2


def line(each: Situation, seen: Seen) -> str:
    first_s = min(seen.told.values(), default=None)
    told = ", ".join(sorted(seen.told, key=lambda rule: seen.told[rule])) or "nothing"
    moved = "-" if seen.moved_s is None or first_s is None else f"{first_s - seen.moved_s:.0f} s before"
    after = "-" if first_s is None else f"{first_s:.0f} s"
    return f"{each.name:26} {after:>6}  {seen.actions or '>2'!s:>7}  {moved if each.creeps else '(no)':>12}  {told}"


async def main() -> None:
    found = {each.name: Seen() for each in SITUATIONS}
    async with (
        system() as (url, password, bus),
        async_playwright() as playwright,
        ServiceBusClient.from_connection_string(bus) as client,
    ):
        browser = await playwright.chromium.launch(
            executable_path=next(filter(None, map(shutil.which, BROWSERS)), None), args=SWITCHES
        )
        page = await open_console(browser, url, password, Picture("overview", ""))
        form = {"username": USER, "password": password}
        async with httpx.AsyncClient(base_url=url) as asker:
            token = (await asker.post("/auth/token", data=form)).json()["access_token"]
        hub = Hub(client)
        await hub.set_up()
        await set_groups(url, token)
        watching = asyncio.create_task(watch(page, url, token, hub, found))
        await hub.play()
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching  # or what went wrong there would be told as nothing
        for each in SITUATIONS:
            if found[each.name].actions is None:
                await two_actions(page, url, each, found[each.name])
        await browser.close()
    sys.stdout.write(f"{'situation':26} {'told':>6}  {'actions':>7}  {'seen to move':>12}  rules\n")
    sys.stdout.writelines(f"{line(each, found[each.name])}\n" for each in SITUATIONS)
    right = sum((seen.actions or 9) <= 2 for seen in found.values())
    warned = [found[each.name] for each in SITUATIONS if each.creeps]
    early = sum(seen.moved_s is not None and seen.moved_s < min(seen.told.values(), default=0) for seen in warned)
    sys.stdout.write(
        f"right in at most two actions: {right} of {len(found)}; seen before told: {early} of {len(warned)}\n"
    )


if __name__ == "__main__":
    asyncio.run(main())
