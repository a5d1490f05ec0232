"""How a request is refused: every refusal is JSON `{"detail": …}` with the status and headers of the wire contract.

HttpRefusal              any status
├── NotAuthenticated     401, no token or a bad one
├── NotPermitted         403
├── NotFound             404
├── TooManyRequests      429
└── NotUsable            422, a list of {loc, msg, type}
"""

from __future__ import annotations

from typing import Any

from engine.errors import GasInSightError


class HttpRefusal(GasInSightError):
    """A request that gets an error status; `detail` becomes the body."""

    def __init__(self, status: int, detail: object, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}


class NotAuthenticated(HttpRefusal):
    """The front end refreshes its tokens on this status and on no other."""

    def __init__(self, detail: str = "Could not validate credentials") -> None:
        super().__init__(401, detail, {"WWW-Authenticate": "Bearer"})


class NotPermitted(HttpRefusal):
    def __init__(self, detail: str = "Not enough permissions") -> None:
        super().__init__(403, detail)


class NotFound(HttpRefusal):
    def __init__(self, what: str) -> None:
        super().__init__(404, f"{what} not found")


class TooManyRequests(HttpRefusal):
    def __init__(self, retry_after_s: int) -> None:
        super().__init__(429, "Too many requests", {"Retry-After": str(retry_after_s)})


class NotUsable(HttpRefusal):
    """Understood as HTTP, not as this request: one entry for each thing that is wrong."""

    def __init__(self, problems: list[dict[str, Any]]) -> None:
        super().__init__(422, problems)

    @classmethod
    def of(cls, where: str, name: str, message: str, kind: str = "value_error") -> NotUsable:
        return cls([{"loc": [where, name] if name else [where], "msg": message, "type": kind}])
