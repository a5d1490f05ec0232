"""The web server as `watch` sees it: login, lists, websockets. Knows the wire contract and nothing of the engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, WebSocketException

from engine.errors import GasInSightError, SettingsError

RETRY_S = 3.0
HTTP_S_MAX = 15.0


class ServerUnavailable(GasInSightError):
    """The web server does not answer now."""


@dataclass(frozen=True, slots=True)
class Login:
    user: str
    password: str


class Server:
    """One logged-in user. Calls log in again by themselves when the token has expired."""

    def __init__(self, url: str, login: Login) -> None:
        self.url = url.rstrip("/")
        self._login = login
        try:
            self._http = httpx.AsyncClient(base_url=self.url, timeout=HTTP_S_MAX, trust_env=False)
        except httpx.InvalidURL as error:
            raise SettingsError(f"{url} is no address: {error}; it looks like http://127.0.0.1:8000") from error
        self._token = ""

    async def close(self) -> None:
        await self._http.aclose()

    async def log_in(self) -> None:
        """Raises SettingsError when the server refuses the login, ServerUnavailable when there is no server."""
        form = {"username": self._login.user, "password": self._login.password}
        answer = await self._asked("POST", "/auth/token", data=form)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise SettingsError(f"the server at {self.url} refuses {self._login.user}; give --user and --password")
        self._token = self._json(answer)["access_token"]

    async def get(self, path: str, **parameters: Any) -> Any:
        """The JSON of a GET."""
        if not self._token:
            await self.log_in()
        answer = await self._authorised(path, parameters)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            await self.log_in()
            answer = await self._authorised(path, parameters)
        return self._json(answer)

    async def frames(self, path: str) -> AsyncIterator[dict[str, Any]]:
        """JSON frames of a websocket until cancelled; connects again, with a fresh token, when it is lost."""
        while True:
            with suppress(OSError, WebSocketException, ServerUnavailable):
                await self.get("/users/me")  # so that the token is a good one
                async for frame in self._frames_once(path):
                    yield frame
            await asyncio.sleep(RETRY_S)

    async def _frames_once(self, path: str) -> AsyncIterator[dict[str, Any]]:
        address = f"ws{self.url.removeprefix('http')}{path}?token={quote(self._token)}"
        with suppress(InvalidHandshake):
            async with connect(address, proxy=None, max_size=2**20, open_timeout=HTTP_S_MAX) as socket:
                async for text in socket:
                    yield json.loads(text)

    async def _authorised(self, path: str, parameters: dict[str, Any]) -> httpx.Response:
        return await self._asked("GET", path, params=parameters, headers={"Authorization": f"Bearer {self._token}"})

    async def _asked(self, method: str, path: str, **content: Any) -> httpx.Response:
        try:
            return await self._http.request(method, path, **content)
        except httpx.UnsupportedProtocol as error:
            raise SettingsError(f"{self.url} is no address; it looks like http://127.0.0.1:8000") from error
        except httpx.HTTPError as error:
            raise ServerUnavailable(
                f"no answer from {self.url} ({type(error).__name__}); is `gasinsight up` running?"
            ) from error

    def _json(self, answer: httpx.Response) -> Any:
        if answer.is_success:
            return answer.json()
        detail: object = answer.text[:200]
        with suppress(ValueError, AttributeError):
            detail = answer.json().get("detail", detail)
        raise ServerUnavailable(f"{self.url}{answer.request.url.path} answered {answer.status_code}: {detail}")
