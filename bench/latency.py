"""`latency`: from just before a message is sent to its websocket frame, and to the alarm's notification."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator
from datetime import datetime

from bench.house import House, Wanted, open_house
from bench.ingest import single_rates
from bench.report import Figure, Say, at_most, percentile
from engine.client import GasInSight, LiveAlert, Reading
from engine.hub.roster import reading
from engine.runtime import read_secret

SECONDS, PACER_S_MAX = 20.0, 120.0
SETTLE_S = 3.0
FLOW_TRIES_MAX = 20
SHARES = (0.2, 0.7)
P50_MS_MAX, P99_MS_MAX = 40.0, 150.0


async def latency(runs: int, say: Say) -> list[Figure]:
    async with open_house(say, Wanted(with_web=True)) as house:
        say("measuring ingest-single first, which sets the pace")
        rate = statistics.median((await single_rates(house, 1, say))["ours"])
        figures = [Figure("ingest-single in this run", rate, "readings/s")]
        alarm = 0
        for share in SHARES:
            values: list[list[float]] = []
            alarms: list[list[float]] = []
            for run in range(runs):
                say(f"run {run + 1} of {runs}: {share:.0%} of it, {share * rate:.0f} readings/s for {SECONDS:.0f} s")
                seen = await watched(house, share * rate, alarm)
                alarm += len(seen.alarm_sent)
                values.append(seen.value_ms)
                alarms.append(seen.alarm_ms())
            figures += _figures(f"value at {share:.0%}", values, judged=share == max(SHARES))
            figures += _figures(f"alarm at {share:.0%}", alarms, judged=share == max(SHARES))
        return figures


class Seen:
    """What came back, in milliseconds."""

    def __init__(self) -> None:
        self.value_ms: list[float] = []
        self.facilities: set[str] = set()
        self.alarm_sent: dict[str, int] = {}
        self._alarm_seen: dict[str, int] = {}

    async def follow_values(self, readings: AsyncIterator[Reading]) -> None:
        async for one in readings:
            self.facilities.add(one.facility_id)
            self.value_ms.append((time.time_ns() // 1000 - _us(one.tracked_at)) / 1000)

    async def follow_alarms(self, alerts: AsyncIterator[LiveAlert]) -> None:
        async for alert in alerts:
            if alert.sensor_id is not None:
                self._alarm_seen.setdefault(alert.sensor_id, time.time_ns() // 1000)

    def alarm_ms(self) -> list[float]:
        missing = self.alarm_sent.keys() - self._alarm_seen.keys()
        assert not missing, f"{len(missing)} of {len(self.alarm_sent)} alarms were not notified"
        return [(self._alarm_seen[sensor] - sent) / 1000 for sensor, sent in self.alarm_sent.items()]


async def watched(house: House, rate: float, first_alarm: int) -> Seen:
    """Watch everything while the pacer sends."""
    seen = Seen()
    password = read_secret(house.settings.data_dir, "admin_password")
    assert house.url and password
    gis = GasInSight(house.url, house.settings.admin_email, password)
    following = [seen.follow_values(gis.facility_readings(place.facility_id)) for place in house.roster.facilities]
    watching = [asyncio.create_task(one) for one in (*following, seen.follow_alarms(gis.alerts_live()))]
    await _until_all_flow(house, seen)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.pacer", house.data_queue, f"{rate:.1f}", f"{SECONDS}", f"{first_alarm}",
        env={**os.environ, "BENCH_BUS": house.bus}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await asyncio.wait_for(process.communicate(), PACER_S_MAX)
    assert process.returncode == 0, "the pacer failed"
    await asyncio.sleep(SETTLE_S)
    for line in output.splitlines():
        planted = json.loads(line)
        seen.alarm_sent[planted["sensor_id"]] = planted["sent_us"]
    for task in watching:
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)
    await gis.close()
    return seen


async def _until_all_flow(house: House, seen: Seen) -> None:
    """Send a reading to each facility until all of them come back: the first watch of a facility takes a moment."""
    first = {sensor.facility: sensor for sensor in house.roster.sensors}
    for _ in range(FLOW_TRIES_MAX):
        now_us = time.time_ns() // 1000
        rows = [reading(sensor, house.roster.facilities[place], now_us, 15.0) for place, sensor in first.items()]
        await house.send(house.data_queue, [json.dumps(row).encode() for row in rows])
        await asyncio.sleep(SETTLE_S)
        if len(seen.facilities) == len(first):
            seen.value_ms.clear()
            return
    raise TimeoutError(f"only {len(seen.facilities)} of {len(first)} facilities send live values")


def _figures(name: str, runs: list[list[float]], *, judged: bool) -> list[Figure]:
    found = []
    for label, part, limit in (("p50", 0.5, P50_MS_MAX), ("p99", 0.99, P99_MS_MAX)):
        values = [percentile(run, part) for run in runs]
        name_of = f"{name} {label} (n = {sum(map(len, runs)):,})"
        found.append(
            at_most(name_of, values, "ms", limit)
            if judged
            else Figure(name_of, statistics.median(values), "ms", values)
        )
    return found


def _us(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000 + at.microsecond
