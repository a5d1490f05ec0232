"""`gasinsight score`: recordings through the core, one after the other, with a bar on a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from engine.commands.steps import Screen
from engine.errors import SettingsError
from engine.offline import FrameRefused, files, score_frame


@dataclass(frozen=True)
class ScoreOptions:
    source: Path
    out: Path | None
    expected_interval_s: float | None
    sensor_type: str | None
    as_received: bool
    as_json: bool


def run_score(options: ScoreOptions) -> int:
    """A recording that is refused is told and the others are scored; then the exit status is 1."""
    screen = Screen(options.as_json)
    try:
        recordings = files.recordings(options.source)
    except FrameRefused as error:
        raise SettingsError(str(error)) from error
    started_s = time.monotonic()
    refused = 0
    rows = 0
    with _bar(screen) as progress:
        bar = progress.add_task("", total=None)
        counted = [(recording, _counted(recording)) for recording in recordings]
        progress.update(bar, total=sum(count for _, count in counted))
        for recording, count in counted:
            progress.update(bar, description=escape(recording.name))
            try:
                rows += _score_one(recording, options, screen, lambda done: progress.advance(bar, done))
            except FrameRefused as error:
                if len(recordings) == 1:
                    raise SettingsError(f"{recording}: {error}") from error
                refused += 1
                progress.advance(bar, count)
                told = escape(f"{recording}: {error}")
                screen.event("refused", f"[red]{told}[/]", file=str(recording), why=str(error))
    if len(recordings) > 1:
        _sum_up(screen, len(recordings), refused, rows, time.monotonic() - started_s)
    return 1 if refused else 0


def _score_one(recording: Path, options: ScoreOptions, screen: Screen, on_rows: Callable[[int], object]) -> int:
    target = files.target_of(recording, options.source, options.out)
    scored = score_frame(
        files.read(recording),
        expected_interval_s=options.expected_interval_s,
        sensor_type=options.sensor_type,
        as_received=options.as_received,
        on_rows=on_rows,
    )
    files.write(scored, target)
    alarming = int(scored["alarming"].sum())
    told = f"{recording}: {scored.height:,} rows, {alarming:,} alarming → {target}"
    screen.event("scored", escape(told), file=str(recording), out=str(target), rows=scored.height, alarming=alarming)
    return scored.height


def _counted(recording: Path) -> int:
    """For the bar alone; what cannot be read is told when its turn comes."""
    try:
        return files.rows_of(recording)
    except FrameRefused:
        return 0


def _bar(screen: Screen) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    is_off = screen.as_json or not screen.console.is_terminal
    return Progress(*columns, console=screen.console, transient=True, disable=is_off)


def _sum_up(screen: Screen, recordings: int, refused: int, rows: int, took_s: float) -> None:
    told = f"{recordings - refused} of {recordings} recordings, {rows:,} rows in {took_s:.1f} s"
    screen.event("done", told, recordings=recordings, refused=refused, rows=rows, seconds=round(took_s, 2))
