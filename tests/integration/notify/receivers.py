"""Whoever is told, for real: an HTTPS server and an SMTP server on loopback, which can go away and come back."""

from __future__ import annotations

import asyncio
import json
import ssl
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from engine.clock import SystemClock

USER, PASSWORD = "gasinsight", "a mailbox of its own"


def server_tls(folder: Path) -> ssl.SSLContext:
    """Of `make_certificate`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "fullchain.pem", folder / "key.pem")
    return context


@dataclass
class Received:
    headers: dict[str, str]
    body: bytes
    at_us: int

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document


@dataclass
class HttpsReceiver:
    """`answers`: status of the next answers, then 200; None: it takes the request and hangs up."""

    tls: ssl.SSLContext
    port: int = 0
    received: list[Received] = field(default_factory=list)
    answers: list[int | None] = field(default_factory=list)
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/hook?token=of-the-receiver"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/hook", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self.tls, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _take(self, request: web.Request) -> web.Response:
        self.received.append(Received(dict(request.headers), await request.read(), SystemClock().now_us()))
        status = self.answers.pop(0) if self.answers else 200
        if status is None:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        return web.Response(status=status, headers={"Location": self.url} if status == 302 else {})


@dataclass
class Mailbox:
    """An SMTP server that wants STARTTLS and a login; `refusals`: what the next mails are answered with."""

    tls: ssl.SSLContext
    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    _server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.get_running_loop().create_server(self._protocol, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _protocol(self) -> SMTP:
        return SMTP(
            self,
            hostname="mail.plant.example",
            tls_context=self.tls,
            require_starttls=True,
            auth_required=True,
            authenticator=self._knows,
        )

    def _knows(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: object) -> AuthResult:
        known = isinstance(given, LoginPassword) and (given.login, given.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=known)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        if self.refusals:
            return self.refusals.pop(0)
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 taken"
