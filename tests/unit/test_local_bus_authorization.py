"""What a token opens, and that whatever else is put in its place is refused in a sentence."""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import quote_plus

import pytest

from engine.clock import US_PER_S, ManualClock
from engine.local_bus.authorization import TOKENS_MAX, Authorization
from engine.local_bus.errors import AmqpError

KEY = "the key"


def token(scope: str, ends: str, key: str = KEY) -> str:
    signed = f"{quote_plus(scope)}\n{ends}".encode()
    signature = base64.b64encode(hmac.new(key.encode(), signed, hashlib.sha256).digest())
    return f"SharedAccessSignature sr={quote_plus(scope)}&sig={quote_plus(signature)}&se={ends}&skn=local"


@pytest.fixture
def authorization() -> Authorization:
    return Authorization(KEY, ManualClock())


@pytest.fixture
def later() -> str:
    return str(ManualClock().now_us() // US_PER_S + 60)


def test_a_token_opens_its_path_and_what_is_below(authorization: Authorization, later: str) -> None:
    authorization.put_token(token("amqps://localhost/Readings", later))
    authorization.check("readings")
    authorization.check("amqp://other/readings/$management")
    for other in ("readings2", "setups", ""):
        with pytest.raises(AmqpError, match="no valid token"):
            authorization.check(other)
    assert authorization.has_shown_key


@pytest.mark.parametrize(
    "text",
    [
        "", "a", "SharedAccessSignature", "SharedAccessSignature %73r=a&%73ig=b&%73e=1",
        "SharedAccessSignature sr&sig&se", "SharedAccessSignature " + "&" * 60_000, "Bearer sr=a&sig=b&se=1",
    ],
)  # fmt: skip
def test_what_is_no_token_is_refused(authorization: Authorization, text: str) -> None:
    with pytest.raises(AmqpError, match="unauthorized-access"):
        authorization.put_token(text)
    assert not authorization.has_shown_key


@pytest.mark.parametrize("ends", ["0", "-1", "1e9", "\u0661" * 10, "9" * 5_000, ""])
def test_a_signed_token_has_an_end(authorization: Authorization, ends: str) -> None:
    with pytest.raises(AmqpError, match=r"has expired \(se=.{0,20}\)"):
        authorization.put_token(token("readings", ends))


def test_a_scope_that_is_no_url_opens_nothing_else(authorization: Authorization, later: str) -> None:
    authorization.put_token(token("amqps://[half", later))
    with pytest.raises(AmqpError, match="no valid token"):
        authorization.check("readings")


def test_tokens_are_limited_and_can_be_renewed(authorization: Authorization, later: str) -> None:
    for number in range(TOKENS_MAX):
        authorization.put_token(token(f"queue{number}", later))
    authorization.put_token(token("queue0", later))
    with pytest.raises(AmqpError, match="more than 256 tokens"):
        authorization.put_token(token("one-more", later))
