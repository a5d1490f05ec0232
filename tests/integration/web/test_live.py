"""Websockets over a real server: who is let in, what arrives, when a stream ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from engine.clock import SystemClock
from tests.integration.web.harness import Web, bearer, web_server
from web.database import Database
from web.live.alarms import AlarmFeed

pytestmark = pytest.mark.postgres

READING = ("s", "2026-11-22T10:15:00.123456", "24.60")


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path) as running:
        await running.facility("f")
        await running.sensor("s", "f")
        await running.sensor("t", "f")
        await running.facility("g")
        await running.sensor("far", "g")
        yield running


async def status_of(url: str, **options: object) -> int:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(url, **options):  # type: ignore[arg-type]
            pass
    return refused.value.response.status_code


async def received(socket: ClientConnection, count: int) -> list[str]:
    async with asyncio.timeout(10):
        return [str(await socket.recv()) for _ in range(count)]


async def nothing_more(socket: ClientConnection) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await socket.recv()


@asynccontextmanager
async def watching(web: Web, path: str, token: str, facility_id: str = "f") -> AsyncIterator[ClientConnection]:
    async with connect(web.ws(path, token=token)) as socket:
        await web.feed.until_watched(facility_id)
        yield socket


async def test_whoever_may_not_is_refused_with_403_before_the_connection(web: Web) -> None:
    _, _, token = await web.user("kim", ("f", "View"))
    pair = await web.sign_in()
    for url in (
        web.ws("/ws/sensor-data/s"),
        web.ws("/ws/sensor-data/s", token="nonsense"),
        web.ws("/ws/sensor-data/s", token=pair["refresh_token"]),
        web.ws("/ws/sensor-data/absent", token=token),
        web.ws("/ws/sensor-data/far", token=token),
        web.ws("/ws/facility-data/g", token=token),
        web.ws("/ws/notifications"),
        web.ws("/ws/notifications", token="x" * 5000),
    ):
        assert await status_of(url) == 403, url
    assert not any(web.feed.watching.values())


async def test_a_foreign_origin_is_refused_where_origins_are_named(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path, cors_origins="https://plant.example") as web:
        token = (await web.sign_in())["access_token"]
        assert await status_of(web.ws("/ws/notifications", token=token), origin="https://evil.example") == 403
        async with connect(web.ws("/ws/notifications", token=token), origin="https://plant.example"):  # type: ignore[arg-type]
            pass
        preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
        assert (await web.client.options("/users/me", headers=preflight)).status_code == 403
        plain = await web.client.get("/users/me", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in plain.headers


async def test_readings_arrive_as_received_and_nothing_else_does(web: Web) -> None:
    _, _, token = await web.user("kim", ("f", "View"))
    async with watching(web, "/ws/sensor-data/s", token) as socket:
        mine, _ = web.feed.publish("f", READING, ("t", "2026-11-22T10:15:00", "1"))
        assert await received(socket, 1) == [mine]
        assert json.loads(mine) == {
            "sensor_id": "s", "facility_id": "f", "tracked_at": "2026-11-22T10:15:00.123456", "data": "24.60"
        }  # fmt: skip
        await nothing_more(socket)
    await web.feed.until_watched("f", 0)


async def test_one_socket_may_watch_a_whole_facility(web: Web) -> None:
    token = (await web.sign_in())["access_token"]
    async with watching(web, "/ws/facility-data/f", token) as socket:
        frames = web.feed.publish("f", READING, ("t", "2026-11-22T10:15:00", "1"))
        assert await received(socket, 2) == frames


async def test_values_sent_again_after_a_reload_are_dropped_and_late_ones_are_not(web: Web) -> None:
    token = (await web.sign_in())["access_token"]
    async with watching(web, "/ws/sensor-data/s", token) as socket:
        first = web.feed.publish("f", READING)
        web.feed.publish("f", READING, snapshot=True)
        late = web.feed.publish("f", ("s", "2026-11-22T09:00:00", "20.0"))
        assert await received(socket, 2) == first + late
        await nothing_more(socket)


async def test_a_snapshot_tells_what_was_missed_and_not_what_was_before(web: Web) -> None:
    token = (await web.sign_in())["access_token"]
    async with watching(web, "/ws/facility-data/f", token) as socket:
        web.feed.publish("f", ("t", "2026-01-01T00:00:00", "old"), snapshot=True)
        missed = web.feed.publish("f", ("s", "2199-01-01T00:00:00", "new"), snapshot=True)
        later = web.feed.publish("f", ("t", "2026-01-01T00:00:01", "late, but read just now"))
        assert await received(socket, 2) == missed + later


async def test_the_stream_goes_on_after_the_engine_was_away(web: Web) -> None:
    token = (await web.sign_in())["access_token"]
    async with watching(web, "/ws/sensor-data/s", token) as socket:
        web.feed.interrupt("f")
        await web.feed.until_watched("f", 0)
        await web.feed.until_watched("f", 1)
        frames = web.feed.publish("f", READING)
        assert await received(socket, 1) == frames


async def test_a_socket_is_accepted_when_the_watch_stands_so_that_nothing_is_missed(web: Web) -> None:
    token = (await web.sign_in())["access_token"]
    web.feed.stands.clear()
    connecting = asyncio.create_task(connect(web.ws("/ws/sensor-data/s", token=token)).__aenter__())
    await asyncio.sleep(0.5)
    assert not connecting.done()
    web.feed.stands.set()
    socket = await connecting
    frames = web.feed.publish("f", READING)
    assert await received(socket, 1) == frames
    await socket.close()


async def test_many_sockets_share_one_watch_of_the_facility(web: Web) -> None:
    token = (await web.sign_in())["access_token"]
    sockets = [await connect(web.ws("/ws/sensor-data/s", token=token)) for _ in range(20)]
    await web.feed.until_watched("f", 1)
    await asyncio.sleep(0.1)
    frames = web.feed.publish("f", READING)
    assert [await received(socket, 1) for socket in sockets] == [frames] * 20
    shown = (await web.client.get("/metrics")).text
    assert 'gasinsight_websocket_clients{kind="sensor-data"} 20' in shown
    await asyncio.gather(*(socket.close() for socket in sockets))
    await web.feed.until_watched("f", 0)
    assert 'gasinsight_websocket_clients{kind="sensor-data"} 0' in (await web.client.get("/metrics")).text


async def test_a_slow_client_gets_the_newest_value_and_the_rest_is_counted(web: Web) -> None:
    token = (await web.sign_in())["access_token"]
    blob = "9" * 20_000
    async with connect(web.ws("/ws/sensor-data/s", token=token), max_queue=1, compression=None) as socket:
        await web.feed.until_watched("f")
        socket.transport.pause_reading()
        for n in range(2000):
            frames = web.feed.publish("f", ("s", "2026-11-22T10:15:00", f"{n}{blob}"))
            if n % 50 == 0:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        socket.transport.resume_reading()
        count = 0
        async with asyncio.timeout(20):
            while (last := str(await socket.recv())) != frames[0]:
                count += 1
    assert count < 1900
    shown = (await web.client.get("/metrics")).text
    conflated = [line for line in shown.splitlines() if line.startswith("gasinsight_conflated_values_total")]
    assert int(float(conflated[0].split()[-1])) == 2000 - (count + 1)
    assert last == frames[0]


async def test_what_clients_send_is_dropped(web: Web) -> None:
    token = (await web.sign_in())["access_token"]
    async with watching(web, "/ws/sensor-data/s", token) as socket:
        await socket.send("hello")
        await socket.send(b"\x00\xff")
        frames = web.feed.publish("f", READING)
        assert await received(socket, 1) == frames


@pytest.mark.parametrize("path", ["/ws/sensor-data/s", "/ws/facility-data/f"])
async def test_a_revoked_permission_closes_the_stream_within_five_seconds(web: Web, path: str) -> None:
    user_id, _, token = await web.user("kim", ("f", "View"))
    async with watching(web, path, token) as socket:
        listed = await web.client.get("/permissions", headers=await web.admin(), params={"user_id": user_id})
        await web.client.delete(f"/permissions/{listed.json()[0]['id']}", headers=await web.admin())
        with pytest.raises(ConnectionClosed):
            async with asyncio.timeout(5):
                await socket.recv()
        assert socket.close_code == 1008


async def test_a_deleted_user_loses_the_notifications(web: Web) -> None:
    user_id, _, token = await web.user("kim")
    async with connect(web.ws("/ws/notifications", token=token)) as socket:
        await web.client.delete(f"/users/{user_id}", headers=await web.admin())
        with pytest.raises(ConnectionClosed):
            async with asyncio.timeout(5):
                await socket.recv()


async def test_alerts_arrive_once_in_order_where_the_user_may_view(web: Web) -> None:
    sensor_no = await web.database.fetchval("SELECT sensor_no FROM sensors WHERE id = 's'")
    far_no = await web.database.fetchval("SELECT sensor_no FROM sensors WHERE id = 'far'")
    _, headers, token = await web.user("kim", ("f", "View"))
    await web.alert("f", sensor_no, "before")
    async with connect(web.ws("/ws/notifications", token=token)) as socket:
        ids = []
        for n in range(20):
            await web.alert("g", far_no, "foreign")
            await web.alert("f", sensor_no, "gone", transition="returned")
            ids.append(await web.alert("f", sensor_no, f"alert {n}"))
        alerts = [json.loads(text) for text in await received(socket, 20)]
        assert [alert["alert_id"] for alert in alerts] == ids
        await nothing_more(socket)
    assert set(alerts[0]) == {
        "type", "alert_id", "sensor_id", "facility_id", "message", "created_at", "event_time", "alert_type"
    }  # fmt: skip
    assert (alerts[0]["type"], alerts[0]["sensor_id"], alerts[0]["alert_type"]) == ("alert", "s", "Anomaly")
    assert not alerts[0]["created_at"].endswith("Z") and "+" not in alerts[0]["created_at"]
    listed = (await web.client.get("/alerts/facility/f", headers=headers)).json()
    assert [alert["id"] for alert in listed][:20] == ids[::-1]
    assert listed[0]["created_at"] == alerts[-1]["created_at"]


async def test_a_client_resumes_after_the_last_alert_it_had(web: Web) -> None:
    token = (await web.sign_in())["access_token"]
    ids = [await web.alert("f", 1, f"alert {n}") for n in range(5)]
    async with connect(web.ws("/ws/notifications", token=token, after_id=ids[1])) as socket:
        ids.append(await web.alert("f", 1, "new"))
        alerts = [json.loads(text)["alert_id"] for text in await received(socket, 4)]
        assert alerts == ids[2:]
    async with connect(web.ws("/ws/notifications", token=token, after_id=10**15)) as socket:
        ids.append(await web.alert("f", 1, "newer"))
        assert json.loads((await received(socket, 1))[0])["alert_id"] == ids[-1]


async def test_no_alert_is_lost_while_the_database_is_away(web: Web) -> None:
    token = (await web.sign_in())["access_token"]
    async with connect(web.ws("/ws/notifications", token=token)) as socket:
        await web.database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gasinsight-web'"
        )
        alert_id = await web.alert("f", 1, "while nobody listened")
        assert json.loads((await received(socket, 1))[0])["alert_id"] == alert_id


async def test_tokens_stay_out_of_the_access_log(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    pair = await web.sign_in()
    await web.client.post("/auth/refresh-token", params={"refresh_token": pair["refresh_token"]})
    await status_of(web.ws("/ws/sensor-data/absent", token=pair["access_token"], kept="yes"))
    await web.client.get("/users/me", headers=bearer(pair))
    lines = [record.getMessage() for record in caplog.records if record.name == "hypercorn.access"]
    assert "POST /auth/refresh-token 1.1 200" in lines
    assert "GET /ws/sensor-data/absent?kept=yes 1.1 403" in lines
    assert not any(token in line for token in (pair["access_token"], pair["refresh_token"]) for line in lines)


async def test_an_alert_from_before_the_journal_is_heard_is_told_when_it_is(web: Web) -> None:
    """A socket may wait already when the journal is first listened to; the alert of meanwhile must not wait on."""
    assert web.settings.database_url is not None
    database = Database(web.settings.database_url, 2, 10)
    await database.open()
    feed = AlarmFeed(database, SystemClock())
    alerts = feed.alerts(await feed.position())
    first = asyncio.ensure_future(anext(alerts))
    await asyncio.sleep(0.2)  # it has read the journal, and waits
    told = await web.alert("f", 1, "while nobody listened")
    following = asyncio.create_task(feed.run())
    try:
        assert (await asyncio.wait_for(first, 10)).id == told
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await alerts.aclose()
        await database.close()
