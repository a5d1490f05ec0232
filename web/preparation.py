"""What must be so before the first true answer: the schema fits, the database takes changes, callers' statements can be
run as their role, and there is an Admin.

Until then the routes that need it say 503 with Retry-After. Who signs in before the first admin is made would be told
401 with the right password, and whoever is told so believes it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from engine.clock import Clock
from engine.errors import SettingsError, StoreUnavailable
from engine.settings import Settings
from migrations.upgrade import refuse_older_schema
from web.auth.first_admin import create_first_admin
from web.auth.names import Names
from web.auth.passwords import Passwords
from web.database import Database

RETRY_S = 2.0
PATIENCE_S = 2.0  # how long the server puts off listening, so that an ordinary start refuses nobody

TAKES_NO_CHANGES = "SELECT current_setting('transaction_read_only') = 'on'"

log = structlog.get_logger(__name__)


class Preparation:
    """`waits_for` says in words what is missing; None once everything is as it must be, which it stays."""

    def __init__(self, database: Database, passwords: Passwords, settings: Settings, clock: Clock) -> None:
        self._database = database
        self._passwords = passwords
        self._settings = settings
        self._clock = clock
        self._schema_fits = False
        self._tried = asyncio.Event()
        self.waits_for: str | None = "the database is being asked"

    async def check_schema(self) -> None:
        """Raises SettingsError when the schema is older than this program needs; `run` asks one that is away again."""
        try:
            await self._fit_schema()
        except StoreUnavailable as error:
            log.warning("schema_not_known", error=str(error))

    async def run(self) -> None:
        """Returns when all is prepared, however long the database is away."""
        while True:
            try:
                await self._prepare()
            except (StoreUnavailable, SettingsError) as error:
                log.warning("not_prepared", error=str(error))
                self.waits_for = str(error)
                self._tried.set()
                await self._clock.sleep(RETRY_S)
            else:
                self.waits_for = None
                self._tried.set()
                return

    async def first_try(self) -> None:
        """Returns when `run` has tried once, or after PATIENCE_S."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._tried.wait(), PATIENCE_S)

    async def _prepare(self) -> None:
        await self._fit_schema()
        if await self._database.value(TAKES_NO_CHANGES):
            raise StoreUnavailable("the database takes no changes: it is in recovery, or set to read only")
        await self._database.bound_to(None, read_only=True).value("SELECT 1")  # as a caller's statements run
        await Names(self._database).settle()
        self.waits_for = "the first admin is being made"
        await create_first_admin(self._database, self._passwords, self._settings)

    async def _fit_schema(self) -> None:
        assert self._settings.postgresql_url is not None
        if not self._schema_fits:
            await refuse_older_schema(self._settings.postgresql_url)
            self._schema_fits = True
