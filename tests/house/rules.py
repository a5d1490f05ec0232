"""What is against the house rules in a tree of modules, one line an offence. The tables are in rooms and libraries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

from tests.house.tree import Module, Tree, circles

Table = Mapping[str, str]
ANY_LEAF = "leaves"


class Rooms:
    """A tree with the table that its imports are held to: `rooms` and `leaves` say for each what it may import.

    `doors` are the packages whose files are rooms or leaves by themselves, from the top down. Leaves at the last door
    are for everybody, those at another for the rooms behind it.
    """

    def __init__(self, tree: Tree, rooms: Table, leaves: Table, doors: tuple[str, ...]) -> None:
        self._tree = tree
        self._leaves = leaves
        self._doors = doors
        self._may = {name: _words(text) for name, text in {**rooms, **leaves}.items()}
        self._order = list(self._may)
        self._imports: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for module in tree.modules.values():
            for each in tree.within(module):
                here, there = self.of(module), self.of(tree.modules[each.target])
                if here != there:
                    self._imports[here][there].append(f"{module.path}:{each.line} imports {each.target}")

    def of(self, module: Module) -> str:
        """The room that a module is in; its own name when it is in none."""
        is_at_a_door = module.folder in self._doors and module.name not in self._doors
        return module.name if module.name in self._may or is_at_a_door else module.folder

    def without_a_room(self) -> list[str]:
        """Modules that the table does not know."""
        return [module.path for module in self._tree.modules.values() if self.of(module) not in self._may]

    def without_modules(self) -> list[str]:
        """Rooms of the table, and rooms that others may import, that are not there."""
        there = {self.of(module) for module in self._tree.modules.values()}
        named = set(self._may).union(*self._may.values()) - {ANY_LEAF}
        return sorted(named - there)

    def wrong_ways(self) -> list[str]:
        """Imports that the table does not allow."""
        return [
            line
            for here, targets in self._imports.items()
            for there, lines in targets.items()
            if not self._allows(here, there)
            for line in lines
        ]

    def never_used(self) -> list[str]:
        """What the table allows and nobody does: a rule that says more than the code."""
        found = []
        for here, allowed in self._may.items():
            used = self._imports[here].keys()
            idle = {each for each in allowed - {ANY_LEAF} if each not in used}
            if ANY_LEAF in allowed and not used & self._leaves.keys():
                idle.add(ANY_LEAF)
            found += [f"{here} does not import {each}" for each in sorted(idle)]
        return found

    def uphill(self) -> list[str]:
        """What the table allows and stands above. Rooms that import nothing are the ground that leaves stand on."""
        place = {name: number for number, name in enumerate(self._order)}
        ground = {name for name in self._order if name not in self._leaves and not self._may[name]}
        return [
            f"{here} may import {there}, which stands above it"
            for here, allowed in self._may.items()
            for there in sorted(allowed - {ANY_LEAF})
            if place[there] < place[here] and not (here in self._leaves and there in ground)
        ]

    def circles(self) -> list[str]:
        """Rooms that know each other, whatever the table says."""
        return circles({here: set(targets) for here, targets in self._imports.items()})

    def leaves_of_one_room(self) -> list[str]:
        """Leaves that fewer than two rooms import."""
        users: dict[str, set[str]] = defaultdict(set)
        for here, targets in self._imports.items():
            for there in targets:
                users[there].add(here)
        return [leaf for leaf in self._leaves if len(users[leaf]) < 2]

    def _allows(self, here: str, there: str) -> bool:
        allowed = self._may.get(here, set())
        if there in allowed:
            return True
        is_for_us = there.partition(".")[0] in {here.partition(".")[0], self._doors[-1]}
        return ANY_LEAF in allowed and there in self._leaves and is_for_us


def late_without_reason(tree: Tree) -> list[str]:
    """Imports inside of functions that do not say why."""
    return [
        f"{module.path}:{each.line} imports {each.target} inside of a function"
        for module in tree.modules.values()
        for each in module.late_without_reason()
    ]


def names_of_nothing(tree: Tree, packages: Collection[str]) -> list[str]:
    """Processes are started by the name of a module, which must be there."""
    return [
        f"{module.path} names {name}, which is not there"
        for module in tree.modules.values()
        for name in module.names_in_texts(packages)
        if name not in tree.modules
    ]


def strays(tree: Tree, only_in: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Libraries outside of the rooms and files that are theirs."""
    return [
        f"{module.path}:{line} imports {library}"
        for module, line, library in _uses(tree)
        if library in only_in and not {module.name, module.folder} & set(only_in[library])
    ]


def libraries_not_used(tree: Tree, only_in: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Rooms and files that a library is allowed in, and that are not there or do without it."""
    used: dict[str, set[str]] = defaultdict(set)
    for module, _, library in _uses(tree):
        used[library] |= {module.name, module.folder}
    return [
        f"{place} does not import {library}"
        for library, places in only_in.items()
        for place in places
        if place not in used[library]
    ]


def _uses(tree: Tree) -> Iterator[tuple[Module, int, str]]:
    for module in tree.modules.values():
        for each in module.imports:
            yield module, each.line, each.target.partition(".")[0]


def spoken(allowed: str, room: str) -> str:
    """A row of the table as the docstring of its folder says it: rooms of its own package by their short names."""
    return ", ".join(each.removeprefix(f"{room.partition('.')[0]}.") for each in allowed.split())


def _words(text: str) -> set[str]:
    return set(text.split()) - {"nothing"}
