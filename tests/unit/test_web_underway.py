"""What is under way: each caller's budget and everybody's, on both sides, and that all of it is given back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from web.errors import HttpRefusal, TooManyRequests
from web.serving.underway import (
    CALLERS_AT_MOST,
    REQUEST_BYTES,
    SMALL_FIRST_S,
    Budget,
    BudgetMiddleware,
    UnderWay,
    under_way,
)

BYTES_MAX = 4 * REQUEST_BYTES


def begun(budget: Budget, who: str) -> UnderWay:
    mine = UnderWay(budget, "address:1.2.3.4")
    mine.belongs_to(who)
    return mine


def test_each_caller_has_so_many_bytes_that_are_not_taken() -> None:
    budget = Budget(1, BYTES_MAX)
    asked = [begun(budget, "user:1") for _ in range(4)]
    with pytest.raises(TooManyRequests):
        begun(budget, "user:1")
    begun(budget, "user:2")
    asked[0].end()
    begun(budget, "user:1").hold(1)
    asked[1].end()
    with pytest.raises(TooManyRequests):
        begun(budget, "user:1")  # a byte of an answer stands in its way


def test_all_callers_together_have_so_many() -> None:
    budget = Budget(1, BYTES_MAX)
    asked = [begun(budget, f"user:{n}") for n in range(CALLERS_AT_MOST * 4)]
    with pytest.raises(HttpRefusal) as refused:
        begun(budget, "user:99")
    assert refused.value.status == 503
    assert int(refused.value.headers["Retry-After"]) > 0
    UnderWay(budget, "address:9.9.9.9")  # a probe is answered
    asked[0].end()
    begun(budget, "user:99")


def test_a_stranger_counts_by_address() -> None:
    budget = Budget(1, BYTES_MAX)
    first = UnderWay(budget, "address:1.2.3.4")
    first.hold(BYTES_MAX)
    UnderWay(budget, "address:1.2.3.4")
    first.hold(1)
    with pytest.raises(TooManyRequests):
        UnderWay(budget, "address:1.2.3.4")
    UnderWay(budget, "address:1.2.3.5")


def test_a_body_that_is_too_much_beside_the_others_is_not_sent() -> None:
    budget = Budget(1, BYTES_MAX)
    alone = begun(budget, "user:1")
    alone.begins(10 * BYTES_MAX)
    beside = begun(budget, "user:1")
    beside.begins(BYTES_MAX - 2 * REQUEST_BYTES)
    with pytest.raises(TooManyRequests):
        beside.begins(BYTES_MAX - 2 * REQUEST_BYTES + 1)


@pytest.mark.parametrize("fails", [False, True])
async def test_what_a_request_held_is_given_back_whatever_becomes_of_it(fails: bool) -> None:
    budget = Budget(1, BYTES_MAX)
    held: list[int] = []

    async def send(_: dict[str, Any]) -> None:
        held.append(budget._bytes["user:1"])
        if fails:
            raise ConnectionError

    async def app(scope: Any, _: Any, send: Any) -> None:
        under_way(scope).belongs_to("user:1")
        await under_way(scope).begin_large()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"12345"})

    asked = BudgetMiddleware(app, budget)({"type": "http", "client": ("1.2.3.4", 5)}, None, send)  # type: ignore[arg-type]
    if fails:
        with pytest.raises(ConnectionError):
            await asked
    else:
        await asked
    assert held == [REQUEST_BYTES] if fails else [REQUEST_BYTES, REQUEST_BYTES + 5]
    assert not budget._bytes
    mine = begun(budget, "user:1")
    await mine.begin_large()  # the only place is free again
    mine.end()
    assert budget.small == 0


async def test_a_large_answer_lets_small_ones_go_first_and_then_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    budget, slept = Budget(1, BYTES_MAX), []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    large = begun(budget, "user:1")
    await large.begin_large()
    await large.let_small_ones_go_first()
    assert slept == []
    small = begun(budget, "user:2")
    await large.let_small_ones_go_first()
    small.end()
    await large.let_small_ones_go_first()
    assert slept == [SMALL_FIRST_S]


def test_the_answer_to_a_change_is_never_refused() -> None:
    """It has happened by then, and who is told to come back does it again."""
    budget = Budget(1, BYTES_MAX)
    asked = [begun(budget, "user:1") for _ in range(4)]
    asked[0].begins(REQUEST_BYTES)
    with pytest.raises(TooManyRequests):
        asked[0].begins(REQUEST_BYTES + 1)
