"""`memory`: bytes a sensor in the core, and MB of a facility's process with 10, 100 and 10,000 sensors.

The core says how large its state is; a process is weighed by its proportional share (PSS: what it shares with others is
divided among them), beside the same interpreter without a sensor.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import native
from bench.feed import US_PER_S, Feed
from bench.house import EXPECTED_INTERVAL_S, House, Wanted, introduce, open_house
from bench.report import Figure, Say, median
from engine.facility.payloads import config_payload, core_settings
from engine.hub.roster import Roster, make_roster
from engine.model import SensorConfig, SensorStatus
from engine.settings import Settings

SENSORS = (10, 100, 10_000)
TICKS = 10
BYTES_MAX = 4096
CORE_SENSORS, CORE_TICKS = 4_000, 400
"""Enough readings that every view exists and the kind of each signal is known."""
MESSAGE_READINGS_MAX = 1000
STORED_S_MAX = 180.0
_EVER = "2000-01-01"


async def memory(runs: int, say: Say) -> list[Figure]:
    """The core in this process, then real processes. Sizes do not vary, so one run says all."""
    say(f"the core with {CORE_SENSORS:,} sensors")
    figures = [of_the_core()]
    async with open_house(say, Wanted(facilities=1, sensors=1)) as house:
        (first,) = house.engine_pids("ray::FacilityActor")
        empty = pss_mb(first)
        figures.append(Figure("process of a facility with 1 sensor", empty, "MB"))
        for number, sensors in enumerate(SENSORS):
            say(f"a facility with {sensors:,} sensors, {TICKS} readings each")
            mb = await _process_mb(house, make_roster(1, sensors, 100 + number))
            figures += [
                Figure(f"process of a facility with {sensors:,} sensors", mb, "MB"),
                median(
                    f"beyond the one with 1 sensor, a sensor ({sensors:,})", [(mb - empty) * 1e6 / sensors], "bytes"
                ),
            ]
    return figures


def of_the_core(
    sensors: int = CORE_SENSORS,
    ticks: int = CORE_TICKS,
    settings_of: Callable[[str], Mapping[str, Any]] = lambda _: {},
    what: str = "",
) -> Figure:
    """What the core says of itself; `settings_of` a sensor by its type."""
    roster = make_roster(1, sensors, 99)
    facility_id = roster.facilities[0].facility_id
    feed = Feed(roster, time.time_ns() // 1000 - ticks * US_PER_S)
    batches = [native.decode([body], feed.now_us, 300.0).batch(0) for body in feed.arrays(ticks)]
    core = native.FacilityCore(facility_id, core_settings(Settings(_env_file=None)))
    configs = [replace(each, settings=settings_of(each.type.value)) for each in sensor_configs(roster)]
    core.apply("config", config_payload(configs, at_us=time.time_ns() // 1000))
    for batch in batches:
        core.replay("batch", batch)
    size = core.state_bytes() / sensors
    name = f"state of the core, a sensor (of {sensors:,}){what}"
    return Figure(name, size, "bytes", [], f"<= {BYTES_MAX}", size <= BYTES_MAX)


def sensor_configs(roster: Roster) -> list[SensorConfig]:
    """The sensors of the first facility as its core knows them."""
    facility_id = roster.facilities[0].facility_id
    return [
        SensorConfig(
            each.sensor_id,
            number,
            facility_id,
            each.sensor_id,
            each.type,
            SensorStatus.ACTIVE,
            EXPECTED_INTERVAL_S,
            0,
            0,
        )
        for number, each in enumerate(roster.sensors, start=1)
    ]


async def _process_mb(house: House, roster: Roster) -> float:
    """The weight of the new process that `roster`, of one facility, gets, once it has had its readings."""
    before = set(house.engine_pids("ray::FacilityActor"))
    house.roster = roster
    await introduce(house)
    feed = Feed(roster, time.time_ns() // 1000 - TICKS * 1_000_000)
    bodies = [json.dumps(rows).encode() for _ in range(TICKS) for rows in _chunks(feed.rows())]
    stored = await house.stored(_EVER)
    await house.send(house.data_queue, bodies)
    await house.seconds_until_stored(_EVER, stored + TICKS * len(roster.sensors), STORED_S_MAX, 0.2)
    (pid,) = set(house.engine_pids("ray::FacilityActor")) - before
    return pss_mb(pid)


def _chunks(rows: list[dict[str, str]]) -> Iterator[list[dict[str, str]]]:
    """A message may hold 256 KB on Azure."""
    for start in range(0, len(rows), MESSAGE_READINGS_MAX):
        yield rows[start : start + MESSAGE_READINGS_MAX]


def pss_mb(pid: int | str) -> float:
    """Proportional share of the memory of a process."""
    return pss_of(Path(f"/proc/{pid}/smaps_rollup").read_text())


def pss_of(text: str) -> float:
    """MB of the line "Pss:" of a smaps_rollup."""
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) * 1024 / 1e6
