"""The JSON of incidents; beyond the wire contract."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from web.wire.alarms import Priority
from web.wire.times import ContractTime

IncidentState = Literal["unacknowledged", "acknowledged", "returned_unacknowledged", "over"]


class IncidentMember(BaseModel):
    """An alarm of the incident.

    event_time         when it began first, in the field
    returned_at        after it began last; null: it is still active
    acknowledged_at    likewise
    is_silent          it was suppressed, and nobody was told
    """

    alarm_id: str
    sensor_id: str | None
    sensor_name: str | None
    rule: str
    priority: Priority
    message: str
    event_time: ContractTime
    returned_at: ContractTime | None
    acknowledged_at: ContractTime | None
    is_silent: bool


class Incident(BaseModel):
    """Alarms of one facility that began together. It is over when all of them have returned and are acknowledged.

    id           of the journal's row of what was first
    priority     the highest of its alarms
    ended        event time of the last return; null: it goes on
    """

    id: int
    facility_id: str
    facility_name: str | None
    state: IncidentState
    priority: Priority
    began: ContractTime
    ended: ContractTime | None
    alarms: int = Field(description="how many different ones")
    active: int
    unacknowledged: int
    first_out: IncidentMember


class Incidents(BaseModel):
    incidents: list[Incident] = Field(description="the newest first")


class IncidentWithMembers(BaseModel):
    """`members`: in the order in which they began."""

    incident: Incident
    members: list[IncidentMember]
