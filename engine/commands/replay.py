"""`gasinsight replay`: a past period through rules of now, held against the stored journal."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from engine.commands.behind import behind_others
from engine.commands.steps import Screen
from engine.errors import SettingsError
from engine.exports import moments
from engine.exports.selection import SelectionRefused
from engine.historian.connection import translated_errors
from engine.printable import escaped
from engine.replay import stored
from engine.replay.documents import result_document
from engine.replay.proposing import SetNow, read_proposals
from engine.replay.replaying import look, replay_facility
from engine.replay.values import Basis, Difference, FacilityResult, Period, ReplayRefused, Wanted, moment_text
from engine.runtime import find_database_url
from engine.settings import Settings, load_settings

SAME_STATUS: Final = 0
DIFFERENT_STATUS: Final = 1
UNJUDGED_STATUS: Final = 3
AT_ONCE: Final = 2
SHOWN_MAX: Final = 20
"""Differences of a facility that people see; machines get all."""


@dataclass(frozen=True)
class ReplayOptions:
    """`start` and `end` are moments or days as people write them; `rules`: a file of proposals."""

    facility_ids: tuple[str, ...]
    start: str
    end: str
    today: bool
    rules: Path | None
    as_json: bool


def run_replay(overrides: dict[str, object], options: ReplayOptions) -> int:
    """The exit status: whether there were differences, or something that cannot be judged."""
    settings = load_settings(**overrides)
    started_s = time.monotonic()
    try:
        wanted = _wanted(options)
        with behind_others():
            results = asyncio.run(_replay(find_database_url(settings), settings, options, wanted))
    except (ReplayRefused, SelectionRefused) as error:
        raise SettingsError(str(error)) from error
    return _tell(Screen(options.as_json), results, time.monotonic() - started_s)


def _wanted(options: ReplayOptions) -> Wanted:
    period = Period(moments.start_us(options.start), moments.end_us(options.end))
    if options.rules is None:
        return Wanted(period, Basis.TODAY if options.today else Basis.THEN)
    try:
        document = json.loads(options.rules.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read {options.rules}: {error.strerror or error}") from error
    except ValueError as error:
        raise SettingsError(f"{options.rules} is no JSON: {error}") from error
    return Wanted(period, Basis.TODAY, read_proposals(document))


async def _replay(url: str, settings: Settings, options: ReplayOptions, wanted: Wanted) -> list[FacilityResult]:
    """In the order of asking, some at once, each under a snapshot of its own."""
    async with translated_errors("cannot replay"):
        async with stored.opened(url) as connection:
            known = await look(connection, options.facility_ids, wanted)
        terminal = Console(stderr=True)
        shown = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        is_off = options.as_json or not terminal.is_terminal
        places = asyncio.Semaphore(AT_ONCE)
        with Progress(*shown, console=terminal, transient=True, disable=is_off) as bars:

            async def one(now: SetNow) -> FacilityResult:
                async with places, stored.opened(url) as connection:
                    bar = bars.add_task(escaped(now.facility_id), total=1.0)
                    return await replay_facility(
                        connection, now, wanted, settings, lambda done, _: bars.update(bar, completed=done)
                    )

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(now)) for now in known.values()]
    return [task.result() for task in tasks]


def _tell(screen: Screen, results: Sequence[FacilityResult], took_s: float) -> int:
    for result in results:
        screen.event("facility", _sentences(result), **result_document(result))
        shown = result.differences if screen.as_json else result.differences[:SHOWN_MAX]
        for each in shown:
            told = {**asdict(each), "seconds": each.seconds}
            screen.event("difference", _line(each), facility_id=result.facility_id, **told)
        if left := len(result.differences) - len(shown):
            screen.event("more", f"  … and {left} more: --json tells all")
    readings = sum(result.readings for result in results)
    checksum = hashlib.sha256("".join(result.checksum for result in results).encode()).hexdigest()
    differences = sum(len(result.differences) for result in results)
    is_same = all(result.is_same for result in results)
    rate = round(readings / max(took_s, 1e-3))
    verdict = "zero differences" if is_same else f"{differences} rows differ"
    screen.event(
        "replayed",
        f"{verdict}; {readings:,} readings in {took_s:.1f} s, {rate:,} a second; checksum {checksum[:16]}",
        is_same=is_same,
        differences=differences,
        readings=readings,
        seconds=round(took_s, 2),
        readings_per_s=rate,
        checksum=checksum,
    )
    if differences:
        return DIFFERENT_STATUS
    return SAME_STATUS if is_same else UNJUDGED_STATUS


def _sentences(result: FacilityResult) -> str:
    name = escaped(result.facility_id)
    remarks = "".join(f"\n  {escaped(remark)}" for remark in result.remarks)
    if result.judged_from_us is None:
        return f"{name}:{remarks}"
    said = ", ".join(f"{number} {kind}" for kind, number in result.alarms.items() if number or kind == "same")
    beside = sum(number for kind, number in result.others.items() if kind != "same")
    proof = "the stored journal exactly" if result.is_same else f"alarms {said}; {beside} other rows differ"
    told = f"{result.before.alarms} alarms told then, {result.after.alarms} now"
    return f"{name}: {proof}; {told}{remarks}"


def _line(each: Difference) -> str:
    at_us = each.stored_us if each.replayed_us is None else each.replayed_us
    moment = "" if at_us is None else moment_text(at_us)
    moved = f" by {abs(each.seconds):,.0f} s" if each.seconds and each.kind != "changed" else ""
    fields = f" ({', '.join(each.fields)})" if each.fields else ""
    return f"  {each.kind}{moved}{fields}: {moment} {each.alarm_key} {each.transition}: {escaped(each.message)}"
