"""`python -m bench.alarm_picture` (or `make pictures`): draw the life of an alarm for docs/alarms.md."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from html import escape
from pathlib import Path

FILE = Path(__file__).resolve().parents[1] / "docs/pictures/alarm-life.svg"
WIDTH, HEIGHT = 980, 450
BOX_W, BOX_H = 200, 62
FONT = "font-family='system-ui, sans-serif'"
STYLES = {
    "calm": ("#e8f1e9", "#2f7a3e"),
    "loud": ("#fbe3e1", "#c0322b"),
    "known": ("#fdf0dc", "#b26a00"),
    "kept": ("#e9ecf3", "#44546a"),
}


@dataclass(frozen=True, slots=True)
class Box:
    """A state as people see it; the second line says which memories make it."""

    x: int
    y: int
    style: str
    name: str
    about: str


@dataclass(frozen=True, slots=True)
class Arrow:
    """From a point over corners to a point, with its words at a place of their own."""

    points: tuple[tuple[int, int], ...]
    words: str
    at: tuple[int, int]


BOXES = (
    Box(40, 60, "calm", "normal", "the condition is not true"),
    Box(390, 60, "loud", "unacknowledged", "true, nobody has seen it"),
    Box(740, 60, "known", "acknowledged", "true, somebody has seen it"),
    Box(390, 220, "known", "returned", "over, and nobody has seen it"),
    Box(740, 220, "known", "latched", "over, waits for a reset"),
    Box(40, 370, "kept", "shelved", "by a person, for a time"),
    Box(390, 370, "kept", "suppressed by design", "means nothing at the time"),
    Box(740, 370, "kept", "out of service", "being worked on"),
)
ARROWS = (
    Arrow(((240, 80), (390, 80)), "becomes true: alert", (315, 72)),
    Arrow(((590, 80), (740, 80)), "acknowledge", (665, 72)),
    Arrow(((840, 60), (840, 22), (140, 22), (140, 60)), "is over", (490, 16)),
    Arrow(((490, 122), (490, 220)), "is over", (520, 175)),
    Arrow(((390, 251), (110, 251), (110, 122)), "acknowledge", (250, 243)),
    Arrow(((840, 122), (840, 220)), "is over, where the rule latches", (735, 175)),
    Arrow(((790, 282), (790, 310), (80, 310), (80, 122)), "reset", (435, 304)),
)
NOTE = (
    "from any state into one of these, and back: the condition goes on being judged and journaled,",
    "and what is true when it ends is told anew",
)


def drawn() -> str:
    """The whole file."""
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' role='img'"
        " aria-label='The states of an alarm and what moves it from one to another'>"
        "<defs><marker id='tip' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='8' markerHeight='8' orient='auto'>"
        "<path d='M0 0 L8 4 L0 8 z' fill='#4a5560'/></marker></defs>"
        f"<rect width='{WIDTH}' height='{HEIGHT}' fill='white'/>"
    )
    parts = [head, *map(_arrow, ARROWS), *map(_box, BOXES)]
    parts += [_words(WIDTH // 2, 330 + 16 * number, line, 12.5) for number, line in enumerate(NOTE)]
    return "\n".join([*parts, "</svg>", ""])


def _box(box: Box) -> str:
    fill, ink = STYLES[box.style]
    middle = box.x + BOX_W // 2
    return (
        f"<rect x='{box.x}' y='{box.y}' width='{BOX_W}' height='{BOX_H}' rx='8' fill='{fill}' stroke='{ink}'/>"
        f"<text x='{middle}' y='{box.y + 27}' {FONT} font-size='15' font-weight='600' text-anchor='middle'"
        f" fill='{ink}'>{escape(box.name)}</text>" + _words(middle, box.y + 47, box.about, 12.5)
    )


def _arrow(arrow: Arrow) -> str:
    way = " ".join(f"{x},{y}" for x, y in arrow.points)
    line = f"<polyline points='{way}' fill='none' stroke='#4a5560' stroke-width='1.4' marker-end='url(#tip)'/>"
    return line + _words(*arrow.at, arrow.words, 12.5)


def _words(x: int, y: int, words: str, size: float) -> str:
    return f"<text x='{x}' y='{y}' {FONT} font-size='{size}' text-anchor='middle' fill='#333'>{escape(words)}</text>"


if __name__ == "__main__":
    FILE.write_text(drawn(), encoding="utf-8")
    sys.stdout.write(f"{FILE}\n")
