"""The statements of queries.sql by their names."""

from __future__ import annotations

from pathlib import Path

_MARK = "-- name: "


def parse_queries(text: str) -> dict[str, str]:
    """Split `-- name: x` sections into {x: statement}, comments left out."""
    queries: dict[str, str] = {}
    for section in text.split(_MARK)[1:]:
        name, _, body = section.partition("\n")
        lines = [line for line in body.splitlines() if not line.lstrip().startswith("--")]
        queries[name.strip()] = "\n".join(lines).strip().rstrip(";")
    return queries


SQL = parse_queries(Path(__file__).with_name("queries.sql").read_text(encoding="utf-8"))
