"""A file of JSON that a person gives to a command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.errors import SettingsError


def read_json(file: Path) -> Any:
    """What it holds. SettingsError in a sentence for one that cannot be read."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read {file}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        where = f", line {error.lineno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else ""
        raise SettingsError(f"{file} is no JSON{where}") from error
