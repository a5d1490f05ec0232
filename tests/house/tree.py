"""A tree of Python packages as its imports: every module, and what it imports, wherever in the file.

TYPE_CHECKING and functions hide nothing: what an annotation knows is known, what is imported late is imported. That
Python runs the `__init__` of the packages above a module is no import of theirs: what is written counts.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

REASON_OF_FILE = re.compile(r"^# ruff: noqa: .*\bPLC0415\b.* - \w", re.MULTILINE)
REASON_OF_LINE = re.compile(r"# noqa: .*\bPLC0415\b.* - \w")
BY_A_TEXT = frozenset({"import_module", "__import__"})


@dataclass(frozen=True, slots=True)
class Import:
    """`target`: a module of the tree where it names one, else as it is written. `is_late`: inside of a function."""

    target: str
    line: int
    is_late: bool


@dataclass(frozen=True, slots=True)
class Module:
    """`path` is relative to the root of the tree."""

    name: str
    path: str
    text: str
    imports: tuple[Import, ...]

    @property
    def is_folder(self) -> bool:
        """Whether it stands for the folder that it lies in."""
        return self.path.endswith("/__init__.py")

    @property
    def folder(self) -> str:
        """The package that the file lies in: of an `__init__`, that package itself."""
        return self.name if self.is_folder else self.name.rpartition(".")[0]

    @property
    def docstring(self) -> str:
        return ast.get_docstring(ast.parse(self.text)) or ""

    @property
    def about(self) -> str:
        """The first sentence of the docstring, or a line of it that is shorter."""
        return re.split(r"(?<=[.!?])\s|\n\n", self.docstring, maxsplit=1)[0].replace("\n", " ")

    def names_in_texts(self, packages: Collection[str]) -> Iterator[str]:
        """Texts of the file that are nothing but the dotted name of a module, as processes are started by."""
        name = re.compile(rf"({'|'.join(packages)})(\.\w+)+")
        for node in ast.walk(ast.parse(self.text)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value.partition(":")[0]
                if name.fullmatch(text):
                    yield text

    def late_without_reason(self) -> list[Import]:
        """Imports inside of functions without a word beside them, or at the head of the file, on why."""
        if REASON_OF_FILE.search(self.text):
            return []
        lines = self.text.splitlines()
        return [each for each in self.imports if each.is_late and not REASON_OF_LINE.search(lines[each.line - 1])]


class Tree:
    """The modules of `packages` under `root`, by name. Raises ValueError for an import that hides where it leads."""

    def __init__(self, root: Path, packages: Collection[str]) -> None:
        files = {_name(path.relative_to(root)): path for each in packages for path in (root / each).rglob("*.py")}
        self.root = root
        self.modules: dict[str, Module] = {}
        for name, path in sorted(files.items()):
            text, shown = path.read_text(encoding="utf-8"), path.relative_to(root).as_posix()
            found = tuple(_imports(ast.parse(text, shown), shown, files.keys()))
            self.modules[name] = Module(name, shown, text, found)

    def within(self, module: Module) -> list[Import]:
        """What a module imports of the tree."""
        return [each for each in module.imports if each.target in self.modules]

    def graph(self) -> dict[str, set[str]]:
        """Who imports whom."""
        return {name: {each.target for each in self.within(module)} for name, module in self.modules.items()}


def circles(graph: dict[str, set[str]]) -> list[str]:
    """Ways that lead back to where they began, at least one of each knot; the shortest from its first name."""
    found: list[tuple[str, ...]] = []
    for start in sorted(graph):
        if not any(start in way for way in found) and (way := _way_back(graph, start)):
            found.append(way)
    return [" -> ".join(way) for way in found]


def _way_back(graph: dict[str, set[str]], start: str) -> tuple[str, ...] | None:
    ways: list[tuple[str, ...]] = [(start,)]
    seen: set[str] = set()
    for way in ways:  # grows as we go: shorter ways come first
        for target in sorted(graph.get(way[-1], set()) - seen):
            if target == start:
                return (*way, start)
            seen.add(target)
            ways.append((*way, target))
    return None


def _name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _imports(node: ast.AST, path: str, names: Collection[str], *, is_late: bool = False) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, is_late) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            if child.level or child.module is None:
                raise ValueError(f"{path}:{child.lineno} a relative import hides where a name comes from")
            if BY_A_TEXT & {alias.name for alias in child.names}:
                raise ValueError(f"{path}:{child.lineno} an import by a text hides what is imported")
            for alias in child.names:
                full = f"{child.module}.{alias.name}"
                yield Import(full if full in names else child.module, child.lineno, is_late)
        elif isinstance(child, ast.Name | ast.Attribute) and ast.unparse(child).rpartition(".")[2] in BY_A_TEXT:
            raise ValueError(f"{path}:{child.lineno} an import by a text hides what is imported")
        inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        yield from _imports(child, path, names, is_late=is_late or inside)
