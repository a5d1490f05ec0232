"""What the routes work with: made once by `create_app`, handed to each blueprint, closed at the end."""

from __future__ import annotations

from dataclasses import dataclass

from engine.clock import Clock
from engine.metrics import Metrics
from engine.settings import Settings
from web.auth.guard import Guard
from web.auth.names import Names
from web.auth.oidc import SingleSignOn
from web.auth.passwords import Passwords
from web.auth.sessions import Sessions
from web.auth.throttle import Throttle
from web.auth.tickets import Tickets
from web.auth.tokens import Tokens
from web.background import Background
from web.database import Database
from web.edge.rates import RateLimits
from web.engine_report import EngineReports
from web.exports.making import Exports
from web.fairness import Turns
from web.live.alarms import AlarmFeed
from web.live.hub import LiveHub
from web.live.rights import OpenSockets
from web.preparation import Preparation


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    clock: Clock
    database: Database
    names: Names
    passwords: Passwords
    sessions: Sessions
    guard: Guard
    tokens: Tokens
    throttle: Throttle
    single_sign_on: SingleSignOn | None
    hub: LiveHub
    alarms: AlarmFeed
    sockets: OpenSockets
    metrics: Metrics
    background: Background
    preparation: Preparation
    reports: EngineReports
    rates: RateLimits
    tickets: Tickets
    exports: Exports
    proposing: Turns
    turns: Turns
