"""What a link takes from a client: a message, or a batch with what the client writes around it and does not count."""

from __future__ import annotations

import pytest

from engine.local_bus.amqp_types import Described
from engine.local_bus.frames import Attach, Transfer
from engine.local_bus.link import ENVELOPE_BYTES_MAX, MESSAGE_BYTES_MAX, Inbound, Incoming
from engine.local_bus.message import BATCH_FORMAT
from engine.local_bus.unsettled import Holder


class Carrier:
    """A session that keeps the answers."""

    writable = True

    def __init__(self) -> None:
        self.answers: list[Described] = []

    def answer(self, number: int, state: Described) -> None:
        self.answers.append(state)

    def send_flow(self, handle: int | None, count: int | None, credit: int | None, *, drain: bool = False) -> None: ...

    def send_delivery(self, handle: int, tag: bytes, payload: bytes, holder: Holder | None) -> None: ...


@pytest.mark.parametrize(
    ("message_format", "bytes_max"), [(0, MESSAGE_BYTES_MAX), (BATCH_FORMAT, MESSAGE_BYTES_MAX + ENVELOPE_BYTES_MAX)]
)
@pytest.mark.parametrize("over", [0, 1])
def test_the_largest_delivery(message_format: int, bytes_max: int, over: int) -> None:
    carrier, taken = Carrier(), list[Incoming]()
    link = Inbound(carrier, Attach("sender", 0, False), lambda _, incoming: taken.append(incoming))
    link.grant()
    size = bytes_max + over
    for start in range(0, size, 60_000):
        part = bytes(min(60_000, size - start))
        link.transfer(Transfer(0, 0, b"a", message_format, False, start + len(part) < size), part)
    assert [len(incoming.payload) for incoming in taken] == [size] * (1 - over)
    assert [state.value[0].value[0] for state in carrier.answers] == ["amqp:link:message-size-exceeded"] * over
