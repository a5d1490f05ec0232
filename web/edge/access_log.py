"""The access log, where an operator asks for one: one line a request, and what clients wrote cannot break it."""

from __future__ import annotations

from typing import Any

from hypercorn.logging import AccessLogAtoms, Logger

from web.edge.printing import printable

LOGGED_KEY = "gasinsight.logged"
MADE_OF_OTHERS = frozenset("af")
"""Agent and referrer, which hypercorn takes from atoms of headers: escaped there."""


class AccessLog(Logger):
    """hypercorn tells a request twice whose client left before its answer."""

    async def access(self, request: Any, response: Any, request_time: float) -> None:
        """One request, once."""
        if LOGGED_KEY not in request:
            request[LOGGED_KEY] = True
            await super().access(request, response, request_time)

    def atoms(self, request: Any, response: Any, request_time: float) -> AccessLogAtoms:
        """What a line is made of."""
        return _PrintableAtoms(request, response, request_time)


class _PrintableAtoms(AccessLogAtoms):
    def __getitem__(self, key: str) -> str:
        value: Any = super().__getitem__(key)
        is_done = key in MADE_OF_OTHERS or not isinstance(value, str)
        told: str = value if is_done else printable(value)
        return told
