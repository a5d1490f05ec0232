"""Files that a command was told to write: what stands against it is told before anything is begun."""

from __future__ import annotations

import os
from pathlib import Path

from engine.errors import SettingsError


def check_writable(path: Path | None, option: str) -> None:
    """Raises SettingsError unless a file of this name can be written; None: it was not asked for."""
    if path is None:
        return
    folder = path.absolute().parent
    if not folder.is_dir():
        raise SettingsError(f"cannot write {path} ({option}): {folder} is no folder; make it first")
    if path.is_dir():
        raise SettingsError(f"cannot write {path} ({option}): that is a folder; give the name of a file")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise SettingsError(f"cannot write {path} ({option}): this user may not")
