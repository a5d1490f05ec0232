"""`gasinsight db …`: the schema of the database that the settings name, or of the embedded one that runs now."""

from __future__ import annotations

import asyncio

from engine.commands.steps import Screen
from engine.historian.connection import translated_errors
from engine.runtime import find_database_url
from engine.settings import load_settings
from migrations.upgrade import (
    SchemaAge,
    age_of_schema,
    current_revision,
    difference,
    newest_revision,
    upgrade,
)


def run_upgrade(overrides: dict[str, object]) -> None:
    url = find_database_url(load_settings(**overrides))
    asyncio.run(_upgrade(url))
    Screen().event("upgraded", f"the database has revision {asyncio.run(read_current(url))}")


def run_current(overrides: dict[str, object]) -> None:
    current = asyncio.run(read_current(find_database_url(load_settings(**overrides))))
    newest = newest_revision()
    advice = {
        SchemaAge.NEWEST: "which is the newest",
        SchemaAge.NEWER: f"made by a newer program than this one, which knows {newest} and works with it",
    }.get(age_of_schema(current), f"the newest is {newest}: run `gasinsight db upgrade`")
    Screen().event("current", f"the database has {f'revision {current}' if current else 'no schema yet'}, {advice}")


def run_check(overrides: dict[str, object]) -> int:
    """1 when the database is not what this program wants."""
    url = find_database_url(load_settings(**overrides))
    current, newest = asyncio.run(read_current(url)), newest_revision()
    if current != newest:
        Screen().event("check", f"the database has {current or 'no schema yet'}, not {newest}: `gasinsight db upgrade`")
        return 1
    found = asyncio.run(_difference(url))
    Screen().event("check", found or f"the database is as revision {newest} wants it")
    return 1 if found else 0


async def _upgrade(url: str) -> None:
    async with translated_errors("cannot bring the database to the newest schema"):
        await asyncio.to_thread(upgrade, url)


async def read_current(url: str) -> str | None:
    async with translated_errors("cannot ask the database for its revision"):
        return await current_revision(url)


async def _difference(url: str) -> str | None:
    async with translated_errors("cannot compare the database"):
        return await asyncio.to_thread(difference, url)
