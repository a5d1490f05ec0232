"""Password hashing in a small bounded thread pool: argon2id for new ones, the older server's bcrypt still verifies.

A password is hashed in one Unicode form (NFC), because keyboards differ in how they spell what looks the same. Older
hashes are of what was typed then, so that other forms are tried too, and what verifies is replaced.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import argon2
import bcrypt

from engine.secrecy import weakness_of_password
from engine.settings import Settings
from web.auth.password_line import Asker, PasswordLine
from web.errors import NotUsable

T = TypeVar("T")

THREADS = 2  # each verification takes 64 MiB and some 50 ms of a core
BCRYPT_BYTES_MAX = 72  # bcrypt never looked at more
NICENESS = 10  # each hash has four threads of its own at work, and the event loop is to come before all of them
CHARACTERS_MAX = 1024  # of a password; a longer one is not worth hashing


@dataclass(frozen=True, slots=True)
class Verification:
    """`replacement_hash` is to be stored when the old hash is of an older kind or cost."""

    is_right: bool
    replacement_hash: str | None = None


def check_new_password(settings: Settings, field: str, password: str, *names: str | None) -> None:
    """NotUsable about the body's `field` where the settings ask for more than a password; `names`: of its owner."""
    characters_min = settings.new_password_characters_min
    if characters_min is None:
        return
    known = [name for name in names if name]
    if weakness := weakness_of_password(password, characters_min, *known):
        raise NotUsable.of("body", field, f"The password {weakness}", "password_weak")


def _step_back() -> None:
    """The threads of a hash inherit it. Elsewhere priorities are a whole process' own."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


class Passwords:
    """Owns the threads; one a process."""

    def __init__(self, hasher: argon2.PasswordHasher | None = None) -> None:
        self._hasher = hasher or argon2.PasswordHasher()  # RFC 9106, the profile for little memory
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords", initializer=_step_back)
        self._line = PasswordLine(THREADS)
        # Made ahead: an unknown user must not take longer, not even the first one.
        self._nobodys_hash = self._threads.submit(self._hasher.hash, "nobody has this password")

    async def hash(self, password: str, asker: Asker) -> str:
        return await self._in_thread(asker, self._hash, password)

    async def verify(self, stored_hash: str | None, password: str, asker: Asker) -> Verification:
        """Takes as long for an unknown user (no hash) as for a known one."""
        if stored_hash is None or len(password) > CHARACTERS_MAX:
            # Shielded: a client that goes away must not cancel it for all others.
            nobodys_hash = await asyncio.shield(asyncio.wrap_future(self._nobodys_hash))
            await self._in_thread(asker, self._verify, nobodys_hash, password[:CHARACTERS_MAX])
            return Verification(False)
        return await self._in_thread(asker, self._verify, stored_hash, password)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _hash(self, password: str) -> str:
        return self._hasher.hash(unicodedata.normalize("NFC", password))

    def _verify(self, stored_hash: str, password: str) -> Verification:
        """As many tries for a hash that nobody has the password of as for any other."""
        forms = _forms(password)
        for form in forms:
            found = self._verify_form(stored_hash, form)
            if found.is_right:
                return found if form == forms[0] else Verification(True, self._hash(password))
        return Verification(False)

    def _verify_form(self, stored_hash: str, password: str) -> Verification:
        if stored_hash.startswith("$2"):
            secret = password.encode()[:BCRYPT_BYTES_MAX]
            try:
                is_right = bcrypt.checkpw(secret, stored_hash.encode())
            except ValueError:  # not a bcrypt hash after all
                return Verification(False)
            return Verification(is_right, self._hash(password) if is_right else None)
        try:
            self._hasher.verify(stored_hash, password)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return Verification(False)
        outdated = self._hasher.check_needs_rehash(stored_hash)
        return Verification(True, self._hash(password) if outdated else None)

    async def _in_thread(self, asker: Asker, work: Callable[..., T], *arguments: str) -> T:
        await self._line.come(asker)
        try:
            future = self._threads.submit(work, *arguments)
        except RuntimeError:  # closed
            self._line.leave(asker)
            raise
        # The turn lasts as long as the thread works, also for who does not wait for it any more.
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: _call_soon(loop, self._line.leave, asker))
        return await asyncio.wrap_future(future)


def _call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[[Asker], None], asker: Asker) -> None:
    with suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(callback, asker)


def _forms(password: str) -> list[str]:
    """The one that is hashed now, what was typed, and what another keyboard would have sent; one, where they agree."""
    forms = (unicodedata.normalize("NFC", password), password, unicodedata.normalize("NFD", password))
    return list(dict.fromkeys(forms))
