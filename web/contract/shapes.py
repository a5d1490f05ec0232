"""The JSON of the wire contract, outwards and inwards. OpenAPI is generated from these; unknown keys in are ignored."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

import native
from engine.model import AlertType, FacilityStatus, FacilityType, SensorStatus, SensorType
from engine.printable import control_in
from web.wire.explanations import Explanation
from web.wire.frequency import FREQUENCY_PATTERN, parse_frequency, spelled_frequency
from web.wire.times import ContractTime


def _readable(text: str) -> str:
    if control := control_in(text):
        raise ValueError(f"should hold no control characters, holds {control}")
    return text


def _readable_lines(text: str) -> str:
    text = text.replace("\r\n", "\n")
    for line in text.split("\n"):
        _readable(line)
    return text


Readable = AfterValidator(_readable)
"""Of every text that is stored and shown to others."""
ReadableLines = AfterValidator(_readable_lines)
"""The same of a text that has lines, which end with `\\n`; whoever shows it sees to where they are."""
Role = Literal["Admin", "User"]
PermissionType = Literal["View", "Edit"]
Username = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True), Readable]
Email = Annotated[
    str,
    StringConstraints(max_length=320, strip_whitespace=True, pattern=r"^[^@\s]+@[^@\s]+$"),
    Readable,
    Field(examples=["a@b.org"]),
]
Color = Annotated[str, WithJsonSchema({"type": "string", "pattern": "^#[0-9a-f]{6}$"})]
PASSWORD_CHARACTERS_MAX = 1024
RETIRED = "out of use since then, and only then here; its history stays"
Password = Annotated[str, StringConstraints(min_length=1, max_length=PASSWORD_CHARACTERS_MAX)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=500), Readable]


def _expected_frequency(text: str) -> str:
    """The engine refuses the whole configuration of a facility in which a sensor's interval is longer."""
    if parse_frequency(text) > native.INTERVAL_S_MAX:
        raise ValueError(f"should be at most {native.INTERVAL_S_MAX} s (366 days)")
    return spelled_frequency(text)


Frequency = Annotated[
    str, AfterValidator(_expected_frequency), WithJsonSchema({"type": "string", "pattern": FREQUENCY_PATTERN})
]

# The two spellings the front end knows, also for what an older server stored.
SpelledFrequency = Annotated[
    str, AfterValidator(spelled_frequency), WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]*[ST]$"})
]


class Detail(BaseModel):
    detail: str


class Problem(BaseModel):
    loc: list[str | int]
    msg: str
    type: str


class Problems(BaseModel):
    detail: list[Problem]


class SignIn(BaseModel):
    username: str = Field(min_length=1, description="an e-mail address, or a user name")
    password: str = Field(min_length=1)


class Refresh(BaseModel):
    refresh_token: str = Field(min_length=1)


class RefreshQuery(BaseModel):
    refresh_token: str | None = Field(None, min_length=1, description="or in the body")


class TokenPair(BaseModel):
    access_token: str
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the name of a scheme


class SignOut(BaseModel):
    everywhere: bool = Field(False, description="end all of the user's sessions, not this one only")


class PasswordChange(BaseModel):
    current_password: Password
    new_password: Password


class WebsocketTicket(BaseModel):
    ticket: str
    expires_in: int = Field(description="seconds")


class PublicKey(BaseModel):
    """An Ed25519 key as RFC 8037 has it."""

    kid: str
    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    x: str
    use: Literal["sig"]
    alg: Literal["EdDSA"]


class PublicKeys(BaseModel):
    keys: list[PublicKey]


class User(BaseModel):
    id: int
    username: str
    email: str
    created_at: ContractTime
    last_login: ContractTime | None
    role: Role


class UserPage(BaseModel):
    users: list[User]
    total: int


class NewUser(BaseModel):
    username: Username
    email: Email
    password: Password
    role: Role = "User"


class UserChanges(BaseModel):
    """What is absent or null stays as it is; so does the password when the form's field was left empty."""

    username: Username | None = None
    email: Email | None = None
    password: Annotated[
        Password | None,
        BeforeValidator(lambda text: None if text == "" else text),
        WithJsonSchema({"anyOf": [{"type": "string", "maxLength": PASSWORD_CHARACTERS_MAX}, {"type": "null"}]}),
    ] = None
    role: Role | None = None


class Permission(BaseModel):
    id: int
    user_id: int
    facility_id: str
    permission_type: PermissionType
    granted_at: ContractTime


class NewPermission(BaseModel):
    user_id: int
    facility_id: str
    permission_type: PermissionType


class Location(BaseModel):
    id: int
    address: str | None
    longitude: float
    latitude: float


class FacilitySummary(BaseModel):
    """A facility as an alert carries it."""

    id: str
    name: str
    status: FacilityStatus
    type: FacilityType
    created_at: ContractTime


class Facility(FacilitySummary):
    location_id: int
    location: Location
    retired_at: ContractTime | None = Field(None, exclude_if=lambda at: at is None, description=RETIRED)


class FacilityChanges(BaseModel):
    name: Name | None = None


class SensorSummary(BaseModel):
    """A sensor as an alert carries it."""

    id: str
    name: str
    status: SensorStatus
    type: SensorType
    facility_id: str
    installed_at: ContractTime
    expected_freq: SpelledFrequency


class Reading(BaseModel):
    """A stored reading; `data` is the string as received."""

    tracked_at: ContractTime
    data: str
    score: float | None
    flags: int


class Sensor(SensorSummary):
    location_id: int | None
    location: Location | None
    latest: Reading | None = Field(None, description="the newest reading, if asked for with `latest=true`")
    retired_at: ContractTime | None = Field(None, exclude_if=lambda at: at is None, description=RETIRED)


class SensorChanges(BaseModel):
    name: Name | None = None
    status: SensorStatus | None = None
    expected_freq: Frequency | None = None


class GridRecord(BaseModel):
    sensor_id: str
    tracked_at: str = Field(
        description="UTC, with Z; of a cell whole seconds, with `downsample` the reading's own time",
        json_schema_extra={"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z$"},
    )
    data: str | None = Field(description="null where there is no data")
    n: int | None = Field(None, description="readings of the cell with a number, if asked for with `with=n`")
    good_fraction: float | None = Field(None, description="if asked for; null where the cell has no reading")


class Analytics(BaseModel):
    """Over the raw readings of the range; all null when there are none."""

    mean: float | None
    min: float | None
    max: float | None


class Grid(BaseModel):
    records: list[GridRecord]
    analytics: Analytics


class GridOfSensor(Grid):
    sensor_id: str


class Grids(BaseModel):
    grids: list[GridOfSensor]


class Readings(BaseModel):
    """Some of a sensor's readings, in order of time."""

    readings: list[Reading]
    next: str | None = Field(description="what `after` the next ones are; null: there are none now")


class Alert(BaseModel):
    """`explanation` is what `message` says and more, for programs. `event_time`: when it began, by the sensor's clock;
    `created_at`: when it was told.
    """

    id: int
    sensor_id: str
    type: AlertType
    message: str
    created_at: ContractTime
    event_time: ContractTime
    explanation: Explanation | None


class AlertWithDetails(Alert):
    sensor: SensorSummary
    facility: FacilitySummary


class ReadingFrame(BaseModel):
    """Of a websocket: a reading that is stored; `data` is the string as received."""

    sensor_id: str
    facility_id: str
    tracked_at: ContractTime
    data: str


class AlertFrame(BaseModel):
    """Of a websocket: an alert that is stored; one of the system itself has no sensor."""

    type: Literal["alert"]
    alert_id: int
    sensor_id: str | None
    facility_id: str
    message: str
    created_at: ContractTime
    event_time: ContractTime
    alert_type: AlertType


class DashboardMetrics(BaseModel):
    total_facilities: int
    active_facilities: int
    maintenance_facilities: int
    offline_facilities: int
    facility_types: int
    total_sensors: int
    active_sensors: int
    inactive_sensors: int
    avg_sensors_per_facility: float


class ChartEntry(BaseModel):
    name: str
    value: int
    color: Color


class ChartData(BaseModel):
    status_data: list[ChartEntry]
    type_data: list[ChartEntry]
    sensor_status_data: list[ChartEntry]
    sensor_type_data: list[ChartEntry]


class Dashboard(BaseModel):
    metrics: DashboardMetrics
    chart_data: ChartData


class Colors(BaseModel):
    sensorTypes: dict[str, Color]  # noqa: N815 - these three keys are camelCase on the wire
    sensorStatus: dict[str, Color]  # noqa: N815
    facilityTypes: dict[str, Color]  # noqa: N815


class Alive(BaseModel):
    status: Literal["alive", "failing"]


class ReadinessOf(BaseModel):
    part: Literal["web", "database", "bus", "engine"] | None = Field(None, description="say of this part only")


class Check(BaseModel):
    ready: bool
    detail: str


class Readiness(BaseModel):
    status: Literal["ready", "not ready"]
    detail: str
    checks: dict[str, Check]


PAGE_SIZE_MAX = 1000
LIMIT_MAX = 10_000
"""Rows that one request may ask for of what grows without end; of facilities and sensors it may be any number."""


class Paging(BaseModel):
    """`skip` and `limit`, or `page` (from 1) and `page_size`."""

    model_config = ConfigDict(frozen=True)

    skip: Annotated[int, Field(ge=0, lt=2**62)] = 0
    limit: Annotated[int, Field(ge=0, le=LIMIT_MAX)] = 100
    page: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    page_size: Annotated[int, Field(ge=1, le=PAGE_SIZE_MAX)] | None = None

    @property
    def is_by_page(self) -> bool:
        return self.page is not None or self.page_size is not None

    @property
    def names_a_part(self) -> bool:
        """Whether the caller said how many."""
        return self.is_by_page or "limit" in self.model_fields_set

    @property
    def offset(self) -> int:
        return ((self.page or 1) - 1) * self.rows_max if self.is_by_page else self.skip

    @property
    def rows_max(self) -> int:
        return self.page_size or 10 if self.is_by_page else self.limit


class UnlimitedPaging(Paging):
    limit: Annotated[int, Field(ge=0, lt=2**62)] = 100
