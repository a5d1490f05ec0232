"""`python -m bench.figures_picture` (or `make pictures`): draw the figures of a simulated month for docs/alarms.md."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path

from web.contract.figure_shapes import Figures, FiguresOfDay, Measure
from web.figures.lives import lives_of
from web.figures.measuring import Range, figures_of

FILE = Path(__file__).resolve().parents[1] / "docs/pictures/figures-month.svg"
START = datetime(2026, 11, 1, tzinfo=UTC)
END = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
WIDTH, HEIGHT, LEFT, TOP, BASE, BAR = 980, 420, 60, 50, 230, 28
TARGET_A_DAY = 144
COLORS = {True: "#2f7a3e", False: "#c0322b", None: "#44546a"}
Row = tuple[str, str, datetime, int, str, str]


def main() -> int:
    """Write the picture; the same every time."""
    FILE.write_text(picture(month(seed=1)), encoding="utf-8")
    print(f"{FILE} is drawn", file=sys.stderr)
    return 0


def month(seed: int) -> Figures:
    """Sixty calm alarms, one that chatters in the second week, and a trip that is a flood."""
    chance = random.Random(seed)
    rows = [row for place in range(60) for row in _calm(chance, f"{place}:high")]
    rows += _burst("70:high", START + timedelta(days=9), 400, timedelta(seconds=25))
    for place in range(80, 120):
        rows += _burst(f"{place}:low", START + timedelta(days=20, hours=5, seconds=3 * place), 2, timedelta(minutes=2))
    return figures_of(lives_of(sorted(rows)), Range(START, END))


def _calm(chance: random.Random, alarm: str) -> Iterator[Row]:
    priority = chance.choices(("low", "medium", "high"), (80, 15, 5))[0]
    at = START + timedelta(hours=chance.uniform(0, 24))
    while at < END - timedelta(days=2):
        yield "ridge-1", alarm, at, 1, "activated", priority
        at += timedelta(minutes=chance.uniform(2, 90))
        yield "ridge-1", alarm, at, 2, "returned", priority
        at += timedelta(hours=chance.expovariate(1 / 16))


def _burst(alarm: str, begin: datetime, times: int, every: timedelta) -> Iterator[Row]:
    for place in range(times):
        yield "ridge-1", alarm, begin + place * every, 1, "activated", "low"
        yield "ridge-1", alarm, begin + place * every + timedelta(seconds=12), 2, "returned", "low"


def picture(figures: Figures) -> str:
    """A bar a day with the acceptable load as a line, and below it each figure with its target."""
    most = max(TARGET_A_DAY, *(day.activations for day in figures.days))
    scale = (BASE - TOP) / most
    target = BASE - TARGET_A_DAY * scale
    bars = "".join(_bar(place, day, scale) for place, day in enumerate(figures.days))
    said = "".join(_figure(place, one) for place, one in enumerate(figures.measures))
    line = f"<line x1='{LEFT}' x2='{WIDTH - 40}' y1='{target:.1f}' y2='{target:.1f}' stroke='#b26a00'/>"
    words = _text(LEFT, 28, f"Activations a day, {figures.start:%B %Y}; one in ten minutes is the line", "#111")
    body = f"{words}{bars}{line}{said}"
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' font-family='system-ui, sans-serif'"
        f" font-size='13'><rect width='{WIDTH}' height='{HEIGHT}' fill='#fff'/>{body}</svg>\n"
    )


def _bar(place: int, day: FiguresOfDay, scale: float) -> str:
    x, height = LEFT + place * BAR, day.activations * scale
    color = COLORS[day.activations <= TARGET_A_DAY]
    bar = f"<rect x='{x}' y='{BASE - height:.1f}' width='{BAR - 6}' height='{height:.1f}' fill='{color}'/>"
    return bar + _text(x + 4, BASE + 18, str(day.day.day), "#44546a")


def _figure(place: int, one: Measure) -> str:
    column, row = divmod(place, 5)
    value = "-" if one.value is None else f"{one.value:.3g}"
    words = f"{one.name.replace('_', ' ')}: {value} (target: {one.target})"
    return _text(LEFT + column * 450, 290 + row * 26, words, COLORS[one.met])


def _text(x: int, y: int, words: str, color: str) -> str:
    return f"<text x='{x}' y='{y}' fill='{color}'>{escape(words)}</text>"


if __name__ == "__main__":
    sys.exit(main())
