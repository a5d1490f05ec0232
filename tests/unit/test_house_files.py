"""What the files of the repository hold, whatever they are about."""

from __future__ import annotations

import re

from tests.house.here import ROOT, tracked_files

NOT_WRITTEN_BY_US = (".lock", ".js", ".css", ".png")


def test_lock_files_name_the_public_registries_only() -> None:
    python_hosts = set(re.findall(r"https?://([^/\"]+)", (ROOT / "uv.lock").read_text()))
    assert python_hosts == {"pypi.org", "files.pythonhosted.org"}
    rust_sources = set(re.findall(r'^source = "([^"]+)"', (ROOT / "Cargo.lock").read_text(), re.MULTILINE))
    assert rust_sources == {"registry+https://github.com/rust-lang/crates.io-index"}


def test_tracked_files_name_no_path_of_one_machine() -> None:
    home = re.compile(r"(?<![\w.])/(?:home|root|Users)/\w")
    ours = [name for name in tracked_files() if not name.endswith(NOT_WRITTEN_BY_US) and "vendor/" not in name]
    assert [name for name in ours if home.search((ROOT / name).read_text(encoding="utf-8", errors="ignore"))] == []
