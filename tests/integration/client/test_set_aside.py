"""Dead letters and parked rows in the typed client and in the terminal; the engine's part is played."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from typer.testing import CliRunner, Result

from engine.client import GasInSight, NotFound, Unusable
from engine.commands import dead_letters
from engine.commands.cli.app import app
from engine.commands.login import NotDone
from engine.errors import SettingsError
from tests.integration.web.harness import ADMIN_EMAIL, ADMIN_PASSWORD, Web, web_server

pytestmark = pytest.mark.postgres
LETTERS = """
INSERT INTO dead_letters (source, queue, reason, detail, body, facility_id, sensor_id, recorded_at)
SELECT 'row', '', $2, 'ahead', '{}', 'f', 's' || n, now() FROM generate_series(1, $1) n
"""
PARKED = """
INSERT INTO parked (kind, facility_id, sensor_id, body, reason, digest, parked_at)
VALUES ('reading', 'f', 's', '{"data": "1"}', 'unknown_sensor', 'x', now())
"""
ENDED = """
UPDATE redrives SET state = CASE WHEN sensor_id = 's1' THEN 'refused' ELSE 'done' END, outcome = 'future: ahead',
       ended_at = now() WHERE state = 'waiting'
"""


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        yield running


async def said(web: Web, *words: str) -> Result:
    url = f"http://127.0.0.1:{web.port}"
    login = ["--url", url, "--user", ADMIN_EMAIL, "--password", ADMIN_PASSWORD]
    return await asyncio.to_thread(CliRunner().invoke, app, ["dead-letters", *words, *login])


async def ending(web: Web) -> None:
    """As the engine does, for as long as it runs."""
    while True:
        await web.database.execute(ENDED)
        await asyncio.sleep(0.02)


async def test_letters_are_listed_shown_redriven_and_deleted(web: Web) -> None:
    await web.database.execute(LETTERS, 3, "future")
    await web.database.execute(LETTERS, 1, "odd")
    await web.database.execute(PARKED)
    async with GasInSight(f"http://127.0.0.1:{web.port}", ADMIN_EMAIL, ADMIN_PASSWORD) as gis:
        letters = await gis.set_aside.dead_letters(reason="future")
        assert ([letter.sensor_id for letter in letters.rows], letters.total) == (["s3", "s2", "s1"], 3)
        whole = await gis.set_aside.dead_letter(letters.rows[0].id)
        assert (whole.content, whole.encoding, whole.redriven_as) == ("{}", "text", "data")
        parked = await gis.set_aside.parked(facility_id="f")
        assert await gis.set_aside.parked_row(parked.rows[0].id) == parked.rows[0]
        with pytest.raises(Unusable):
            await gis.set_aside.redrive("parked")
        asked = await gis.set_aside.redrive("dead_letters", reason="future")
        assert (asked.taken, asked.left) == (3, [])
        waiting = await gis.set_aside.wait(asked.redrive_id, patience_s=0)
        assert {row.state for row in waiting} == {"waiting"}
        await web.database.execute(ENDED)
        told: list[tuple[int, int]] = []
        ended = await gis.set_aside.wait(asked.redrive_id, lambda left, of: told.append((left, of)))
        assert ({row.state for row in ended}, told) == ({"done", "refused"}, [(0, 3)])
        assert await gis.set_aside.delete("dead_letters", because="a test rig", reason="odd") == 1
        with pytest.raises(NotFound):
            await gis.set_aside.delete("dead_letters", [whole.id], because="again")


async def test_the_terminal_shows_them_and_what_became_of_a_redrive(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    await web.database.execute(LETTERS, 5, "future")
    await web.database.execute(PARKED)
    shown = await said(web, "list", "--reason", "future", "--limit", "2")
    assert "future: ahead" in shown.stdout and "2 of 5" in shown.stdout
    assert "unknown_sensor" in (await said(web, "list", "--parked")).stdout
    assert (await said(web, "list", "--reason", "none of them")).stdout == "None.\n"
    as_json = [json.loads(line) for line in (await said(web, "list", "--json")).stdout.splitlines()]
    assert [row["sensor_id"] for row in as_json] == ["s5", "s4", "s3", "s2", "s1"]
    one = str(as_json[0]["id"])
    assert "reason: future" in (await said(web, "show", one)).stdout
    assert json.loads((await said(web, "show", one, "--json")).stdout)["content"] == "{}"
    monkeypatch.setattr(dead_letters, "AT_ONCE_MAX", 2)
    engine = asyncio.create_task(ending(web))
    redriven = await said(web, "redrive", "--facility", "f")
    engine.cancel()
    await asyncio.gather(engine, return_exceptions=True)
    assert redriven.exit_code == 1
    assert "4 in effect" in redriven.stdout and "1 are dead letters again" in redriven.stdout
    assert "4 of 5" in redriven.stdout, "progress of what is done in pieces"
    assert "none fits" in str((await said(web, "redrive", "--facility", "f")).exception)
    gone = await said(web, "delete", "--parked", "--sensor", "s", "--because", "a test rig", "--json")
    assert json.loads(gone.stdout) == {"deleted": 1}


async def test_what_is_missing_is_said_in_a_sentence(web: Web) -> None:
    unsaid = await said(web, "redrive")
    assert isinstance(unsaid.exception, SettingsError)
    absent = await said(web, "show", "17")
    assert isinstance(absent.exception, NotDone)
    assert "because" in (await said(web, "delete", "17")).output
