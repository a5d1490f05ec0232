"""Write the tables that documents take from the code between their markers: `make docs`."""

import re
from pathlib import Path

from engine.commands.settings import markdown_table

ROOT = Path(__file__).resolve().parents[1]
OPERATIONS = ROOT / "docs/operations.md"


def with_table(text: str, name: str, lines: list[str]) -> str:
    """`text` with `lines` between its markers `<!-- NAME, written by make docs -->` and `<!-- end of NAME -->`."""
    begin, end = f"<!-- {name}, written by `make docs` -->", f"<!-- end of {name} -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"expected one {begin} and one {end}")
    return re.sub(
        f"(?<={re.escape(begin)}\n).*(?={re.escape(end)})",
        lambda _: "\n".join(["", *lines, "", ""]),
        text,
        flags=re.DOTALL,
    )


def operations() -> str:
    """docs/operations.md as it should be."""
    return with_table(OPERATIONS.read_text(encoding="utf-8"), "settings", markdown_table())


if __name__ == "__main__":
    OPERATIONS.write_text(operations(), encoding="utf-8")
