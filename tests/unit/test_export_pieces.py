"""How readings are divided into pieces, the files they become, and the thread that writes them."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.exports import moments
from engine.exports.datasets import DATASETS, RECORDS, Dataset, schema_of
from engine.exports.folders import write_folder
from engine.exports.formats import FORMATS, Format
from engine.exports.pieces import DAY_US, FIRST_ROWS, PIECE_ROWS, Piece, divide
from engine.exports.selection import Asked, SelectionRefused
from engine.exports.writing import in_thread

# --- pieces -----------------------------------------------------------------------------------------------------------

day_rows = st.dictionaries(
    st.integers(-3, 900).map(lambda day: day * DAY_US), st.floats(0, 4 * PIECE_ROWS), max_size=40
)
sensors = st.lists(st.floats(1, 86_400), max_size=12).map(lambda found: np.array(found, dtype=np.float64))
moments_us = st.integers(-4 * DAY_US, 901 * DAY_US)


@given(day_rows, sensors, moments_us, moments_us)
def test_every_day_and_sensor_is_in_one_piece_and_they_come_in_order(
    days: dict[int, float], readings_a_day: NDArray[np.float64], one_us: int, other_us: int
) -> None:
    start_us, end_us = sorted((one_us, other_us + DAY_US))
    pieces = list(divide(days, readings_a_day, start_us, end_us))
    for piece in pieces:
        assert start_us <= piece.start_us < piece.end_us <= end_us
        assert 0 <= piece.first_rank < piece.end_rank <= len(readings_a_day)
    for before, after in pairwise(pieces):
        same_day = before.start_us == after.start_us and before.end_us == after.end_us
        assert before.end_us <= after.start_us or (same_day and before.end_rank == after.first_rank)
    for day_us in days:
        moment_us = max(day_us, start_us)
        if moment_us >= min(day_us + DAY_US, end_us):
            continue
        for rank in range(len(readings_a_day)):
            holding = [
                piece
                for piece in pieces
                if piece.start_us <= moment_us < piece.end_us and piece.first_rank <= rank < piece.end_rank
            ]
            assert len(holding) == 1


def test_a_day_that_fits_is_one_piece_and_a_reading_more_makes_two() -> None:
    even = np.ones(4)
    assert len(list(divide({0: FIRST_ROWS}, even, 0, DAY_US))) == 1
    assert ranks(divide({0: FIRST_ROWS + 4}, even, 0, DAY_US)) == [(0, 3), (3, 4)]
    assert len(list(divide({0: FIRST_ROWS / 2, DAY_US: FIRST_ROWS / 2}, even, 0, 2 * DAY_US))) == 1
    assert len(list(divide({0: FIRST_ROWS / 2, DAY_US: FIRST_ROWS / 2 + 1}, even, 0, 2 * DAY_US))) == 2


def test_the_first_piece_is_small_and_the_others_grow_to_their_full_size() -> None:
    """A thousand sensors with a thousand readings a day each."""
    pieces = ranks(divide({0: 1e6}, np.ones(1000), 0, DAY_US))
    assert [end - first for first, end in pieces[:-1]] == [4, 8, 16, 32, *[50] * 18]
    days = list(divide({day * DAY_US: 1000.0 for day in range(300)}, np.ones(1000), 0, 300 * DAY_US))
    assert [(piece.end_us - piece.start_us) // DAY_US for piece in days] == [4, 8, 16, 32, *[50] * 4, 40]


def ranks(pieces: Iterator[Piece]) -> list[tuple[int, int]]:
    return [(piece.first_rank, piece.end_rank) for piece in pieces]


# --- moments ----------------------------------------------------------------------------------------------------------


def test_a_day_is_meant_whole_at_both_ends() -> None:
    assert moments.end_us("2026-11-01") - moments.start_us("2026-11-01") == DAY_US
    assert moments.start_us("2026-11-01T00:00:00Z") == moments.start_us(" 2026-11-01 ")
    assert moments.end_us("2026-11-01T12:00") == moments.start_us("2026-11-01T12:00")


@pytest.mark.parametrize("text", ["", "yesterday", "2026-02-30", "1969-12-31", "2026-11-01T25:00"])
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SelectionRefused, match="is no time such as 2026-11-23T10:15:00Z"):
        moments.start_us(text)


def test_a_range_that_holds_nothing_is_refused() -> None:
    Asked(start_us=1, end_us=2)
    with pytest.raises(SelectionRefused, match="its start must lie before its end"):
        Asked(start_us=2, end_us=2)


# --- columns ----------------------------------------------------------------------------------------------------------


def test_columns_come_as_asked_and_others_are_told() -> None:
    assert [column.name for column in RECORDS.chosen(["value", "sensor_id"])] == ["value", "sensor_id"]
    assert RECORDS.chosen([]) == RECORDS.columns
    with pytest.raises(ValueError, match="records has no column 'valve'; it has facility_id, sensor_id"):
        RECORDS.chosen(["valve"])
    with pytest.raises(ValueError, match="named twice"):
        RECORDS.chosen(["value", "value"])


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
def test_every_column_says_what_it_means(dataset: Dataset) -> None:
    assert [column.name for column in dataset.columns if not column.meaning] == []


# --- files ------------------------------------------------------------------------------------------------------------


READERS: dict[str, Callable[[io.BytesIO], pl.DataFrame]] = {
    "parquet": pl.read_parquet,
    "arrow": pl.read_ipc,
    "csv": pl.read_csv,
    "ndjson": pl.read_ndjson,
}


def readings(first_day: int, days: int, facility_ids: tuple[str, ...] = ("north", "a/b =ü")) -> list[pl.DataFrame]:
    """A frame a day, facility after facility, as they are read."""
    frames = []
    for day in range(first_day, first_day + days):
        times = [datetime(2026, 11, day, hour, tzinfo=UTC) for hour in range(0, 24, 6)]
        rows = [
            {"facility_id": facility_id, "sensor_id": "s", "tracked_at": time, "value": time.hour + 0.5, "text": None}
            for facility_id in sorted(facility_ids)
            for time in times
        ]
        schema = schema_of(RECORDS.chosen(["facility_id", "sensor_id", "tracked_at", "value", "text"]))
        frames.append(pl.DataFrame(rows, schema=schema))
    return frames


@pytest.mark.parametrize("kind", FORMATS.values(), ids=FORMATS)
def test_a_format_gives_back_what_went_in_and_the_same_bytes(kind: Format) -> None:
    frames = readings(1, 3)
    files = [io.BytesIO(), io.BytesIO()]
    for file in files:
        kind.write(iter(frames), frames[0].schema, file)
    assert files[0].getvalue() == files[1].getvalue()
    files[0].seek(0)
    found = READERS[kind.name](files[0])
    if kind.name in {"csv", "ndjson"}:
        found = found.with_columns(pl.col("tracked_at").str.to_datetime(time_unit="us", time_zone="UTC"))
        found = found.with_columns(pl.col("text").cast(pl.String))
    assert found.equals(pl.concat(frames))


def test_nothing_to_write_is_a_file_with_columns_and_no_rows() -> None:
    schema = schema_of(RECORDS.columns)
    file = io.BytesIO()
    FORMATS["parquet"].write(iter(()), schema, file)
    file.seek(0)
    assert pl.read_parquet(file).schema == schema


def test_what_went_wrong_while_reading_is_raised_as_it_was() -> None:
    def broken() -> Iterator[pl.DataFrame]:
        yield readings(1, 1)[0]
        raise EOFError("PostgreSQL ended")

    with pytest.raises(EOFError, match="PostgreSQL ended"):
        FORMATS["parquet"].write(broken(), readings(1, 1)[0].schema, io.BytesIO())


@pytest.mark.parametrize("kind", FORMATS.values(), ids=FORMATS)
def test_a_disk_that_is_full_is_said_as_the_disk_says_it(kind: Format) -> None:
    frames = readings(1, 3)
    with pytest.raises(OSError, match="No space left on device"), Path("/dev/full").open("wb", buffering=0) as full:
        kind.write(iter(frames), frames[0].schema, full)


def test_a_folder_has_a_file_a_facility_and_day_that_polars_finds(tmp_path: Path) -> None:
    frames = readings(1, 3)
    assert write_folder(tmp_path / "out", iter(frames)) == 6
    found = pl.scan_parquet(tmp_path / "out" / "**" / "*.parquet", hive_partitioning=True).collect()
    assert (
        found.drop("day")
        .select(frames[0].columns)
        .sort("tracked_at", "facility_id")
        .equals(pl.concat(frames).sort("tracked_at", "facility_id"))
    )


# --- the thread that writes -------------------------------------------------------------------------------------------


async def test_a_cancelled_write_ends_its_thread_and_asks_for_nothing_more() -> None:
    asked, is_waiting = 0, asyncio.Event()

    async def endless() -> AsyncIterator[pl.DataFrame]:
        nonlocal asked
        while True:
            asked += 1
            if asked == 3:
                is_waiting.set()
                await asyncio.sleep(3600)
            yield readings(1, 1)[0]

    schema = readings(1, 1)[0].schema
    work = asyncio.create_task(in_thread(endless(), lambda frames: FORMATS["csv"].write(frames, schema, io.BytesIO())))
    await is_waiting.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(work, 20)
    assert asked == 3


async def test_what_is_being_read_has_ended_when_a_cancelled_write_is_over() -> None:
    """Else who closes the frames then would be told that they are still running."""
    is_waiting = asyncio.Event()

    async def slow_to_end() -> AsyncGenerator[pl.DataFrame, None]:
        yield readings(1, 1)[0]
        try:
            is_waiting.set()
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.2)

    frames = slow_to_end()
    work = asyncio.create_task(in_thread(frames, lambda found: sum(frame.height for frame in found)))
    await is_waiting.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(work, 20)
    await frames.aclose()


async def test_rows_are_told_and_the_result_comes_back() -> None:
    told: list[int] = []

    async def two() -> AsyncIterator[pl.DataFrame]:
        for frame in readings(1, 2):
            yield frame

    assert await in_thread(two(), lambda frames: sum(frame.height for frame in frames), told.append) == 16
    assert told == [8, 8]
