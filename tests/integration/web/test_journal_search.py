"""The journal is searched by what happened, by whom and by words, a bounded part of it at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.web.harness import PAST, Web, web_server
from web.api import journal_search

pytestmark = pytest.mark.postgres
PUT = """
INSERT INTO alarm_events (id, facility_id, alarm_key, sensor_no, rule, rule_version, transition, event_time,
                          recorded_at, priority, alert_type, message, explanation, late, actor, reason, command_id)
VALUES (nextval('alarm_events_id_seq'), $1, '1:' || $3::text, $2, $3, 1, $4, $5, $5, $6, 'Anomaly', $7, '{}', false,
        $8, $9, $10)
RETURNING id
"""
COMMAND = """
INSERT INTO alarm_commands (command_id, facility_id, alarm_key, command, asked_at, actor, actor_name, reason, assignee,
                            work_order, verdict, about_event_id, state, refusal)
VALUES ($1, $2, '1:high', 'comment', $3, $4, $5, '', $6, $7, $8, $9, 'done', '')
"""


class Journal:
    """Two facilities with a sensor each; a row an hour."""

    def __init__(self, web: Web) -> None:
        self.web = web
        self.numbers: dict[str, int] = {}
        self.rows = 0
        self.admin: dict[str, str] = {}

    async def set_up(self) -> None:
        self.admin = await self.web.admin()
        for facility, name in (("n", "North"), ("s", "Сушка")):
            await self.web.facility(facility, name=name)
            self.numbers[facility] = await self.web.sensor(f"{facility}1", facility)

    async def put(
        self,
        transition: str = "activated",
        facility: str = "n",
        rule: str = "high",
        priority: str = "high",
        message: str = "",
        reason: str = "",
        by: tuple[str, str] | None = None,
        **said: Any,
    ) -> int:
        """`by`: the principal and the name of who commanded it; `said`: the rest of that command."""
        at = PAST + timedelta(hours=self.rows)
        self.rows += 1
        command_id = None
        if by is not None:
            command_id = f"c{self.rows}"
            more = [said.get(name) for name in ("assignee", "work_order", "verdict", "about_event_id")]
            await self.web.database.execute(COMMAND, command_id, facility, at, *by, *more)
        row = (facility, self.numbers[facility], rule, transition, at, priority, message)
        actor = "system" if by is None else by[0]
        found: int = await self.web.database.fetchval(PUT, *row, actor, reason, command_id)
        return found

    async def asked(self, headers: dict[str, str] | None = None, **query: Any) -> dict[str, Any]:
        answer = await self.web.client.get("/journal", headers=headers or self.admin, params=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def ids(self, **query: Any) -> list[int]:
        return [one["id"] for one in (await self.asked(**query))["journal"]]


@asynccontextmanager
async def journal(database_url: str, tmp_path: Path) -> AsyncIterator[Journal]:
    async with web_server(database_url, tmp_path) as web:
        made = Journal(web)
        await made.set_up()
        yield made


async def test_it_is_searched_by_what_happened_by_whom_and_by_words(database_url: str, tmp_path: Path) -> None:
    ann, odo = ("user:17", "Ann Müller"), ("key:3", "the 50% script")
    async with journal(database_url, tmp_path) as site:
        assert await site.ids(text="valve") == []
        high = await site.put(message="Pressure is 26 bar, above 25")
        low = await site.put(rule="low", priority="critical", facility="s", message="Druck fällt")
        seen = await site.put("acknowledged", by=ann, reason="on my way to VALVE 3")
        given = await site.put("assigned", by=odo, assignee="night shift", work_order="W-4711")
        false = await site.put("verdict", by=ann, verdict="false", about_event_id=high)
        over = await site.put("returned", rule="low", facility="s", message="ПЕРЕВІРКА")
        for query, found in (
            ({"rule": "low"}, [low, over]),
            ({"rule": ["low", "high"], "transition": ["activated", "returned"]}, [high, low, over]),
            ({"rule": "vote"}, []),
            ({"priority": ["critical", "low"]}, [low]),
            ({"verdict": ["true", "false"]}, [false]),
            ({"verdict": "true"}, []),
            ({"actor": "MÜLLER"}, [seen, false]),
            ({"actor": "user:17"}, [seen, false]),
            ({"actor": "er:1"}, [seen, false]),
            ({"actor": "system"}, [high, low, over]),
            ({"actor": "50%"}, [given]),
            ({"actor": "5.%"}, []),
            ({"text": "way valve"}, [seen]),
            ({"text": "valve 26"}, []),
            ({"text": "FÄLLT"}, [low]),
            ({"text": "перевірка"}, [over]),
            ({"text": "NIGHT w-4711"}, [given]),
            ({"text": "СУШКА"}, [low, over]),
            ({"text": "sensor s1"}, [low, over]),
            ({"text": ".*"}, []),
            ({"text": "system"}, []),
            ({"text": "bar", "actor": "system", "rule": "high", "facility_id": "n", "sensor_id": "n1"}, [high]),
            ({"text": "north", "order": "desc", "start_date": "2026-01-01T01:00"}, [false, given, seen]),
        ):
            assert await site.ids(**query) == found, query
        _, viewer, _ = await site.web.user("vera", ("n", "View"))
        assert [one["id"] for one in (await site.asked(viewer, actor="system"))["journal"]] == [high]
        for wrong in ({"text": "\u202e"}, {"transition": "began"}, {"text": "x" * 201}):
            refused = await site.web.client.get("/journal", headers=viewer, params=wrong)
            assert refused.status_code == 422 and next(iter(wrong)) in refused.text
        table = await site.web.client.get("/journal", headers={**viewer, "Accept": "text/csv"}, params={"rule": "high"})
        assert len(table.text.splitlines()) == 5


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_search_ends_when_it_is_full_or_has_looked_far_enough(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    monkeypatch.setattr(journal_search, "LOOKED_MAX", 4)
    async with journal(database_url, tmp_path) as site:
        # found at 2 and 4, then not before 10; the places of another facility are not looked at
        ids = [await site.put(rule="low" if place in {2, 4, 10} else "high") for place in range(1, 12)]
        await site.put(facility="s")
        in_order = ids if order == "asc" else ids[::-1]
        low = [ids[place - 1] for place in ((2, 4, 10) if order == "asc" else (10, 4, 2))]
        query: dict[str, Any] = {"rule": "low", "facility_id": "n", "order": order}

        first = await site.asked(**query, limit=1)
        assert [one["id"] for one in first["journal"]] == low[:1]
        found: list[int] = []
        after: dict[str, Any] = {}
        parts, looked_to = 0, []
        while True:
            part = await site.asked(**query, **after)
            found += [one["id"] for one in part["journal"]]
            parts += 1
            if part["next"] is None:
                assert "looked_to" not in part
                break
            looked_to.append(part["looked_to"])
            after = {"after": part["next"]}
        assert (found, parts) == (low, 3)
        hours = [in_order[place] - ids[0] for place in (3, 7)]
        assert looked_to == [f"2026-01-01T{hour:02}:00:00" for hour in hours]

        answer = await site.web.client.get(
            "/journal", headers=site.admin, params={**query, "rule": "vote", "after": in_order[3]}
        )
        assert answer.json()["journal"] == [] and answer.json()["next"] == in_order[7]
        assert f"after={in_order[7]}" in answer.headers["Link"] and "rule=vote" in answer.headers["Link"]


async def test_parts_of_a_search_leave_nothing_out(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with journal(database_url, tmp_path) as site:
        wanted = {1, 2, 3, 5, 8, 9, 12}
        ids = [await site.put(rule="low" if place in wanted else "high") for place in range(1, 13)]
        low = [ids[place - 1] for place in sorted(wanted)]
        for looked_max in (1, 2, 3, 12, 13):
            monkeypatch.setattr(journal_search, "LOOKED_MAX", looked_max)
            for limit in (1, 2, 3, 7, 8):
                found: list[int] = []
                after = 0
                while after is not None:
                    part = await site.asked(rule="low", limit=limit, after=after)
                    assert len(part["journal"]) <= limit
                    found += [one["id"] for one in part["journal"]]
                    after = part["next"]
                assert found == low, (looked_max, limit)
