"""The bench of recordings: what it reads, what it hands to the scorer, what it makes of its answer."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from bench.detection import markdown, own_rows_of, rows_of
from bench.pictures import PICTURES, course_of
from bench.recordings import read_folder, score_recordings
from bench.score import EwmaZ, cold_rates, hot_rates, windowed_z

ROOT = Path(__file__).resolve().parents[2]
ROWS = 2_000
SPIKE = 1_700

SCORER = """
import argparse, json
from pathlib import Path
import numpy as np
parser = argparse.ArgumentParser()
parser.add_argument("scores", type=Path)
for name in ("--data", "--json", "--threshold"):
    parser.add_argument(name)
parser.add_argument("--no-baselines", action="store_true")
given = parser.parse_args()
top = int(np.load(given.scores / "made/one.npy").argmax())
figures = {"found": int(1_700 <= top <= 1_702), "events": 1, "false_alarms": 0, "false_per_day": 0.0, "delay_s": None}
result = {"sets": {"made": {"budget": figures, "at_T": figures}}}
names = () if given.no_baselines else ("random", "always-on", "row clock", "EWMA z", "EWMA z, refractory")
Path(given.json).write_text(json.dumps({"detector": result, "baselines": dict.fromkeys(names, result)}))
"""


def readings() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    values = 20 + np.random.default_rng(1).normal(0, 0.1, ROWS).round(3)
    values[SPIKE] += 40
    return 1_790_000_000_000_000 + np.arange(ROWS) * 60_000_000, values


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    at_us, values = readings()
    (tmp_path / "data/made").mkdir(parents=True)
    times = pl.Series(at_us).cast(pl.Datetime("us", "UTC"))
    label = np.zeros(ROWS, np.int8)
    frame = pl.DataFrame({"tracked_at": times, "value": values, "label": label})
    frame.write_parquet(tmp_path / "data/made/one.parquet")
    about = {"protocol": "events", "budget_per_day": 0.5, "title": "made for this test"}
    file = {"set": "made", "name": "one", "rows": ROWS, "channels": ["value"], "interval_s": 60.0}
    (tmp_path / "data/manifest.json").write_text(json.dumps({"sets": {"made": about}, "files": [file]}))
    (tmp_path / "scorer.py").write_text(SCORER)
    return tmp_path


def test_one_command_prints_the_table(folder: Path) -> None:
    command = [sys.executable, "-m", "bench.detection", "--data", str(folder / "data"), "--json"]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "--scorer" in refused.stderr
    command += ["--scorer", str(folder / "scorer.py"), "--scores", str(folder / "scores")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert said["readings"] == ROWS
    assert said["rows"][0]["ours"] == "1 of 1"
    assert said["own_threshold"][0]["events found"] == "1 of 1"
    assert np.load(folder / "scores/made/one.npy").shape == (ROWS,)


def test_a_folder_that_is_none_and_a_set_that_is_not_there(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"no manifest\.json"):
        read_folder(folder)
    with pytest.raises(ValueError, match="there is no set 'other'; there are made"):
        read_folder(folder / "data", ["other"])


def test_a_manifest_that_says_too_little_is_told(folder: Path) -> None:
    manifest = folder / "data/manifest.json"
    manifest.write_text('{"sets": {"made": {}}, "files": [{"set": "made"}]}')
    with pytest.raises(ValueError, match="does not say what it should: KeyError"):
        read_folder(folder / "data")
    manifest.write_text("{")
    with pytest.raises(ValueError, match="is no JSON"):
        read_folder(folder / "data")


def test_a_clock_that_steps_back_ends_nothing_and_late_rows_are_not_learned(folder: Path) -> None:
    path = folder / "data/made/one.parquet"
    frame = pl.read_parquet(path)
    late = pl.concat([frame[:500], frame[100:101].with_columns(value=pl.lit(900.0)), frame[500:-1]])
    late.write_parquet(path)
    ((recording, readings, problem),) = score_recordings(read_folder(folder / "data"), folder / "scores")
    assert (recording.name, readings, problem) == ("one", ROWS, "")
    said = np.load(folder / "scores/made/one.npy")
    assert said[500] == 0
    assert int(said.argmax()) == SPIKE + 1


def without_a_file(path: Path) -> None:
    path.unlink()


def without_its_channel(path: Path) -> None:
    pl.read_parquet(path).rename({"value": "other"}).write_parquet(path)


def with_other_rows(path: Path) -> None:
    pl.read_parquet(path)[1:].write_parquet(path)


def no_parquet(path: Path) -> None:
    path.write_text("tracked_at,value")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (without_a_file, "No such file"),
        (without_its_channel, "no column value, which the manifest names"),
        (with_other_rows, "there are 1999 rows, the manifest says 2000"),
        (no_parquet, "no Parquet file"),
    ],
)
def test_a_recording_that_cannot_be_scored_is_told_and_the_others_count(
    spoil: Callable[[Path], None], said: str, folder: Path
) -> None:
    manifest = json.loads((folder / "data/manifest.json").read_text())
    manifest["files"].append(manifest["files"][0] | {"name": "two"})
    (folder / "data/manifest.json").write_text(json.dumps(manifest))
    shutil.copy(folder / "data/made/one.parquet", folder / "data/made/two.parquet")
    spoil(folder / "data/made/two.parquet")
    command = [sys.executable, "-m", "bench.detection", "--data", str(folder / "data"), "--json"]
    command += ["--scorer", str(folder / "scorer.py"), "--scores", str(folder / "scores")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert said in " ".join(done.stderr.split()) and "Traceback" not in done.stderr
    assert json.loads(done.stdout)["rows"][0]["ours"] == "1 of 1"
    assert not np.load(folder / "scores/made/two.npy").any()


def scored(found: int, value: float) -> dict[str, Any]:
    budget = {"found": found, "events": 4}
    at = {"found": found, "events": 4, "false_alarms": 2, "false_per_day": 0.25, "delay_s": 90.0}
    nab = {profile: {"score": value} for profile in ("standard", "low_FP")}
    return {"sets": {"nab": {"nab": nab, "budget": budget, "at_T": at}, "ucr": {"accuracy": value / 100}}}


def test_a_row_a_measure_with_the_best_of_the_blind_ones_and_the_goal(folder: Path) -> None:
    read = read_folder(folder / "data")
    sets: dict[str, dict[str, Any]] = {"nab": {"protocol": "nab", "budget_per_day": 0.06}, "ucr": {"protocol": "ucr"}}
    read = type(read)(sets, [])
    names = ("random", "always-on", "row clock", "EWMA z", "EWMA z, refractory")
    baselines = {name: scored(number, 10.0 * number) for number, name in enumerate(names)}
    rows = rows_of(read, {"detector": scored(4, 71.3), "baselines": baselines})
    assert [row["measure"] for row in rows] == [
        "nab: NAB standard",
        "nab: NAB reward-low-FP",
        "nab: events at 0.06 false alarms a day",
        "ucr: accuracy, one pass",
    ]
    assert list(rows[0].values())[1:] == ["71.3", "30.0", "40.0", "20.0", "71, then 75"]
    assert list(rows[2].values())[1:] == ["4 of 4", "3 of 4", "4 of 4", "2 of 4", "46, then 50"]
    (own,) = own_rows_of(read, {"detector": scored(3, 50.0)})
    assert own == {
        "set": "nab",
        "events found": "3 of 4",
        "false alarms": "2",
        "a stream-day": "0.25",
        "budget": "0.06",
        "median delay": "1.5 min",
    }
    assert markdown([own]).splitlines()[2] == "| nab | 3 of 4 | 2 | 0.25 | 0.06 | 1.5 min |"


def test_rates_are_of_readings_that_the_core_took_in() -> None:
    hot = hot_rates(1, warm=100, readings=500)
    cold = cold_rates(1, sensors=50, warm_ticks=3)
    assert all(rate > 0 for rates in (hot, cold) for rate in (*rates.ours, *rates.written, *rates.numpy))


def test_the_rivals_compute_what_they_claim() -> None:
    values = np.random.default_rng(2).normal(5, 2, 9_000)
    by_hand = abs(values[8_000] - values[1_600:8_000].mean()) / values[1_600:8_000].std()
    assert windowed_z(values)[8_000] == pytest.approx(by_hand, rel=1e-6)
    rival, order = EwmaZ(3), np.array([2, 0])
    for value in values[:5_000]:
        rival.take(order, np.array([value, 1.0]), 0.01)
    assert rival.mean[2] == pytest.approx(5, abs=0.5)
    assert rival.variance[2] == pytest.approx(4, rel=0.4)
    assert rival.mean[1] == 0


def test_pictures_are_of_planted_faults() -> None:
    course = course_of(next(picture for picture in PICTURES if picture.name == "leak"))
    assert course.kind == "Pressure"
    assert len(course.values) == len(course.hours) == len(course.said)
    assert course.hours[0] < 0 < course.hours[-1]
