"""The text of an API key: what is one of ours, told without asking the database."""

from __future__ import annotations

import hashlib
from typing import Any, cast

import pytest

from web.auth.keys import KeyText, is_key, new_key, verify_key
from web.database import Database
from web.errors import NotAuthenticated

ROW = {"id": 7, "name": "report", "is_alive": True, "is_use_unnoted": False}


class OneKey:
    """Holds one row, and counts how often it is asked."""

    def __init__(self, key: KeyText, **changes: object) -> None:
        self.rows = {key.public_id: {**ROW, "secret_hash": key.secret_hash, **changes}}
        self.asked = 0

    async def row(self, _: str, public_id: str) -> Any | None:
        self.asked += 1
        return self.rows.get(public_id)


async def verified(held: OneKey, text: str) -> int:
    return (await verify_key(cast(Database, held), text)).key_id


async def refused(held: OneKey, text: str) -> bool:
    with pytest.raises(NotAuthenticated):
        await verified(held, text)
    return True


async def test_a_key_opens_and_says_nothing_of_itself() -> None:
    key = new_key()
    assert await verified(OneKey(key), key.text) == 7
    secret = key.text.rpartition("_")[2][:64]
    assert key.secret_hash == hashlib.sha256(secret.encode()).digest()
    assert secret not in repr(key)
    assert set(key.text) <= set("gik_0123456789abcdef"), "it stands in URLs as it is"
    assert new_key().text != key.text


async def test_every_typing_error_is_told_without_the_database() -> None:
    key = new_key()
    held = OneKey(key)
    for place, letter in enumerate(key.text):
        other = "0" if letter != "0" else "1"
        assert await refused(held, key.text[:place] + other + key.text[place + 1 :])
        assert await refused(held, key.text[:place] + key.text[place + 1 :])
    for text in (
        key.text.upper(),
        key.text + "0",
        key.text + "\n",
        " " + key.text,
        "gik_",
        "gik_" + "a" * 10_000,
        "gik_é",
    ):
        assert await refused(held, text)
    assert held.asked == 0


async def test_a_well_formed_key_that_is_not_the_one_held() -> None:
    key, other = new_key(), new_key()
    held = OneKey(key)
    assert await refused(held, other.text)
    held.rows[other.public_id] = held.rows[key.public_id]  # another secret under a known public id
    assert await refused(held, other.text)
    assert held.asked == 2
    assert await refused(OneKey(key, is_alive=False), key.text)


def test_a_token_is_no_key() -> None:
    assert is_key(new_key().text)
    assert is_key("gik_anything")
    assert not is_key("eyJhbGciOiJIUzI1NiJ9.e30.c2ln")
