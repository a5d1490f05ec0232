"""Which packages of uv.lock the product needs on Linux, and under which licence each comes.

The gate (tests/unit/test_licences.py) judges them, the bill of materials (scripts/bill_of_materials.py) names them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from email.message import Message
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.markers import Marker

Lock = dict[str, Any]
"""uv.lock as tomllib reads it."""

UNKNOWN = "unknown"
MACHINES = ("x86_64", "aarch64")

# Spellings of the fields License and Classifier in the wild. A bare "BSD" does not say how many clauses it has.
SPELLINGS = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd license": "LicenseRef-BSD",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
}
EXPRESSION = re.compile(r"\(*[\w.+-]+\)*( (AND|OR|WITH) \(*[\w.+-]+\)*)*")


def environments(pythons: Iterable[str]) -> list[dict[str, str]]:
    """What markers are asked about: the machines and the versions of Python that the project says it runs on."""
    return [
        {
            "implementation_name": "cpython",
            "os_name": "posix",
            "platform_machine": machine,
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{python}.0",
            "python_version": python,
            "sys_platform": "linux",
        }
        for machine in MACHINES
        for python in pythons
    ]


def product_roots(lock: Lock, project: str) -> list[Mapping[str, Any]]:
    """What the project itself asks for where it runs."""
    return list(_package(lock, project)["dependencies"])


def dev_roots(lock: Lock, project: str) -> list[Mapping[str, Any]]:
    """What is asked for where the project is worked on."""
    return group_roots(lock, project, "dev")


def group_roots(lock: Lock, project: str, group: str) -> list[Mapping[str, Any]]:
    return list(_package(lock, project)["dev-dependencies"][group])


def closure(lock: Lock, roots: Iterable[Mapping[str, Any]], where: list[dict[str, str]]) -> set[str]:
    """Names of all packages that the roots need in any of the environments, extras and markers considered."""
    packages = defaultdict(list)
    for package in lock["package"]:
        packages[package["name"]].append(package)
    seen: set[tuple[str, str]] = set()
    waiting = list(_wanted(roots, where))
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for package in packages[name]:
            needs = (
                package.get("optional-dependencies", {}).get(extra, []) if extra else package.get("dependencies", [])
            )
            waiting += _wanted(needs, where)
    return {name for name, _ in seen}


def licence_of(name: str) -> str:
    """The SPDX expression of an installed package's metadata, or `UNKNOWN`."""
    try:
        return licence_in(metadata.distribution(name).metadata)
    except metadata.PackageNotFoundError:
        return UNKNOWN


def licence_in(fields: metadata.PackageMetadata | Message) -> str:
    """License-Expression counts alone; else a one-line License and the classifiers together, all of them understood."""
    if "License-Expression" in fields:
        return fields["License-Expression"]
    said = [line.rpartition(" :: ")[2] for line in fields.get_all("Classifier") or [] if line.startswith("License ::")]
    said = [line for line in said if line not in {"OSI Approved", "DFSG approved"}]
    text = (fields["License"] or "").strip() if "License" in fields else ""
    if text and "\n" not in text:
        # "BSD-3-Clause" beside the classifier "BSD License": the exact one is meant.
        said = [text, *(line for line in said if line != "BSD License")]
    found = {SPELLINGS.get(line.lower(), line if EXPRESSION.fullmatch(line) else UNKNOWN) for line in said}
    if not found or UNKNOWN in found:
        return UNKNOWN
    if len(found) == 1:
        return found.pop()
    return " AND ".join(f"({each})" if " " in each else each for each in sorted(found))


def permits(expression: str, permitted: set[str]) -> bool:
    """Whether an SPDX expression can be met with permitted licences alone: all of AND, any of OR."""
    words = re.findall(r"[()]|[^\s()]+", expression)

    def either() -> bool:
        good = both()
        while words and words[0] == "OR":
            words.pop(0)
            good = both() or good
        return good

    def both() -> bool:
        good = single()
        while words and words[0] == "AND":
            words.pop(0)
            good = single() and good
        return good

    def single() -> bool:
        word = words.pop(0) if words else ")"
        if word == "(":
            good = either()
            return bool(words) and words.pop(0) == ")" and good
        if words and words[0] == "WITH":
            word = f"{word} WITH {words[1] if len(words) > 1 else ''}"
            del words[:2]
        return word in permitted

    return either() and not words


def bundled_libraries(name: str) -> set[str]:
    """Shared libraries of others in an installed package, by their names without versions and hashes."""
    found = set()
    for path in metadata.files(name) or []:
        foreign = path.parts[0].endswith(".libs") or ".so." in path.name
        if foreign and ".so" in path.name:
            found.add(re.sub(r"(-[0-9a-f]{8})*\.so.*$", "", path.name))
    return found


def folder_of(name: str) -> Path:
    """Where an installed package's files are."""
    return Path(str(metadata.distribution(name).locate_file("")))


def _package(lock: Lock, name: str) -> Mapping[str, Any]:
    (found,) = [package for package in lock["package"] if package["name"] == name]
    return dict(found)


def _wanted(needs: Iterable[Mapping[str, Any]], where: list[dict[str, str]]) -> Iterator[tuple[str, str]]:
    for need in needs:
        marker = need.get("marker")
        if marker is None or any(Marker(marker).evaluate(environment) for environment in where):
            yield need["name"], ""
            yield from ((need["name"], extra) for extra in need.get("extra", ()))
