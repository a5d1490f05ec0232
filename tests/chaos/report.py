"""What a chaos run has shown: report.json for programs, report.html with a picture for people, a table to print."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape as markup
from rich.table import Table

WIDTH, LEFT, RIGHT, TOP, PLOT, GAP, WAITING = 1000, 172, 24, 12, 190, 24, 120
STEPS_S: Final = (10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 86_400)
LANE: Final = 22
SAMPLES_MAX: Final = 800
COLOURS: Final = ("#d1495b", "#2e7dbe", "#d08a1d", "#3c9167", "#7a5bc0", "#b04a97", "#5f7a1f", "#17888f", "#a0522d")


@dataclass(frozen=True, slots=True)
class Kill:
    """One thing done to the house. `means`: how, in words; `recovered_s`: until what was in flight then was stored."""

    at_s: float
    kind: str
    means: str
    recovered_s: float | None = None


@dataclass(slots=True)
class ChaosResult:
    """A run. Times are seconds since its start; `samples` are (at_s, readings sent, readings stored).

    `problems`: whatever is not as promised, in words, also what no count has.
    """

    seed: int
    started_at: str
    seconds: float
    machine: str
    messages: int
    readings: int
    kills: list[Kill] = field(default_factory=list)
    redeliveries: int = 0
    fenced: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    state_differences: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    samples: list[tuple[float, int, int]] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Nothing lost, doubled, wrong or different, and nothing else to complain of."""
        return not (self.lost or self.doubled or self.wrong or self.state_differences or self.problems)

    def kinds(self) -> dict[str, list[Kill]]:
        """The kills by kind, in order of the first."""
        found: dict[str, list[Kill]] = {}
        for kill in self.kills:
            found.setdefault(kill.kind, []).append(kill)
        return found

    def claims(self) -> Iterator[tuple[str, int, str]]:
        """(what, how many, of how many trials): a zero comes with its bound, three divided by the trials (95 %)."""
        yield "lost", self.lost, _trials(self.lost, self.readings, "readings")
        yield "doubled", self.doubled, _trials(self.doubled, self.readings, "readings")
        yield "wrong value", self.wrong, _trials(self.wrong, self.readings, "readings")
        yield "state differences", self.state_differences, _trials(self.state_differences, len(self.kills), "kills")


def write_report(result: ChaosResult, folder: Path) -> Path:
    """`report.json`, `report.html` and the page's picture alone, `report.svg`, into `folder`; the path of the page."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps({**asdict(result), "good": result.good}, indent=1) + "\n")
    page = folder / "report.html"
    page.write_text(_page(result), encoding="utf-8")
    (folder / "report.svg").write_text(_picture_alone(result), encoding="utf-8")
    return page


def read_report(folder: Path) -> ChaosResult:
    """What `write_report` has written."""
    fields: dict[str, Any] = json.loads((folder / "report.json").read_text())
    del fields["good"]
    fields["kills"] = [Kill(**kill) for kill in fields["kills"]]
    fields["samples"] = [tuple(sample) for sample in fields["samples"]]
    return ChaosResult(**fields)


def print_report(result: ChaosResult, console: Console | None = None) -> None:
    """The same for the terminal."""
    console = console or Console()
    console.print(f"[bold]{markup(_title(result))}[/bold]  seed {result.seed}, {_facts(result)}", highlight=False)
    claims = Table("", "count", "of how many", box=None)
    for what, count, trials in result.claims():
        claims.add_row(what, f"[{'red' if count else 'green'}]{count:,}", trials)
    claims.add_row("redeliveries", f"{result.redeliveries:,}", "")
    claims.add_row("fenced writes", f"{result.fenced:,}", "")
    console.print(claims)
    kinds = Table("kind", "kills", "recovery p50", "max", "not seen", box=None)
    for row in _by_kind(result):
        kinds.add_row(*row)
    console.print(kinds)
    for note in result.notes:
        console.print(f"- {note}", markup=False, highlight=False)


def _trials(count: int, trials: int, of: str) -> str:
    if count or not trials:
        return f"{trials:,} {of}"
    return f"{trials:,} {of}, so below {3 / trials:.2g} each with 95 % confidence"


def _title(result: ChaosResult) -> str:
    kills = f"{len(result.kills):,} kills"
    if result.good:
        return f"Nothing lost, nothing doubled: {result.readings:,} readings, {kills}"
    counted = f"{result.lost:,} lost, {result.doubled:,} doubled of {result.readings:,} readings, {kills}"
    first = f"; {result.problems[0]}" if result.problems else ""
    return f"Not as promised: {counted}{first}"


def _facts(result: ChaosResult) -> str:
    return (
        f"{result.messages:,} messages in {_duration(result.seconds)}, "
        f"{result.readings / max(1.0, result.seconds):,.0f} readings/s, from {result.started_at}, {result.machine}"
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _by_kind(result: ChaosResult) -> Iterator[tuple[str, str, str, str, str]]:
    """kind, kills, median and longest recovery, and how many had none that was seen."""
    rows = [*result.kinds().items(), ("all", result.kills)]
    for kind, kills in rows:
        times = [kill.recovered_s for kill in kills if kill.recovered_s is not None]
        middle = f"{statistics.median(times):.1f} s" if times else "-"
        longest = f"{max(times):.1f} s" if times else "-"
        yield kind, f"{len(kills):,}", middle, longest, f"{len(kills) - len(times):,}"


# --- the page ---------------------------------------------------------------------------------------------------------

LIGHT: Final = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #6b7885; --line: #d8dee5; --paper: #fff; --sent: #9aa7b4;
        --stored: #2e7dbe; --good: #24764a; --bad: #c0322b; }
"""
LINES: Final = """
svg text { font: 12px system-ui, sans-serif; fill: var(--soft); }
svg .axis { stroke: var(--line); } svg .sent { stroke: var(--sent); } svg .stored { stroke: var(--stored); }
svg .sent, svg .stored { fill: none; stroke-width: 2; }
"""
STYLE: Final = f"""{LIGHT}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e6ebf0; --soft: #94a1ae; --line: #36424e; --paper: #141a20;
        --sent: #6f7d8a; --stored: #58a6e6; --good: #58c08a; --bad: #f0766f; }} }}
body {{ font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
       max-width: 1000px; padding: 0 1rem; }}
h1 {{ font-size: 1.5rem; line-height: 1.25; margin: 0 0 .3rem; }}
h1.good {{ color: var(--good); }} h1.bad {{ color: var(--bad); }}
p {{ color: var(--soft); margin: .2rem 0 1.4rem; }}
table {{ border-collapse: collapse; margin: 1.2rem 0; }} td, th {{ padding: .25rem 1.4rem .25rem 0; text-align: left;
       border-bottom: 1px solid var(--line); }} th {{ font-weight: 600; color: var(--soft); }}
td.number, th.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
svg {{ width: 100%; height: auto; }} {LINES} .count.bad {{ color: var(--bad); font-weight: 700; }}
"""


def _page(result: ChaosResult) -> str:
    claims = "".join(
        f'<tr><td>{what}</td><td class="number count{" bad" if count else ""}">{count:,}</td><td>{trials}</td></tr>'
        for what, count, trials in result.claims()
    )
    claims += f'<tr><td>redeliveries</td><td class="number">{result.redeliveries:,}</td><td></td></tr>'
    claims += f'<tr><td>fenced writes</td><td class="number">{result.fenced:,}</td><td></td></tr>'
    heads = "".join(f'<th class="number">{name}</th>' for name in ("kills", "recovery p50", "max", "not seen"))
    kinds = "".join(
        f"<tr><td>{escape(kind)}</td>" + "".join(f'<td class="number">{cell}</td>' for cell in cells) + "</tr>"
        for kind, *cells in _by_kind(result)
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in result.notes)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Chaos run, seed {result.seed}</title><style>{STYLE}</style></head><body>
<h1 class="{"good" if result.good else "bad"}">{escape(_title(result))}</h1>
<p>Seed {result.seed}. {escape(_facts(result))}.</p>
{_picture(result)}
<table><tr><th></th><th class="number">count</th><th>of how many</th></tr>{claims}</table>
<table><tr><th>kind</th>{heads}</tr>{kinds}</table>
<ul>{notes}</ul>
</body></html>
"""


def _picture(result: ChaosResult) -> str:
    """Readings sent and stored, those on their way, and a lane a kind with its kills, each as long as its recovery."""
    kinds = result.kinds()
    span_s = max([result.seconds, *(kill.at_s for kill in result.kills), *(at_s for at_s, _, _ in result.samples), 1.0])
    samples = _thinned(result.samples)
    lanes = TOP + PLOT + GAP + WAITING + GAP
    height = lanes + LANE * len(kinds) + 26

    def x(at_s: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * at_s / span_s

    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="readings and kills over time">']
    both = {"readings sent": [each[1] for each in samples], "readings stored": [each[2] for each in samples]}
    parts += _curves(both, [x(each[0]) for each in samples], TOP, PLOT)
    waiting = {"readings sent, not yet stored": [each[1] - each[2] for each in samples]}
    parts += _curves(waiting, [x(each[0]) for each in samples], TOP + PLOT + GAP, WAITING)
    for number, (kind, kills) in enumerate(kinds.items()):
        parts += _lane(kind, kills, COLOURS[number % len(COLOURS)], lanes + LANE * number, x)
    step_s = next(step for step in STEPS_S if span_s / step <= 8)
    for number in range(int(span_s // step_s) + 1):
        at_s = number * step_s
        label = f"{at_s // 60} min" if step_s >= 60 else f"{at_s} s"
        parts.append(f'<text x="{x(at_s):.1f}" y="{height - 8}" text-anchor="middle">{label}</text>')
    return "".join([*parts, "</svg>"])


def _picture_alone(result: ChaosResult) -> str:
    """With its own style and a light ground, for documents."""
    opening, rest = _picture(result).split(">", 1)
    opening = opening.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg" style="background: #fff"')
    return f"{opening}><style>{LIGHT}{LINES}</style>{rest}\n"


def _curves(curves: dict[str, list[int]], xs: Sequence[float], top: float, height: float) -> Iterator[str]:
    """Lines over a common scale from 0; the last one is drawn as what counts."""
    most = max([1, *(count for counts in curves.values() for count in counts)])
    parts = max(2, round(height / 65))
    for part in range(parts + 1):
        level = top + height * (1 - part / parts)
        yield f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{level:.1f}" y2="{level:.1f}"/>'
        yield f'<text x="{LEFT - 8}" y="{level + 4:.1f}" text-anchor="end">{most * part / parts:,.0f}</text>'
    for number, (name, counts) in enumerate(curves.items()):
        last = "stored" if number == len(curves) - 1 else "sent"
        points = " ".join(
            f"{at:.1f},{top + height * (1 - count / most):.1f}" for at, count in zip(xs, counts, strict=True)
        )
        yield f'<polyline class="{last}" points="{points}"/>'
        line = top + 14 + 16 * number
        yield f'<line class="{last}" x1="{LEFT + 12}" x2="{LEFT + 36}" y1="{line}" y2="{line}"/>'
        yield f'<text x="{LEFT + 42}" y="{line + 4}">{name}</text>'


def _lane(kind: str, kills: Sequence[Kill], colour: str, top: float, x: Any) -> Iterator[str]:
    middle = top + LANE / 2
    yield f'<text x="{LEFT - 8}" y="{middle + 4:.1f}" text-anchor="end">{escape(kind)} · {len(kills)}</text>'
    yield f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{middle:.1f}" y2="{middle:.1f}"/>'
    for kill in kills:
        start, end = x(kill.at_s), x(kill.at_s + (kill.recovered_s or 0.0))
        took = "recovery not seen" if kill.recovered_s is None else f"recovered in {kill.recovered_s:.1f} s"
        tip = escape(f"{kind} at {_duration(kill.at_s)}: {kill.means}, {took}")
        yield (
            f'<g fill="{colour}"><title>{tip}</title>'
            f'<rect x="{start:.1f}" y="{top + 7:.1f}" width="{max(0.0, end - start):.1f}" height="8" opacity=".35"/>'
            f'<rect x="{start - 1:.1f}" y="{top + 3:.1f}" width="2.4" height="16"/></g>'
        )


def _thinned(samples: Sequence[tuple[float, int, int]]) -> Sequence[tuple[float, int, int]]:
    """At most a point a pixel or so; the last one stays."""
    step = max(1, len(samples) // SAMPLES_MAX)
    return [*samples[:-1:step], *samples[-1:]]
