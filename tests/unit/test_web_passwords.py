"""Passwords: in any form of Unicode, nobody takes as long as somebody, old hashes are replaced."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from typing import Literal

import argon2
import bcrypt
import pytest

from engine.errors import SettingsError
from engine.secrecy import PASSWORD_CHARACTERS_MIN
from engine.settings import Settings
from web.auth import passwords as module
from web.auth.first_admin import check_admin_password
from web.auth.password_line import Asker
from web.auth.passwords import BCRYPT_BYTES_MAX, CHARACTERS_MAX, Passwords, check_new_password
from web.errors import NotUsable

CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)

WHO = Asker.of("192.0.2.1", "kim")


class HeldHasher(argon2.PasswordHasher):
    """Counts verifications, and lets them through when the test says so."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=64, parallelism=1)
        self.open = threading.Event()
        self.verified: list[str] = []

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        self.open.wait(20)
        self.verified.append(str(hash))
        return super().verify(hash, password)


def settings(**values: object) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]


async def test_an_unknown_user_costs_one_verification_from_the_first_on() -> None:
    hasher = HeldHasher()
    hasher.open.set()
    passwords = Passwords(hasher)
    stored = await passwords.hash("right", WHO)
    for stored_hash, expected in ((None, False), (stored, False), (stored, True)):
        hasher.verified.clear()
        found = await passwords.verify(stored_hash, "right" if expected else "wrong", WHO)
        assert found.is_right == expected
        assert len(hasher.verified) == 1
    passwords.close()


async def test_a_client_that_goes_away_takes_nothing_from_the_next() -> None:
    hasher = HeldHasher()
    passwords = Passwords(hasher)
    stored = await passwords.hash("right", WHO)
    busy = [asyncio.create_task(passwords.verify(stored, "right", WHO)) for _ in range(2)]  # both threads
    await asyncio.sleep(0)
    passwords._nobodys_hash = passwords._threads.submit(CHEAP.hash, "nobody")
    gone = asyncio.create_task(passwords.verify(None, "x", WHO))
    await asyncio.sleep(0.05)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    hasher.open.set()
    assert not (await passwords.verify(None, "x", WHO)).is_right
    assert all(each.is_right for each in await asyncio.gather(*busy))
    passwords.close()


async def test_a_password_too_long_to_be_one_is_wrong_and_costs_the_same() -> None:
    hasher = HeldHasher()
    hasher.open.set()
    passwords = Passwords(hasher)
    longest = "x" * CHARACTERS_MAX
    stored = await passwords.hash(longest, WHO)
    assert (await passwords.verify(stored, longest, WHO)).is_right
    hasher.verified.clear()
    assert not (await passwords.verify(stored, longest + "x" * 1_000_000, WHO)).is_right
    assert len(hasher.verified) == 1
    passwords.close()


async def test_hashes_of_older_kinds_verify_and_are_replaced() -> None:
    passwords = Passwords(CHEAP)
    older_argon2 = argon2.PasswordHasher(time_cost=2, memory_cost=64, parallelism=1).hash("right")
    older_bcrypt = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
    for older in (older_argon2, older_bcrypt):
        assert not (await passwords.verify(older, "wrong", WHO)).is_right
        found = await passwords.verify(older, "right", WHO)
        assert found.is_right
        assert found.replacement_hash is not None
        assert await passwords.verify(found.replacement_hash, "right", WHO) == module.Verification(True)
    for broken in ("", "-", "$2b$", "$2b$04$short", "$argon2id$nonsense"):
        assert not (await passwords.verify(broken, "right", WHO)).is_right
    passwords.close()


async def test_a_password_is_the_same_in_every_form_of_unicode() -> None:
    passwords = Passwords(CHEAP)
    composed, decomposed, angstrom = "gr\u00fc\u00dfe \u00c5", "gru\u0308\u00dfe A\u030a", "gr\u00fc\u00dfe \u212b"
    stored = await passwords.hash(decomposed, WHO)
    for typed in (composed, decomposed, angstrom):
        assert await passwords.verify(stored, typed, WHO) == module.Verification(True)
    for other in ("GR\u00dcSSE \u00c5", composed + " ", composed.replace("\u00df", "ss")):
        assert not (await passwords.verify(stored, other, WHO)).is_right, (
            "only the form is no matter, not case and blanks"
        )
    for of_before in (composed, decomposed):
        for older in (CHEAP.hash(of_before), bcrypt.hashpw(of_before.encode(), bcrypt.gensalt(4)).decode()):
            for typed in (composed, decomposed):
                replacement = (await passwords.verify(older, typed, WHO)).replacement_hash or older
                assert await passwords.verify(replacement, typed, WHO) == module.Verification(True)
                assert CHEAP.verify(replacement, composed)
    only_as_typed = CHEAP.hash(angstrom)
    replacement_hash = (await passwords.verify(only_as_typed, angstrom, WHO)).replacement_hash
    assert replacement_hash is not None
    assert CHEAP.verify(replacement_hash, composed)
    passwords.close()


async def test_nobody_costs_as_many_verifications_as_somebody() -> None:
    hasher = HeldHasher()
    hasher.open.set()
    passwords = Passwords(hasher)
    stored = await passwords.hash("right", WHO)
    for wrong, tries in (("wrong", 1), ("\u00fc", 2), ("\u212b", 3)):
        for stored_hash in (stored, None):
            hasher.verified.clear()
            assert not (await passwords.verify(stored_hash, wrong, WHO)).is_right
            assert len(hasher.verified) == tries
    passwords.close()


async def test_bcrypt_looks_at_72_bytes_as_ever() -> None:
    passwords = Passwords(CHEAP)
    long = "ü" * BCRYPT_BYTES_MAX
    stored = bcrypt.hashpw(long.encode()[:BCRYPT_BYTES_MAX], bcrypt.gensalt(4)).decode()
    replacement = (await passwords.verify(stored, long, WHO)).replacement_hash
    assert replacement is not None
    assert not (await passwords.verify(replacement, long[: BCRYPT_BYTES_MAX // 2], WHO)).is_right, (
        "argon2 looks at all of it"
    )
    passwords.close()


@pytest.mark.parametrize(
    ("environment", "chosen_min", "characters_min"),
    [
        ("development", None, None),
        ("development", 8, 8),
        ("production", None, PASSWORD_CHARACTERS_MIN),
        ("production", 7, 7),
        ("production", 12, 12),
    ],
)
def test_what_a_new_password_must_be(environment: str, chosen_min: int | None, characters_min: int | None) -> None:
    chosen = settings(password_characters_min=chosen_min, environment=environment)

    def is_taken(password: str) -> bool:
        try:
            check_new_password(chosen, "password", password, "kim", None, "Kim@Plant")
        except NotUsable as refused:
            assert refused.detail[0]["loc"] == ["body", "password"]  # type: ignore[index]
            return False
        return True

    assert is_taken("twelve twelv")
    for characters, password in ((1, "p"), (7, "seven77"), (8, "eight888"), (11, "eleven elev")):
        assert is_taken(password) == (characters >= (characters_min or 1))
    for password in ("password123", "Kim@Plant"):
        assert is_taken(password) == (characters_min is None)


def test_production_refuses_an_admin_password_that_others_know() -> None:
    for password in ("admin", "seven77", "changeme", "Password123", "admin@example.com"):
        check_admin_password(settings(admin_password=password))
        with pytest.raises(SettingsError, match="ADMIN_PASSWORD"):
            check_admin_password(settings(admin_password=password, environment="production"))
    check_admin_password(settings(admin_password="eight888", environment="production"))


def test_the_first_admin_gets_no_password_that_a_user_could_not_have() -> None:
    with pytest.raises(SettingsError, match="ADMIN_PASSWORD should have at least 12 characters"):
        check_admin_password(settings(admin_password="eleven elev", password_characters_min=12))
    check_admin_password(settings(admin_password="twelve twelv", password_characters_min=12))
    check_admin_password(settings(environment="production"))


@pytest.mark.skipif(sys.platform != "linux", reason="priorities of single threads are Linux'")
async def test_hashes_step_back_behind_the_event_loop() -> None:
    passwords = Passwords(CHEAP)
    asked = passwords._threads.submit(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert asked.result() == module.NICENESS > own or own >= module.NICENESS
    passwords.close()
