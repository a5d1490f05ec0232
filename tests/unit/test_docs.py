"""What the documents claim and a program can check."""

from __future__ import annotations

import re
import runpy

from tests.house.here import ROOT, tracked_files
from tests.house.names import Files

SOURCES = (
    "engine/",
    "web/",
    "migrations/",
    "native/",
    "bench/",
    "deploy/",
    "scripts/",
    "Makefile",
    "Dockerfile",
    "compose.yaml",
)
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / ".github").rglob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
write_tables = runpy.run_path(str(ROOT / "scripts/write_tables.py"))


def test_tables_taken_from_the_code_are_as_the_code_is() -> None:
    """`make docs` writes them."""
    for path, text in write_tables["documents"]().items():
        assert text == path.read_text(), f"{path.relative_to(ROOT)}: run make docs"


def test_settings_stand_in_the_operations_manual() -> None:
    written = (ROOT / "docs/operations.md").read_text()
    line = "| `DATABASE_CONNECTIONS_MAX` | `8` | connections of one process' pool (at least 2, at most 200) |"
    assert line in written.splitlines()


def test_every_decision_is_in_the_index_with_its_title() -> None:
    files = {path.name: path.read_text() for path in (ROOT / "docs/decisions").glob("0*.md")}
    index = (ROOT / "docs/decisions/README.md").read_text()
    listed = re.findall(r"^- \[(\d{4})\]\((\S+)\) (.+)$", index, re.MULTILINE)
    assert [name for _, name, _ in listed] == sorted(files)
    assert all(files[name].startswith(f"# {number} {title}\n") for number, name, title in listed)
    numbers = [number for number, _, _ in listed]
    assert len(numbers) == len(set(numbers)), "a number is used twice"


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in DOCUMENTS
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text())
        if not (document.parent / target).exists()
    ]
    assert not broken


def test_files_that_documents_and_sources_name_exist() -> None:
    """In docstrings and comments too."""
    tracked = tracked_files()
    files = Files(tracked)
    broken = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in [*DOCUMENTS, *(ROOT / name for name in tracked if name.startswith(SOURCES))]
        for name in files.missing(path.read_text(errors="ignore"))
    ]
    assert broken == []


def test_the_readme_lists_every_folder() -> None:
    folders = {name.partition("/")[0] for name in tracked_files() if "/" in name and not name.startswith(".")}
    rows = "\n".join(re.findall(r"^\| (`.*?) \|", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert set(re.findall(r"`(\w+)/`", rows)) == folders


def test_make_targets_named_in_documents_hooks_and_workflows_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    running = [ROOT / ".pre-commit-config.yaml", *sorted((ROOT / ".github/workflows").glob("*.yml"))]
    named = {
        (target, path.name)
        for path in [*DOCUMENTS, *running]
        for target in re.findall(r"(?:`|^|entry: |run: )make ([a-z-]+)", path.read_text(), re.MULTILINE)
    }
    assert {("audit", "audit.yml"), ("check", ".pre-commit-config.yaml")} <= named
    assert [each for each in sorted(named) if each[0] not in targets] == []
