"""Why an alert was raised, as the core wrote it into the journal: for the front end, in the contract's spelling."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from web.wire.times import ContractTime, from_us


class ViewSays(BaseModel):
    """One way of looking at the signal: how unusual it finds it, in decades (3: one reading in a thousand)."""

    name: str
    decades: float
    says: str


class Contributor(BaseModel):
    """A sensor's part in what is unusual about its facility."""

    sensor_id: str
    share: float


class GroupMember(BaseModel):
    """A sensor that a group asks. `out`: it cannot be relied upon or is kept back, and `why` says how; a vote counts it
    as its `degraded` says, and never as a no. `heard`: of a group that takes no vote.
    """

    sensor_id: str
    state: Literal["voting", "not_voting", "heard", "out"]
    why: str | None


class GroupFirst(BaseModel):
    """The member that was the first since all were normal, and its rule."""

    sensor_id: str
    rule: str


class GroupSays(BaseModel):
    """How a group stood when this was told. `need` of the `of` members that were not out had to agree."""

    name: str
    members: list[GroupMember] = Field(description="in the order in which they are set; empty in rows of older cores")
    need: int | None = Field(description="of a vote, as the next two")
    of: int | None
    votes: int | None
    first: GroupFirst | None = Field(description="of first_out")


class Explanation(BaseModel):
    """What is known depends on the rule: a limit has `limit`, an anomaly `score` to `views`, a facility `contributors`,
    an alarm of several sensors `group`, which no other has.

    band    what is usual, from and to
    since   the first reading of those that are unusual
    views   the loudest first
    """

    rule: str
    value: float | None
    unit: str | None
    limit: float | None
    score: float | None
    threshold: float | None
    expected: float | None
    band: tuple[float, float] | None
    since: ContractTime | None
    movement: str | None
    reason: str | None
    views: list[ViewSays]
    contributors: list[Contributor]
    group: GroupSays | None = Field(None, exclude_if=lambda group: group is None)


class _Out(BaseModel):
    sensor_id: str
    why: str


class _StoredGroup(BaseModel):
    """Of the core's spelling, what it says of a group."""

    group: str | None = None
    asked: list[str] = Field(default_factory=list)
    voted: list[str] | None = None
    out: list[_Out] = Field(default_factory=list)
    needed: int | None = None
    votes: int | None = None
    first: GroupFirst | None = None

    def says(self) -> GroupSays | None:
        """None: it is no alarm of a group."""
        if self.group is None:
            return None
        why = {each.sensor_id: each.why for each in self.out}
        members = [self._member(sensor_id, why.get(sensor_id)) for sensor_id in dict.fromkeys(self.asked)]
        is_vote = self.voted is not None and bool(members)
        of = sum(member.state != "out" for member in members) if is_vote else None
        return GroupSays(name=self.group, members=members, need=self.needed, of=of, votes=self.votes, first=self.first)

    def _member(self, sensor_id: str, why: str | None) -> GroupMember:
        if why is not None:
            return GroupMember(sensor_id=sensor_id, state="out", why=why)
        if self.voted is None:
            return GroupMember(sensor_id=sensor_id, state="heard", why=None)
        return GroupMember(sensor_id=sensor_id, state="voting" if sensor_id in self.voted else "not_voting", why=None)


class _Stored(_StoredGroup):
    """The core's own spelling. `extra` fields are for whoever reads the journal itself."""

    rule: str
    value: float | None = None
    unit: str | None = None
    limit: float | None = None
    score: float | None = None
    threshold: float | None = None
    expected: float | None = None
    band: tuple[float, float] | None = None
    since_us: int | None = None
    movement: str | None = None
    reason: str | None = None
    views: list[ViewSays] = Field(default_factory=list)
    contributors: list[Contributor] = Field(default_factory=list)


def explained(stored: str) -> Explanation | None:
    """None where the journal says nothing, or says it as a core of version 1 did."""
    try:
        told = _Stored.model_validate_json(stored)
    except ValidationError:
        return None
    since = None if told.since_us is None else from_us(told.since_us)
    own = {name: value for name, value in told if name not in _StoredGroup.model_fields}
    return Explanation.model_validate({**own, "since": since, "group": told.says()})
