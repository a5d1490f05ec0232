"""Sends what `Field` says through a bus that may be away: into the ledger, to the bus, and again when in doubt.

`Sender` runs in this process, `SenderProcess` in one of its own with the same methods, for a driver that is busy.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import random
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from engine.errors import BusUnavailable, SettingsError
from engine.hub.simulator import BusSender
from engine.settings import load_settings
from tests.chaos.field import US_PER_S, Field, Parcel
from tests.chaos.ledger import Ledger, Readings

ROOT: Final = Path(__file__).resolve().parents[2]
SEND_S_MAX: Final = 10.0
CLOSE_S_MAX: Final = 3.0
RETRY_S_MIN, RETRY_S_MAX = 0.2, 2.0
AFTER_STOP_S_MAX: Final = 60.0
CATCH_UP: Final = 3.0
"""After an outage readings are sent at most so many times as fast as they were made."""
INTRODUCTION_S: Final = 5.0
"""From the setups and activations to the first reading."""
ECHO_SHARE: Final = 0.005
ECHO_S_MAX: Final = 20.0
REPORT_EVERY_S: Final = 0.5


class GaveUp(Exception):
    """The bus stayed away for a minute after the run was over; the ledger says what it has not accepted."""


class Sender:
    """One run. `facilities` with `sensors` each, `rate` readings a second over all."""

    def __init__(
        self, ledger: Ledger, bus_connection_string: str, seed: int, facilities: int, sensors: int, rate: float
    ) -> None:
        self._ledger = ledger
        self._connection_string = bus_connection_string
        self._new_field = partial(Field, seed, facilities, sensors, rate, ledger)
        self._random = random.Random(seed)
        self._rate = rate
        self._bus = BusSender(bus_connection_string)
        self._queues = load_settings().queues
        self._stop = asyncio.Event()
        self._give_up_s = float("inf")
        self._echoes: list[tuple[float, Parcel, int]] = []
        self.readings = 0
        self.messages = 0
        self.again = 0
        self.accepted = 0
        self.waiting = ""

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; then what was promised is sent, so that the ledger can be closed. Raises GaveUp."""
        self._stop = stop
        try:
            field = self._new_field(_now_us() + int(INTRODUCTION_S * US_PER_S))
            await self._send(field.introduction(_now_us()))
            while not stop.is_set():
                due_us, parcels = field.next()
                rows = sum(len(parcel.entry.rows) for parcel in parcels if isinstance(parcel.entry, Readings))
                pace_s = rows / (CATCH_UP * self._rate)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), max(pace_s, due_us / US_PER_S - time.time()))
                await self._send(parcels)
                await self._send_echoes()
            await self._send(field.end(_now_us()))
        finally:
            await self._hang_up()

    def status(self) -> dict[str, Any]:
        """Counts of what the bus has accepted, for the driver's display."""
        counts = {name: getattr(self, name) for name in ("readings", "messages", "again", "accepted", "waiting")}
        return {**counts, "last_sequence": self._ledger.last_sequence}

    async def _send(self, parcels: Sequence[Parcel]) -> None:
        """In order; neighbours for the same queue go together."""
        for carries, group in groupby(parcels, key=lambda parcel: parcel.carries):
            together = list(group)
            sequences = [self._ledger.write(parcel.entry) for parcel in together]
            await self._deliver(carries, [parcel.body for parcel in together], sequences)
            self._ledger.accepted(sequences[-1])
            self.accepted = sequences[-1]
            self.messages += len(together)
            self.readings += sum(len(parcel.entry.rows) for parcel in together if isinstance(parcel.entry, Readings))
            for parcel, sequence in zip(together, sequences, strict=True):
                if self._random.random() < ECHO_SHARE:
                    self._echoes.append((time.monotonic() + self._random.uniform(0, ECHO_S_MAX), parcel, sequence))

    async def _send_echoes(self) -> None:
        """Now and then a message is sent twice, long after the first time, as hubs do that were not sure."""
        due = [echo for echo in self._echoes if echo[0] <= time.monotonic()]
        self._echoes = [echo for echo in self._echoes if echo not in due]
        for _, parcel, sequence in due:
            self._note_again([sequence])
            await self._deliver(parcel.carries, [parcel.body], [sequence])

    async def _deliver(self, carries: str, bodies: Sequence[bytes], sequences: Sequence[int]) -> None:
        wait_s = RETRY_S_MIN
        while True:
            try:
                async with asyncio.timeout(SEND_S_MAX):
                    await self._bus.send(self._queues[carries], bodies)
            except (BusUnavailable, SettingsError, TimeoutError) as error:  # a cut login looks like a refused key
                self.waiting = str(error) or "no answer from the bus"
            else:
                self.waiting = ""
                return
            await self._hang_up()
            await self._rest(wait_s)
            wait_s = min(2 * wait_s, RETRY_S_MAX)
            self._note_again(sequences)

    def _note_again(self, sequences: Sequence[int]) -> None:
        self.again += len(sequences)
        for sequence in sequences:
            self._ledger.sent_again(sequence)

    async def _rest(self, seconds: float) -> None:
        if self._stop.is_set():
            self._give_up_s = min(self._give_up_s, time.monotonic() + AFTER_STOP_S_MAX)
            if time.monotonic() > self._give_up_s:
                raise GaveUp(self.waiting)
        await asyncio.sleep(seconds)

    async def _hang_up(self) -> None:
        """A new connection next time; a farewell that takes long is not waited for."""
        old, self._bus = self._bus, BusSender(self._connection_string)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S_MAX):
                await old.close()


class SenderProcess:
    """A `Sender` in a process of its own. It ends with us: its stdin is the stop event."""

    def __init__(
        self, ledger: Ledger, bus_connection_string: str, seed: int, facilities: int, sensors: int, rate: float
    ) -> None:
        self._order = {
            "ledger": str(ledger.path.absolute()),
            "bus": bus_connection_string,
            "seed": seed,
            "facilities": facilities,
            "sensors": sensors,
            "rate": rate,
        }
        self._process: Process | None = None
        self._status: dict[str, Any] = {
            "readings": 0, "messages": 0, "again": 0, "accepted": 0, "waiting": "", "last_sequence": 0
        }  # fmt: skip

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def status(self) -> dict[str, Any]:
        """As of half a second ago."""
        return dict(self._status)

    async def run(self, stop: asyncio.Event) -> None:
        """As Sender.run; what the process says on stderr is shown by ours."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.chaos.sender", stdin=PIPE, stdout=PIPE, cwd=ROOT, start_new_session=True
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(self._order).encode() + b"\n")
        stopping = asyncio.create_task(self._stop_when(stop))
        try:
            await self._follow()
        finally:
            stopping.cancel()
            self._process.stdin.close()
        if status := await self._process.wait():
            raise GaveUp(f"the sender has ended with status {status}, last said: {self._status}")

    async def _follow(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        async for line in self._process.stdout:
            self._status = json.loads(line)

    async def _stop_when(self, stop: asyncio.Event) -> None:
        await stop.wait()
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.close()


async def _serve() -> None:
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    order = json.loads(await orders.readline())
    ledger = Ledger(Path(order["ledger"]))
    counts = (order["facilities"], order["sensors"], order["rate"])
    sender = Sender(ledger, order["bus"], order["seed"], *counts)
    stop = asyncio.Event()
    stopping = asyncio.create_task(_stop_at_the_end_of(orders, stop))
    reporting = asyncio.create_task(_report(sender))
    try:
        await sender.run(stop)
    finally:
        for task in (stopping, reporting):
            task.cancel()
        _tell(sender)
        ledger.close()


async def _stop_at_the_end_of(orders: asyncio.StreamReader, stop: asyncio.Event) -> None:
    await orders.read()
    stop.set()


async def _report(sender: Sender) -> None:
    while True:
        _tell(sender)
        await asyncio.sleep(REPORT_EVERY_S)


def _tell(sender: Sender) -> None:
    with contextlib.suppress(BrokenPipeError):  # the driver is gone; the ledger is what counts
        sys.stdout.write(json.dumps(sender.status()) + "\n")
        sys.stdout.flush()


def _now_us() -> int:
    return time.time_ns() // 1000


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver, who then closes our stdin
    logging.getLogger("azure").setLevel(logging.CRITICAL)
    try:
        asyncio.run(_serve())
    except GaveUp as error:
        sys.stderr.write(f"the sender gave up: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
