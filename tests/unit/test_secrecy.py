"""Secrets that production refuses, and those that it takes."""

from __future__ import annotations

import random

import pytest

from engine.errors import SettingsError
from engine.secrecy import weakness_of_key, weakness_of_password
from engine.settings import Settings
from web.auth.signing import keyring

GOOD = "a key of this test, long enough to sign with"
WEAK = [
    "short",
    "x" * 31,
    "a" * 64,
    "0123456789abcdef" * 4,
    "0123456789abcdefghijklmnopqrstuvwxyz",
    "9876543210zyxwvutsrqponmlkjihgfedcba",
    "your-secret-key-" + "0f1e2d3c4b5a6978" * 2,
    "CHANGE_ME-please-CHANGE_ME-please-CHANGE_ME",
    "your-super-secret-jwt-token-with-at-least-32",
    "secret" * 8,
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
]


def start(environment: str, **values: object) -> None:
    keyring(Settings(_env_file=None, environment=environment, **values))  # type: ignore[arg-type]


@pytest.mark.parametrize("key", WEAK)
def test_production_refuses_short_and_guessable_keys(key: str) -> None:
    with pytest.raises(SettingsError, match="SECRET_KEY has"):
        start("production", secret_key=key)
    with pytest.raises(SettingsError, match="SECRET_KEY_ALSO_ACCEPTED has"):
        start("production", secret_key=GOOD, secret_key_also_accepted=key)
    start("development", secret_key=key)


def test_a_missing_key_is_refused_everywhere() -> None:
    for environment in ("production", "development"):
        with pytest.raises(SettingsError, match="SECRET_KEY is missing"):
            start(environment)


def test_random_keys_are_taken() -> None:
    chance = random.Random(4)
    alphabets = ("0123456789abcdef", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    for n in range(2000):
        key = "".join(chance.choices(alphabets[n % 2], k=chance.choice((32, 43, 64))))
        assert weakness_of_key(key) is None, key
    for key in (GOOD, "the secret key of a test that nobody would guess", "?!%&§$/()=+*~#'<>|^°äöüßÄÖÜ€@{}[]"):
        start("production", secret_key=key)


@pytest.mark.parametrize(
    ("password", "characters_min"),
    [("seven77", 8), ("Password123", 1), ("zzzzzzzzz", 8), ("Kim", 1), ("kim@x.org", 8), ("kim", 3)],
)
def test_passwords_that_are_guessed_first(password: str, characters_min: int) -> None:
    assert weakness_of_password(password, characters_min, "kim", "kim@x.org")


@pytest.mark.parametrize(("password", "characters_min"), [("eight888", 8), ("pw", 1), ("kim and others", 8)])
def test_passwords_that_are_taken(password: str, characters_min: int) -> None:
    assert weakness_of_password(password, characters_min, "kim", "kim@x.org") is None
