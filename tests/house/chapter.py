"""The chapter on the rooms in docs/ARCHITECTURE.md, from the table and from what the rooms say of themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.house.rooms import DOORS, LEAVES, ROOMS
from tests.house.rules import spoken
from tests.house.tree import Module, Tree


def rooms(tree: Tree) -> list[str]:
    """The rooms from the door down, as a table for each package."""
    return _tables(tree, {name: allowed for name, allowed in ROOMS.items() if name not in DOORS})


def leaves(tree: Tree) -> list[str]:
    """The leaves, likewise."""
    return _tables(tree, LEAVES)


def picture() -> list[str]:
    """Who imports whom, as a diagram: what follows from other arrows is left out, and so are leaves."""
    below = {name: [each for each in allowed.split() if each in ROOMS] for name, allowed in ROOMS.items()}
    lines = ["```mermaid", "flowchart TD"]
    for door in DOORS:
        inside = [name for name in ROOMS if _package(name) == door and name != door]
        lines.append(f"    subgraph {door}")
        lines += [f"        {_node(name)}[{spoken(name, door)}]" for name in inside]
        lines.append("    end")
    lines += [f"    {_node(name)}[{name}]" for name in ROOMS if _package(name) not in DOORS]
    for name, targets in below.items():
        lines += [f"    {_node(name)} --> {_node(each)}" for each in targets if not _follows(below, name, each)]
    return [*lines, "```"]


def _tables(tree: Tree, table: Mapping[str, str]) -> list[str]:
    lines: list[str] = []
    for package in dict.fromkeys(map(_package, table)):
        lines += ["", f"| in `{package}/` | what it is for | may import |", "|---|---|---|"]
        for name, allowed in table.items():
            if _package(name) == package:
                module = tree.modules[name]
                lines.append(f"| `{_path(module)}` | {module.about} | {spoken(allowed, name)} |")
    return lines[1:]


def _path(module: Module) -> str:
    """Of a folder without the file that speaks for it."""
    return module.path.removesuffix("__init__.py")


def _follows(below: Mapping[str, list[str]], name: str, target: str) -> bool:
    """Whether another arrow from `name` leads to `target` too."""
    return any(target in _reach(below, each) for each in below[name] if each != target)


def _reach(below: Mapping[str, list[str]], name: str) -> Iterator[str]:
    for each in below[name]:
        yield each
        yield from _reach(below, each)


def _package(name: str) -> str:
    return name.partition(".")[0]


def _node(name: str) -> str:
    return name.replace(".", "_").strip("_")
