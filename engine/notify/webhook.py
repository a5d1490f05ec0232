"""A JSON document to an HTTPS address. Its id is the same at every try, and a signature says that it is ours."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Final

from engine.notify.post import post
from engine.notify.sending import Letter
from engine.settings import Network

ID_HEADER: Final = "GasInSight-Message"
SIGNATURE_HEADER: Final = "GasInSight-Signature"


async def send(letter: Letter, networks: Sequence[Network]) -> None:
    """Raises NotSent."""
    message_id = str(letter.claimed.message_id)
    document = {
        "id": message_id,
        **letter.claimed.content,
        "subject": letter.claimed.subject,
        "acknowledge_url": letter.link,
    }
    body = json.dumps(document, ensure_ascii=False).encode()
    headers = {ID_HEADER: message_id, SIGNATURE_HEADER: signature(letter.secrets["secret"], body)}
    await post(letter.secrets["url"], body, headers, networks)


def signature(secret: str, body: bytes) -> str:
    """HMAC-SHA256 of the body, with the channel's secret."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
