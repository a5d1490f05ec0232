"""Every route and websocket x every kind of caller x own, foreign and absent facility, from the OpenAPI document.

A new route is walked without a change here. One that says nothing of who may, or does otherwise than it says, fails.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.web.access_matrix import (
    ALARM,
    CALLERS,
    INCIDENTS,
    Case,
    NoRule,
    Walker,
    cases,
    expected,
    mismatch,
    undeclared,
)
from tests.integration.web.harness import HeldFeed, settings_for, web_server
from web.app import create_app
from web.auth.guard import Need
from web.contract.declare import Noun

pytestmark = pytest.mark.postgres


async def test_every_caller_gets_in_exactly_where_the_contract_says(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with web_server(database_url, tmp_path, access_token_expire_minutes=1 / 60) as brief:
        expired = (await brief.sign_in())["access_token"]
    async with web_server(database_url, tmp_path) as web:
        for facility_id in ("own", "foreign"):
            await web.facility(facility_id)
            await web.sensor(f"{facility_id} sensor", facility_id)
            INCIDENTS[facility_id] = await web.alarm(facility_id, ALARM)
            for rule in ("second", "third"):
                await web.alarm(facility_id, f"facility:{rule}")
        document = (await web.client.get("/openapi.json")).json()
        walker = Walker(web, document, expired)
        await walker.prepare()
        await asyncio.sleep(1.1)  # until the token has expired
        matrix = cases(document)
        everywhere = await web.client.get("/sensors", headers={"Authorization": f"Bearer {walker.tokens['View']}"})
        wrong = [said for case, operation in matrix if (said := mismatch(case, await walker.outcome(case, operation)))]
        assert [one["facility_id"] for one in everywhere.json()] == ["own"]
    routes = {case.route for case, _ in matrix}
    told = f"{len(matrix)} cases: {len(routes)} routes and websockets x {len(CALLERS)} callers x places"
    with capsys.disabled():
        sys.stdout.write(f"\n{told} ")
    assert len(matrix) > 400
    assert not wrong, "\n".join(wrong)


def test_nothing_is_served_that_is_not_declared(database_url: str, tmp_path: Path) -> None:
    app = create_app(settings_for(database_url, tmp_path), HeldFeed())
    document = document_of(app)
    assert undeclared(app, document) == set()

    async def backdoor() -> str:
        return "everything"

    app.add_url_rule("/backdoor/<name>", view_func=backdoor)
    app.add_websocket("/ws/backdoor", view_func=backdoor)
    assert undeclared(app, document) == {"/backdoor/{name}", "/ws/backdoor"}


def document_of(app: Any) -> dict[str, Any]:
    async def read() -> dict[str, Any]:
        answer = await app.test_client().get("/openapi.json")
        document: dict[str, Any] = await answer.get_json()
        return document

    return asyncio.run(read())


def test_a_need_without_a_rule_is_refused() -> None:
    with pytest.raises(NoRule):
        expected("(not declared)", "Admin", "own")
    with pytest.raises(NoRule):
        expected("Owner", "View", "own")


def test_a_route_that_lets_in_too_many_or_too_few_is_told() -> None:
    case = Case("GET", "/facilities/{facility_id}", "View", "View", "foreign")
    assert mismatch(case, 403) is None
    assert "expected 403, found admitted" in str(mismatch(case, "admitted"))
    assert "expected 401, found 404" in str(mismatch(Case("GET", "/x", "View", "nobody", "absent"), 404))


def test_a_route_that_needs_a_right_must_name_the_facility_it_is_about() -> None:
    """The guard would have nothing to look at, and let everybody in."""
    noun = Noun("fake", "")

    async def read_alert(call: object, alert_id: int) -> None: ...

    for need in (Need.VIEW, Need.EDIT):
        with pytest.raises(TypeError, match="facility_id"):
            noun.get("/fake/{alert_id}", need, str)(read_alert)
    noun.get("/fake/{alert_id}", Need.ADMIN, str)(read_alert)
