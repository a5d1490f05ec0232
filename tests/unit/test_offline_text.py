"""Tables in text: the separators, marks, commas and words that historians and spreadsheets write."""

from __future__ import annotations

import gzip
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from engine.commands.score import ScoreOptions, run_score
from engine.offline import FrameRefused, files, score_frame
from tests.unit.recorded import ROWS, SPIKE_ROW, series

START = datetime(2026, 11, 23, 10, 15, tzinfo=UTC)


def saved(folder: Path, text: str, encoding: str = "utf-8", name: str = "pump.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def table(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)


def values(folder: Path, cells: list[str], separator: str = ";") -> list[float | None]:
    """What these cells of a column of values are read as."""
    lines = [f"{START + timedelta(seconds=10 * row):%FT%TZ}{separator}{cell}" for row, cell in enumerate(cells)]
    read = files.read(saved(folder, table(f"tracked_at{separator}value", *lines)))
    found: list[float | None] = read.frame["value"].to_list()
    return found


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separators_and_encodings_are_found_out(separator: str, encoding: str, end: str, tmp_path: Path) -> None:
    text = table(
        f"tracked_at{separator}PT °C", f"2026-11-23T10:15:00Z{separator}21.5", "", f"2026-11-23 10:15:10{separator}"
    )
    read = files.read(saved(tmp_path, text.replace("\n", end), encoding))
    expected = {"tracked_at": [START, START + timedelta(seconds=10)], "PT °C": [21.5, None]}
    assert read.frame.to_dict(as_series=False) == expected
    assert read.remarks == (["read as Windows-1252, for it is no UTF-8"] if encoding == "cp1252" else [])


def test_a_packed_file_is_unpacked_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "pump"
    path.write_bytes(gzip.compress(b"tracked_at,value\n2026-11-23T10:15:00Z,1\n"))
    assert files.read(path).frame["value"].to_list() == [1.0]


def test_what_excel_writes_first_is_heard(tmp_path: Path) -> None:
    text = table("sep=|", "tracked_at|a,b|", "2026-11-23T10:15:00Z|1,5|", "2026-11-23T10:15:10Z|2,5 bar|")
    with pytest.raises(FrameRefused, match="'2,5 bar' in line 4, which is no number"):
        files.read(saved(tmp_path, text))
    assert files.read(saved(tmp_path, text.replace(" bar", ""))).frame.columns == ["tracked_at", "a,b"]


@pytest.mark.parametrize(
    ("cells", "separator", "read"),
    [
        (["21,5", "-3,25", "7"], ";", [21.5, -3.25, 7.0]),
        (["21,345", "1,234"], ";", [21.345, 1.234]),
        (["21,345", "0,5"], "\t", [21.345, 0.5]),
        (["1.234,5", "2.345", "-1.234.567,25"], ";", [1234.5, 2345.0, -1234567.25]),
        (["1,234.5", "999", "2,000"], "|", [1234.5, 999.0, 2000.0]),
        (['"1,234.5"', "7"], ",", [1234.5, 7.0]),
        (['"21,5"', "7"], ",", [21.5, 7.0]),
        (["12 345,5", "1\u202f000", "1\u00a0000"], ";", [12345.5, 1000.0, 1000.0]),
        (["1'234.5", "2\u2019000"], ";", [1234.5, 2000.0]),
        (["\N{MINUS SIGN}5", "+5", " 5 ", "5e-3", "5.", ".5"], ",", [-5.0, 5.0, 5.0, 0.005, 5.0, 0.5]),
        (["1,5e3", ",5"], ";", [1500.0, 0.5]),
        (["inf", "-Infinity"], ",", [math.inf, -math.inf]),
    ],
)
def test_numbers_are_read_as_they_were_meant(
    cells: list[str], separator: str, read: list[float], tmp_path: Path
) -> None:
    assert values(tmp_path, cells, separator) == read


@pytest.mark.parametrize(
    ("cells", "separator", "said"),
    [
        (["1", "21.5 bar"], ",", "value has '21.5 bar' in line 3, which is no number"),
        (["1.2.3"], ",", "which is no number"),
        (["12:30"], ",", "which is no number"),
        (["1,5", "2.5"], ";", "value has '2.5' in line 3, which is no number"),
        (["1,23,4"], ";", "which is no number"),
        (["1,234", "2,345"], "|", "a decimal comma or a group of thousands"),
        (["1,5"], ",", "line 2 has 3 cells, the first line names 2: commas in numbers need another separator"),
        (['"1', "2"], ",", "cannot be read as a table"),
    ],
)
def test_what_is_no_number_is_named(cells: list[str], separator: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(FrameRefused, match=said.replace("'", ".")):
        values(tmp_path, cells, separator)


def test_points_beside_decimal_commas_are_doubtful(tmp_path: Path) -> None:
    text = table("tracked_at;a;b", "2026-11-23T10:15:00Z;1,5;1.234")
    with pytest.raises(FrameRefused, match="b has points that may group thousands"):
        files.read(saved(tmp_path, text))
    assert files.read(saved(tmp_path, text.replace("1.234", "1.5"))).frame["b"][0] == 1.5


WORDS = [
    "Bad",
    "I/O Timeout",
    "No Data",
    "Comm Fail",
    "Shutdown",
    "Pt Created",
    "Under Range",
    "Over Range",
    "#N/A",
    "-",
    "1.#QNAN",
]


def test_words_for_numbers_are_missing_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "pump.csv"
    cells = ["1.5", *WORDS, "Bad", "NaN", ""]
    lines = [f"{START + timedelta(seconds=10 * row):%FT%TZ},{cell}" for row, cell in enumerate(cells)]
    path.write_text(table("tracked_at,value", *lines))
    read = files.read(path)
    assert read.frame["value"].null_count() == len(WORDS) + 2
    assert math.isnan(read.frame["value"][-2])
    (remark,) = read.remarks
    assert remark.startswith(f"words where numbers should be count as missing: {len(WORDS) + 1} (2 of Bad, 1 of ")


def test_a_sensor_that_never_spoke_is_no_mistake_and_notes_are_no_numbers(tmp_path: Path) -> None:
    wide = files.read(saved(tmp_path, table("tracked_at;a;b", "2026-11-23T10:15:00Z;1;No Data")))
    assert wide.frame["b"].to_list() == [None] and wide.frame["b"].dtype == pl.Float64
    lines = ("tracked_at,value,sensor_id,quality,note,label,more", "2026-11-23T10:15:00Z,1,7,Good,valve 3,1,2.5")
    long = files.read(saved(tmp_path, table(*lines)))
    assert long.frame.row(0)[1:] == (1.0, "7", "Good", "valve 3", 1.0, 2.5)
    assert long.remarks == []


def test_ids_and_texts_stay_as_they_are_written(tmp_path: Path) -> None:
    lines = ("facility_id,sensor_id,tracked_at,value,text", "01,007,2026-11-23T10:15:00Z,21.5,21.50")
    read = files.read(saved(tmp_path, table(*lines)))
    assert read.frame.drop("tracked_at").rows() == [("01", "007", 21.5, "21.50")]


def test_as_written_times_and_words_stand_beside_their_lines(tmp_path: Path) -> None:
    lines = ("tracked_at;a;b", "2026-11-23T10:15:00Z;1,5;Bad", "", "soon;;2")
    read = files.read(saved(tmp_path, table(*lines)), as_written=True)
    assert read.frame.rows() == [("2026-11-23T10:15:00Z", 1.5, None), ("soon", None, 2.0)]
    assert {name: words.to_list() for name, words in read.words.items()} == {"b": ["Bad", None]}
    assert (read.remarks, read.lines is not None and read.lines.to_list()) == ([], [2, 4])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2026-11-23T10:15:00Z,1\n", "does not name a column tracked_at: the first line must name the columns"),
        ("Timestamp,Value\n", "does not name a column tracked_at"),
        ("\n\n", "does not name a column tracked_at"),
        ("tracked_at,value,value\n", "there are two columns value"),
        ("tracked_at,value\n23.11.2026 10:15,1\n", "is '23.11.2026 10:15' in line 2: not a time such as"),
        ("tracked_at,value\n1795429800,1\n", "not a time such as"),
        ("tracked_at,value\n1795429800000,1\n", "not a time such as"),
        ("tracked_at,value\n2026-11-23T10:15:00Z,1\n2026-13-23T10:15:00Z,1\n", "in line 3"),
    ],
)  # fmt: skip
def test_a_header_and_times_are_needed(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(FrameRefused, match=said):
        files.read(saved(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T10:15:00Z",
        "2026-11-23 10:15",
        "2026-11-23T15:45:00+05:30",
        "2026-11-23T10:15:00.000000999",
        "20261123",
    ],
)
def test_times_are_iso_8601_and_utc_without_a_zone(text: str, tmp_path: Path) -> None:
    recording = saved(tmp_path, table("tracked_at,value", f"{text},1"))
    if text == "20261123":
        with pytest.raises(FrameRefused, match="not a time such as"):
            files.read(recording)
    else:
        assert files.read(recording).frame["tracked_at"].to_list() == [START]


def test_a_table_in_text_is_scored_as_the_same_in_parquet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = series()
    cells = [str(value).replace(".", ",") for value in frame["value"]]
    cells[SPIKE_ROW - 5] = "Bad"
    times = frame["tracked_at"].dt.to_string("%Y-%m-%d %H:%M:%S")
    recording = saved(
        tmp_path, table("tracked_at;value", *(f"{at};{cell}" for at, cell in zip(times, cells, strict=True)))
    )
    assert run_score(ScoreOptions(tmp_path, None, None, None, as_received=False, as_json=False)) == 0
    said = capsys.readouterr().out
    assert (
        f"{ROWS:,} rows, 1 alarming" in said and "words where numbers should be count as missing: 1 (1 of Bad)" in said
    )
    missing = frame.with_columns(value=pl.when(pl.int_range(ROWS) != SPIKE_ROW - 5).then("value"))
    assert pl.read_parquet(recording.with_name("pump.csv.scores.parquet")).equals(score_frame(missing))
