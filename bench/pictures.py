"""`python -m bench.pictures` (or `make pictures`): draw docs/detection's pictures anew, all from the simulated field.

Each shows a sensor's readings with what the core expected, and below them its score against the threshold. The same
seeds give the same pictures.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

import native
from engine.hub.field import Field, FieldOptions

FOLDER = Path(__file__).resolve().parents[1] / "docs/detection"
START_US = 1_790_000_000_000_000
US_PER_S = 1_000_000
DAY_S = 86_400.0
INTERVAL_S = 60.0
LEARN_DAYS = 5.0
BLUE, BAND, RED, SOFT = "#2e7dbe", "#cfe0ee", "#c0322b", "#6b7885"


@dataclass(frozen=True, slots=True)
class Picture:
    """What is planted after the days of learning, and which part of it is shown, in hours around its start."""

    name: str
    title: str
    fault: str
    lasts_min: float
    size: float
    before_h: float
    after_h: float
    seed: int = 1


PICTURES = (
    Picture("leak", "A leak", "leak", 180, 1.5, 8, 6),
    Picture("stiction", "A valve that sticks: the flow moves in steps", "stiction", 240, 0.5, 8, 8),
    Picture("healthy", "Nothing planted: daily cycle, wandering, modes of operation", "", 0, 0, 0, 72),
)


@dataclass(frozen=True, slots=True)
class Course:
    """A sensor's readings in hours after the fault's start, with what the core said of each."""

    kind: str
    hours: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]
    said: native.SeriesScores


def course_of(picture: Picture) -> Course:
    """The leading sensor of the fault; a flow where there is none."""
    start_s = LEARN_DAYS * DAY_S
    end_s = start_s + picture.after_h * 3600
    schedule = (
        f"{picture.fault}@{start_s:.0f}+{picture.lasts_min * 60:.0f}x{picture.size:g}" if picture.fault else "none"
    )
    field = Field(FieldOptions(1, 18, 18 / INTERVAL_S, picture.seed, schedule), START_US)
    planted = field.plan(end_s)
    sensors = [sensor.type.value for sensor in field.roster.sensors]
    leading = planted[0].sensors[0] if planted else sensors.index("Flow")
    rows = [(at_us, value) for at_us, sensor, value in field.values(end_s) if sensor == leading]
    at_us = np.array([at_us for at_us, _ in rows])
    values = np.array([value for _, value in rows]).round(2)
    said = native.score_series(at_us, values, INTERVAL_S)
    return Course(sensors[leading], ((at_us - START_US) / US_PER_S - start_s) / 3600, values, said)


def draw(picture: Picture, course: Course, path: Path) -> None:
    """The readings over the score."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = (course.hours >= -picture.before_h) & (course.hours <= picture.after_h)
    hours, said = course.hours[shown], course.said
    expected, band, score = said.expected[shown], said.band[shown], np.nan_to_num(said.score[shown])
    figure, (above, below) = pyplot.subplots(
        2, 1, sharex=True, figsize=(9, 4.6), height_ratios=(2, 1), layout="constrained"
    )
    above.set_title(picture.title, loc="left", fontsize=11)
    above.fill_between(hours, expected - band, expected + band, color=BAND, linewidth=0, label="expected")
    above.plot(hours, course.values[shown], color=BLUE, linewidth=0.9, label="readings")
    above.set_ylabel(course.kind)
    below.plot(hours, score, color=BLUE, linewidth=0.9)
    below.plot(hours, said.threshold[shown], color=RED, linewidth=1, linestyle="--", label="threshold")
    alarms = said.alarming[shown]
    below.plot(hours[alarms], score[alarms], "o", color=RED, markersize=4, label="speaks")
    below.set_ylabel("score, decades")
    below.set_xlabel("hours after it was planted" if picture.fault else "hours, after five days of learning")
    below.set_ylim(bottom=0)
    for axes in (above, below):
        if picture.fault:
            axes.axvspan(0, picture.lasts_min / 60, color=RED, alpha=0.07, linewidth=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=SOFT)
        axes.legend(loc="upper left", frameon=False, fontsize=8, ncols=2)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def main() -> int:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        sys.exit("matplotlib is not installed: uv sync")
    for picture in PICTURES:
        path = FOLDER / f"{picture.name}.png"
        course = course_of(picture)
        draw(picture, course, path)
        first = course.hours[course.said.alarming & (course.hours >= 0)]
        after = f"speaks after {first[0] * 60:.0f} min" if len(first) else "never speaks"
        before = int((course.said.alarming & (course.hours < 0)).sum())
        print(f"{path.name}: {course.kind}, {after}, {before} times before")
    return 0


if __name__ == "__main__":
    sys.exit(main())
