"""The typed client against a real server: what it reads and changes, and what it does when things go wrong."""

from __future__ import annotations

import ast
import asyncio
import itertools
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import polars
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

from engine.client import (
    ClientError,
    GasInSight,
    NotFound,
    NotPermitted,
    NotSignedIn,
    Reading,
    Refused,
    ServerAway,
    Tokens,
    TooManyRequests,
    Unusable,
    connection,
    gasinsight,
    streams,
)
from engine.client.session import Caller
from tests.integration.web.harness import ADMIN_EMAIL, ADMIN_PASSWORD, Restarting, Web, web_server

pytestmark = pytest.mark.postgres
EXPIRED_S = 3.2  # after this an access token of these tests has expired
T0 = datetime(2026, 11, 22, 10, tzinfo=UTC)


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    """Access tokens live 3 s."""
    async with web_server(database_url, tmp_path, access_token_expire_minutes=0.05) as running:
        await running.facility("f")
        await running.sensor("s/1", "f")
        await running.facility("g", name="South")
        yield running


@pytest_asyncio.fixture
async def gis(web: Web) -> AsyncIterator[GasInSight]:
    async with GasInSight(f"http://127.0.0.1:{web.port}", ADMIN_EMAIL, ADMIN_PASSWORD) as client:
        yield client


@pytest_asyncio.fixture
async def server(web: Web) -> AsyncIterator[Restarting]:
    restarting = Restarting(web)
    await restarting.start()
    yield restarting
    await restarting.stop()


async def test_what_a_user_reads_and_changes(web: Web, gis: GasInSight) -> None:
    number = await web.database.fetchval("SELECT sensor_no FROM sensors")
    await web.readings(number, *((T0 + timedelta(seconds=15 * n), f"{n}.50") for n in range(4)))
    await web.readings(number, (T0 + timedelta(seconds=60), "open"))
    assert (await gis.me()).last_login is not None
    assert [facility.name for facility in await gis.facilities()] == ["North", "South"]
    assert (await gis.rename_facility("f", "Norden")).location.latitude == 51.25
    (sensor,) = await gis.sensors("f", latest=True)
    assert sensor.latest is not None and (sensor.latest.data, sensor.latest.value) == ("open", None)
    assert await gis.sensors("g") == [] and len(await gis.sensors()) == 1
    assert (await gis.change_sensor("s/1", expected_freq="15S", name="Tank")).name == "Tank"
    grid = await gis.records("s/1", T0, T0 + timedelta(minutes=1), freq="15S")
    assert [record.value for record in grid.records] == [0.5, 1.5, 2.5, 3.5, None]
    assert grid.records[1].tracked_at == T0 + timedelta(seconds=15) and grid.analytics.max == 3.5
    frame = await gis.records_frame("s/1", T0, T0 + timedelta(minutes=1), freq="15S")
    assert frame.schema == {
        "tracked_at": polars.Datetime("us", "UTC"), "value": polars.Float64, "data": polars.String
    }  # fmt: skip
    assert frame["value"].to_list() == [0.5, 1.5, 2.5, 3.5, None] and frame["data"][4] == "open"
    assert (await gis.dashboard()).metrics.total_facilities == 2
    assert (await gis.dashboard("g")).metrics.total_sensors == 0


async def test_history_of_few_points_of_several_sensors_and_reading_by_reading(
    web: Web, gis: GasInSight, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = await web.database.fetchval("SELECT sensor_no FROM sensors")
    await web.readings(number, *((T0 + timedelta(seconds=15 * n), f"{n % 7}.50") for n in range(50)))
    await web.sensor("other", "f")
    end = T0 + timedelta(minutes=20)
    line = await gis.records("s/1", T0, end, max_points=10, downsample="minmax")
    assert 6 <= len(line.records) <= 10 and {0.5, 6.5} <= {record.value for record in line.records}
    cell, *_, last = (await gis.records("s/1", T0, end, freq="1T", counts=True)).records
    assert (cell.n, cell.good_fraction, last.n, last.good_fraction) == (4, 1.0, 0, None)
    monkeypatch.setattr(gasinsight, "SENSORS_AT_ONCE", 1)
    several = await gis.records_of(["other", "s/1"], T0, end, freq="1T", aggregation="max")
    assert list(several) == ["other", "s/1"] and several["other"].records == []
    assert several["s/1"].records == (await gis.records("s/1", T0, end, freq="1T", aggregation="max")).records
    stored = [reading async for reading in gis.stored_readings("s/1", T0, end)]
    assert [reading.data for reading in stored] == [f"{n % 7}.50" for n in range(50)]
    backwards = [reading async for reading in gis.stored_readings("s/1", T0, newest_first=True)]
    assert backwards == stored[::-1]


async def test_every_alert_comes_once_also_when_new_ones_push_the_pages(
    web: Web, gis: GasInSight, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gasinsight, "PAGE_ROWS", 3)
    ids = [await web.alert("f", 1, f"alert {n}") for n in range(8)]
    seen = []
    async for alert in gis.alerts():
        seen.append(alert.id)
        if len(seen) == 2:
            await web.alert("f", 1, "while we read")
    assert seen == ids[::-1]
    assert [alert.id async for alert in gis.facility_alerts("f")][1:] == seen
    assert [alert.facility.id for alert in await gis.recent_alerts(2)] == ["f", "f"]


async def test_an_admin_makes_users_and_grants(web: Web, gis: GasInSight) -> None:
    kim = await gis.admin.create_user("kim", "kim@plant.example", "first")
    with pytest.raises(Refused, match="Email already registered"):
        await gis.admin.create_user("kim2", "kim@plant.example", "x")
    grant = await gis.admin.grant(kim.id, "f", "Edit")
    assert await gis.admin.permissions_of(kim.id) == await gis.admin.permissions_for("f") == [grant]
    await gis.admin.change_user(kim.id, password="second")
    assert [user.username for user in await gis.admin.users()] == ["admin", "kim"]
    async with GasInSight(gis.url, "kim", "second") as hers:
        assert [facility.id for facility in await hers.facilities()] == ["f"]
        with pytest.raises(NotPermitted, match=r"GET /facilities/g answered 403.*an Admin can grant"):
            await hers.facility("g")
        with pytest.raises(NotFound, match="404: Facility not found; look the id up"):
            await hers.facility("absent")
        with pytest.raises(Unusable, match=r"query.freq.*correct the request") as wrong:
            await hers.records("s/1", T0, freq="often")
        assert wrong.value.problems[0].loc == ["query", "freq"]
        with pytest.raises(ValueError, match="has no zone"):
            await hers.records("s/1", datetime(2026, 11, 22))
    async with GasInSight(gis.url, tokens=await gis.admin.impersonate(kim.id)) as as_kim:
        assert (await as_kim.me()).username == "kim"
    assert await gis.admin.revoke(grant.id) == grant
    await gis.admin.delete_user(kim.id)
    with pytest.raises(NotFound):
        await gis.admin.user(kim.id)


async def test_tokens_are_renewed_once_for_all_and_told(web: Web, gis: GasInSight) -> None:
    told: list[Tokens | None] = []
    async with GasInSight(gis.url, ADMIN_EMAIL, ADMIN_PASSWORD, on_tokens=told.append) as client:
        await client.me()
        await asyncio.sleep(EXPIRED_S)
        await asyncio.gather(*(client.me() for _ in range(20)))
        assert len(told) == 2 and told[-1] == client.tokens
    async with GasInSight(gis.url, tokens=told[-1], on_tokens=told.append) as later:
        await asyncio.sleep(EXPIRED_S)
        await later.me()
        await later.sign_out()
        with pytest.raises(NotSignedIn, match="signed out"):
            await later.me()
    assert len(told) == 4 and told[-1] is None
    async with GasInSight(gis.url, tokens=told[-2], on_tokens=told.append) as void:
        await asyncio.sleep(EXPIRED_S)
        refused = await asyncio.gather(*(void.me() for _ in range(5)), return_exceptions=True)
    assert all(isinstance(one, NotSignedIn) and "sign in again" in str(one) for one in refused)
    assert told[4:] == [None]


async def test_an_api_key_reads_its_facility_until_it_is_revoked(web: Web, gis: GasInSight) -> None:
    made = await gis.admin.create_api_key("a notebook", {"f": "View"})
    assert made.key is not None and made.key not in repr(made)
    (listed,) = await gis.admin.api_keys()
    assert (listed.id, listed.status, listed.key) == (made.id, "Active", None)
    async with GasInSight(gis.url, api_key=made.key) as program:
        assert [facility.id for facility in await program.facilities()] == ["f"]
        readings, alerts = program.readings("s/1"), program.alerts_live()
        await published(web, readings)
        with pytest.raises(NotPermitted):
            await program.rename_facility("f", "x")
        waiting = asyncio.ensure_future(anext(alerts))
        await asyncio.sleep(0.3)
        alert_id = await web.alert("f", 1, "now")
        assert (await asyncio.wait_for(waiting, 5)).alert_id == alert_id
        assert (await gis.admin.revoke_api_key(made.id)).status == "Revoked"
        for stream in (readings, alerts):
            with pytest.raises(NotSignedIn, match="expired or revoked"):
                await asyncio.wait_for(anext(stream), 10)


async def test_a_server_that_is_asked_too_often_is_waited_for(database_url: str, tmp_path: Path) -> None:
    async with (
        web_server(database_url, tmp_path, rate_limit_per_s=2, rate_limit_burst=4) as web,
        GasInSight(f"http://127.0.0.1:{web.port}", ADMIN_EMAIL, ADMIN_PASSWORD) as client,
    ):
        for _ in range(6):  # more than it answers at once
            await client.me()
        with pytest.raises(TooManyRequests, match="ask again in") as told:
            for _ in range(40):  # changes are not repeated by themselves
                await client.admin.change_user(1, username="admin")
        assert told.value.retry_after_s > 0


async def test_a_stream_is_opened_with_a_ticket_and_an_older_server_gets_the_token(
    web: Web, gis: GasInSight, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []

    def connect_and_show(address: str, **options: Any) -> connect:
        shown.append(address)
        return connect(address, **options)

    monkeypatch.setattr(streams, "connect", connect_and_show)
    await published(web, gis.readings("s/1"))
    assert "?ticket=" in shown[-1] and "token=" not in shown[-1]
    ask = Caller.ask

    async def of_an_older_server(caller: Caller, method: str, path: str, **content: Any) -> httpx.Response:
        return await ask(caller, method, "/absent" if path == "/ws/tickets" else path, **content)

    monkeypatch.setattr(Caller, "ask", of_an_older_server)
    await asyncio.sleep(EXPIRED_S)
    await published(web, gis.readings("s/1"))
    assert "?token=" in shown[-1]
    assert gis.tokens is not None and gis.tokens.access_token not in caplog.text


async def test_the_example_of_the_document_runs(
    web: Web, gis: GasInSight, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GASINSIGHT_URL", gis.url)
    monkeypatch.setenv("GASINSIGHT_PASSWORD", ADMIN_PASSWORD)
    text = (Path(__file__).parents[3] / "docs/client.md").read_text().replace("admin@example.com", ADMIN_EMAIL)
    program = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    await web.alert("f", 1, "an old alert")
    code = compile(program, "docs/client.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    running = asyncio.ensure_future(eval(code, {}))
    async with asyncio.timeout(30):
        while not running.done():
            await web.alert("f", 1, "a new alert")
            web.feed.publish("f", ("s/1", f"2026-11-22T10:15:00.{next(NUMBERS):06}", "20.00"))
            await asyncio.sleep(0.2)
    running.result()
    said = capsys.readouterr().out
    assert all(words in said for words in ("a new alert", "s/1 20.0", "403: Not enough permissions"))


async def test_no_alert_is_missed_or_doubled_over_restarts(server: Restarting) -> None:
    web = server.web
    before = await web.alert("f", 1, "before")
    away: list[ClientError] = []
    async with GasInSight(server.url, ADMIN_EMAIL, ADMIN_PASSWORD) as client:
        told: list[int] = []
        following = asyncio.create_task(follow(client.alerts_live(on_away=away.append), told))
        await until(lambda: web_sockets(server, 1))
        ids = []
        for _ in range(2):  # the first loss comes before the first alert
            await server.stop()
            ids.append(await web.alert("f", 1, "while the server was away"))
            await asyncio.sleep(EXPIRED_S)
            await server.start()
            ids.append(await web.alert("f", 1, "when it was back"))
            await until(lambda: len(told) >= len(ids))
        assert told == ids and before not in told
        assert away and all(isinstance(error, ServerAway) for error in away)
        following.cancel()
    async with GasInSight(server.url, ADMIN_EMAIL, ADMIN_PASSWORD) as client:
        resumed = client.alerts_live(after_id=ids[1])
        assert [(await anext(resumed)).alert_id for _ in ids[2:]] == ids[2:]


async def test_values_go_on_after_a_restart_and_the_gap_is_told(server: Restarting) -> None:
    web = server.web
    async with GasInSight(server.url, ADMIN_EMAIL, ADMIN_PASSWORD) as client:
        async with aclosing(client.readings("s/1")) as readings:
            first = await published(web, readings)
            assert (first.value, first.gap) == (20.0, None)
            lost_at = datetime.now(UTC)
            await server.stop()
            await asyncio.sleep(EXPIRED_S)
            await server.start()
            back_at = datetime.now(UTC)
            after = await published(web, readings)
            assert after.gap is not None and after.gap.from_at <= lost_at and after.gap.to_at >= back_at
            assert (await published(web, readings)).gap is None
        await web.feed.until_watched("f", 0)
        async with aclosing(client.facility_readings("f")) as readings:
            assert (await published(web, readings)).sensor_id == "s/1"
            following = asyncio.ensure_future(anext(readings))
            await asyncio.sleep(0.1)
            await client.close()
            with pytest.raises(StopAsyncIteration):
                await asyncio.wait_for(following, 5)


async def test_a_stream_ends_with_the_right_and_with_the_user(web: Web, gis: GasInSight) -> None:
    kim = await gis.admin.create_user("kim", "kim@plant.example", "pw")
    grant = await gis.admin.grant(kim.id, "f")
    async with GasInSight(gis.url, "kim", "pw") as hers:
        with pytest.raises(NotPermitted):
            await anext(hers.facility_readings("g"))
        with pytest.raises(NotFound):
            await anext(hers.readings("absent"))
        readings, alerts = hers.readings("s/1"), hers.alerts_live()
        await published(web, readings)
        waiting = asyncio.ensure_future(anext(readings)), asyncio.ensure_future(anext(alerts))
        await gis.admin.revoke(grant.id)
        with pytest.raises(NotPermitted):
            await asyncio.wait_for(waiting[0], 10)
        await gis.admin.delete_user(kim.id)
        with pytest.raises(NotSignedIn, match="refuses kim"):
            await asyncio.wait_for(waiting[1], 10)


async def test_a_server_that_comes_back_is_not_noticed_by_who_reads(
    server: Restarting, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with GasInSight(server.url, ADMIN_EMAIL, ADMIN_PASSWORD) as client:
        await client.me()
        await server.stop()
        monkeypatch.setattr(connection, "RESTART_S_MAX", 0.1)
        with pytest.raises(ServerAway, match="does the server run there"):
            await client.facilities()
        monkeypatch.setattr(connection, "RESTART_S_MAX", 1000)  # however long the start takes on this machine
        starting = asyncio.create_task(server.start())
        assert await client.facilities()
        await starting


async def follow(alerts: AsyncIterator[object], into: list[int]) -> None:
    async for alert in alerts:
        into.append(alert.alert_id)  # type: ignore[attr-defined]


async def published(web: Web, readings: AsyncGenerator[Reading, None]) -> Reading:
    """The next reading, while new ones are committed."""
    following = asyncio.ensure_future(anext(readings))
    async with asyncio.timeout(20):
        while True:
            web.feed.publish("f", ("s/1", f"2026-11-22T10:15:00.{next(NUMBERS):06}", "20.00"))
            done, _ = await asyncio.wait({following}, timeout=0.2)
            if done:
                break
    return following.result()


NUMBERS = itertools.count()


async def web_sockets(server: Restarting, count: int) -> bool:
    async with httpx.AsyncClient() as client:
        return f'kind="notifications"}} {count}' in (await client.get(f"{server.url}/metrics")).text


async def until(condition: object) -> None:
    async with asyncio.timeout(20):
        while True:
            holds = condition()  # type: ignore[operator]
            if holds is True or (holds is not False and await holds):
                return
            await asyncio.sleep(0.05)
