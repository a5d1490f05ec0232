"""Imports point one way: between rooms as tests/house/rooms.py has it, and nowhere in a circle."""

from __future__ import annotations

import re

import pytest

from tests.house import rules
from tests.house.here import ROOT, rooms, shipped
from tests.house.rooms import DOORS, LEAVES, PACKAGES, ROOMS
from tests.house.tree import Module, circles


def test_no_module_leads_back_to_itself() -> None:
    assert circles(shipped().graph()) == []


def test_no_two_rooms_know_each_other() -> None:
    assert rooms().circles() == []


def test_every_import_is_allowed_by_the_table() -> None:
    assert rooms().wrong_ways() == []


def test_every_module_is_in_a_room_of_the_table_and_every_room_is_there() -> None:
    assert rooms().without_a_room() == []
    assert rooms().without_modules() == []


def test_the_table_allows_no_more_than_is_done() -> None:
    assert rooms().never_used() == []


def test_the_table_reads_downhill() -> None:
    assert rooms().uphill() == []


def test_a_leaf_is_for_more_than_one_room() -> None:
    assert rooms().leaves_of_one_room() == []


def test_imports_inside_of_functions_say_why() -> None:
    assert rules.late_without_reason(shipped()) == []


def test_modules_that_are_started_by_name_exist() -> None:
    assert rules.names_of_nothing(shipped(), PACKAGES) == []


@pytest.mark.parametrize("room", [name for name in ROOMS if name not in DOORS])
def test_a_folder_says_what_it_is_for_and_what_it_may_import(room: str) -> None:
    module = shipped().modules[room]
    if not module.is_folder:
        assert module.docstring
        return
    about, _, allowed = module.docstring.rpartition("May import: ")
    assert about.strip(), f"{module.path} says nothing about itself"
    assert " ".join(allowed.split()) == f"{rules.spoken(ROOMS[room], room)}.", (
        f"{module.path} against tests/house/rooms.py"
    )


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_leaf_says_what_it_is_for(leaf: str) -> None:
    assert shipped().modules[leaf].docstring


def test_web_reaches_actors_only_through_the_cluster() -> None:
    """Of the historian it knows how to connect and the role that it takes, and nothing that runs."""
    found = {
        each.target
        for module in shipped().modules.values()
        if module.name.startswith("web.")
        for each in shipped().within(module)
        if each.target.startswith(("engine.bus", "engine.facility", "engine.historian"))
    }
    assert found == {"engine.historian.connecting", "engine.historian.web_role"}


def test_what_is_shipped_needs_no_checkout() -> None:
    """A wheel has the packages and nothing else: none of them imports, or starts by its name, what lies beside them."""
    beside = {path.name for path in ROOT.iterdir() if any(path.glob("*.py"))} - set(PACKAGES) | {"tests"}
    assert {"bench", "scripts"} <= beside
    by_name = re.compile(rf"[\"']({'|'.join(sorted(beside))})(\.(?!json\b)\w+)+[\"']")

    def needs(module: Module) -> bool:
        imported = {each.target.partition(".")[0] for each in module.imports}
        return bool(by_name.search(module.text) or imported & beside)

    assert [module.path for module in shipped().modules.values() if needs(module)] == []
