"""The bus source on the azure SDK: Azure Service Bus or the local bus, told apart by the connection string only.

One client and one long-lived receiver a queue, read by a pump of ours, so that receiving and settling do not wait for
each other (docs/decisions/0039). When anything about the connection is in doubt all three are thrown away, and the next
receive makes new ones; how long to wait in between is the reader's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from azure.core.exceptions import AzureError
from azure.servicebus import ServiceBusReceivedMessage, ServiceBusReceiveMode
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import (
    MessageAlreadySettled,
    MessageLockLostError,
    MessageNotFoundError,
    MessagingEntityNotFoundError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
)

from engine.bus.pump import Pump
from engine.bus.source import BusMessage
from engine.clock import Clock
from engine.errors import BusUnavailable, LockLost

HANG_S: Final = 30.0  # a receive that is so much later than asked hangs
SETTLE_S_MAX: Final = 30.0
OPEN_S_MAX: Final = 20.0  # connection, SASL, token and link, on a slow line
FILL_S: Final = 0.005  # how long a receive waits for more messages after its first
SETTLE_AT_ONCE: Final = 100
CLOSE_S_MAX: Final = 3.0

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

log = structlog.get_logger()


def tame_sdk_logging() -> None:
    """The SDK logs each reconnect with traces at warning level; ours says once what is wrong."""
    for name in ("azure", "azure.servicebus", "azure.servicebus._pyamqp", "uamqp"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


class ServiceBusSource:
    """One queue. `silence_s_max`: a receiver that brought nothing for so long is replaced, in case it is deaf."""

    def __init__(self, connection_string: str, queue: str, clock: Clock, *, silence_s_max: float) -> None:
        self._connection_string = connection_string
        self._queue = queue
        self._clock = clock
        self._silence_s_max = silence_s_max
        self._client: ServiceBusClient | None = None
        self._receiver: ServiceBusReceiver | None = None
        self._heard_at_s = 0.0
        self._closed = False
        self._pump: Pump | None = None
        self._places = asyncio.Semaphore(SETTLE_AT_ONCE)

    async def receive(self, max_messages: int, wait_s: float) -> list[BusMessage]:
        """See BusSource. Raises BusUnavailable after it has let the connection go."""
        try:
            async with asyncio.timeout(wait_s + HANG_S):
                receiver, pump = await self._connected()
                received = await self._receive(receiver, pump, max_messages, wait_s)
        except (AzureError, OSError, TimeoutError, ValueError) as error:
            await self._let_go()
            raise BusUnavailable(self._told(error)) from error
        now_s = self._clock.monotonic_s()
        if received:
            self._heard_at_s = now_s
        elif now_s - self._heard_at_s > self._silence_s_max:
            log.debug("receiver_replaced", queue=self._queue, silent_s=round(now_s - self._heard_at_s))
            await self._let_go()
        return [_bus_message(message) for message in received]

    async def complete(self, message: BusMessage) -> None:
        """See BusSource."""
        async with self._settling() as receiver:
            await receiver.complete_message(message.token)

    async def abandon(self, message: BusMessage) -> None:
        """See BusSource."""
        async with self._settling() as receiver:
            await receiver.abandon_message(message.token)

    async def dead_letter(self, message: BusMessage, reason: str, description: str) -> None:
        """See BusSource."""
        async with self._settling() as receiver:
            await receiver.dead_letter_message(message.token, reason=reason, error_description=description)

    async def renew_lock(self, message: BusMessage) -> int:
        """See BusSource."""
        async with self._settling() as receiver:
            return _time_us(await receiver.renew_message_lock(message.token))

    async def close(self) -> None:
        """See BusSource."""
        self._closed = True
        await self._let_go()

    async def _connected(self) -> tuple[ServiceBusReceiver, Pump]:
        if self._closed:
            raise BusUnavailable(f"the source of {self._queue} is closed")
        if self._receiver is None or self._pump is None:
            self._client = ServiceBusClient.from_connection_string(
                self._connection_string,
                retry_total=1,
                retry_backoff_factor=0.2,
                retry_backoff_max=1.0,
            )
            self._receiver = self._client.get_queue_receiver(
                self._queue, receive_mode=ServiceBusReceiveMode.PEEK_LOCK, prefetch_count=0
            )
            if hasattr(self._receiver, "_receive_context"):
                self._receiver._receive_context = _AlwaysReceiving()
            # Opened here, because a receive would allow the link no longer than it waits for a message.
            async with asyncio.timeout(OPEN_S_MAX):
                await self._receiver.__aenter__()
            self._pump = Pump(self._receiver)
            self._heard_at_s = self._clock.monotonic_s()
        return self._receiver, self._pump

    async def _receive(
        self, receiver: ServiceBusReceiver, pump: Pump, max_messages: int, wait_s: float
    ) -> list[ServiceBusReceivedMessage]:
        """Wait for the first message and a moment for its followers, then take what is there."""
        if not pump.reads_for(receiver):
            raise ConnectionError("the connection was lost")
        until_s = self._clock.monotonic_s() + wait_s
        first = True
        await pump.allow(max_messages)
        while pump.buffered < max_messages:
            if first and pump.buffered:  # perhaps since before we were called
                first, until_s = False, min(until_s, self._clock.monotonic_s() + FILL_S)
            left_s = until_s - self._clock.monotonic_s()
            if left_s <= 0:
                break
            await pump.wait(left_s)
        count = min(pump.buffered, max_messages)
        return await receiver.receive_messages(max_message_count=count, max_wait_time=1) if count else []

    @contextlib.asynccontextmanager
    async def _settling(self) -> AsyncIterator[ServiceBusReceiver]:
        """A place among those who settle."""
        try:
            async with self._places, asyncio.timeout(SETTLE_S_MAX):
                if self._receiver is None:
                    raise BusUnavailable(f"no connection to {self._queue}")
                yield self._receiver
        except (MessageLockLostError, MessageNotFoundError, MessageAlreadySettled) as error:
            raise LockLost(str(error)) from error
        except (AzureError, OSError, TimeoutError, ValueError) as error:
            raise BusUnavailable(self._told(error)) from error

    async def _let_go(self) -> None:
        """Close without waiting long: the other side may be gone."""
        receiver, client, pump = self._receiver, self._client, self._pump
        self._receiver = self._client = self._pump = None
        if pump is not None:
            await pump.stop()
        for part in (receiver, client):
            if part is not None:
                with contextlib.suppress(AzureError, OSError, TimeoutError, ValueError, RuntimeError):
                    async with asyncio.timeout(CLOSE_S_MAX):
                        await part.close()

    def _told(self, error: BaseException) -> str:
        """A sentence a person can act on."""
        if isinstance(error, MessagingEntityNotFoundError):
            return f"the queue {self._queue} does not exist on this Service Bus"
        if isinstance(error, ServiceBusAuthenticationError | ServiceBusAuthorizationError):
            return f"Service Bus does not admit us to {self._queue}: check SERVICEBUS_CONNECTION_STRING"
        return f"{self._queue}: {type(error).__name__}: {str(error)[:300]}"


class _AlwaysReceiving(asyncio.Event):
    """The SDK gives back what arrives between two receives, and it comes again behind its followers: readings of a
    sensor out of order, made by ourselves. Told that it is always receiving, it keeps them for the next receive.
    """

    def __init__(self) -> None:
        super().__init__()
        self.set()

    def clear(self) -> None:
        """Never."""


def _bus_message(message: ServiceBusReceivedMessage) -> BusMessage:
    return BusMessage(
        body=_body(message),
        sequence_number=message.sequence_number or 0,
        delivery_count=message.delivery_count or 0,
        enqueued_at_us=_time_us(message.enqueued_time_utc),
        locked_until_us=_time_us(message.locked_until_utc),
        token=message,
    )


def _body(message: ServiceBusReceivedMessage) -> bytes:
    """The bytes that were sent. An AMQP value that is no text becomes text that no decoder takes for JSON of ours."""
    body = message.body
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    try:
        return b"".join(body)
    except TypeError:
        return repr(body).encode("utf-8", "backslashreplace")


def _time_us(moment: datetime | None) -> int:
    if moment is None:
        return 0
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)
