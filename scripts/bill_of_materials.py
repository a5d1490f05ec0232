"""The bills of materials of a release (CycloneDX): what uv.lock and Cargo.lock bring, each with hash and licence."""

from __future__ import annotations

import json
import subprocess
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

from scripts.licences import UNKNOWN, licence_of


def of_packages(uv: Path) -> str:
    """The Python packages that the product needs, as uv tells them from the lock file; the licences are added here."""
    command: list[str | Path] = [uv, "export", "--quiet", "--locked", "--no-dev", "--format", "cyclonedx1.5"]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    bill = json.loads(told.stdout)
    for component in [bill["metadata"]["component"], *bill["components"]]:
        add_licence(component)
    return json.dumps(bill, indent=2) + "\n"


def add_licence(component: dict[str, Any]) -> None:
    """Add what the installed package says, if it is that version; another version may have another licence."""
    try:
        same = metadata.version(component["name"]) == component["version"]
    except metadata.PackageNotFoundError:
        return
    licence = licence_of(component["name"])
    if same and licence != UNKNOWN:
        component["licenses"] = [{"expression": licence}]


def of_crates(wheel: Path) -> str:
    """The crates of the Rust core, as maturin has written them into the wheel."""
    with zipfile.ZipFile(wheel) as files:
        (name,) = [name for name in files.namelist() if ".dist-info/sboms/" in name]
        return files.read(name).decode()
