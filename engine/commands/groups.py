"""`gasinsight groups`: what several sensors of a facility are judged by together, shown and set in the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

import native
from engine.client import FacilityGroups, GasInSight
from engine.commands.group_words import group_text, rest_text
from engine.commands.json_file import read_json
from engine.commands.login import LoginOptions, NotDone, asked
from engine.commands.steps import plain, print_line
from engine.errors import SettingsError
from engine.printable import escaped

PARTS: Final = ("groups", "rests")


def run_show(overrides: dict[str, object], options: LoginOptions, facility_id: str, as_json: bool) -> None:
    """What is set, and who set it last."""

    async def read(gis: GasInSight) -> FacilityGroups:
        return await gis.groups.of_facility(facility_id)

    found = asked(overrides, options, read)
    if as_json:
        print_line(json.dumps(found.model_dump(mode="json")))
        return
    by = "nothing was set"
    if found.versions:
        by = f"last set {found.versions[0].set_at:%Y-%m-%d %H:%M:%S} by {found.versions[0].set_by_name}"
    print_line(escaped(f"facility {facility_id}: {by}"))
    _print({name: getattr(found, name) for name in PARTS}, {})


@dataclass(frozen=True, slots=True)
class Change:
    """The file replaces all groups of the facility; with `is_dry_run` only what would become of them is told."""

    facility_id: str
    file: Path
    is_dry_run: bool


@dataclass(frozen=True, slots=True)
class _Done:
    """`held`: groups and rests that hold then; `became`: of each name in them what it is beside those of before."""

    held: dict[str, list[dict[str, Any]]]
    became: dict[str, dict[str, str]]


def run_set(overrides: dict[str, object], options: LoginOptions, change: Change, as_json: bool) -> None:
    """Say what holds then; nothing is sent that the core would refuse."""
    wanted = read_groups(change.file)

    async def put(gis: GasInSight) -> _Done:
        before = await gis.groups.of_facility(change.facility_id)
        await _check(gis, change.facility_id, wanted)
        became = {part: dict(_became(getattr(before, part), wanted[part])) for part in PARTS}
        if change.is_dry_run:
            return _Done(wanted, became)
        held = await gis.groups.set_for_facility(change.facility_id, wanted["groups"], wanted["rests"])
        return _Done({part: getattr(held, part) for part in PARTS}, became)

    done = asked(overrides, options, put)
    if as_json:
        print_line(json.dumps({"dry_run": change.is_dry_run, **done.held, "changes": done.became}))
        return
    said = "would hold, nothing is changed" if change.is_dry_run else "set"
    print_line(escaped(f"facility {change.facility_id}: {said}"))
    _print(done.held, done.became)


def read_groups(file: Path) -> dict[str, list[dict[str, Any]]]:
    """The groups and rests of a file, also of one that `show --json` wrote; SettingsError in a sentence for others."""
    document = read_json(file)
    if not isinstance(document, dict) or not document.keys() <= FacilityGroups.model_fields.keys():
        raise SettingsError(f"{file} must hold an object with any of {', '.join(PARTS)}, and nothing else")
    read: dict[str, list[dict[str, Any]]] = {}
    for part in PARTS:
        said = document.get(part) or []
        if not isinstance(said, list) or not all(isinstance(each, dict) for each in said):
            raise SettingsError(f"{file}: {part} must be a list of objects")
        read[part] = [_said(each) for each in said]
    return read


def _said(value: Any) -> Any:
    """Without what is null, and without the number of a group, which goes with its name."""
    if isinstance(value, dict):
        return {name: _said(inner) for name, inner in value.items() if inner is not None and name != "no"}
    return [_said(each) for each in value] if isinstance(value, list) else value


async def _check(gis: GasInSight, facility_id: str, wanted: Mapping[str, list[dict[str, Any]]]) -> None:
    """NotDone in words for what the core of this installation would refuse, or for a sensor that is not there."""
    numbered = [{**group, "no": number} for number, group in zip(count(1), wanted["groups"], strict=False)]
    try:
        native.check_groups(json.dumps({"groups": numbered, "rests": wanted["rests"]}))
    except ValueError as error:
        raise NotDone(f"these groups would be refused: {error}") from error
    known = {sensor.id for sensor in await gis.sensors(facility_id)}
    if strange := sorted(set(_sensors(wanted)) - known):
        raise NotDone(f"these groups would be refused: the facility has no sensor {strange[0]!r}")


def _sensors(value: Any) -> Iterator[str]:
    """Each that is asked or rests, wherever it stands."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in {"sensor_id", "commanded", "reported"}:
                yield inner
            else:
                yield from _sensors(inner)
    elif isinstance(value, list):
        for each in value:
            yield from _sensors(each)


def _became(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Of each name: `new`, `changed`, `as before` or `ends`, with which its alarms end."""
    old = {each["name"]: _compared(each) for each in before}
    for each in after:
        name = each["name"]
        is_same = old.get(name) == _compared(each)
        yield name, "as before" if is_same else "changed" if name in old else "new"
    yield from ((name, "ends") for name in old.keys() - {each["name"] for each in after})


def _compared(each: dict[str, Any]) -> Any:
    return {name: value for name, value in _said(each).items() if value != []}


def _print(held: Mapping[str, list[dict[str, Any]]], became: Mapping[str, Mapping[str, str]]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in (*(["change"] if became else []), "name", "kind", "priority", "asks"):
        table.add_column(column, overflow="fold")
    for part, says in (("groups", group_text), ("rests", rest_text)):
        of_part = became.get(part, {})
        for each in held[part]:
            kind = each.get("kind", "suppression")
            row = (each["name"], kind, each.get("priority") or "", says(each))
            table.add_row(*map(plain, (*([of_part.get(each["name"], "")] if became else []), *row)))
        for name in sorted(name for name, change in of_part.items() if change == "ends"):
            table.add_row(*map(plain, ("ends", name, "", "", "")))
    if table.row_count:
        Console(highlight=False).print(table)
    else:
        print_line("No groups, and no suppressions by design.")
