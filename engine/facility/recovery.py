"""The core as it was after the last commit: newest checkpoint plus replay of the commit log, emitting nothing.

What cannot be read (damaged, or written by another version of the core, older or newer) is rebuilt from what PostgreSQL
has: the newest readings of every sensor go through the same core, and the journal says which alarms were announced. So
no alarm is announced twice or ended by it; detectors know the recent past only, running delays begin in it, and silence
is counted anew.

After a checkpoint of an older version that is read, and in a log without one, may stand steps that an older core judged
otherwise. What this one makes of them was told to nobody, so alarms are as the journal has them there, too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

import native
from engine.facility.payloads import command_payload, iso_utc
from engine.historian.port import HistorianPort, ToldAlarm
from engine.model import EntryKind, FacilityState

REBUILD_READINGS_MAX: Final = 2_000
"""Of each sensor: the shortest memory of the detectors' tail model, and six times what they need to have a say."""
CHUNK_READINGS_MAX: Final = 20_000

log = structlog.get_logger()

RunNative = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Recovered:
    """`entries` and `readings` were replayed on top of the checkpoint; `rebuilt`: something could not be read.

    is_beside_its_log: checkpoint and log no longer give this state; the next step is to write it down
    """

    core: native.FacilityCore
    entries: int
    readings: int
    rebuilt: bool
    is_beside_its_log: bool


async def recovered_core(
    state: FacilityState, core_settings: str, config: bytes, historian: HistorianPort, run_native: RunNative
) -> Recovered:
    """Restore and replay, or rebuild. `config` is today's configuration, the start of a rebuild."""
    try:
        return await _restored(state, core_settings, historian, run_native)
    except (native.SnapshotVersionError, native.SnapshotCorruptError, native.PayloadError) as error:
        unreadable = f"{type(error).__name__}: {error}"
    core, source = await _rebuilt(state, core_settings, config, historian, run_native)
    log.error(
        "checkpoint_unreadable",
        facility_id=state.config.facility_id,
        error=unreadable,
        commit_no=state.last_commit_no,
        core_version=state.checkpoint.core_version if state.checkpoint else None,
        rebuilt_from=source,
    )
    return Recovered(core, 0, 0, rebuilt=True, is_beside_its_log=True)


async def _restored(
    state: FacilityState, core_settings: str, historian: HistorianPort, run_native: RunNative
) -> Recovered:
    facility_id = state.config.facility_id
    held = state.checkpoint
    later = [entry for entry in state.log if held is None or entry.commit_no > held.commit_no]
    if held is None:
        core = native.FacilityCore(facility_id, core_settings)
    else:
        core = await run_native(native.FacilityCore.restore, facility_id, held.state, core_settings)
    for entry in later:
        await run_native(core.replay, entry.kind.value, entry.payload)
    readings = sum(native.batch_info(entry.payload)[1] for entry in later if entry.kind is EntryKind.BATCH)
    may_be_older = bool(later) and (held is None or held.core_version != native.CORE_VERSION)
    differs = may_be_older and await _recall_if_told_otherwise(core, facility_id, historian, run_native)
    return Recovered(core, len(later), readings, rebuilt=False, is_beside_its_log=differs)


async def _recall_if_told_otherwise(
    core: native.FacilityCore, facility_id: str, historian: HistorianPort, run_native: RunNative
) -> bool:
    """Whether the journal left other alarms active; then they are as it has them."""
    told = await historian.told_alarms(facility_id)
    active = {(alarm.sensor_no, alarm.rule) for alarm in core.alarms() if alarm.active}
    if active == {(sensor_no, rule) for sensor_no, rule, is_active, *_ in told if is_active}:
        return False
    await _recall(core, facility_id, told, historian, run_native)
    return True


async def _rebuilt(
    state: FacilityState, core_settings: str, config: bytes, historian: HistorianPort, run_native: RunNative
) -> tuple[native.FacilityCore, str]:
    """The core, and in words what it was made from. The readings of the log are among those that are stored."""
    facility_id = state.config.facility_id
    core = native.FacilityCore(facility_id, core_settings)
    await run_native(core.replay, EntryKind.CONFIG.value, config)
    id_by_no = {sensor.sensor_no: sensor.sensor_id for sensor in state.sensors}
    numbers = list(id_by_no)
    at_once = CHUNK_READINGS_MAX // REBUILD_READINGS_MAX
    readings, oldest_us = 0, None
    for start in range(0, len(numbers), at_once):
        wanted = numbers[start : start + at_once]
        stored = await historian.recent_readings(facility_id, wanted, REBUILD_READINGS_MAX)
        if stored:
            in_time = sorted(stored, key=lambda reading: reading[1])  # the facility is judged across its sensors
            rows = [(id_by_no[number], at_us, data) for number, at_us, data in in_time]
            times = [at_us for _, at_us, _ in stored]
            batch = await run_native(native.encode_batch, facility_id, rows, max(times))
            await run_native(core.replay, EntryKind.BATCH.value, batch)
            oldest_us = min(times) if oldest_us is None else min(oldest_us, *times)
            readings += len(stored)
    told = await historian.told_alarms(facility_id)
    await _recall(core, facility_id, told, historian, run_native)
    since = f" since {iso_utc(oldest_us)}" if oldest_us is not None else ""
    return core, f"{readings} stored readings{since}, at most {REBUILD_READINGS_MAX} a sensor, and {len(told)} alarms"


async def _recall(
    core: native.FacilityCore,
    facility_id: str,
    told: Sequence[ToldAlarm],
    historian: HistorianPort,
    run_native: RunNative,
) -> None:
    """Alarms as the journal has them, and what people asked of them."""
    if strange := await run_native(core.recall, told):
        log.warning("alarms_of_no_sensor", facility_id=facility_id, alarm_keys=strange)
    for command in await historian.standing_commands(facility_id):
        try:
            await run_native(core.replay, EntryKind.COMMAND.value, command_payload(command))
        except native.PayloadError as error:  # of a sensor that is gone since
            log.warning("command_of_no_alarm", facility_id=facility_id, alarm_key=command.alarm_key, error=str(error))
