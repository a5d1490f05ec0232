"""Links in notifications by which their recipient acknowledges: good for one message, for a day."""

from __future__ import annotations

import re
from typing import Final
from uuid import UUID

from engine.notify.sealing import is_signed, sign

LINK_S_MAX: Final = 86_400
PAGE: Final = "/acknowledge"
_PURPOSE: Final = "acknowledge"
_TOKEN: Final = re.compile(r"([0-9a-f]{32})\.([0-9]{1,12})\.([A-Za-z0-9_-]{43})")


def new_link(public_url: str, key: str, message_id: UUID, made_at_s: int) -> str:
    """The page of the message; the same however often it is asked for."""
    said = f"{message_id.hex}.{made_at_s + LINK_S_MAX}"
    return f"{public_url}{PAGE}?token={said}.{sign(key, _PURPOSE, said)}"


def message_of(token: str, key: str, now_s: float) -> UUID | None:
    """Whose link it is; None for one that is not ours, or not any more."""
    found = _TOKEN.fullmatch(token)
    if found is None or not is_signed(key, _PURPOSE, f"{found[1]}.{found[2]}", found[3]):
        return None
    return UUID(found[1]) if now_s < int(found[2]) else None
