"""The JSON of replays: what is to be lived again, how far that is, and what came of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, Literal

from pydantic import BaseModel, Field

from engine.model import SensorType
from web.contract.detection_shapes import DetectionChanges
from web.contract.export_shapes import End, Id, Start
from web.contract.group_shapes import NewGroups
from web.contract.rule_shapes import RuleSettings
from web.wire.times import ContractTime

FACILITIES_MAX: Final = 20
PROPOSALS_MAX: Final = 200
PERIOD_MAX: Final = timedelta(days=35)
BODY_BYTES_MAX: Final = 512 * 1024
ReplaySettings = Literal["then", "today"]
ReplayState = Literal["queued", "running", "done", "failed", "cancelled"]


class ReplayQuery(BaseModel):
    """Each is replayed by itself."""

    facility_id: list[Id] = Field(min_length=1, max_length=FACILITIES_MAX)


class ProposedRules(RuleSettings):
    """As they are PUT to /rules/…: with `sensor_type` for those of a facility."""

    sensor_type: SensorType | None = None


class ProposedDetection(DetectionChanges):
    """As they are PUT to /detection/…: with `sensor_type` for those of a facility."""

    sensor_type: SensorType | None = None


class ReplayProposal(BaseModel):
    """For a sensor, or for the sensors of a type in a facility: `rules` replace what is set there today. Or `groups`
    for a facility, by themselves, as they are PUT to /groups/facility/…
    """

    sensor_id: Id | None = None
    facility_id: Id | None = None
    rules: ProposedRules | None = None
    detection: ProposedDetection | None = None
    groups: NewGroups | None = None


class NewReplay(BaseModel):
    """What arrived from `start_date` on and before `end_date`; times without a zone are UTC, a bare day as an end is
    meant whole.
    """

    start_date: Start
    end_date: End
    settings: ReplaySettings = Field("then", description="those that held then, or those of today for all of it")
    proposals: list[ReplayProposal] = Field(
        default_factory=list, max_length=PROPOSALS_MAX, description="laid over the settings of today"
    )


class Replay(BaseModel):
    """How far it is. `progress`: from 0 to 1, of all its facilities together; `readings`: that were lived again."""

    id: str
    facility_ids: list[str]
    start_date: ContractTime
    end_date: ContractTime
    settings: ReplaySettings
    proposals: list[ReplayProposal]
    state: ReplayState
    progress: float
    readings: int
    asked_by: str = Field(description="`user:` or `key:` and its id")
    asked_by_name: str
    created_at: ContractTime
    ended_at: ContractTime | None
    expires_at: ContractTime = Field(description="it is forgotten then")


class Replays(BaseModel):
    replays: list[Replay] = Field(description="the newest first")
    total: int


class AlarmDifferences(BaseModel):
    """Beginnings of alarms that are alike on both sides or are not; `changed`: at the same moment, of other content."""

    same: int
    added: int
    removed: int
    earlier: int
    later: int
    changed: int


class RowDifferences(BaseModel):
    """The same of what follows beginnings: returns, acknowledgements, …"""

    same: int
    added: int
    removed: int
    changed: int


class FrequentAlarm(BaseModel):
    alarm_id: str
    alarms: int


class ReplayFigures(BaseModel):
    """Alarms that people were told of, in the whole period."""

    alarms: int
    by_priority: dict[str, int]
    most_frequent: list[FrequentAlarm]


class ReplayDifference(BaseModel):
    """A row of the journal that is not the same on both sides.

    seconds    how much later it is told now; negative: earlier
    fields     what differs in one that is `changed`
    """

    kind: Literal["added", "removed", "earlier", "later", "changed"]
    is_alarm: bool = Field(description="a beginning of an alarm; else what follows one")
    alarm_id: str
    sensor_id: str | None = Field(description="null: of a group or of the facility")
    rule: str
    transition: str
    priority: str
    message: str
    stored_at: ContractTime | None = Field(description="event time in the journal; null: it has none")
    replayed_at: ContractTime | None = Field(description="event time in the replay; null: it tells none")
    seconds: float | None
    fields: list[str]


class ReplayResult(BaseModel):
    """What came of one facility; see docs/alarms.md for what is compared and what cannot be judged."""

    judged_from: ContractTime | None = Field(description="null: nothing of the period can be replayed")
    judged_until: ContractTime
    is_same: bool = Field(description="row by row, of all that could be judged")
    readings: int
    alarms: AlarmDifferences
    others: RowDifferences
    before: ReplayFigures
    after: ReplayFigures
    remarks: list[str] = Field(description="what could not be judged, and why")
    checksum: str = Field(description="of all that was told, in order: equal for equal replays")
    differences_total: int
    differences: list[ReplayDifference] = Field(description="the first of them")


class ReplayPart(BaseModel):
    """One facility of it."""

    facility_id: str
    state: ReplayState
    progress: float
    readings: int
    problem: str | None = Field(description="why it failed")
    result: ReplayResult | None


class ReplayWithResults(Replay):
    """`parts`: of the facilities that the caller may view; the others are null until all of them are done."""

    is_same: bool | None
    alarms: AlarmDifferences | None
    checksum: str | None
    parts: list[ReplayPart]
