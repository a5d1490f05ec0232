"""`make release`: wheel, source distribution, bills of materials and checksums into dist/, tried out on the way.

Builds and tries in any state of the checkout; ends with status 1 when that state must not be published, and says why.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, STDOUT

from scripts import bill_of_materials

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
PROGRAMS = Path(sys.executable).parent


def main() -> int:
    version: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    against = list(reasons(version))
    shutil.rmtree(DIST, ignore_errors=True)
    run([PROGRAMS / "maturin", "build", "--release", "--locked", "--sdist", "--out", DIST])
    (wheel,) = DIST.glob("*.whl")
    name = f"gasinsight-server-{version}"
    (DIST / f"{name}-python.cdx.json").write_text(bill_of_materials.of_packages(PROGRAMS / "uv"))
    (DIST / f"{name}-rust.cdx.json").write_text(bill_of_materials.of_crates(wheel))
    try_out(wheel)
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in sorted(DIST.iterdir())]
    (DIST / "SHA256SUMS").write_text("".join(sums))
    print("in dist/:", *sorted(file.name for file in DIST.iterdir()), sep="\n  ")
    for reason in against:
        print(f"not to be published: {reason}", file=sys.stderr)
    return 1 if against else 0


def reasons(version: str) -> Iterator[str]:
    """What stands against publishing this checkout as `version`."""
    if run(["git", "status", "--porcelain"]):
        yield "the checkout has changes that are in no commit"
    if f"v{version}" not in run(["git", "tag", "--points-at", "HEAD"]).split():
        yield f"HEAD does not bear the tag v{version}"
    newest = re.search(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    if newest is None or not re.match(rf"{re.escape(version)} \(\d{{4}}-\d\d-\d\d\)$", newest[1]):
        yield f"the newest heading of CHANGELOG.md is not: {version} (YEAR-MONTH-DAY)"
    core = tomllib.loads((ROOT / "native/Cargo.toml").read_text())["package"]["version"]
    if core != version:
        yield f"native/Cargo.toml says {core}, pyproject.toml {version}"


def try_out(wheel: Path) -> None:
    """Install the wheel with the locked packages where nothing else is, ask every word for its help, and run it all."""
    with tempfile.TemporaryDirectory(prefix="gi-release-") as text:
        folder = Path(text)
        folder.chmod(0o755)  # else root's database, which runs under another account, is put elsewhere and stays
        uv, python, locked = PROGRAMS / "uv", folder / "venv/bin/python", folder / "locked.txt"
        run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"])
        run([uv, "export", "--quiet", "--locked", "--no-dev", "--no-emit-project", "--output-file", locked])
        install: list[str | Path] = [uv, "pip", "install", "--quiet", "--python", python]
        run([*install, "--require-hashes", "--requirements", locked])
        run([*install, "--no-deps", wheel])

        gasinsight = folder / "venv/bin/gasinsight"
        bare = {"PATH": os.defpath, "HOME": text, "COLUMNS": "200", "DATA_DIR": str(folder / "data")}
        for word in words_of(run([gasinsight, "--help"], folder, bare)):
            run([gasinsight, word, "--help"], folder, bare)
        run([gasinsight, "settings"], folder, bare)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        run([gasinsight, "up", "--simulate", "--for", "20", "--port", str(port)], folder, bare)


def words_of(told: str) -> list[str]:
    """The words that `gasinsight --help` lists."""
    words = re.findall(r"^│ ([a-z][a-z-]*) ", told.partition(" Commands ")[2], re.MULTILINE)
    if "up" not in words:
        raise ValueError(f"no words found in:\n{told}")
    return words


def run(command: list[str | Path], folder: Path = ROOT, environment: dict[str, str] | None = None) -> str:
    """What the command prints; one that fails is shown with what it printed, and ends the release."""
    print("+", Path(command[0]).name, *command[1:], flush=True)
    ran = subprocess.run(command, cwd=folder, env=environment, check=False, stdout=PIPE, stderr=STDOUT, text=True)
    if ran.returncode != 0:
        print(ran.stdout, file=sys.stderr)
        sys.exit(f"ended with status {ran.returncode}")
    return ran.stdout


if __name__ == "__main__":
    sys.exit(main())
