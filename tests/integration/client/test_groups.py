"""Groups in the terminal, against a real web server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from engine.client import FacilityGroups, GasInSight
from engine.commands.login import NotDone
from engine.errors import SettingsError
from tests.integration.client.terminal import gasinsight
from tests.integration.web.harness import ADMIN_EMAIL, ADMIN_PASSWORD, Web, web_server

pytestmark = pytest.mark.postgres

VOTE = {
    "name": "Hall 2",
    "kind": "vote",
    "votes": 1,
    "members": [{"sensor_id": name, "rules": ["high"]} for name in ("a", "b")],
}
HOT = {
    "name": "hot",
    "kind": "combination",
    "when": {"any": [{"not": {"sensor_id": "a", "below": 3}}, {"sensor_id": "b", "rule": "high"}]},
}
PAIR = {"name": "pair", "kind": "discrepancy", "commanded": "a", "reported": "b", "limit": 3}
REST = {"name": "stopped", "while": {"sensor_id": "b", "is": "Off"}, "alarms": [{"sensor_id": "a", "rules": ["low"]}]}


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        await running.facility("f", name="North")
        for name in ("a", "b"):
            await running.sensor(name, "f")
        yield running


async def set_of(web: Web) -> FacilityGroups:
    async with GasInSight(f"http://127.0.0.1:{web.port}", ADMIN_EMAIL, ADMIN_PASSWORD) as gis:
        return await gis.groups.of_facility("f")


def written(file: Path, **document: Any) -> str:
    file.write_text(json.dumps(document))
    return str(file)


async def test_the_terminal_says_what_would_become_of_groups_and_sets_them(web: Web, tmp_path: Path) -> None:
    assert "nothing was set" in (empty := await gasinsight(web, "groups", "show", "f")).output
    assert "No groups" in empty.output
    file = written(tmp_path / "groups.json", groups=[VOTE, HOT], rests=[REST])
    would = json.loads((await gasinsight(web, "groups", "set", "f", file, "--dry-run", "--json")).output)
    assert would == {
        "dry_run": True,
        "groups": [VOTE, HOT],
        "rests": [REST],
        "changes": {"groups": {"Hall 2": "new", "hot": "new"}, "rests": {"stopped": "new"}},
    }
    assert (await set_of(web)).versions == []
    assert "nothing is changed" in (await gasinsight(web, "groups", "set", "f", file, "--dry-run")).output
    done = json.loads((await gasinsight(web, "groups", "set", "f", file, "--json")).output)
    assert done["dry_run"] is False and done["changes"] == would["changes"]
    assert done["groups"] == (await set_of(web)).groups

    shown = (await gasinsight(web, "groups", "show", "f")).output
    assert "1 of 2: a (high), b (high)" in shown and "(not a below 3 or b high)" in shown
    assert "a (low) while b is Off" in shown and "last set" in shown
    as_shown = json.loads((await gasinsight(web, "groups", "show", "f", "--json")).output)
    again = written(tmp_path / "again.json", **as_shown)
    same = json.loads((await gasinsight(web, "groups", "set", "f", again, "--json")).output)
    assert {change for part in same["changes"].values() for change in part.values()} == {"as before"}
    assert len((await set_of(web)).versions) == 1, "what was shown may be set again, and is no version"

    file = written(tmp_path / "groups.json", groups=[VOTE | {"votes": 2}, PAIR])
    text = (await gasinsight(web, "groups", "set", "f", file, "--dry-run")).output
    lines = {tuple(line.split()[:2]) for line in text.splitlines()}
    assert {("changed", "Hall"), ("new", "pair"), ("ends", "hot"), ("ends", "stopped")} <= lines
    assert "a and b differ by more than 3" in text
    assert (await gasinsight(web, "groups", "set", "f", written(tmp_path / "none.json"))).exit_code == 0
    assert (await set_of(web)).groups == []


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"groups": [VOTE | {"votes": 3}]}, NotDone, "votes is 3"),
    ({"groups": [VOTE | {"on_dely_s": 3}]}, NotDone, "unknown field `on_dely_s`"),
    ({"groups": [PAIR | {"reported": "z"}]}, NotDone, "the facility has no sensor 'z'"),
    ({"rests": [REST | {"while": {"all": [{"sensor_id": "y", "is": "Off"}]}}]}, NotDone, "has no sensor 'y'"),
    ({"groups": {}, "rests": 3}, SettingsError, "rests must be a list of objects"),
    ({"groups": [3]}, SettingsError, "groups must be a list of objects"),
    ({"group": []}, SettingsError, "any of groups, rests, and nothing else"),
]


async def test_a_file_that_cannot_be_is_a_sentence(web: Web, tmp_path: Path) -> None:
    for document, kind, sentence in REFUSED:
        file = written(tmp_path / "groups.json", **document)
        for words in ((), ("--dry-run",)):
            error = (await gasinsight(web, "groups", "set", "f", file, *words)).exception
            assert isinstance(error, kind) and sentence in str(error), (document, error)
    assert (await set_of(web)).versions == []
    absent = await gasinsight(web, "groups", "set", "g", written(tmp_path / "none.json"), "--dry-run")
    assert isinstance(absent.exception, NotDone)
    assert isinstance((await gasinsight(web, "groups", "show", "g")).exception, NotDone)
