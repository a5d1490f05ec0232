"""The JSON of alarms, their journal and what people ask of them; beyond the wire contract."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator

from web.contract.shapes import Readable
from web.wire.alarms import AlarmNow, JournalEntry
from web.wire.times import TIME_IN_PATTERN, ContractTime, first_moment

WAIT_S_MAX = 30.0
WAIT_S = 5.0
TEXT_MAX = 1000
NAME_MAX = 200
EVENT_ID_MAX = 2**63 - 1

CommandId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
AlarmId = Annotated[str, StringConstraints(min_length=1, max_length=NAME_MAX), Readable]
Text = Annotated[str, StringConstraints(max_length=TEXT_MAX, strip_whitespace=True), Readable]
NameOfSomebody = Annotated[str, StringConstraints(max_length=NAME_MAX, strip_whitespace=True), Readable]
Moment = Annotated[
    datetime,
    BeforeValidator(lambda text: first_moment(str(text))),
    WithJsonSchema({"type": "string", "pattern": TIME_IN_PATTERN, "examples": ["2026-11-22 18:00:00"]}),
]


class Command(StrEnum):
    """What may be asked of an alarm."""

    ACKNOWLEDGE = "acknowledge"
    COMMENT = "comment"
    ASSIGN = "assign"
    SHELVE = "shelve"
    UNSHELVE = "unshelve"
    SUPPRESS = "suppress"
    UNSUPPRESS = "unsuppress"
    OUT_OF_SERVICE = "out_of_service"
    RETURN_TO_SERVICE = "return_to_service"
    RESET = "reset"
    VERDICT = "verdict"


class Verdict(StrEnum):
    """What somebody says of an alert afterwards: it was so; it was not; it was, and somebody meant it to be."""

    TRUE = "true"
    FALSE = "false"
    EXPECTED = "expected"


NEEDS_REASON = {Command.COMMENT, Command.SHELVE, Command.OUT_OF_SERVICE}


class NewAlarmCommand(BaseModel):
    """Other fields than those that a command needs are ignored."""

    alarm_id: AlarmId
    command: Command
    reason: Text = Field("", description="needed to shelve, to take out of service, and as the text of a comment")
    until: Moment | None = Field(None, description="needed to shelve; out of service, if it is known")
    assignee: NameOfSomebody | None = Field(None, description="needed to assign; empty: nobody any more")
    work_order: NameOfSomebody | None = None
    verdict: Verdict | None = Field(None, description="needed to give a verdict, with `event_id`; the last one holds")
    event_id: int | None = Field(None, ge=1, le=EVENT_ID_MAX, description="of the alert that the verdict is about")
    command_id: CommandId | None = Field(
        None, description="of the caller's choice: the same again, after an answer that was lost, is one command"
    )
    wait_s: float = Field(WAIT_S, ge=0, le=WAIT_S_MAX, description="how long to wait until it is in force")

    @model_validator(mode="after")
    def _is_complete(self) -> NewAlarmCommand:
        if self.command in NEEDS_REASON and not self.reason:
            raise ValueError(f"{self.command} needs a reason")
        if self.command is Command.SHELVE and self.until is None:
            raise ValueError("shelve needs until")
        if self.command is Command.ASSIGN and self.assignee is None:
            raise ValueError("assign needs an assignee; an empty one takes it back")
        if self.command is Command.VERDICT and (self.verdict is None or self.event_id is None):
            raise ValueError("verdict needs verdict and event_id")
        if self.command is not Command.VERDICT:
            self.verdict = self.event_id = None
        return self


class AlarmCommandState(BaseModel):
    """`done`: it is in force. `waiting`: it will be, as soon as its facility can. `alarm`: as it is now, if it ever was
    anything but normal.
    """

    command_id: str
    state: Literal["waiting", "done"]
    alarm: AlarmNow | None


class AlarmWithHistory(BaseModel):
    """`history`: the newest first."""

    alarm: AlarmNow
    history: list[JournalEntry]


class AlarmCounts(BaseModel):
    """How many alarms are in each state; `active`: whose condition is true, also of those that nobody is told of."""

    active: int
    unacknowledged: int
    acknowledged: int
    returned_unacknowledged: int
    latched: int
    shelved: int
    by_design: int
    out_of_service: int


class Journal(BaseModel):
    """A search looks through a bounded part of the journal at once and may give fewer rows than are asked for, or none,
    and a `next`; `looked_to` is there then, the event time of the last row that it looked at.
    """

    journal: list[JournalEntry]
    next: int | None = Field(description="what `after` the next part is; null: there is nothing more now")
    looked_to: ContractTime | None = Field(None, exclude_if=lambda at: at is None)


class AlarmFrame(BaseModel):
    """Of a websocket. An `event` is a row of the journal. A `snapshot` comes first where nothing was seen before, a
    `gap` where the row to resume after is not in the journal (it was set back to an earlier moment, or what was seen
    was removed): both hold what is not normal now, in as many frames as have `more`.

    after_id    resume after this when the connection is lost; of frames with `more`, not yet
    """

    type: Literal["event", "snapshot", "gap"]
    after_id: int
    event: JournalEntry | None = Field(None, exclude_if=lambda event: event is None)
    alarms: list[AlarmNow] | None = Field(None, exclude_if=lambda alarms: alarms is None)
    more: bool = False
