"""The client without a server: waits, retries, errors, and one renewal for all. Answers come from a function."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from engine.client import (
    ClientError,
    GasInSight,
    NotPermitted,
    NotSignedIn,
    Refused,
    ServerAway,
    ServerFailed,
    Tokens,
    TooManyRequests,
    Unusable,
    connection,
)
from engine.client.backoff import WAIT_S_MAX, BackOff
from engine.client.gasinsight import PAGE_ROWS
from engine.client.history import SENSORS_AT_ONCE

URL = "http://plant.example"
ME = {"id": 1, "username": "kim", "email": "k@p.org", "created_at": "2026-01-01T00:00:00", "last_login": None}
ME |= {"role": "User", "of a newer server": True}
FACILITY: dict[str, Any] = {
    "name": "North",
    "status": "Active",
    "type": "TankFarm",
    "created_at": "2026-01-01T00:00:00",
}
FACILITY |= {"location_id": 1, "location": {"id": 1, "address": None, "longitude": 7.5, "latitude": 51.25}}
OLD = Tokens(access_token="old access", refresh_token="old refresh")
PAIR = {"access_token": "new access", "refresh_token": "new refresh", "token_type": "bearer"}
Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client would have waited."""
    waited: list[float] = []
    real_sleep = asyncio.sleep

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        await real_sleep(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return waited


def client(answer: Answer, **login: Any) -> GasInSight:
    made = GasInSight(URL, **(login or {"api_key": "gik_x"}))
    made._connection._http = httpx.AsyncClient(base_url=URL, transport=httpx.MockTransport(answer))
    return made


def answers(*given: httpx.Response | Exception) -> tuple[Answer, list[httpx.Request]]:
    """One after the other."""
    asked: list[httpx.Request] = []
    left = list(given)

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        one = left.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    return answer, asked


def _always(given: httpx.Response | Exception) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        if isinstance(given, Exception):
            raise given
        return given

    return answer


def test_waits_double_to_a_bound_by_chance_and_start_again() -> None:
    for seed in range(50):
        back_off = BackOff(chance=random.Random(seed))
        waited = [back_off.wait_s() for _ in range(12)]
        assert all(0 <= wait <= min(WAIT_S_MAX, 0.5 * 2**n) for n, wait in enumerate(waited))
        assert back_off.wait_s(asked_s=7.0) >= 7.0
        back_off.reset()
        assert back_off.wait_s() <= 0.5
    apart = {BackOff(chance=random.Random(seed)).wait_s() for seed in range(50)}
    assert len(apart) == 50, "clients that lost the same server do not come together"
    assert max(BackOff(_failures=2000, chance=random.Random(seed)).wait_s() for seed in range(50)) > WAIT_S_MAX / 2


async def test_a_part_of_a_list_says_how_many_there_are_and_pages_end_with_the_last() -> None:
    for headers, total in (({"X-Total-Count": "7"}, 7), ({}, None), ({"X-Total-Count": "many"}, None)):
        answer, asked = answers(httpx.Response(200, json=[], headers=headers))
        part = await client(answer).alerts_part(skip=7, limit=5)
        assert (part.rows, part.total, asked[0].url.query) == ([], total, b"skip=7&limit=5")
    full = [{**FACILITY, "id": f"f{n}"} for n in range(PAGE_ROWS)]
    for headers, calls in (({"X-Total-Count": str(PAGE_ROWS)}, 1), ({}, 2)):
        answer, asked = answers(httpx.Response(200, json=full, headers=headers), httpx.Response(200, json=[]))
        assert len(await client(answer).facilities()) == PAGE_ROWS
        assert len(asked) == calls


async def test_parts_of_readings_are_asked_for_until_there_is_none_now() -> None:
    one = {"tracked_at": "2026-01-01T00:00:00.5", "data": "1.50", "score": None, "flags": 0}
    answer, asked = answers(
        httpx.Response(200, json={"readings": [one], "next": "2026-01-01T00:00:00.5Z"}),
        httpx.Response(200, json={"readings": [], "next": None}),
    )
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert [reading.value async for reading in client(answer).stored_readings("s/1", start)] == [1.5]
    assert [request.url.params.get("after") for request in asked] == [None, "2026-01-01T00:00:00.5Z"]
    assert asked[1].url.raw_path.startswith(b"/sensor-readings/s%2F1?start_date=2026-01-01T00")


async def test_sensors_are_asked_for_twenty_at_a_time() -> None:
    empty = {"records": [], "analytics": {"mean": None, "min": None, "max": None}}

    def answer(request: httpx.Request) -> httpx.Response:
        some = request.url.params.get_list("sensor_id")
        assert len(some) <= SENSORS_AT_ONCE == 20
        return httpx.Response(200, json={"grids": [{"sensor_id": one, **empty} for one in some]})

    names = [f"s{n}" for n in range(41)]
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert list(await client(answer).records_of(names, start, max_points=9)) == names


async def test_what_only_reads_is_tried_three_times(waits: list[float]) -> None:
    answer, asked = answers(httpx.ReadTimeout("slow"), httpx.Response(502), httpx.Response(200, json=ME))
    assert (await client(answer).me()).username == "kim"
    assert len(asked) == 3 and len(waits) == 2
    for trouble in (httpx.ReadTimeout("slow"), httpx.Response(502), httpx.Response(504)):
        answer, asked = answers(*[trouble] * 3)
        with pytest.raises(ServerAway, match=r"no answer from http://plant|try again later"):
            await client(answer).me()
        assert len(asked) == 3


@pytest.mark.parametrize(
    "starting", [httpx.ConnectError("refused"), httpx.Response(503, headers={"Retry-After": "1"}), httpx.Response(503)]
)
async def test_a_server_that_may_be_starting_is_waited_for_and_not_for_ever(starting: Any, waits: list[float]) -> None:
    answer, asked = answers(*[starting] * 5, httpx.Response(200, json=ME))
    assert (await client(answer).me()).username == "kim"
    assert len(asked) == 6
    waits.clear()
    with pytest.raises(ServerAway):
        await client(_always(starting)).me()
    assert sum(waits[:-1]) < connection.RESTART_S_MAX <= sum(waits)
    assert max(waits) <= connection.WAIT_S_MAX + 1


async def test_signing_in_gets_over_a_start_and_a_wrong_password_is_told_at_once(waits: list[float]) -> None:
    answer, asked = answers(
        httpx.ConnectError("refused"),
        *[httpx.Response(503, headers={"Retry-After": "2"})] * 3,
        httpx.Response(200, json=PAIR),
        httpx.Response(200, json=ME),
    )
    assert (await client(answer, email="kim", password="right").me()).username == "kim"
    assert [request.url.path for request in asked] == ["/auth/token"] * 5 + ["/users/me"]
    waits.clear()
    answer, asked = answers(httpx.Response(401))
    with pytest.raises(NotSignedIn):
        await client(answer, email="kim", password="wrong").me()
    assert len(asked) == 1 and not waits


@pytest.mark.parametrize("trouble", [httpx.ConnectError("refused"), httpx.Response(503), httpx.Response(429)])
async def test_a_change_is_sent_once(trouble: Any, waits: list[float]) -> None:
    answer, asked = answers(trouble)
    with pytest.raises((ServerAway, TooManyRequests)):
        await client(answer).rename_facility("f", "North")
    assert len(asked) == 1 and not waits


async def test_a_short_wait_that_the_server_asks_for_is_kept_and_a_long_one_is_told(waits: list[float]) -> None:
    busy: dict[str, Any] = {"json": {"detail": "Too many requests"}}
    answer, _ = answers(
        httpx.Response(429, headers={"Retry-After": "10"}, **busy), httpx.Response(200, json=ME)
    )  # fmt: skip
    await client(answer).me()
    assert 10 <= waits[0] <= 10.5
    answer, asked = answers(httpx.Response(429, headers={"Retry-After": "11"}, **busy))
    with pytest.raises(TooManyRequests, match="ask again in 11 s") as told:
        await client(answer).me()
    assert told.value.retry_after_s == 11 and len(asked) == 1 and len(waits) == 1


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (httpx.Response(403, json={"detail": "Not enough permissions"}), NotPermitted, "an Admin can grant the right"),
        (httpx.Response(400, json={"detail": "Username taken"}), Refused, "answered 400: Username taken"),
        (httpx.Response(500, text="<html>"), ServerFailed, "tell who runs plant.example"),
        (httpx.Response(200, text="<html>a router's login page"), ServerFailed, "is the address right?"),
        (httpx.Response(200, json={"id": "x"}), ServerFailed, "does not answer as GasInSight does"),
        (httpx.Response(401, json={"detail": "Could not validate"}), NotSignedIn, "expired or revoked; make a new one"),
        (
            httpx.Response(422, json={"detail": [{"loc": ["query", "freq"], "msg": "is no frequency", "type": "x"}]}),
            Unusable,
            "query.freq: is no frequency",
        ),
    ],
)
async def test_every_refusal_says_what_to_do(answer: httpx.Response, kind: type[ClientError], words: str) -> None:
    with pytest.raises(kind) as told:
        await client(lambda _: answer).me()
    assert words in str(told.value)


async def test_one_renewal_serves_all_who_wait_and_outlives_who_began_it() -> None:
    counted: Counter[str] = Counter()
    refreshing, may_answer = asyncio.Event(), asyncio.Event()
    told: list[Tokens | None] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        counted[request.url.path] += 1
        if request.url.path == "/auth/refresh-token":
            assert request.content == b'{"refresh_token":"old refresh"}' and not request.url.query
            refreshing.set()
            await may_answer.wait()
            return httpx.Response(200, json=PAIR)
        is_new = request.headers["authorization"] == "Bearer new access"
        return httpx.Response(200, json=ME) if is_new else httpx.Response(401)

    gis = client(answer, tokens=OLD, on_tokens=told.append)  # type: ignore[arg-type]
    first = asyncio.create_task(gis.me())
    await refreshing.wait()
    others = [asyncio.create_task(gis.me()) for _ in range(9)]
    await asyncio.sleep(0)
    first.cancel()
    may_answer.set()
    assert {user.username for user in await asyncio.gather(*others)} == {"kim"}
    assert first.cancelled() and counted["/auth/refresh-token"] == 1
    assert told == [Tokens.model_validate(PAIR)] and gis.tokens == told[0]


async def test_a_refused_password_is_not_tried_again_by_itself() -> None:
    answer, asked = answers(httpx.Response(401), httpx.Response(200, json=PAIR), httpx.Response(200, json=ME))
    gis = client(answer, email="kim", password="guess")
    for _ in range(3):
        with pytest.raises(NotSignedIn, match="refuses kim: wrong password"):
            await gis.me()
    assert len(asked) == 1
    await gis.sign_in()
    assert (await gis.me()).id == 1


async def test_a_login_that_ended_is_begun_again_with_the_password() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.path)
        if request.url.path == "/auth/token":
            return httpx.Response(200, json=PAIR)
        is_new = request.headers.get("authorization") == "Bearer new access"
        return httpx.Response(200, json=ME) if is_new else httpx.Response(401)

    await client(answer, tokens=OLD, email="kim", password="right").me()
    assert seen == ["/users/me", "/auth/refresh-token", "/auth/token", "/users/me"]


@pytest.mark.parametrize("given", [{}, {"email": "kim"}, {"tokens": OLD, "api_key": "gik_x"}])
def test_one_way_to_say_who_we_are(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"go together|give e-mail and password"):
        GasInSight(URL, **given)


async def test_secrets_are_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    gis = client(lambda _: httpx.Response(200, json=PAIR), email="kim", password="very secret")
    await gis.sign_in()
    shown = repr([gis.tokens, gis._session.__dict__, client(lambda _: httpx.Response(200)).__dict__])
    for secret in ("very secret", "new access", "new refresh", "gik_x"):
        assert secret not in shown + caplog.text
