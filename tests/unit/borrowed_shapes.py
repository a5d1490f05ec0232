"""What a dotted name of a library is, in a line: a signature, the assignment that makes an attribute, a type.

`python -m tests.unit.borrowed_shapes` reads names as JSON and writes their shapes, or why there is none: in a process
where nothing of ours has replaced anything yet.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import sys
import textwrap
from enum import Enum
from functools import cache
from types import ModuleType
from typing import Any


def shape_of(name: str) -> str:
    """Raises LookupError when there is no such name."""
    called, _, keyword = name.partition("(")
    if keyword:
        return _accepted(resolved(called), keyword.rstrip(")"))
    parent, _, attribute = name.rpartition(".")
    owner = resolved(parent) if parent else None
    if inspect.isclass(owner) and _is_given_to_instances(owner, attribute):
        return _assignment(owner, attribute)
    return _shape(resolved(name))


@cache
def has_attribute(owner: str, name: str) -> bool:
    """Whether a class has it, or gives it to its instances."""
    try:
        shape_of(f"{owner}.{name}")
    except LookupError:
        return False
    return True


def resolved(name: str) -> Any:
    """The module, class or function with this dotted name; raises LookupError."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for part in parts[length:]:
            try:
                found = getattr(found, part)
            except AttributeError:
                raise LookupError(f"{name} is not there: {found!r} has no {part}") from None
        return found
    raise LookupError(f"{name} is not there: no module {parts[0]}")


def _is_given_to_instances(owner: type, attribute: str) -> bool:
    return not hasattr(owner, attribute) or inspect.ismemberdescriptor(getattr(owner, attribute))


def _shape(found: Any) -> str:
    if isinstance(found, ModuleType):
        return "module"
    if inspect.isclass(found) and issubclass(found, Enum):
        return f"enum {' '.join(found.__members__)}"
    if inspect.isclass(found):
        return f"class {_parameters(found)}"
    if isinstance(found, property):
        return "property"
    if inspect.isroutine(found):
        return f"{'async ' if inspect.iscoroutinefunction(found) else ''}{_parameters(found)}"
    return type(found).__name__


def _parameters(found: Any) -> str:
    """Names, kinds and defaults; annotations may be spelt anew."""
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):  # compiled, and says nothing about itself
        return "(…)"
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))


def _accepted(found: Any, keyword: str) -> str:
    """How a keyword argument reaches a function, be it taken out of its `**kwargs`."""
    named = inspect.signature(found).parameters.get(keyword)
    if named is not None:
        return str(named.replace(annotation=inspect.Parameter.empty))
    for node in ast.walk(_tree_of(inspect.unwrap(found))):
        if isinstance(node, ast.Call) and [ast.unparse(each) for each in node.args[:1]] == [repr(keyword)]:
            return ast.unparse(node)
    raise LookupError(f"{found!r} takes no {keyword}")


def _assignment(owner: type, attribute: str) -> str:
    """The first assignment to `self.<attribute>` in the class or those it is made of: its type, or what makes it."""
    for kind in inspect.getmro(owner):
        for node in ast.walk(_tree_of(kind)):
            match node:
                case ast.AnnAssign(target=target, annotation=annotation) if _is_own(target, attribute):
                    return f"self.{attribute}: {ast.unparse(annotation)}"
                case ast.Assign(targets=[target], value=value) if _is_own(target, attribute):
                    return f"self.{attribute} = {_made(value)}"
    raise LookupError(f"{owner.__module__}.{owner.__qualname__} has no {attribute}")


def _is_own(target: ast.expr, attribute: str) -> bool:
    return ast.unparse(target) == f"self.{attribute}"


def _made(value: ast.expr) -> str:
    return f"{ast.unparse(value.func)}(…)" if isinstance(value, ast.Call) else ast.unparse(value)


@cache
def _tree_of(found: Any) -> ast.Module:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(found)))
    except (OSError, TypeError):  # compiled
        return ast.Module([], [])


def main() -> None:
    found: dict[str, list[str]] = {}
    for name in json.load(sys.stdin):
        try:
            found[name] = ["shape", shape_of(name)]
        except LookupError as error:
            found[name] = ["missing", str(error)]
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
