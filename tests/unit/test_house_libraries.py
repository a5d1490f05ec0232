"""Libraries stay in the rooms that tests/house/libraries.py gives them."""

from __future__ import annotations

import re
import sys

from tests.house import rules
from tests.house.here import ROOT, shipped
from tests.house.libraries import ONLY_IN
from tests.house.rooms import PACKAGES
from tests.house.tree import Module


def libraries_of(module: Module) -> set[str]:
    return {each.target.partition(".")[0] for each in module.imports}


def test_libraries_stay_in_their_rooms() -> None:
    assert rules.strays(shipped(), ONLY_IN) == []


def test_no_library_has_a_room_that_it_does_not_need() -> None:
    assert rules.libraries_not_used(shipped(), ONLY_IN) == []


def test_the_client_can_be_lifted_out() -> None:
    """Another project may copy the folder: it needs three libraries, polars for frames, and nothing else of ours."""
    allowed = {*sys.stdlib_module_names, "httpx", "pydantic", "websockets"}
    strays = [
        f"{module.path}:{each.line} imports {each.target}"
        for module in shipped().modules.values()
        if module.folder == "engine.client"
        for each in module.imports
        if each.target.partition(".")[0] not in allowed | ({"polars"} if module.name.endswith(".frames") else set())
        and not f"{each.target}.".startswith("engine.client.")
    ]
    assert strays == []


def test_the_facility_does_no_input_or_output() -> None:
    known = {"asyncio", "collections", "concurrent", "contextlib", "dataclasses", "enum", "functools", "json", "typing"}
    facility = shipped().modules["engine.facility.facility"]
    assert libraries_of(facility) <= known | {"__future__", "structlog", *PACKAGES}
    of_the_historian = {each.target for each in facility.imports if each.target.startswith("engine.historian")}
    assert of_the_historian == {"engine.historian.port"}


def test_pyo3_lives_in_the_python_face() -> None:
    users = [
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "native/src").rglob("*.rs"))
        if re.search(r"^\s*(pub )?use (pyo3|numpy)\b|\bpyo3::", path.read_text(), re.MULTILINE)
    ]
    assert "native/src/python.rs" in users
    assert [path for path in users if not path.startswith(("native/src/python.rs", "native/src/python/"))] == []
