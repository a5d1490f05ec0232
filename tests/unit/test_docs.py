"""What the documents claim and a program can check."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_tables_taken_from_the_code_are_as_the_code_is() -> None:
    """`make docs` writes them."""
    written = runpy.run_path(str(ROOT / "scripts/write_tables.py"))["operations"]()
    assert written == (ROOT / "docs/operations.md").read_text(), "run: make docs"
    assert (
        "| `DATABASE_CONNECTIONS_MAX` | `8` | connections of one process' pool (at least 2, at most 200) |" in written
    )


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in DOCUMENTS
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text())
        if not (document.parent / target).exists()
    ]
    assert not broken


def test_files_named_in_documents_exist() -> None:
    named = re.compile(r"`((?:engine|native|web|migrations|tests|scripts|bench)/[\w/.-]+)`")
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in DOCUMENTS
        for target in named.findall(document.read_text())
        if not (ROOT / target).exists()
    ]
    assert not broken


def test_make_targets_named_in_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target
        for document in DOCUMENTS
        for target in re.findall(r"`make ([a-z-]+)|^make ([a-z-]+)", document.read_text(), re.MULTILINE)
        for target in target
        if target
    }
    assert named
    assert named <= targets
