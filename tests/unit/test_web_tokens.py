"""Tokens: one verify function, and secrets that production refuses."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest

from engine.clock import ManualClock
from engine.errors import SettingsError
from web.auth.tokens import Claims, Tokens, check_secret_key
from web.errors import NotAuthenticated

KEY = "a key of this test, long enough to sign with"
CLAIMS = Claims(user_id=7, username="kim", generation=123, family="f", token_id="", impersonated_by=None)
NOW_S = ManualClock().now_us() // 1_000_000


def test_claims_survive_and_the_front_end_finds_its_own() -> None:
    tokens = Tokens(KEY, "HS256", ManualClock())
    token = tokens.issue("access", replace(CLAIMS, impersonated_by=1), NOW_S, 60)
    assert tokens.verify(token, "access") == replace(CLAIMS, impersonated_by=1)
    payload = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert (payload["sub"], payload["id"], payload["exp"]) == ("kim", 7, NOW_S + 60)
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


async def test_what_does_not_verify() -> None:
    clock = ManualClock()
    tokens = Tokens(KEY, "HS256", clock)
    good = tokens.issue("access", CLAIMS, NOW_S, 60)
    header, payload, signature = good.split(".")
    refused = [
        "",
        "a.b.c",
        "é.é.é",
        good + "x",
        f"{header}.{payload}.",
        f"{header}.{payload}.{'A' * len(signature)}",
        Tokens(KEY + "!", "HS256", clock).issue("access", CLAIMS, NOW_S, 60),
        Tokens(KEY, "HS512", clock).issue("access", CLAIMS, NOW_S, 60),
        tokens.issue("refresh", CLAIMS, NOW_S, 60),
        tokens.issue("access", CLAIMS, NOW_S - 61, 60),
    ]
    for token in refused:
        with pytest.raises(NotAuthenticated):
            tokens.verify(token, "access")
    await clock.advance(59)
    tokens.verify(good, "access")
    await clock.advance(1)
    with pytest.raises(NotAuthenticated):
        tokens.verify(good, "access")


def test_the_successor_of_a_refresh_token_is_the_same_everywhere_and_secret() -> None:
    here, there = Tokens(KEY, "HS256", ManualClock()), Tokens(KEY, "HS256", ManualClock())
    assert here.successor_id("x") == there.successor_id("x")
    assert here.successor_id("x") != here.successor_id("y")
    assert here.successor_id("x") != Tokens(KEY + "!", "HS256", ManualClock()).successor_id("x")


@pytest.mark.parametrize("key", [None, "", "short", "a" * 64, "your-secret-key-" + "0123456789abcdef" * 2])
def test_production_refuses_missing_short_and_guessable_keys(key: str | None) -> None:
    with pytest.raises(SettingsError, match="SECRET_KEY"):
        check_secret_key(key, "production")


def test_keys_that_are_taken() -> None:
    assert check_secret_key(KEY, "production") == KEY
    assert check_secret_key("short", "development") == "short"
    with pytest.raises(SettingsError, match="missing"):
        check_secret_key(None, "development")
