"""The web application: everything it needs comes in as arguments, nothing is global.

Serves REST (web/api, one module a noun), the websockets (web/live) and the pages. What it serves is the wire contract.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import structlog
from pydantic_core import to_json
from quart import Quart, Response, has_request_context, request, websocket
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from engine.clock import Clock, SystemClock
from engine.errors import SettingsError, StoreUnavailable
from engine.live import LiveFeed
from engine.metrics import Metrics
from engine.processes.parts import PROCESS_NAME
from engine.settings import Settings
from web.api import (
    acknowledge,
    alarm_commands,
    alarm_figures,
    alarm_proposals,
    alarms,
    alerts,
    audit,
    auth,
    console,
    dashboard,
    detection,
    exports,
    facilities,
    groups,
    health,
    incidents,
    keys,
    notifications,
    oidc,
    pages,
    permissions,
    planned_rules,
    readings,
    records,
    redrives,
    replays,
    reports,
    rule_history,
    rules,
    sensors,
    set_aside,
    shift_notes,
    sockets,
    tickets,
    users,
)
from web.auth.first_admin import check_admin_password
from web.auth.guard import Guard, Need
from web.auth.names import Names
from web.auth.oidc import SingleSignOn
from web.auth.passwords import Passwords
from web.auth.sessions import Sessions
from web.auth.signing import keyring
from web.auth.throttle import Throttle
from web.auth.tickets import Tickets
from web.auth.tokens import Tokens
from web.background import Background
from web.contract.declare import Noun
from web.contract.openapi import openapi_document
from web.database import Database, StatementTooSlow
from web.edge.middleware import EdgeMiddleware
from web.edge.proxies import TrustedProxies, client_address
from web.edge.rates import RateLimits, client_key
from web.edge.refusals import Refusals
from web.edge.requests import FIELDS_MAX
from web.engine_report import EngineReports
from web.errors import HttpRefusal
from web.exports.kept import Kept
from web.exports.making import Exports
from web.fairness import Turns
from web.live.alarms import AlarmFeed
from web.live.hub import LiveHub
from web.live.rights import OpenSockets
from web.preparation import Preparation
from web.serving.routes import OpaqueText, blueprint, json_response
from web.serving.services import Services
from web.serving.underway import Budget, BudgetMiddleware

NOUNS: tuple[Noun, ...] = (
    auth.noun,
    oidc.noun,
    users.noun,
    permissions.noun,
    keys.noun,
    facilities.noun,
    sensors.noun,
    detection.noun,
    records.noun,
    readings.noun,
    exports.noun,
    alerts.noun,
    alarms.noun,
    alarm_commands.noun,
    notifications.noun,
    acknowledge.noun,
    groups.noun,
    rules.noun,
    planned_rules.noun,
    rule_history.noun,
    dashboard.noun,
    tickets.noun,
    audit.noun,
    set_aside.noun,
    redrives.noun,
    health.noun,
    incidents.noun,
    alarm_figures.noun,
    alarm_proposals.noun,
    shift_notes.noun,
    reports.noun,
    replays.noun,
)
SLOW_BODY_S_MAX = 15
LARGE_PIECES_MAX = 2
"""Of large answers, that are made at the same time, each for another caller."""
PROPOSALS_WAITING_MAX = 10
"""Of one caller, for their turn at an alarm."""
PROPOSALS_WAIT_S_MAX = 20.0
RETRY_AFTER_S = "2"
EXPORTS_FOLDER = "exports"

log = structlog.get_logger(__name__)


def create_app(
    settings: Settings, feed: LiveFeed, clock: Clock | None = None, passwords: Passwords | None = None
) -> Quart:
    """The ASGI application. Raises SettingsError when it must not start."""
    services = _services(settings, feed, clock or SystemClock(), passwords or Passwords())
    app = Quart(__name__, static_folder=None, template_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.body_bytes_max
    app.config["BODY_TIMEOUT"] = SLOW_BODY_S_MAX
    app.config["MAX_FORM_PARTS"] = FIELDS_MAX
    app.config["RESPONSE_TIMEOUT"] = None
    app.url_map.merge_slashes = False
    app.url_map.converters["opaque"] = OpaqueText
    for noun in NOUNS:
        app.register_blueprint(blueprint(noun, services))
    app.register_blueprint(pages.blueprint(_description()))
    app.register_blueprint(console.blueprint(has_single_sign_on=services.single_sign_on is not None))
    app.register_blueprint(sockets.blueprint(services))
    _refuse_until_prepared(app, services)
    _limit_rates(app, services)
    _answer_errors_as_json(app)
    _live_and_die(app, services)
    proxies = TrustedProxies(settings.proxy_networks)
    if settings.admits_any_origin and settings.environment == "production":
        log.warning("any_origin_is_admitted", advice="set CORS_ORIGINS to where the front end is served from")
    budget = Budget(settings.large_answers_per_caller_max, settings.answer_bytes_per_caller_max)
    app.asgi_app = EdgeMiddleware(  # type: ignore[method-assign,assignment]
        BudgetMiddleware(app.asgi_app, budget),
        settings.origins,
        proxies,
        body_bytes_max=settings.body_bytes_max,
        rates=services.rates,
        refusals=Refusals(services.metrics, services.clock),
    )
    return app


@cache
def _description() -> bytes:
    """Of all routes, for `/openapi.json`: the same for every application, and most of the work of making one."""
    return to_json(openapi_document(NOUNS, sockets.SOCKETS))


def _services(settings: Settings, feed: LiveFeed, clock: Clock, passwords: Passwords) -> Services:
    if settings.database_url is None:
        raise SettingsError("DATABASE_URL is not set and no running GasInSight was found; start `gasinsight up` first")
    check_admin_password(settings)
    tokens = Tokens(keyring(settings), clock)
    database = Database(
        settings.database_url,
        settings.database_connections_max,
        settings.statement_timeout_s,
        direct_url=settings.postgresql_url,
    )
    guard = Guard(database, tokens)
    process = os.environ.get(PROCESS_NAME)
    metrics = Metrics(process=process) if process else Metrics()
    return Services(
        settings=settings,
        clock=clock,
        database=database,
        names=Names(database),
        passwords=passwords,
        sessions=Sessions(database, tokens, settings, clock),
        guard=guard,
        tokens=tokens,
        throttle=Throttle(database, clock),
        single_sign_on=SingleSignOn.of(settings, clock),
        hub=LiveHub(feed, metrics, clock),
        alarms=AlarmFeed(database, clock),
        sockets=OpenSockets(database, metrics, clock, settings.websockets_per_caller_max, settings.websockets_max),
        metrics=metrics,
        background=Background(),
        preparation=Preparation(database, passwords, settings, clock),
        reports=EngineReports(database, settings.data_dir, clock),
        rates=RateLimits(settings.rate_limit_per_s, settings.rate_limit_burst, clock),
        tickets=Tickets(database, guard),
        exports=Exports(
            Kept(settings.data_dir / EXPORTS_FOLDER),
            str(settings.postgresql_url),
            clock,
            settings.exports_mb_max * 10**6,
        ),
        proposing=Turns(1, 1, waiting_each_max=PROPOSALS_WAITING_MAX, wait_s_max=PROPOSALS_WAIT_S_MAX),
        turns=Turns(1, min(LARGE_PIECES_MAX, settings.database_connections_max // 2), waiting_each_max=10_000),
    )


def _live_and_die(app: Quart, services: Services) -> None:
    @app.before_serving
    async def open_services() -> None:
        await services.database.open()
        await services.preparation.check_schema()
        services.background.start("alarms", services.alarms.run)
        services.background.start("rights", services.sockets.run)
        services.background.start("preparation", services.preparation.run)
        services.background.start("exports", services.exports.run)
        await services.preparation.first_try()

    @app.after_serving
    async def close_services() -> None:
        await services.background.stop()
        await services.hub.close()
        services.reports.close()
        await services.database.close()
        services.passwords.close()


def _refuse_until_prepared(app: Quart, services: Services) -> None:
    """Only what says nothing about users and facilities can be told truly before; hooks run before any other look."""
    told_always = {health.noun.name, pages.NAME, console.NAME}

    async def refuse() -> None:
        asked = request if has_request_context() else websocket
        if services.preparation.waits_for is not None and asked.blueprint not in {None, *told_always}:
            raise HttpRefusal(503, "The server is starting; ask again soon", {"Retry-After": RETRY_AFTER_S})

    app.before_request(refuse)
    app.before_websocket(refuse)


def _limit_rates(app: Quart, services: Services) -> None:
    """Whoever asks without saying who they are counts by address; a served route counts the others as it knows them."""
    declared = {f"{noun.name}.{each.handler.__name__}": each for noun in NOUNS for each in noun.endpoints}
    never_counted = {name for name, endpoint in declared.items() if endpoint.handler in health.PROBES}
    counted_later = {name for name, endpoint in declared.items() if endpoint.need is not Need.NOTHING}

    @app.before_request
    async def count_by_address() -> None:
        is_counted_later = request.endpoint in counted_later and request.method != "OPTIONS"  # those no view answers
        if not is_counted_later and request.endpoint not in never_counted:
            services.rates.take(client_key(client_address(request.scope)))


def _answer_errors_as_json(app: Quart) -> None:
    @app.errorhandler(HttpRefusal)
    async def refused(error: HttpRefusal) -> Response:
        return _detail(error.status, error.detail, error.headers)

    @app.errorhandler(HTTPException)
    async def refused_by_quart(error: HTTPException) -> Response:
        allowed = isinstance(error, MethodNotAllowed) and error.valid_methods
        return _detail(error.code or 500, error.name, {"Allow": ", ".join(sorted(allowed))} if allowed else {})

    @app.errorhandler(StatementTooSlow)
    async def too_slow(error: StatementTooSlow) -> Response:
        log.warning("statement_too_slow", error=str(error))
        return _detail(503, "This takes longer than it may; ask for less at once", {"Retry-After": RETRY_AFTER_S})

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
