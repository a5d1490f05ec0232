"""Why an alert was raised, as the core wrote it into the journal: for the front end, in the contract's spelling."""

from __future__ import annotations

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


class Explanation(BaseModel):
    """What is known depends on the rule: a limit has `limit`, an anomaly `score` to `views`, a facility `contributors`.

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


class _Stored(BaseModel):
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
    return Explanation(since=since, **told.model_dump(exclude={"since_us"}))
