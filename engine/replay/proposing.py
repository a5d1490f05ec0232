"""What sensors would have if it were proposed today: over what is set now, as the web server would set it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import native
from engine.alarm_rules import merged
from engine.facility.payloads import ALARM_SETTINGS, RULES_VERSION
from engine.model import Detection, SensorType
from engine.replay.values import Proposal, ReplayRefused

Settings = Mapping[str, Any]
"""What of an entry of a configuration people set: `detection`, and the names of ALARM_SETTINGS."""
_DETECTION = {each.name for each in fields(Detection)}
_GROUPS = {"groups", "rests"}


@dataclass(frozen=True, slots=True)
class SetNow:
    """What is set in a facility; `types` of its sensors by their ids, settings by sensor type and by sensor id.

    numbers        whose alarms are judged: of its sensors, and of the groups that it has or had
    group_numbers  of the latter, by their names
    """

    facility_id: str
    types: Mapping[str, str]
    numbers: frozenset[int]
    rules: Mapping[str, Settings]
    detection: Mapping[str, Settings]
    groups: Settings
    group_numbers: Mapping[str, int]


def settings_by_sensor(now: SetNow, proposals: Iterable[Proposal]) -> dict[str, Settings]:
    """Of every sensor that the facility has. Raises ReplayRefused with the core's sentence for what it refuses."""
    rules, detection = dict(now.rules), dict(now.detection)
    for proposal in proposals:
        subject = proposal.sensor_id or proposal.sensor_type or ""
        if proposal.sensor_id is None and proposal.facility_id != now.facility_id:
            continue
        if proposal.sensor_id is not None and proposal.sensor_id not in now.types:
            continue
        if proposal.rules is not None:
            rules[subject] = proposal.rules
        if proposal.detection is not None:
            said = {name: value for name, value in proposal.detection.items() if value is not None}
            detection[subject] = {**detection.get(subject, {}), **said}
    found = {sensor_id: _of(sensor_id, kind, rules, detection) for sensor_id, kind in now.types.items()}
    _check(found, now.types)
    return found


def check_subjects(all_now: Sequence[SetNow], proposals: Iterable[Proposal]) -> None:
    """Each proposal is of something that is replayed. Raises ReplayRefused."""
    facilities = {now.facility_id for now in all_now}
    sensors = {sensor_id for now in all_now for sensor_id in now.types}
    for proposal in proposals:
        if proposal.sensor_id is not None:
            if proposal.sensor_id not in sensors:
                raise ReplayRefused(f"no facility that is replayed has a sensor {proposal.sensor_id!r}")
        elif proposal.facility_id not in facilities:
            raise ReplayRefused(f"facility {proposal.facility_id!r} is not replayed")
        elif proposal.sensor_type not in set(SensorType) and proposal.groups is None:
            raise ReplayRefused(f"there is no type of sensors {proposal.sensor_type!r}")


def read_proposals(document: object) -> tuple[Proposal, ...]:
    """A JSON list of objects with `sensor_id`, or `facility_id`, and `rules`, `detection` or both, as they are PUT to
    /rules/… and /detection/…: those of a facility name their `sensor_type`. Or with `facility_id` and `groups` alone,
    as they are PUT to /groups/facility/…. Raises ReplayRefused.
    """
    if not isinstance(document, list):
        raise ReplayRefused(
            "proposals are a JSON list of objects with sensor_id or facility_id, and rules, detection or groups"
        )
    return tuple(_proposal(place, each) for place, each in enumerate(document, start=1))


def _proposal(place: int, said: object) -> Proposal:
    known = {"sensor_id", "facility_id", "rules", "detection", "groups"}
    if not isinstance(said, dict) or not set(said) <= known:
        raise ReplayRefused(f"proposal {place} is no object with {', '.join(sorted(known))} alone")
    sensor_id, facility_id = said.get("sensor_id"), said.get("facility_id")
    if (sensor_id is None) == (facility_id is None) or not isinstance(sensor_id or facility_id, str):
        raise ReplayRefused(f"proposal {place} names not exactly one sensor_id or facility_id")
    bodies = {name: _without_reason(said[name]) for name in ("rules", "detection") if said.get(name) is not None}
    if said.get("groups") is not None:
        return _of_groups(place, facility_id, _without_reason(said["groups"]), is_alone=not bodies)
    if not bodies or not all(isinstance(body, dict) for body in bodies.values()):
        raise ReplayRefused(f"proposal {place} has neither rules nor detection as objects")
    types = {body.get("sensor_type") for body in bodies.values()}
    if sensor_id is None and (len(types) > 1 or not isinstance(next(iter(types)), str)):
        raise ReplayRefused(f"proposal {place} is for a facility and names not one sensor_type")
    kind = next(iter(types)) if sensor_id is None else None
    cleaned = {name: {key: body[key] for key in body if key != "sensor_type"} for name, body in bodies.items()}
    _check_names(place, cleaned)
    return Proposal(facility_id, sensor_id, kind, cleaned.get("rules"), cleaned.get("detection"))


def _without_reason(body: Any) -> Any:
    """Why it is set says nothing of what it does."""
    return {key: body[key] for key in body if key != "reason"} if isinstance(body, dict) else body


def _of_groups(place: int, facility_id: str | None, groups: object, *, is_alone: bool) -> Proposal:
    if facility_id is None or not is_alone:
        raise ReplayRefused(f"proposal {place}: groups stand by themselves, with a facility_id")
    if not isinstance(groups, dict) or not set(groups) <= _GROUPS:
        raise ReplayRefused(f"proposal {place}: groups is no object with {' and '.join(sorted(_GROUPS))} alone")
    return Proposal(facility_id, groups=groups)


def _check_names(place: int, bodies: Mapping[str, Mapping[str, Any]]) -> None:
    for name, allowed in (("rules", set(ALARM_SETTINGS)), ("detection", _DETECTION)):
        if strange := sorted(set(bodies.get(name, ())) - allowed):
            known = ", ".join(sorted(allowed))
            raise ReplayRefused(f"proposal {place}: {name} have no {strange[0]!r}, they have {known}")


def _of(sensor_id: str, kind: str, rules: Mapping[str, Settings], detection: Mapping[str, Settings]) -> Settings:
    alarms = merged(_said(rules.get(kind, {})), _said(rules.get(sensor_id, {})))
    looked_for = {**detection.get(kind, {}), **detection.get(sensor_id, {})}
    return {**({"detection": looked_for} if looked_for else {}), **alarms}


def _said(settings: Settings) -> dict[str, Any]:
    """Without what is null, as the web server keeps it."""
    said = {name: settings[name] for name in ALARM_SETTINGS if settings.get(name) is not None}
    if isinstance(changes := said.get("rules"), list):
        said["rules"] = [_without_nulls(change) for change in changes]
    return said


def _without_nulls(change: object) -> object:
    return {name: value for name, value in change.items() if value is not None} if isinstance(change, dict) else change


def _check(found: Mapping[str, Settings], types: Mapping[str, str]) -> None:
    sensors = [
        {
            "op": "upsert",
            "sensor_id": sensor_id,
            "sensor_no": number,
            "type": types[sensor_id],
            "expected_interval_s": 1,
            "status": "Active",
            **settings,
        }
        for number, (sensor_id, settings) in enumerate(found.items(), start=1)
    ]
    try:
        config = json.dumps({"version": RULES_VERSION, "sensors": sensors}).encode()
        native.FacilityCore("", "{}").replay("config", config)
    except (native.PayloadError, ValueError) as error:
        raise ReplayRefused(str(error)) from error
