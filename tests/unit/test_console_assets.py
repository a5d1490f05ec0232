"""What is served as the console is what its sources were built to, and small enough to be there at once."""

from __future__ import annotations

import gzip
import json
import re

import pytest

from scripts import build_console
from scripts.build_console import ASSETS, RECORD, SOURCES, assets_digest, sources_digest

GZIP_BYTES_MAX = 120_000
BUNDLED = {"@preact/signals", "@preact/signals-core", "preact", "uplot"}
OF_TOOLS = {"Apache-2.0", "BSD-3-Clause", "ISC", "MIT", "(MIT OR CC0-1.0)", "Python-2.0"}


def test_what_is_committed_was_built_from_these_sources() -> None:
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    assert record == {"sources": sources_digest(), "assets": assets_digest()}, "run `make console`"


def test_a_changed_source_or_asset_is_noticed(tmp_path_factory: pytest.TempPathFactory) -> None:
    for folder, digest in (("SOURCES", sources_digest), ("ASSETS", assets_digest)):
        copy = tmp_path_factory.mktemp("copy")
        (copy / "one").write_text("a", encoding="utf-8")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(build_console, folder, copy)
            before = digest()
            (copy / "node_modules").mkdir()
            (copy / "one").write_text("b", encoding="utf-8")
            changed = digest()
            (copy / "one").write_text("a", encoding="utf-8")
            assert changed != before == digest()


def test_the_console_is_small() -> None:
    built = [path.read_bytes() for path in ASSETS.rglob("*") if path.is_file() and path != RECORD]
    assert 0 < sum(len(gzip.compress(content)) for content in built) <= GZIP_BYTES_MAX


def test_the_page_has_neither_scripts_nor_styles_of_its_own_and_asks_nobody_else() -> None:
    page = (ASSETS / "index.html").read_text(encoding="utf-8")
    named = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert named and all(name.startswith(("/console/assets/", "/static/")) for name in named)
    assert not re.search(r"<style|style=|<script(?![^>]*\bsrc=)", page)
    for name in named:
        if name.startswith("/console/assets/"):
            assert (ASSETS / name.removeprefix("/console/")).is_file()


def test_packages_are_pinned_permitted_and_named_without_hosts() -> None:
    wanted = json.loads((SOURCES / "package.json").read_text(encoding="utf-8"))
    pins = {**wanted["dependencies"], **wanted["devDependencies"]}
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", pin) for pin in pins.values())
    locked = json.loads((SOURCES / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert {name: locked[f"node_modules/{name}"]["version"] for name in pins} == pins
    packages = {name.removeprefix("node_modules/"): one for name, one in locked.items() if name}
    assert not [name for name, one in packages.items() if "resolved" in one]
    assert {name for name, one in packages.items() if not one.get("dev")} == BUNDLED
    assert {packages[name]["license"] for name in BUNDLED} == {"MIT"}
    assert {one["license"] for one in packages.values()} <= OF_TOOLS
    shipped = (ASSETS / "LICENCES.txt").read_text(encoding="utf-8")
    assert all(f"{name} {packages[name]['version']}\n" in shipped for name in BUNDLED)
