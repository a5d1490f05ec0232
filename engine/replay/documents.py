"""What is asked of a replay and what came of it, as JSON: how it is kept in tables and told to programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from engine.replay.proposing import read_proposals
from engine.replay.values import Basis, Difference, FacilityResult, Period, Wanted, moment_text

DIFFERENCES_KEPT_MAX: Final = 200
"""Of a facility, in a result that is kept; `gasinsight replay --json` tells all."""


def wanted_document(period: Period, basis: Basis, proposals: list[dict[str, Any]]) -> dict[str, Any]:
    """`proposals` as `read_proposals` takes them."""
    return {"from_us": period.from_us, "until_us": period.until_us, "basis": basis.value, "proposals": proposals}


def read_wanted(document: Mapping[str, Any]) -> Wanted:
    """Raises ReplayRefused for proposals that are none."""
    proposals = read_proposals(document["proposals"])
    basis = Basis.TODAY if proposals else Basis(document["basis"])
    return Wanted(Period(document["from_us"], document["until_us"]), basis, proposals)


def result_document(result: FacilityResult) -> dict[str, Any]:
    """Without its differences."""
    fields = {name: value for name, value in asdict(result).items() if name != "differences"}
    for name in ("judged_from_us", "judged_until_us", "begun_us"):
        fields[name.removesuffix("_us")] = _moment(fields.pop(name))
    return {**fields, "is_same": result.is_same}


def kept_document(result: FacilityResult) -> dict[str, Any]:
    """With the first of its differences, and how many there are."""
    first = [_difference(each) for each in result.differences[:DIFFERENCES_KEPT_MAX]]
    return {**result_document(result), "differences_total": len(result.differences), "differences": first}


def _difference(each: Difference) -> dict[str, Any]:
    fields = {**asdict(each), "seconds": each.seconds}
    for name in ("stored_us", "replayed_us"):
        fields[name.removesuffix("_us")] = _moment(fields.pop(name))
    return fields


def _moment(time_us: int | None) -> str | None:
    return None if time_us is None else moment_text(time_us)
