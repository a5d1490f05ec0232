"""`gasinsight facility` and `gasinsight sensor`: what an Admin retires or removes over REST, in the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from engine.client import GasInSight
from engine.client.shapes import Facility, Sensor
from engine.commands.login import LoginOptions, NotDone, asked
from engine.printable import escaped

Kind = Literal["facility", "sensor"]
Deed = Literal["retire", "remove"]
Subject = Facility | Sensor

WHAT = {
    "retire": "Its alarms end and what comes for it has no effect; its history stays.",
    "remove": "It goes for good, with all its data. This cannot be undone.",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be done; `agrees` is asked before, unless it is None."""

    kind: Kind
    deed: Deed
    subject_id: str
    agrees: Callable[[str], bool] | None


def run(overrides: dict[str, object], options: LoginOptions, wanted: Wanted, as_json: bool) -> None:
    """Say what it is before asking, and what was done after it."""
    found = asked(overrides, options, lambda gis: _read(gis, wanted))
    if wanted.agrees is not None:
        of = f"({escaped(found.name)}, {escaped(found.type)}, {escaped(found.status)})"
        sys.stderr.write(f"{wanted.kind} {escaped(found.id)} {of}\n")
        if not wanted.agrees(f"{WHAT[wanted.deed]} {wanted.deed.capitalize()} it?"):
            raise NotDone("nothing was changed")
    done = asked(overrides, options, lambda gis: _deeds(gis)[wanted.kind, wanted.deed](wanted.subject_id))
    if as_json:
        sys.stdout.write(json.dumps(done.model_dump(mode="json")) + "\n")
    else:
        sys.stdout.write(f"{wanted.kind} {escaped(done.id)} ({escaped(done.name)}) is {wanted.deed}d.\n")


async def _read(gis: GasInSight, wanted: Wanted) -> Subject:
    return await (gis.facility(wanted.subject_id) if wanted.kind == "facility" else gis.sensor(wanted.subject_id))


def _deeds(gis: GasInSight) -> dict[tuple[Kind, Deed], Callable[[str], Awaitable[Subject]]]:
    return {
        ("facility", "retire"): gis.admin.retire_facility,
        ("facility", "remove"): gis.admin.remove_facility,
        ("sensor", "retire"): gis.admin.retire_sensor,
        ("sensor", "remove"): gis.admin.remove_sensor,
    }
