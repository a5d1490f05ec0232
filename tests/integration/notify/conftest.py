"""An installation that tells: a database, a historian and a deliverer whose time the test moves, and receivers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from engine.clock import US_PER_S, ManualClock
from engine.historian.historian import Historian
from engine.metrics import Metrics
from engine.model import AlarmEvent, FacilityState
from engine.notify import sending
from engine.notify.deliverer import Deliverer
from engine.notify.sealing import seal
from engine.settings import Settings
from tests.integration.historian.outcomes import committed, event, facility_with_sensors, outcome
from tests.integration.notify.receivers import PASSWORD, USER, HttpsReceiver, Mailbox, server_tls
from tests.integration.web.certificates import make_certificate

KEY = "a key of this test, long enough to seal with"
SETTINGS = Settings(
    _env_file=None,
    group_commit_wait_ms=0,
    notification_key=KEY,
    notification_networks="127.0.0.0/8",
    public_url="https://gas.plant.example/",
)
SECRET = "what the receiver signs with as well"
WEEK = [1, 2, 3, 4, 5, 6, 7]
WHOLE_DAY = {"from_time": time(0), "to_time": time(0), "days": WEEK, "zone": "UTC"}


@dataclass
class Site:
    historian: Historian
    database: Any
    clock: ManualClock
    receiver: HttpsReceiver
    mailbox: Mailbox
    state: FacilityState
    sensors: list[int]
    commit_no: int = 1
    deliverer: Deliverer = field(init=False)

    def __post_init__(self) -> None:
        self.deliverer = self.another_deliverer()

    def another_deliverer(self, **changes: Any) -> Deliverer:
        settings = SETTINGS.model_copy(update=changes)
        return Deliverer(self.historian.outbox, settings, self.clock, Metrics())

    async def channel(self, kind: str = "webhook", name: str = "control room", **settings: Any) -> int:
        secrets: dict[str, Any] = {"url": self.receiver.url, "secret": SECRET}
        if kind == "mail":
            there = {"host": "127.0.0.1", "port": self.mailbox.port, "security": "starttls", "user": USER}
            settings = {**there, "sender": "gas@plant.example", "to": ["ann@plant.example"], **settings}
            secrets = {"password": PASSWORD}
        made: int = await self.database.fetchval(
            """INSERT INTO notification_channels (name, kind, enabled, settings, sealed)
               VALUES ($1, $2, true, $3, $4) RETURNING id""",
            name,
            kind,
            json.dumps(settings),
            seal(KEY, secrets),
        )
        return made

    async def subscribe(self, channel_id: int, **changes: Any) -> int:
        usual = {"least_priority": "low", "returned": False, "after_minutes": 0, "name": "all", **WHOLE_DAY}
        values = {"channel_id": channel_id, **usual, **changes}
        names, places = ", ".join(values), ", ".join(f"${number}" for number in range(1, len(values) + 1))
        made: int = await self.database.fetchval(
            f"INSERT INTO notification_subscriptions ({names}) VALUES ({places}) RETURNING id",
            *values.values(),
        )
        return made

    async def happens(self, *events: AlarmEvent) -> None:
        """In one commit, now."""
        self.commit_no += 1
        await committed(self.historian, outcome(self.state, self.commit_no, events=list(events)))

    def now(self, transition: str = "activated", sensor: int = 0, rule: str = "high", **changes: Any) -> AlarmEvent:
        made = event(self.sensors[sensor], self.clock.now_us(), transition, rule)
        return replace(made, **changes)

    async def step(self, seconds: float = 0) -> None:
        """So much later, everything due has been tried once."""
        await self.clock.advance(seconds)
        await self.deliverer.step()
        await self.deliverer.settle()

    async def messages(self) -> list[Any]:
        rows: list[Any] = await self.database.fetch("SELECT * FROM notification_messages ORDER BY id")
        return rows

    @property
    def told(self) -> list[int]:
        """Rows of the journal, in the order in which the receiver was told of them."""
        return [alarm["event_id"] for each in self.receiver.received for alarm in each.document["alarms"]]


@pytest_asyncio.fixture
async def site(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "fullchain.pem"))
    sending.trust.cache_clear()
    clock = ManualClock()
    historian = await Historian.open(database_url, SETTINGS, clock)
    database = await asyncpg.connect(database_url)
    receiver, mailbox = HttpsReceiver(server_tls(tmp_path)), Mailbox(server_tls(tmp_path))
    await receiver.start()
    await mailbox.start()
    state, sensors = await facility_with_sensors(historian, "f", 3)
    made = Site(historian, database, clock, receiver, mailbox, state, sensors)
    yield made
    made.deliverer.stop()
    await receiver.stop()
    await mailbox.stop()
    await database.close()
    await historian.close()
    sending.trust.cache_clear()


def minutes(number: float) -> float:
    return 60 * number


def us(seconds: float) -> int:
    return round(seconds * US_PER_S)
