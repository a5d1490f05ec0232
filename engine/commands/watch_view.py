"""The board that `watch` draws: sensors with their last values, and the newest alerts."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from rich.console import Console, ConsoleDimensions, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from engine.client import Alert, Facility, LiveAlert, Reading, Sensor
from engine.commands.steps import plain
from engine.printable import escaped

ALERTED_S = 60.0
SILENT_S = 90.0
TREND_VALUES = 24
ALERTS_KEPT = 50
ID_SHOWN = 8
PANEL_EDGES = 4  # columns
TABLE_FRAME = 2  # lines: the titles, and how many more there are
SENSOR_TYPE_COLUMNS = 22  # the longest, but for one
FIXED_COLUMNS = 26  # a value of ten, the time, and what is between the four columns
WIDE_COLUMNS = 100
_MEASURE = Console()
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
    """Fed with what the server says; `render` fits what matters into the terminal: alerted sensors first."""

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

    @property
    def has_room(self) -> bool:
        """Whether sensors that are not known yet would be shown."""
        return len(self._rows) < self._sensors_max

    def know_facility(self, facility: Facility) -> None:
        self._facilities[facility.id] = facility.name

    def forget_facility(self, facility_id: str) -> None:
        """We may not see it any more."""
        self._facilities.pop(facility_id, None)
        self._rows = {key: row for key, row in self._rows.items() if row.facility_id != facility_id}

    def know_sensor(self, sensor: Sensor) -> None:
        if sensor.id not in self._rows and self.has_room:
            self._rows[sensor.id] = _Row(sensor.facility_id, sensor.id, sensor.type)

    @property
    def summary(self) -> str:
        """What is looked at."""
        facilities = _count(len(self._facilities), "facility", "facilities")
        return f"{self._url}: {facilities}, {_count(len(self._rows), 'sensor', 'sensors')}"

    def value(self, reading: Reading) -> str | None:
        """A reading, in a line if the sensor shows another value by it; sensors that do not fit are only counted."""
        self._values += 1
        self.trouble = ""
        row = self._rows.get(reading.sensor_id)
        if row is None:
            return None
        before, row.shown = row.shown, reading.data
        row.tracked_at, row.heard_s = f"{reading.tracked_at:%H:%M:%S}", time.monotonic()
        if reading.value is None:  # text is a reading too, it has no trend
            row.trend.clear()
        else:
            row.trend.append(reading.value)
        name = self._facilities.get(row.facility_id, row.facility_id)
        return (
            f"{row.tracked_at}  {name}  {row.type} {row.sensor_id[:ID_SHOWN]}  {row.shown}"
            if row.shown != before
            else None
        )

    def alert(self, alert: LiveAlert) -> str:
        """A new alert; how it reads."""
        self._alert_count += 1
        if row := self._rows.get(alert.sensor_id or ""):
            row.alerted_s = time.monotonic()
        said = f"{alert.created_at:%H:%M:%S}  {escaped(alert.message)}"
        self._alerts.appendleft(_folded(said, "bold red"))
        return said

    def old_alert(self, alert: Alert) -> None:
        """One that was there before we came."""
        self._alerts.appendleft(_folded(f"{alert.created_at:%H:%M:%S}  {alert.message}", "dim"))

    def render(self, size: ConsoleDimensions) -> RenderableType:
        """Never higher than the terminal; what does not fit into its width is folded or, of the table, left out."""
        head: list[RenderableType] = [self._head()]
        if self.trouble:
            head.append(_folded(self.trouble, "yellow"))
        alerts = list(self._alerts) or [Text("none yet")]
        alerts_height = max(3, size.height // 3)
        shown: list[Text] = []
        used = 0
        for alert in alerts:  # newest first, whole ones only
            used += _lines(alert, size.width - PANEL_EDGES)
            if shown and used > alerts_height:
                break
            shown.append(alert)
        panel = Panel(Group(*shown), title="alerts", title_align="left")
        taken = sum(_lines(text, size.width) for text in head if isinstance(text, Text))
        taken += 2 + sum(_lines(alert, size.width - PANEL_EDGES) for alert in shown)
        return Group(*head, self._table(max(1, size.height - taken - TABLE_FRAME), size.width), panel)

    def _head(self) -> Text:
        elapsed_s = max(time.monotonic() - self._started_s, 1e-9)
        facilities = _count(len(self._facilities), "facility", "facilities")
        return Text.assemble(
            ("GasInSight ", "bold"),
            f"{escaped(self._url)}   {facilities}   {self._values / elapsed_s:.1f} values/s   ",
            (_count(self._alert_count, "new alert", "new alerts"), "bold red" if self._alert_count else "green"),
            "   Ctrl-C ends",
            no_wrap=False,
            overflow="fold",
        )

    def _table(self, rows_max: int, width: int) -> Table:
        """In a narrow terminal without id and trend, which say the least."""
        wide = width >= WIDE_COLUMNS
        table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
        type_columns = max(8, min(SENSOR_TYPE_COLUMNS, width // 3))
        name_columns = max(8, width - type_columns - FIXED_COLUMNS)
        table.add_column("facility", no_wrap=True, max_width=name_columns)
        table.add_column("sensor", no_wrap=True, max_width=type_columns)
        if wide:
            table.add_column("id", no_wrap=True)
        table.add_column("value", justify="right", no_wrap=True)
        if wide:
            table.add_column("trend", no_wrap=True)
        table.add_column("at (UTC)", no_wrap=True)
        now_s = time.monotonic()
        rows = sorted(
            self._rows.values(),
            key=lambda row: (not _recent(row.alerted_s, now_s), self._facilities.get(row.facility_id, ""), row.type),
        )
        for row in rows[:rows_max]:
            name = self._facilities.get(row.facility_id, row.facility_id)
            shown = (name, row.type, row.sensor_id[:ID_SHOWN], row.shown, _bars(row.trend), row.tracked_at)
            cells = shown if wide else (name, row.type, row.shown, row.tracked_at)
            table.add_row(*map(plain, cells), style=_style(row, now_s))
        if len(rows) > rows_max:
            table.add_row(Text(f"… {len(rows) - rows_max} more", style="dim"))
        return table


def _style(row: _Row, now_s: float) -> str:
    if _recent(row.alerted_s, now_s):
        return "bold red"
    if row.heard_s is None:
        return "dim"
    return "yellow" if now_s - row.heard_s > SILENT_S else ""


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _folded(said: str, style: str) -> Text:
    """Also where the screen does not fold lines by itself; whoever is told of by it cannot bring lines of its own."""
    return Text(escaped(said), style=style, no_wrap=False, overflow="fold")


def _lines(text: Text, width: int) -> int:
    """How many lines it takes when it is folded."""
    return len(text.wrap(_MEASURE, max(1, width)))


def _recent(moment_s: float | None, now_s: float) -> bool:
    return moment_s is not None and now_s - moment_s < ALERTED_S


def _bars(values: deque[float]) -> str:
    if not values:
        return ""
    low, high = min(values), max(values)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[int((value - low) * scale)] for value in values)
