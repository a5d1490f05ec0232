"""What was set at a moment of the past, for routes that keep versions."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from web.api.histories import Beginning
from web.errors import NotUsable
from web.serving.call import Call
from web.wire.times import to_us


class AtQuery(BaseModel):
    at: Beginning | None = Field(None, description="as it was then; of a bare day, when it began")


def past(call: Call, query: AtQuery) -> datetime | None:
    """The moment that is asked for; NotUsable for one that has not been yet."""
    if query.at is not None and to_us(query.at) > call.services.clock.now_us():
        raise NotUsable.of("query", "at", "is still to come")
    return query.at
