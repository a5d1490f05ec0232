"""`gasinsight rules`: when something is an alarm, shown and set in the terminal."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

import native
from engine.alarm_rules import rules_in_force
from engine.client import FacilityRules, GasInSight, RuleInForce, RuleSettings, RulesVersion, SensorRules
from engine.commands.json_file import read_json
from engine.commands.login import LoginOptions, NotDone, asked
from engine.commands.steps import plain, print_line
from engine.errors import SettingsError
from engine.exports import moments
from engine.exports.selection import SelectionRefused
from engine.printable import escaped

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Subject:
    """A sensor; with a `sensor_type`, which sensors of the facility of that id."""

    subject_id: str
    sensor_type: str | None = None

    def __str__(self) -> str:
        if self.sensor_type is None:
            return f"sensor {self.subject_id}"
        return f"{self.sensor_type} of facility {self.subject_id}"


@dataclass(frozen=True, slots=True)
class Asked:
    """Of a sensor or of a facility, and, if not of now, `at` which moment as a person writes it."""

    subject_id: str
    is_facility: bool
    at: str | None


def run_show(overrides: dict[str, object], options: LoginOptions, wanted: Asked, as_json: bool) -> None:
    """What holds, and who set something last; of a facility for each type of its sensors."""
    subject_id, at = wanted.subject_id, None if wanted.at is None else moment("--at", wanted.at)

    async def read(gis: GasInSight) -> SensorRules | FacilityRules:
        return await (gis.rules.of_facility if wanted.is_facility else gis.rules.of)(subject_id, at=at)

    found = asked(overrides, options, read)
    if as_json:
        print_line(json.dumps(found.model_dump(mode="json")))
    elif isinstance(found, SensorRules):
        _tell(Subject(subject_id), found.in_force, found.versions)
    else:
        for each in found.types:
            _tell(Subject(subject_id, each.sensor_type), each.in_force, each.versions)
        if not found.types:
            print_line("The facility has no sensors, and no rules are set for it.")


@dataclass(frozen=True, slots=True)
class Change:
    """The file replaces what is set of the subject; with `is_dry_run` only what would hold is told."""

    subject: Subject
    file: Path
    is_dry_run: bool
    reason: str | None = None


def run_set(overrides: dict[str, object], options: LoginOptions, change: Change, as_json: bool) -> None:
    """Say what holds then; nothing is sent that the core would refuse."""
    subject, is_dry_run = change.subject, change.is_dry_run
    wanted = read_settings(change.file)

    async def put(gis: GasInSight) -> list[RuleInForce]:
        would = await _would_hold(gis, subject, wanted)
        return would if is_dry_run else await _set(gis, subject, wanted, change.reason)

    held = asked(overrides, options, put)
    if as_json:
        print_line(json.dumps({"dry_run": is_dry_run, "in_force": [rule.model_dump(mode="json") for rule in held]}))
        return
    print_line(escaped(f"{subject}: would hold, nothing is changed" if is_dry_run else f"{subject}: set"))
    Console(highlight=False).print(_table(held))


def moment(option: str, text: str) -> datetime:
    """As a person writes it; without a zone it is UTC, of a bare day its first. SettingsError for what is none."""
    try:
        return EPOCH + timedelta(microseconds=moments.start_us(text))
    except SelectionRefused as error:
        raise SettingsError(f"{option}: {error}") from error


def read_settings(file: Path) -> dict[str, Any]:
    """What the file sets. SettingsError in a sentence for one that sets nothing that there is."""
    document = read_json(file)
    fields = list(RuleSettings.model_fields)
    if not isinstance(document, dict) or not document.keys() <= set(fields):
        raise SettingsError(f"{file} must hold an object with any of {', '.join(fields)}, and nothing else")
    return {name: value for name, value in document.items() if value is not None}


async def _would_hold(gis: GasInSight, subject: Subject, wanted: dict[str, Any]) -> list[RuleInForce]:
    """As the core of this installation says; NotDone in its words for what it would refuse."""
    sensor_type, of_type = subject.sensor_type, RuleSettings()
    if sensor_type is None:
        found = await gis.rules.of(subject.subject_id)
        sensor_type, of_type = found.sensor_type, found.of_type
    try:
        # By itself first: a rule that it names twice, or no list of them, would not be seen once it is merged.
        native.rules_in_force(sensor_type, json.dumps(wanted))
        held = rules_in_force(sensor_type, of_type.model_dump(exclude_none=True), wanted)
        return [RuleInForce.model_validate(rule) for rule in held]
    except ValueError as error:
        raise NotDone(f"these rules would be refused: {error}") from error


async def _set(gis: GasInSight, subject: Subject, wanted: dict[str, Any], reason: str | None) -> list[RuleInForce]:
    if subject.sensor_type is None:
        return (await gis.rules.set(subject.subject_id, wanted, reason=reason)).in_force
    found = await gis.rules.set_facility(subject.subject_id, subject.sensor_type, wanted, reason=reason)
    return [rule for each in found.types if each.sensor_type == subject.sensor_type for rule in each.in_force]


def _tell(subject: Subject, held: list[RuleInForce], versions: list[RulesVersion]) -> None:
    by = "as by default"
    if versions:
        by = f"last set {versions[0].set_at:%Y-%m-%d %H:%M:%S} by {versions[0].set_by_name}"
    print_line(escaped(f"{subject}: {by}"))
    Console(highlight=False).print(_table(held))


def _table(held: list[RuleInForce]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("rule", "limit", "priority", "deadband", "on/off delay", "window", "source"):
        table.add_column(column, overflow="fold")
    for rule in held:
        table.add_row(
            plain(rule.rule),
            plain("" if rule.limit is None else f"{rule.limit:g} {rule.unit}"),
            plain(rule.priority),
            plain(f"{rule.deadband:g}" if rule.limit is not None else ""),
            plain(f"{rule.on_delay_s:g} s / {rule.off_delay_s:g} s"),
            plain("" if rule.window_s is None else f"{rule.window_s:g} s"),
            plain(rule.source),
        )
    return table
