"""Frames and files through the core: the form is found out, the order kept, and mistakes are answered in words."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import pytest

from engine.commands.cli import app as cli
from engine.commands.score import ScoreOptions, run_score
from engine.errors import SettingsError
from engine.offline import FrameRefused, score_frame
from engine.offline.columns import FACILITY_WEIGHT, PEAK_HALF_READINGS, SILENCE_SCORE, above_recent_peak
from engine.offline.shapes import unscored
from native import Flag, score_facility, score_series
from tests.unit.recorded import ROWS, SPIKE_ROW, long, series

ROOT = Path(__file__).resolve().parents[2]


def test_a_series_comes_back_with_what_the_core_says() -> None:
    frame = series().with_columns(label=pl.lit(1, dtype=pl.Int8))
    scored = score_frame(frame, expected_interval_s=10)
    assert scored.select(frame.columns).equals(frame)
    told = score_series(frame["tracked_at"].dt.epoch("us").to_numpy(), frame["value"].to_numpy(), 10.0)
    assert np.array_equal(scored["decades"].fill_null(float("nan")).to_numpy(), told.score, equal_nan=True)
    assert scored["decades"].null_count() == np.isnan(told.score).sum() > 0
    assert scored["score"].is_finite().all()
    assert scored["flags"].to_list() == told.flags.tolist()
    row = scored.row(SPIKE_ROW, named=True)
    assert row["alarming"] and row["anomaly"] and row["flags"] & Flag.ANOMALY
    assert row["decades"] >= row["threshold"] > 0
    assert row["score"] == pytest.approx(row["decades"] / row["threshold"])
    assert row["expected_low"] < row["expected"] < row["expected_high"] < row["value"]
    assert row["views"][row["view"]] == max(row["views"].values())
    assert "Problem detected" in row["explanation"]
    assert scored["explanation"][0] is None


def test_the_usual_interval_is_taken_from_the_readings() -> None:
    frame = series(expected_interval_s=30)
    assert score_frame(frame).equals(score_frame(frame, expected_interval_s=30))
    assert not score_frame(frame).equals(score_frame(frame, expected_interval_s=3_000))


def test_a_facility_is_scored_in_one_go_and_a_sensor_of_it_alone() -> None:
    frame = long()
    scored = score_frame(frame, expected_interval_s={"a": 10, "b": 30})
    place = frame["sensor_id"].replace_strict({"a": 0, "b": 1}, return_dtype=pl.Int32).to_numpy()
    times, values = frame["tracked_at"].dt.epoch("us").to_numpy(), frame["value"].to_numpy()
    told = score_facility(place, times, values, [10.0, 30.0])
    assert np.array_equal(scored["decades"].fill_null(float("nan")).to_numpy(), told.score, equal_nan=True)
    own, own_columns = scored.filter(sensor_id="b"), ("score", "decades", "flags", "explanation")
    alone = score_frame(series(5.0, 30), expected_interval_s=30)
    assert own.select(*own_columns).equals(alone.select("score", "decades", "flags", "explanation"))


def test_a_wide_table_keeps_its_rows_and_empty_cells_are_no_readings() -> None:
    third = pl.int_range(ROWS, dtype=pl.Int64) % 3 == 1
    wide = series().rename({"value": "a"}).with_columns(
        b=pl.when(third).then(pl.col("a") + 5), c=pl.lit(None), label=pl.lit(0, dtype=pl.Int8)
    )  # fmt: skip
    scored = score_frame(wide)
    assert scored.select(wide.columns).equals(wide)
    for name in "ab":
        own = wide.select("tracked_at", value=name).drop_nulls()
        alone = score_frame(own)
        beside = scored.filter(pl.col(name).is_not_null())
        assert beside[f"{name}.decades"].equals(alone["decades"], check_names=False)
        assert beside[f"{name}.explanation"].equals(alone["explanation"], check_names=False)
        assert scored.filter(pl.col(name).is_null())[f"{name}.flags"].null_count() == wide[name].null_count()
    assert scored["c.decades"].null_count() == ROWS
    row = scored.row(SPIKE_ROW, named=True)
    assert (
        row["alarming"]
        and row["score"] == pytest.approx(row["a.decades"] / row["a.threshold"])
        and row["sensor"] == "a"
    )
    assert scored["score"].is_finite().all()
    assert {"a.view", "b.expected_low"} < set(scored.columns)
    assert not {"label.decades", "a.views"} & set(scored.columns)


def hole(rows: range) -> pl.Expr:
    return pl.int_range(ROWS, dtype=pl.Int64).is_between(rows.start, rows.stop - 1)


def test_rows_without_a_number_tell_of_silence_once_it_is_longer_than_ever() -> None:
    rows = range(SPIKE_ROW - 300, SPIKE_ROW - 200)
    frame = series().with_columns(value=pl.when(~hole(rows)).then("value"))
    scored = score_frame(frame)
    silent = (scored["reason"] == "gap").arg_true().to_list()
    assert len(silent) == 2 and scored["score"][silent[0]] == SILENCE_SCORE
    assert rows.start + 5 < silent[0] < rows.start + 10, "eight intervals"
    assert silent[1] == rows.stop, "the first number after it has a gap behind it"
    short = range(SPIKE_ROW - 300, SPIKE_ROW - 295)
    again = score_frame(series().with_columns(value=pl.when(~hole(short)).then("value")))
    assert "gap" not in again["reason"].to_list()


def test_a_wide_table_tells_who_fell_silent_also_when_nobody_is_left() -> None:
    wide = series().rename({"value": "a"}).with_columns(b=pl.col("a") + 5)
    one, all_of_them = range(SPIKE_ROW - 500, SPIKE_ROW - 400), range(SPIKE_ROW - 300, SPIKE_ROW - 50)
    frame = wide.with_columns(
        a=pl.when(~hole(all_of_them)).then("a"), b=pl.when(~hole(one) & ~hole(all_of_them)).then("b")
    )
    scored = score_frame(frame).with_row_index("row").drop_nulls("silent")
    assert [(row in one, row in all_of_them) for row in scored["row"]] == [(True, False), (False, True), (False, True)]
    assert scored["silent"].to_list() == [["b"], ["a"], ["b"]]
    assert scored["sensor"].to_list() == ["b", "a", "b"] and (scored["score"] == SILENCE_SCORE).all()


def test_a_clock_that_jumps_silences_nobody_in_a_wide_table() -> None:
    wide = series().rename({"value": "a"}).with_columns(b=pl.col("a") + 5)
    late = pl.int_range(ROWS, dtype=pl.Int64) >= SPIKE_ROW - 100
    jumped = score_frame(
        wide.with_columns(pl.col("tracked_at") + pl.when(late).then(pl.duration(hours=3)).otherwise(pl.duration()))
    )
    assert jumped["silent"].null_count() == ROWS
    assert jumped["score"][SPIKE_ROW - 100] == pytest.approx(SILENCE_SCORE), "a gap behind it has each of them"


def test_what_goes_on_is_not_said_again() -> None:
    loud = np.zeros(1_000)
    loud[[10, 11, 12, 11 + 3 * PEAK_HALF_READINGS]] = [5.0, 5.2, 9.0, 5.0]
    assert np.flatnonzero(above_recent_peak(loud)).tolist() == [10, 12, 11 + 3 * PEAK_HALF_READINGS]


def test_the_score_of_a_sensor_is_news_of_it_alone() -> None:
    scored = score_frame(long())
    heard = scored.filter(pl.col("score") > 0)
    assert 0 < heard.height < scored.filter(pl.col("threshold").is_not_null()).height
    assert heard["score"].to_list() == pytest.approx((heard["decades"] / heard["threshold"]).to_list())
    for name in "ab":
        assert (
            scored.filter(sensor_id=name)["score"].arg_max()
            == score_frame(long().filter(sensor_id=name))["score"].arg_max()
        )


def coupled(rows: int = 2_000) -> pl.DataFrame:
    """Three sensors that move together, until the first goes its own way."""
    chance = np.random.default_rng(3)
    wave = np.sin(np.arange(rows) / 20)
    columns = {name: wave + chance.normal(0, 0.05, rows) for name in "abc"}
    columns["a"][1_500:1_600] = columns["a"][1_400:1_500][::-1]
    times = pl.Series(np.arange(rows) * 10_000_000).cast(pl.Datetime("us", "UTC"))
    return pl.DataFrame({"tracked_at": times} | columns)


def test_a_facility_is_judged_as_a_whole_in_both_forms() -> None:
    wide = score_frame(coupled())
    alarms = wide.filter("facility_alarming")
    assert alarms.height and alarms["alarming"].all()
    first = alarms.row(0, named=True)
    assert first["facility_decades"] >= first["facility_threshold"] > 0
    in_parts = pl.col("facility_decades") / pl.col("facility_threshold") * FACILITY_WEIGHT
    own = pl.max_horizontal(pl.col(f"{name}.decades") / pl.col(f"{name}.threshold") for name in "abc")
    louder = wide.filter((in_parts > own.fill_null(0)) & (pl.col("facility_threshold") > 0))
    assert louder.height and louder["sensor"].null_count() == louder.height
    assert louder["score"].to_list() == pytest.approx(louder.select(in_parts).to_series().to_list())
    assert first["contributors"][0]["sensor_id"] == "a" and 0 < first["contributors"][0]["share"] <= 1
    assert wide["facility_explanation"].drop_nulls()[0].startswith("Problem detected")
    long = coupled().unpivot(index="tracked_at", variable_name="sensor_id").sort("tracked_at", maintain_order=True)
    spoken = score_frame(long).drop_nulls("facility_decades")
    assert spoken["facility_decades"].equals(wide.drop_nulls("facility_decades")["facility_decades"])
    assert spoken["contributors"].equals(wide.drop_nulls("facility_decades")["contributors"])
    assert "facility_decades" not in score_frame(series()).columns


def test_late_and_repeated_rows_are_flagged_and_not_learned_as_live() -> None:
    clean = series()
    again = clean[100:101].with_columns(value=pl.lit(90.0))
    mixed = pl.concat([clean[:200], again, clean[200:300], clean[299:300], again, clean[300:]])
    scored = score_frame(mixed, as_received=True)
    assert [scored["flags"][row] & 0x1FF for row in (200, 301, 302)] == [
        Flag.LATE,
        0,
        Flag.LATE,
    ]
    learned = pl.concat([scored[:200], scored[201:301], scored[303:]])
    assert learned["score"].equals(score_frame(clean, expected_interval_s=10)["score"])


def test_what_is_no_number_is_flagged_and_never_scored() -> None:
    frame = series().with_columns(
        value=pl.when(pl.int_range(ROWS) == 900)
        .then(None)
        .when(pl.int_range(ROWS) == 901)
        .then(float("inf"))
        .otherwise("value")
    )
    flags, score = (score_frame(frame)[name][900:902].to_list() for name in ("flags", "decades"))
    assert flags == [Flag.TEXT, Flag.TEXT | Flag.NON_FINITE]
    assert score == [None, None]


def test_naive_times_are_utc_and_nanoseconds_are_cut_off() -> None:
    frame = series()
    naive = frame.with_columns(pl.col("tracked_at").dt.replace_time_zone(None).dt.cast_time_unit("ns"))
    assert score_frame(naive).drop("tracked_at").equals(score_frame(frame).drop("tracked_at"))
    berlin = frame.with_columns(pl.col("tracked_at").dt.convert_time_zone("Europe/Berlin"))
    assert score_frame(berlin)["score"].equals(score_frame(frame)["score"])


def test_pieces_do_not_show_and_rows_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = score_frame(long())
    wide = series().rename({"value": "a"}).with_columns(b="a")
    monkeypatch.setattr("engine.offline.frames.ROWS_AT_ONCE", 77)
    done: list[int] = []
    assert score_frame(long(), on_rows=done.append).equals(whole)
    assert sum(done) == whole.height
    done.clear()
    score_frame(wide, on_rows=done.append)
    assert sum(done) == wide.height
    assert score_frame(series().clear()).height == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda frame: frame.drop("tracked_at"), "no column tracked_at (there are: value)"),
        (lambda frame: frame.drop("value"), "neither a column value nor one for each sensor"),
        (lambda frame: frame.with_columns(value=pl.lit("24.6")), "value is String, it must be numbers"),
        (
            lambda frame: frame.rename({"value": "a"}).with_columns(note=pl.lit("x")),
            "note is String",
        ),
        (
            lambda frame: frame.with_columns(pl.col("tracked_at").dt.epoch("s")),
            "tracked_at is Int64",
        ),
        (
            lambda frame: frame.with_columns(tracked_at=pl.when(pl.int_range(ROWS) != 7).then("tracked_at")),
            "tracked_at is null in row 7",
        ),
        (lambda frame: frame.reverse(), "goes back in row 1"),
        (
            lambda frame: frame.with_columns(
                tracked_at=pl.when(pl.int_range(ROWS) < ROWS - 3)
                .then("tracked_at")
                .otherwise(pl.lit(datetime(2201, 1, 1, tzinfo=UTC)))
            ),
            "outside of the years 1970 to 2200 in 3 of 2000 rows, first in row 1997, 2201-01-01T00:00:00",
        ),
        (
            lambda frame: frame.with_columns(tracked_at=pl.lit(-1).cast(pl.Datetime("us"))),
            "in 2000 of 2000 rows, first in row 0, 1969-12-31T23:59:59.999999",
        ),
        (
            lambda frame: frame.with_columns(tracked_at=pl.lit(2**62).cast(pl.Datetime("us"))),
            "in 2000 of 2000 rows",
        ),
        (
            lambda frame: frame.with_columns(pl.col("tracked_at").dt.date()),
            "tracked_at is Date, it must be a Datetime, or text such as",
        ),
        (
            lambda frame: frame.with_columns(
                tracked_at=pl.when(pl.int_range(ROWS) == 7).then(pl.lit("soon")).otherwise(pl.lit("2026-01-01 10:00"))
            ),
            "tracked_at in row 7, 'soon': not a time such as",
        ),
        (lambda frame: frame.with_columns(score=pl.lit(1.0)), "a column score already"),
        (lambda frame: frame.with_columns(sensor_id=pl.lit(None, dtype=pl.String)), "sensor_id is null in row 0"),
        (lambda frame: frame.with_columns(sensor_id=pl.lit([1, 2])), "sensor_id is List(Int64)"),
        (lambda frame: frame.with_columns(sensor_id=pl.lit(b"\xff")), "sensor_id is Binary and cannot be read as text"),
        (lambda frame: frame.with_columns(sensor_id=pl.lit(1)).rename({"value": "v"}), "none named value"),
        (
            lambda frame: with_time(frame, 7, 2**62),
            "years 1970 to 2200 in 1 of 2000 rows, first in row 7",
        ),
        (lambda frame: with_time(frame, ROWS - 1, 2**62, "ms"), f"the time of row {ROWS - 1} is no microsecond"),
    ],
)
def test_mistakes_are_told(change, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(FrameRefused, match=re.escape(said)):
        score_frame(change(series()))


def test_sensors_and_types_that_are_not_known_are_told() -> None:
    with pytest.raises(FrameRefused, match="nothing is said of sensor 'b'"):
        score_frame(long(), expected_interval_s={"a": 1.0})
    with pytest.raises(FrameRefused, match="unknown type"):
        score_frame(series(), sensor_type="Unheard")
    limited = score_frame(series(), sensor_type="Temperature")
    assert limited["flags"][SPIKE_ROW] & Flag.ABOVE_HIGH


def test_a_gauge_that_freezes_is_called_stuck() -> None:
    frozen = series().with_columns(
        value=pl.when(pl.int_range(ROWS) < 1_700).then("value").otherwise(pl.col("value").get(1_700))
    )
    scored = score_frame(frozen)
    row = scored.filter("alarming", pl.col("tracked_at") > frozen["tracked_at"][1_700]).row(0, named=True)
    assert row["reason"] == "stuck" and row["explanation"].startswith("Problem detected")
    assert scored["reason"][:1_000].null_count() == 1_000


def test_detection_is_set_for_all_or_by_sensor() -> None:
    usual = score_frame(long())
    eager = score_frame(long(), detection={"budget_days": 1})
    assert eager["decades"].equals(usual["decades"])
    assert (eager["threshold"].drop_nulls() < usual["threshold"].drop_nulls()).all()
    off = score_frame(long(), detection={"b": {"is_on": False}})
    own = ["score", "threshold", "flags", "explanation"]
    assert off.filter(sensor_id="a").select(own).equals(usual.filter(sensor_id="a").select(own))
    assert off["facility_decades"].null_count() == off.height  # one sensor is no facility
    assert usual.filter(sensor_id="b")["anomaly"].any()
    assert not off.filter(sensor_id="b")["anomaly"].any()
    with pytest.raises(FrameRefused, match="budget"):
        score_frame(long(), detection={"budget": 1})


def with_time(frame: pl.DataFrame, row: int, at: int, unit: Literal["us", "ms", "ns"] = "us") -> pl.DataFrame:
    times = frame["tracked_at"].dt.cast_time_unit(unit).to_physical()
    return frame.with_columns(tracked_at=times.scatter(row, at).cast(pl.Datetime(unit, "UTC")))


@pytest.mark.parametrize("name", ["^x$", "^.*$", "*", "own", "facility", "a.b", "PT 1 [bar]", "ünï"])
def test_a_name_of_a_sensor_is_no_pattern(name: str) -> None:
    wide = series().rename({"value": "a"}).with_columns(series(5.0)["value"].alias("b"))
    plain = score_frame(wide)
    odd = score_frame(wide.rename({"a": name}))
    assert odd[f"{name}.decades"].equals(plain["a.decades"], check_names=False)
    assert odd["score"].equals(plain["score"])
    assert [name if sensor == "a" else sensor for sensor in plain["sensor"]] == odd["sensor"].to_list()


@pytest.mark.parametrize("name", ["__index_level_0__", "Unnamed: 0", ""])
def test_numbers_of_rows_are_no_sensor(name: str) -> None:
    wide = series().rename({"value": "a"}).with_columns(b=pl.col("a") + 1)
    numbered = wide.with_columns(pl.int_range(ROWS, eager=True).alias(name))
    assert score_frame(numbered).drop(name).equals(score_frame(wide))
    assert unscored(numbered) == [name]


def options(source: Path, out: Path | None = None, *, as_json: bool = True) -> ScoreOptions:
    return ScoreOptions(source, out, None, None, as_received=False, as_json=as_json)


def test_a_folder_is_scored_and_a_bad_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "below").mkdir()
    series().write_parquet(tmp_path / "one.parquet")
    long().write_parquet(tmp_path / "below/two.parquet")
    (tmp_path / "three.parquet").write_text("no parquet")
    for _ in range(2):  # what was written is no recording
        assert run_score(options(tmp_path)) == 1
        told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [line["event"] for line in told] == ["scored", "scored", "refused", "done"]
        assert "it is no Parquet file" in told[2]["why"]
        assert (told[3]["recordings"], told[3]["refused"], told[3]["rows"]) == (3, 1, 3 * ROWS)
    assert pl.read_parquet(tmp_path / "one.scores.parquet").equals(score_frame(series()))
    assert pl.read_parquet(tmp_path / "below/two.scores.parquet").equals(score_frame(long()))
    assert run_score(options(tmp_path, tmp_path / "out")) == 1
    assert {path.name for path in (tmp_path / "out").rglob("*")} == {"one.parquet", "below", "two.parquet"}


def test_a_file_is_scored_beside_itself_or_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = tmp_path / "pump.parquet"
    series().write_parquet(recording)
    monkeypatch.setattr("sys.argv", ["gasinsight", "score", str(recording), "--interval", "10"])
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    assert run_score(options(recording, tmp_path / "new/x.parquet", as_json=False)) == 0
    assert "2,000 rows, 1 alarming" in capsys.readouterr().out
    assert pl.read_parquet(tmp_path / "new/x.parquet").equals(pl.read_parquet(tmp_path / "pump.scores.parquet"))
    assert not list(tmp_path.rglob("*.draft"))
    assert run_score(options(recording, recording)) == 1
    assert "is the recording itself" in capsys.readouterr().out
    (tmp_path / "new/empty").mkdir()
    for source, said in [("none.parquet", "no file or folder"), ("new/empty", "no recording in")]:
        with pytest.raises(SettingsError, match=re.escape(said)):
            run_score(options(tmp_path / source))


def test_the_example_of_the_document_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs/data-science.md").read_text()
    program = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    exec(compile(program, "docs/data-science.md", "exec"), {})
    assert "Problem detected" in capsys.readouterr().out
