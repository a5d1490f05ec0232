"""The core's binary COPY tuples of `sensor_records`, read back into rows."""

from __future__ import annotations

import struct
from typing import NamedTuple

POSTGRES_EPOCH_US = 946_684_800_000_000
COLUMNS = 6


class StoredRow(NamedTuple):
    """A row of `sensor_records`. `value_bits` and `score_bits` are the floats' bytes: equal means bit for bit."""

    sensor_no: int
    tracked_at_us: int
    value_bits: bytes | None
    text_value: str | None
    score_bits: bytes | None
    flags: int

    @property
    def data(self) -> str:
        """As it was received: the text is kept where the value does not print as it."""
        if self.text_value is not None:
            return self.text_value
        assert self.value_bits is not None
        return repr(struct.unpack("!d", self.value_bits)[0])


def copied_rows(data: bytes) -> list[StoredRow]:
    """Raises ValueError where PostgreSQL would refuse the stream."""
    rows = []
    at = 0
    while at < len(data):
        cells, at = _cells(data, at)
        sensor_no, tracked_at, value, text, score, flags = cells
        if sensor_no is None or tracked_at is None or flags is None:
            raise ValueError("a reading without sensor, time or flags")
        rows.append(
            StoredRow(
                int.from_bytes(sensor_no, signed=True),
                int.from_bytes(tracked_at, signed=True) + POSTGRES_EPOCH_US,
                value,
                None if text is None else text.decode(),
                score,
                int.from_bytes(flags, signed=True),
            )
        )
    return rows


def _cells(data: bytes, at: int) -> tuple[list[bytes | None], int]:
    """The columns of the tuple that begins at `at`, and where it ends."""
    columns = int.from_bytes(data[at : at + 2], signed=True)
    if columns != COLUMNS:
        raise ValueError(f"a tuple of {columns} columns at byte {at}")
    at += 2
    cells: list[bytes | None] = []
    for _ in range(columns):
        length = int.from_bytes(data[at : at + 4], signed=True)
        end = at + 4 + max(length, 0)
        if end > len(data):
            raise ValueError(f"a cell of {length} bytes at byte {at} of {len(data)}")
        cells.append(None if length < 0 else data[at + 4 : end])
        at = end
    return cells, at
