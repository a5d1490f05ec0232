"""The board that `watch` draws: sensors with their last values, and the newest alerts."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from rich.console import ConsoleDimensions, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

ALERTED_S = 60.0
SILENT_S = 90.0
TREND_VALUES = 24
ALERTS_KEPT = 50
ID_SHOWN = 8
_BARS = "▁▂▃▄▅▆▇█"


@dataclass(slots=True)
class _Row:
    facility_id: str
    sensor_id: str
    type: str
    shown: str = "-"
    tracked_at: str = ""
    heard_s: float | None = None
    alerted_s: float | None = None
    trend: deque[float] = field(default_factory=lambda: deque(maxlen=TREND_VALUES))


class Board:
    """Fed with frames of the wire contract; `render` fits what matters into the terminal: alerted sensors first."""

    def __init__(self, url: str, sensors_max: int) -> None:
        self.trouble = ""
        self._url = url
        self._sensors_max = sensors_max
        self._facilities: dict[str, str] = {}
        self._rows: dict[str, _Row] = {}
        self._alerts: deque[Text] = deque(maxlen=ALERTS_KEPT)
        self._values = 0
        self._alert_count = 0
        self._started_s = time.monotonic()

    @property
    def has_facilities(self) -> bool:
        return bool(self._facilities)

    def has_facility(self, facility_id: str) -> bool:
        return facility_id in self._facilities

    def know_facility(self, facility: dict[str, Any]) -> None:
        self._facilities[facility["id"]] = facility["name"]

    def know_sensor(self, sensor: dict[str, Any]) -> None:
        if sensor["id"] not in self._rows and len(self._rows) < self._sensors_max:
            self._rows[sensor["id"]] = _Row(sensor["facility_id"], sensor["id"], sensor["type"])

    def value(self, frame: dict[str, Any]) -> None:
        """A reading; sensors that do not fit are only counted."""
        self._values += 1
        row = self._rows.get(frame["sensor_id"])
        if row is None:
            return
        row.shown, row.tracked_at, row.heard_s = frame["data"], frame["tracked_at"], time.monotonic()
        try:
            row.trend.append(float(frame["data"]))
        except ValueError:  # text is a reading too, it has no trend
            row.trend.clear()

    def alert(self, frame: dict[str, Any]) -> str:
        """A new alert; how it reads."""
        self._alert_count += 1
        if row := self._rows.get(frame["sensor_id"]):
            row.alerted_s = time.monotonic()
        said = f"{frame['created_at'][11:19]}  {frame['message']}"
        self._alerts.appendleft(Text(said, style="bold red"))
        return said

    def old_alert(self, alert: dict[str, Any]) -> None:
        """One that was there before we came."""
        self._alerts.appendleft(Text(f"{alert['created_at'][11:19]}  {alert['message']}", style="dim"))

    def render(self, size: ConsoleDimensions) -> RenderableType:
        alerts_height = min(len(self._alerts) or 1, max(3, size.height // 3))
        rows_height = max(1, size.height - alerts_height - 6)
        elapsed_s = max(time.monotonic() - self._started_s, 1e-9)
        head = Text.assemble(
            ("GasInSight ", "bold"),
            f"{self._url}   {len(self._facilities)} facilities   {self._values / elapsed_s:.1f} values/s   ",
            (f"{self._alert_count} new alerts", "bold red" if self._alert_count else "green"),
            "   Ctrl-C ends",
        )
        alerts: RenderableType = Group(*list(self._alerts)[:alerts_height]) if self._alerts else Text("none yet")
        parts: list[RenderableType] = [
            head,
            self._table(rows_height),
            Panel(alerts, title="alerts", title_align="left"),
        ]
        if self.trouble:
            parts.insert(1, Text(self.trouble, style="yellow"))
        return Group(*parts)

    def _table(self, height: int) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
        for title in ("facility", "sensor", "id", "value", "trend", "at (UTC)"):
            table.add_column(title, justify="right" if title == "value" else "left", no_wrap=True)
        now_s = time.monotonic()
        rows = sorted(
            self._rows.values(),
            key=lambda row: (not _recent(row.alerted_s, now_s), self._facilities.get(row.facility_id, ""), row.type),
        )
        for row in rows[:height]:
            alerted = _recent(row.alerted_s, now_s)
            silent = row.heard_s is not None and now_s - row.heard_s > SILENT_S
            style = "bold red" if alerted else "yellow" if silent else "dim" if row.heard_s is None else ""
            table.add_row(
                self._facilities.get(row.facility_id, row.facility_id),
                row.type,
                row.sensor_id[:ID_SHOWN],
                row.shown,
                _bars(row.trend),
                row.tracked_at[11:19],
                style=style,
            )
        if len(rows) > height:
            table.add_row(Text(f"… {len(rows) - height} more", style="dim"))
        return table


def _recent(moment_s: float | None, now_s: float) -> bool:
    return moment_s is not None and now_s - moment_s < ALERTED_S


def _bars(values: deque[float]) -> str:
    if not values:
        return ""
    low, high = min(values), max(values)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[int((value - low) * scale)] for value in values)
