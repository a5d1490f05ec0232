"""What the database says after a run: the commit log as it was kept, folded, and when each reading was stored."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import numpy as np
import numpy.typing as npt

import native
from engine.facility.payloads import core_settings
from engine.model import EntryKind, LogEntry
from engine.settings import Settings
from tests.faults.checks import check_fold

SENSORS_MAX = 4096
COMMITS = "SELECT commit_no, kind, payload FROM chaos_commits WHERE facility_id = $1 ORDER BY commit_no"
BATCHES = "SELECT payload, extract(epoch FROM committed_at)::float8 AS at_s FROM chaos_commits WHERE kind = 'batch'"


@dataclass(frozen=True, slots=True)
class FoldResult:
    """`differences`: one line a facility whose stored state is not what its commits lead to."""

    facilities: int
    commits: int
    readings: int
    differences: tuple[str, ...]


async def check_commits(db: asyncpg.Connection, settings: Settings, sparing: Sequence[str] = ()) -> FoldResult:
    """Fold the log of each facility through a fresh core and compare with everything stored, bit for bit.

    `sparing`: not those, which have readings that no commit brought.
    """
    differences: list[str] = []
    commits = readings = 0
    facilities = [row["id"] for row in await db.fetch("SELECT id FROM facilities ORDER BY id")]
    facilities = [each for each in facilities if each not in sparing]
    for facility_id in facilities:
        rows = await db.fetch(COMMITS, facility_id)
        log = [(LogEntry(row["commit_no"], EntryKind(row["kind"]), row["payload"]),) for row in rows]
        commits += len(log)
        try:
            numbers = [row["commit_no"] for row in rows]
            assert numbers == list(range(1, len(numbers) + 1)), f"the log of {facility_id} has a gap"
            folded = await check_fold(db, log, facility_id, core_settings(settings))
            readings += len(folded.readings)
        except AssertionError as error:
            differences.append(f"{facility_id}: {str(error)[:1000]}")
    return FoldResult(len(facilities), commits, readings, tuple(differences))


def reading_keys(sensor_nos: npt.NDArray[np.int64], tracked_at_us: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The identity of each reading as one number; fits 64 bits until the year 2041."""
    assert sensor_nos.max(initial=0) < SENSORS_MAX, f"more than {SENSORS_MAX} sensors"
    return tracked_at_us * SENSORS_MAX + sensor_nos


async def first_stored(db: asyncpg.Connection) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """(keys in ascending order, Unix seconds of the first commit that holds each)."""
    sensor_nos, tracked, times = array("q"), array("q"), array("d")
    async with db.transaction():
        async for row in db.cursor(BATCHES, prefetch=500):
            for reading in native.batch_rows(row["payload"]):
                if not reading["sensor_id"].startswith("#"):
                    continue  # of a sensor that was unknown then: this commit parked it
                sensor_nos.append(int(reading["sensor_id"][1:]))
                tracked.append(reading["tracked_at_us"])
                times.append(row["at_s"])
    all_keys = reading_keys(np.array(sensor_nos, np.int64), np.array(tracked, np.int64))
    all_times = np.array(times, np.float64)
    order = np.lexsort((all_times, all_keys))
    unique, first = np.unique(all_keys[order], return_index=True)
    return unique, all_times[order][first]
