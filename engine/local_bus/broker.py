"""All queues of the bus and the names they are found by."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from engine.clock import Clock
from engine.local_bus.errors import NOT_FOUND, AmqpError
from engine.local_bus.queue import Counts, Queue, Rules
from engine.local_bus.store import Store

DEAD_LETTER_SUFFIX = "/$deadletterqueue"
MANAGEMENT_SUFFIX = "/$management"


class Broker:
    """Queues over one store. Names are case-insensitive; every queue has its dead letters."""

    def __init__(self, path: Path, names: Sequence[str], clock: Clock, rules: Rules) -> None:
        self._names = tuple(dict.fromkeys(name.strip("/") for name in names))
        self._clock = clock
        self._rules = rules
        self._store = Store(path)
        self._queues: dict[str, Queue] = {}

    async def start(self) -> None:
        both = [name for queue in self._names for name in (queue.lower(), queue.lower() + DEAD_LETTER_SUFFIX)]
        found = await self._store.open(both)
        sequence = itertools.count(await self._store.last_sequence_number() + 1)
        for name in self._names:
            dead_letters: Queue | None = None
            for key in (name.lower() + DEAD_LETTER_SUFFIX, name.lower()):
                number, stored = found[key]
                queue = Queue(
                    name,
                    dead_letters,
                    number=number,
                    store=self._store,
                    clock=self._clock,
                    rules=self._rules,
                    sequence=sequence,
                )
                queue.restore(stored)
                self._queues[key] = dead_letters = queue

    async def flush(self) -> None:
        """Wait until all that was asked for is on disk and answered."""
        for queue in self._queues.values():
            await queue.finish_moves()
        await self._store.flush()

    async def stop(self) -> None:
        """Write what was asked for and close the file."""
        await self.flush()
        for queue in self._queues.values():
            queue.close()
        await self._store.close()

    def find(self, address: str) -> Queue:
        queue = self._queues.get(path_of(address).removesuffix(MANAGEMENT_SUFFIX))
        if queue is None:
            known = ", ".join(self._names)
            raise AmqpError(NOT_FOUND, f"The messaging entity '{address:.200}' could not be found. Queues: {known}.")
        return queue

    @property
    def counts(self) -> dict[str, Counts]:
        """By the names the queues were given."""
        return {name: self._queues[name.lower()].counts for name in self._names}


def path_of(address: str) -> str:
    """`amqps://host/Queue` and `/queue` both mean `queue`."""
    try:
        path = urlsplit(address).path if "://" in address else address
    except ValueError:  # such as half an IPv6 address: no URL, and no queue of ours
        path = address
    return path.strip("/").lower()
