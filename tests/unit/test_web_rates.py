"""Token buckets: what is admitted, what is refused and for how long, and that they do not grow without end."""

from __future__ import annotations

import pytest

from engine.clock import ManualClock
from web.edge.rates import BUCKETS_MAX, RateLimits, client_key
from web.errors import TooManyRequests


def taken(limits: RateLimits, who: str, wanted: int) -> int:
    """How many of `wanted` requests in a row are admitted."""
    count = 0
    for _ in range(wanted):
        try:
            limits.take(who)
        except TooManyRequests:
            break
        count += 1
    return count


async def test_a_burst_is_admitted_and_then_what_comes_in_each_second() -> None:
    clock = ManualClock()
    limits = RateLimits(10, 25, clock)
    assert taken(limits, "user:1", 100) == 25
    assert taken(limits, "user:2", 100) == 25, "each has a bucket of their own"
    await clock.advance(1)
    assert taken(limits, "user:1", 100) == 10
    await clock.advance(3600)
    assert taken(limits, "user:1", 100) == 25, "a bucket does not fill beyond its size"


async def test_a_refusal_says_when_to_come_back_and_then_it_is_so() -> None:
    clock = ManualClock()
    limits = RateLimits(0.25, 1, clock)
    limits.take("user:1")
    with pytest.raises(TooManyRequests) as refused:
        limits.take("user:1")
    assert refused.value.status == 429
    assert refused.value.headers == {"Retry-After": "4"}
    await clock.advance(3.9)
    with pytest.raises(TooManyRequests):
        limits.take("user:1")
    await clock.advance(0.1)
    limits.take("user:1")


def test_zero_limits_nobody_and_remembers_nobody() -> None:
    limits = RateLimits(0, 1, ManualClock())
    assert taken(limits, "user:1", 1000) == 1000
    assert len(limits) == 0


def test_there_are_so_many_buckets_and_no_more() -> None:
    limits = RateLimits(1, 1, ManualClock())
    for number in range(BUCKETS_MAX):
        limits.take(f"address:{number}")
    assert len(limits) == BUCKETS_MAX
    assert taken(limits, "address:0", 1) == 0, "the first is still known, and now the latest"
    limits.take("address:one more")
    assert len(limits) == BUCKETS_MAX
    assert taken(limits, "address:0", 1) == 0
    assert taken(limits, "address:1", 1) == 1, "who was away longest was forgotten"


def test_all_addresses_of_one_ipv6_network_share_a_bucket() -> None:
    assert client_key("203.0.113.9") != client_key("203.0.113.10")
    assert client_key("2001:db8:0:1::7") == client_key("2001:db8:0:1:ffff::9") == "address:2001:db8:0:1::/64"
    assert client_key("2001:db8:0:1::7") != client_key("2001:db8:0:2::7")
    assert client_key("unknown") == "address:unknown"
