"""`gasinsight watch --json` over a restart of the web server, a right that ends, and a token that expires."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from engine.client import NotSignedIn
from engine.commands import watch
from engine.commands.login import Login, LoginOptions
from engine.commands.watch import WatchOptions
from tests.integration.gasinsight import ROOT, command, environment
from tests.integration.web.harness import Restarting, web_server

pytestmark = pytest.mark.postgres


@pytest_asyncio.fixture
async def server(database_url: str, tmp_path: Path) -> AsyncIterator[Restarting]:
    async with web_server(database_url, tmp_path, access_token_expire_minutes=0.03) as web:
        for facility_id in ("f", "g"):
            await web.facility(facility_id)
            await web.sensor(f"sensor of {facility_id}", facility_id)
        restarting = Restarting(web)
        await restarting.start()
        yield restarting
        await restarting.stop()


async def test_watch_goes_on(
    server: Restarting, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOOK_AGAIN_S", 0.5)
    web = server.web
    user_id, _, _ = await web.user("kim", ("f", "View"))
    lines: list[dict[str, Any]] = []
    options = WatchOptions(LoginOptions(), None, 36, None, as_json=True)
    watching = asyncio.create_task(watch._watch(Login(server.url, "kim", "pw kim"), options))
    seconds = itertools.count()

    async def until(holds: Callable[[dict[str, Any]], bool]) -> None:
        """Publish values until a new line is the one."""
        async with asyncio.timeout(20):
            while True:
                for facility_id in ("f", "g"):
                    moment = f"2026-11-22T10:15:00.{next(seconds):06}"
                    web.feed.publish(facility_id, (f"sensor of {facility_id}", moment, "20.50"))
                await asyncio.sleep(0.1)
                new = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
                lines.extend(new)
                if any(map(holds, new)):
                    return
                assert not watching.done(), watching.result()

    await until(lambda line: line["kind"] == "value" and line["data"] == "20.50")
    assert set(lines[0]) == {"kind", "sensor_id", "facility_id", "tracked_at", "data"}
    await server.stop()
    alert_id = await web.alert("f", 1, "while the server was away")
    await asyncio.sleep(2)
    await server.start()
    await until(lambda line: line["kind"] == "alert")
    away = [line["reason"] for line in lines if line["kind"] == "away"]
    assert any("/ws/facility-data/f" in reason for reason in away) and len(away) == len(set(away))
    lines[:] = [line for line in lines if line["kind"] != "away"]
    await until(lambda line: line["kind"] == "value")
    assert [line["alert_id"] for line in lines if line["kind"] == "alert"] == [alert_id]
    assert [line["facility_id"] for line in lines if line["kind"] == "gap"] == ["f"]
    assert {line["facility_id"] for line in lines} == {"f"}, "nothing of what kim may not view"

    async def grant(facility_id: str) -> None:
        body = {"user_id": user_id, "facility_id": facility_id, "permission_type": "View"}
        granted = await web.client.post("/permissions", headers=await web.admin(), json=body)
        assert granted.status_code == 200

    listed = await web.client.get("/permissions", headers=await web.admin(), params={"user_id": user_id})
    await web.client.delete(f"/permissions/{listed.json()[0]['id']}", headers=await web.admin())
    await until(lambda line: line["kind"] == "ended" and "answered 403" in line["reason"])
    await grant("g")
    await until(lambda line: line["facility_id"] == "g")
    await grant("f")
    await until(lambda line: line["facility_id"] == "f")
    await web.client.delete(f"/users/{user_id}", headers=await web.admin())
    with pytest.raises(NotSignedIn, match="refuses kim"):
        await asyncio.wait_for(watching, 20)


async def test_without_a_terminal_a_change_is_a_line(server: Restarting, capsys: pytest.CaptureFixture[str]) -> None:
    web = server.web
    await web.user("kim", ("f", "View"))
    options = WatchOptions(LoginOptions(), None, 36, None, as_json=False)
    watching = asyncio.create_task(watch._watch(Login(server.url, "kim", "pw kim"), options))
    said = ""

    async def until(words: str) -> None:
        nonlocal said
        async with asyncio.timeout(20):
            while words not in said:
                assert not watching.done(), watching.result()
                await asyncio.sleep(0.05)
                said += capsys.readouterr().out

    await until(": 1 facility, 1 sensor\n")
    for second in itertools.count():
        web.feed.publish("f", ("sensor of f", f"2026-11-22T10:15:00.{second:06}", "20.50"))
        await asyncio.sleep(0.1)
        said += capsys.readouterr().out
        if "20.50" in said:
            break
    for number, value in enumerate(("20.50", "20.50", "20.75")):
        web.feed.publish("f", ("sensor of f", f"2026-11-22T10:16:0{number}", value))
    await until("20.75")
    await web.alert("f", 1, "too much [of] it")
    await until("too much [of] it")
    await server.stop()
    await until("/ws/facility-data/f")
    values = [line for line in said.splitlines() if "sensor o" in line]
    assert [line.split()[-1] for line in values] == ["20.50", "20.75"]
    assert values[-1].startswith("10:16:02  ")
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("how", ["reader leaves", "Ctrl-C"])
async def test_watch_ends_without_a_word(server: Restarting, how: str, as_json: bool) -> None:
    web = server.web
    await web.user("kim", ("f", "View"))
    words = ["watch", "--url", server.url, "--user", "kim", *(["--json"] if as_json else [])]
    process = await asyncio.create_subprocess_exec(
        *command(*words),
        cwd=ROOT,
        env=environment(GASINSIGHT_PASSWORD="pw kim"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    ended = asyncio.create_task(process.wait())
    seen = asyncio.create_task(process.stdout.readline())
    for second in itertools.count():
        web.feed.publish("f", ("sensor of f", f"2026-11-22T10:15:00.{second:06}", f"{second}.50"))
        await asyncio.sleep(0.1)
        if seen.done() and how == "Ctrl-C":
            process.send_signal(signal.SIGINT)
            break
        if seen.done():
            process.stdout._transport.close()  # type: ignore[attr-defined]
        if ended.done():
            break
        assert second < 300
    status = await asyncio.wait_for(ended, 20)
    assert await seen
    assert (await process.stderr.read()).decode() == ""
    assert status == 0
