"""What an import makes of files: whose each row is, when it was, what can be stored, and why not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import polars as pl
import pytest

import native
from engine.exports.datasets import DATASETS, schema_of
from engine.imports import storing
from engine.imports.judging import ALL_FLAGS, SHOWN_CHARACTERS_MAX, STORED, judged
from engine.imports.known import Known, Sensor
from engine.imports.looking import Looked, counted
from engine.imports.moments import Fold, Zone
from engine.imports.reasons import SENTENCES, Reason
from engine.imports.report import EXAMPLES_MAX, REMARKS_MAX, Report
from engine.imports.rows import COLUMNS_TOLD_MAX, ROWS, Mapped, rows_of
from engine.imports.scoring import scored
from engine.imports.sources import Found, Source, find
from engine.imports.span import Span
from engine.imports.storing import ATTEMPTS, BATCH_ROWS, Counts, Store, batches
from engine.model import SensorType
from engine.offline import FrameRefused, score_frame
from native import Flag

START = datetime(2026, 10, 25, tzinfo=UTC)
START_US = int(START.timestamp()) * 1_000_000
HOUR_US = 3_600_000_000
KNOWN = Known(
    {"f", "g"},
    {"a": Sensor(1, "f", "Pressure", 60), "b": Sensor(2, "f", "Pressure", 60), "007": Sensor(3, "g", "Flow", 60)},
)
LATE, TEXT, NON_FINITE = Flag.LATE.value, Flag.TEXT.value, Flag.NON_FINITE.value
BERLIN = Zone("Europe/Berlin")
EVER = Span(dict.fromkeys(SensorType, 0), native.TIME_US_END)


def looked_at(
    path: Path, mapped: Mapped | None = None, span: Span = EVER, known: Known = KNOWN
) -> tuple[pl.DataFrame, Report]:
    report = Report()
    found = find([path])
    assert not found.refused
    parts = [
        judged(rows_of(source.read(), source.keys, mapped or Mapped()), known, span, source.path.name, report)
        for source in found.sources
    ]
    return pl.concat(parts), report


def csv(folder: Path, *lines: str) -> Path:
    path = folder / "r.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def parquet(folder: Path, columns: Mapping[str, Any]) -> Path:
    path = folder / "r.parquet"
    pl.DataFrame(columns).write_parquet(path)
    return path


def reasons(report: Report) -> dict[str, int]:
    return {reason.value: told.rows for reason, told in report.refused.items()}


def hours(frame: pl.DataFrame) -> list[float]:
    return [(at_us - START_US) / HOUR_US for at_us in frame["at_us"]]


# --- whose and what ---------------------------------------------------------------------------------------------------


def test_a_wide_table_in_german_with_words_and_gaps(tmp_path: Path) -> None:
    frame, report = looked_at(
        csv(
            tmp_path, "tracked_at;a;b;c", "2026-10-25 00:00;1,5;;7", "2026-10-25 01:00;2,5;Bad;", "2026-10-25 02:00;;3;"
        )
    )
    assert frame.select("sensor_no", "value", "text", "flags").rows() == [
        (1, 1.5, None, LATE),
        (1, 2.5, None, LATE),
        (2, None, "Bad", LATE | TEXT),
        (2, 3.0, None, LATE),
    ]
    assert reasons(report) == {"unknown_sensor": 1}
    assert report.refused[Reason.UNKNOWN_SENSOR].examples == ["'c' in line 2 of r.csv"]
    assert report.remarks == ["words in place of numbers are kept as texts: 1"]


def test_ids_and_texts_of_a_csv_are_no_numbers(tmp_path: Path) -> None:
    frame, _ = looked_at(
        csv(tmp_path, "facility_id,sensor_id,tracked_at,value,text", "g,007,2026-10-25T00:00,21.5,21.50")
    )
    assert frame.select("sensor_no", "value", "text").rows() == [(3, 21.5, "21.50")]


@pytest.mark.parametrize(("count", "told"), [(COLUMNS_TOLD_MAX, ""), (COLUMNS_TOLD_MAX + 1, ", …")])
def test_columns_that_say_something_else_are_told(tmp_path: Path, count: int, told: str) -> None:
    names = [f"n{number}" for number in range(count)]
    header = ",".join(["tracked_at,label,sensor_id,value", *names])
    _, report = looked_at(csv(tmp_path, header, f"2026-10-25 00:00,1,a,1{',Good' * count}"))
    assert report.remarks == [f"columns that are not imported: {', '.join(names[:COLUMNS_TOLD_MAX])}{told}"]


def test_a_sensor_may_be_called_what_we_call_things(tmp_path: Path) -> None:
    names = [name for name in ROWS if name not in {"sensor_id", "facility_id", "value"}]
    known = Known({"f"}, {name: Sensor(number, "f", "Flow", 60) for number, name in enumerate(names)})
    columns = {"tracked_at": [START], **{name: [float(number)] for number, name in enumerate(names)}}
    frame, _ = looked_at(parquet(tmp_path, columns), known=known)
    assert frame["value"].to_list() == [float(number) for number in range(len(names))]


def test_as_many_remarks_as_are_read() -> None:
    report = Report()
    for number in range(REMARKS_MAX + 1):
        report.remark(f"{number}")
        report.remark(f"{number}")
    assert report.remarks == [str(number) for number in range(REMARKS_MAX)]


def test_one_series_needs_to_be_told_whose_it_is(tmp_path: Path) -> None:
    path = parquet(tmp_path, {"tracked_at": [START], "value": [1]})
    with pytest.raises(FrameRefused, match="give --sensor ID"):
        looked_at(path)
    frame, _ = looked_at(path, Mapped(sensor_id="b"))
    assert frame["sensor_no"].to_list() == [2]


@pytest.mark.parametrize(
    ("columns", "mapped", "why"),
    [
        (
            {"tracked_at": [START], "value": [1], "sensor_id": ["a"]},
            Mapped(sensor_id="b"),
            "column sensor_id of its own",
        ),
        (
            {"tracked_at": [START], "value": [1], "sensor_id": ["a"], "facility_id": ["f"]},
            Mapped(facility_id="f"),
            "column facility_id of its own",
        ),
        ({"tracked_at": [START], "a": [1]}, Mapped(sensor_id="b"), "there is no column value"),
        ({"tracked_at": [START]}, Mapped(), "neither a column value nor one for each sensor"),
        ({"at": [START], "value": [1]}, Mapped(), "there is no column tracked_at"),
        ({"tracked_at": [1], "a": [1]}, Mapped(), "tracked_at is Int64"),
        ({"tracked_at": [START], "a": ["1"]}, Mapped(), "a is String, it must be numbers"),
        ({"tracked_at": [START], "value": [1], "sensor_id": [1.5]}, Mapped(), "sensor_id is Float64"),
        ({"tracked_at": [START], "value": [1], "sensor_id": ["a"], "text": [1]}, Mapped(), "text is Int64"),
        ({"tracked_at": [START], "value": [1], "sensor_id": ["a"], "score": ["x"]}, Mapped(), "score is String"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_sentence(
    tmp_path: Path, columns: Mapping[str, Any], mapped: Mapped, why: str
) -> None:
    with pytest.raises(FrameRefused, match=why) as refused:
        looked_at(parquet(tmp_path, columns), mapped)
    assert "\n" not in str(refused.value)


def test_folders_say_facility_and_sensor(tmp_path: Path) -> None:
    for name in ("facility_id=f/sensor_id=a", "facility_id=f/sensor_id=b", "facility_id=f/sensor_id=007"):
        (tmp_path / name).mkdir(parents=True)
        parquet(tmp_path / name, {"tracked_at": [START], "value": [1]})
    frame, report = looked_at(tmp_path)
    assert sorted(frame["sensor_no"]) == [1, 2]
    assert reasons(report) == {"other_facility": 1}


def test_a_facility_that_is_given_is_held_against_the_sensors(tmp_path: Path) -> None:
    path = parquet(tmp_path, {"tracked_at": [START], "a": [1], "007": [1]})
    frame, report = looked_at(path, Mapped(facility_id="f"))
    assert frame["sensor_no"].to_list() == [1]
    assert reasons(report) == {"other_facility": 1}
    assert reasons(looked_at(path, Mapped(facility_id="h"))[1]) == {"unknown_facility": 2}


def test_facilities_come_before_sensors_before_readings(tmp_path: Path) -> None:
    parquet(tmp_path, {"tracked_at": [START], "value": [1]})
    for dataset in ("sensors", "facilities"):
        pl.DataFrame(schema=schema_of(DATASETS[dataset].columns)).write_csv(tmp_path / f"{dataset}.csv")
    found: Found = find([tmp_path])
    assert [source.entities.name if source.entities else "" for source in found.sources] == [
        "facilities",
        "sensors",
        "",
    ]


# --- what can be stored -----------------------------------------------------------------------------------------------


def test_every_reason_is_told_with_the_place(tmp_path: Path) -> None:
    rows = [
        (None, "f", START, 1.0, None, None, None, "no_sensor"),
        ("a", "f", None, 1.0, None, None, None, "bad_time"),
        ("a", "f", datetime(1969, 12, 31, tzinfo=UTC), 1.0, None, None, None, "time_out_of_range"),
        ("a", "f", datetime(2200, 12, 31, 23, tzinfo=UTC), 1.0, None, None, None, "future"),
        ("a", "f", datetime(1970, 1, 1, tzinfo=UTC), 1.0, None, None, None, "too_old"),
        ("a", "h", START, 1.0, None, None, None, "unknown_facility"),
        ("c", "f", START, 1.0, None, None, None, "unknown_sensor"),
        ("a", "g", START, 1.0, None, None, None, "other_facility"),
        ("a", "f", START, None, None, None, None, "no_value"),
        ("a", "f", START, None, "x\0", None, None, "bad_text"),
        ("a", "f", START, None, "x" * (native.DATA_BYTES_MAX + 1), None, None, "bad_text"),
        ("a", "f", START, 1.0, None, float("inf"), None, "bad_score"),
        ("a", "f", START, 1.0, None, None, ALL_FLAGS + 1, "bad_score"),
        ("a", "f", START, 1.0, None, None, -1, "bad_score"),
    ]
    good = [
        ("a", "f", START, None, "x" * native.DATA_BYTES_MAX, None, None),
        ("b", "f", START, 1.0, None, 0.5, ALL_FLAGS),
        ("b", None, datetime(2026, 1, 1, tzinfo=UTC), 1.0, None, 0.5, 0),
    ]
    names = ["sensor_id", "facility_id", "tracked_at", "value", "text", "score", "flags"]
    path = tmp_path / "r.parquet"
    pl.DataFrame([*(row[:-1] for row in rows), *good], schema=names, orient="row").write_parquet(path)
    first_us = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
    span = Span(dict.fromkeys(SensorType, first_us), START_US + 1)
    frame, report = looked_at(path, span=span)
    assert frame.height == len(good)
    assert {reason: [row[-1] for row in rows].count(reason) for reason in (row[-1] for row in rows)} == reasons(report)
    for place, row in enumerate(rows, start=1):
        assert any(f"in row {place} of r.parquet" in each for each in report.refused[Reason(row[-1])].examples) or (
            row[-1] in {"bad_score"}  # each time is shown once
        )


def test_the_ends_of_what_is_taken(tmp_path: Path) -> None:
    moments = [datetime.fromtimestamp((START_US + step) / 1e6, UTC) for step in (-1, 0, 9, 10)]
    starts_us: dict[str, int] = {SensorType.PRESSURE: START_US, SensorType.FLOW: START_US + 9}
    columns = {"tracked_at": moments, "a": [1, 2, 3, 4], "007": [5, 6, 7, 8], "of nobody": [0, 0, 0, 0]}
    frame, report = looked_at(parquet(tmp_path, columns), span=Span(starts_us, START_US + 10))
    assert frame["value"].to_list() == [2, 3, 7]
    assert reasons(report) == {"too_old": 4, "future": 3, "unknown_sensor": 2}


def test_every_reason_has_a_sentence() -> None:
    assert list(SENTENCES) == list(Reason)


def test_no_more_examples_than_are_read(tmp_path: Path) -> None:
    _, report = looked_at(parquet(tmp_path, {"tracked_at": [START], **{f"x{number}": [1] for number in range(9)}}))
    told = report.refused[Reason.UNKNOWN_SENSOR]
    assert (told.rows, len(told.examples)) == (9, EXAMPLES_MAX)
    assert any(line.endswith(", …") for line in report.lines(is_done=False))


def test_numbers_that_are_none_are_texts_and_flags_that_came_stay(tmp_path: Path) -> None:
    columns = {
        "tracked_at": [datetime.fromtimestamp(START_US / 1e6 + second, UTC) for second in range(5)],
        "sensor_id": ["a"] * 5,
        "value": [float("nan"), float("inf"), -float("inf"), None, 1.0],
        "text": [None, None, None, "open", None],
        "flags": [None, None, None, None, 64],
    }
    frame, _ = looked_at(parquet(tmp_path, columns))
    odd = LATE | TEXT | NON_FINITE
    assert frame.select("value", "text", "flags", "is_unjudged").rows() == [
        (None, "NaN", odd, True),
        (None, "inf", odd, True),
        (None, "-inf", odd, True),
        (None, "open", LATE | TEXT, True),
        (1.0, None, 64, False),
    ]


def test_twice_is_counted_and_another_value_goes_on_to_be_a_conflict(tmp_path: Path) -> None:
    columns = {
        "tracked_at": [START] * 4,
        "sensor_id": ["a"] * 4,
        "value": [1.0, 1.0, 2.0, 1.0],
        "text": [None, "1.0", None, None],
    }
    frame, report = looked_at(parquet(tmp_path, columns))
    assert (frame["value"].to_list(), report.twice) == ([1.0, 2.0], 2)


# --- when -------------------------------------------------------------------------------------------------------------


def autumn(folder: Path, *shown: str) -> Path:
    return csv(folder, "tracked_at,value,sensor_id", *(f"2026-10-25 {time},{row},a" for row, time in enumerate(shown)))


def test_without_a_zone_it_is_utc_and_with_one_what_clocks_showed(tmp_path: Path) -> None:
    path = csv(tmp_path, "tracked_at,a", "2026-10-25 12:00,1", "2026-10-25T12:00Z,2", "2026-07-01T12:00:00+05:00,3")
    assert hours(looked_at(path)[0]) == [12, 12, (datetime(2026, 7, 1, 7, tzinfo=UTC) - START).total_seconds() / 3600]
    assert hours(looked_at(path, Mapped(zone=BERLIN))[0])[:2] == [11, 12]
    naive = parquet(tmp_path, {"tracked_at": [datetime(2026, 10, 25, 12)], "a": [1]})
    assert hours(looked_at(naive, Mapped(zone=BERLIN))[0]) == [11]
    aware = parquet(tmp_path, {"tracked_at": [START], "a": [1]})
    assert hours(looked_at(aware, Mapped(zone=BERLIN))[0]) == [0]


def test_the_doubled_hour_is_told_apart_by_the_order_where_both_are_there(tmp_path: Path) -> None:
    path = autumn(tmp_path, "01:30", "02:00", "02:30", "02:00", "02:30", "03:00")
    for fold in (None, *Fold):
        frame, report = looked_at(path, Mapped(zone=Zone("Europe/Berlin", fold)))
        assert hours(frame) == [-0.5, 0, 0.5, 1, 1.5, 2]
        assert report.steps_back.rows == 0
        assert report.remarks == [
            "the hour that clocks showed twice is told apart by the order of its rows, 4 of them from line 3 to 6"
        ]


def test_hours_one_apart_show_the_same_twice(tmp_path: Path) -> None:
    frame, _ = looked_at(autumn(tmp_path, "01:00", "02:00", "02:00", "03:00"), Mapped(zone=BERLIN))
    assert hours(frame) == [-1, 0, 1, 2]


@pytest.mark.parametrize("shown", [("01:30", "02:10", "02:20", "03:00"), ("02:10", "02:00", "02:20", "02:05")])
def test_where_one_is_there_somebody_must_say_which(tmp_path: Path, shown: tuple[str, ...]) -> None:
    path = autumn(tmp_path, *shown)
    doubled = sum(time.startswith("02") for time in shown)
    _, report = looked_at(path, Mapped(zone=BERLIN))
    assert reasons(report) == {"time_shown_twice": doubled}
    line = 3 if shown[0] == "01:30" else 2
    assert report.refused[Reason.SHOWN_TWICE].examples[0] == f"'2026-10-25 02:10' in line {line} of r.csv"
    assert any("--fold earlier or --fold later" in line for line in report.lines(is_done=False))
    for fold, first in ((Fold.EARLIER, 0), (Fold.LATER, 1)):
        frame, report = looked_at(path, Mapped(zone=Zone("Europe/Berlin", fold)))
        assert not report.refused
        assert hours(frame)[line - 2] == pytest.approx(first + 1 / 6)


def test_of_several_sensors_each_has_its_own_order(tmp_path: Path) -> None:
    times = ["02:00", "02:30", "02:00", "02:30"]
    lines = [f"2026-10-25 {time},{row},{sensor}" for sensor in ("a", "b") for row, time in enumerate(times)]
    frame, report = looked_at(csv(tmp_path, "tracked_at,value,sensor_id", *lines), Mapped(zone=BERLIN))
    assert hours(frame) == [0, 0.5, 1, 1.5] * 2
    assert not report.refused
    wide = csv(
        tmp_path,
        "tracked_at,a,b",
        *(f"2026-10-25 {time},1,{'2' if row == 1 else ''}" for row, time in enumerate(times)),
    )
    frame, report = looked_at(wide, Mapped(zone=BERLIN))
    assert hours(frame) == [0, 0.5, 1, 1.5, 0.5]
    assert not report.refused


def test_what_no_clock_showed_is_refused(tmp_path: Path) -> None:
    path = csv(tmp_path, "tracked_at,a", "2026-03-29 01:59,1", "2026-03-29 02:00,1", "2026-03-29 03:00,1")
    frame, report = looked_at(path, Mapped(zone=BERLIN))
    assert frame["at_us"].diff().to_list() == [None, 60_000_000]
    assert reasons(report) == {"time_never_shown": 1}


def test_a_zone_that_is_none_is_refused() -> None:
    with pytest.raises(FrameRefused, match="there is no zone 'Mars/Olympus'"):
        Zone("Mars/Olympus")


def test_steps_back_are_told_and_stored(tmp_path: Path) -> None:
    path = csv(
        tmp_path, "tracked_at,value,sensor_id", "2026-10-25 01:00,1,a", "2026-10-25 00:00,1,b", "2026-10-25 00:59,1,a"
    )
    frame, report = looked_at(path)
    assert (frame.height, report.steps_back.rows) == (3, 1)
    assert report.steps_back.examples == ["'2026-10-25 00:59' in line 4 of r.csv"]


# --- scores and batches -----------------------------------------------------------------------------------------------


def history(rows: int) -> pl.DataFrame:
    at_us = [START_US + row * 60_000_000 for row in range(rows)]
    columns = {"sensor_no": 1, "value": 5.0, "text": None, "score": None, "flags": LATE, "is_unjudged": True}
    frame = pl.DataFrame({"at_us": at_us}).with_columns(
        **{name: pl.lit(value) for name, value in columns.items()}, sensor_id=pl.lit("a"), facility_id=pl.lit("f")
    )
    wave = pl.Series([5 + row * 7 % 13 / 100 for row in range(rows)])
    return frame.with_columns(value=wave).select(STORED.names()).cast(STORED)


def test_what_has_no_score_gets_that_of_the_twin_and_what_has_one_keeps_it() -> None:
    rows = history(900)
    given = pl.int_range(900, eager=True) % 3 == 0
    rows = rows.with_columns(
        score=pl.when(given).then(0.25).cast(pl.Float32),
        flags=pl.when(given).then(64).otherwise("flags").cast(pl.Int16),
        is_unjudged=~given,
    )
    shuffled = rows.sample(fraction=1, shuffle=True, seed=1)
    found = scored(shuffled, KNOWN)
    assert found.schema == STORED
    frame = rows.select(pl.col("at_us").cast(pl.Datetime("us", "UTC")).alias("tracked_at"), "value")
    twin = score_frame(frame, expected_interval_s=60, sensor_type="Pressure")
    assert found["at_us"].to_list() == rows["at_us"].to_list()
    assert found["score"].to_list() == [
        0.25 if own else decades for own, decades in zip(given, twin["decades"], strict=True)
    ]
    assert found["flags"].to_list() == [64 if own else flags for own, flags in zip(given, twin["flags"], strict=True)]
    assert twin["decades"].drop_nulls().len() > 0


def test_nothing_is_scored_as_nothing() -> None:
    assert scored(history(0), KNOWN).height == 0


def test_batches_are_bounded_and_in_order_of_time() -> None:
    rows = history(BATCH_ROWS + 1).reverse()
    parts = list(batches(rows))
    assert [part.height for part in parts] == [BATCH_ROWS, 1]
    assert pl.concat(parts)["at_us"].is_sorted()
    tied = pl.concat([history(1).with_columns(value=pl.lit(float(number))) for number in range(50)])
    assert next(batches(tied))["value"].to_list() == list(range(50))


def test_of_rows_of_one_time_the_first_stays_whoever_has_it() -> None:
    rows = history(5)
    stored, earlier = (rows.slice(place, 1).select("sensor_no", "at_us", "value", "text") for place in (0, 1))
    assert counted(rows, []) == Counts(5)
    assert counted(rows, [stored, earlier]) == Counts(3, 2)
    other = earlier.with_columns(value=pl.lit(9.0))
    assert counted(rows, [other]) == Counts(4, 0, 1)
    assert counted(rows, [earlier, other]) == Counts(4, 1)
    again = pl.concat([rows, rows.head(1), rows.tail(1).with_columns(value=pl.lit(9.0))])
    assert counted(again, []) == Counts(5, 1, 1)


def test_a_text_differs_only_where_there_is_no_number() -> None:
    rows = history(2).with_columns(value=pl.Series([1.0, None]), text=pl.Series(["1.0", "open"]))
    there = rows.select("sensor_no", "at_us", "value", text=pl.Series(["1.00", "shut"]))
    assert counted(rows, [there]) == Counts(0, 1, 1)


def test_files_are_read_again_where_they_may_have_the_same_readings(tmp_path: Path) -> None:
    looked, rows = Looked(), history(10)
    first, second, third, fourth = (Source(tmp_path / name) for name in "abcd")
    assert looked.add(first, rows.head(5)) == []
    assert looked.add(second, rows.tail(5)) == []
    assert looked.add(third, rows.slice(4, 2)) == [first, second]
    assert looked.add(fourth, rows.with_columns(sensor_no=pl.lit(2, pl.Int32))) == []


class Connection:
    """Of a database in which somebody is in the way so often."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield

    async def copy_records_to_table(self, _: str, *, records: Iterable[object]) -> None:
        assert len(list(records)) == 3

    async def fetch(self, _: str) -> list[object]:
        return []

    async def fetchval(self, _: str) -> int:
        self.failures -= 1
        if self.failures >= 0:
            raise asyncpg.DeadlockDetectedError("somebody was first")
        return 3


@pytest.mark.parametrize("failures", [ATTEMPTS - 1, ATTEMPTS])
async def test_who_is_in_the_way_is_waited_for_a_few_times(failures: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def none(_: object) -> int:
        return 0

    monkeypatch.setattr(storing, "PAUSE_S", 0)
    monkeypatch.setattr(storing, "rollup_pass", none)
    writing = Store(Connection(failures)).write(history(3), START_US)
    if failures < ATTEMPTS:
        assert await writing == Counts(stored=3)
    else:
        with pytest.raises(asyncpg.DeadlockDetectedError):
            await writing


def test_long_texts_are_shown_in_part(tmp_path: Path) -> None:
    for length in (SHOWN_CHARACTERS_MAX, SHOWN_CHARACTERS_MAX + 1):
        _, report = looked_at(parquet(tmp_path, {"tracked_at": [START], "x" * length: [1]}))
        (told,) = report.refused[Reason.UNKNOWN_SENSOR].examples
        assert told == f"'{'x' * SHOWN_CHARACTERS_MAX}' in row 1 of r.parquet"
