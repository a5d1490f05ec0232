"""`gasinsight api-key`: what an Admin does with API keys over REST, in the terminal."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from engine.all_or_nothing import unwound_by_signals
from engine.client import GasInSight
from engine.client.shapes import ApiKey, Facility, PermissionType
from engine.commands.login import LoginOptions, NotDone, asked
from engine.commands.steps import plain
from engine.errors import SettingsError
from engine.printable import escaped


@dataclass(frozen=True, slots=True)
class NewKey:
    """`view` and `edit` name facilities by id or by their whole name."""

    name: str
    view: tuple[str, ...]
    edit: tuple[str, ...]
    days: int


def run_create(overrides: dict[str, object], options: LoginOptions, new: NewKey, as_json: bool) -> None:
    """Print the key alone on standard output, so that a script can keep it, and what it is on standard error."""
    if not new.view and not new.edit:
        raise SettingsError("a key needs at least one facility: --view FACILITY or --edit FACILITY")

    with unwound_by_signals():
        asked(overrides, options, lambda gis: create_key(gis, new, as_json))


async def create_key(gis: GasInSight, new: NewKey, as_json: bool) -> None:
    """Make it and show it; one that nobody came to see is revoked, also when we are cancelled meanwhile."""
    known = await gis.facilities()
    rights: dict[str, PermissionType] = {_id_of(wanted, known): "View" for wanted in new.view}
    rights |= {_id_of(wanted, known): "Edit" for wanted in new.edit}
    making = asyncio.ensure_future(gis.admin.create_api_key(new.name, rights, days=new.days))
    try:
        made = await asyncio.shield(making)
    except asyncio.CancelledError:
        await gis.admin.revoke_api_key((await making).id)
        raise
    try:
        _show(made, as_json)
    except OSError as error:
        await gis.admin.revoke_api_key(made.id)
        sys.stdout = None  # what is left in it cannot be written either
        raise NotDone(f"the key cannot be shown ({error.strerror}), so {made.id} ({made.name}) is revoked") from error


def _show(made: ApiKey, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(made.model_dump(mode="json")) + "\n")
    else:
        sys.stderr.write(
            f"Key {made.id} ({escaped(made.name)}), until {made.expires_at:%Y-%m-%d}; it is shown this once:\n"
        )
        sys.stdout.write(f"{escaped(str(made.key))}\n")
    sys.stdout.flush()


def run_list(overrides: dict[str, object], options: LoginOptions, as_json: bool) -> None:
    """One line a key."""
    found = asked(overrides, options, lambda gis: gis.admin.api_keys())
    if as_json:
        for key in found:
            sys.stdout.write(json.dumps(key.model_dump(mode="json", exclude={"key"})) + "\n")
        return
    table = Table("id", "name", "status", "expires", "last used", "made by", "facilities", box=None)
    for key in found:
        last_used = f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never"
        rights = ", ".join(f"{grant.facility_id} ({grant.permission_type})" for grant in key.facilities)
        cells = (
            str(key.id),
            key.name,
            key.status,
            f"{key.expires_at:%Y-%m-%d}",
            last_used,
            key.created_by_name,
            rights,
        )
        table.add_row(*map(plain, cells))
    Console().print(table)


def run_revoke(overrides: dict[str, object], options: LoginOptions, key_id: int) -> None:
    """Say which one it was."""
    key = asked(overrides, options, lambda gis: gis.admin.revoke_api_key(key_id))
    sys.stdout.write(f"Key {key.id} ({escaped(key.name)}) is revoked.\n")


def _id_of(wanted: str, known: list[Facility]) -> str:
    found = [one.id for one in known if wanted == one.id] or [one.id for one in known if wanted == one.name]
    if len(found) != 1:
        raise SettingsError(f"{len(found)} facilities have the id or the name {wanted!r}; give the id of one")
    return found[0]
