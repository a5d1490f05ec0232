"""A report as a page to read and to print: one HTML file that needs nothing else, no script, no font, no server."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from typing import Final

from engine.printable import escaped

STYLE: Final = """
body { font: 10pt/1.35 system-ui, sans-serif; color: #111; margin: 2em auto; max-width: 70em; padding: 0 1em; }
h1 { font-size: 1.5em; margin: 0 0 .2em; } h2 { font-size: 1.1em; margin: 1.6em 0 .4em; }
p { margin: .2em 0; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .25em .6em .25em 0; border-bottom: 1px solid #ccc; }
th { border-bottom-color: #111; } td { overflow-wrap: anywhere; } .yes { color: #060; } .no { color: #a00; }
.no, h2 { font-weight: bold; }
@page { size: A4 landscape; margin: 14mm; }
@media print { body { margin: 0; max-width: none; padding: 0; } h2 { break-after: avoid; } tr { break-inside: avoid; }
thead { display: table-header-group; } }
"""
POLICY: Final = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'sha256-"
    + b64encode(sha256(STYLE.encode()).digest()).decode()
    + "'"
)
"""Of the answer that has a page: its own style and nothing else."""


LINE_BREAK: Final = "\n"


@dataclass(frozen=True, slots=True)
class Section:
    """A table under a heading; `none` is what stands there without rows. The text of a cell may have lines."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    none: str = "None."


def page(title: str, lines: Sequence[str], sections: Sequence[Section]) -> bytes:
    """All that is given is text: whatever stands in it is shown and does nothing."""
    said = "".join(f"<p>{_shown(line)}</p>\n" for line in lines)
    tables = "".join(_section(section) for section in sections)
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{_shown(title)}</title>'
        f"<style>{STYLE}</style></head>\n<body>\n<h1>{_shown(title)}</h1>\n{said}{tables}</body>\n</html>\n"
    ).encode()


def _section(section: Section) -> str:
    head = f"<h2>{_shown(section.heading)}</h2>\n"
    if not section.rows:
        return f"{head}<p>{_shown(section.none)}</p>\n"
    columns = "".join(f"<th>{_shown(column)}</th>" for column in section.columns)
    rows = "".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>\n" for row in section.rows)
    return f"{head}<table><thead><tr>{columns}</tr></thead>\n<tbody>\n{rows}</tbody></table>\n"


def _cell(text: str) -> str:
    marked = f' class="{text}"' if text in {"yes", "no"} else ""
    return f"<td{marked}>{'<br>'.join(map(_shown, text.split(LINE_BREAK)))}</td>"


def _shown(text: str) -> str:
    return escape(escaped(text))
