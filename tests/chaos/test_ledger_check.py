"""The ledger check finds each kind of harm that is done to a database which was right, and none before."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
import pytest
from azure.servicebus.aio import ServiceBusClient

from engine.historian.connection import prepare_connection
from engine.historian.rollups import rollup_pass
from engine.hub.simulator import BusSender
from engine.local_bus import connection_string
from engine.settings import load_settings
from tests.chaos.field import US_PER_S, Field
from tests.chaos.ledger import Bad, Ledger, Readings, Status
from tests.chaos.ledger_check import LedgerResult, check_database, check_ledger
from tests.integration.local_bus.harness import KEY, body_of, bus_process, receive_all

pytestmark = [pytest.mark.postgres, pytest.mark.bus, pytest.mark.timeout(120)]

QUEUES = load_settings().queues
FIELD_S = 120

ANY = "$1 > timestamptz 'epoch'"  # each harm is given a time, also those that need none

HARMS = {
    "lost": "DELETE FROM sensor_records WHERE (sensor_no, tracked_at) = (1, $1::timestamptz)",
    "wrong": "UPDATE sensor_records SET value = value + 1 WHERE (sensor_no, tracked_at) = (1, $1::timestamptz)",
    "invented": "INSERT INTO sensor_records VALUES (1, $1::timestamptz + interval '1 microsecond', 20.5, '', 0, 0)",
    "rollup_doubled": f"UPDATE reading_rollups SET n = n + 2 WHERE width_s = 3600 AND sensor_no = 1 AND {ANY}",
    "rollup_missing": f"DELETE FROM reading_rollups WHERE width_s = 60 AND sensor_no = 1 AND {ANY}",
    "conflicts": "INSERT INTO reading_conflicts VALUES (DEFAULT, 1, $1::timestamptz, 1, '', '', now())",
    "journal_repeats": f"UPDATE alarm_events SET transition = 'activated' WHERE id = 2 AND {ANY}",
    "alerts_missing": f"DELETE FROM alarm_events WHERE id IN (1, 2) AND {ANY}",
    "parked_left": f"""INSERT INTO parked (kind, facility_id, sensor_id, body, reason, digest, parked_at)
        SELECT 'reading', facility_id, 's', '', '', '', now() FROM sensors WHERE sensor_no = 1 AND {ANY}""",
    "refused_missing": f"DELETE FROM dead_letters WHERE id = (SELECT min(id) FROM dead_letters) AND {ANY}",
    "statuses_wrong": f"UPDATE sensors SET status = 'Inactive' WHERE sensor_no = 1 AND {ANY}",
}


async def test_each_harm_is_found_and_named(tmp_path: Path, database_url: str) -> None:
    ledger, bad = written(tmp_path / "ledger")
    contents = ledger.read()
    async with bus_of(tmp_path, bad) as bus, kept(database_url) as database:
        await fill(database, ledger)
        good = await check_ledger(ledger, database_url, bus)
        assert good.problems() == {}, good.examples
        assert (good.sent, good.stored, good.unsettled) == (len(contents.rows), len(contents.rows), 0)
        assert (good.planted, good.dead_deserved) == (contents.rows["planted"].sum(), len(contents.bad))
        assert good.planted > 3
        assert good.trials().startswith(f"{good.planted} planted violations: {good.planted} told, 0 part")
        for kind, harm in HARMS.items():
            await database.execute(harm, int(contents.rows["tracked_at_us"][contents.rows["sensor"] == 0][0]))
            found = await database_of(ledger, database_url)
            assert kind in found.problems(), f"{kind}: {found}"
            assert any(text.startswith(kind) for text in found.examples)
            await restore(database)
        await check_what_nobody_knows(database, database_url, ledger)
        await harm_the_bus(bus)
        await database.execute("DELETE FROM dead_letters WHERE digest = 'bus 0'")
        found = await check_ledger(ledger, database_url, bus)
        assert {"dead_missing", "dead_undeserved", "dead_untold", "queued_left"} <= found.problems().keys()


async def check_what_nobody_knows(database: Any, database_url: str, ledger: Ledger) -> None:
    """The sender's last messages before it was killed: neither lost when absent nor invented when present."""
    for stored in (True, False):
        rows = ledger.read().rows[-1:].copy()
        rows["tracked_at_us"] += 1 + stored
        ledger.write(Readings(rows))
        if stored:
            await store(database, rows)
        found = await database_of(ledger, database_url)
        assert found.problems() == {}, found.examples
    assert found.unsettled == 2


async def database_of(ledger: Ledger, database_url: str) -> LedgerResult:
    found = LedgerResult()
    await check_database(ledger.read(), database_url, found)
    return found


def written(path: Path) -> tuple[Ledger, list[tuple[str, bytes, str]]]:
    """Two minutes of a field, all accepted; and its bad messages."""
    ledger = Ledger(path)
    start_us = (int(time.time()) - FIELD_S - 60) * US_PER_S
    field = Field(11, 2, 10, 50.0, ledger, start_us)
    parcels, at_us = field.introduction(start_us), start_us
    while at_us < start_us + FIELD_S * US_PER_S:
        at_us, more = field.next()
        parcels += more
    bad = []
    for parcel in parcels + field.end(at_us):
        ledger.write(parcel.entry)
        if isinstance(parcel.entry, Bad):
            bad.append((QUEUES[parcel.carries], parcel.body, parcel.entry.reason))
    ledger.accepted(ledger.last_sequence)
    return ledger, bad


@asynccontextmanager
async def bus_of(folder: Path, bad: list[tuple[str, bytes, str]]) -> AsyncIterator[str]:
    """A bus that holds these as dead letters."""
    arguments = [word for queue in QUEUES.values() for word in ("--queue", queue)]
    async with bus_process(folder, *arguments) as bus:
        address = connection_string(bus.port, KEY)
        sender = BusSender(address)
        async with ServiceBusClient.from_connection_string(address) as client:
            for queue in {queue for queue, _, _ in bad}:
                of_queue = {body: reason for place, body, reason in bad if place == queue}
                await sender.send(queue, list(of_queue))
                async with client.get_queue_receiver(queue) as receiver:
                    for message in await receive_all(receiver, len(of_queue)):
                        await receiver.dead_letter_message(message, reason=of_queue[body_of(message)])
        await sender.close()
        yield address


async def harm_the_bus(address: str) -> None:
    queue = QUEUES["data"]
    sender = BusSender(address)
    async with ServiceBusClient.from_connection_string(address) as client:
        async with client.get_queue_receiver(queue, sub_queue="deadletter") as receiver:
            (message,) = await receiver.receive_messages(1, max_wait_time=10)
            await receiver.complete_message(message)
        await sender.send(queue, [b"a good one"])
        async with client.get_queue_receiver(queue) as receiver:
            (message,) = await receiver.receive_messages(1, max_wait_time=10)
            await receiver.dead_letter_message(message, reason="because")
    await sender.send(queue, [b"another"])
    await sender.close()


@asynccontextmanager
async def kept(database_url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database_url)
    await prepare_connection(connection)
    try:
        yield connection
    finally:
        await connection.close()


TABLES = ("sensor_records", "reading_rollups", "reading_conflicts", "alarm_events", "dead_letters", "parked", "sensors")


async def fill(database: Any, ledger: Ledger) -> None:
    """What the product would have made of the ledger, and a copy of each table to come back to."""
    contents = ledger.read()
    places = sorted({sensor.facility_id for sensor in contents.sensors})
    await database.execute("INSERT INTO locations VALUES (1, NULL, 1, 2)")
    facilities = "INSERT INTO facilities SELECT id, 'f', 'Active', 'TankFarm', 1, now() FROM unnest($1::text[]) id"
    await database.execute(facilities, places)
    activated = {status.sensor for _, status in contents.statuses if isinstance(status, Status)}
    await database.executemany(
        "INSERT INTO sensors VALUES ($1, $2, $3, 's', 'Active', $4, '1T', 60, NULL, now(), now())",
        [
            (sensor.sensor_id, number + 1, sensor.facility_id, sensor.type)
            for number, sensor in enumerate(contents.sensors)
            if number in activated
        ],
    )
    await store(database, contents.rows)
    events = []
    for sensor, at_us, value, _ in contents.rows[contents.rows["planted"] == 1].tolist():
        place = contents.sensors[sensor].facility_id
        events += [(place, sensor + 1, "activated", at_us, value), (place, sensor + 1, "returned", at_us + 1, value)]
    await database.executemany(
        """INSERT INTO alarm_events VALUES ($1, $2, $3::int || ':high', $3, 'high', 1, $4, $5::timestamptz, now(),
            'low', 'Anomaly', $6, 1, 0, '', '{}', false, '', '')""",
        [(number, event[0], *event[1:]) for number, event in enumerate(events, 1)],
    )
    await database.executemany(
        "INSERT INTO dead_letters VALUES (DEFAULT, 'row', '', 'r', '', '', $1, 's', now(), $2)",
        [(places[0], str(number).encode()) for number in range(sum(contents.refused.values()))],
    )
    await database.executemany(
        "INSERT INTO dead_letters VALUES (DEFAULT, 'bus', 'q', 'r', '', '', '', '', now(), $1)",
        [(f"bus {number}".encode(),) for number in range(len(contents.bad))],
    )
    for table in TABLES:
        await database.execute(f"CREATE TABLE good_{table} AS TABLE {table}")


async def store(database: Any, rows: np.ndarray) -> None:
    """Readings and, as the product does in its own time, their rollups."""
    await database.executemany(
        "INSERT INTO sensor_records VALUES ($1, $2::timestamptz, $3, '', 0, 0)",
        [(sensor + 1, at_us, value) for sensor, at_us, value, _ in rows.tolist()],
    )
    await database.execute(
        """INSERT INTO rollup_dirty (facility_id, minute)
           SELECT DISTINCT facility_id, date_trunc('minute', tracked_at)
           FROM sensor_records JOIN sensors USING (sensor_no)"""
    )
    while await rollup_pass(database):
        pass


async def restore(database: Any) -> None:
    for table in TABLES:
        columns = [row[0] for row in await database.fetch(
            "SELECT column_name FROM information_schema.columns WHERE table_name = $1 AND is_generated = 'NEVER'", table
        )]  # fmt: skip
        names = ", ".join(columns)
        await database.execute(f"DELETE FROM {table}")
        await database.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM good_{table}")
