"""The web application: everything it needs comes in as arguments, nothing is global.

Serves REST (web/api, one module a noun), the websockets (web/live) and the pages. What it serves is the wire contract.
"""

from __future__ import annotations

from typing import Any

import structlog
from pydantic_core import to_json
from quart import Quart, Response
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from engine.clock import Clock, SystemClock
from engine.errors import SettingsError, StoreUnavailable
from engine.live import LiveFeed
from engine.metrics import Metrics
from engine.settings import Settings
from web.api import (
    alerts,
    auth,
    dashboard,
    facilities,
    health,
    intake,
    pages,
    permissions,
    records,
    sensors,
    users,
)
from web.auth.first_admin import ensure_first_admin
from web.auth.guard import Guard
from web.auth.passwords import Passwords
from web.auth.sessions import Sessions
from web.auth.tokens import Tokens, check_secret_key
from web.background import Background
from web.database import Database
from web.declare import Noun, json_response
from web.edge import Edge
from web.errors import HttpRefusal
from web.live import sockets
from web.live.alarms import AlarmFeed
from web.live.hub import LiveHub
from web.live.rights import OpenSockets
from web.services import Services

NOUNS: tuple[Noun, ...] = (
    auth.noun,
    users.noun,
    permissions.noun,
    facilities.noun,
    sensors.noun,
    records.noun,
    alerts.noun,
    dashboard.noun,
    intake.noun,
    health.noun,
)
SLOW_BODY_S_MAX = 15
RETRY_AFTER_S = "2"

log = structlog.get_logger(__name__)


def create_app(
    settings: Settings, feed: LiveFeed, clock: Clock | None = None, passwords: Passwords | None = None
) -> Quart:
    """The ASGI application. Raises SettingsError when it must not start."""
    services = _services(settings, feed, clock or SystemClock(), passwords or Passwords())
    app = Quart(__name__, static_folder=None, template_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.body_bytes_max
    app.config["BODY_TIMEOUT"] = SLOW_BODY_S_MAX
    app.config["RESPONSE_TIMEOUT"] = None
    app.url_map.merge_slashes = False
    for noun in NOUNS:
        app.register_blueprint(noun.blueprint(services))
    app.register_blueprint(pages.blueprint(list(NOUNS)))
    app.register_blueprint(sockets.blueprint(services))
    _answer_errors_as_json(app)
    _live_and_die(app, services)
    origins = [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]
    app.asgi_app = Edge(app.asgi_app, origins)  # type: ignore[method-assign,assignment]
    return app


def _services(settings: Settings, feed: LiveFeed, clock: Clock, passwords: Passwords) -> Services:
    if settings.database_url is None:
        raise SettingsError("DATABASE_URL is not set and no running GasInSight was found; start `gasinsight up` first")
    given_key = settings.secret_key.get_secret_value() if settings.secret_key else None
    tokens = Tokens(check_secret_key(given_key, settings.environment), settings.algorithm, clock)
    database = Database(settings.database_url, settings.database_connections_max, settings.statement_timeout_s)
    metrics = Metrics()
    return Services(
        settings=settings,
        clock=clock,
        database=database,
        passwords=passwords,
        sessions=Sessions(database, tokens, settings),
        guard=Guard(database, tokens),
        hub=LiveHub(feed, metrics, clock),
        alarms=AlarmFeed(database, clock),
        sockets=OpenSockets(database, metrics, clock),
        metrics=metrics,
        background=Background(),
    )


def _live_and_die(app: Quart, services: Services) -> None:
    @app.before_serving
    async def open_services() -> None:
        await services.database.open()
        services.background.start("alarms", services.alarms.run)
        services.background.start("rights", services.sockets.run)
        services.background.start(
            "first admin",
            lambda: ensure_first_admin(services.database, services.passwords, services.settings, services.clock),
        )

    @app.after_serving
    async def close_services() -> None:
        await services.background.stop()
        await services.hub.close()
        await services.database.close()
        services.passwords.close()


def _answer_errors_as_json(app: Quart) -> None:
    @app.errorhandler(HttpRefusal)
    async def refused(error: HttpRefusal) -> Response:
        return _detail(error.status, error.detail, error.headers)

    @app.errorhandler(HTTPException)
    async def refused_by_quart(error: HTTPException) -> Response:
        allowed = isinstance(error, MethodNotAllowed) and error.valid_methods
        return _detail(error.code or 500, error.name, {"Allow": ", ".join(sorted(allowed))} if allowed else {})

    @app.errorhandler(StoreUnavailable)
    async def away(error: StoreUnavailable) -> Response:
        log.warning("database_unavailable", error=str(error))
        return _detail(503, "The database is not available now", {"Retry-After": RETRY_AFTER_S})

    @app.errorhandler(Exception)
    async def failed(error: Exception) -> Response:
        log.error("request_failed", exc_info=error)
        return _detail(500, "Internal server error", {})


def _detail(status: int, detail: Any, headers: dict[str, str]) -> Response:
    response = json_response(to_json({"detail": detail}), status)
    response.headers.update(headers)
    return response
