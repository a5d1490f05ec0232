"""Maintenance runs: partitions ahead, strays moved, days dropped or thinned out by type, beside running commits."""

from __future__ import annotations

import asyncio
import datetime as dt
import sys
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from engine.clock import US_PER_S, ManualClock
from engine.historian import maintenance, partitions
from engine.historian.historian import Historian
from engine.historian.maintenance import Did
from engine.historian.partitions import day_of, partition_name, start_us
from engine.model import SensorType
from engine.settings import Settings
from tests.integration.historian.outcomes import (
    T0_US,
    Reading,
    committed,
    facility_of_types,
    facility_with_sensors,
    outcome,
)

pytestmark = pytest.mark.postgres
DAY_US = 86_400 * US_PER_S
PAGE_BYTES = 8192


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(T0_US + 10 * DAY_US + 3_600 * US_PER_S)


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings(
        _env_file=None,
        database_url=database_url,
        group_commit_wait_ms=0,
        retention_days=20,
        retention_days_by_type="GasDetection=40,Vibration=5",
    )


@pytest_asyncio.fixture
async def historian(settings: Settings, clock: ManualClock) -> AsyncIterator[Historian]:
    assert settings.database_url is not None
    opened = await Historian.open(settings.database_url, settings, clock)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Any]:
    opened = await asyncpg.connect(database_url)
    yield opened
    await opened.close()


def names(first_day: int, last_day: int) -> list[str]:
    return [partition_name(day_of(T0_US + day * DAY_US)) for day in range(first_day, last_day + 1)]


async def maintained(historian: Historian) -> list[Did]:
    did: list[Did] = []
    await historian.maintain(did.append)
    return did


def done(did: Sequence[Did], what: str) -> list[str]:
    return [each.name for each in did if each.what == what]


# --- partitions -------------------------------------------------------------------------------------------------------


async def test_partitions_are_made_ahead_once(historian: Historian, clock: ManualClock) -> None:
    assert done(await maintained(historian), "made") == names(9, 17)
    assert await maintained(historian) == []
    await clock.advance(2 * 86_400)
    assert done(await maintained(historian), "made") == names(18, 19)


async def test_strays_move_into_their_day_and_are_told_until_then(historian: Historian, database: Any) -> None:
    state, (sensor_no,) = await facility_with_sensors(historian, "f")
    ages_us = [0, 3 * DAY_US, 3 * DAY_US + 5, 500 * DAY_US]
    rows: list[Reading] = [(sensor_no, T0_US + 8 * DAY_US - age_us, 1.0, None) for age_us in ages_us]
    await committed(historian, outcome(state, 2, rows))
    assert (await historian.stray_readings(10), await historian.stray_readings(2)) == (4, 2)
    did = await maintained(historian)
    assert done(did, "made") == [*names(4, 5), *names(8, 17)]  # 3 days + 5 us before is the day before
    assert [each.rows for each in did if each.what == "made"][:3] == [1, 1, 1]
    assert [each.rows for each in did if each.what == "set_aside"] == [1]  # 500 days is beyond the retention
    homes = await database.fetch("SELECT tableoid::regclass::text AS home FROM sensor_records ORDER BY tracked_at")
    assert [row["home"] for row in homes] == [*names(4, 5), *names(8, 8)]
    assert await historian.stray_readings(10) == 0
    assert (await committed(historian, outcome(state, 3, rows))).not_stored == {(row[0], row[1]) for row in rows}


async def test_partitions_can_be_made_while_commits_run(historian: Historian, database: Any) -> None:
    state, (sensor_no,) = await facility_with_sensors(historian, "f")

    async def commit_on() -> None:
        for commit_no in range(2, 40):
            at_us = T0_US + (commit_no % 10) * DAY_US + commit_no
            await committed(historian, outcome(state, commit_no, [(sensor_no, at_us, 1.0, None)]))

    async def maintain_on() -> None:
        for _ in range(6):
            await maintained(historian)

    await asyncio.gather(commit_on(), maintain_on())
    await maintained(historian)
    assert await database.fetchval("SELECT count(*) FROM sensor_records") == 38
    assert await database.fetchval("SELECT count(*) FROM sensor_records_default") == 0


async def test_two_who_make_a_day_at_once_make_it_once(database_url: str, database: Any) -> None:
    other = await asyncpg.connect(database_url)
    for number in range(5):
        day = day_of(T0_US + number * DAY_US)
        made = await asyncio.gather(*(partitions.make_day(connection, day) for connection in (database, other)))
        assert sorted(map(str, made)) == ["0", "None"]
    await other.close()
    assert [day.name for day in await partitions.days(database)][:5] == names(0, 4)


@pytest.mark.parametrize("before", ["_set_old_strays_aside", "_plan", "_make"])
async def test_an_import_that_makes_a_day_meanwhile_leaves_nothing_old_in_it(
    historian: Historian, database: Any, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    state, numbers = await facility_of_types(historian, "f", [SensorType.VIBRATION, SensorType.NOISE])
    at_us = T0_US + 4 * DAY_US  # a Noise is kept, a Vibration is not
    await committed(historian, outcome(state, 3, [(no, at_us, 1.0, None) for no in numbers]))
    step = getattr(maintenance, before)
    made: list[int | None] = []

    async def made_before(*arguments: Any) -> Any:
        if not made:
            made.append(await partitions.make_day(database, day_of(at_us)))
        return await step(*arguments)

    monkeypatch.setattr(maintenance, before, made_before)
    await maintained(historian)
    assert made[0] is not None
    homes = await database.fetch("SELECT sensor_no, tableoid::regclass::text AS home FROM sensor_records")
    assert [tuple(row) for row in homes] == [(numbers[1], names(4, 4)[0])]


def test_days_are_utc() -> None:
    assert day_of(start_us(dt.date(2026, 3, 29))) == dt.date(2026, 3, 29)
    assert day_of(start_us(dt.date(2026, 3, 29)) - 1) == dt.date(2026, 3, 28)
    assert day_of(-1) == dt.date(1969, 12, 31)


# --- retention --------------------------------------------------------------------------------------------------------


async def test_a_day_goes_when_no_type_needs_it_and_shorter_types_go_before(
    historian: Historian, clock: ManualClock, database: Any
) -> None:
    state, (gas, vibration, noise) = await facility_of_types(
        historian, "f", [SensorType.GAS_DETECTION, SensorType.VIBRATION, SensorType.NOISE]
    )
    days = [3, 4, 5, 9]
    rows: list[Reading] = [
        (no, T0_US + day * DAY_US, float(day), None) for day in days for no in (gas, vibration, noise)
    ]
    await committed(historian, outcome(state, 3, rows))

    async def kept(sensor_no: int) -> list[float]:
        query = "SELECT array_agg(value ORDER BY value) FROM sensor_records WHERE sensor_no = $1"
        return list(await database.fetchval(query, sensor_no) or [])

    did = await maintained(historian)  # day 10: Vibration is kept from day 5 on
    assert (await kept(gas), await kept(vibration), await kept(noise)) == ([3, 4, 5, 9], [5, 9], [3, 4, 5, 9])
    assert done(did, "dropped") == []
    await clock.advance(14 * 86_400)  # day 24: Noise from day 4 on
    did = await maintained(historian)
    assert (await kept(gas), await kept(vibration), await kept(noise)) == ([3, 4, 5, 9], [], [4, 5, 9])
    assert (done(did, "dropped"), done(did, "expired")) == ([], [*names(3, 3), *names(5, 5), *names(9, 9)])
    await clock.advance(20 * 86_400)  # day 44: the gas detector from day 4 on
    did = await maintained(historian)
    assert (await kept(gas), await kept(noise)) == ([4, 5, 9], [])
    assert done(did, "dropped") == names(3, 3)
    rollups = "SELECT count(*) FROM reading_rollups WHERE sensor_no = $1 AND width_s = 60"
    assert [await database.fetchval(rollups, no) for no in (gas, vibration, noise)] == [4, 4, 4]


async def test_what_is_older_than_its_type_is_kept_becomes_a_dead_letter(historian: Historian, database: Any) -> None:
    state, (gas, vibration) = await facility_of_types(historian, "f", [SensorType.GAS_DETECTION, SensorType.VIBRATION])
    await maintained(historian)
    first_us = T0_US + 5 * DAY_US
    rows: list[Reading] = [(no, at_us, 1.5, None) for no in (gas, vibration) for at_us in (first_us - 1, first_us)]
    rows.append((gas, 0, None, "1970"))
    answer = await committed(historian, outcome(state, 3, rows))
    assert answer.not_stored == {(vibration, first_us - 1), (gas, 0)}
    assert answer.set_aside == 2
    again = await committed(historian, outcome(state, 4, rows))
    assert (len(again.not_stored), again.set_aside) == (5, 2)
    letters = await database.fetch("SELECT sensor_id, reason, detail, body FROM dead_letters ORDER BY body")
    assert [tuple(row) for row in letters] == [
        (
            "f-GasDetection",
            "before_retention",
            "readings of GasDetection are kept from 2025-12-02 on",
            '{"sensor_id" : "f-GasDetection", "tracked_at" : "1970-01-01T00:00:00.000000", "data" : "1970"}',
        ),
        (
            "f-Vibration",
            "before_retention",
            "readings of Vibration are kept from 2026-01-06 on",
            '{"sensor_id" : "f-Vibration", "tracked_at" : "2026-01-05T23:59:59.999999", "data" : "1.5"}',
        ),
    ]
    assert await database.fetchval("SELECT count(*) FROM sensor_records") == 3


async def test_rollups_outlive_their_readings_and_late_ones_do_not_spoil_them(
    historian: Historian, settings: Settings, clock: ManualClock, database: Any
) -> None:
    state, (vibration,) = await facility_of_types(historian, "f", [SensorType.VIBRATION])
    await maintained(historian)
    at_us = T0_US + 9 * DAY_US
    rows: list[Reading] = [(vibration, at_us + second * US_PER_S, 2.0, None) for second in range(30)]
    await committed(historian, outcome(state, 3, rows))
    await clock.advance(6 * 86_400)
    assert [each.rows for each in await maintained(historian) if each.what == "expired"] == [30]
    await committed(historian, outcome(state, 4, [(vibration, at_us + 31 * US_PER_S, 9.0, None)]))
    while await historian.rollup_pass():
        pass
    assert await database.fetchval("SELECT array_agg(readings) FROM reading_rollups") == [30, 30, 30]
    shorter = settings.model_copy(update={"minute_rollups_days": 40, "hour_rollups_days": 41})
    other = await Historian.open(str(settings.database_url), shorter, clock)
    await clock.advance(34 * 86_400)  # day 50: minutes from day 10 on, hours from day 9 on
    assert [(each.name, each.rows) for each in await maintained(other) if each.what == "rollups_expired"] == [
        ("60 s", 1)
    ]
    assert await database.fetchval("SELECT array_agg(width_s ORDER BY width_s) FROM reading_rollups") == [3600, 86_400]
    await other.close()


async def test_a_day_waits_until_its_rollups_are_computed(
    historian: Historian, clock: ManualClock, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "PASSES_MAX", 2)
    await keep_one_reading(historian, clock)
    async with database.transaction():
        await database.execute("SELECT pg_advisory_xact_lock(hashtext('gasinsight rollups'))")  # another pass
        did = await maintained(historian)
    assert (done(did, "put_off"), done(did, "dropped")) == (["retention"], [])
    assert done(await maintained(historian), "dropped") == names(0, 0)


async def test_what_a_long_reader_holds_is_put_off_and_dropped_later(
    historian: Historian, clock: ManualClock, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "TRY_AGAIN_S", 0.0)
    monkeypatch.setattr(partitions, "LOCK_WAIT_MS_MAX", 20)
    await keep_one_reading(historian, clock)
    async with database.transaction():
        await database.fetch("SELECT FROM sensor_records LIMIT 1")
        did = await maintained(historian)
    assert done(did, "dropped") == []
    assert set(names(0, 0)) <= set(done(did, "put_off"))
    assert done(await maintained(historian), "dropped") == names(0, 0)


async def keep_one_reading(historian: Historian, clock: ManualClock) -> None:
    """Of day 0, which nobody keeps any longer at the end; its rollups are still to be computed."""
    state, (sensor_no,) = await facility_with_sensors(historian, "f")
    await committed(historian, outcome(state, 2, [(sensor_no, T0_US, 1.0, None)]))
    await maintained(historian)
    await committed(historian, outcome(state, 3, [(sensor_no, T0_US + 1, 1.0, None)]))
    await clock.advance(31 * 86_400)


async def filled(database: Any, day: str, sensor_nos: Sequence[int], readings: int) -> None:
    """A day with so many readings of each sensor, in the order of time."""
    await database.execute(
        f"INSERT INTO {day} SELECT no, $1::timestamptz + number * interval '1 second', number, NULL, 0, 0 "
        "FROM generate_series(0, $2::int - 1) number, unnest($3::int[]) no",
        dt.datetime.strptime(day[-8:], "%Y%m%d").replace(tzinfo=dt.UTC),
        readings,
        list(sensor_nos),
    )


@pytest.mark.parametrize(("expired", "kept", "is_given_back"), [(25_000, 75_000, True), (19_000, 81_000, False)])
async def test_room_is_given_back_from_a_fifth_of_a_day_on(
    historian: Historian, clock: ManualClock, database: Any, expired: int, kept: int, is_given_back: bool
) -> None:
    await expire_a_part(historian, clock, database, expired=expired, kept=kept, is_given_back=is_given_back)


@pytest.mark.parametrize(("expired", "is_given_back"), [(30_000, True), (10_000, False)])
async def test_room_of_less_than_a_megabyte_is_left_alone(
    historian: Historian, clock: ManualClock, database: Any, expired: int, is_given_back: bool
) -> None:
    await expire_a_part(historian, clock, database, expired=expired, kept=1_000, is_given_back=is_given_back)


async def expire_a_part(
    historian: Historian, clock: ManualClock, database: Any, *, expired: int, kept: int, is_given_back: bool
) -> None:
    _, (vibration,) = await facility_of_types(historian, "f", [SensorType.VIBRATION])
    await maintained(historian)
    (day,) = names(9, 9)
    await filled(database, day, [vibration], expired)
    await filled(database, day, [vibration + 1], kept)
    await clock.advance(6 * 86_400)
    before = await database.fetchval("SELECT pg_total_relation_size($1::text::regclass)", day)
    did = await maintained(historian)
    after = await database.fetchval("SELECT pg_total_relation_size($1::text::regclass)", day)
    assert done(did, "expired") == [day]
    freed = [each.bytes for each in did if each.what == "given_back"]
    if is_given_back:
        assert freed == [pytest.approx(before - after, abs=4 * PAGE_BYTES)]  # autovacuum keeps its maps beside us
    else:
        assert freed == []
    assert (after <= before - 1024**2) is is_given_back
    assert await database.fetchval("SELECT count(*) FROM sensor_records") == kept
    assert done(await maintained(historian), "given_back") == []


# --- beside others ----------------------------------------------------------------------------------------------------


async def test_two_runs_take_turns(historian: Historian, settings: Settings, clock: ManualClock) -> None:
    assert settings.database_url is not None
    async with maintenance.opened(settings.database_url, settings) as first:
        told: list[Did] = []
        await maintenance.maintain(first, settings.retention, clock.now_us(), told.append)
        second = asyncio.create_task(maintained(historian))
        await asyncio.sleep(0.3)
        assert not second.done()
    did = await second
    assert done(told, "made") == names(9, 17)
    assert [each.what for each in did] == ["waiting"]


async def test_commits_wait_but_a_moment_for_what_retention_does(
    historian: Historian,
    settings: Settings,
    clock: ManualClock,
    database: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fourteen days are dropped and twenty are thinned out and written anew, beside a committer that never rests."""
    monkeypatch.setattr(partitions, "GIVEN_BACK_BYTES_MIN", 0)
    state, (gas, vibration) = await facility_of_types(historian, "f", [SensorType.GAS_DETECTION, SensorType.VIBRATION])
    other = await Historian.open(str(settings.database_url), settings, clock)
    for day in range(-29, 5):
        await partitions.make_day(database, day_of(T0_US + day * DAY_US))
    for name in names(-29, 4):
        await filled(database, name, [gas, vibration], 10_000)
    waits_s: list[float] = []
    resting = asyncio.Event()

    async def commit_on() -> None:
        commit_no = 2
        while not resting.is_set():
            commit_no += 1
            started_s = time.monotonic()
            # Twice the same, so that each commit asks what is stored already, in all partitions.
            row = (gas, T0_US + 10 * DAY_US + commit_no // 2, 1.0, None)
            await committed(other, outcome(state, commit_no, [row]))
            waits_s.append(time.monotonic() - started_s)

    committing = asyncio.create_task(commit_on())
    await asyncio.sleep(0.5)
    calm_s = max(waits_s)
    waits_s.clear()
    await clock.advance(15 * 86_400)
    started_s = time.monotonic()
    did = await maintained(historian)
    took_s = time.monotonic() - started_s
    resting.set()
    await committing
    await other.close()
    assert (len(done(did, "dropped")), len(done(did, "given_back"))) == (14, 20)
    with capsys.disabled():
        sys.stdout.write(
            f"\nlongest commit {max(waits_s) * 1e3:.0f} ms in {took_s:.1f} s, {calm_s * 1e3:.0f} ms before\n"
        )
    assert max(waits_s) < partitions.LOCK_WAIT_MS_MAX / 1000 + 1.0
