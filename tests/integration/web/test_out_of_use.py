"""Retired and removed over REST: what is answered, who is told, and that streams of it end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.integration.web.harness import web_server

pytestmark = pytest.mark.postgres
CLOSED_S_MAX = 5.0


@pytest.mark.parametrize(
    ("request_", "closed"),
    [
        ("POST /retire/sensor/s", ("/ws/sensor-data/s",)),
        ("DELETE /sensors/s", ("/ws/sensor-data/s",)),
        ("POST /retire/facility/f", ("/ws/sensor-data/s", "/ws/sensor-data/t", "/ws/facility-data/f")),
        ("DELETE /facilities/f", ("/ws/sensor-data/s", "/ws/sensor-data/t", "/ws/facility-data/f")),
    ],
)
async def test_streams_of_what_goes_out_of_use_end_also_an_admins_and_others_go_on(
    database_url: str, tmp_path: Path, request_: str, closed: tuple[str, ...]
) -> None:
    async with web_server(database_url, tmp_path) as web:
        for facility_id, sensor_ids in (("f", "st"), ("g", "u")):
            await web.facility(facility_id)
            for sensor_id in sensor_ids:
                await web.sensor(sensor_id, facility_id)
        admin = await web.admin()
        token = (await web.sign_in())["access_token"]
        streams = [f"/ws/sensor-data/{name}" for name in "stu"]
        streams += ["/ws/facility-data/f", "/ws/facility-data/g", "/ws/notifications"]
        sockets = {path: await connect(web.ws(path, token=token)) for path in streams}
        method, path = request_.split()
        answer = await web.client.request(method, path, headers=admin)
        assert answer.status_code == 200, answer.text
        for stream in closed:
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(sockets.pop(stream).recv(), CLOSED_S_MAX)
            with pytest.raises(InvalidStatus):
                await connect(web.ws(stream, token=token))
        for socket in sockets.values():
            await asyncio.wait_for(await socket.ping(), 2)
            await socket.close()


async def test_a_retired_facility_keeps_its_history_and_says_since_when(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        await web.facility("f")
        await web.sensor("s", "f")
        admin = await web.admin()
        before = (await web.client.get("/facilities/f", headers=admin)).json()
        assert "retired_at" not in before
        retired = (await web.client.post("/retire/facility/f", headers=admin)).json()
        assert {**before, "status": "Offline", "retired_at": retired["retired_at"]} == retired
        assert (await web.client.get("/facilities/f", headers=admin)).json() == retired
        sensor = (await web.client.get("/sensors/s", headers=admin)).json()
        assert (sensor["status"], "retired_at" in sensor) == ("Inactive", False)
        again = await web.client.post("/retire/facility/f", headers=admin)
        assert (again.status_code, again.json()) == (409, {"detail": "The facility is retired already"})
        records = {"start_date": "2026-11-20 00:00:00"}
        assert (await web.client.get("/sensor-records/s", headers=admin, params=records)).status_code == 200


async def test_a_retired_sensor_keeps_its_status_and_may_be_renamed(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        await web.facility("f")
        await web.sensor("s", "f")
        admin = await web.admin()
        retired = (await web.client.post("/retire/sensor/s", headers=admin)).json()
        assert retired["status"] == "Inactive" and retired["retired_at"] is not None
        assert (await web.client.post("/retire/sensor/s", headers=admin)).status_code == 409
        kept = await web.client.put("/sensors/s", headers=admin, json={"status": "Active"})
        assert kept.status_code == 409
        named = await web.client.put("/sensors/s", headers=admin, json={"name": "New", "status": "Inactive"})
        assert named.json() == {**retired, "name": "New"}


async def test_what_is_removed_is_answered_and_gone_with_its_permissions(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        await web.facility("f")
        await web.sensor("s", "f")
        await web.user("ida", ("f", "Edit"))
        admin = await web.admin()
        sensor = (await web.client.get("/sensors/s", headers=admin)).json()
        removed = await web.client.delete("/sensors/s", headers=admin)
        assert (removed.status_code, removed.json()) == (200, sensor)
        assert (await web.client.delete("/sensors/s", headers=admin)).status_code == 404
        facility = (await web.client.get("/facilities/f", headers=admin)).json()
        removed = await web.client.delete("/facilities/f", headers=admin)
        assert (removed.status_code, removed.json()) == (200, facility)
        for path in ("/facilities/f", "/sensors?facility_id=f", "/dashboard/facility/f", "/alerts/facility/f"):
            assert (await web.client.get(path, headers=admin)).status_code == 404, path
        permissions = await web.client.get("/permissions", headers=admin, params={"facility_id": "f"})
        assert permissions.json() == []
