"""`gasinsight score`: recordings through the core, one after the other, with a bar on a terminal."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from engine.all_or_nothing import unwound_by_signals
from engine.commands.steps import Screen, plain
from engine.errors import SettingsError
from engine.offline import FrameRefused, files, recordings, score_frame
from engine.offline.recordings import Recording
from engine.offline.refusals import refusing
from engine.offline.shapes import unscored
from engine.printable import escaped

UNSCORED_TOLD_MAX = 8


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
    try:
        found = recordings.find(options.source, options.out)
    except FrameRefused as error:
        raise SettingsError(str(error)) from error
    run = _Run(options)
    for folder, why in found.refused:
        run.tell_refused(folder, why)
    with unwound_by_signals(), run.bar:
        run.score_all(found.recordings)
    run.sum_up()
    return 1 if run.refused else 0


class _Run:
    def __init__(self, options: ScoreOptions) -> None:
        self.refused = 0
        self._options = options
        self._screen = Screen(options.as_json)
        self.bar = _bar(self._screen)
        self._started_s = time.monotonic()
        self._scored: dict[Path, Recording] = {}
        """By where the scores went."""
        self._rows = 0

    def score_all(self, found: list[Recording]) -> None:
        sizes = [recording.size_bytes() for recording in found]
        task = self.bar.add_task("", total=sum(sizes))
        for place, recording in enumerate(found):
            self.bar.update(task, description=escape(escaped(recording.path.name)))
            try:
                self._score(recording, task, sizes[place])
            except FrameRefused as error:
                self.tell_refused(recording.path, str(error))
            self.bar.update(task, completed=sum(sizes[: place + 1]))

    def tell_refused(self, path: Path, why: str) -> None:
        self.refused += 1
        self._screen.event("refused", plain(f"{_near(path)}: {why}", "red"), file=str(_near(path)), why=why)

    def sum_up(self) -> None:
        done = len(self._scored)
        if done + self.refused <= 1:
            return
        took_s = time.monotonic() - self._started_s
        told = f"{done} of {done + self.refused} recordings, {self._rows:,} rows in {took_s:.1f} s"
        figures = {"recordings": done + self.refused, "refused": self.refused, "rows": self._rows}
        self._screen.event("done", told, **figures, seconds=round(took_s, 2))

    def _score(self, recording: Recording, task: TaskID, size: int) -> None:
        options = self._options
        target = recordings.target_of(recording, options.source, options.out)
        if target in self._scored:
            raise FrameRefused(f"its scores would replace those of {_near(self._scored[target].path)}: rename one")
        frame, remarks, *_ = recording.read(as_received=options.as_received)
        per_row = size / max(frame.height, 1)
        with refusing("cannot be scored"):
            scored = score_frame(
                frame,
                expected_interval_s=options.expected_interval_s,
                sensor_type=options.sensor_type,
                as_received=options.as_received,
                on_rows=lambda rows: self.bar.advance(task, rows * per_row),
            )
        files.write(scored, target)
        self._scored[target] = recording
        self._rows += scored.height
        if left := [name or "the one without a name" for name in unscored(frame)]:
            more = ", …" if len(left) > UNSCORED_TOLD_MAX else ""
            remarks = [*remarks, f"columns kept and not scored: {', '.join(left[:UNSCORED_TOLD_MAX])}{more}"]
        self._tell_scored(recording, target, scored.height, int(scored["alarming"].sum()), remarks)

    def _tell_scored(self, recording: Recording, target: Path, rows: int, alarming: int, remarks: list[str]) -> None:
        told = f"{_near(recording.path)}: {rows:,} rows, {alarming:,} alarming → {_near(target)}"
        self._screen.event(
            "scored",
            "\n  ".join(map(escaped, [told, *remarks])),
            file=str(_near(recording.path)),
            out=str(_near(target)),
            rows=rows,
            alarming=alarming,
            remarks=remarks,
        )


def _near(path: Path) -> Path:
    """As a person here would say it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _bar(screen: Screen) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    is_off = screen.as_json or not screen.console.is_terminal
    return Progress(*columns, console=screen.console, transient=True, disable=is_off)
