"""Alarms in the typed client and in the terminal, against a real web server; the engine's part is played."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from typer.testing import CliRunner, Result

from engine.client import AlarmFrame, GasInSight, NotFound, Refused, Unusable
from engine.commands.cli.app import app
from engine.commands.login import NotDone
from engine.errors import SettingsError
from tests.integration.web.harness import ADMIN_EMAIL, ADMIN_PASSWORD, Web, web_server
from tests.integration.web.planted import START, planted, told

pytestmark = pytest.mark.postgres


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        await running.facility("f", name="North")
        await running.facility("g", name="South")
        await running.sensor("s", "f")
        yield running


@pytest_asyncio.fixture
async def gis(web: Web) -> AsyncIterator[GasInSight]:
    async with GasInSight(f"http://127.0.0.1:{web.port}", ADMIN_EMAIL, ADMIN_PASSWORD) as client:
        yield client


@asynccontextmanager
async def deciding(web: Web, refusal: str | None = None) -> AsyncIterator[None]:
    """An engine that puts into force, or refuses, whatever is asked."""

    async def decide() -> None:
        while True:
            await web.decide(refusal)
            await asyncio.sleep(0.02)

    task = asyncio.create_task(decide())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def gasinsight(web: Web, *words: str, chapter: str = "alarms") -> Result:
    login = ["--url", f"http://127.0.0.1:{web.port}", "--user", ADMIN_EMAIL, "--data-dir", str(web.settings.data_dir)]
    environment = {"GASINSIGHT_PASSWORD": ADMIN_PASSWORD, "COLUMNS": "200"}
    return await asyncio.to_thread(CliRunner().invoke, app, [chapter, *words, *login], env=environment)


async def test_alarms_are_read_as_they_are(web: Web, gis: GasInSight) -> None:
    since = datetime(2026, 11, 22, 10, tzinfo=UTC)
    await web.alarm("f", "facility:silent", since=since)
    await web.alarm("g", "facility:silent", suppression="shelved", suppressed_until=since)
    part = await gis.alarms.now()
    assert [(alarm.facility_id, alarm.state) for alarm in part.rows] == [("g", "shelved"), ("f", "unacknowledged")]
    assert part.total == 2 and part.rows[0].suppressed_until == since
    assert [alarm.facility_id for alarm in (await gis.alarms.now(state="shelved", limit=1)).rows] == ["g"]
    counts = await gis.alarms.counts()
    assert (counts.active, counts.shelved) == (2, 1)
    assert (await gis.alarms.counts("f")).shelved == 0
    found = await gis.alarms.alarm("f", "facility:silent")
    assert [entry.transition for entry in found.history] == ["activated"] and found.history[0].event_time == since
    with pytest.raises(NotFound):
        await gis.alarms.alarm("f", "facility:stuck")
    assert [entry.id async for entry in gis.alarms.journal(after=1)] == [2]
    assert [entry.id async for entry in gis.alarms.journal(facility_id="f", start=since, end=since)] == [1]
    assert [entry.id async for entry in gis.alarms.journal(rules=["silent", "high"], text="TOO High")] == [1, 2]
    assert [entry.id async for entry in gis.alarms.journal(text="north")] == [1]
    for nothing in ({"transitions": ["returned"]}, {"priorities": ["low"]}, {"verdicts": ["false"]}, {"actor": "ann"}):
        assert [entry async for entry in gis.alarms.journal(**nothing)] == []
    with pytest.raises(Unusable, match="transition"):
        await anext(gis.alarms.journal(transitions=["began"]))


async def test_commands_say_what_they_are_about(web: Web, gis: GasInSight) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
    alarms, of = gis.alarms, ("f", "facility:silent")
    async with deciding(web):
        assert (await alarms.acknowledge(*of, "seen")).is_done
        await alarms.comment(*of, "a line")
        await alarms.assign(*of, "night shift")
        await alarms.assign(*of, "")
        await alarms.shelve(*of, until, "calibration")
        await alarms.unshelve(*of)
        await alarms.out_of_service(*of, "replaced", work_order="W-1", until=until)
        await alarms.return_to_service(*of)
    rows = await web.database.fetch(
        "SELECT command, reason, until, assignee, work_order FROM alarm_commands ORDER BY id"
    )
    assert [tuple(row) for row in rows] == [
        ("acknowledge", "seen", None, None, None),
        ("comment", "a line", None, None, None),
        ("assign", "", None, "night shift", None),
        ("assign", "", None, "", None),
        ("shelve", "calibration", until, None, None),
        ("unshelve", "", None, None, None),
        ("out_of_service", "replaced", until, None, "W-1"),
        ("return_to_service", "", None, None, None),
    ]
    waiting = await alarms.acknowledge(*of, wait_s=0)
    assert not waiting.is_done
    async with deciding(web, "no sensor has the number 9"):
        with pytest.raises(Refused, match="no sensor has the number 9"):
            await alarms.acknowledge(*of)
    with pytest.raises(Unusable, match="until"):
        await alarms.command(*of, "shelve", reason="no end")
    with pytest.raises(NotFound):
        await alarms.acknowledge("absent", "facility:silent")


async def test_what_happens_is_told_once_over_lost_connections(web: Web, gis: GasInSight) -> None:
    for number in range(3):
        await web.alarm("f", f"facility:rule{number}")
    told: list[int] = []
    async with aclosing(gis.alarms.live()) as frames:
        first = await anext(frames)
        assert (first.type, len(first.alarms or ()), first.after_id) == ("snapshot", 3, 3)
        for _ in range(3):
            written = [await web.alert("f", None, "m") for _ in range(4)]
            told += [(await anext(frames)).after_id for _ in range(4)]
            assert told[-4:] == written
            for socket in list(gis._streams._sockets):
                socket.transport.abort()
    async with aclosing(gis.alarms.live(after=told[5])) as frames:
        assert [(await anext(frames)).after_id for _ in told[6:]] == told[6:]
    async with aclosing(gis.alarms.live(after=told[-1] + 50)) as frames:
        gap: AlarmFrame = await anext(frames)
        assert (gap.type, gap.after_id, len(gap.alarms or ())) == ("gap", told[-1], 3)


async def test_the_terminal_shows_and_commands(web: Web) -> None:
    await web.alarm("f", "facility:silent")
    await web.alarm(
        "g", "facility:silent", suppression="out_of_service", suppressed_by="user:1", suppression_reason="r"
    )
    await web.alarm("g", "facility:facility_anomaly")
    listed = await gasinsight(web, "list")
    assert "facility:silent" in listed.stdout and "North" in listed.stdout and "out of service" in listed.stdout
    assert "3 active, 2 of them not acknowledged; 0 shelved, 0 suppressed by design, 1 out of service." in listed.stdout
    lines = (await gasinsight(web, "list", "--facility", "g", "--json")).stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["facility:facility_anomaly", "facility:silent"]
    assert "activated: too high" in (await gasinsight(web, "show", "facility:silent", "--facility", "f")).stdout

    async with deciding(web):
        done = await gasinsight(web, "ack", "facility:facility_anomaly", "-m", "seen")
        assert "alarm facility:facility_anomaly of facility g is acknowledged; it is unacknowledged." in done.stdout
        shelved = await gasinsight(
            web, "shelve", "facility:silent", "--facility", "f", "--for", "2h", "-m", "calibration", "--json"
        )
        assert json.loads(shelved.stdout)["state"] == "done"
        for name, *rest in (
            ["unshelve"], ["comment", "a line"], ["out-of-service", "-m", "r"], ["in-service"], ["reset"],
            ["assign", "Ada", "-m", "knows it"], ["assign", ""], ["suppress", "-m", "down"], ["unsuppress"],
        ):  # fmt: skip
            said = await gasinsight(web, name, "facility:silent", *rest, "--facility", "f")
            assert said.exit_code == 0, said.output
    until = await web.database.fetchval("SELECT until FROM alarm_commands WHERE command = 'shelve'")
    assert timedelta(minutes=118) < until - datetime.now(UTC) < timedelta(hours=2)
    assert await web.database.fetchval("SELECT count(*) FROM alarm_commands") == 11
    assigned = await web.database.fetch("SELECT assignee FROM alarm_commands WHERE command = 'assign' ORDER BY id")
    assert [row["assignee"] for row in assigned] == ["Ada", ""]


async def test_the_terminal_says_what_is_wrong(web: Web) -> None:
    for facility_id in ("f", "g"):
        await web.alarm(facility_id, "facility:silent")
    several = await gasinsight(web, "ack", "facility:silent")
    assert isinstance(several.exception, NotDone) and "--facility, one of f, g" in str(several.exception)
    absent = await gasinsight(web, "ack", "9:high")
    assert isinstance(absent.exception, NotDone) and "other than normal" in str(absent.exception)
    wrong = await gasinsight(web, "shelve", "facility:silent", "--facility", "f", "--for", "2 weeks", "-m", "r")
    assert isinstance(wrong.exception, SettingsError) and "write 30m, 8h or 1d" in str(wrong.exception)
    async with deciding(web, "a shelf has an end"):
        refused = await gasinsight(web, "unshelve", "facility:silent", "--facility", "f")
    assert isinstance(refused.exception, NotDone) and "a shelf has an end" in str(refused.exception)


async def test_incidents_are_shown(web: Web, gis: GasInSight) -> None:
    assert await gis.alarms.incidents() == []
    assert "No three alarms" in (await gasinsight(web, "incidents")).output
    now = datetime.now(UTC)
    for place in range(3):
        await web.alarm("f", f"facility:rule{place}", since=now + timedelta(seconds=place))
    (one,) = await gis.alarms.incidents(facility_id="f", start=now - timedelta(hours=1), end=now + timedelta(hours=1))
    assert (one.alarms, one.state, one.first_out.alarm_id) == (3, "unacknowledged", "facility:rule0")
    whole = await gis.alarms.incident("f", one.id)
    assert (whole.incident, len(whole.members)) == (one, 3)
    with pytest.raises(NotFound):
        await gis.alarms.incident("g", one.id)
    text = (await gasinsight(web, "incidents")).output
    assert "unacknowledged  North: 3 alarms, 3 active, 3 not acknowledged; first facility:rule0: too high" in text
    line = (await gasinsight(web, "incidents", "--json")).output
    assert json.loads(line)["id"] == one.id


async def test_figures_have_their_targets(web: Web, gis: GasInSight) -> None:
    now = datetime.now(UTC)
    await web.alarm("f", "facility:silent", since=now - timedelta(minutes=1))
    await web.alarm("g", "facility:silent", since=now - timedelta(hours=2))
    assert [one.tally.activations for one in await gis.alarms.figures()] == [1, 2, 2]
    (one,) = await gis.alarms.figures(facility_ids=["f", "g"], start=now - timedelta(hours=3), end=now)
    assert (one.window, one.tally.activations, len(one.offenders)) == (None, 2, 2)
    assert one.measure("most_in_10_min").met and one.measure("top_ten_share").met is None
    (day,) = await gis.alarms.figures(facility_ids=["f"], window="24h")
    assert (day.window, day.tally.activations) == ("24h", 1)


async def test_proposals_are_made_one_by_one_and_can_be_set(web: Web, gis: GasInSight, tmp_path: Path) -> None:
    assert (await gis.alarms.proposals(start=START, end=START)).bad_actors == 0
    range_ = ("--from", f"{START:%Y-%m-%dT%H:%M:%SZ}", "--to", "2026-01-01T11:15:00Z")
    nothing = await gasinsight(web, "proposals", *range_, chapter="report")
    assert nothing.output == "No alarm chatters, is fleeting or comes too often.\n"
    await planted(web, "PT-1", facility_id="f")
    await planted(web, "PT-2", facility_id="g")
    for minute in range(3):
        await told(web, "facility:silent", None, START + timedelta(minutes=minute), "g")
    text = (await gasinsight(web, "proposals", *range_, chapter="report")).output
    lines = text.splitlines()
    assert len(lines) == 3 and lines[0].startswith(
        "f Sensor PT-1, high (low), told 60 times, 60 fleeting: on-delay 5 s;"
    )
    assert "60 activations become 0, 60 excursions are told to nobody" in lines[0]
    assert "g facility:silent, silent (low), told 3 times, 3 fleeting: nothing, look at the instrument" in lines[2]
    some = await gasinsight(web, "proposals", *range_, "--facility", "g", "--alarms", "1", "--json", chapter="report")
    (said,) = [json.loads(line) for line in some.output.splitlines()]
    assert (said["sensor_id"], said["outcome"]) == ("PT-2", "proposed")
    file = tmp_path / "rules.json"
    file.write_text(json.dumps(said["rules"]))
    done = await gasinsight(web, "set", "PT-2", str(file), chapter="rules")
    assert done.exit_code == 0, done.output
    part = await gis.alarms.proposals(sensor_ids=["PT-1"], start=START, end=START + timedelta(hours=1))
    (one,) = part.proposals
    assert part.bad_actors == 1 and one.rules is not None and one.proposed is not None
    assert (await gis.rules.set("PT-1", one.rules.model_dump())).of_sensor == one.rules
    wrong = await gasinsight(web, "proposals", "--from", "november", chapter="report")
    assert isinstance(wrong.exception, SettingsError) and "'november'" in str(wrong.exception)
    long = await gasinsight(web, "proposals", "--from", "2026-01-01", "--to", "2026-03-01", chapter="report")
    assert isinstance(long.exception, NotDone) and "31 days" in str(long.exception)


async def test_a_verdict_is_given_to_an_alert(web: Web, gis: GasInSight) -> None:
    event_id = await web.alarm("f", "facility:silent")
    async with deciding(web):
        assert (await gis.alarms.judge("f", "facility:silent", event_id, "expected", "maintenance")).is_done
        said = await gasinsight(web, "verdict", "facility:silent", "false", "-m", "a loose plug")
        assert said.exit_code == 0 and "is judged" in said.output, said.output
    rows = await web.database.fetch("SELECT verdict, about_event_id, reason FROM alarm_commands ORDER BY id")
    given = [tuple(row) for row in rows]
    assert given == [("expected", event_id, "maintenance"), ("false", event_id, "a loose plug")]
    with pytest.raises(Unusable, match="event_id"):
        await gis.alarms.judge("f", "facility:silent", event_id + 1, "true")
    assert (await gasinsight(web, "verdict", "facility:silent", "maybe")).exit_code == 2


async def test_reports_are_read_written_and_told(web: Web, gis: GasInSight, tmp_path: Path) -> None:
    await web.alarm("f", "facility:silent", since=datetime.now(UTC) - timedelta(minutes=5))
    written = await gasinsight(web, "note", "f", "valve 3 sticks\norder 4711", chapter="report")
    assert written.exit_code == 0 and "is written" in written.output, written.output
    assert [note.note for note in await gis.reports.notes(facility_ids=["f"])] == ["valve 3 sticks\norder 4711"]
    told = await gis.reports.handover(facility_ids=["f"])
    assert [entry.kind for entry in told.entries] == ["stands", "happened", "note"]
    assert (await gis.reports.handover(facility_ids=["g"])).entries == []
    month = f"{datetime.now(UTC):%Y-%m}"
    assert [entry.what for entry in (await gis.reports.monthly(month)).entries] == ["silent"]
    assert (await gis.reports.figures(month)).figures.tally.activations == 1
    handover = (await gasinsight(web, "handover", chapter="report")).output
    assert "valve 3 sticks, by admin" in handover and "\n              | order 4711\n" in handover
    assert "most_in_10_min" in (await gasinsight(web, "figures", "--month", month, chapter="report")).output
    line = (await gasinsight(web, "monthly", "--month", month, "--json", chapter="report")).output
    assert json.loads(line)["month"] == month
    page = tmp_path / "page.html"
    await gasinsight(web, "monthly", "--html", "--out", str(page), chapter="report")
    assert page.read_text().startswith("<!doctype html>")
    table = (await gasinsight(web, "figures", "--csv", chapter="report")).output
    assert table.startswith('"name","value"')
    twice = await gasinsight(web, "figures", "--csv", "--html", chapter="report")
    assert isinstance(twice.exception, SettingsError)
    wrong = await gasinsight(web, "figures", "--month", "november", chapter="report")
    assert isinstance(wrong.exception, NotDone) and "2026-11" in str(wrong.exception)
