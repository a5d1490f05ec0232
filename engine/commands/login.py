"""Which server, and as whom: for commands that speak to a running installation as a person does."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from engine.client import ClientError, GasInSight, NotSignedIn, ServerAway
from engine.errors import GasInSightError, SettingsError
from engine.printable import escaped
from engine.processes.parts import web_url
from engine.runtime import effective_settings, published_values
from engine.settings import Settings

Result = TypeVar("Result")


class NotDone(GasInSightError):
    """The server is away or refuses what was asked of it."""


@dataclass(frozen=True, slots=True)
class LoginOptions:
    """What the person asked for; None is for us to find out."""

    url: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Login:
    url: str
    user: str
    password: str = field(repr=False)


def find_login(overrides: dict[str, object], options: LoginOptions) -> Login:
    """The server running here and its first admin unless the options say otherwise; asks for a password it lacks."""
    settings = effective_settings(**overrides)
    published = published_values(settings.data_dir)
    url = options.url or published.get("web_url") or web_url(settings)
    user = options.user or settings.admin_email
    return Login(url, user, options.password if options.password is not None else _password(options, settings, user))


@contextmanager
def told_errors() -> Iterator[None]:
    """What goes wrong between us and the server as one sentence for a person."""
    try:
        yield
    except ValueError as error:  # the address
        raise SettingsError(str(error)) from error
    except NotSignedIn as error:
        raise SettingsError(f"{error}; give --user and --password") from error
    except ServerAway as error:
        raise NotDone(f"{error} `gasinsight up` starts one here") from error
    except ClientError as error:
        raise NotDone(str(error)) from error


def _password(options: LoginOptions, settings: Settings, user: str) -> str:
    if options.user is None and settings.admin_password is not None:
        return settings.admin_password.get_secret_value()
    if not sys.stdin.isatty():
        raise SettingsError(f"no password for {user}; set GASINSIGHT_PASSWORD or give --password")
    return getpass.getpass(f"Password of {escaped(user)}: ")


def asked(
    overrides: dict[str, object], options: LoginOptions, ask: Callable[[GasInSight], Awaitable[Result]]
) -> Result:
    """What the server answers whoever signs in so; its refusals are NotDone."""
    login = find_login(overrides, options)

    async def answer() -> Result:
        async with GasInSight(login.url, login.user, login.password) as gis:
            return await ask(gis)

    with told_errors():
        return asyncio.run(answer())
