"""An anomaly of a facility as a whole: from readings to what people see, and over a rebuild."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import native
from engine.clock import SystemClock
from engine.facility.facility import Facility
from engine.historian.historian import Historian
from engine.historian.port import Creation
from engine.metrics import Metrics
from engine.model import SensorActivation, SensorType
from tests.integration.historian.outcomes import PLACE, setup
from tests.integration.web.harness import Web, bearer, web_server

pytestmark = pytest.mark.postgres
SENSORS = [f"s{index}" for index in range(5)]
STEP_US = 15_000_000
ROUNDS, AGAINST = 1_500, 200
RULE = "facility_anomaly"


def rows(start_us: int) -> list[tuple[str, int, str]]:
    """One process drives all sensors; in the last rounds the second goes against the others, within its own habits."""
    chance, drive, found = random.Random(7), 0.0, []
    for step in range(ROUNDS + AGAINST):
        drive = 0.9 * drive + 0.44 * chance.gauss()
        for index, sensor_id in enumerate(SENSORS):
            gain = (1 + index) * (-1 if index == 1 and step >= ROUNDS else 1)
            value = 100 + gain * drive + 0.2 * chance.gauss()
            found.append((sensor_id, start_us + step * STEP_US, f"{value:.3f}"))
    return found


async def feed(facility: Facility, start_us: int) -> None:
    readings = rows(start_us)
    for first in range(0, len(readings), 1_000):
        part = readings[first : first + 1_000]
        await facility.ingest(native.encode_batch("f", part, part[-1][1]))


async def test_people_see_it_with_its_foremost_sensor_and_a_rebuild_keeps_it(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path, group_commit_wait_ms=0) as web:
        clock = SystemClock()
        start_us = clock.now_us() - (ROUNDS + AGAINST + 10) * STEP_US
        historian = await Historian.open(database_url, web.settings, clock)
        try:
            assert await historian.create_facility(setup("f")) is Creation.MADE
            facility = Facility("f", historian, web.settings, clock, Metrics())
            type_ = SensorType.COMPRESSOR_STATUS
            await facility.apply([SensorActivation(each, "f", type_, PLACE, 15, start_us) for each in SENSORS])
            await feed(facility, start_us)
            await journal_and_answers(web)
            again = Facility("f", historian, web.settings, clock, Metrics())
            await web.database.execute("DELETE FROM checkpoints")
            await web.database.execute(r"UPDATE facility_commits SET payload = '\x00'")
            await again.load()
            assert again._core is not None
            (kept,) = [alarm for alarm in again._core.alarms() if alarm.rule == RULE]
            (active, since_us) = await web.database.fetchrow(
                "SELECT active, (extract(epoch FROM since) * 1000000)::int8 FROM alarms WHERE rule = $1", RULE
            )
            assert (kept.sensor_id, kept.active, kept.acknowledged, kept.since_us) == (None, active, False, since_us)
        finally:
            await historian.close()


async def journal(web: Web) -> list[dict[str, object]]:
    found = await web.database.fetch(
        "SELECT id, alarm_key, sensor_no, transition, message, recorded_at FROM alarm_events WHERE rule = $1"
        " ORDER BY id",
        RULE,
    )
    return [dict(row) for row in found]


async def journal_and_answers(web: Web) -> None:
    told = await journal(web)
    assert told, "nothing was told of the facility"
    first = told[0]
    assert (first["alarm_key"], first["sensor_no"], first["transition"]) == (f"facility:{RULE}", None, "activated")
    assert "CompressorStatus s1 (" in str(first["message"])
    headers = bearer(await web.sign_in())
    for path in ("/alerts", "/alerts/facility/f"):
        alerts = (await web.client.get(path, headers=headers)).json()
        (alert,) = [alert for alert in alerts if alert["id"] == first["id"]]
        assert alert["sensor_id"] == alert["explanation"]["contributors"][0]["sensor_id"]
        assert (alert["type"], alert["message"]) == ("Anomaly", first["message"])
        assert alert["explanation"]["score"] >= alert["explanation"]["threshold"]
