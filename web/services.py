"""What the routes work with: made once by `create_app`, handed to each blueprint, closed at the end."""

from __future__ import annotations

from dataclasses import dataclass

from engine.clock import Clock
from engine.metrics import Metrics
from engine.settings import Settings
from web.auth.guard import Guard
from web.auth.passwords import Passwords
from web.auth.sessions import Sessions
from web.background import Background
from web.database import Database
from web.live.alarms import AlarmFeed
from web.live.hub import LiveHub
from web.live.rights import OpenSockets


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    clock: Clock
    database: Database
    passwords: Passwords
    sessions: Sessions
    guard: Guard
    hub: LiveHub
    alarms: AlarmFeed
    sockets: OpenSockets
    metrics: Metrics
    background: Background
