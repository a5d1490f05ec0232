"""Readings at a steady rate for each facility, as a process of its own, with a ledger of what the bus accepted.

`python -m bench.steady PLAN`, where PLAN is a JSON object with the fields of `Plan`. Each message holds one reading,
stamped as it is sent. Every accepted send prints one line: [accepted_us, [[sensor number, sent_us], …]]. While the
bus is away the same messages are tried again, and what would have fallen due meanwhile is left out.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from itertools import cycle

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import ServiceBusError

from bench.house import Wanted
from engine.hub.roster import Roster, reading

STEP_S = 0.02
RETRY_S = 0.1
BURST_READINGS_MAX = 1000
HEALTHY = 15.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What one sender does.

    rates     readings a second of each facility, in the order of the roster
    burst_s   rates are gathered and sent at once so often; 0: as they fall due
    """

    queue: str
    facilities: int
    sensors: int
    seconds: float
    rates: list[float]
    burst_s: float = 0.0


@dataclass(slots=True)
class Ledger:
    """What the bus has accepted so far: (accepted_us, number of the sensor, sent_us)."""

    accepted: list[tuple[int, int, int]] = field(default_factory=list)

    def add(self, line: bytes) -> None:
        """One line of a sender's output."""
        accepted_us, readings = json.loads(line)
        self.accepted += [(accepted_us, sensor, sent_us) for sensor, sent_us in readings]


@asynccontextmanager
async def sending(bus: str, plan: Plan) -> AsyncIterator[Ledger]:
    """The ledger of a sender that runs while this is open, or until its plan is over."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.steady", json.dumps(asdict(plan)),
        env={**os.environ, "BENCH_BUS": bus}, stdout=asyncio.subprocess.PIPE, limit=1 << 24,
    )  # fmt: skip
    ledger = Ledger()

    async def read() -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            ledger.add(line)

    reading_it = asyncio.create_task(read())
    try:
        yield ledger
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        await reading_it


def due(rate: float, now_s: float, sent: int) -> int:
    """How many readings of a facility are to be sent now, `now_s` after the start."""
    return max(0, int(now_s * rate) - sent)


class Sender:
    """One connection, made again after every error."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._roster: Roster = Wanted(plan.facilities, plan.sensors).roster
        self._turns = [cycle(range(n * plan.sensors, (n + 1) * plan.sensors)) for n in range(plan.facilities)]
        self._client: ServiceBusClient | None = None

    async def run(self) -> None:
        plan = self._plan
        sent = [0] * plan.facilities
        started_s = time.monotonic()
        step_s = plan.burst_s or STEP_S
        while (now_s := time.monotonic() - started_s) < plan.seconds:
            counts = [due(rate, now_s, done) for rate, done in zip(plan.rates, sent, strict=True)]
            chosen = [next(self._turns[n]) for n, count in enumerate(counts) for _ in range(count)]
            for start in range(0, len(chosen), BURST_READINGS_MAX):
                await self._send(chosen[start : start + BURST_READINGS_MAX])
            over_s = time.monotonic() - started_s
            held_up = over_s - now_s > max(1.0, 2 * step_s)
            sent = [
                int(over_s * rate) if held_up else done + count
                for rate, done, count in zip(plan.rates, sent, counts, strict=True)
            ]
            await asyncio.sleep(max(0.0, step_s - (time.monotonic() - started_s - now_s)))

    async def _send(self, sensors: Sequence[int]) -> None:
        """Until the bus has accepted them; then say so."""
        stamped = [(number, time.time_ns() // 1000 + at) for at, number in enumerate(sensors)]
        bodies = [self._body(number, sent_us) for number, sent_us in stamped]
        messages = [ServiceBusMessage(body, message_id=str(uuid.uuid4())) for body in bodies]
        while True:
            try:
                await self._try(messages)
                break
            except (ServiceBusError, OSError):
                await self._let_go()
                await asyncio.sleep(RETRY_S)
        sys.stdout.write(json.dumps([time.time_ns() // 1000, stamped]) + "\n")
        sys.stdout.flush()

    async def _try(self, messages: list[ServiceBusMessage]) -> None:
        if self._client is None:
            self._client = ServiceBusClient.from_connection_string(os.environ["BENCH_BUS"], retry_total=0)
            self._link = self._client.get_queue_sender(self._plan.queue)
        await self._link.send_messages(messages)

    async def _let_go(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(ServiceBusError, OSError):
                await client.close()

    def _body(self, number: int, sent_us: int) -> bytes:
        sensor = self._roster.sensors[number]
        return json.dumps(reading(sensor, self._roster.facilities[sensor.facility], sent_us, HEALTHY)).encode()


if __name__ == "__main__":
    asyncio.run(Sender(Plan(**json.loads(sys.argv[1]))).run())
