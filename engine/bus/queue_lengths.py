"""How many messages wait on the queues, by looking at them without taking any: works on Azure and on the local bus."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from azure.servicebus import ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import ServiceBusError

from engine.errors import BusUnavailable, SettingsError

PEEK_AT_ONCE = 250
WAIT_S_MAX = 10.0
ANSWER_S_MAX = 15.0


async def queue_lengths(connection_string: str, queues: Iterable[str], at_most: int) -> dict[str, tuple[int, int]]:
    """Queue -> (messages waiting or locked, dead letters); counting stops at `at_most`. Raises BusUnavailable."""
    names = list(queues)
    try:
        async with (
            asyncio.timeout(ANSWER_S_MAX),
            ServiceBusClient.from_connection_string(connection_string, retry_total=0) as client,
        ):
            # Side by side: opening a link and asking takes the SDK about a second.
            waiting, dead = await asyncio.gather(
                asyncio.gather(*(_length(client, name, None, at_most) for name in names)),
                asyncio.gather(*(_length(client, name, ServiceBusSubQueue.DEAD_LETTER, at_most) for name in names)),
            )
    except ValueError as error:
        raise SettingsError(f"SERVICEBUS_CONNECTION_STRING is not usable: {error}") from error
    except TimeoutError:
        raise BusUnavailable(f"the bus has not answered for {ANSWER_S_MAX:g} s") from None
    except (ServiceBusError, OSError) as error:
        raise BusUnavailable(f"the bus does not answer: {error}") from error
    return {name: (count, dead_count) for name, count, dead_count in zip(names, waiting, dead, strict=True)}


async def _length(client: ServiceBusClient, queue: str, part: ServiceBusSubQueue | None, at_most: int) -> int:
    count, after = 0, 0
    async with client.get_queue_receiver(queue, sub_queue=part) as receiver:
        while count < at_most:
            peeked: list[ServiceBusReceivedMessage] = await receiver.peek_messages(
                PEEK_AT_ONCE, sequence_number=after, timeout=WAIT_S_MAX
            )
            if not peeked:
                break
            count += len(peeked)
            after = (peeked[-1].sequence_number or 0) + 1
    return min(count, at_most)
