"""The bytes of an export while they are written, and after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import IO, Final

from web.exports.kept import Kept, State

PIECE_BYTES: Final = 1 << 18
LOOK_S: Final = 0.02
FIRST_LOOK_S: Final = 0.004
"""Until there is something to read."""


async def follow(kept: Kept, export_id: str, file: IO[bytes], left: int | None = None) -> AsyncGenerator[bytes, None]:
    """Its bytes from where `file` stands, to its end or `left` of them; `file` is closed at the end.

    Raises EOFError when the export ends before it is whole, so that nobody takes the part for all of it.
    """
    look_s = FIRST_LOOK_S
    with file:
        while left != 0:
            about = await asyncio.to_thread(kept.find, export_id)
            piece = await asyncio.to_thread(file.read, PIECE_BYTES if left is None else min(left, PIECE_BYTES))
            if piece:
                look_s = LOOK_S
                left = None if left is None else left - len(piece)
                yield piece
            elif about is None or about.state is State.FAILED:
                why = "it was taken away" if about is None else about.problem
                raise EOFError(f"the export ended before it was whole: {why}")
            elif about.state is State.DONE:
                return
            else:
                await asyncio.sleep(look_s)
