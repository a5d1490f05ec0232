"""`gasinsight audit …`: whether the audit log is whole, and what it says."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime
from typing import Any

from engine.commands.steps import Screen
from engine.errors import SettingsError
from engine.historian.audit import read_last, verify
from engine.historian.audit_head import Head, read_head, remember
from engine.printable import escaped
from engine.runtime import find_database_url
from engine.settings import load_settings


def run_verify(overrides: dict[str, object], expected_head: str | None, as_json: bool) -> int:
    """1 when the chain is broken, or the expected head is not in it."""
    if expected_head is not None and re.fullmatch("[0-9a-f]{64}", expected_head.lower()) is None:
        raise SettingsError("--expect-head takes a head as `gasinsight audit verify` prints it: 64 hexadecimal digits")
    settings = load_settings(**overrides)
    url = find_database_url(settings)
    remembered = read_head(settings.data_dir, url)
    check = asyncio.run(verify(url, expected_head.lower() if expected_head else None, remembered))
    text = f"{check.rows} rows, head {check.head}"
    if check.problem is None:
        text = f"the chain is whole: {text}\n{_past(remembered)}"
        if settings.data_dir.is_dir():
            remember(settings.data_dir, url, Head(check.rows, check.head, now_text()))
    else:
        text = f"BROKEN: {check.problem}\n{text} up to there"
    Screen(as_json).event(
        "audit",
        text,
        whole=check.problem is None,
        rows=check.rows,
        head=check.head,
        problem=check.problem,
        row=check.row,
        remembered_rows=None if remembered is None else remembered.rows,
        set_back=None if remembered is None else remembered.set_back or None,
    )
    return 0 if check.problem is None else 1


def _past(remembered: Head | None) -> str:
    """What it was compared with."""
    if remembered is None:
        return "No earlier head of this database is known here: whether rows were cut off the end cannot be told."
    set_back = f"\nA restore set it back from {remembered.set_back}." if remembered.set_back else ""
    return f"It continues what this machine remembers: {remembered.text}.{set_back}"


def now_text() -> str:
    """The hour, as heads have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def run_show(overrides: dict[str, object], rows_max: int, as_json: bool) -> None:
    screen = Screen(as_json)
    for entry in asyncio.run(read_last(find_database_url(load_settings(**overrides)), rows_max)):
        screen.event("audit_entry", _line(entry), **entry)


def _line(entry: dict[str, Any]) -> str:
    """One line for people."""
    behind = f" (through {entry['impersonated_by']})" if entry["impersonated_by"] else ""
    who = f"{json.dumps(entry['actor_name'])} {entry['actor']}{behind} from {entry['address'] or '-'}"
    changed = " -> ".join(json.dumps(entry[side]) for side in ("before", "after") if entry[side] is not None)
    subject = json.dumps(entry["subject"])[1:-1]
    return escaped(f"{entry['id']:>6}  {entry['at']}  {entry['action']:<20} {subject}  by {who}  {changed}".rstrip())
