"""Finds where a file reaches into a library: not by running it, but by reading it.

A value counts as a library's when it comes from something imported, or is annotated with a library's type or `Any`;
what is reached through a private name of it is its inside. Where it cannot be told whose a value is, a private name
counts that nothing of ours has. Whoever hides a value from this can deceive it; nobody does so by accident.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cache
from importlib.machinery import PathFinder

from tests.unit.borrowed_shapes import has_attribute

OURS = frozenset({"engine", "native", "web", "migrations", "tests", "bench", "scripts"})
DOCUMENTED = frozenset({"_replace", "_fields", "_asdict", "_make", "_exit"})  # of namedtuples and of os
SETTERS = frozenset({"setattr", "delattr"})
LOOKERS = frozenset({"getattr", "hasattr"})


class Origin(IntEnum):
    """Whose a value is, as far as can be read."""

    UNKNOWN = 0
    LIBRARY = 1
    INSIDE = 2


@dataclass(frozen=True, slots=True, order=True)
class Use:
    """`name`: dotted as far as it can be told, at least the attribute."""

    name: str
    line: int


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What is no offence.

    modules         that libraries document
    bases           classes that are meant to be subclassed
    own             private names that something of ours has
    """

    modules: frozenset[str]
    bases: frozenset[str]
    own: frozenset[str]


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name not in DOCUMENTED


def own_names(source: str) -> set[str]:
    """Private names that the file gives to something of its own."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.Attribute(value=value, attr=name, ctx=ast.Store()) if _is_self(value):
                found.add(name)
    return set(filter(is_private, found))


def uses(source: str, known: Knowledge) -> list[Use]:
    """Everything in the file that a library does not promise."""
    reader = _Reader(known)
    tree = ast.parse(source)
    for _ in range(2):  # an attribute may be read above the line that gives it
        reader.found.clear()
        reader.visit(tree)
    return sorted(reader.found)


@dataclass
class _Class:
    """One of ours. `bases`: the libraries' classes it is made of and was not meant to be."""

    bases: list[str]
    attributes: dict[str, Origin] = field(default_factory=dict)

    def inherits(self, name: str) -> str | None:
        """The base that has it."""
        return next((base for base in self.bases if has_attribute(base, name)), None)


class _Reader(ast.NodeVisitor):
    def __init__(self, known: Knowledge) -> None:
        self.found: set[Use] = set()
        self._known = known
        self._imported: dict[str, str] = {}
        self._scopes: list[dict[str, Origin]] = [{}]
        self._classes: list[_Class] = []
        self._classes_by_name: dict[str, _Class] = {}

    # --- imports ------------------------------------------------------------------------------------------------------

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if _is_library(alias.name):
                self._import_module(alias.name, node)
                bound = alias.asname or alias.name.partition(".")[0]
                self._imported[bound] = alias.name if alias.asname else bound

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if not _is_library(module):
            return
        for alias in node.names:
            name = f"{module}.{alias.name}"
            self._imported[alias.asname or alias.name] = name
            if _is_module(name):
                self._import_module(name, node)
            elif is_private(alias.name) or not self._is_public(module):
                self._tell(name, node)

    def _import_module(self, name: str, node: ast.AST) -> None:
        if not self._is_public(name):
            self._tell(name, node)

    def _is_public(self, module: str) -> bool:
        """The top of a library always is."""
        return "." not in module or module in self._known.modules

    # --- classes of ours ----------------------------------------------------------------------------------------------

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        bases = [dotted for base in node.bases if (dotted := self._dotted(base)) is not None]
        borrowed = [base for base in bases if base not in self._known.bases]
        for base in borrowed:
            self._tell(base, node)
        ours = self._classes_by_name.setdefault(node.name, _Class(borrowed))
        self._classes.append(ours)
        for each in node.body:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                self._tell_inherited(each.name, each)
            elif isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
                ours.attributes[each.target.id] = self._annotated(each.annotation)
        self.generic_visit(node)
        self._classes.pop()

    def _tell_inherited(self, name: str, node: ast.AST) -> None:
        """A name of ours that a library's class has too: taken from it, or put in its place."""
        if self._classes and not name.startswith("__") and (base := self._classes[-1].inherits(name)) is not None:
            self._tell(f"{base}.{name}", node)

    # --- what a name holds --------------------------------------------------------------------------------------------

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        self._scopes.append({each.arg: self._annotated(each.annotation) for each in arguments})
        self.generic_visit(node)
        self._scopes.pop()

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._bind(target, node.value)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._bind(node.target, node.value, self._annotated(node.annotation))
        self.generic_visit(node)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self._bind(node.target, node.value)
        self.generic_visit(node)

    def visit_withitem(self, node: ast.withitem) -> None:
        if node.optional_vars is not None:
            self._bind(node.optional_vars, node.context_expr)
        self.generic_visit(node)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self._bind(node.target, node.iter)
        self.generic_visit(node)

    visit_AsyncFor = visit_For  # noqa: N815

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        for generator in node.generators:
            self._bind(generator.target, generator.iter)
        self.generic_visit(node)

    visit_SetComp = visit_GeneratorExp = visit_DictComp = visit_ListComp  # noqa: N815

    def _bind(self, target: ast.expr, value: ast.expr | None, annotated: Origin = Origin.UNKNOWN) -> None:
        match target, value:
            case ast.Tuple(elts=targets), ast.Tuple(elts=values) if len(targets) == len(values):
                for one, other in zip(targets, values, strict=True):
                    self._bind(one, other)
            case ast.Tuple(elts=targets) | ast.List(elts=targets), _:
                for one in targets:
                    self._bind(one, value)
            case ast.Name(id=name), _:
                self._scopes[-1][name] = max(annotated, self._origin(value))
            case ast.Attribute(value=owner, attr=attribute), _:
                if _is_self(owner) and self._classes:
                    held = self._classes[-1].attributes
                    held[attribute] = max(annotated, self._origin(value), held.get(attribute, Origin.UNKNOWN))
                if (dotted := self._dotted(owner)) is not None:
                    self._tell(f"{dotted}.{attribute}", target)

    def _annotated(self, annotation: ast.expr | None) -> Origin:
        match annotation:
            case ast.Name(id="Any"):
                return Origin.LIBRARY
            case ast.Name() | ast.Attribute():
                return self._origin(annotation)
            case ast.BinOp(left=left, right=right):
                return max(self._annotated(left), self._annotated(right))
        return Origin.UNKNOWN

    def _origin(self, node: ast.expr | None) -> Origin:
        if node is None:
            return Origin.UNKNOWN
        if (dotted := self._dotted(node)) is not None:
            return Origin.INSIDE if any(map(is_private, dotted.split("."))) else Origin.LIBRARY
        match node:
            case ast.Name(id=name):
                return next((scope[name] for scope in reversed(self._scopes) if name in scope), Origin.UNKNOWN)
            case ast.Attribute(value=value, attr=name):
                return self._origin_of_attribute(value, name)
            case ast.Call(func=called):
                origin = self._origin(called)  # what an inside answers is a plain value, unless a class is called
                return Origin.UNKNOWN if origin is Origin.INSIDE and self._dotted(called) is None else origin
            case ast.Await(value=value) | ast.Subscript(value=value) | ast.NamedExpr(value=value):
                return self._origin(value)
            case ast.IfExp(body=body, orelse=orelse):
                return max(self._origin(body), self._origin(orelse))
            case ast.BoolOp(values=values):
                return max(map(self._origin, values))
        return Origin.UNKNOWN

    def _origin_of_attribute(self, value: ast.expr, name: str) -> Origin:
        if _is_self(value) and self._classes:
            inherited = self._classes[-1].inherits(name) is not None
            origin = Origin.LIBRARY if inherited else self._classes[-1].attributes.get(name, Origin.UNKNOWN)
            return Origin.INSIDE if inherited and is_private(name) else origin
        origin = self._origin(value)
        return Origin.INSIDE if origin is Origin.LIBRARY and is_private(name) else origin

    # --- what is done with it -----------------------------------------------------------------------------------------

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.generic_visit(node)
        if _is_self(node.value) or _is_super(node.value):
            self._tell_inherited(node.attr, node)
            return
        origin = self._origin(node.value)
        is_strange = origin is Origin.UNKNOWN and node.attr not in self._known.own
        if origin is Origin.INSIDE or (is_private(node.attr) and (origin is Origin.LIBRARY or is_strange)):
            self._tell(self._dotted(node) or node.attr, node)

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in SETTERS | LOOKERS:
            self._tell_named(node, is_set=called in SETTERS)
        if (dotted := self._dotted(node.func)) is not None:
            for keyword in node.keywords:
                if keyword.arg is not None and is_private(keyword.arg):
                    self._tell(f"{dotted}({keyword.arg})", node)

    def _tell_named(self, node: ast.Call, *, is_set: bool) -> None:
        """`setattr(x, "name", …)`, the same of pytest's monkeypatch, and its `setattr("x.name", …)`."""
        match node.args:
            case [ast.Constant(value=str(path)), *_]:
                if is_set and _is_library(path):
                    self._tell(path, node)
            case [subject, ast.Constant(value=str(name)), *_]:
                dotted = self._dotted(subject)
                if dotted is not None and (is_set or is_private(name)):
                    self._tell(f"{dotted}.{name}", node)
                elif is_private(name) and self._origin(subject) is not Origin.UNKNOWN:
                    self._tell(name, node)

    def _dotted(self, node: ast.expr) -> str | None:
        """The full name of something imported from a library."""
        if isinstance(node, ast.Name):
            return self._imported.get(node.id)
        if isinstance(node, ast.Attribute) and (base := self._dotted(node.value)) is not None:
            return f"{base}.{node.attr}"
        return None

    def _tell(self, name: str, node: ast.AST) -> None:
        self.found.add(Use(name, getattr(node, "lineno", 0)))


def _is_library(module: str) -> bool:
    root = module.partition(".")[0]
    return root not in OURS and root not in sys.stdlib_module_names


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in {"self", "cls"}


def _is_super(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"


@cache
def _is_module(name: str) -> bool:
    """Found by its file: importing every library to look would take long."""
    parts, path = name.split("."), None
    for length in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:length]), path)
        if spec is None:
            return False
        path = spec.submodule_search_locations
        if path is None:
            return length == len(parts)
    return True
