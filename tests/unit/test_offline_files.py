"""Files that people have: any name, any zone, any writer. Each is scored, or refused in one sentence."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from engine.commands.cli import score as cli_score
from engine.commands.score import ScoreOptions, run_score
from engine.offline import FrameRefused, files, recordings, score_frame
from engine.offline.refusals import refusing
from tests.unit.recorded import ROWS, SPIKE_ROW, long, series

ROOT = Path(__file__).resolve().parents[2]
ZONES_ANY = "POLARS_IGNORE_TIMEZONE_PARSE_ERROR"


def run(source: Path, out: Path | None = None, *, as_received: bool = False) -> int:
    return run_score(ScoreOptions(source, out, None, None, as_received, as_json=True))


def told(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def save(frame: pl.DataFrame, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        frame.write_parquet(file)
    return path


def save_with_zone(frame: pl.DataFrame, path: Path, column: str, zone: str) -> Path:
    """As other writers do it, whom polars would not let: the name of the zone is exchanged in the schema of Arrow."""
    known = b"Asia/Kolkata"
    save(frame.with_columns(pl.col(column).dt.convert_time_zone(known.decode())), path)
    schema = pl.read_parquet_metadata(path)["ARROW:schema"].encode()
    before = len(known).to_bytes(4, "little") + known
    after = len(zone).to_bytes(4, "little") + zone.encode().ljust(len(known), b"\0")
    assert before in base64.b64decode(schema)
    patched = base64.b64encode(base64.b64decode(schema).replace(before, after))
    path.write_bytes(path.read_bytes().replace(schema, patched))
    return path


def scores_of(path: Path) -> pl.DataFrame:
    return pl.read_parquet(io.BytesIO(path.read_bytes()))


@pytest.mark.parametrize("name", ["pump[1]", "pump?", "*", "{a,b}", "a b\tc", "ümlaut", "~", "pump%5B1%5D"])
def test_a_name_is_no_pattern(name: str, tmp_path: Path) -> None:
    decoy = series().with_columns(value=pl.lit(1.0))
    for other in ("pump1", "pump2", "a", "b"):
        save(decoy, tmp_path / f"{other}.parquet")
    recording = save(series(), tmp_path / f"{name}.parquet")
    assert run(recording) == 0
    assert scores_of(tmp_path / f"{name}.scores.parquet").equals(score_frame(series()))
    assert not (tmp_path / "pump1.scores.parquet").exists()


def test_a_name_that_is_no_text_is_a_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = os.fsdecode(b"caf\xe9")
    recording = save(series(), tmp_path / f"{name}.parquet")
    assert run_score(ScoreOptions(recording, None, None, None, as_received=False, as_json=False)) == 0
    assert r"caf\udce9" in capsys.readouterr().out
    assert scores_of(tmp_path / f"{name}.scores.parquet").height == ROWS


def test_a_name_steers_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(series(), tmp_path / "red\x1b[31m.parquet")
    assert run_score(ScoreOptions(tmp_path, None, None, None, as_received=False, as_json=False)) == 0
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["a.parquet", "b.PARQUET", "c.pq", "d.Parq", "e.csv", "f.CSV", "g.tsv"])
def test_every_recording_of_a_folder_is_found(name: str, tmp_path: Path) -> None:
    if name[0] in "efg":
        series().write_csv(tmp_path / name, separator="\t" if name[0] == "g" else ",")
    else:
        save(series(), tmp_path / name)
    for other in (
        "notes.txt",
        ".hidden.parquet",
        "old.scores.parquet",
        "manifest.json",
        ".ipynb_checkpoints/x.parquet",
    ):
        (tmp_path / other).parent.mkdir(exist_ok=True)
        (tmp_path / other).write_text("no recording")
    assert run(tmp_path) == 0
    assert (tmp_path / f"{name.removesuffix('.parquet')}.scores.parquet").exists()


def test_recordings_of_one_name_have_scores_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("pump.parquet", "pump.pq", "pump.PARQUET"):
        save(series(), tmp_path / name)
    save(series(), tmp_path / "pump/part-0.parquet")
    assert run(tmp_path) == 1
    refused = [each for each in told(capsys) if each["event"] == "refused"]
    assert len(refused) == 1
    assert "would replace those of" in str(refused[0]["why"])
    written = {path.name for path in tmp_path.glob("*.scores.parquet")}
    assert written == {"pump.scores.parquet", "pump.pq.scores.parquet", "pump.PARQUET.scores.parquet"}


def test_scores_below_the_recordings_are_no_recordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(series(), tmp_path / "a.parquet")
    for _ in range(2):
        assert run(tmp_path, tmp_path / "scores") == 0
        assert [each["event"] for each in told(capsys)] == ["scored"]


@pytest.mark.parametrize("zone", ["+05:30", "-01:30", "Z", "GMT+1", "UTC+3", "Nowhere/City"])
@pytest.mark.parametrize("column", ["tracked_at", "written_at"])
def test_a_zone_of_any_name_keeps_its_moments(zone: str, column: str, tmp_path: Path) -> None:
    frame = series().with_columns(written_at="tracked_at")
    recording = save_with_zone(frame, tmp_path / "a.parquet", column, zone)
    with pytest.raises(FrameRefused, match="polars, which reads it, fails on it"), refusing("read"):
        pl.read_parquet(recording, glob=False)
    assert files.read(recording).frame.equals(frame)
    assert ZONES_ANY not in os.environ


def test_what_polars_panics_about_is_not_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recording = save_with_zone(series(), tmp_path / "a.parquet", "tracked_at", "Z")
    with pytest.raises(FrameRefused, match="polars, which reads it"), refusing("read"):
        os.write(2, b"before the panic\n")
        pl.read_parquet(recording, glob=False)
    assert capfd.readouterr().err == ""
    with refusing("read"):
        os.write(2, b"somebody else's words\n")
    assert capfd.readouterr().err == "somebody else's words\n"


def odd_files(folder: Path) -> dict[str, str]:
    """Files that cannot be scored, and a word of why."""
    plain = save(series(), folder / "good.parquet").read_bytes()
    frames = {
        "list of ids": (series().with_columns(sensor_id=pl.lit([1])), "sensor_id is List"),
        "bytes": (series().with_columns(sensor_id=pl.lit(b"\xff")), "sensor_id is Binary"),
        "clock": (series().reverse(), "tracked_at goes back"),
        "text": (series().with_columns(value=pl.lit("x")), "value is String"),
        "no time": (series().drop("tracked_at"), "no column tracked_at"),
        "far": (series().with_columns(tracked_at=pl.lit(2**62).cast(pl.Datetime("us", "UTC"))), "outside of the years"),
        "again": (score_frame(series()), "a column score already"),
    }
    for name, (frame, _) in frames.items():
        save(frame, folder / f"{name}.parquet")
    contents = {
        "cut.parquet": (plain[:-50], "cannot be read"),
        "empty.parquet": (b"", "it is empty"),
        "html.parquet": (b"<html>", "no Parquet file"),
        "secret.parquet": (b"PARE" + plain[4:], "encrypted"),
        "sheet.csv": (b"PK\x03\x04" + bytes(40), "a workbook of Excel"),
        "noise.csv": (bytes(range(256)) * 4, "neither Parquet nor text"),
        "cut.csv.gz": (b"\x1f\x8b\x08" + bytes(5), "cannot be unpacked"),
        "nohead.csv": (b"2026-01-01T00:00:00Z,1\n", "does not name a column tracked_at"),
    }
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    (folder / "table/_delta_log").mkdir(parents=True)
    save(series(), folder / "table/part-0.parquet")
    (folder / "none.parquet").mkdir()
    (folder / "dangling.parquet").symlink_to(folder / "nothing")
    told = {f"{name}.parquet": why for name, (_, why) in frames.items()}
    told |= {name: why for name, (_, why) in contents.items()}
    return told | {"table": "a Delta table", "none.parquet": "without parts", "dangling.parquet": "No such file"}


def test_one_odd_file_ends_no_run_and_is_told_in_a_sentence(tmp_path: Path) -> None:
    expected = odd_files(tmp_path)
    ran = subprocess.run(
        [sys.executable, "-m", "engine.commands.cli.app", "score", str(tmp_path), "--json"],
        cwd=ROOT,
        env={**os.environ, "RUST_BACKTRACE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (1, "")
    events = [json.loads(line) for line in ran.stdout.splitlines()]
    refused = {Path(each["file"]).name: each["why"] for each in events if each["event"] == "refused"}
    assert refused.keys() == expected.keys()
    for name, why in expected.items():
        assert why in refused[name] and "\n" not in refused[name], name
    assert [Path(each["file"]).name for each in events if each["event"] == "scored"] == ["good.parquet"]
    assert events[-1] | {"seconds": 0} == {
        "event": "done", "recordings": len(expected) + 1, "refused": len(expected), "rows": ROWS, "seconds": 0
    }  # fmt: skip
    assert not list(tmp_path.rglob("*.draft"))


def test_what_cannot_be_written_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = save(series(), tmp_path / "a.parquet")
    there = sorted(tmp_path.rglob("*"))
    (tmp_path / "file").write_text("")
    assert run(recording, tmp_path / "file/below/x.parquet") == 1
    (tmp_path / "file").unlink()

    def ends(error: BaseException) -> None:
        def write(_: pl.DataFrame, file: io.BufferedWriter) -> None:
            file.write(b"half of it")
            raise error

        monkeypatch.setattr(pl.DataFrame, "write_parquet", write)

    ends(pl.exceptions.ComputeError("No space left on device"))
    assert run(recording, tmp_path / "new/below/x.parquet") == 1
    assert [each["why"] for each in told(capsys)][1].__str__().endswith("No space left on device")
    ends(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        run(recording, tmp_path / "new/below/x.parquet")
    assert sorted(tmp_path.rglob("*")) == there


def test_other_numbers_beside_value_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = series().with_columns(temperature=pl.lit(1.0), note=pl.lit("x"), label=pl.lit(0))
    assert run(save(more, tmp_path / "a.parquet")) == 0
    assert run(save(long(), tmp_path / "b.parquet")) == 0
    first, second = told(capsys)
    assert first["remarks"] == ["columns kept and not scored: temperature"]
    assert second["remarks"] == []


def test_a_bar_shows_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(series(), tmp_path / "a.parquet")
    save(series(), tmp_path / "b.parquet")
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    monkeypatch.setattr("engine.commands.steps.Console", lambda **_: console)
    assert run_score(ScoreOptions(tmp_path, None, None, None, as_received=False, as_json=False)) == 0
    assert "100%" in screen.getvalue() and "━" in screen.getvalue()


def test_the_help_names_the_columns_there_are() -> None:
    said = str(cli_score.score.__doc__)
    goes_in, comes_out = said.split("What is written")
    assert set(re.findall(r"\[bold\](\w+)\[/\]", goes_in)) == {"tracked_at", "value", "sensor_id"}
    wide = series().rename({"value": "NAME"}).with_columns(b="NAME")
    added = [set(score_frame(frame).columns) - set(frame.columns) for frame in (series(), long(), wide)]
    written = {name for columns in added for name in columns if not name.startswith(("NAME.", "b."))}
    assert set(re.findall(r"\[bold\](\w+)\[/\]", comes_out)) == written
    of_each = {name.removeprefix("NAME.") for name in added[2] if name.startswith("NAME.")}
    assert of_each == added[0] - {"score", "views"}


def parts(frame: pl.DataFrame, count: int) -> list[pl.DataFrame]:
    size = -(-frame.height // count)
    return [frame[start : start + size] for start in range(0, frame.height, size)]


def spark(folder: Path) -> Path:
    for place, part in enumerate(parts(series(), 3)):
        save(part, folder / f"part-{place:05d}-5f3a.snappy.parquet")
        (folder / f".part-{place:05d}-5f3a.snappy.parquet.crc").write_bytes(b"crc")
    (folder / "_SUCCESS").touch()
    return folder


def dask(folder: Path) -> Path:
    for place, part in enumerate(parts(series(), 12)):
        save(part, folder / f"part.{place}.parquet")
    save(series().clear(), folder / "_metadata")
    return folder


def hive(folder: Path) -> Path:
    for place, part in enumerate(parts(series(), 3)):
        save(part, folder / f"year=2026/hour={place}/0.parquet")
    return folder


def rows_of_many_tasks(folder: Path) -> Path:
    for place in range(4):
        save(series().gather_every(4, place), folder / f"part-{place}.parquet")
    return folder


def named_like_a_file(folder: Path) -> Path:
    renamed = folder.with_name(f"{folder.name}.parquet")
    for place, part in enumerate(parts(series(), 2)):
        unit = part.with_columns(pl.col("tracked_at").dt.cast_time_unit("ms").dt.replace_time_zone(None))
        save(unit if place else part, renamed / f"data_{place}.parquet")
    return renamed


def csv_of_spark(folder: Path) -> Path:
    folder.mkdir()
    for place, part in enumerate(parts(series(), 2)):
        part.write_csv(folder / f"part-{place:05d}.csv")
    (folder / "_SUCCESS").touch()
    return folder


@pytest.mark.parametrize("write", [spark, dask, hive, rows_of_many_tasks, named_like_a_file, csv_of_spark])
def test_a_data_set_is_one_recording(write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    there = write(tmp_path / "set")
    within = sorted(there.rglob("*"))
    whole = score_frame(series())
    assert whole["alarming"].sum() == 1
    for source in (there, tmp_path):  # by itself, and among other recordings
        assert run(source) == 0
        (event,) = told(capsys)
        assert event["rows"] == ROWS
        assert "one data set of" in str(event["remarks"])
        scored = scores_of(tmp_path / "set.scores.parquet")
        assert scored["score"].to_list() == pytest.approx(whole["score"].to_list())
        assert scored["tracked_at"].is_sorted()
    assert sorted(there.rglob("*")) == within, "scores go beside it"


def test_folders_may_name_the_sensor(tmp_path: Path) -> None:
    for sensor in ("a", "b"):
        own = long().filter(sensor_id=sensor).drop("sensor_id")
        save(own, tmp_path / f"set/sensor_id={sensor}/0.parquet")
    assert run(tmp_path / "set") == 0
    scored = scores_of(tmp_path / "set.scores.parquet")
    by_itself = score_frame(long()).filter(sensor_id="a")["decades"]
    assert scored.filter(sensor_id="a")["decades"].equals(by_itself)


def test_recordings_apart_are_not_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for well in ("1", "2"):
        save(series(), tmp_path / f"set/well={well}/0.parquet")
        save(series(), tmp_path / f"days/ingest_date={well}/0.parquet")
    assert run(tmp_path / "set") == 1
    assert "the times of well=1 and well=2 overlap" in str(told(capsys)[0]["why"])
    assert run(tmp_path / "set/well=1") == 0
    assert run(tmp_path / "days") == 0, "what arrived late is of another day"


def test_parts_may_differ_and_a_part_that_is_broken_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wide = series().rename({"value": "a"})
    first, second = parts(wide.with_columns(b=pl.col("a") + 1), 2)
    save(first.drop("b"), tmp_path / "set/part-0.parquet")
    save(second.with_columns(pl.col("a").cast(pl.Float32)), tmp_path / "set/part-1.parquet")
    assert run(tmp_path / "set") == 0
    assert scores_of(tmp_path / "set.scores.parquet")["b"].null_count() == ROWS // 2
    capsys.readouterr()
    save(second.with_columns(a=pl.lit([1])), tmp_path / "set/part-1.parquet")
    assert run(tmp_path / "set") == 1
    assert "parts do not fit together" in str(told(capsys)[0]["why"])
    (tmp_path / "set/part-1.parquet").write_bytes(b"PAR1")
    assert run(tmp_path / "set") == 1
    assert "its part part-1.parquet: " in str(told(capsys)[0]["why"])


def test_files_of_their_own_are_no_data_set(tmp_path: Path) -> None:
    for name in ("pump 1", "pump 2", "part list", "1", "2"):
        save(series(), tmp_path / f"{name}.parquet")
    assert len(recordings.find(tmp_path).recordings) == 5


def test_parts_in_order_of_arrival_stay_so(tmp_path: Path) -> None:
    late = series()[SPIKE_ROW : SPIKE_ROW + 1]
    save(series(), tmp_path / "set/part-9.parquet")
    save(late, tmp_path / "set/part-10.parquet")
    assert run(tmp_path / "set", as_received=True) == 0
    assert scores_of(tmp_path / "set.scores.parquet")["flags"][-1] & 1


def test_a_folder_of_here_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(spark(tmp_path / "set"))
    assert run(Path()) == 0
    assert (tmp_path / "set.scores.parquet").exists()
    assert run(Path(), tmp_path / "set/within.parquet") == 1


def test_a_folder_that_cannot_be_looked_into_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save(series(), tmp_path / "a.parquet")
    (tmp_path / "closed").mkdir()
    listed = Path.iterdir

    def iterdir(folder: Path):  # type: ignore[no-untyped-def]
        if folder.name == "closed":
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert run(tmp_path) == 1
    events = told(capsys)
    assert [each["event"] for each in events] == ["refused", "scored", "done"]
    assert events[0]["why"] == "Permission denied"
