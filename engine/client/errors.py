"""What can go wrong in a call, by what the caller can do about it. The message says it.

ClientError
├── NotSignedIn       401: the login, the tokens or the API key are not accepted; sign in again
├── NotPermitted      403: somebody has to grant a right
├── NotFound          404: there is nothing of this id
├── Unusable          422: `problems` says what is wrong with the request
├── TooManyRequests   429: wait `retry_after_s`
├── Refused           400 and the like: understood, and not done; the message says why
└── ServerError
    ├── ServerAway    no answer, or 502, 503, 504: try again later
    └── ServerFailed  500, or an answer that is not of GasInSight: tell who runs the server
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.client.shapes import Problem


class ClientError(Exception):
    """Root of everything this client raises on purpose."""


class NotSignedIn(ClientError):
    """The server does not accept who we say we are."""


class NotPermitted(ClientError):
    """Signed in, without the right."""


class NotFound(ClientError):
    """Nothing of this id."""


class Unusable(ClientError):
    """The request's content is wrong; one problem for each thing."""

    def __init__(self, message: str, problems: Sequence[Problem]) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class TooManyRequests(ClientError):
    """The server asks us to slow down."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Refused(ClientError):
    """Understood, and not done."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class ServerError(ClientError):
    """The server's side, not ours."""


class ServerAway(ServerError):
    """No answer now.

    `retry_after_s`: when the server says to ask again, if it said. `may_be_starting`: as a server is away that is just
    being started again: it refused the connection, or said 503.
    """

    def __init__(self, message: str, retry_after_s: float | None = None, *, may_be_starting: bool = False) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.may_be_starting = may_be_starting


class ServerFailed(ServerError):
    """An answer that should not be."""
