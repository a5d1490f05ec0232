"""Which secrets are too easily guessed: keys that sign, and passwords that people choose. Production refuses those."""

from __future__ import annotations

import itertools
import re
from typing import Final

KEY_CHARACTERS_MIN: Final = 32
KEY_DISTINCT_CHARACTERS_MIN: Final = 8  # 32 random hexadecimal digits have 14
PASSWORD_CHARACTERS_MIN: Final = 8  # NIST SP 800-63B
KEY_ADVICE: Final = "set at least 32 random ones: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"

KEY_REMAINDER_CHARACTERS_MIN: Final = 20
# Words of templates and tutorials: they count for nothing, the rest of the key has to be good by itself.
_KEY_WORDS: Final = (
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",  # the FastAPI tutorial's
    *("changeme", "changethis", "replaceme", "placeholder", "insecure", "your", "super", "secret", "key", "jwt"),
    *("password", "passwd", "please", "qwerty", "example", "django", "flask", "token", "admin", "test"),
)
# Of eight characters and more, among the first of every list of stolen passwords; shorter ones are refused as short.
# fmt: off
_COMMON_PASSWORDS: Final = frozenset({
    "password", "passw0rd", "password1", "password12", "password123", "p@ssw0rd", "12345678",
    "123456789", "1234567890", "12341234", "87654321", "qwertyui", "qwertyuiop", "qwerty123",
    "1q2w3e4r", "1qaz2wsx", "zaq12wsx", "asdfghjkl", "abcd1234", "abc12345", "iloveyou", "sunshine",
    "princess", "football", "baseball", "superman", "starwars", "computer", "internet", "trustno1",
    "whatever", "letmein1", "welcome1", "welcome123", "admin123", "admin1234", "administrator",
    "adminadmin", "root1234", "changeme", "changeme123", "change-me", "supersecret", "gasinsight",
    "gasinsight1", "gasinsight123"
})
# fmt: on


def weakness_of_key(key: str) -> str | None:
    """What a key that signs tokens has wrong with it, to follow the words `it has`; None when nothing is."""
    if len(key) < KEY_CHARACTERS_MIN:
        return f"{len(key)} characters"
    plain = re.sub(r"[\s_.:/-]", "", key.lower())
    for word in _KEY_WORDS:
        plain = plain.replace(word, "")
    if len(plain) < KEY_REMAINDER_CHARACTERS_MIN:
        return "a well-known value, or one made from words of a template"
    is_repeated = (plain + plain).find(plain, 1) < len(plain)
    steps = sum(abs(ord(a) - ord(b)) <= 1 for a, b in itertools.pairwise(plain))
    if is_repeated or len(set(plain)) < KEY_DISTINCT_CHARACTERS_MIN or steps > len(plain) / 2:
        return "a guessable value, which repeats or counts"
    return None


def weakness_of_password(password: str, characters_min: int, *names: str) -> str | None:
    """What is wrong with a new password, as a sentence; `names` are its owner's. None when nothing is."""
    if len(password) < characters_min:
        return f"should have at least {characters_min} characters"
    plain = password.lower()
    if plain in _COMMON_PASSWORDS or len(set(plain)) == 1:
        return "is among the first that anybody would try; choose another"
    if plain in {name.lower() for name in names} | {name.lower().partition("@")[0] for name in names}:
        return "should not be the user's own name"
    return None
