"""A host without power says nothing: each end of a bus connection finds out by itself that the other one is gone."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from engine.bus.service_bus import ServiceBusSource
from engine.clock import SystemClock
from tests.integration.local_bus.harness import running_bus

pytestmark = pytest.mark.bus
OPTIONS = (socket.TCP_USER_TIMEOUT, socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)


async def test_readers_and_the_bus_ask_after_a_silent_peer(tmp_path: Path) -> None:
    async with running_bus(tmp_path) as bus:
        source = ServiceBusSource(bus.connection_string, "readings", SystemClock(), silence_s_max=60)
        assert await source.receive(1, 0.1) == []
        assert source._pump is not None
        (served,) = bus._connections
        assert served._transport is not None
        for transport in (source._pump._transport.writer, served._transport):
            end = transport.get_extra_info("socket")
            assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert [end.getsockopt(socket.IPPROTO_TCP, option) for option in OPTIONS] == [10_000, 5, 2, 3]
        await source.close()
