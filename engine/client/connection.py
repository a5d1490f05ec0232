"""One HTTP call: time limits, retries of what only reads, and every refusal as an error of our own."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from functools import cache
from http import HTTPStatus
from typing import Any, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from engine.client.backoff import BackOff
from engine.client.errors import (
    ClientError,
    NotFound,
    NotPermitted,
    NotSignedIn,
    Refused,
    ServerAway,
    ServerFailed,
    TooManyRequests,
    Unusable,
)
from engine.client.shapes import Problem

TRIES_MAX = 3
RESTART_S_MAX = 10.0  # a server that may be starting is waited for this long, in however many tries
WAIT_S_MAX = 2.0  # between two tries, beside what the server asks for
RETRY_AFTER_S_MAX = 10.0  # a GET waits this long by itself; a longer wait is the caller's to decide
RETRY_AFTER_S = 1.0
TEXT_SHOWN_MAX = 200
AWAY = {502, 503, 504}
ADVICE: dict[int, tuple[type[ClientError], str]] = {
    401: (NotSignedIn, "sign in again"),
    403: (NotPermitted, "an Admin can grant the right"),
    404: (NotFound, "look the id up in the lists"),
}

Answer = TypeVar("Answer")


class Connection:
    """To one server. Proxies of the environment are not used: a plant's server is reached directly."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self.url = url.rstrip("/")
        self.timeout_s = timeout_s
        self.ssl_context = ssl.create_default_context() if self.url.startswith("https:") else None
        wrong = f"{url} is no address of a server; one looks like http://127.0.0.1:8000"
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(wrong)
        try:
            self._http = httpx.AsyncClient(
                base_url=self.url, timeout=timeout_s, trust_env=False, verify=self.ssl_context or True
            )
        except httpx.InvalidURL as error:
            raise ValueError(
                f"{url} is no address of a server ({error}); one looks like http://127.0.0.1:8000"
            ) from error

    async def close(self) -> None:
        await self._http.aclose()

    async def ask(self, method: str, path: str, *, again: bool | None = None, **content: Any) -> httpx.Response:
        """A successful answer, or a ClientError. `again`: may be asked twice; by default a GET may."""
        may_retry = method == "GET" if again is None else again
        back_off = BackOff(wait_s_max=WAIT_S_MAX)
        tries, waited_s = 1, 0.0
        while True:
            try:
                return await self._ask_once(method, path, content)
            except (ServerAway, TooManyRequests) as error:
                if not may_retry or _is_enough(error, tries, waited_s):
                    raise
                wait_s = back_off.wait_s(error.retry_after_s)
            await asyncio.sleep(wait_s)
            tries, waited_s = tries + 1, waited_s + wait_s

    async def _ask_once(self, method: str, path: str, content: dict[str, Any]) -> httpx.Response:
        try:
            answer = await self._http.request(method, path, **content)
        except httpx.HTTPError as error:
            said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise ServerAway(
                f"no answer from {self.url} ({said}, {self.timeout_s:g} s are given); does the server run there?",
                may_be_starting=isinstance(error, httpx.ConnectError),
            ) from error
        if not answer.is_success:
            raise refusal(answer)
        return answer


def _is_enough(error: ServerAway | TooManyRequests, tries: int, waited_s: float) -> bool:
    """Whether to tell the caller instead of asking again."""
    if (error.retry_after_s or 0.0) > RETRY_AFTER_S_MAX:
        return True
    if isinstance(error, ServerAway) and error.may_be_starting and waited_s < RESTART_S_MAX:
        return False
    return tries >= TRIES_MAX


def parsed(kind: type[Answer], answer: httpx.Response) -> Answer:
    """The answer's body as `kind`; ServerFailed when it is something else."""
    return shaped(kind, answer.content, str(answer.request.url.copy_with(query=None)))


def shaped(kind: type[Answer], text: str | bytes, where: str) -> Answer:
    """JSON as `kind`; ServerFailed, which names `where` it came from, when it is something else."""
    try:
        adapter: TypeAdapter[Answer] = _adapter(kind)  # type: ignore[arg-type] # types are hashable
        return adapter.validate_json(text)
    except ValidationError as error:
        raise ServerFailed(
            f"{where} does not answer as GasInSight does ({error.errors()[0]['msg']}); is the address right?"
        ) from error


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    """Made once for each kind: it is dear, and streams bring thousands of values a second."""
    return TypeAdapter(kind)


def refusal(answer: httpx.Response) -> ClientError:
    """The error that an answer's status means."""
    status, detail = answer.status_code, _detail(answer)
    asked = f"{answer.request.method} {answer.request.url.path}"
    said = f"{asked} answered {status}: {_detail_text(detail)}"
    wait_s = retry_after_s(answer.headers.get("Retry-After"))
    if status in AWAY:
        is_503 = status == HTTPStatus.SERVICE_UNAVAILABLE
        return ServerAway(f"{said}; try again later", wait_s, may_be_starting=is_503)
    if status == 422:
        return Unusable(f"{said}; correct the request", _problems(detail))
    if status == 429:
        wait_s = wait_s or RETRY_AFTER_S
        return TooManyRequests(f"{said}; ask again in {wait_s:g} s, and less often", wait_s)
    if status in ADVICE:
        kind, advice = ADVICE[status]
        return kind(f"{said}; {advice}")
    if 400 <= status < 500:
        return Refused(said, status)
    return ServerFailed(f"{said}; tell who runs {answer.request.url.host}")


def retry_after_s(header: str | None) -> float | None:
    """What the header `Retry-After` asks for, if it is there and in seconds."""
    return float(header) if header and header.isascii() and header.isdigit() else None


def _detail(answer: httpx.Response) -> object:
    with suppress(ValueError, AttributeError):
        detail: object = answer.json().get("detail")
        if detail:
            return detail
    return answer.text[:TEXT_SHOWN_MAX] or answer.reason_phrase


def _problems(detail: object) -> list[Problem]:
    problems = []
    for one in detail if isinstance(detail, list) else []:
        with suppress(ValueError):
            problems.append(Problem.model_validate(one))
    return problems


def _detail_text(detail: object) -> str:
    problems = _problems(detail)
    if not problems:
        return str(detail)
    return "; ".join(f"{'.'.join(map(str, problem.loc))}: {problem.msg}" for problem in problems)
