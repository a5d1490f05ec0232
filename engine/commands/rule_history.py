"""`gasinsight rules history`: every version of alarm rules, who set it, and from when to when it held."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console
from rich.table import Table

from engine.client import GasInSight, Part, RuleSettings, RulesThen
from engine.commands.login import LoginOptions, asked
from engine.commands.steps import plain, print_line


@dataclass(frozen=True, slots=True)
class Versions:
    """Which of them: of a sensor, or of a facility's types, the newest first."""

    subject_id: str
    is_facility: bool
    skip: int
    limit: int


def run_history(overrides: dict[str, object], options: LoginOptions, wanted: Versions, as_json: bool) -> None:
    """A table, or one JSON object with `versions` and their `total`."""

    async def read(gis: GasInSight) -> Part[RulesThen]:
        of = gis.rules.history_of_facility if wanted.is_facility else gis.rules.history
        return await of(wanted.subject_id, skip=wanted.skip, limit=wanted.limit)

    found = asked(overrides, options, read)
    total = len(found.rows) if found.total is None else found.total
    if as_json:
        rows = [one.model_dump(mode="json") for one in found.rows]
        print_line(json.dumps({"versions": rows, "total": total}))
        return
    if not total:
        print_line("Nothing was ever set: the rules are as by default.")
        return
    Console(highlight=False).print(_table(found.rows))
    if total > wanted.skip + len(found.rows):
        print_line(f"{total} versions; --skip {wanted.skip + len(found.rows)} has the next.")


def moment_text(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def settings_text(settings: RuleSettings) -> str:
    """All that is set, in a line."""
    parts = [f"{name} {value}" for name in ("profile", "unit", "number_format") if (value := getattr(settings, name))]
    for change in settings.rules:
        said = change.model_dump(exclude_none=True, exclude={"rule"})
        parts.append(" ".join([change.rule, *(f"{name}={value}" for name, value in said.items())]))
    return "; ".join(parts) or "as by default"


def _table(rows: list[RulesThen]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("version", "of", "from (UTC)", "until (UTC)", "by", "why", "what is set"):
        table.add_column(column, overflow="fold")
    for one in rows:
        table.add_row(
            str(one.version),
            plain(one.sensor_type or one.sensor_id or ""),
            moment_text(one.valid_from),
            "" if one.valid_to is None else moment_text(one.valid_to),
            plain(one.set_by_name),
            plain(one.reason or ""),
            plain(settings_text(one.settings)),
        )
    return table
