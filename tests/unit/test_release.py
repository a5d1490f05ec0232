"""What `make release` refuses to publish, tries out and writes down; the build itself is tried by running it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import typer

from engine.commands.cli.app import app
from scripts import release
from scripts.bill_of_materials import add_licence

ROOT = Path(__file__).resolve().parents[2]
GOOD = {
    "status": "",
    "tag": "v1.2.3\n",
    "changelog": "# Changelog\n\n## 1.2.3 (2027-01-31)\n\n## 1.2.2 (2026-12-01)\n",
    "core": '[package]\nversion = "1.2.3"\n',
}


def reasons(monkeypatch: pytest.MonkeyPatch, folder: Path, **changed: str) -> list[str]:
    state = {**GOOD, **changed}
    (folder / "native").mkdir()
    (folder / "CHANGELOG.md").write_text(state["changelog"])
    (folder / "native/Cargo.toml").write_text(state["core"])
    monkeypatch.setattr(release, "ROOT", folder)
    monkeypatch.setattr(release, "run", lambda command: state[command[1]])
    return list(release.reasons("1.2.3"))


def test_a_tagged_commit_with_its_changelog_may_be_published(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert reasons(monkeypatch, tmp_path) == []


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"status": " M engine/clock.py\n"}, "the checkout has changes"),
        ({"tag": ""}, "HEAD does not bear the tag v1.2.3"),
        ({"tag": "v1.2.30\n"}, "HEAD does not bear the tag v1.2.3"),
        ({"changelog": "## Unreleased\n\n## 1.2.3 (2027-01-31)\n"}, "the newest heading of CHANGELOG.md is not: 1.2.3"),
        ({"changelog": "## 1.2.3\n"}, "the newest heading of CHANGELOG.md is not: 1.2.3"),
        ({"core": '[package]\nversion = "1.2.2"\n'}, "native/Cargo.toml says 1.2.2"),
    ],
)
def test_anything_else_may_not(
    changed: dict[str, str], reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (found,) = reasons(monkeypatch, tmp_path, **changed)
    assert found.startswith(reason)


def test_every_word_of_the_command_is_tried() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "engine.commands.cli.app", "--help"],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert set(release.words_of(told)) == set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="no words found"):
        release.words_of("Usage: gasinsight\n")


def test_what_fails_ends_the_release(capsys: pytest.CaptureFixture[str]) -> None:
    assert release.run(["sh", "-c", "echo fine"]) == "fine\n"
    with pytest.raises(SystemExit, match="status 3"):
        release.run(["sh", "-c", "echo broken; exit 3"])
    assert "broken" in capsys.readouterr().err


def test_the_source_distribution_has_the_sources() -> None:
    left_out = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["maturin"]["exclude"]
    assert all(isinstance(each, dict) for each in left_out), "a bare pattern counts for both formats"
    made_elsewhere = {"native/fuzz/**", "web/console/node_modules/**"}
    assert {each["path"] for each in left_out if "sdist" in each["format"]} == made_elsewhere


@pytest.mark.parametrize(("other", "licences"), [("", [{"expression": "MIT"}]), ("x", None)])
def test_a_licence_is_written_for_the_installed_version_alone(other: str, licences: list[Any] | None) -> None:
    component: dict[str, Any] = {"name": "pytest", "version": metadata.version("pytest") + other}
    add_licence(component)
    assert component.get("licenses") == licences


def test_a_package_that_is_not_installed_has_no_licence_in_the_bill() -> None:
    component: dict[str, Any] = {"name": "no-such-package", "version": "1"}
    add_licence(component)
    assert "licenses" not in component
