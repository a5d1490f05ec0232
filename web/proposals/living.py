"""A sensor's stored readings lived again by the native core, with alarm rules as they are or as they might be."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from native import SeriesScorer

PIECE_ROWS: Final = 50_000
"""At a time: for so long, at most a tenth of a second, the work goes on when nobody wants it any more."""
SCORED: Final = frozenset({"anomaly"})
"""Rules that ask the detectors. All others are lived again without them, in a tenth of the time."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Readings of a sensor in the order of their times; a value that is not finite is a reading of text."""

    at_us: NDArray[np.int64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.at_us)


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose readings they are, and which of its alarms is meant. `detection`: JSON, as in a configuration."""

    sensor_type: str
    interval_s: float
    detection: str
    rule: str


@dataclass(frozen=True, slots=True)
class Excursion:
    """From being told to the return. `until_us` None: it stands at the end of the readings."""

    since_us: int
    until_us: int | None
    value: float | None


async def lived(recording: Recording, subject: Subject, rules: str) -> list[Excursion]:
    """Of the subject's alarm, with these rules as JSON. In pieces beside the event loop, and without the GIL."""
    scorer = SeriesScorer([subject.interval_s], subject.detection, [subject.sensor_type], rules)
    found: list[Excursion] = []
    for start in range(0, len(recording), PIECE_ROWS):
        piece = Recording(recording.at_us[start : start + PIECE_ROWS], recording.values[start : start + PIECE_ROWS])
        await asyncio.to_thread(_live, scorer, piece, subject.rule, found)
    return found


def _live(scorer: SeriesScorer, piece: Recording, rule: str, found: list[Excursion]) -> None:
    """On with the next readings; what they tell is added to what was found."""
    columns = np.zeros(len(piece), np.int32), piece.at_us, piece.values
    told = scorer.score(*columns).events if rule in SCORED else scorer.unscored(*columns)
    for _, event in told:
        if event.rule != rule:
            continue
        if event.transition == "activated":
            found.append(Excursion(event.event_time_us, None, event.value))
        elif event.transition == "returned" and found:
            found[-1] = replace(found[-1], until_us=event.event_time_us)
