"""The cookie that binds a single sign-on to its browser: whatever stands in it, the answer is a sentence."""

from __future__ import annotations

import base64
import json

import pytest

from engine.clock import ManualClock
from web.auth.oidc_sign_ins import SignIns, SignInUnknown

HEADERS: list[object] = [
    {"alg": "HS256", "crit": 1},
    {"alg": "HS256", "crit": ["exp"]},
    {"alg": 1},
    {"alg": "none"},
    {},
    [],
    "HS256",
    None,
]


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


@pytest.mark.parametrize("header", HEADERS, ids=str)
def test_a_forged_cookie_is_refused(header: object) -> None:
    sign_ins = SignIns("a secret of thirty-two characters", ManualClock(0))
    with pytest.raises(SignInUnknown):
        sign_ins.resume(f"{encoded(header)}.{encoded({'exp': 9_999_999_999})}.c2ln", "state")


@pytest.mark.parametrize("cookie", ["", "a", "a.b", "a.b.c", "." * 400, "é.é.é", "e30" + ".e30" * 3])
def test_what_is_no_token_is_refused(cookie: str) -> None:
    with pytest.raises(SignInUnknown):
        SignIns("a secret of thirty-two characters", ManualClock(0)).resume(cookie, "state")


def test_the_own_cookie_is_taken() -> None:
    sign_ins = SignIns("a secret of thirty-two characters", ManualClock(0))
    begun, cookie = sign_ins.begin("challenge")
    assert sign_ins.resume(cookie, begun.state) == begun
