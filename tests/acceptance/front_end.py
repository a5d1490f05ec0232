"""The web front end's habits, from the wire contract alone: what it sends, when it refreshes, how it reconnects.

It lives on another origin, so a browser asks before each call of a new kind. It refreshes when it is told 401, without
a body, with the expired token still attached, and once for each call that was refused.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

ORIGIN = Origin("https://app.gas.example")


class LoggedOut(Exception):
    """A refresh failed: the front end forgets its tokens and shows the login page."""


class FrontEnd:
    """One browser. Every answer has to be JSON with CORS headers, or it would see a broken network."""

    def __init__(self, base: str, username: str, password: str) -> None:
        self.base = base
        self._http = httpx.Client(base_url=base, timeout=20, headers={"Origin": ORIGIN})
        self._admitted: set[tuple[str, str]] = set()
        answer = self._http.post("/auth/token", data={"username": username, "password": password})
        assert answer.status_code == 200, answer.text
        self.pair: dict[str, str] = self._seen(answer)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.pair['access_token']}"}

    def ask(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        """The JSON of an answer with this status."""
        self._preflight(method, path)
        answer = self._http.request(method, path, headers=self.headers, **options)
        if answer.status_code == 401:
            self.refresh()
            answer = self._http.request(method, path, headers=self.headers, **options)
        assert answer.status_code == status, (method, path, answer.status_code, answer.text)
        return self._seen(answer)

    def get(self, path: str, status: int = 200, **query: Any) -> Any:
        return self.ask("GET", path, status, params=query)

    def refresh(self) -> None:
        refresh_token = {"refresh_token": self.pair["refresh_token"]}
        self._preflight("POST", "/auth/refresh-token")
        answer = self._http.post("/auth/refresh-token", params=refresh_token, headers=self.headers)
        self._seen(answer)
        if answer.status_code != 200:
            raise LoggedOut(answer.text)
        self.pair = answer.json()

    @contextmanager
    def watching(self, path: str, token: str | None = None) -> Iterator[ClientConnection]:
        """A websocket as a browser opens it: with its origin, the token raw in the address, and nothing sent."""
        address = f"ws{self.base.removeprefix('http')}{path}?token={token or self.pair['access_token']}"
        with connect(address, origin=ORIGIN, open_timeout=20) as socket:
            yield socket

    def refused_watching(self, path: str, token: str | None = None) -> int:
        """The status instead of a websocket; None of it is shown to the page."""
        try:
            with self.watching(path, token):
                raise AssertionError(f"{path} was opened")
        except InvalidStatus as refusal:
            return refusal.response.status_code

    def _preflight(self, method: str, path: str) -> None:
        """Once for each kind of call, as a browser that keeps the answer for the ten minutes it may."""
        if (method, path) in self._admitted:
            return
        asked = {
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "authorization,content-type",
        }
        answer = self._http.options(path, headers=asked)
        assert answer.status_code == 200, (method, path, answer.status_code)
        assert answer.headers["access-control-allow-origin"] == ORIGIN and answer.headers["vary"] == "Origin"
        assert answer.headers["access-control-allow-headers"] == "authorization,content-type"
        assert method in answer.headers["access-control-allow-methods"].split(", ")
        assert answer.headers["access-control-max-age"] == "600"
        self._admitted.add((method, path))

    def _seen(self, answer: httpx.Response) -> Any:
        assert answer.headers["content-type"].startswith("application/json"), answer.text
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "Origin" in answer.headers["vary"]
        return answer.json()


def frames(socket: ClientConnection, count: int, within_s: float = 20.0) -> list[dict[str, Any]]:
    """The next frames; every one is an object in a text frame."""
    until_s = time.monotonic() + within_s
    found = []
    for _ in range(count):
        text = socket.recv(timeout=max(0.0, until_s - time.monotonic()))
        assert isinstance(text, str)
        found.append(json.loads(text))
    return found
