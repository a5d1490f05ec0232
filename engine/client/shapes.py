"""What the server says, as frozen values. Times are aware and in UTC; kinds and states are text.

Text, because a newer server may know more sensor types than this client; keys that it does not know are ignored.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _in_utc(time: datetime) -> datetime:
    """The wire's times have no suffix and mean UTC."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


Time = Annotated[datetime, AfterValidator(_in_utc)]
Role = Literal["Admin", "User"]
PermissionType = Literal["View", "Edit"]
Aggregation = Literal["mean", "min", "max"]


def number(text: str | None) -> float | None:
    """None for a reading that is text ("open") or is not there."""
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


class Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Tokens(Shape):
    """Who we are for the next hours, and what gets us the next pair. Each refresh replaces both."""

    access_token: str = Field(repr=False)
    refresh_token: str = Field(repr=False)


class User(Shape):
    id: int
    username: str
    email: str
    created_at: Time
    last_login: Time | None
    role: Role


class UserPage(Shape):
    users: list[User]
    total: int


class Permission(Shape):
    """`Edit` includes `View`."""

    id: int
    user_id: int
    facility_id: str
    permission_type: PermissionType
    granted_at: Time


class KeyGrant(Shape):
    facility_id: str
    permission_type: PermissionType


class ApiKey(Shape):
    """A service account. `status`: Active, Expired or Revoked; `key` is known only when it was just made."""

    id: int
    name: str
    status: str
    facilities: list[KeyGrant]
    created_at: Time
    created_by_name: str
    expires_at: Time
    revoked_at: Time | None
    last_used_at: Time | None
    key: str | None = Field(None, repr=False)


class ApiKeyPage(Shape):
    api_keys: list[ApiKey]
    total: int


class Location(Shape):
    """In degrees, WGS 84."""

    id: int
    address: str | None
    longitude: float
    latitude: float


class FacilitySummary(Shape):
    """A facility as an alert carries it. `status`: Active, Maintenance or Offline."""

    id: str
    name: str
    status: str
    type: str
    created_at: Time


class Facility(FacilitySummary):
    location_id: int
    location: Location
    retired_at: Time | None = None


class SensorSummary(Shape):
    """A sensor as an alert carries it. `status`: Active, Inactive, Maintenance or Fault; `expected_freq`: 15S, 1T."""

    id: str
    name: str
    status: str
    type: str
    facility_id: str
    installed_at: Time
    expected_freq: str


class StoredReading(Shape):
    """A reading as it is kept; `score`: how unusual it is, None where nothing judged it."""

    tracked_at: Time
    data: str
    score: float | None = None
    flags: int = 0

    @property
    def value(self) -> float | None:
        return number(self.data)


class Sensor(SensorSummary):
    location_id: int | None
    location: Location | None
    latest: StoredReading | None = None
    retired_at: Time | None = None


class DetectionSettings(Shape):
    """What is set; None: not said here."""

    budget_days: float | None
    warming_readings: int | None
    physical_low: float | None
    physical_high: float | None
    is_on: bool | None


class DetectionInForce(Shape):
    """What holds, whoever said it."""

    budget_days: float
    warming_readings: int
    physical_low: float
    physical_high: float
    is_on: bool


class SensorDetection(Shape):
    """What is set for the sensor goes before what is set for its type in the facility, and that before the default."""

    sensor_id: str
    sensor_type: str
    of_sensor: DetectionSettings
    of_type: DetectionSettings
    in_force: DetectionInForce


class TypeDetection(Shape):
    """`in_force`: for sensors of the type that have no settings of their own."""

    sensor_type: str
    of_type: DetectionSettings
    in_force: DetectionInForce


class FacilityDetection(Shape):
    facility_id: str
    types: list[TypeDetection]


class Record(Shape):
    """One cell of the grid, from `tracked_at` on; `data` is None where there is nothing to show.

    With `downsample` a reading at its own time. `n` and `good_fraction` are known only with `counts`.
    """

    sensor_id: str
    tracked_at: Time
    data: str | None
    n: int | None = None
    good_fraction: float | None = None

    @property
    def value(self) -> float | None:
        return number(self.data)


class Analytics(Shape):
    """Over the raw readings of the range; all None when there are none. In the sensor's own unit."""

    mean: float | None
    min: float | None
    max: float | None


class Records(Shape):
    records: list[Record]
    analytics: Analytics


class RecordsOfSensor(Records):
    sensor_id: str


class RecordsOfSensors(Shape):
    grids: list[RecordsOfSensor]


class StoredReadings(Shape):
    """A part; `next` is where the one after it begins, None when there is none now."""

    readings: list[StoredReading]
    next: str | None


class ViewSays(Shape):
    """One way of looking at the signal: how unusual it finds it, in decades (3: one reading in a thousand)."""

    name: str
    decades: float
    says: str


class Contributor(Shape):
    sensor_id: str
    share: float


class GroupMember(Shape):
    """A sensor that a group asks. `state`: voting, not_voting, heard (where no vote is taken) or out, with `why`."""

    sensor_id: str
    state: str
    why: str | None = None


class GroupFirst(Shape):
    """The member that was the first since all were normal, and its rule."""

    sensor_id: str
    rule: str


class GroupSays(Shape):
    """How a group stood when an alarm of it was told: `need` of the `of` members that were not out had to agree."""

    name: str
    members: tuple[GroupMember, ...] = ()
    need: int | None = None
    of: int | None = None
    votes: int | None = None
    first: GroupFirst | None = None


class Explanation(Shape):
    """Why an alert was raised; what is known depends on the rule. `band` is what is usual, from and to; `group` is of
    alarms of several sensors.
    """

    rule: str
    value: float | None = None
    unit: str | None = None
    limit: float | None = None
    score: float | None = None
    threshold: float | None = None
    expected: float | None = None
    band: tuple[float, float] | None = None
    since: Time | None = None
    movement: str | None = None
    reason: str | None = None
    views: tuple[ViewSays, ...] = ()
    contributors: tuple[Contributor, ...] = ()
    group: GroupSays | None = None


class Alert(Shape):
    """`created_at` is when it was told, `event_time` when it began (None: an older server does not say)."""

    id: int
    sensor_id: str
    type: str
    message: str
    created_at: Time
    event_time: Time | None = None
    explanation: Explanation | None = None


class AlertWithDetails(Alert):
    sensor: SensorSummary
    facility: FacilitySummary


class ChartEntry(Shape):
    """One slice of a chart; `color` is `#rrggbb`."""

    name: str
    value: int
    color: str


class DashboardMetrics(Shape):
    total_facilities: int
    active_facilities: int
    maintenance_facilities: int
    offline_facilities: int
    facility_types: int
    total_sensors: int
    active_sensors: int
    inactive_sensors: int
    avg_sensors_per_facility: float


class ChartData(Shape):
    status_data: list[ChartEntry]
    type_data: list[ChartEntry]
    sensor_status_data: list[ChartEntry]
    sensor_type_data: list[ChartEntry]


class Dashboard(Shape):
    metrics: DashboardMetrics
    chart_data: ChartData


class Gap(Shape):
    """Between these moments of our clock the connection was not there: readings committed then were not told."""

    from_at: Time
    to_at: Time


class Reading(Shape):
    """A reading as it was committed; `data` is the text that the sensor sent.

    `gap` stands on the first reading after a lost connection: fetch what is missing with `records`.
    """

    sensor_id: str
    facility_id: str
    tracked_at: Time
    data: str
    gap: Gap | None = None

    @property
    def value(self) -> float | None:
        return number(self.data)


class LiveAlert(Shape):
    """An alert as it is told live. `alert_id` grows; give the last one to `alerts_live` to go on after it."""

    alert_id: int
    sensor_id: str | None
    facility_id: str
    message: str
    created_at: Time
    event_time: Time | None = None
    alert_type: str


class Problem(Shape):
    """One thing that is wrong with a request: where, and what would be right."""

    loc: list[str | int]
    msg: str
    type: str


class Ticket(Shape):
    """Opens one websocket, once, within seconds."""

    ticket: str = Field(repr=False)
