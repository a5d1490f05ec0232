"""Replays that somebody asks a server for, on a real Ray: zero differences, the same twice, over a killed process."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path

import pytest

from engine.client import GasInSight, Replay
from engine.clock import ManualClock
from engine.faultpoints import ENVIRONMENT
from tests.chaos.points import arm, taken
from tests.fakes.messages import T0_US
from tests.integration.cluster.field import QUEUES
from tests.integration.cluster.harness import ENGINE_START_S_MAX, Engine, eventually, is_running, rows_of
from tests.integration.local_bus.harness import running_bus
from tests.integration.replay.lived import RULES, STEP_S, Lived
from tests.integration.web.harness import ADMIN_EMAIL, ADMIN_PASSWORD, web_server
from web.wire.times import from_us

DAY_STEPS = 86_400 // STEP_S
FACILITIES = ("f", "g", "h")
DAY = from_us(T0_US), from_us(T0_US) + timedelta(days=1)
KEPT_DAYS = "3650"


@pytest.mark.ray
@pytest.mark.bus
@pytest.mark.postgres
@pytest.mark.timeout(900)
async def test_a_day_of_three_facilities_is_replayed_by_a_running_engine(tmp_path: Path, database_url: str) -> None:
    for seed, facility_id in enumerate(FACILITIES):
        await Lived(database_url, ManualClock(T0_US), facility_id, seed).run(steps=DAY_STEPS)
    points = tmp_path / "points"
    points.mkdir()
    async with running_bus(tmp_path / "bus", queues=QUEUES) as bus:
        engine = Engine(tmp_path, database_url, bus.connection_string)
        engine.environment |= {"REPLAY_DAYS": KEPT_DAYS, "RETENTION_DAYS": KEPT_DAYS, ENVIRONMENT: str(points)}
        await engine.start()
        try:
            async with (
                web_server(database_url, tmp_path / "web") as web,
                rows_of(database_url) as rows,
                GasInSight(f"http://127.0.0.1:{web.port}", ADMIN_EMAIL, ADMIN_PASSWORD) as gis,
            ):

                async def ended(asked: Replay) -> Replay:
                    async with asyncio.timeout(ENGINE_START_S_MAX):
                        return await gis.replays.wait(asked.id, look_s=0.1)

                arm(points, "replay_ended", "kill")
                first = await gis.replays.start(FACILITIES, *DAY, settings="today")
                await ended(first)
                found = await gis.replays.replay(first.id)
                assert (found.state, found.is_same, found.progress) == ("done", True, 1.0), engine.log_text()
                assert found.readings == sum(part.readings for part in found.parts) > 3 * 1000
                assert {part.facility_id for part in found.parts} == set(FACILITIES)
                assert found.alarms is not None and found.alarms.same > 10
                attempts = await rows.fetch("SELECT attempts FROM replay_parts ORDER BY attempts")
                assert [row["attempts"] for row in attempts] == [1, 1, 2], "one was killed, and begun again"

                again = await gis.replays.start(FACILITIES, *DAY)
                await ended(again)
                assert (await gis.replays.replay(again.id)).checksum == found.checksum is not None

                arm(points, "replay_begun", "pause 10")
                proposals = [{"sensor_id": "s0", "rules": RULES}]
                long = await gis.replays.start(["f"], *DAY, proposals=proposals)

                async def is_begun() -> bool:
                    return taken(points)[-1][0] == "replay_begun"

                await eventually(is_begun, 60, engine.log_text)
                pid = taken(points)[-1][1]
                assert os.getpriority(os.PRIO_PROCESS, pid) == 19
                assert (await gis.replays.cancel(long.id)).state == "cancelled"

                async def has_ended() -> bool:
                    return not is_running(pid)

                await eventually(has_ended, 30, engine.log_text)
                assert (await gis.replays.replay(long.id)).parts[0].result is None
        finally:
            await engine.stop()
