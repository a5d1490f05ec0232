"""Domain values that travel between the rooms of the engine. Frozen, no I/O, no behaviour beyond their own shape.

Times are integers: microseconds since 1970-01-01T00:00:00Z (`_us`). `tracked_at` is event time, `recorded_at` ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class FacilityType(StrEnum):
    """In the order of the wire contract; the order fixes the colours of the dashboard."""

    DRILLING_RIG = "DrillingRig"
    PIPELINES = "Pipelines"
    TANK_FARM = "TankFarm"
    UNDERGROUND_STORAGE = "UndergroundStorage"
    PROCESSING_PLANT = "ProcessingPlant"
    IMPORT_TERMINAL = "ImportTerminal"
    EXPORT_TERMINAL = "ExportTerminal"


class SensorType(StrEnum):
    """In the order of the wire contract; the order fixes the colours of the dashboard."""

    TEMPERATURE = "Temperature"
    HUMIDITY = "Humidity"
    PRESSURE = "Pressure"
    FLOW = "Flow"
    VOLUME = "Volume"
    GAS_COMPOSITION = "GasComposition"
    LIQUID_COMPOSITION = "LiquidComposition"
    VIBRATION = "Vibration"
    NOISE = "Noise"
    CORROSION = "Corrosion"
    GAS_DETECTION = "GasDetection"
    FLAME_DETECTION = "FlameDetection"
    LEVEL_INDICATOR = "LevelIndicator"
    VALVE_STATUS = "ValveStatus"
    PUMP_STATUS = "PumpStatus"
    COMPRESSOR_STATUS = "CompressorStatus"
    POWER_CONSUMPTION = "PowerConsumption"
    WATER_CONTENT = "WaterContent"
    OXYGEN_CONTENT = "OxygenContent"
    HYDROGEN_SULFIDE_CONTENT = "HydrogenSulfideContent"
    CARBON_DIOXIDE_CONTENT = "CarbonDioxideContent"
    PARTICULATE_MATTER = "ParticulateMatter"
    LEAK_DETECTION = "LeakDetection"


class FacilityStatus(StrEnum):
    ACTIVE = "Active"
    MAINTENANCE = "Maintenance"
    OFFLINE = "Offline"


class SensorStatus(StrEnum):
    ACTIVE = "Active"
    INACTIVE = "Inactive"
    MAINTENANCE = "Maintenance"
    FAULT = "Fault"


class AlertType(StrEnum):
    """The contract's three kinds of alert: a sensor's value, work to be done, the system itself."""

    ANOMALY = "Anomaly"
    MAINTENANCE = "Maintenance"
    SYSTEM = "System"


class EntryKind(StrEnum):
    """What one entry of the commit log is. The core is changed by these four and by nothing else."""

    BATCH = "batch"
    CONFIG = "config"
    TICK = "tick"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Location:
    address: str | None
    longitude: float
    latitude: float


@dataclass(frozen=True, slots=True)
class FacilitySetup:
    """`facility-setup-queue`: create a facility; a known id is ignored."""

    facility_id: str
    name: str
    type: FacilityType
    location: Location
    tracked_at_us: int


@dataclass(frozen=True, slots=True)
class SensorActivation:
    """`sensor-activation-queue`: create a sensor, or make an Inactive one Active again."""

    sensor_id: str
    facility_id: str
    type: SensorType
    location: Location
    expected_interval_s: int
    tracked_at_us: int


@dataclass(frozen=True, slots=True)
class SensorDeactivation:
    """`sensor-deactivation-queue`: the sensor becomes Inactive."""

    sensor_id: str
    facility_id: str
    tracked_at_us: int


EntityMessage = FacilitySetup | SensorActivation | SensorDeactivation


@dataclass(frozen=True, slots=True)
class Detection:
    """What people set of how anomalies are looked for; None: as the sensor's type says, or else the core.

    budget_days       days in which one false alarm is accepted
    warming_readings  readings before the score has a say
    physical_low …    both or neither: what lies outside is a fault of the instrument
    is_on             False: scored, but no anomaly alarm
    """

    budget_days: float | None = None
    warming_readings: int | None = None
    physical_low: float | None = None
    physical_high: float | None = None
    is_on: bool | None = None


@dataclass(frozen=True, slots=True)
class SensorConfig:
    """A sensor as the core and the database know it. `sensor_no` is the compact key inside; `sensor_id` stays text.

    settings   what people set of its alarms: rules, profile, unit, number_format, as `native` reads them
    """

    sensor_id: str
    sensor_no: int
    facility_id: str
    name: str
    type: SensorType
    status: SensorStatus
    expected_interval_s: int
    installed_at_us: int
    status_changed_at_us: int
    detection: Detection = Detection()
    is_retired: bool = False
    settings: Mapping[str, object] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class FacilityConfig:
    facility_id: str
    name: str
    type: FacilityType
    status: FacilityStatus
    is_retired: bool = False


@dataclass(frozen=True, slots=True)
class AlarmEvent:
    """One transition of one alarm: a row of the journal.

    alarm_key        `<sensor_no>:<rule>`, or `facility:<rule>`
    rule             low, high, anomaly, stale, … (see native)
    transition       activated, activated_silently, returned, late_exceedance, past_excursion, shelved, … ; `activated`
                     rows are the contract's alerts
    rule_version     configuration version the rule had; part of the journal's unique key
    only_if_stored   (sensor_no, tracked_at_us) of the reading that caused it, when the event must be dropped if that
                     reading turns out to be stored already (late readings, so that a redelivery has no effect)
    explanation_json fields for people and programs; see native
    command_id       of the person's command that caused it
    """

    alarm_key: str
    sensor_no: int | None
    rule: str
    transition: str
    event_time_us: int
    rule_version: int
    priority: str
    alert_type: AlertType
    value: float | None
    limit: float | None
    score: float | None
    message: str
    explanation_json: str
    late: bool = False
    only_if_stored: tuple[int, int] | None = None
    actor: str = "system"
    reason: str = ""
    command_id: str | None = None


@dataclass(frozen=True, slots=True)
class AlarmCommand:
    """What a person asks of one alarm. The id makes it one: the same again changes nothing.

    command     acknowledge, comment, assign, shelve, unshelve, suppress, unsuppress, out_of_service, return_to_service,
                reset or verdict
    actor       the principal who asks: user:12, key:3
    until_us    of a shelf, and of what is out of service if it is known
    assignee    of an assignment; "" takes it back
    verdict     true, false or expected, of the activation `about_event_id`
    """

    command_id: str
    facility_id: str
    alarm_key: str
    command: str
    at_us: int
    actor: str
    reason: str = ""
    until_us: int | None = None
    assignee: str | None = None
    work_order: str | None = None
    verdict: str | None = None
    about_event_id: int | None = None


@dataclass(frozen=True, slots=True)
class CommandVerdict:
    """A command is in force, or it was refused and this is why."""

    command_id: str
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class ParkedItem:
    """Something accepted that cannot take effect yet, kept in the parking table.

    kind     reading, activation or deactivation
    body     the JSON text as received, or an equivalent one
    """

    kind: str
    facility_id: str
    sensor_id: str
    tracked_at_us: int | None
    body: str
    reason: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Input that will never take effect, as it is kept and shown to people.

    source    bus (a message, dead-lettered on `queue`), row (a bad row of a good message), parked (waited too long) or
              refused (good, and there is no place for it: `reason` is a setting or says what is over)
    body      an excerpt of the offending text
    identity  what it is told apart by: the same again, after a redelivery, is kept once
    raw       the whole message, where `body` is not that and it is small enough to be kept
    """

    source: str
    queue: str
    reason: str
    detail: str
    body: str
    facility_id: str
    sensor_id: str
    identity: tuple[str, ...]
    raw: bytes | None = None


REFUSED: Final = "refused"
"""`DeadLetter.source` of what is good and finds no place."""


@dataclass(frozen=True, slots=True)
class Redrive:
    """What was set aside and shall go through the engine again, as a message of the queue of its `kind`.

    facility_id, sensor_id  of one row; empty where they are not known, or the body holds many
    body                    as it goes in
    """

    id: int
    facility_id: str
    sensor_id: str
    body: bytes
    asked_at_us: int


@dataclass(frozen=True, slots=True)
class Subject:
    """What one row is about: a facility, and a sensor and a moment if it has them."""

    facility_id: str
    sensor_id: str
    tracked_at_us: int


@dataclass(frozen=True, slots=True)
class EntityChange:
    """A row to write with the commit.

    op = insert_sensor      value: the SensorActivation with its reserved `sensor_no`
    op = sensor_status      sensor_id, status, changed_at_us; an Active one is not retired any more
    op = facility_closed    nothing else: the core of a retired facility has ended its alarms
    """

    op: str
    sensor_id: str
    activation: SensorActivation | None = None
    sensor_no: int | None = None
    status: SensorStatus | None = None
    changed_at_us: int | None = None


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry of a facility's commit log: exactly what goes into the core."""

    commit_no: int
    kind: EntryKind
    payload: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The core's state after `commit_no`. `state` carries its own version and crc (native snapshot).

    is_break   an earlier checkpoint and the log do not give this state: something could not be read
    """

    commit_no: int
    core_version: int
    state: bytes
    is_break: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything one serial step of a facility wants committed, in one piece. All of it or none of it is written.

    entries       the commit log entries of this step, in order, gapless after the last committed one
    copy_rows     readings as PostgreSQL binary COPY tuples (no header, no trailer) for the staging table:
                  sensor_no int4, tracked_at timestamptz, value float8, text_value text, score float4, flags int2
    rows          how many tuples `copy_rows` holds
    dirty_minutes distinct minutes (us, floored) that `copy_rows` touches, for the rollup pass
    commands      people's commands that this step decides
    """

    facility_id: str
    epoch: int
    entries: tuple[LogEntry, ...]
    copy_rows: bytes = b""
    rows: int = 0
    dirty_minutes: tuple[int, ...] = ()
    events: tuple[AlarmEvent, ...] = ()
    parked: tuple[ParkedItem, ...] = ()
    unparked_ids: tuple[int, ...] = ()
    dead_letters: tuple[DeadLetter, ...] = ()
    changes: tuple[EntityChange, ...] = ()
    commands: tuple[CommandVerdict, ...] = ()
    checkpoint: Checkpoint | None = None


class Verdict(StrEnum):
    """The historian's answer to one facility."""

    COMMITTED = "committed"
    FENCED = "fenced"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CommitAnswer:
    """`not_stored`: (sensor_no, tracked_at_us) of readings that were there already (duplicates and conflicts), or that
    were set aside.

    `conflicts`: how many readings met a stored one of the same time with another value, for the first time.
    `not_parked`: how many rows were refused instead, by reason.
    `set_aside`: how many are of before the retention, and dead letters now.
    """

    verdict: Verdict
    reason: str = ""
    not_stored: frozenset[tuple[int, int]] = field(default_factory=frozenset)
    conflicts: int = 0
    not_parked: Mapping[str, int] = field(default_factory=dict)
    set_aside: int = 0


@dataclass(frozen=True, slots=True)
class FacilityState:
    """What a load returns. The epoch was taken before anything else was read.

    detection   by type of sensor: what a sensor that arrives begins with
    rules       the same of its alarms, as SensorConfig.settings
    groups      what several sensors are judged by together, as `native` reads it
    removed     when each sensor was removed that the facility once had
    removed_us  when a facility of this id was removed before this one was made; -1: never
    """

    config: FacilityConfig
    epoch: int
    sensors: tuple[SensorConfig, ...]
    checkpoint: Checkpoint | None
    log: tuple[LogEntry, ...]
    parked: tuple[tuple[int, ParkedItem], ...]
    last_commit_no: int
    detection: Mapping[SensorType, Detection] = field(default_factory=dict)
    rules: Mapping[SensorType, Mapping[str, object]] = field(default_factory=dict)
    groups: Mapping[str, object] = field(default_factory=dict)
    removed: Mapping[str, int] = field(default_factory=dict)
    removed_us: int = -1
