"""What `up` says while everything runs: faults the hub planted, and now and then how much came through."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from pathlib import Path

import httpx

from engine.commands.steps import Screen
from engine.metrics import INGEST_LAG, READINGS
from engine.printable import escaped

SUMMARY_EVERY_S = 30.0


class HubFollower:
    """Reads the hub's log as it grows; lines that are not its own JSON are somebody's trouble and stay in the log."""

    def __init__(self, log_path: Path, screen: Screen) -> None:
        self._path = log_path
        self._screen = screen
        self._file = log_path.stat().st_ino if log_path.exists() else 0
        self._position = log_path.stat().st_size if log_path.exists() else 0
        self._rest = b""
        self.introduced = False
        """The bus has taken its facilities."""

    def tell_news(self) -> None:
        try:
            with self._path.open("rb") as file:
                news = self._rest
                if (number := os.fstat(file.fileno()).st_ino) != self._file:  # turned over, as it was large
                    news += self._end_of_the_one_before()
                    self._file, self._position = number, 0
                file.seek(self._position)
                news += file.read()
                self._position = file.tell()
        except FileNotFoundError:
            return
        *lines, self._rest = news.split(b"\n")
        for line in lines:
            self._tell(line)

    def _end_of_the_one_before(self) -> bytes:
        """What was written into it after we looked last."""
        with contextlib.suppress(FileNotFoundError), Path(f"{self._path}.1").open("rb") as file:
            if os.fstat(file.fileno()).st_ino == self._file:
                file.seek(self._position)
                return file.read()
        return b""

    def _tell(self, line: bytes) -> None:
        try:
            news = json.loads(line)
        except ValueError:
            return
        if not isinstance(news, dict):
            return
        self.introduced = self.introduced or news.get("event") == "setup"
        if news.get("event") == "fault":
            self._screen.event("fault", f"{time.strftime('%H:%M:%S')}  {fault_text(news)}", **_without_event(news))


class Summary:
    """One line every half minute, from the server's own metrics."""

    def __init__(self, url: str, screen: Screen) -> None:
        self._url = url
        self._screen = screen
        self._told_s = time.monotonic()
        self._readings = 0.0
        self._lag = (0.0, 0.0)

    async def tell_when_due(self) -> None:
        elapsed_s = time.monotonic() - self._told_s
        if elapsed_s < SUMMARY_EVERY_S:
            return
        self._told_s = time.monotonic()
        try:
            async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
                text = (await client.get(f"{self._url}/metrics")).text
        except httpx.HTTPError as error:
            self._screen.event("summary", f"{time.strftime('%H:%M:%S')}  the web server does not answer: {error!r}")
            return
        self._tell(text, elapsed_s)

    def _tell(self, text: str, elapsed_s: float) -> None:
        readings = total(text, READINGS)
        lag = (total(text, f"{INGEST_LAG}_sum"), total(text, f"{INGEST_LAG}_count"))
        per_s = max(0.0, readings - self._readings) / elapsed_s
        observed = lag[1] - self._lag[1]
        lag_ms = 1000 * (lag[0] - self._lag[0]) / observed if observed > 0 else None
        self._readings, self._lag = readings, lag
        said = f"{time.strftime('%H:%M:%S')}  {readings:,.0f} readings stored, {per_s:.1f}/s"
        said += f", stored {lag_ms:.0f} ms after their arrival" if lag_ms is not None else ""
        self._screen.event("summary", said, readings=readings, per_s=round(per_s, 1), lag_ms=lag_ms)


def fault_text(fault: dict[str, object]) -> str:
    """A planted fault in a line."""
    sensors = fault["sensors"]
    assert isinstance(sensors, list)
    touched = ", ".join(sorted(str(sensor["type"]) for sensor in sensors))
    return escaped(f"planted {str(fault['kind']).replace('_', ' ')} at {fault['facility_name']} ({touched})")


def total(metrics_text: str, name: str) -> float:
    """Sum of all series of a metric in Prometheus text."""
    pattern = re.compile(rf"^{re.escape(name)}(?:\{{.*\}})? (\S+)", re.MULTILINE)
    return sum(float(value) for value in pattern.findall(metrics_text))


def _without_event(news: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in news.items() if name != "event"}
