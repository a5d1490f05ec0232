"""Which sensors and which time an export is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import GasInSightError

WHOLE_US: Final = (-(2**62), 2**62)
_FIND: Final = """
SELECT sensor_no, id, facility_id, signal_interval_s FROM sensors
 WHERE (cardinality($1::text[]) = 0 OR facility_id = ANY($1)) AND (cardinality($2::text[]) = 0 OR id = ANY($2))
"""
_FIND_FACILITIES: Final = "SELECT id FROM facilities WHERE cardinality($1::text[]) = 0 OR id = ANY($1)"


class SelectionRefused(GasInSightError):
    """What was asked for is not there, or no range."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Readings from `start_us` to `end_us` (not included); no ids mean all that may be seen."""

    facility_ids: tuple[str, ...] = ()
    sensor_ids: tuple[str, ...] = ()
    start_us: int = WHOLE_US[0]
    end_us: int = WHOLE_US[1]

    def __post_init__(self) -> None:
        if self.start_us >= self.end_us:
            raise SelectionRefused("the range is empty: its start must lie before its end")


@dataclass(frozen=True, slots=True)
class Selection:
    """Sensors in the order of their facility's and their own id; `rank` is the place in that order.

    `facility_ids` are those wanted, also without sensors; empty when only sensors were named.
    """

    asked: Asked
    facility_ids: tuple[str, ...]
    sensor_facilities: Sequence[str]
    sensor_ids: Sequence[str]
    numbers: NDArray[np.int32]
    readings_a_day: NDArray[np.float64]


async def find(connection: Any, asked: Asked) -> Selection:
    """Raises SelectionRefused for an id that the caller cannot see."""
    rows = await connection.fetch(_FIND, list(asked.facility_ids), list(asked.sensor_ids))
    rows.sort(key=lambda row: (row["facility_id"].encode(), row["id"].encode()))
    seen = {row["id"] for row in rows}
    for sensor_id in asked.sensor_ids:
        if sensor_id not in seen:
            raise SelectionRefused(f"there is no sensor {sensor_id!r}{_there(asked)}")
    facilities: tuple[str, ...] = ()
    if asked.facility_ids or not asked.sensor_ids:
        found = {row["id"] for row in await connection.fetch(_FIND_FACILITIES, list(asked.facility_ids))}
        for facility_id in asked.facility_ids:
            if facility_id not in found:
                raise SelectionRefused(f"there is no facility {facility_id!r}")
        facilities = () if asked.sensor_ids else tuple(sorted(found, key=str.encode))
    return Selection(
        asked,
        facilities,
        [row["facility_id"] for row in rows],
        [row["id"] for row in rows],
        np.array([row["sensor_no"] for row in rows], dtype=np.int32),
        np.array([86_400 / max(1, row["signal_interval_s"]) for row in rows], dtype=np.float64),
    )


def _there(asked: Asked) -> str:
    return f" in {', '.join(asked.facility_ids)}" if asked.facility_ids else ""
