"""What our ingest is compared with, as processes of their own: `python -m bench.loops KIND QUEUE COUNT`.

bare    the SDK's receive and complete, gathered in chunks, as it comes
brief   the same through our bus source, which shortens the SDK's fixed waits
naive   one message at a time: json, pydantic, SELECT exists, INSERT and commit through SQLAlchemy, complete

Prints the seconds from the first receive to the last complete. Addresses come from the environment.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from datetime import UTC, datetime
from typing import Any

from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from engine.bus.service_bus import ServiceBusSource
from engine.clock import SystemClock

RECEIVE_MAX = 500
SETTLE_AT_ONCE = 100
NAIVE_TABLE = text(
    "CREATE TABLE IF NOT EXISTS naive_records"
    " (id serial PRIMARY KEY, sensor_id text, tracked_at timestamptz, data text)"
)
EXISTS = text("SELECT EXISTS (SELECT 1 FROM sensors WHERE id = :sensor_id)")
INSERT = text("INSERT INTO naive_records (sensor_id, tracked_at, data) VALUES (:sensor_id, :tracked_at, :data)")


class Reading(BaseModel):
    sensor_id: str
    facility_id: str
    tracked_at: datetime
    data: str


async def bare(receiver: ServiceBusReceiver, count: int) -> None:
    left = count
    while left:
        messages = await receiver.receive_messages(RECEIVE_MAX, max_wait_time=10)
        assert messages, f"{left} messages are missing"
        for start in range(0, len(messages), SETTLE_AT_ONCE):
            await asyncio.gather(*(receiver.complete_message(one) for one in messages[start : start + SETTLE_AT_ONCE]))
        left -= len(messages)


async def brief(source: ServiceBusSource, count: int) -> None:
    left = count
    while left:
        messages = await source.receive(min(left, RECEIVE_MAX), 10)
        assert messages, f"{left} messages are missing"
        for start in range(0, len(messages), SETTLE_AT_ONCE):
            await asyncio.gather(*(source.complete(one) for one in messages[start : start + SETTLE_AT_ONCE]))
        left -= len(messages)


async def naive(receiver: ServiceBusReceiver, count: int, engine: Any) -> None:
    left = count
    while left:
        messages = await receiver.receive_messages(RECEIVE_MAX, max_wait_time=10)
        assert messages, f"{left} messages are missing"
        for message in messages:
            reading = Reading(**json.loads(b"".join(message.body)))
            async with engine.connect() as connection:
                if (await connection.execute(EXISTS, {"sensor_id": reading.sensor_id})).scalar():
                    values = {"sensor_id": reading.sensor_id, "data": reading.data}
                    at = reading.tracked_at.replace(tzinfo=UTC)
                    await connection.execute(INSERT, {**values, "tracked_at": at})
                    await connection.commit()
            await receiver.complete_message(message)
        left -= len(messages)


async def main(kind: str, queue: str, count: int) -> None:
    address = os.environ["BENCH_BUS"]
    if kind == "brief":
        source = ServiceBusSource(address, queue, SystemClock(), silence_s_max=90)
        await brief(source, 1)  # connects
        started_s = time.perf_counter()
        await brief(source, count - 1)
        print(time.perf_counter() - started_s)
        await source.close()
        return
    engine = create_async_engine(os.environ["BENCH_DATABASE"].replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.begin() as connection:
        await connection.execute(NAIVE_TABLE)
    async with (
        ServiceBusClient.from_connection_string(address) as client,
        client.get_queue_receiver(queue) as receiver,
    ):
        started_s = time.perf_counter()
        await (bare(receiver, count) if kind == "bare" else naive(receiver, count, engine))
        print(time.perf_counter() - started_s)
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
