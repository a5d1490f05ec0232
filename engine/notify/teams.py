"""An Adaptive Card to the address of a Microsoft Teams workflow ("when a webhook request is received")."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from engine.notify.post import post
from engine.notify.sending import Letter
from engine.notify.words import facts, headline, rest_of
from engine.settings import Network

ALARMS_MAX: Final = 10
"""Teams takes cards of up to 28 KB."""
TEXT_CHARS_MAX: Final = 250


async def send(letter: Letter, networks: Sequence[Network]) -> None:
    """Raises NotSent."""
    message = card(letter.claimed.subject, letter.claimed.content, letter.link)
    await post(letter.secrets["url"], json.dumps(message, ensure_ascii=False).encode(), {}, networks)


def card(subject: str, content: Mapping[str, Any], link: str | None) -> dict[str, Any]:
    """The message that holds the card."""
    alarms = content.get("alarms", ())[:ALARMS_MAX]
    blocks: list[dict[str, Any]] = [_text(subject, weight="Bolder", size="Medium")]
    for alarm in alarms:
        told = [{"title": name, "value": said[:TEXT_CHARS_MAX]} for name, said in facts(alarm)]
        blocks += [_text(headline(alarm), separator=True), {"type": "FactSet", "facts": told}]
    if rest := rest_of(content, len(alarms)):
        blocks.append(_text(rest, isSubtle=True))
    actions = [{"type": "Action.OpenUrl", "title": "Acknowledge", "url": link}] if link else []
    body = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": blocks,
        "actions": actions,
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": body}
    return {"type": "message", "attachments": [attachment]}


def _text(text: str, **look: Any) -> dict[str, Any]:
    return {"type": "TextBlock", "text": text[:TEXT_CHARS_MAX], "wrap": True, **look}
