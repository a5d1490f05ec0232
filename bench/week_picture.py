"""`python -m bench.week_picture` (a part of `make pictures`): the picture in docs/data-science.md, by the script there.

A week of the simulated field with a leak and a pump trip, scored by the core, in a database of its own.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import numpy as np

import native
from bench.site import insert_sensors, open_site
from engine.hub.field import Field, FieldOptions

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs/pictures/week.png"
DAY_S = 86_400
DAYS = 7
SENSORS = 6
INTERVAL_S = 60.0
FAULTS = f"leak@{4 * DAY_S}+10800,pump_trip@{5.5 * DAY_S:.0f}+7200"
FACILITY = "ridge-1"


async def main() -> None:
    begin = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(days=DAYS)
    field = Field(FieldOptions(1, SENSORS, SENSORS / INTERVAL_S, 3, FAULTS), round(begin.timestamp() * 1_000_000))
    field.plan(DAYS * DAY_S)
    types = [sensor.type.value for sensor in field.roster.sensors]
    values = field.values(DAYS * DAY_S)
    async with open_site() as site:
        database = await asyncpg.connect(site.database_url)
        names = {f"{kind}-{place}": (FACILITY, kind, round(INTERVAL_S)) for place, kind in enumerate(types)}
        numbers = await insert_sensors(database, names)
        for place, name in enumerate(names):
            own = [(at_us, value) for at_us, sensor, value in values if sensor == place]
            at_us = np.array([at for at, _ in own], dtype=np.int64)
            readings = np.array([value for _, value in own]).round(2)
            said = native.score_series(at_us, readings, INTERVAL_S)
            times = [begin + timedelta(microseconds=int(us - at_us[0])) for us in at_us]
            flags = said.flags.tolist()
            rows = zip([numbers[name]] * len(own), times, readings.tolist(), flags, strict=True)
            columns = ["sensor_no", "tracked_at", "value", "flags"]
            await database.copy_records_to_table("sensor_records", records=rows, columns=columns)
        await database.close()
        PICTURE.parent.mkdir(exist_ok=True)
        command = [sys.executable, "examples/week.py", "--facility", FACILITY, "--picture", str(PICTURE)]
        environment = os.environ | {"DATABASE_URL": site.database_url, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
        await asyncio.to_thread(subprocess.run, command, env=environment, cwd=ROOT, check=True)


if __name__ == "__main__":
    asyncio.run(main())
