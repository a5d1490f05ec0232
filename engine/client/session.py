"""Who we are to the server: signs in, renews tokens once for all who wait, and says when they changed.

A used refresh token answers with the same new pair for 30 s; after that its re-use ends the whole login. So one task
renews for everybody, it is not cancelled with the call that began it, and what it got is told before anybody uses it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import httpx

from engine.client.connection import Connection, parsed
from engine.client.errors import NotSignedIn
from engine.client.shapes import Tokens

TellTokens = Callable[[Tokens | None], None]


class Identity(Protocol):
    """What calls are signed with."""

    async def bearer(self) -> str:
        """What to send; NotSignedIn when there is nothing to send."""

    async def renew(self, refused: str) -> None:
        """`refused` was not accepted: have something better, or raise NotSignedIn."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A service account; there is nothing to renew."""

    key: str = field(repr=False)

    async def bearer(self) -> str:
        return self.key

    async def renew(self, refused: str) -> None:
        raise NotSignedIn("the server does not accept this API key: it is wrong, expired or revoked; make a new one")


@dataclass(frozen=True, slots=True)
class Login:
    """An e-mail address (or a user name) and its password."""

    email: str
    password: str = field(repr=False)


class Session:
    """A user's login. With a `login` it signs in again when its refresh token has ended too."""

    def __init__(self, connection: Connection, login: Login | None, tokens: Tokens | None, tell: TellTokens) -> None:
        self._connection = connection
        self._login = login
        self._tokens = tokens
        self._tell = tell
        self._renewing: asyncio.Task[None] | None = None
        self._refused: str | None = None  # why signing in is of no use any more

    @property
    def tokens(self) -> Tokens | None:
        return self._tokens

    async def bearer(self) -> str:
        if self._tokens is None:
            await self._renew_once()
        if self._tokens is None:
            raise NotSignedIn("signed out; sign in again")
        return self._tokens.access_token

    async def renew(self, refused: str) -> None:
        if self._tokens is None or self._tokens.access_token == refused:
            await self._renew_once()

    async def sign_in(self) -> None:
        """Again, with the password."""
        self._refused = None
        if self._login is None:
            raise NotSignedIn("there is no password to sign in with; make a new client with one")
        form = {"username": self._login.email, "password": self._login.password}
        try:
            answer = await self._connection.ask("POST", "/auth/token", again=True, data=form)
        except NotSignedIn as error:
            self._refused = f"{self._connection.url} refuses {self._login.email}: wrong password, or no such user"
            raise NotSignedIn(self._refused) from error
        self._keep(parsed(Tokens, answer))

    def password_changed(self, tokens: Tokens, password: str) -> None:
        """The login goes on with these."""
        if self._login is not None:
            self._login = replace(self._login, password=password)
        self._keep(tokens)

    def forget(self) -> None:
        """After signing out: nothing is sent any more."""
        self._tokens, self._login, self._refused = None, None, "signed out; make a new client to sign in again"
        self._tell(None)

    async def _renew_once(self) -> None:
        """All who call meanwhile share one renewal."""
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew(), name="renew tokens")
            self._renewing.add_done_callback(self._renewed)
        await asyncio.shield(self._renewing)

    def _renewed(self, task: asyncio.Task[None]) -> None:
        self._renewing = None
        if not task.cancelled():
            task.exception()  # whoever waited has it; with nobody left it must not be complained about

    async def _renew(self) -> None:
        if self._refused is not None:
            raise NotSignedIn(self._refused)
        if self._tokens is None:
            await self.sign_in()
            return
        try:
            body = {"refresh_token": self._tokens.refresh_token}  # not in the URL, which logs hold
            answer = await self._connection.ask("POST", "/auth/refresh-token", again=True, json=body)
            self._keep(parsed(Tokens, answer))
        except NotSignedIn as error:
            if self._login is not None:
                await self.sign_in()
                return
            self._tokens, self._refused = None, "the login has ended (expired, signed out or revoked); sign in again"
            self._tell(None)
            raise NotSignedIn(self._refused) from error

    def _keep(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._tell(tokens)


class Caller:
    """Signed calls: what is refused for its token is asked once more with a new one."""

    def __init__(self, connection: Connection, identity: Identity) -> None:
        self.connection = connection
        self.identity = identity

    async def ask(self, method: str, path: str, *, accept: str = "*/*", **content: Any) -> httpx.Response:
        bearer = await self.identity.bearer()
        also = {"Accept": accept}
        try:
            return await self.connection.ask(method, path, headers=bearer_header(bearer) | also, **content)
        except NotSignedIn:
            await self.identity.renew(bearer)
        bearer = await self.identity.bearer()
        return await self.connection.ask(method, path, headers=bearer_header(bearer) | also, **content)


def bearer_header(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
