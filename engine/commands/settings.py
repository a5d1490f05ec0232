"""`gasinsight settings`: what is in force here and where each value comes from. Secrets are never shown."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from annotated_types import Ge, Gt, Le
from pydantic import SecretStr
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource, SecretsSettingsSource
from rich.console import Console
from rich.table import Table

from engine import runtime
from engine.commands.steps import plain
from engine.database_url import parse
from engine.settings import Settings, load_settings, secrets_dir

HIDDEN: Final = "***"
ADDRESSES: Final = ("database_url", "database_direct_url")


@dataclass(frozen=True, slots=True)
class Shown:
    """One setting as it may be printed; `source` says who set it."""

    setting: str
    value: str | None
    source: str
    meaning: str


def run_settings(overrides: dict[str, object], as_json: bool, as_markdown: bool) -> None:
    if as_markdown:
        sys.stdout.write("\n".join(markdown_table()) + "\n")
        return
    shown = list(effective(overrides))
    if as_json:
        sys.stdout.write("".join(json.dumps(asdict(each)) + "\n" for each in shown))
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("setting", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("from", overflow="fold")
    for each in shown:
        value = "-" if each.value is None else each.value
        table.add_row(each.setting, plain(value), plain(each.source, "dim" if each.source == "default" else ""))
    Console(highlight=False).print(table)


def effective(overrides: dict[str, object]) -> Iterator[Shown]:
    """Every setting in the order of the code, as the processes of this installation read it."""
    given, found = load_settings(**overrides), runtime.effective_settings(**overrides)
    sources = list(_sources(overrides))
    for name, field in Settings.model_fields.items():
        value = getattr(found, name)
        source = next((source for source, names in sources if name in names), "default")
        if value != getattr(given, name):
            source = (
                "the running installation" if name in runtime.SETTINGS_FROM_RUNTIME else "the data folder's secrets"
            )
        shown = parse(value).without_secrets() if value and name in ADDRESSES else _printable(value)
        yield Shown(name.upper(), shown, source, field.description or "")


def markdown_table() -> list[str]:
    """The table of docs/operations.md (`make docs` writes it there)."""
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in {None, ""} else f"`{field.default}`"
        allowed = _allowed(field.metadata)
        meaning = f"{field.description} ({allowed})" if allowed else field.description
        lines.append(f"| `{name.upper()}` | {default} | {meaning} |")
    return lines


def _sources(overrides: dict[str, object]) -> Iterator[tuple[str, Sequence[str]]]:
    """Who names which settings, the strongest first; the same readers that the settings themselves use."""
    yield "option", list(overrides)
    yield "environment", list(EnvSettingsSource(Settings)())
    yield ".env", list(DotEnvSettingsSource(Settings)())
    if folder := secrets_dir():
        yield f"file in {folder}", list(SecretsSettingsSource(Settings, secrets_dir=folder)())


def _printable(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, SecretStr):
        return HIDDEN
    return str(value)


def _allowed(metadata: Sequence[object]) -> str:
    """Bounds in words: `at least 1, at most 64`."""
    bounds = []
    for bound in metadata:
        match bound:
            case Ge(least):
                bounds.append(f"at least {least}")
            case Gt(floor):
                bounds.append(f"above {floor}")
            case Le(most):
                bounds.append(f"at most {most}")
    return ", ".join(bounds)
