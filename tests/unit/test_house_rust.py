"""Rules of the Rust core that a reader should not have to check: its files form no circle."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.rust_modules import Graph, circles, module_graph, shown

SOURCE = Path(__file__).parents[2] / "native/src"

# Each is a crate of a few files; a name that ends in .rs begins one.
OFFENCES = {
    "two siblings": """
        lib.rs mod a; mod b;
        a.rs   use crate::b::B; pub struct A;
        b.rs   use crate::a::A; pub struct B;
    """,
    "a use inside a function": """
        lib.rs mod a; mod b;
        a.rs   use crate::b; pub fn one() -> u8 { b::two() }
        b.rs   pub fn two() -> u8 { use crate::a::one; one() }
    """,
    "an inline path": """
        lib.rs mod a; mod b;
        a.rs   pub struct A(pub crate::b::B);
        b.rs   pub fn b() { let _: Vec<crate::a::A> = Vec::new(); }
    """,
    "over super": """
        lib.rs mod a; mod b;
        a.rs   use super::b::B; pub struct A;
        b.rs   pub struct B(Option<Box<super::a::A>>);
    """,
    "over super out of an inline module": """
        lib.rs mod a; mod b;
        a.rs   mod inner { use super::super::b::B; } pub struct A;
        b.rs   use crate::a::A; pub struct B;
    """,
    "what a parent defines": """
        lib.rs   mod a;
        a/mod.rs mod b; pub struct A;
        a/b.rs   use super::A; pub struct B;
    """,
    "what a parent hands on": """
        lib.rs   mod a;
        a.rs     mod b; mod c; pub use b::B; pub use self::c::C;
        a/b.rs   pub struct B;
        a/c.rs   use crate::a::B; pub struct C;
    """,
    "what the root defines": """
        lib.rs mod a; pub struct Root;
        a.rs   use crate::Root;
    """,
    "all of a parent": """
        lib.rs   mod a;
        a/mod.rs pub mod b;
        a/b.rs   pub(crate) use super::*;
    """,
    "nested braces over three files": """
        lib.rs   mod a; mod b; mod c;
        a/mod.rs pub mod deep; pub struct A;
        a/deep.rs use crate::{c::C, b::{self as other, B}};
        b.rs     use crate::{c::{self}}; pub struct B;
        c.rs     pub use crate::a::{self, deep::{Deep as D, *}}; pub struct C;
    """,
    "a test inside its file": """
        lib.rs mod a; mod b;
        a.rs   use crate::b::B; pub struct A;
        b.rs   pub struct B; #[cfg(test)] mod tests { use super::*; use crate::a::A; }
    """,
    "a macro": """
        lib.rs mod a; mod b;
        a.rs   macro_rules! b { () => { $crate::b::B } } pub struct A;
        b.rs   use crate::a::A; pub struct B;
    """,
}

GOOD = {
    "a parent and its children": """
        lib.rs   mod a; use a::A;
        a/mod.rs mod b; mod c; pub use b::B; use c::C; pub struct A(B, C);
        a/b.rs   use super::c::C; pub struct B(C);
        a/c.rs   pub struct C;
    """,
    "tests in a file of their own": """
        lib.rs   mod a;
        a.rs     pub struct A; #[cfg(test)] mod tests;
        a/tests.rs use super::*; use crate::a::A;
    """,
    "what only looks like a path": """
        lib.rs mod a; mod b;
        a.rs   use crate::b::B; pub struct A;
        b.rs   pub struct B<'b>(&'b str); // use crate::a::A;
               /* crate::a /* crate::a::A */ use crate::a::A; */
               pub(in crate::b) fn text() -> [&'static str; 2] { ["use crate::a::A; \\"", r#""crate::a::A"#] }
               pub fn quote() -> char { '"' } pub fn a() -> impl Sized + use<> {} use ::a::A as Other;
    """,
    "names of other crates": """
        lib.rs mod a; mod serde;
        a.rs   use serde::a; use std::collections::HashMap;
        serde.rs use crate::a::A;
    """,
}


@pytest.fixture(scope="module")
def graph() -> Graph:
    return module_graph(SOURCE)


def test_no_files_of_the_core_form_a_circle(graph: Graph) -> None:
    assert [" -> ".join(map(shown, circle)) for circle in circles(graph)] == []


def test_the_graph_of_the_core_is_seen(graph: Graph) -> None:
    """What stands in the files of today; an empty graph has no circle either."""
    assert ("decode", "json") in graph["decode",]
    assert ("batch",) in graph["decode",], "a use"
    assert ("wire",) in graph["facility_score", "tick_clock"], "a path in a function"
    assert ("detection",) in graph["facility_score", "tick_clock"], "a use of its tests"
    assert ("detector", "signal") in graph["detector", "unrest"], "over super"
    assert len(graph) == len(list(SOURCE.rglob("*.rs")))


@pytest.mark.parametrize("name", OFFENCES)
def test_a_circle_is_found(name: str, tmp_path: Path) -> None:
    assert circles(planted(OFFENCES[name], tmp_path)) != []


@pytest.mark.parametrize("name", GOOD)
def test_what_is_no_circle_is_not(name: str, tmp_path: Path) -> None:
    assert circles(planted(GOOD[name], tmp_path)) == []


def test_a_circle_is_told_from_file_to_file(tmp_path: Path) -> None:
    graph = planted(OFFENCES["nested braces over three files"], tmp_path)
    assert graph["a", "deep"] == {("b",), ("c",)}
    assert graph["b",] == {("c",)}
    assert graph["c",] == {("a",), ("a", "deep")}
    assert [[shown(module) for module in circle] for circle in circles(graph)] == [
        ["crate::a", "crate::a::deep", "crate::b", "crate::c", "crate::a"],
        ["crate::a::deep", "crate::b", "crate::c", "crate::a::deep"],
    ]


def test_a_file_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="crate declares crate::a, which has no file"):
        planted("lib.rs mod a;", tmp_path)


def planted(crate: str, folder: Path) -> Graph:
    for line in re.split(r"\n +(?=[\w/]+\.rs )", "\n " + crate.strip())[1:]:
        name, text = line.split(maxsplit=1)
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return module_graph(folder)
