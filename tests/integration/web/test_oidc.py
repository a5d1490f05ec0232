"""Single sign-on through the web server: a browser, a real provider, the front end's code, a token pair at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio

from engine.errors import SettingsError
from tests.integration.web.harness import HeldFeed, Web, bearer, settings_for, web_server
from tests.integration.web.oidc_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    REDIRECT_URL,
    Provider,
    challenge_of,
    running_provider,
)
from web.app import create_app

pytestmark = pytest.mark.postgres

FRONT_END = "http://front.example/signed-in"
SETTINGS: dict[str, object] = {
    "oidc_client_id": CLIENT_ID,
    "oidc_client_secret": CLIENT_SECRET,
    "oidc_redirect_url": REDIRECT_URL,
    "oidc_front_end_url": FRONT_END,
}
VERIFIER = "the front end made this up and keeps it for itself"


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[Provider]:
    async with running_provider() as running:
        yield running


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path, provider: Provider) -> AsyncIterator[Web]:
    async with web_server(database_url, tmp_path, oidc_issuer=provider.issuer, **SETTINGS) as running:
        await running.user("kim")
        yield running


@dataclass
class Browser:
    """Follows redirects by hand: our public address is not where the test's server listens."""

    web: Web
    cookies: dict[str, str] = field(default_factory=dict)

    async def begin(self, challenge: str = challenge_of(VERIFIER)) -> httpx.Response:
        answer = await self.web.client.get("/auth/oidc/login", params={"code_challenge": challenge})
        self.cookies |= dict(answer.cookies)
        self.web.client.cookies.clear()
        return answer

    async def at_provider(self, url: str) -> str:
        """Path and query that the provider sends the browser back with."""
        async with httpx.AsyncClient() as client:
            answer = await client.get(url)
        assert answer.status_code == 302, answer.text
        assert answer.headers["Location"].startswith(REDIRECT_URL)
        return answer.headers["Location"].removeprefix("http://gas.example")

    async def back(self, path: str) -> httpx.Response:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = await self.web.client.get(path, headers={"Cookie": cookies})
        self.web.client.cookies.clear()
        return answer

    async def sign_in(self) -> httpx.Response:
        """The answer of the callback."""
        begun = await self.begin()
        assert begun.status_code == 302, begun.text
        return await self.back(await self.at_provider(begun.headers["Location"]))

    async def code(self) -> str:
        answer = await self.sign_in()
        assert answer.status_code == 302, answer.text
        return parse_qs(urlsplit(answer.headers["Location"]).fragment)["code"][0]

    async def redeem(self, code: str, verifier: str = VERIFIER) -> httpx.Response:
        return await self.web.client.post("/auth/oidc/token", json={"code": code, "code_verifier": verifier})


async def codes(web: Web) -> int:
    count: int = await web.database.fetchval("SELECT count(*) FROM sign_in_codes")
    return count


async def test_a_known_person_gets_the_usual_tokens(web: Web, provider: Provider) -> None:
    provider.email = "KIM@plant.example"
    browser = Browser(web)
    begun = await browser.begin()
    cookie = begun.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Max-Age=600" in cookie and "Path=/" in cookie
    ended = await browser.back(await browser.at_provider(begun.headers["Location"]))
    assert ended.headers["Location"].startswith(f"{FRONT_END}#code=")
    assert "Max-Age=0" in ended.headers["Set-Cookie"]
    assert ended.headers["Cache-Control"] == "no-store"
    assert ended.headers["Referrer-Policy"] == "no-referrer"
    await web.database.execute("UPDATE users SET last_login = NULL")
    pair = (await browser.redeem(ended.headers["Location"].partition("code=")[2])).json()
    me = (await web.client.get("/users/me", headers=bearer(pair))).json()
    assert me["username"] == "kim" and me["last_login"] is not None
    refreshed = await web.client.post("/auth/refresh-token", params={"refresh_token": pair["refresh_token"]})
    assert refreshed.status_code == 200
    assert await web.sign_in("kim", "pw kim"), "the password works beside it"


async def test_a_code_works_once_for_a_minute_for_who_began(web: Web) -> None:
    browser = Browser(web)
    code = await browser.code()
    assert (await browser.redeem(code)).status_code == 200
    assert (await browser.redeem(code)).status_code == 401

    code = await browser.code()
    at_once = await asyncio.gather(*(browser.redeem(code) for _ in range(10)))
    assert sorted(answer.status_code for answer in at_once) == [200, *[401] * 9]

    code = await browser.code()
    assert (await browser.redeem(code, "somebody else's")).status_code == 401
    assert (await browser.redeem(code)).status_code == 401, "a code that was tried wrongly is void"

    for moved, status in (("1 second", 200), ("0", 401)):
        code = await browser.code()
        await web.database.execute("UPDATE sign_in_codes SET expires_at = now() + $1::text::interval", moved)
        assert (await browser.redeem(code)).status_code == status

    code = await browser.code()
    await web.database.execute("DELETE FROM users WHERE username = 'kim'")
    assert (await browser.redeem(code)).status_code == 401
    assert (await browser.redeem("made up")).json() == {"detail": "Could not validate credentials"}


async def test_old_codes_are_forgotten(web: Web) -> None:
    await Browser(web).code()
    await web.database.execute("UPDATE sign_in_codes SET expires_at = now() - interval '61 minutes'")
    await Browser(web).code()
    assert await codes(web) == 1


async def test_an_answer_belongs_to_the_browser_that_asked_and_counts_once(web: Web, provider: Provider) -> None:
    provider.is_lax = True  # takes a code twice, so that only our own bookkeeping refuses
    victim, attacker = Browser(web), Browser(web)
    path = await attacker.at_provider((await attacker.begin()).headers["Location"])
    await victim.begin()
    for browser in (victim, Browser(web), Browser(web, {"gasinsight-sign-in": "forged"})):
        refused = await browser.back(path)
        assert refused.status_code == 400
        assert "start again" in refused.json()["detail"]
    assert await codes(web) == 0
    at_once = await asyncio.gather(*(attacker.back(path) for _ in range(5)))
    assert sorted(answer.status_code for answer in at_once) == [302, *[400] * 4]
    assert (await attacker.back(path)).status_code == 400, "replayed"
    assert await codes(web) == 1


@pytest.mark.parametrize("ended_by", ["everywhere", "password", "address"])
async def test_a_code_ends_with_what_it_rests_on(web: Web, ended_by: str) -> None:
    pair = await web.sign_in("kim", "pw kim")
    me = (await web.client.get("/users/me", headers=bearer(pair))).json()
    code = await Browser(web).code()
    if ended_by == "everywhere":
        ended = await web.client.post("/auth/logout", headers=bearer(pair), params={"everywhere": "true"})
    else:
        changes = {"password": "another one"} if ended_by == "password" else {"email": "new@plant.example"}
        ended = await web.client.put(f"/users/{me['id']}", headers=await web.admin(), json=changes)
    assert ended.status_code == 200, ended.text
    assert (await Browser(web).redeem(code)).status_code == 401


async def test_who_is_not_a_user_here_is_told_so(web: Web, provider: Provider) -> None:
    for email in ("stranger@plant.example", "kim@plant.example ", "%"):
        provider.email = email
        refused = await Browser(web).sign_in()
        assert refused.status_code == 403, email
        assert "ask an Admin" in refused.json()["detail"]
    assert await web.database.fetchval("SELECT count(*) FROM users") == 2, "nobody is created"
    provider.email, provider.claims = "kim@plant.example", {"email_verified": False}
    assert (await Browser(web).sign_in()).status_code == 401
    assert await codes(web) == 0


async def test_what_a_provider_may_answer_instead(web: Web) -> None:
    browser = Browser(web)
    path = await browser.at_provider((await browser.begin()).headers["Location"])
    state = parse_qs(urlsplit(path).query)["state"][0]
    for query in (f"state={state}&error=access_denied", f"state={state}", f"state={state}&error=%3Cscript%3E&code=x"):
        refused = await browser.back(f"/auth/oidc/callback?{query}")
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert "script" not in refused.text
    assert (await browser.begin("too short")).status_code == 422
    assert (await web.client.get("/auth/oidc/login")).status_code == 422


async def test_a_provider_that_is_away_is_told_as_json(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path, oidc_issuer="http://127.0.0.1:9", **SETTINGS) as web:
        answer = await Browser(web).begin()
        assert answer.status_code == 503
        assert "sign in with a password" in answer.json()["detail"]
        assert await web.sign_in()


async def test_without_a_provider_there_is_no_single_sign_on(database_url: str, tmp_path: Path) -> None:
    async with web_server(database_url, tmp_path) as web:
        assert (await Browser(web).begin()).status_code == 404
        assert (await Browser(web).back("/auth/oidc/callback?code=x&state=y")).status_code == 404
        assert (await Browser(web).redeem("x")).json() == {"detail": "Single sign-on not found"}
    with pytest.raises(SettingsError, match="OIDC_ISSUER"):
        create_app(settings_for(database_url, tmp_path, **SETTINGS), HeldFeed())


async def test_neither_code_nor_state_reaches_a_log(
    web: Web, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    browser = Browser(web)
    path = await browser.at_provider((await browser.begin()).headers["Location"])
    ended = await browser.back(path)
    pair = (await browser.redeem(ended.headers["Location"].partition("code=")[2])).json()
    await Browser(web).back(path)
    told = "".join(capsys.readouterr()) + caplog.text
    assert "/auth/oidc/callback" in told
    query = parse_qs(urlsplit(path).query)
    secrets = [
        query["code"][0],
        query["state"][0],
        ended.headers["Location"].partition("code=")[2],
        pair["access_token"],
    ]
    assert not [secret for secret in secrets if secret in told]
