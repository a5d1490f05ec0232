"""The first admin, made once per database: by whichever process comes first, under a lock."""

from __future__ import annotations

import secrets
import sys
from typing import Any

import structlog

from engine.errors import SettingsError
from engine.printable import escaped
from engine.secrecy import weakness_of_password
from engine.settings import Settings
from web.audit import SYSTEM, Action, Actor, audit
from web.auth.guard import user_principal
from web.auth.names import hold_names, take_turn
from web.auth.password_line import Asker
from web.auth.passwords import Passwords
from web.database import Database
from web.errors import HttpRefusal

USERNAME = "admin"
LOCK_KEY = 0x6761_7331  # any number of our own

LOCK = "SELECT pg_advisory_xact_lock($1)"
HAS_ADMIN = "SELECT EXISTS (SELECT FROM users WHERE role = 'Admin')"
INSERT_ADMIN = """
INSERT INTO users (username, email, hashed_password, role)
VALUES ($1, $2, $3, 'Admin')
ON CONFLICT DO NOTHING
RETURNING id
"""

log = structlog.get_logger(__name__)


def check_admin_password(settings: Settings) -> None:
    """Raise SettingsError for a password that nobody could set over the API either."""
    characters_min = settings.new_password_characters_min
    if settings.admin_password is None or characters_min is None:
        return
    password = settings.admin_password.get_secret_value()
    if weakness := weakness_of_password(password, characters_min, USERNAME, settings.admin_email):
        raise SettingsError(f"ADMIN_PASSWORD {weakness}; without one a random password is made and shown once")


async def create_first_admin(database: Database, passwords: Passwords, settings: Settings) -> None:
    """Returns once it is settled who the first Admin is; StoreUnavailable while that cannot be known."""
    if await database.value(HAS_ADMIN):
        return
    given = settings.admin_password.get_secret_value() if settings.admin_password else None
    password = given or secrets.token_urlsafe(15)
    hashed = await passwords.hash(password, Asker.of("", USERNAME))
    try:
        async with database.transaction() as connection:
            await connection.execute(LOCK, LOCK_KEY)
            if await connection.fetchval(HAS_ADMIN):
                return
            await _make(connection, settings.admin_email, hashed)
    except HttpRefusal:
        log.error("first_admin_not_made", reason=f"{USERNAME} or {settings.admin_email} belongs to a User")
        return
    log.info("first_admin_made", username=USERNAME, email=settings.admin_email)
    if given is None:
        sys.stderr.write(
            f"\n  First admin: {escaped(settings.admin_email)} (user name {USERNAME}), password {password}\n"
            "  It is shown this once; change it after signing in.\n\n"
        )
        sys.stderr.flush()


async def _make(connection: Any, email: str, hashed_password: str) -> None:
    await take_turn(connection)
    admin_id = await connection.fetchval(INSERT_ADMIN, USERNAME, email, hashed_password)
    if admin_id is None:
        raise HttpRefusal(400, "Username or email already registered")
    await hold_names(connection, admin_id, {"Email": email, "Username": USERNAME})
    admin = {"username": USERNAME, "email": email, "role": "Admin"}
    await audit(connection, Actor(SYSTEM, "first start"), Action.USER_CREATED, user_principal(admin_id), after=admin)
