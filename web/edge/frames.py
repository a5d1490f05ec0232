"""Websocket frames that many clients get: encoded once, and sent as they are, several in one piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

ENCODED = "gasinsight.encoded"
PIECE_BYTES_MAX = 16 * 1024


def text_frame(text: bytes) -> bytes:
    """A whole websocket message as a server sends it: one unmasked text frame."""
    size = len(text)
    if size < 126:
        return bytes((0x81, size)) + text
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2) + text
    return b"\x81\x7f" + size.to_bytes(8) + text


def encoded_messages(frames: Sequence[bytes]) -> Iterator[dict[str, object]]:
    """ASGI messages of this server only: several of `text_frame` at once, as many as a slow client may hold."""
    piece: list[bytes] = []
    piece_bytes = 0
    for frame in frames:
        if piece and piece_bytes + len(frame) > PIECE_BYTES_MAX:
            yield {"type": "websocket.send", ENCODED: b"".join(piece)}
            piece, piece_bytes = [], 0
        piece.append(frame)
        piece_bytes += len(frame)
    if piece:
        yield {"type": "websocket.send", ENCODED: b"".join(piece)}
