"""Named points of the walk where a test may end or pause a run. In production they cost a call.

received, decoded, before_complete, between_completes, completed   in the reader
before_score, scored, committed, at_checkpoint, loaded             in the facility
in_commit                                                          in the historian, inside the transaction
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

POINTS: Final = frozenset(
    {
        "received",
        "decoded",
        "before_score",
        "scored",
        "in_commit",
        "committed",
        "before_complete",
        "between_completes",
        "completed",
        "at_checkpoint",
        "loaded",
    }
)

Handler = Callable[[str], Awaitable[None]]

_handler: Handler | None = None


def install(handler: Handler | None) -> Handler | None:
    """Let `handler` be awaited at each point of this process (None: nobody); returns the one before."""
    global _handler
    previous, _handler = _handler, handler
    return previous


async def reached(name: str) -> None:
    """Tell the installed handler that the walk is at `name`; what it raises ends the walk there."""
    if _handler is not None:
        await _handler(name)
