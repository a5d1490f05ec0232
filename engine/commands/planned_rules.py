"""`gasinsight rules set --from`, `planned` and `withdraw`: alarm rules that shall hold later."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table

from engine.client import GasInSight, Part, PlannedRules
from engine.commands.login import LoginOptions, NotDone, asked
from engine.commands.rule_history import Versions, moment_text, settings_text
from engine.commands.rules import Change, moment, read_settings, run_set
from engine.commands.steps import plain, print_line
from engine.printable import escaped


def run_plan(
    overrides: dict[str, object], options: LoginOptions, change: Change, effective_from: str, as_json: bool
) -> None:
    """File the change for that moment; a dry run says what would hold with the other rules of now."""
    at, subject = moment("--from", effective_from), change.subject
    if change.is_dry_run:
        run_set(overrides, options, change, as_json)
        return
    wanted = read_settings(change.file)

    async def plan(gis: GasInSight) -> PlannedRules:
        if subject.sensor_type is None:
            return await gis.rules.plan(subject.subject_id, wanted, at, reason=change.reason)
        of = subject.subject_id, subject.sensor_type
        return await gis.rules.plan_for_facility(*of, wanted, at, reason=change.reason)

    planned = asked(overrides, options, plan)
    if as_json:
        print_line(json.dumps({"dry_run": False, "planned": planned.model_dump(mode="json")}))
        return
    from_text = moment_text(planned.effective_from)
    print_line(escaped(f"{subject}: planned as {planned.id}, holds from {from_text} (UTC)"))


def run_planned(overrides: dict[str, object], options: LoginOptions, wanted: Versions, as_json: bool) -> None:
    """A table, or one JSON object with what is `planned` and its `total`."""
    found = asked(overrides, options, lambda gis: _planned(gis, wanted))
    total = len(found.rows) if found.total is None else found.total
    if as_json:
        print_line(json.dumps({"planned": [one.model_dump(mode="json") for one in found.rows], "total": total}))
        return
    if not total:
        print_line("Nothing is planned.")
        return
    Console(highlight=False).print(_table(found.rows))
    if total > wanted.skip + len(found.rows):
        print_line(f"{total} are planned; --skip {wanted.skip + len(found.rows)} has the next.")


def run_withdraw(
    overrides: dict[str, object], options: LoginOptions, subject: tuple[str, bool], planned_id: int, as_json: bool
) -> None:
    """`subject`: an id, and whether it is a facility's. NotDone for what is not planned there."""
    subject_id, is_facility = subject

    async def withdraw(gis: GasInSight) -> PlannedRules:
        if is_facility:
            return await gis.rules.withdraw(subject_id, planned_id)
        for one in (await gis.rules.planned(subject_id)).rows:
            if one.id == planned_id:
                return await gis.rules.withdraw(one.facility_id, planned_id)
        raise NotDone(f"{planned_id} is not planned for sensor {subject_id}; `gasinsight rules planned` shows what is")

    gone = asked(overrides, options, withdraw)
    if as_json:
        print_line(json.dumps({"withdrawn": gone.model_dump(mode="json")}))
        return
    print_line(escaped(f"{gone.sensor_type or gone.sensor_id}: {gone.id} is withdrawn and will not hold"))


async def _planned(gis: GasInSight, wanted: Versions) -> Part[PlannedRules]:
    of = gis.rules.planned_of_facility if wanted.is_facility else gis.rules.planned
    return await of(wanted.subject_id, skip=wanted.skip, limit=wanted.limit)


def _table(rows: list[PlannedRules]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("number", "of", "from (UTC)", "by", "why", "what is set", "refused"):
        table.add_column(column, overflow="fold")
    for one in rows:
        table.add_row(
            str(one.id),
            plain(one.sensor_type or one.sensor_id or ""),
            moment_text(one.effective_from),
            plain(one.set_by_name),
            plain(one.reason or ""),
            plain(settings_text(one.settings)),
            plain(one.refusal or ""),
        )
    return table
