"""What hostile clients do, from a process of their own: `python -m tests.hostile.abuse KIND PORT SECONDS`.

Prints how often it did so, by the status that it was answered with. ACCESS_TOKEN and DATABASE_URL are in the
environment, for what somebody does who got in, and for a field that reports nothing but alarms.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import asyncpg
from azure.servicebus import ServiceBusMessage

from tests.integration.local_bus.harness import client_of, running_bus

Done = Counter[str]

AT_ONCE = 8
CROWD = 300
BODY = b"[" + b"1234567890123," * 74_000 + b"1]"
HANDSHAKE = (
    b"GET /ws/notifications?token=%s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX: %s\r\n\r\n"
)
LARGE_FILE = b"GET /static/vendor/swagger-ui/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"


LARGE_GRID = (
    b"GET /sensor-records/s?start_date=2026-11-01&end_date=2026-11-17&freq=15S HTTP/1.1\r\nHost: x\r\n"
    b"Authorization: Bearer %s\r\n\r\n"
)
FLOOD_BODY = b'{"facility_id": "f", "sensor_id": "s", "tracked_at": "2026-11-20T10:00:00Z", "data": "99"}'
ANSWER_BYTES_MAX = 64 * 1024 * 1024
ALARMS = """
INSERT INTO alarm_events (id, facility_id, alarm_key, rule, rule_version, transition, event_time, recorded_at, priority,
                          alert_type, message, explanation, late, actor, reason)
SELECT nextval('alarm_events_id_seq'), 'f', gen_random_uuid()::text, 'high', 1, 'activated', now(), now(), 'high',
       'Anomaly', 'flood', '{}', false, 'system', ''
  FROM generate_series(1, 100)
"""


def post(path: bytes, body: bytes, kind: bytes) -> bytes:
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
    return head % (path, kind, len(body)) + body


async def ask(port: int, done: Done, raw: bytes) -> None:
    """One request on a connection of its own."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        done["refused"] += 1
        return
    try:
        writer.write(raw)
        line = await reader.readline()
        done[line.split()[1].decode() if line else "closed"] += 1
    except OSError:
        done["reset"] += 1
    finally:
        writer.transport.abort()


async def again_and_again(port: int, done: Done, raw: Callable[[int], bytes]) -> None:
    async def one(number: int) -> None:
        while True:
            await ask(port, done, raw(number := number + AT_ONCE))

    await asyncio.gather(*(one(number) for number in range(AT_ONCE)))


async def large_json(port: int, done: Done) -> None:
    await again_and_again(port, done, lambda _: post(b"/auth/token", BODY, b"application/json"))


async def sign_ins(port: int, done: Done) -> None:
    form = b"application/x-www-form-urlencoded"
    await again_and_again(port, done, lambda n: post(b"/auth/token", b"username=u%d&password=wrong" % n, form))


async def handshakes(port: int, done: Done) -> None:
    await again_and_again(port, done, lambda n: HANDSHAKE % (b"a%d.b.c" % n, b"y" * 12_000))


async def nonsense(port: int, done: Done) -> None:
    kinds = (
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        b"GET /\x1b[31m HTTP/1.1\r\n\r\n",
        b"GET /%1b%0a HTTP/1.1\r\nHost: x\r\n\r\n",
    )
    await again_and_again(port, done, lambda n: kinds[n % len(kinds)])


async def slow(port: int, done: Done) -> None:
    """Half of them never end their head, half their body; each sends a byte now and then."""
    heads = (b"GET /livez HTTP/1.1\r\nHost: x\r\nX-", post(b"/auth/token", b"a" * 9_000, b"a/b")[:-8_990])

    async def one(number: int) -> None:
        head = heads[number % 2]
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                done["opened"] += 1
                writer.write(head)
                while not writer.is_closing():
                    await asyncio.sleep(0.5)
                    writer.write(b"a")
                    await writer.drain()
            await asyncio.sleep(0.1)

    await asyncio.gather(*(one(number) for number in range(CROWD)))


async def never_reading(port: int, done: Done) -> None:
    """Each asks for megabytes and takes none of them."""

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(LARGE_FILE * 8)
        done["opened"] += 1
        await asyncio.Event().wait()

    await asyncio.gather(*(one() for _ in range(CROWD // 6)))


async def alarms(port: int, done: Done) -> None:
    """What a bus full of violations makes of the journal: a thousand alarms a second."""
    database = await asyncpg.connect(os.environ["DATABASE_URL"])
    while True:
        async with database.transaction():
            await database.execute("SELECT pg_advisory_xact_lock(1)")
            await database.execute(ALARMS)
            await database.execute("SELECT pg_notify('alarm_events', '')")
        done["alarms"] += 100
        await asyncio.sleep(0.1)


async def bus_flood(_: int, done: Done) -> None:
    """A sender with the key fills the bus of this machine, while strangers take its connections."""
    with tempfile.TemporaryDirectory() as folder:
        async with running_bus(Path(folder)) as bus:

            async def stranger() -> None:
                while True:
                    with suppress(OSError):
                        _, writer = await asyncio.open_connection("127.0.0.1", bus.port)
                        writer.write(b"AMQP\x03\x01\x00\x00" + b"\x00" * 512)
                        await asyncio.sleep(0.2)
                        writer.transport.abort()
                        done["strangers"] += 1

            async def sender() -> None:
                async with client_of(bus) as client, client.get_queue_sender("readings") as readings:
                    while True:
                        await readings.send_messages([ServiceBusMessage(FLOOD_BODY) for _ in range(100)])
                        done["messages"] += 100

            await asyncio.gather(sender(), *(stranger() for _ in range(AT_ONCE)))


async def large_grids(port: int, done: Done) -> None:
    """Four at a time, of nearly as many cells as there may be, each read to its end."""
    raw = LARGE_GRID % os.environ["ACCESS_TOKEN"].encode()

    async def one() -> None:
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=ANSWER_BYTES_MAX)
            writer.write(raw)
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            size = next((line for line in head.lower().splitlines() if line.startswith("content-length")), None)
            if size is not None:
                await reader.readexactly(int(size.split(":")[1]))
            else:
                await reader.readuntil(b"0\r\n\r\n")
            done[head.split()[1]] += 1
            writer.transport.abort()

    await asyncio.gather(*(one() for _ in range(4)))


KINDS: dict[str, Callable[[int, Done], Awaitable[None]]] = {
    "large JSON": large_json,
    "sign-ins": sign_ins,
    "handshakes": handshakes,
    "no HTTP": nonsense,
    "slow heads and bodies": slow,
    "never reading": never_reading,
    "alarms": alarms,
    "bus flood": bus_flood,
    "large grids": large_grids,
}


async def main(kind: str, port: int, seconds: float) -> Done:
    done: Done = Counter()
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await KINDS[kind](port, done)
    return done


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))))
