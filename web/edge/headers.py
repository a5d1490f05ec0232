"""Security headers: on every answer, whoever made it. Pages bring a Content-Security-Policy of their own."""

from __future__ import annotations

from collections.abc import Iterable

Headers = list[tuple[bytes, bytes]]

ALWAYS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),  # addresses hold ids of sensors and facilities
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
    # About embedding without CORS, as an image or a script; the front end fetches with CORS and is not concerned.
    (b"cross-origin-resource-policy", b"same-origin"),
]
UNLESS_GIVEN: Headers = [
    (b"content-security-policy", b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),  # nearly every answer is somebody's data
]
STRICT_TRANSPORT = (b"strict-transport-security", b"max-age=31536000")


def security_headers(given: Iterable[tuple[bytes, bytes]], scheme: str) -> Headers:
    """What to add to an answer that has the headers `given` (names in lower case)."""
    names = {name.lower() for name, _ in given}
    headers = ALWAYS + [header for header in UNLESS_GIVEN if header[0] not in names]
    return [*headers, STRICT_TRANSPORT] if scheme in {"https", "wss"} else headers
