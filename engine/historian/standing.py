"""Whether a facility id stands for a facility, and what becomes of input for one that is retired or was removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.historian.port import Parking
from engine.historian.queries import SQL
from engine.model import REFUSED, DeadLetter, ParkedItem


@dataclass(frozen=True, slots=True)
class Standing:
    """`gone_at_us`: when the facility was retired, or one of this id removed. `epoch`: the id's last one then."""

    is_there: bool
    gone_at_us: int | None
    epoch: int

    @property
    def is_in_use(self) -> bool:
        """Whether input is for its actor."""
        return self.is_there and self.gone_at_us is None

    def parking_of(self, item: ParkedItem) -> Parking:
        """What becomes of it, as far as there is room."""
        if self.is_in_use:
            return Parking.KNOWN
        if self.gone_at_us is None:
            return Parking.PARKED
        if item.kind != "reading" and item.tracked_at_us is not None and item.tracked_at_us > self.gone_at_us:
            return Parking.PARKED
        return Parking.RETIRED if self.is_there else Parking.REMOVED


async def read_standing(connection: Any, facility_id: str) -> Standing:
    """Inside the caller's transaction, which takes turns with whoever else makes, removes or parks for this id."""
    await connection.execute(SQL["facility_lock"], facility_id)
    row = await connection.fetchrow(SQL["facility_standing"], facility_id)
    gone_at_us = row["retired_at"] if row["is_there"] else row["removed_at"]
    return Standing(row["is_there"], gone_at_us, row["epoch"])


def letter_of_gone(item: ParkedItem, reason: str) -> DeadLetter:
    """Once a sensor and kind of input: who goes on sending must not push other people's dead letters out."""
    detail = f"{item.kind}: a setup that is dated later, and then an activation, would make it count again"
    identity = (REFUSED, reason, item.kind, item.facility_id, item.sensor_id)
    return DeadLetter(REFUSED, "", reason, detail, item.body, item.facility_id, item.sensor_id, identity)
