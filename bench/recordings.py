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

from engine.offline import FrameRefused, files, score_frame
from engine.offline.shapes import Numbers


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
        return _as_told(folder, json.loads((folder / "manifest.json").read_text()), only)
    except FileNotFoundError:
        raise ValueError(f"{folder} has no manifest.json: it should describe the recordings there") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{folder / 'manifest.json'} is no JSON: {error}") from error
    except (KeyError, TypeError) as error:
        raise ValueError(f"{folder / 'manifest.json'} does not say what it should: {error!r}") from error


def _as_told(folder: Path, manifest: dict[str, Any], only: list[str] | None) -> Folder:
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


def score_recordings(folder: Folder, scores: Path) -> Iterator[tuple[Recording, int, str]]:
    """Write `<set>/<name>.npy` beside each other under `scores`; gives (recording, readings, problem) as each is done.

    What is judged is the column `score` that `gasinsight score` writes, whatever the set. The rows of a recording stand
    as they were received: where its clock steps back, what is late is flagged and not learned, as live. One that cannot
    be scored has no alarm in any row, and `problem` says why.
    """
    for recording in folder.recordings:
        try:
            said, readings, problem = *_scored(recording), ""
        except FrameRefused as error:
            said, readings, problem = np.zeros(recording.rows), 0, str(error)
        (scores / recording.set).mkdir(parents=True, exist_ok=True)
        np.save(scores / recording.set / f"{recording.name}.npy", said)
        yield recording, readings, problem


def _scored(recording: Recording) -> tuple[Numbers, int]:
    """(a number a row, readings). Raises FrameRefused."""
    frame = files.read(recording.path).frame
    missing = [name for name in ("tracked_at", *recording.channels) if name not in frame.columns]
    if missing:
        raise FrameRefused(f"there is no column {missing[0]}, which the manifest names")
    if frame.height != recording.rows:
        raise FrameRefused(f"there are {frame.height} rows, the manifest says {recording.rows}")
    channels = [frame[name] for name in recording.channels]
    scored = score_frame(
        frame.select("tracked_at", *channels), expected_interval_s=recording.interval_s, as_received=True
    )
    readings = sum(int(channel.cast(pl.Float64).rename("").is_finite().sum()) for channel in channels)
    return scored["score"].to_numpy(), readings
