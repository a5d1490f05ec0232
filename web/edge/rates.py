"""How many requests a caller may make: a bucket of tokens each, in the memory of this process.

It keeps one caller from taking a process for itself; it is no throttle of sign-ins, which has its own rules.
"""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from dataclasses import dataclass

from engine.clock import Clock
from web.edge.proxies import UNKNOWN
from web.errors import TooManyRequests

BUCKETS_MAX = 10_000
IPV6_PREFIX = 64  # what one household or machine is given; it has all addresses in it


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at_s: float


class RateLimits:
    """`per_s` tokens come in, `burst` fit in; `per_s` 0 limits nobody."""

    def __init__(self, per_s: float, burst: int, clock: Clock) -> None:
        self._per_s = per_s
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, who: str) -> None:
        """Count one request of `who`, a principal or `client_key`; TooManyRequests when that is one too many."""
        if self._per_s == 0:
            return
        now_s = self._clock.monotonic_s()
        bucket = self._buckets.setdefault(who, _Bucket(self._burst, now_s))
        self._buckets.move_to_end(who)
        if len(self._buckets) > BUCKETS_MAX:  # who was away longest has the fullest bucket and loses least
            self._buckets.popitem(last=False)
        bucket.tokens = min(self._burst, bucket.tokens + (now_s - bucket.filled_at_s) * self._per_s)
        bucket.filled_at_s = now_s
        if bucket.tokens < 1:
            raise TooManyRequests(math.ceil((1 - bucket.tokens) / self._per_s))
        bucket.tokens -= 1

    def __len__(self) -> int:
        return len(self._buckets)


def client_key(address: str) -> str:
    """The bucket of somebody who has not said who they are."""
    if ":" not in address or address == UNKNOWN:
        return f"address:{address}"
    return f"address:{ipaddress.ip_network((address, IPV6_PREFIX), strict=False)}"
