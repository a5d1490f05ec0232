"""The field hub, simulated: sends setups, activations and readings through the real azure-servicebus SDK.

It behaves as hubs in the field do: batch envelopes even for one message, random message ids, two decimals, naive UTC
times, all setups and activations again at each start. Started by `gasinsight simulate` and `gasinsight up --simulate`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender
from azure.servicebus.exceptions import ServiceBusAuthenticationError, ServiceBusAuthorizationError, ServiceBusError

from engine.all_or_nothing import draft_of
from engine.clock import Clock
from engine.errors import BusUnavailable, SettingsError
from engine.hub.field import Field, FieldOptions
from engine.hub.roster import activation_body, setup_body

Report = Callable[[str, dict[str, Any]], None]
"""Told what happens: (event, fields). Events: setup, activated, fault, progress, waiting, done."""

ENVELOPE_BYTES_MAX = 180_000  # Service Bus takes 256 KiB; what the SDK puts around a message is estimated
ENVELOPE_OVERHEAD_BYTES = 160
ENVELOPE_MESSAGES_MAX = 500
PLAN_AHEAD_S = 600.0
PROGRESS_EVERY_S = 10.0
TICK_S_MAX = 1.0


@dataclass(frozen=True, slots=True)
class HubOptions:
    """How the hub sends.

    batch          readings in one message; 1 is what hubs in the field do, more is a JSON array
    like_hub       one envelope with all sensors every interval, instead of readings as they fall due
    ledger, truth  files written before anything they tell of is sent: planted faults; every body, one JSON a line
    """

    field: FieldOptions
    batch: int = 1
    like_hub: bool = False
    setup_wait_s: float = 2.0
    activation_wait_s: float = 2.0
    duration_s: float | None = None
    ledger: Path | None = None
    truth: Path | None = None


class Sender(Protocol):
    """Where the hub's messages go."""

    async def send(self, queue: str, bodies: Sequence[bytes]) -> None:
        """All `bodies` on the queue, in order; raises BusUnavailable."""

    async def close(self) -> None:
        """Let the connection go."""


class BusSender:
    """Sends through the SDK; one long-lived link a queue, made again after an error."""

    def __init__(self, connection_string: str) -> None:
        self._connection_string = connection_string
        self._client: ServiceBusClient | None = None
        self._links: dict[str, ServiceBusSender] = {}

    async def send(self, queue: str, bodies: Sequence[bytes]) -> None:
        try:
            link = self._link(queue)
            for envelope in envelopes(bodies):
                await link.send_messages([ServiceBusMessage(body, message_id=str(uuid.uuid4())) for body in envelope])
        except (ServiceBusAuthenticationError, ServiceBusAuthorizationError) as error:
            await self.close()
            raise SettingsError(f"the bus refuses our key: {error}; check SERVICEBUS_CONNECTION_STRING") from error
        except (ServiceBusError, OSError) as error:
            await self.close()
            raise BusUnavailable(f"cannot send to {queue}: {error}") from error

    async def close(self) -> None:
        client, self._client, self._links = self._client, None, {}
        if client is not None:
            with contextlib.suppress(ServiceBusError, OSError):  # it is gone already, which is what we want
                await client.close()

    def _link(self, queue: str) -> ServiceBusSender:
        if self._client is None:
            try:
                self._client = ServiceBusClient.from_connection_string(self._connection_string, retry_total=0)
            except ValueError as error:
                raise SettingsError(f"SERVICEBUS_CONNECTION_STRING is not usable: {error}") from error
        if queue not in self._links:
            self._links[queue] = self._client.get_queue_sender(queue)
        return self._links[queue]


class Hub:
    """One run of the hub, from setup to the last reading."""

    def __init__(
        self, options: HubOptions, queues: Mapping[str, str], sender: Sender, clock: Clock, report: Report
    ) -> None:
        if options.batch < 1:
            raise SettingsError(f"a message needs at least 1 reading (got {options.batch})")
        self._options = options
        self._queues = queues
        self._sender = sender
        self._clock = clock
        self._report = report
        self._stopping = asyncio.Event()
        self._pending_faults: list[tuple[float, dict[str, Any]]] = []

    def stop(self) -> None:
        """End after the message being sent."""
        self._stopping.set()

    async def run(self) -> int:
        """Send until the duration is over or `stop`; how many readings were sent."""
        with _open_truth(self._options.truth) as truth:
            try:
                await self._introduce(truth)
                return await self._send_readings(truth)
            finally:
                await self._sender.close()

    async def _introduce(self, truth: TextIO | None) -> None:
        field = Field(self._options.field, self._clock.now_us())
        now_us = self._clock.now_us()
        setups = [setup_body(facility, now_us) for facility in field.roster.facilities]
        await self._send("setup", setups, truth)
        self._report("setup", {"facilities": len(setups)})
        await self._pause(self._options.setup_wait_s)
        now_us, expected_interval_s = self._clock.now_us(), self._options.field.expected_interval_s
        activations = [
            activation_body(sensor, field.roster.facilities[sensor.facility], expected_interval_s, now_us)
            for sensor in field.roster.sensors
        ]
        await self._send("activation", activations, truth)
        self._report("activated", {"sensors": len(activations)})
        await self._pause(self._options.activation_wait_s)

    async def _send_readings(self, truth: TextIO | None) -> int:
        options = self._options
        field = Field(options.field, self._clock.now_us())
        started_s = self._clock.monotonic_s()
        tick_s = options.field.interval_s if options.like_hub else min(TICK_S_MAX, options.field.interval_s)
        planned_s = end_s = 0.0
        sent = reported = 0
        reported_s = 0.0
        while not self._stopping.is_set() and (options.duration_s is None or end_s < options.duration_s):
            end_s = min(end_s + tick_s, options.duration_s or float("inf"))
            if planned_s < end_s:
                planned_s = options.duration_s or end_s + PLAN_AHEAD_S
                self._plan(field, planned_s)
            readings = field.tick(end_s)
            await self._pause(started_s + end_s - self._clock.monotonic_s())
            await self._send("data", list(messages(readings, options.batch)), truth)
            sent += len(readings)
            self._announce_faults(end_s)
            if end_s - reported_s >= PROGRESS_EVERY_S:
                behind_s = max(0.0, self._clock.monotonic_s() - started_s - end_s)
                rate = (sent - reported) / (end_s - reported_s + behind_s)
                self._report("progress", {"readings": sent, "per_s": round(rate, 1), "behind_s": round(behind_s, 1)})
                reported, reported_s = sent, end_s
        self._report("done", {"readings": sent})
        return sent

    def _plan(self, field: Field, end_s: float) -> None:
        self._pending_faults += [(fault.start_s, field.describe(fault)) for fault in field.plan(end_s)]
        if self._options.ledger is not None:
            with draft_of(self._options.ledger) as draft:
                draft.write_text(json.dumps(field.ledger(), indent=1) + "\n", encoding="utf-8")

    def _announce_faults(self, now_s: float) -> None:
        while self._pending_faults and self._pending_faults[0][0] <= now_s:
            self._report("fault", self._pending_faults.pop(0)[1])

    async def _send(self, carries: str, bodies: list[bytes], truth: TextIO | None) -> None:
        """Send, however long the bus is away; the same bodies again after an error, as a hub does."""
        if truth is not None:
            truth.writelines(f'{{"queue": "{carries}", "body": {body.decode()}}}\n' for body in bodies)
            truth.flush()
        wait_s = 0.5
        while bodies and not self._stopping.is_set():
            try:
                await self._sender.send(self._queues[carries], bodies)
                return
            except BusUnavailable as error:
                wait_s = min(wait_s * 2, 15.0) * random.uniform(0.7, 1.0)  # noqa: S311  (jitter is no secret)
                self._report("waiting", {"seconds": round(wait_s, 1), "because": str(error)})
                await self._pause(wait_s)

    async def _pause(self, seconds: float) -> None:
        """Sleep, unless told to stop."""
        if seconds <= 0:
            return
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({sleeping, stopping}, return_when=asyncio.FIRST_COMPLETED)
        sleeping.cancel()
        stopping.cancel()


def messages(readings: Sequence[dict[str, str]], batch: int) -> Iterator[bytes]:
    """Bodies with up to `batch` readings each; a single reading is an object, several are an array."""
    for start in range(0, len(readings), batch):
        part = readings[start : start + batch]
        yield json.dumps(part[0] if batch == 1 else part).encode()


def envelopes(bodies: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Groups of bodies that fit into one batch envelope of the SDK."""
    envelope: list[bytes] = []
    size = 0
    for body in bodies:
        cost = len(body) + ENVELOPE_OVERHEAD_BYTES
        if envelope and (size + cost > ENVELOPE_BYTES_MAX or len(envelope) == ENVELOPE_MESSAGES_MAX):
            yield envelope
            envelope, size = [], 0
        envelope.append(body)
        size += cost
    if envelope:
        yield envelope


@contextlib.contextmanager
def _open_truth(path: Path | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    with path.open("w", encoding="utf-8") as file:
        yield file
