"""What was sent, written before it was sent: an append-only binary file that survives whoever writes it.

A frame is kind, sequence number of the message, length, payload; one `write` of the operating system a frame, so that a
killed writer leaves at most a torn last frame, of a message that was never sent. Readings are numpy records: a million
of them is 21 MB.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FRAME: Final = struct.Struct("<BQI")
ROW: Final = np.dtype([("sensor", "<u4"), ("tracked_at_us", "<i8"), ("value", "<f8"), ("planted", "u1")])
"""One reading; `sensor` is the place in `Contents.sensors`, `planted` 1 for a violation of the high limit."""


class Frame(IntEnum):
    SENSOR = 1
    SETUP = 2
    STATUS = 3
    READINGS = 4
    BAD = 5
    AGAIN = 6
    ACCEPTED = 7


@dataclass(frozen=True, slots=True)
class Sensor:
    """A sensor that messages speak of; being in the list activates nothing."""

    sensor_id: str
    facility_id: str
    type: str


@dataclass(frozen=True, slots=True)
class Setup:
    facility_id: str


@dataclass(frozen=True, slots=True)
class Status:
    """An activation (`active`) or deactivation."""

    sensor: int
    active: bool
    tracked_at_us: int


@dataclass(frozen=True, slots=True)
class Readings:
    """One message with good readings; `refused` bad rows among them must end as dead letters."""

    rows: NDArray[Any]
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Bad:
    """A message none of which can be accepted: to be dead-lettered with this reason. No two bodies are the same."""

    queue: str
    reason: str
    digest: str


Message = Setup | Status | Readings | Bad


def digest_of(body: bytes) -> str:
    """What the ledger keeps of a bad body."""
    return hashlib.blake2b(body, digest_size=16).hexdigest()


@dataclass(slots=True)
class Contents:
    """Everything in the ledger. A message up to `accepted` was taken by the bus at least once; later ones: who knows.

    rows       ROW records in the order of sending; `row_sequences` is the message of each
    refused    message -> bad rows in it
    again      message -> how many more times it was sent
    """

    sensors: list[Sensor]
    setups: list[tuple[int, Setup]]
    statuses: list[tuple[int, Status]]
    rows: NDArray[Any]
    row_sequences: NDArray[np.uint64]
    refused: dict[int, int]
    bad: list[tuple[int, Bad]]
    again: Counter[int]
    accepted: int
    last_sequence: int
    readings_messages: int


class Ledger:
    """One writer, any number of readers, also in other processes. Numbers start at 1."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen_bytes = 0
        self._last = 0
        self._sensors = 0
        self._file: int | None = None

    @property
    def last_sequence(self) -> int:
        """Of the newest message in the file, also when somebody else writes it; 0: none."""
        if self._file is None:
            self._catch_up()
        return self._last

    def sensor(self, sensor: Sensor) -> int:
        """Enter a sensor; its place, for `Status` and `ROW`."""
        self._append(Frame.SENSOR, 0, _json(sensor))
        self._sensors += 1
        return self._sensors - 1

    def write(self, message: Message) -> int:
        """To be called before the message is sent; its sequence number."""
        self._open()
        kind, payload = _encoded(message)
        self._append(kind, self._last + 1, payload)
        self._last += 1
        return self._last

    def sent_again(self, sequence: int) -> None:
        """The message is about to be sent once more."""
        self._append(Frame.AGAIN, sequence, b"")

    def accepted(self, sequence: int) -> None:
        """The bus has said yes to all messages up to this one."""
        self._append(Frame.ACCEPTED, sequence, b"")

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def read(self) -> Contents:
        """All of it; a torn last frame does not count."""
        found = Contents([], [], [], np.empty(0, ROW), np.empty(0, np.uint64), {}, [], Counter(), 0, 0, 0)
        payloads: list[bytes] = []
        messages: list[tuple[int, int]] = []
        for kind, sequence, payload in _frames(self.path.read_bytes()):
            if kind == Frame.READINGS:
                payloads.append(payload[1:])
                messages.append((sequence, len(payload) // ROW.itemsize))
                if payload[0]:
                    found.refused[sequence] = payload[0]
            else:
                _take(found, kind, sequence, payload)
            if kind not in {Frame.SENSOR, Frame.AGAIN, Frame.ACCEPTED}:
                found.last_sequence = sequence
        found.rows = np.frombuffer(b"".join(payloads), ROW)
        sizes = np.array(messages, np.uint64).reshape(-1, 2)
        found.row_sequences = np.repeat(sizes[:, 0], sizes[:, 1].astype(np.int64))
        found.readings_messages = len(messages)
        return found

    def _append(self, kind: Frame, sequence: int, payload: bytes) -> None:
        file = self._open()
        frame = FRAME.pack(kind, sequence, len(payload)) + payload
        written = os.write(file, frame)
        if written != len(frame):
            raise OSError(f"{self.path}: only {written} of {len(frame)} bytes were written; is the disk full?")

    def _open(self) -> int:
        """Go on where an earlier writer has ended, without its torn last frame."""
        if self._file is None:
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._catch_up()
            os.ftruncate(self._file, self._seen_bytes)
        return self._file

    def _catch_up(self) -> None:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._seen_bytes)
            for kind, sequence, payload in _frames(file.read()):
                self._seen_bytes += FRAME.size + len(payload)
                self._sensors += kind == Frame.SENSOR
                self._last = max(self._last, sequence)


def _frames(raw: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at + FRAME.size <= len(raw):
        kind, sequence, size = FRAME.unpack_from(raw, at)
        at += FRAME.size
        if at + size > len(raw):
            return
        yield kind, sequence, raw[at : at + size]
        at += size


def _encoded(message: Message) -> tuple[Frame, bytes]:
    if isinstance(message, Readings):
        assert message.rows.dtype == ROW, message.rows.dtype
        return Frame.READINGS, bytes([message.refused]) + message.rows.tobytes()
    kinds = {Setup: Frame.SETUP, Status: Frame.STATUS, Bad: Frame.BAD}
    return kinds[type(message)], _json(message)


def _take(found: Contents, kind: int, sequence: int, payload: bytes) -> None:
    if kind == Frame.AGAIN:
        found.again[sequence] += 1
    elif kind == Frame.ACCEPTED:
        found.accepted = max(found.accepted, sequence)
    elif kind == Frame.SENSOR:
        found.sensors.append(Sensor(**json.loads(payload)))
    elif kind == Frame.SETUP:
        found.setups.append((sequence, Setup(**json.loads(payload))))
    elif kind == Frame.STATUS:
        found.statuses.append((sequence, Status(**json.loads(payload))))
    elif kind == Frame.BAD:
        found.bad.append((sequence, Bad(**json.loads(payload))))
    else:
        raise ValueError(f"message {sequence}: there is no frame of kind {kind}")


def _json(value: Sensor | Message) -> bytes:
    return json.dumps(asdict(value)).encode()
