"""A checkpoint in PostgreSQL that cannot be read: the facility is rebuilt from its stored readings and its journal."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from engine.clock import ManualClock
from engine.facility.facility import Facility
from engine.historian.historian import Historian
from engine.metrics import REBUILDS, Metrics
from engine.settings import Settings
from tests.fakes.messages import T0_US, activation, batch, setup

pytestmark = pytest.mark.postgres
DAY_S = 86_400


@pytest.fixture
async def historian(database_url: str) -> AsyncIterator[Historian]:
    settings = Settings(_env_file=None, database_url=database_url, group_commit_wait_ms=0)
    opened = await Historian.open(database_url, settings, ManualClock(T0_US))
    yield opened
    await opened.close()


def facility_on(historian: Historian) -> Facility:
    settings = Settings(_env_file=None, checkpoint_readings_max=1)
    return Facility("f", historian, settings, ManualClock(T0_US), Metrics())


async def test_a_damaged_checkpoint_costs_no_alarm(historian: Historian, database_url: str) -> None:
    await historian.create_facility(setup())
    facility = facility_on(historian)
    await facility.apply([activation()])
    await facility.ingest(batch(("s", -3 * DAY_S, "24.60"), ("s", 1, "21.0"), ("s", 2, "off"), ("s", 15, "30")))
    await facility.ingest(batch(("s", 30, "31")))
    number = await historian.reserve_sensor("s", "f")
    assert isinstance(number, int)
    stored = await historian.recent_readings("f", [number], 4)
    assert [(at_us - T0_US, data) for _, at_us, data in stored] == [
        (1_000_000, "21.0"),
        (2_000_000, "off"),
        (15_000_000, "30"),
        (30_000_000, "31"),
    ]
    rows = await asyncpg.connect(database_url)
    journal = "SELECT rule, transition FROM alarm_events ORDER BY id"
    projection = "SELECT active, acknowledged, since FROM alarms"
    before = await rows.fetch(projection)
    await rows.execute("UPDATE checkpoints SET state = 'rotten'")

    again = facility_on(historian)
    await again.ingest(batch(("s", 45, "32")))
    assert again._metrics.snapshot()["counters"][REBUILDS] == {"": 1}
    assert await rows.fetch(projection) == before
    await again.ingest(batch(("s", 60, "21"), ("s", 600, "21")))
    assert [tuple(row) for row in await rows.fetch(journal)] == [("high", "activated"), ("high", "returned")]
    assert await rows.fetchval("SELECT state <> 'rotten' FROM checkpoints")
    await rows.close()
