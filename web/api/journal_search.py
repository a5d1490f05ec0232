"""What a search of the journal chooses by, beside place and time, and the statement that finds it.

No index knows what was said. So one statement looks through a bounded part of the journal, in the order of its ids: it
ends when what is asked for is full, and whoever asks again goes on where it stopped (docs/decisions/0112).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from web.contract.alarm_shapes import Verdict
from web.contract.shapes import Readable
from web.wire.alarms import EVENT_COLUMNS, OF_EVENTS, Priority, Transition

LOOKED_MAX: Final = 100_000
"""Rows of that place and time, in one statement: some hundred milliseconds."""
SEARCHED_MAX: Final = 200
WORDS_MAX: Final = 10
CHOICES_MAX: Final = 50
RULE_MAX: Final = 100

# `place` counts rows of the place and time that are asked for. The last one that is looked at is given even where it is
# not searched for: it says how far this came.
_SEARCH: Final = """
SELECT * FROM (
    SELECT {columns}, e.place,
           (cardinality($9::text[]) = 0 OR e.rule = ANY($9))
           AND (cardinality($10::text[]) = 0 OR e.transition = ANY($10))
           AND (cardinality($11::text[]) = 0 OR e.priority = ANY($11))
           AND (cardinality($12::text[]) = 0 OR coalesce(c.verdict = ANY($12), false))
           AND ($13::text IS NULL OR concat_ws(E'\\n', c.actor_name, e.actor) ~ $13)
           AND (cardinality($14::text[]) = 0
                OR concat_ws(E'\\n', e.message, e.reason, c.assignee, c.work_order, s.name, f.name) ~ ALL($14))
           AS is_found
      FROM (SELECT e.*, row_number() OVER (ORDER BY e.id {order}) AS place
            {of_events} {chosen}
             ORDER BY e.id {order} LIMIT {looked_max}) e
      LEFT JOIN sensors s ON s.sensor_no = e.sensor_no
      LEFT JOIN facilities f ON f.id = e.facility_id
      LEFT JOIN alarm_commands c ON c.command_id = e.command_id) looked
 WHERE is_found OR place = {looked_max}
 ORDER BY id {order}
 LIMIT $15
"""


def _few_words(text: str) -> str:
    if len(text.split()) > WORDS_MAX:
        raise ValueError(f"should be at most {WORDS_MAX} words")
    return text


Searched = Annotated[str, StringConstraints(min_length=1, max_length=SEARCHED_MAX, strip_whitespace=True), Readable]
Words = Annotated[Searched, AfterValidator(_few_words)]
RuleName = Annotated[str, StringConstraints(min_length=1, max_length=RULE_MAX), Readable]


class SearchQuery(BaseModel):
    """Of several values of one kind each is meant, of several kinds all. Upper and lower case are the same."""

    rule: list[RuleName] = Field([], max_length=CHOICES_MAX)
    transition: list[Transition] = Field([], max_length=CHOICES_MAX)
    priority: list[Priority] = Field([], max_length=CHOICES_MAX)
    verdict: list[Verdict] = Field([], max_length=CHOICES_MAX, description="given in that row, on `about_event_id`")
    actor: Searched | None = Field(None, description="a part of the name or of `user:` or `key:` and the id")
    text: Words | None = Field(
        None,
        description="every word of it, of at most ten: in the message, the reason, the assignee, the work order or the"
        " names of sensor and facility",
    )

    @property
    def is_search(self) -> bool:
        """Whether rows are looked through for more than their place and time."""
        return any((self.rule, self.transition, self.priority, self.verdict, self.actor, self.text))

    @property
    def searched(self) -> tuple[object, ...]:
        """What the statement takes as $9 to $14."""
        actor = None if self.actor is None else pattern_of(self.actor)
        words = [] if self.text is None else [pattern_of(word) for word in self.text.split()]
        return self.rule, self.transition, self.priority, self.verdict, actor, words


def search_of(chosen: str, order: str) -> str:
    """The statement for rows that `chosen` chooses by $1 to $8; it takes how many to give as $15."""
    return _SEARCH.format(columns=EVENT_COLUMNS, of_events=OF_EVENTS, chosen=chosen, order=order, looked_max=LOOKED_MAX)


def is_last_looked_at(row: Any) -> bool:
    """Whether the statement ended with this row because it had looked at as many as it may."""
    return bool(row["place"] == LOOKED_MAX)


def pattern_of(text: str) -> str:
    """A regular expression of PostgreSQL for `text` in either case, in any language: a database whose locale is C knows
    only that of ASCII.
    """
    return "".join(_either_case(character) for character in text)


def _either_case(character: str) -> str:
    cases = sorted({case for case in (character, character.lower(), character.upper()) if len(case) == 1})
    return f"[{''.join(cases)}]" if len(cases) > 1 else re.escape(character)
