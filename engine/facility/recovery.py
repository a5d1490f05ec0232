"""The core as it was after the last commit: newest checkpoint plus replay of the commit log, emitting nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog

import native
from engine.model import FacilityState, Kind, LogEntry

log = structlog.get_logger()

RunNative = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Recovered:
    """`entries` and `readings` were replayed on top of the checkpoint; `rebuilt`: the checkpoint could not be read."""

    core: native.FacilityCore
    entries: int
    readings: int
    rebuilt: bool


async def recovered_core(state: FacilityState, core_settings: str, config: bytes, run_native: RunNative) -> Recovered:
    """Restore and replay. `config` is today's configuration, the start of a rebuild."""
    facility_id = state.config.facility_id
    held = state.checkpoint
    later = [entry for entry in state.log if held is None or entry.commit_no > held.commit_no]
    rebuilt = False
    if held is None:
        core = native.FacilityCore(facility_id, core_settings)
    else:
        try:
            core = await run_native(native.FacilityCore.restore, facility_id, held.state, core_settings)
        except (native.SnapshotVersionError, native.SnapshotCorruptError) as error:
            rebuilt = True
            log.error(
                "checkpoint_unreadable",
                facility_id=facility_id,
                error=str(error),
                commit_no=held.commit_no,
                core_version=held.core_version,
                rebuilt_from=f"configuration of {len(state.sensors)} sensors and {_span(later)}",
            )
            core = native.FacilityCore(facility_id, core_settings)
            await run_native(core.replay, Kind.CONFIG.value, config)
    for entry in later:
        await run_native(core.replay, entry.kind.value, entry.payload)
    readings = sum(native.batch_info(entry.payload)[1] for entry in later if entry.kind is Kind.BATCH)
    return Recovered(core, len(later), readings, rebuilt)


def _span(entries: list[LogEntry]) -> str:
    if not entries:
        return "no log entries"
    return f"log entries {entries[0].commit_no} to {entries[-1].commit_no}"
