"""The JSON of input that is set aside: shown, redriven and deleted; beyond the wire contract."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field, StringConstraints

from web.contract.export_shapes import End, Start
from web.contract.shapes import Paging, Readable
from web.wire.times import ContractTime

AT_ONCE_MAX: Final = 1_000
"""Rows that one request may redrive or delete."""
BODY_BYTES_MAX: Final = 65_536
"""So many ids of 20 digits, and a reason."""
ID_MAX: Final = 2**63 - 1

Origin = Literal["dead_letters", "parked"]
Kind = Literal["setup", "activation", "deactivation", "data"]
RedriveState = Literal["waiting", "done", "parked", "refused"]
Wanted = Annotated[str, StringConstraints(min_length=1, max_length=1024), Readable]
Why = Annotated[str, StringConstraints(min_length=1, max_length=1000, strip_whitespace=True), Readable]
RowId = Annotated[int, Field(ge=1, le=ID_MAX)]


class Parked(BaseModel):
    """Input that waits for its parent."""

    id: int
    kind: str
    facility_id: str | None
    sensor_id: str | None
    tracked_at: ContractTime | None
    body: str
    reason: str
    parked_at: ContractTime


class ParkedPage(BaseModel):
    parked: list[Parked]
    total: int


class DeadLetter(BaseModel):
    """Input that will never take effect, with its reason. `queue` is that of a message."""

    id: int
    source: str
    queue: str | None
    reason: str
    detail: str
    body: str
    facility_id: str | None
    sensor_id: str | None
    recorded_at: ContractTime


class DeadLetterPage(BaseModel):
    dead_letters: list[DeadLetter]
    total: int


class DeadLetterWhole(DeadLetter):
    """With all that is kept of it. `content` is text, or base64 where it is no UTF-8."""

    content: str
    encoding: Literal["text", "base64"]
    is_whole: bool = Field(description="false: more came than is kept; the queue's own dead letters have it whole")
    redriven_as: Kind | None = Field(description="the queue it goes through when it is redriven; null: it cannot be")


class SetAsideFilter(BaseModel):
    """Only what fits all that is said; set aside from `start_date` on and before `end_date`, UTC."""

    facility_id: Wanted | None = None
    sensor_id: Wanted | None = None
    reason: Wanted | None = None
    start_date: Start | None = None
    end_date: End | None = None

    @property
    def scope(self) -> tuple[object, ...]:
        """As the statements take it."""
        return self.facility_id, self.sensor_id, self.reason, self.start_date, self.end_date


class SetAsideQuery(Paging, SetAsideFilter):
    """A part of those that fit."""


class Chosen(BaseModel):
    """Rows of one table: these, or without `ids` all that fit the query, which then says something."""

    origin: Origin
    ids: list[RowId] | None = Field(None, min_length=1, max_length=AT_ONCE_MAX)


class NewDiscard(Chosen):
    reason: Why = Field(description="why nobody wants it; kept in the audit log")


WhyLeft = Literal["does not fit", "gone", "not whole", "unknown queue"]


class Left(BaseModel):
    """`does not fit`: the filter in the query leaves it out."""

    id: int
    why: WhyLeft


class Redriven(BaseModel):
    """What goes through the engine now; `GET /redrives` says what becomes of it."""

    redrive_id: str
    taken: int
    left: list[Left] = Field(description="those of the ids that are not redriven, and why")


class Discarded(BaseModel):
    deleted: int


class RedriveQuery(Paging):
    redrive_id: Wanted | None = None
    redrive_state: RedriveState | None = Field(None, description="only those; `state` is a word of single sign-on")


class Redrive(BaseModel):
    """One row that was redriven. `done`: it is in effect; `parked`: it waits, for `outcome`; `refused`: it is a dead
    letter again, for `outcome`. `reason` is of before."""

    id: int
    redrive_id: str
    origin: Origin
    kind: Kind
    source: str
    queue: str | None
    reason: str
    facility_id: str | None
    sensor_id: str | None
    state: RedriveState
    outcome: str
    asked_by: str
    asked_by_name: str
    asked_at: ContractTime
    ended_at: ContractTime | None


class RedrivePage(BaseModel):
    redrives: list[Redrive]
    total: int
