"""What the documents claim and a program can check."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_every_setting_is_documented_as_it_is() -> None:
    rows = runpy.run_path(str(ROOT / "scripts/settings_table.py"))["rows"]()
    text = (ROOT / "docs/operations.md").read_text()
    missing = [row for row in rows if row not in text]
    assert not missing, "renew the table in docs/operations.md with: python scripts/settings_table.py"
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE))
    assert documented == {re.findall(r"`([A-Z_]+)`", row)[0] for row in rows[2:]}


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
