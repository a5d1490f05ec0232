"""Thousands of ways to change a token, each with the name of its kind; the same seed gives the same ones.

They are made with plain hmac and cryptography, not with the library that verifies. `Forge.sign` uses the right key:
what it signs is refused for what it says, all else for its signature, its header or its spelling.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import random
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

Mutant = tuple[str, str]
Sign = Callable[[bytes], bytes]

DIGESTS = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
ALGORITHMS = (
    *("none", "None", "NONE", "nOnE", "", " none", "none\x00", "HS256", "HS384", "HS512", "hs256", "HS256 ", "HS1"),
    *("RS256", "RS384", "RS512", "PS256", "PS512", "ES256", "ES384", "ES512", "ES256K", "EdDSA", "Ed25519", "Ed448"),
    *("eddsa", "dir", "A128KW", "RSA-OAEP", "PBES2-HS256+A128KW", "ECDH-ES", "HS257", "\u212aS256"),
)
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 1.5, 1e300, 2**31, 2**53, 2**63, 2**64, 10**400, "", "x", " ", "7", "1e3", "0x7"),
    *(
        "null",
        "\x00",
        "a\x00b",
        "\ud800",
        "\udfff\ud800",
        "\u202e",
        "\u0667",
        "\uff17",
        "' OR 1=1 --",
        "../../etc/passwd",
    ),
    *([], [7], ["kim"], [[]], {}, {"id": 7}, {"$ne": None}),
)
EXTRA_HEADERS: tuple[dict[str, Any], ...] = (
    {"crit": ["exp"]},
    {"crit": []},
    {"crit": ["b64"], "b64": False},
    {"b64": False},
    {"b64": True},
    {"zip": "DEF"},
    {"cty": "JWT"},
    {"typ": "at+jwt"},
    {"typ": "jwt"},
    {"typ": None},
    {"enc": "A256GCM"},
    {"jku": "https://evil.example/jwks.json"},
    {"x5u": "https://evil.example/x.pem"},
    {"x5c": ["MIIB"]},
    {"x5t": "AAAA"},
    {"jwk": {"kty": "oct", "k": "AA"}},
    {"p2c": 2**31, "p2s": "AA"},
    {"epk": {}},
    {"nonce": "1"},
    {"x": "y" * 3000},
)
SPELLINGS = "=+/ \t\n\r.%~*,:;\xe9\u200b\ufeff\x00\u0430\uff21"
WRONG = {  # claim -> values that are wrong for it though their type may be right
    "sub": [value for value in ODD_VALUES if not isinstance(value, str)]
    + ["", "\x00", "a\x00b", "\ud800", "\udfff\ud800"],
    "id": [value for value in ODD_VALUES if type(value) is not int or not 0 < value < 2**31],
    "typ": [*ODD_VALUES, "refresh", "ticket", "Access", "access ", "access\x00", "id"],
    "iat": [value for value in ODD_VALUES if type(value) is not int or not 0 <= value < 2**53],
    "exp": [value for value in ODD_VALUES if type(value) is not int or not 2 <= value < 2**53],
    "gen": [value for value in ODD_VALUES if type(value) is not int or abs(value) >= 2**62],
    "fam": [*ODD_VALUES, "0f5e1b9c52a44ab49a43d4c8e7a1d001", "0F5E1B9C-52A4-4AB4-9A43-D4C8E7A1D001", "0" * 36],
    "jti": [*ODD_VALUES, "0" * 31, "0" * 33, "A" * 32, "0" * 31 + "\n"],
    "impersonated_by": [value for value in ODD_VALUES if type(value) is not int or not 0 < value < 2**31],
}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def as_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def hmac_signer(secret: bytes, algorithm: str = "HS256") -> Sign:
    return lambda text: hmac.new(secret, text, DIGESTS[algorithm]).digest()


class Forge:
    """Changes one good token. `sign`: with the right key; `public`: what a stranger may know of it, as bytes."""

    def __init__(self, token: str, sign: Sign, public: list[bytes], seed: int) -> None:
        self.token = token
        self._sign = sign
        self._public = public
        self._chance = random.Random(seed)
        self._parts = token.split(".")
        self._header: dict[str, Any] = json.loads(unb64(self._parts[0]))
        self._claims: dict[str, Any] = json.loads(unb64(self._parts[1]))

    def mutants(self) -> Iterator[Mutant]:
        """Each differs from the token and from all others."""
        seen = {self.token}
        ways = (
            self._algorithms,
            self._headers,
            self._claims_of_wrong_kind,
            self._payloads,
            self._spellings,
            self._segments,
            self._cuts,
            self._substitutions,
            self._bits,
            self._sizes,
            self._strangers,
        )
        for way in ways:
            for mutant in way():
                if mutant not in seen:
                    seen.add(mutant)
                    yield way.__name__.strip("_"), mutant

    def _made(self, header: bytes, payload: bytes, sign: Sign | None = None) -> str:
        text = f"{b64(header)}.{b64(payload)}"
        return f"{text}.{b64((sign or self._sign)(text.encode()))}"

    def _algorithms(self) -> Iterator[str]:
        """`none`, and each algorithm with keys that a stranger has: no key, the public one as a secret, its own."""
        payload = as_json(self._claims)
        guesses = [hmac_signer(secret) for secret in (b"", b"secret", *self._public)]
        signs: list[Sign] = [lambda _: b"", lambda _: b"\x00" * 32, lambda _: b"\x00" * 64, *guesses, self._sign]
        own_kid = self._header.get("kid")
        for algorithm, kid, sign in itertools.product(ALGORITHMS, {None, own_kid, "", "x"}, signs):
            header = {"typ": "JWT", "alg": algorithm, **({} if kid is None else {"kid": kid})}
            if header != self._header:
                yield self._made(as_json(header), payload, sign)
            elif sign is not self._sign:
                yield self._made(self._raw_header(), payload, sign)

    def _raw_header(self) -> bytes:
        return unb64(self._parts[0])

    def _headers(self) -> Iterator[str]:
        """Headers that the right key has signed, but that are not ours to the letter."""
        payload = as_json(self._claims)
        for extra in EXTRA_HEADERS:
            yield self._made(as_json({**self._header, **extra}), payload)
            yield self._made(as_json({**extra, **self._header, "kid": "other"}), payload)
        for name, value in itertools.product((*self._header, "kid"), ODD_VALUES):
            yield self._made(as_json({**self._header, name: value}), payload)
        for name in self._header:
            yield self._made(as_json({key: self._header[key] for key in self._header if key != name}), payload)
        raw = self._raw_header()
        for odd in (
            *(b"", b"{}", b"[]", b"null", b"1", b'"x"', b"{", raw[:-1], raw + b" ", b" " + raw, raw + raw, b"\xff"),
            *(b"\xef\xbb\xbf" + raw, raw.replace(b",", b", "), raw.replace(b'"alg"', b'"\\u0061lg"'), b"[" * 900),
            *(raw[:-1] + b',"alg":"none"}', b'{"alg":"none",' + raw[1:], raw[:-1] + b',"x":NaN}'),
            json.dumps(dict(reversed(self._header.items())), separators=(",", ":")).encode(),
        ):
            yield self._made(odd, payload)

    def _claims_of_wrong_kind(self) -> Iterator[str]:
        """Signed by the right key, with a claim missing, of the wrong type or out of range."""
        for name, values in WRONG.items():
            for value in values:
                yield self._made(self._raw_header(), as_json({**self._claims, name: value}))
        for count in (1, 2, 3):
            for names in itertools.combinations(self._claims, count):
                kept = {name: value for name, value in self._claims.items() if name not in names}
                yield self._made(self._raw_header(), as_json(kept))
                yield self._made(self._raw_header(), as_json(kept | {name.upper(): 1 for name in names}))
        for past_s in (0, 1, 60, 86_400, self._claims["exp"]):
            expired = {**self._claims, "exp": self._claims["iat"] - past_s}
            yield self._made(self._raw_header(), as_json(expired))

    def _payloads(self) -> Iterator[str]:
        """Signed by the right key, but no JSON, or JSON with a trick."""
        good = as_json(self._claims)
        for name, value in self._claims.items():
            pair = as_json({name: value})[1:-1]
            other = as_json({name: 1})[1:-1]
            for trick in (pair, other, pair + b"," + other):
                yield self._made(self._raw_header(), good[:-1] + b"," + trick + b"}")
                yield self._made(self._raw_header(), b"{" + trick + b"," + good[1:])
        for number in (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"01", b"+1", b"1.", b"0x1", b"9" * 2000, b"1_0"):
            for name in ("id", "exp", "iat", "gen", "other"):
                text = as_json({**self._claims, name: "@"}).replace(b'"@"', number)
                if name != "other" or number in (b"NaN", b"Infinity", b"-Infinity", b"01", b"+1", b"1.", b"0x1"):
                    yield self._made(self._raw_header(), text)
        for odd in (
            *(b"", b"null", b"[]", b"{}", b"0", b'"x"', b"[" + good + b"]", good + good, good + b"x", good[:-1]),
            *(b"\xef\xbb\xbf" + good, b"\xff" + good, good.decode().encode("utf-16"), good.replace(b'"', b"'")),
            *(b"[" * 900 + b"]" * 900, b'{"a":' * 400, good.replace(b"{", b"{/**/"), good.replace(b"}", b",}")),
            as_json(self.token),
            good.replace(b'"kim"', b'"k\xc3im"'),
        ):
            yield self._made(self._raw_header(), odd)

    def _spellings(self) -> Iterator[str]:
        """The same bytes, spelled otherwise: padding, blanks, other alphabets, percent signs, look-alikes."""
        token = self.token
        for sign, place in itertools.product(SPELLINGS, range(0, len(token) + 1, 17)):
            yield token[:place] + sign + token[place:]
        yield from (quote(token, safe="") + "%20", quote(token).replace("-", "%2D") + "%00", b64(token.encode()))
        yield from (token.upper(), token.lower(), token.swapcase(), token[::-1], repr(token), f"Bearer {token}")
        yield from (
            token + "\n",
            "\n" + token,
            token.replace(".", "\u3002"),
            token.replace(".", ".."),
            token.replace(".", ""),
        )
        for part in range(3):
            for tail in ("=", "==", "===", "A", "AA", "AAA", "AAAA"):
                parts = list(self._parts)
                parts[part] += tail
                yield ".".join(parts)
        last, alphabet = token[-1], "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        yield from (token[:-1] + other for other in alphabet if other != last)  # some decode to the same signature

    def _segments(self) -> Iterator[str]:
        """Too few, too many, in another order; a nested token; the JSON forms of a signature."""
        choices = (*self._parts, "", "e30", b64(self.token.encode()))
        for count in (1, 2, 3, 4, 5):
            for parts in itertools.islice(itertools.product(choices, repeat=count), 400):
                yield ".".join(parts)
        header, payload, signature = self._parts
        yield json.dumps({"protected": header, "payload": payload, "signature": signature})
        yield json.dumps({"payload": payload, "signatures": [{"protected": header, "signature": signature}]})

    def _cuts(self) -> Iterator[str]:
        token = self.token
        for place in range(len(token)):
            yield token[:place]
            yield token[place + 1 :]
            yield token[:place] + token[place + 1 :]

    def _substitutions(self) -> Iterator[str]:
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        for place in range(len(self.token)):
            for sign in self._chance.sample(alphabet, 2):
                yield self.token[:place] + sign + self.token[place + 1 :]

    def _bits(self) -> Iterator[str]:
        """Each bit of the signature, and many of the header and the claims."""
        for part, stride in ((0, 3), (1, 5), (2, 1)):
            data = unb64(self._parts[part])
            for bit in range(0, len(data) * 8, stride):
                flipped = bytearray(data)
                flipped[bit // 8] ^= 1 << bit % 8
                yield ".".join([*self._parts[:part], b64(bytes(flipped)), *self._parts[part + 1 :]])

    def _sizes(self) -> Iterator[str]:
        header, payload, signature = self._parts
        for size in (4, 64, 4096, 100_000, 1_000_000):
            yield "A" * size
            yield "." * size
            yield f"{header}.{payload}.{signature}{'A' * size}"
            yield f"{header}.{'A' * size}.{signature}"
            yield f"{'A' * size}.{payload}.{signature}"
            yield self._made(self._raw_header(), as_json({**self._claims, "sub": "k" * max(size, 4096)}))

    def _strangers(self) -> Iterator[str]:
        """Flawless, but signed with a key of one's own, told in the header or not."""
        rsa_key = rsa.generate_private_key(65537, 2048)
        ec_key = ec.generate_private_key(ec.SECP256R1())
        own = ed25519.Ed25519PrivateKey.from_private_bytes(self._chance.randbytes(32))
        point = own.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(point)}
        signs: dict[str, Sign] = {
            "RS256": lambda text: rsa_key.sign(text, padding.PKCS1v15(), hashes.SHA256()),
            "ES256": lambda text: ec_key.sign(text, ec.ECDSA(hashes.SHA256())),
            "EdDSA": own.sign,
            "Ed25519": own.sign,
        }
        payload = as_json(self._claims)
        for algorithm, sign in signs.items():
            for extra in ({}, {"jwk": jwk}, {"kid": self._header.get("kid", "1")}, {"kid": b64(point)}):
                yield self._made(as_json({**self._header, "alg": algorithm, **extra}), payload, sign)
                yield self._made(self._raw_header(), payload, sign)
        for _ in range(200):
            stranger = hmac_signer(self._chance.randbytes(32), self._chance.choice(list(DIGESTS)))
            yield self._made(self._raw_header(), payload, stranger)
            yield self._made(self._raw_header(), as_json({**self._claims, "id": self._chance.randrange(99)}), stranger)
