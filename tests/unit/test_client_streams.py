"""The client's streams without a network: what they wait, tell and resume when connections are lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.http11 import Response

from engine.client import ClientError, GasInSight, NotPermitted, Reading, ServerAway, ServerFailed, streams
from engine.client.backoff import BackOff

READING = {"sensor_id": "s", "facility_id": "f", "tracked_at": "2026-11-22T10:15:00.5", "data": "24.60"}
ALERT = {"type": "alert", "sensor_id": None, "facility_id": "f", "message": "m", "created_at": "2026-11-22T10:15:00"}
LOST = ConnectionClosedError(None, None)


class Socket:
    """One connection: what arrives on it, and how it is lost."""

    close_code, close_reason = 1012, ""

    def __init__(self, *events: object) -> None:
        self._events = events
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[str]:
        for event in self._events:
            if isinstance(event, Exception):
                raise event
            yield json.dumps(event)

    async def close(self) -> None:
        self.is_closed = True


def status(code: int, **headers: str) -> InvalidStatus:
    return InvalidStatus(Response(code, "", Headers({name.replace("_", "-"): text for name, text in headers.items()})))


class Line:
    """A client whose connections are given one after the other."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *given: Socket | Exception) -> None:
        self.gis = GasInSight("http://plant.example", api_key="gik_x")
        self.opened: list[dict[str, str]] = []
        self.asked: list[str] = []
        self.waited: list[float] = []
        left = list(given)

        async def open_next(path: str, query: dict[str, str]) -> Any:
            self.opened.append(query)
            one = left.pop(0) if left else NotPermitted("the end of the test")
            if isinstance(one, Exception):
                raise one
            return one

        async def ask(method: str, path: str, **content: Any) -> Any:
            self.asked.append(path)

        async def sleep(seconds: float) -> None:
            self.waited.append(seconds)

        monkeypatch.setattr(self.gis._streams, "_open", open_next)
        monkeypatch.setattr(self.gis._caller, "ask", ask)
        monkeypatch.setattr(asyncio, "sleep", sleep)


async def all_of(stream: AsyncIterator[Any]) -> list[Any]:
    """Until the last connection's NotPermitted."""
    found = []
    with pytest.raises(NotPermitted, match="the end of the test"):
        async for one in stream:
            found.append(one)
    return found


async def test_the_first_reading_after_a_loss_has_the_gap_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet, lost_again = Socket(LOST), Socket(LOST)
    line = Line(monkeypatch, Socket(READING, READING), quiet, lost_again, Socket(READING, READING))
    readings: list[Reading] = await all_of(line.gis.readings("s"))
    first, second, third, fourth = readings
    assert first.gap is second.gap is fourth.gap is None and third.gap is not None
    assert third.value == 24.6 and third.tracked_at == datetime(2026, 11, 22, 10, 15, 0, 500_000, UTC)
    now = datetime.now(UTC)
    assert now - timedelta(seconds=5) < third.gap.from_at <= third.gap.to_at <= now
    assert quiet.is_closed and lost_again.is_closed


async def test_before_anything_was_heard_the_gap_goes_back_to_the_last_ping(monkeypatch: pytest.MonkeyPatch) -> None:
    (reading,) = await all_of(Line(monkeypatch, Socket(LOST), Socket(READING)).gis.readings("s"))
    assert 35 < (reading.gap.to_at - reading.gap.from_at).total_seconds() < 45


async def test_alerts_go_on_after_the_last_one_and_none_comes_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    alerts = [{**ALERT, "alert_id": number, "alert_type": "Anomaly"} for number in range(10)]
    line = Line(monkeypatch, Socket(*alerts[3:5], LOST), OSError("away"), Socket(alerts[4], alerts[6]), Socket())
    found = await all_of(line.gis.alerts_live(after_id=2))
    assert [alert.alert_id for alert in found] == [3, 4, 6]
    assert [query["after_id"] for query in line.opened] == ["2", "4", "4", "6", "6"]


async def test_waits_grow_until_a_connection_was_steady(monkeypatch: pytest.MonkeyPatch) -> None:
    def failures(back_off: BackOff, asked_s: float | None = None) -> float:
        back_off._failures += 1
        return back_off._failures

    monkeypatch.setattr(BackOff, "wait_s", failures)
    line = Line(monkeypatch, *(Socket(LOST) for _ in range(4)))
    await all_of(line.gis.readings("s"))
    assert line.waited == [1, 2, 3, 4]
    monkeypatch.setattr(streams, "STEADY_S", -1.0)
    line = Line(monkeypatch, Socket(LOST), OSError("away"), OSError("away"), Socket(LOST))
    await all_of(line.gis.readings("s"))
    assert line.waited == [1, 2, 3, 1]


async def test_whoever_asks_is_told_why_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[ClientError] = []
    line = Line(monkeypatch, Socket(), status(429, Retry_After="7"), status(503), status(404), status(403))
    await all_of(line.gis.facility_readings("f/1", on_away=told.append))
    assert len(told) == len(line.waited) == 5 and line.waited[1] >= 7
    assert "the server closed /ws/facility-data/f%2F1 (1012)" in str(told[0])
    assert all(isinstance(error, ServerAway) for error in (told[0], *told[2:]))
    assert line.asked == ["/facilities/f%2F1"], "REST says what a 403 means; here that there is nothing wrong"


@pytest.mark.parametrize("code", [200, 400, 404, 426])
async def test_a_proxy_that_passes_no_websockets_is_said_at_once(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    with pytest.raises(ServerFailed, match=r"a proxy .* has to pass websockets on"):
        await anext(Line(monkeypatch, status(code)).gis.readings("s"))


async def test_a_frame_that_is_no_reading_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServerFailed, match="does not answer as GasInSight does"):
        await anext(Line(monkeypatch, Socket({"hello": 1})).gis.readings("s"))


async def test_an_endless_wait_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch, *[OSError("away")] * 1000)
    monkeypatch.setattr(asyncio, "sleep", lambda _: asyncio.Event().wait())
    following = asyncio.ensure_future(anext(line.gis.readings("s")))
    await asyncio.wait({following}, timeout=0.01)
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following
