"""Write the tables and lists that documents take from the repository, between their markers: `make docs`."""

import re
from pathlib import Path

from engine.commands.settings import markdown_table
from engine.database_url import OPTIONS
from engine.exports.datasets import DATASETS
from engine.imports.reasons import SENTENCES
from tests.acceptance.ways_to_fail import AFTER, WAYS
from tests.house import chapter
from tests.house.here import shipped

ROOT = Path(__file__).resolve().parents[1]
DECISIONS = ROOT / "docs/decisions"


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


def decisions() -> list[str]:
    """Each decision with its title, in the order of their numbers."""
    lines = []
    for file in sorted(DECISIONS.glob("[0-9]*.md")):
        heading = file.read_text(encoding="utf-8").partition("\n")[0]
        number, _, title = heading.removeprefix("# ").partition(" ")
        if number != file.name[:4] or not title:
            raise ValueError(f"{file.name} must begin with: # {file.name[:4]} TITLE")
        lines.append(f"- [{number}]({file.name}) {title}")
    return lines


def options_of_addresses() -> list[str]:
    """What becomes of each."""
    lines = ["| option | is | |", "|---|---|---|"]
    for name, option in OPTIONS.items():
        allowed = "" if option.allowed is None else f" ({', '.join(option.allowed)})"
        lines.append(f"| `{name}`{allowed} | {option.fate} | {option.how} |")
    return lines


def data_sets() -> list[str]:
    """What can be exported, with every column."""
    lines: list[str] = []
    for dataset in DATASETS.values():
        order = ", ".join(dataset.sorted_by)
        meaning = dataset.meaning[0].upper() + dataset.meaning[1:]
        lines += [f"### {dataset.name}", "", f"{meaning}. Sorted by {order}.", ""]
        lines += ["| column | type | unit | |", "|---|---|---|---|"]
        for column in dataset.columns:
            lines.append(f"| `{column.name}` | {column.type} | {column.unit} | {column.meaning} |")
        lines.append("")
    return lines[:-1]


def reasons_of_imports() -> list[str]:
    """Why a row is refused."""
    return ["| refused as | |", "|---|---|", *(f"| `{reason.value}` | {text} |" for reason, text in SENTENCES.items())]


def ways_to_fail() -> list[str]:
    """What a sensor can do, and which rule speaks, as the running system was seen to do."""
    lines = ["| a sensor that … | is told by | after |", "|---|---|---|"]
    for way in WAYS:
        rules = [name for name in AFTER if name in way.told_by]
        told = " or ".join(f"`{name}`" for name in rules)
        lines.append(f"| {way.name} | {told} | {way.after or AFTER[rules[0]]} |")
    return lines


def documents() -> dict[Path, str]:
    """The documents with tables from the code, each as it should be."""
    tables = (
        (ROOT / "docs/operations.md", "settings", markdown_table()),
        (ROOT / "docs/operations.md", "options of addresses", options_of_addresses()),
        (ROOT / "docs/ARCHITECTURE.md", "picture of the rooms", chapter.picture()),
        (ROOT / "docs/ARCHITECTURE.md", "rooms", chapter.rooms(shipped())),
        (ROOT / "docs/ARCHITECTURE.md", "leaves", chapter.leaves(shipped())),
        (ROOT / "docs/exports.md", "data sets", data_sets()),
        (ROOT / "docs/alarms.md", "ways to fail", ways_to_fail()),
        (ROOT / "docs/imports.md", "reasons", reasons_of_imports()),
        (DECISIONS / "README.md", "list", decisions()),
    )
    texts: dict[Path, str] = {}
    for path, name, lines in tables:
        texts[path] = with_table(texts.get(path) or path.read_text(encoding="utf-8"), name, lines)
    return texts


if __name__ == "__main__":
    for path, text in documents().items():
        path.write_text(text, encoding="utf-8")
