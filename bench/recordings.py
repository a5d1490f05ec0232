"""Labelled recordings in a folder, run through the compiled core: one number a row, 1 where the product would alarm.

The folder holds `manifest.json` (sets with their protocol and budget of false alarms, files with their rows, channels
and labelled windows) and `<set>/<name>.parquet` (`tracked_at` and a column a channel). Nothing of the labels is read
here: the core gets times and values, in order, and the interval at which a sensor is said to report.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from engine.offline import score_frame


@dataclass(frozen=True, slots=True)
class Recording:
    """A file of the folder: a facility with a sensor a channel, or one sensor."""

    set: str
    name: str
    rows: int
    channels: list[str]
    interval_s: float
    path: Path


@dataclass(frozen=True, slots=True)
class Folder:
    """What its manifest says. `sets` as they stand there: title, protocol, budget_per_day."""

    sets: dict[str, dict[str, Any]]
    recordings: list[Recording]


def read_folder(folder: Path, only: list[str] | None = None) -> Folder:
    """The manifest of a folder; `only` these sets. Raises ValueError saying what is wrong with it."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
    except FileNotFoundError:
        raise ValueError(f"{folder} has no manifest.json: it should describe the recordings there") from None
    unknown = sorted(set(only or ()) - set(manifest["sets"]))
    if unknown:
        raise ValueError(f"there is no set {unknown[0]!r}; there are {', '.join(manifest['sets'])}")
    sets = {name: about for name, about in manifest["sets"].items() if not only or name in only}
    recordings = [
        Recording(
            each["set"],
            each["name"],
            each["rows"],
            each["channels"],
            each["interval_s"],
            folder / each["set"] / f"{each['name']}.parquet",
        )
        for each in manifest["files"]
        if each["set"] in sets
    ]
    return Folder(sets, recordings)


def score_recordings(folder: Folder, scores: Path) -> Iterator[tuple[Recording, int]]:
    """Write `<set>/<name>.npy` beside each other under `scores`; gives (recording, readings) as each is done.

    What is judged is the column `score` that `gasinsight score` writes, whatever the set.
    """
    for recording in folder.recordings:
        frame = pl.read_parquet(recording.path, columns=["tracked_at", *recording.channels])
        scored = score_frame(frame, expected_interval_s=recording.interval_s)
        (scores / recording.set).mkdir(parents=True, exist_ok=True)
        np.save(scores / recording.set / f"{recording.name}.npy", scored["score"].to_numpy())
        yield recording, int(frame.select(pl.sum_horizontal(pl.col(recording.channels).is_finite().sum())).item())
