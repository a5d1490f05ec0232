"""The store behind HistorianPort: PostgreSQL through asyncpg. Keeps only counts; many may run on one database."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from engine.clock import US_PER_S, Clock
from engine.historian import audit, loading, maintenance, planned, removals, rollups
from engine.historian.audit_head import Head
from engine.historian.connecting import connect_s_max, open_pool
from engine.historian.connection import (
    connection_options,
    prepare_connection,
    translated_errors,
)
from engine.historian.group import decide_commands, identity, keep_letters, park
from engine.historian.group_commit import GroupCommit
from engine.historian.leadership import Leadership, try_lead
from engine.historian.limits import Tallies, bound_letters, review, tell_refusals
from engine.historian.maintenance import Told
from engine.historian.outbox import Outbox
from engine.historian.port import (
    FACILITY_RETIRED,
    CameDue,
    Creation,
    Parking,
    StoredItem,
    StoredReading,
    ToldAlarm,
    Unreserved,
    Usage,
)
from engine.historian.queries import SQL
from engine.historian.redrives import Redrives
from engine.historian.replays import Replays
from engine.historian.standing import letter_of_gone, read_standing
from engine.model import (
    AlarmCommand,
    CommandVerdict,
    CommitAnswer,
    DeadLetter,
    FacilitySetup,
    FacilityState,
    Outcome,
    ParkedItem,
    Redrive,
    Subject,
)
from engine.settings import Settings

ACQUIRE_S_MAX = 5.0
"""For a connection of the pool, beside the time to make one."""
_DAY_US = 86_400_000_000
_REFUSED_AT_ONCE = 1_000
_COMMANDS_AT_ONCE = 1_000


class Historian:
    """HistorianPort, RedrivesPort and HousekeepingPort (see there for what each method promises)."""

    def __init__(self, database_url: str, settings: Settings, clock: Clock, pool: Any) -> None:
        self._database_url = database_url
        self._acquire_s_max = connect_s_max(database_url) + ACQUIRE_S_MAX
        self._settings = settings
        self._clock = clock
        self._pool = pool
        self._tallies = Tallies(settings, clock)
        self._commits = GroupCommit(database_url, settings, clock, self._tallies)
        self._leads_as = f"gasinsight leader {uuid4()}"
        self.outbox = Outbox(self._transaction)
        """What is told outside of this system."""
        self.replays = Replays(self._transaction)
        """What people want lived again."""
        self._redrives = Redrives(self._transaction)

    @classmethod
    async def open(cls, database_url: str, settings: Settings, clock: Clock) -> Historian:
        """Ready at once, also while the database is away: connections are made when they are needed."""
        pool = await open_pool(
            database_url,
            max_size=settings.database_connections_max,
            init=prepare_connection,
            **connection_options(settings),
        )
        return cls(database_url, settings, clock, pool)

    async def close(self) -> None:
        """Finish the commits that were asked for, then let all connections go."""
        await self._commits.close()
        self._pool.terminate()

    # --- HistorianPort ------------------------------------------------------------------------------------------------

    async def load(self, facility_id: str, held_epoch: int | None = None) -> FacilityState | None:
        async with self._connection(f"loading {facility_id}") as connection:
            now_us = self._clock.now_us()
            latest_us = now_us + int(self._settings.future_s_max * US_PER_S)
            return await loading.load_facility(connection, facility_id, held_epoch, now_us=now_us, latest_us=latest_us)

    async def recent_readings(
        self, facility_id: str, sensor_nos: Sequence[int], readings_max: int
    ) -> list[StoredReading]:
        async with self._connection(f"reading the past of {facility_id}") as connection:
            return await loading.recent_readings(connection, sensor_nos, readings_max)

    async def told_alarms(self, facility_id: str) -> list[ToldAlarm]:
        async with self._connection(f"reading the alarms of {facility_id}") as connection:
            return [tuple(row) for row in await connection.fetch(SQL["alarms_told"], facility_id)]

    async def standing_commands(self, facility_id: str) -> list[AlarmCommand]:
        async with self._connection(f"reading the commands of {facility_id}") as connection:
            return [AlarmCommand(**row) for row in await connection.fetch(SQL["commands_standing"], facility_id)]

    async def commit(self, outcome: Outcome) -> CommitAnswer:
        return await self._commits.submit(outcome)

    def commit_status(self) -> dict[str, Any]:
        """For the supervisor: see GroupCommit.status."""
        return self._commits.status()

    async def create_facility(self, setup: FacilitySetup) -> Creation:
        place = setup.location
        async with self._transaction(f"creating {setup.facility_id}") as connection:
            standing = await read_standing(connection, setup.facility_id)
            if standing.gone_at_us is not None and setup.tracked_at_us <= standing.gone_at_us:
                return Creation.RETIRED if standing.is_there else Creation.REMOVED
            if standing.is_there:
                if standing.gone_at_us is None:
                    return Creation.KNOWN
                await connection.execute(SQL["facility_revive"], setup.facility_id)
                return Creation.REVIVED
            await connection.execute(SQL["facilities_turn"])
            if await connection.fetchval(SQL["facilities_count"]) >= self._settings.facilities_max:
                return Creation.NO_ROOM
            row = (setup.facility_id, setup.name, setup.type.value, setup.tracked_at_us)
            await connection.execute(SQL["facility_insert"], *row, place.address, place.longitude, place.latitude)
            await connection.execute(SQL["epoch_insert"], setup.facility_id, standing.epoch + 1)
        return Creation.MADE

    async def park_unknown_facility(
        self, items: Sequence[ParkedItem], letters: Sequence[DeadLetter] = ()
    ) -> list[Parking]:
        async with self._transaction("parking") as connection:
            standings = {
                facility_id: await read_standing(connection, facility_id)
                for facility_id in sorted({each.facility_id for each in items} | {each.facility_id for each in letters})
            }
            found = [standings[item.facility_id].parking_of(item) for item in items]
            waiting = [item for item, parking in zip(items, found, strict=True) if parking is Parking.PARKED]
            gone = [
                letter_of_gone(item, parking.value)
                for item, parking in zip(items, found, strict=True)
                if parking in {Parking.RETIRED, Parking.REMOVED}
            ]
            now_us = self._clock.now_us()
            refused = await park(connection, waiting, self._tallies, now_us)
            told = [letter for letter in letters if not standings[letter.facility_id].is_in_use]
            await keep_letters(connection, [*refused, *gone, *told], now_us)
            await tell_refusals(connection, refused, self._tallies, now_us)
        reasons = {letter.identity: letter.reason for letter in refused}
        return [
            Parking(reasons.get(identity(item), parking)) if parking is Parking.PARKED else parking
            for item, parking in zip(items, found, strict=True)
        ]

    async def parked(self, facility_id: str, sensor_id: str | None = None) -> list[StoredItem]:
        async with self._connection("reading parked rows") as connection:
            if sensor_id is None:
                rows = await connection.fetch(SQL["parked_of_facility"], facility_id)
            else:
                rows = await connection.fetch(SQL["parked_of_sensor"], facility_id, sensor_id)
        return loading.stored_items(rows)

    async def reserve_sensor(self, sensor_id: str, facility_id: str) -> int | Unreserved:
        async with self._connection(f"reserving {sensor_id}") as connection:
            known = await connection.fetchrow(SQL["sensor_number"], sensor_id)
            if known is None:
                if not await self._tallies.sensors.room(connection):
                    return Unreserved.NO_ROOM
                self._tallies.sensors.add([sensor_id])
                return int(await connection.fetchval(SQL["sensor_number_draw"]))
        return int(known["sensor_no"]) if known["facility_id"] == facility_id else Unreserved.ELSEWHERE

    async def facility_ids(self) -> list[str]:
        async with self._connection("listing facilities") as connection:
            return [row["id"] for row in await connection.fetch(SQL["facility_ids"])]

    async def record_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        async with self._transaction("recording dead letters") as connection:
            await keep_letters(connection, letters, self._clock.now_us())
            await tell_refusals(connection, letters, self._tallies, self._clock.now_us())

    async def write_engine_status(self, component: str, state: Mapping[str, Any]) -> None:
        async with self._connection("writing the engine's status") as connection:
            await connection.execute(SQL["engine_status_set"], component, json.dumps(state), self._clock.now_us())

    # --- RedrivesPort -------------------------------------------------------------------------------------------------

    async def waiting_redrives(self, kind: str, under_way: Sequence[int], at_most: int) -> list[Redrive]:
        return await self._redrives.waiting(kind, list(under_way), at_most)

    async def end_redrive(self, row_id: int, subject: Subject | None) -> None:
        await self._redrives.end(row_id, subject, self._clock.now_us())

    async def refuse_redrive(self, row_id: int, reason: str, detail: str) -> None:
        await self._redrives.refuse(row_id, reason, detail, self._clock.now_us())

    # --- HousekeepingPort ---------------------------------------------------------------------------------------------

    async def try_lead(self) -> Leadership | None:
        async with translated_errors("asking for leadership"):
            return await try_lead(self._database_url, self._settings, self._leads_as)

    async def newest_audit(self, remembered: Head | None) -> tuple[Head, str | None]:
        """The end of the audit log, and what is wrong with it after what is remembered."""
        async with self._connection("reading the end of the audit log") as connection:
            return await audit.newest(connection, remembered)

    async def maintain(self, told: Told) -> None:
        async with (
            translated_errors("looking after the partitions"),
            maintenance.opened(self._database_url, self._settings) as connection,
        ):
            await maintenance.maintain(connection, self._settings.retention, self._clock.now_us(), told)

    async def stray_readings(self, at_most: int) -> int:
        async with self._connection("counting strays") as connection:
            return int(
                await connection.fetchval(SQL["strays_count"], at_most, maintenance.ahead_us(self._clock.now_us()))
            )

    async def expire_parked(self) -> int:
        now_us = self._clock.now_us()
        oldest_us = now_us - round(self._settings.parked_days_max * _DAY_US)
        async with self._connection("expiring parked rows") as connection:
            return int(await connection.fetchval(SQL["parked_expire"], oldest_us, now_us))

    async def move_refused(self) -> int:
        moved = 0
        async with self._connection("moving refused rows") as connection:
            while piece := int(await connection.fetchval(SQL["refused_move"], _REFUSED_AT_ONCE)):
                moved += piece
        return moved

    async def bound_dead_letters(self) -> Mapping[str, int]:
        async with self._connection("bounding dead letters") as connection:
            return await bound_letters(connection, self._settings, self._clock.now_us())

    async def purge_removed(self) -> int:
        async with self._connection("purging what was removed") as connection:
            return await removals.purge(connection, self._clock.now_us())

    async def review_limits(self) -> list[Usage]:
        async with self._transaction("reviewing limits") as connection:
            return await review(connection, self._tallies, self._clock.now_us())

    async def waiting_commands(self) -> list[AlarmCommand]:
        async with self._connection("reading what people asked of alarms") as connection:
            closed = await connection.fetch(SQL["commands_of_closed"])
            refused = [CommandVerdict(row["command_id"], FACILITY_RETIRED) for row in closed]
            await decide_commands(connection, refused, self._clock.now_us())
            return [AlarmCommand(**row) for row in await connection.fetch(SQL["commands_waiting"], _COMMANDS_AT_ONCE)]

    async def refuse_command(self, command_id: str, refusal: str) -> None:
        async with self._connection("refusing a command") as connection:
            await decide_commands(connection, [CommandVerdict(command_id, refusal)], self._clock.now_us())

    async def apply_planned_rules(self) -> list[CameDue]:
        done: list[CameDue] = []
        while True:
            async with self._transaction("letting planned rules hold") as connection:
                one = await planned.apply_next(connection)
            if one is None:
                return done
            done.append(one)

    async def drained_nodes(self) -> list[str]:
        async with self._connection("reading the drained nodes") as connection:
            return [row["node_id"] for row in await connection.fetch(SQL["drained_get"])]

    async def forget_drained(self, living: Sequence[str]) -> None:
        async with self._connection("forgetting nodes that have gone") as connection:
            await connection.execute(SQL["drained_forget"], living)

    async def sweep(self) -> list[str]:
        async with self._connection("looking for strays") as connection:
            return [row["facility_id"] for row in await connection.fetch(SQL["parked_strays"])]

    async def rollup_pass(self) -> int:
        async with self._connection("computing rollups") as connection:
            return await rollups.rollup_pass(connection)

    @asynccontextmanager
    async def _connection(self, doing: str) -> AsyncIterator[Any]:
        async with translated_errors(doing), self._pool.acquire(timeout=self._acquire_s_max) as connection:
            yield connection

    @asynccontextmanager
    async def _transaction(self, doing: str) -> AsyncIterator[Any]:
        async with self._connection(doing) as connection, connection.transaction():
            yield connection
