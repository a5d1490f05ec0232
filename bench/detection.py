"""`bench/detection --data DIR`: every recording of a folder through the compiled core, and how good its alarms are.

The counting is done by the scorer that comes with the recordings (`--scorer`; without it, tools/score_detection.py in a
folder above DIR), a program of its own that alone sees the labels. The core's side is one number a row (see
`bench/recordings.py`). The first table ranks that number within each set's budget of false alarms, as it ranks the
baselines; the second takes the product as it is, at its own threshold.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import rich.box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import native
from bench.recordings import Folder, read_folder, score_recordings
from bench.report import load

OWN_THRESHOLD = 1.0
CLOCKS = ("random", "always-on", "row clock")
SHOWN_BASELINES = ("EWMA z", "EWMA z, refractory")
GOALS = {
    ("nab", "standard"): "71, then 75",
    ("nab", "low_FP"): "65, then 67",
    ("nab", "events"): "46, then 50",
    ("w3", "events"): "10, then 14",
    ("tep", "events"): "10, then 11",
    ("skab", "events"): "16",
    ("batadal", "events"): "4, then 5",
    ("ucr", "accuracy"): "0.45, then 0.55",
}

Result = dict[str, Any]
"""What the scorer says of one detector on one set."""


def main() -> int:
    options = _options()
    scorer = options.scorer or _scorer_near(options.data)
    if scorer is None or not scorer.exists():
        sys.exit(f"no scorer: {scorer or 'tools/score_detection.py is in no folder above --data'}; name it by --scorer")
    try:
        folder = read_folder(options.data, options.sets)
    except ValueError as error:
        sys.exit(str(error))
    with tempfile.TemporaryDirectory() as temporary:
        scores = options.scores or Path(temporary) / "scores"
        readings, problems, seconds = _run_the_core(folder, scores)
        ranked = _score(scorer, options, scores, Path(temporary))
        own = _score(scorer, options, scores, Path(temporary), "--threshold", str(OWN_THRESHOLD), "--no-baselines")
    about = {
        "at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "core_version": native.CORE_VERSION,
        "machine": f"{platform.machine()}, Python {platform.python_version()}, {load()}",
        "readings": readings,
        "seconds": round(seconds, 1),
    }
    rows, own_rows = rows_of(folder, ranked), own_rows_of(folder, own)
    if options.markdown:
        print("\n\n".join(markdown(lines) for lines in (rows, own_rows) if lines))
    elif options.json:
        print(json.dumps({**about, "rows": rows, "own_threshold": own_rows, "scorer": ranked, "scorer_at_own": own}))
    else:
        _print(about, rows, own_rows)
    return 1 if problems else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/detection", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with manifest.json")
    parser.add_argument("--scorer", type=Path, metavar="PATH", help="the program that counts")
    parser.add_argument("--sets", nargs="+", metavar="SET", help="only these sets")
    parser.add_argument("--scores", type=Path, metavar="DIR", help="keep the score files there")
    parser.add_argument("--json", action="store_true", help="one JSON object, with everything the scorer said")
    parser.add_argument("--markdown", action="store_true", help="the two tables as docs/detection.md has them")
    return parser.parse_args()


def _scorer_near(data: Path) -> Path | None:
    above = (folder / "tools/score_detection.py" for folder in data.resolve().parents)
    return next((path for path in above if path.exists()), None)


def _run_the_core(folder: Folder, scores: Path) -> tuple[int, int, float]:
    """(readings, recordings that could not be scored, seconds of it all)."""
    began_s, readings, problems = time.monotonic(), 0, 0
    columns = (TextColumn("{task.description:12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("recordings", total=len(folder.recordings))
        for recording, count, problem in score_recordings(folder, scores):
            readings += count
            if problem:
                problems += 1
                progress.console.print(f"{recording.path}: {problem}; it counts without an alarm", markup=False)
            progress.update(task, advance=1, description=recording.set)
    return readings, problems, time.monotonic() - began_s


def _score(scorer: Path, options: argparse.Namespace, scores: Path, temporary: Path, *more: str) -> dict[str, Any]:
    out = temporary / "figures.json"
    command = [sys.executable, str(scorer), str(scores), "--data", str(options.data), "--json", str(out), *more]
    if options.sets:
        command += ["--sets", *options.sets]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"the scorer ended with status {done.returncode}:\n{done.stderr or done.stdout}")
    sys.stderr.write(done.stderr)
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def rows_of(folder: Folder, scored: dict[str, Any]) -> list[dict[str, str]]:
    """A row a measure: ours, the two baselines, the best of those that look at no data, the goal."""
    detectors = {"ours": scored["detector"], **scored["baselines"]}
    rows = []
    for name, about in folder.sets.items():
        for figure, title, value, text in _figures(about):
            results = {each: found["sets"][name] for each, found in detectors.items()}
            said = {each: text(result) for each, result in results.items()}
            blind = max(CLOCKS, key=lambda each: value(results[each]))
            row = {"measure": f"{name}: {title}", "ours": said["ours"]}
            row |= {each: said[each] for each in SHOWN_BASELINES}
            rows.append(row | {"best of random and clocks": said[blind], "goal": GOALS.get((name, figure), "")})
    return rows


Figures = list[tuple[str, str, Callable[[Result], float], Callable[[Result], str]]]


def _figures(about: dict[str, Any]) -> Figures:
    """(figure, in words, its number, its text) of a set by its protocol."""
    if about["protocol"] == "ucr":
        accuracy: Callable[[Result], float] = lambda result: result["accuracy"]  # noqa: E731
        return [("accuracy", "accuracy, one pass", accuracy, lambda result: f"{result['accuracy']:.3f}")]
    events: Figures = [
        (
            "events",
            f"events at {about['budget_per_day']:g} false alarms a day",
            lambda result: result["budget"]["found"],
            lambda result: "{found} of {events}".format(**result["budget"]),
        )
    ]
    if about["protocol"] != "nab":
        return events
    return [_nab("standard", "NAB standard"), _nab("low_FP", "NAB reward-low-FP"), *events]


def _nab(profile: str, title: str) -> tuple[str, str, Callable[[Result], float], Callable[[Result], str]]:
    def value(result: Result) -> float:
        return float(result["nab"][profile]["score"])

    return profile, title, value, lambda result: f"{value(result):.1f}"


def own_rows_of(folder: Folder, scored: dict[str, Any]) -> list[dict[str, str]]:
    """The product as it is: what it finds, how often it is wrong, how soon it speaks."""
    rows = []
    for name, about in folder.sets.items():
        if about["protocol"] == "ucr":
            continue
        at = scored["detector"]["sets"][name]["at_T"]
        delay = "" if at["delay_s"] is None else f"{at['delay_s'] / 60:,.1f} min"
        rows.append(
            {
                "set": name,
                "events found": "{found} of {events}".format(**at),
                "false alarms": str(at["false_alarms"]),
                "a stream-day": f"{at['false_per_day']:.3g}",
                "budget": f"{about['budget_per_day']:g}",
                "median delay": delay,
            }
        )
    return rows


def markdown(lines: list[dict[str, str]]) -> str:
    """A table for documents."""
    rows = [list(lines[0]), ["---"] * len(lines[0]), *(list(line.values()) for line in lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _print(about: dict[str, Any], rows: list[dict[str, str]], own_rows: list[dict[str, str]]) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    pace = about["readings"] / max(about["seconds"], 1e-9)
    console.print(f"detection   {about['at']}   core version {about['core_version']}   {about['machine']}")
    console.print(f"{about['readings']:,} readings in {about['seconds']} s ({pace:,.0f}/s, reading the files included)")
    for title, lines in (("", rows), ("at the product's own threshold", own_rows)):
        if not lines:
            continue
        table = Table(*lines[0], title=title or None, title_justify="left", box=rich.box.SIMPLE_HEAD)
        for line in lines:
            table.add_row(*line.values())
        console.print(table)


if __name__ == "__main__":
    sys.exit(main())
