"""Frames that are encoded once: to the letter of the websocket protocol, and in pieces that a slow client may hold."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode

from web.edge.frames import ENCODED, PIECE_BYTES_MAX, encoded_messages, text_frame


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70000])
def test_a_frame_is_what_a_websocket_library_writes(size: int) -> None:
    text = b"x" * size
    assert text_frame(text) == Frame(Opcode.TEXT, text).serialize(mask=False)


def test_frames_travel_together_as_long_as_they_are_few() -> None:
    small = [b"a" * 100] * 10
    assert [message[ENCODED] for message in encoded_messages(small)] == [b"a" * 1000]
    half = b"b" * (PIECE_BYTES_MAX // 2)
    assert [message[ENCODED] for message in encoded_messages([half, half, b"c"])] == [half + half, b"c"]
    large = b"d" * (PIECE_BYTES_MAX + 1)
    assert [message[ENCODED] for message in encoded_messages([b"c", large, b"c"])] == [b"c", large, b"c"]
    assert not list(encoded_messages([]))
