"""Build the operator console: `web/console` (TypeScript) to `web/console_assets`, which is committed and served as is.

For whoever changes the console; needs Node and npm on the PATH. Whoever only runs the server needs neither: a test says
when what is committed is not of its sources (docs/decisions/0100).
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "web" / "console"
ASSETS = ROOT / "web" / "console_assets"
RECORD = ASSETS / "built.json"
NOT_SOURCES = {"node_modules"}


def sources_digest() -> str:
    """Of all that the bundle is made from, by names and bytes."""
    return _digest(SOURCES, NOT_SOURCES)


def assets_digest() -> str:
    """Of what was built, without the record of it."""
    return _digest(ASSETS, {RECORD.name})


def _digest(folder: Path, left_out: set[str]) -> str:
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and name.parts[0] not in left_out:
            total.update(f"{name.as_posix()}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def write_record() -> None:
    """Say which sources were built to which assets."""
    record = {"sources": sources_digest(), "assets": assets_digest()}
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def write_licences() -> None:
    """Of what is in the bundle, as its licences want them to go with it."""
    locked = json.loads((SOURCES / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    texts = [
        f"{name.removeprefix('node_modules/')} {package['version']}\n\n{_licence(SOURCES / name)}"
        for name, package in sorted(locked.items())
        if name and not package.get("dev")
    ]
    (ASSETS / "LICENCES.txt").write_text("\n\n".join(texts), encoding="utf-8")


def _licence(package: Path) -> str:
    return (package / "LICENSE").read_text(encoding="utf-8")


def write_shapes() -> None:
    """Types of the wire contract, from the description that the server gives of itself."""
    from web.api import sockets  # noqa: PLC0415 - not needed to compare digests
    from web.app import NOUNS  # noqa: PLC0415
    from web.contract.openapi import openapi_document  # noqa: PLC0415

    description = {**openapi_document(NOUNS, sockets.SOCKETS), "paths": {}}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shapes.json"
        path.write_text(json.dumps(description), encoding="utf-8")
        _run("npx", "openapi-typescript", str(path), "-o", "src/api/schema.ts")


def _run(*command: str) -> None:
    subprocess.run(command, cwd=SOURCES, check=True)


def main() -> None:
    if not (SOURCES / "node_modules").is_dir():
        _run("npm", "ci", "--ignore-scripts")
    write_shapes()
    _run("npm", "run", "build")
    write_licences()
    write_record()
    size = sum(path.stat().st_size for path in ASSETS.rglob("*") if path.is_file())
    print(f"{ASSETS.relative_to(ROOT)}: {size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
