"""Alarms that begin together are one incident, with what was first and a life of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.web.harness import Web, web_server
from web.api.incidents import MEMBERS_MIN, TOGETHER_S

pytestmark = pytest.mark.postgres
BEGAN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
PUT = """
INSERT INTO alarm_events (id, facility_id, alarm_key, sensor_no, rule, rule_version, transition, event_time,
                          recorded_at, priority, alert_type, message, explanation, late, actor, reason)
VALUES (nextval('alarm_events_id_seq'), $1, $2, $3, $8, 1, $4, $5, now(), $6, 'Anomaly', $7, '{}', false,
        'system', '')
RETURNING id
"""


class Plant:
    """Two facilities with five sensors each; `at_s` counts from BEGAN."""

    def __init__(self, web: Web) -> None:
        self.web = web
        self.numbers: dict[str, list[int]] = {}

    async def set_up(self) -> None:
        for facility in ("n", "s"):
            await self.web.facility(facility, name=facility.upper())
            self.numbers[facility] = [await self.web.sensor(f"{facility}{place}", facility) for place in range(5)]

    async def put(
        self,
        at_s: float,
        place: int,
        transition: str = "activated",
        facility: str = "n",
        priority: str = "medium",
        rule: str = "high",
    ) -> int:
        number = self.numbers[facility][place]
        at = BEGAN + timedelta(seconds=at_s)
        row: tuple[Any, ...] = (
            facility,
            f"{number}:{rule}",
            number,
            transition,
            at,
            priority,
            f"{place} is too high",
            rule,
        )
        found: int = await self.web.database.fetchval(PUT, *row)
        return found

    async def incidents(self, headers: dict[str, str] | None = None, **query: str) -> list[dict[str, Any]]:
        answer = await self.web.client.get("/incidents", headers=headers or await self.web.admin(), params=query)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["incidents"]
        return found


@asynccontextmanager
async def plant(database_url: str, tmp_path: Path) -> AsyncIterator[Plant]:
    async with web_server(database_url, tmp_path) as web:
        made = Plant(web)
        await made.set_up()
        yield made


async def test_what_begins_together_is_one_and_has_a_life(database_url: str, tmp_path: Path) -> None:
    async with plant(database_url, tmp_path) as site:
        assert await site.incidents() == []
        second = await site.put(TOGETHER_S, 1)  # stored before what was first in the field
        first = await site.put(0, 0, priority="critical")
        assert await site.incidents() == [], "two are no incident"
        await site.put(2 * TOGETHER_S, 2, "activated_silently")
        (one,) = await site.incidents()
        assert (one["id"], one["facility_id"], one["facility_name"]) == (first, "n", "N")
        assert (one["state"], one["priority"], one["alarms"], one["active"]) == ("unacknowledged", "critical", 3, 3)
        assert (one["first_out"]["sensor_id"], one["ended"]) == ("n0", None)

        answer = await site.web.client.get(
            f"/incidents/{first}", headers=await site.web.admin(), params={"facility_id": "n"}
        )
        whole = answer.json()
        assert whole["incident"] == one
        assert [member["sensor_id"] for member in whole["members"]] == ["n0", "n1", "n2"]
        assert [member["is_silent"] for member in whole["members"]] == [False, False, True]

        for place in range(3):
            await site.put(100 + place, place, "returned")
        (one,) = await site.incidents()
        assert (one["state"], one["active"]) == ("returned_unacknowledged", 0)
        assert datetime.fromisoformat(one["ended"]).replace(tzinfo=UTC) == BEGAN + timedelta(seconds=102)
        for place in range(3):
            await site.put(200, place, "acknowledged")
        assert [each["state"] for each in await site.incidents()] == ["over"]

        assert second != first
        await site.put(5000, 0)
        assert [each["state"] for each in await site.incidents()] == ["over"], "what comes later is not of it"


async def test_what_is_further_apart_or_elsewhere_is_not_of_it(database_url: str, tmp_path: Path) -> None:
    async with plant(database_url, tmp_path) as site:
        for place in range(MEMBERS_MIN - 1):
            await site.put(place, place)
        await site.put(MEMBERS_MIN, 0)  # again, and still of two alarms
        await site.put(1, 2, facility="s")
        await site.put(MEMBERS_MIN + TOGETHER_S + 0.001, 3)
        assert await site.incidents() == []
        for place in range(MEMBERS_MIN):
            await site.put(1000 + place, place, facility="s")
            await site.put(2000 + place, place, facility="n")
        assert [each["facility_id"] for each in await site.incidents()] == ["n", "s"]
        assert [each["facility_id"] for each in await site.incidents(limit="1")] == ["n"]
        since = (BEGAN + timedelta(seconds=1001)).strftime("%Y-%m-%d %H:%M:%S")
        assert [each["facility_id"] for each in await site.incidents(start_date=since)] == ["n"]
        assert [each["facility_id"] for each in await site.incidents(end_date=since)] == ["s"]


async def test_the_mark_of_who_was_first_is_no_alarm_of_its_own(database_url: str, tmp_path: Path) -> None:
    async with plant(database_url, tmp_path) as site:
        for place in range(MEMBERS_MIN - 1):
            await site.put(TOGETHER_S * 2 * place, place)
        for at_s in (0.1, TOGETHER_S):  # nor does it join what began apart
            await site.put(at_s, 4, "activated_silently", rule="first_out", priority="critical")
        assert await site.incidents() == []
        for place in range(MEMBERS_MIN):
            await site.put(1000 + place, place)
        await site.put(1000, 4, "activated_silently", rule="first_out", priority="critical")
        (one,) = await site.incidents()
        assert (one["alarms"], one["active"], one["unacknowledged"], one["priority"]) == (3, 3, 3, "medium")
        query = {"facility_id": "n"}
        whole = await site.web.client.get(f"/incidents/{one['id']}", headers=await site.web.admin(), params=query)
        assert [member["sensor_id"] for member in whole.json()["members"]] == ["n0", "n1", "n2"]


async def test_who_may_not_view_a_facility_sees_none_of_it(database_url: str, tmp_path: Path) -> None:
    async with plant(database_url, tmp_path) as site:
        for place in range(MEMBERS_MIN):
            await site.put(place, place, facility="s")
        (one,) = await site.incidents()
        _, viewer, _ = await site.web.user("vera", ("n", "View"))
        assert await site.incidents(viewer) == []
        for facility, status in (("s", 403), ("n", 404)):
            answer = await site.web.client.get(
                f"/incidents/{one['id']}", headers=viewer, params={"facility_id": facility}
            )
            assert answer.status_code == status
