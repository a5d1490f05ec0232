"""Which file of a Rust crate names which other: the graph that `test_house_rust.py` judges.

A module is a file; an inline `mod x { … }` belongs to its file. A file depends on the one whose module a path of its
names, wherever the path stands: in a `use` of any shape, also inside a function or of test code, or written out.

mod x;                    a parent is made of its children, and depends on them
#[cfg(test)] mod x;       tests depend on what they test, which does not depend on its tests
use crate::a::{b, c::D}   on the file of the innermost module: b where there is an a/b.rs, else a
pub(in crate::a)          on nothing: it says who may look

A parent that hands on what its children define stands for all of it: a child names its sibling, not its parent.
What a macro makes of its arguments is not seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

Module: TypeAlias = tuple[str, ...]
Graph: TypeAlias = dict[Module, set[Module]]

_TOKEN: Final = re.compile(
    r"""
    (?P<blank>\s+ | //[^\n]*)
  | (?P<comment>/\*)
  | (?P<text>(?:b|c)?"(?:[^"\\]|\\.)*")
  | (?P<raw>(?:b|c)?r(?P<hashes>\#*)".*?"(?P=hashes))
  | (?P<character>b?'(?:[^'\\]|\\.[^']*)')
  | (?P<name>(?:r\#)?[A-Za-z_]\w*)
  | (?P<separator>::)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE: Final = re.compile(r"/\*|\*/")


def module_graph(source: Path) -> Graph:
    """Of a crate whose root is `source`/lib.rs."""
    files = {_module(path.relative_to(source)): path for path in sorted(source.rglob("*.rs"))}
    return {module: _Reader(module, set(files)).read(path.read_text()) for module, path in files.items()}


def circles(graph: Graph) -> list[list[Module]]:
    """The circles that a walk in the order of the names meets; none: the graph has no circle."""
    found: list[list[Module]] = []
    finished: set[Module] = set()

    def walk(module: Module, trail: list[Module]) -> None:
        if module in trail:
            found.append([*trail[trail.index(module) :], module])
        elif module not in finished:
            for target in sorted(graph[module]):
                walk(target, [*trail, module])
            finished.add(module)

    for module in sorted(graph):
        walk(module, [])
    return found


def shown(module: Module) -> str:
    return "::".join(("crate", *module))


def _module(path: Path) -> Module:
    parts = path.with_suffix("").parts
    return parts[:-1] if parts[-1] == "mod" or parts == ("lib",) else parts


def tokens(text: str) -> list[str]:
    """Names, `::` and single characters; without comments and literals."""
    found, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match is not None, "any character matches"
        if match.lastgroup == "comment":
            at = _end_of_comment(text, at)
            continue
        if match.lastgroup in {"name", "separator", "other"}:
            found.append(match[0].removeprefix("r#"))
        at = match.end()
    return found


def _end_of_comment(text: str, start: int) -> int:
    """Block comments nest."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(text, start):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(text)


class _Reader:
    """One file; `_inside` is the module that the next token stands in, inline ones included."""

    def __init__(self, module: Module, files: set[Module]) -> None:
        self._file = module
        self._files = files
        self._inside = module
        self._targets: set[Module] = set()

    def read(self, text: str) -> set[Module]:
        found = tokens(text)
        leaving: list[Module | None] = []  # for each open brace the module that its end leads back to
        at = 0
        while at < len(found):
            token = found[at]
            if token == "mod" and found[at + 2 : at + 3] == ["{"]:
                leaving.append(self._inside)
                self._inside = (*self._inside, found[at + 1])
                at += 3
                continue
            if token == "mod" and found[at + 2 : at + 3] == [";"]:
                self._declared(found[at + 1], is_test=_is_of_tests(found, at))
                at += 3
                continue
            if token == "use" and found[at + 1] not in {"<", "::"}:  # a bound of a type, or another crate
                end = found.index(";", at)
                for path in _use_tree(found[at + 1 : end]):
                    self._named(path)
                at = end
            elif token in {"crate", "self", "super"} and found[at + 1 : at + 2] == ["::"]:
                path, end = _path(found, at)
                if found[at - 1] != "in":
                    self._named(path)
                at = end
                continue
            elif token == "{":
                leaving.append(None)
            elif token == "}" and leaving and (outer := leaving.pop()) is not None:
                self._inside = outer
            at += 1
        return self._targets - {self._file}

    def _declared(self, name: str, *, is_test: bool) -> None:
        child = (*self._inside, name)
        if child not in self._files:
            raise ValueError(f"{shown(self._file)} declares {shown(child)}, which has no file")
        if not is_test:
            self._targets.add(child)

    def _named(self, path: list[str]) -> None:
        if (whole := self._absolute(path)) is None:
            return
        for length in range(len(whole), -1, -1):
            if whole[:length] in self._files:
                self._targets.add(whole[:length])
                return

    def _absolute(self, path: list[str]) -> Module | None:
        """From the root of the crate; none: of another crate, or of a name that a `use` has brought here."""
        if path[0] == "crate":
            return tuple(path[1:])
        outer, rest = self._inside, list(path)
        while rest and rest[0] in {"self", "super"}:
            outer = outer[:-1] if rest.pop(0) == "super" else outer
        whole = (*outer, *rest)
        is_child = whole[: len(outer) + 1] in self._files
        return whole if is_child or len(rest) < len(path) else None


def _is_of_tests(found: list[str], at: int) -> bool:
    """Whether `#[cfg(test)]` stands before the item, `pub` and other attributes between them."""
    start = at
    while start and found[start - 1] not in {";", "}", "{"}:
        start -= 1
    return "#[cfg(test)]" in "".join(found[start:at])


def _path(found: list[str], at: int) -> tuple[list[str], int]:
    path = [found[at]]
    at += 1
    while found[at : at + 1] == ["::"] and re.fullmatch(r"\w+", found[at + 1]):
        path.append(found[at + 1])
        at += 2
    return path, at


def _use_tree(tree: list[str]) -> Iterator[list[str]]:
    """The paths of a `use`, without `as` and with a `self` at the end as what it stands for."""
    path: list[str] = []
    for at, token in enumerate(tree):
        if token == "{":
            for branch in _branches(tree[at + 1 : -1]):
                for rest in _use_tree(branch):
                    yield path + rest if rest != ["self"] or not path else path
            return
        if token in {"as", "*"}:
            break
        if token != "::":
            path.append(token)
    if path:
        yield path


def _branches(tree: list[str]) -> Iterator[list[str]]:
    branch: list[str] = []
    depth = 0
    for token in tree:
        depth += {"{": 1, "}": -1}.get(token, 0)
        if token == "," and depth == 0:
            yield branch
            branch = []
        else:
            branch.append(token)
    if branch:
        yield branch
