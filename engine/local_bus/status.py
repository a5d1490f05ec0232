"""What a running local bus holds, asked over AMQP: the answer shows at once that it is alive and lets one in."""

from __future__ import annotations

import asyncio
from typing import Any

from engine.errors import BusUnavailable
from engine.local_bus.amqp_types import Described, ULong
from engine.local_bus.codec import encode
from engine.local_bus.errors import AmqpError
from engine.local_bus.frames import (
    AMQP_HEADER,
    SASL_HEADER,
    TYPE_SASL,
    Attach,
    Begin,
    Close,
    Detach,
    Flow,
    Frame,
    Open,
    SaslInit,
    SaslOutcome,
    Transfer,
    encode_frame,
    frame_size,
    parse_frame,
)
from engine.local_bus.link_targets import BUS_MANAGEMENT, STATUS_OPERATION
from engine.local_bus.message import APPLICATION_PROPERTIES, PROPERTIES, VALUE, parse_request
from engine.local_bus.queue import Counts

REPLY_TO = "status"


async def bus_status(
    port: int, key: str | None, *, host: str = "127.0.0.1", timeout_s: float = 5.0
) -> dict[str, Counts]:
    """Counts of each queue by name; BusUnavailable when nobody answers or the key is not right."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                return await _ask(reader, writer, key)
            finally:
                writer.close()
    except (OSError, EOFError, TimeoutError) as error:
        raise BusUnavailable(f"no local bus answers on {host}:{port}: {error or type(error).__name__}") from error
    except AmqpError as error:
        raise BusUnavailable(f"what answers on {host}:{port} refuses: {error}") from error


async def bus_answers(port: int, key: str | None) -> bool:
    """Whether a local bus of this machine lets us in and says what it holds."""
    try:
        await bus_status(port, key)
    except BusUnavailable:
        return False
    return True


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str | None) -> dict[str, Counts]:
    plain = b"\x00local\x00" + (key or "none").encode()
    writer.write(SASL_HEADER + encode_frame(0, SaslInit("PLAIN", plain), kind=TYPE_SASL))
    await _header(reader, SASL_HEADER)
    while not isinstance(outcome := (await _frame(reader)).performative, SaslOutcome):
        pass
    if outcome.code:
        raise AmqpError("amqp:unauthorized-access", "the key is not the key of this bus")
    source, target = Described(ULong(0x28), [BUS_MANAGEMENT]), Described(ULong(0x29), [BUS_MANAGEMENT])
    mine = Described(ULong(0x29), [REPLY_TO])
    writer.write(
        AMQP_HEADER
        + encode_frame(0, Open("gasinsight-status"))
        + encode_frame(0, Begin(None, 0, 1_000, 1_000))
        + encode_frame(0, Attach("ask", 0, False, 1, 0, source, target, initial_delivery_count=0))
        + encode_frame(0, Attach("answer", 1, True, 1, 0, source, mine))
        + encode_frame(0, Flow(0, 1_000, 0, 1_000, 1, 0, 10))
    )
    await _header(reader, AMQP_HEADER)
    await _until(reader, Flow)
    writer.write(encode_frame(0, Transfer(0, 0, b"0", 0, True, False), _question()))
    answer = parse_request((await _until(reader, Transfer)).payload)
    writer.write(encode_frame(0, Close()))
    if answer.properties.get("statusCode") != 200 or not isinstance(answer.body, dict):
        raise AmqpError("amqp:not-implemented", f"no status but {answer.properties!r:.200}")
    return {name: Counts(**counts) for name, counts in answer.body.items()}


def _question() -> bytes:
    return b"".join(
        encode(Described(ULong(code), value))
        for code, value in (
            (PROPERTIES, [1, None, None, None, REPLY_TO]),
            (APPLICATION_PROPERTIES, {"operation": STATUS_OPERATION}),
            (VALUE, None),
        )
    )


async def _header(reader: asyncio.StreamReader, expected: bytes) -> None:
    header = await reader.readexactly(8)
    if header != expected:
        raise AmqpError("amqp:connection:framing-error", f"not an AMQP 1.0 server: {header!r}")


async def _frame(reader: asyncio.StreamReader) -> Frame:
    head = await reader.readexactly(8)
    return parse_frame(head + await reader.readexactly((frame_size(head, 0) or 8) - 8))


async def _until(reader: asyncio.StreamReader, kind: type[Any]) -> Frame:
    """The next frame of a kind; AmqpError when the bus ends the connection or a link instead."""
    while True:
        frame = await _frame(reader)
        if isinstance(frame.performative, kind):
            return frame
        if isinstance(frame.performative, Close | Detach):
            error = frame.performative.error
            reason = error.value if isinstance(error, Described) else ["amqp:connection:forced", "closed"]
            raise AmqpError(str(reason[0]), str(reason[1]))
