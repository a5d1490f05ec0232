"""The house rules find what they are for: each is shown small trees with one offence planted, and without it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from tests.house import rules
from tests.house.names import Files
from tests.house.rules import Rooms
from tests.house.tree import Tree, circles

Plant = Callable[[dict[str, str]], Tree]

LATE = "def f() -> None:\n    import {}  # noqa: PLC0415 - planted\n"
TYPED = "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    import {}\n"
AT_THE_TOP = "import {}\n"
WAYS = pytest.mark.parametrize("way", [AT_THE_TOP, TYPED, LATE], ids=["top", "type-checking", "late"])


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """A tree of the packages `house` and `yard`, from texts by path; folders get an empty `__init__`."""

    def planted(files: dict[str, str]) -> Tree:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text))
            for folder in path.relative_to(tmp_path).parents[:-1]:
                (tmp_path / folder / "__init__.py").touch()
        return Tree(tmp_path, ("house", "yard"))

    return planted


# circles


@WAYS
def test_a_circle_of_two(plant: Plant, way: str) -> None:
    tree = plant({"house/a.py": "import house.b\n", "house/b.py": way.format("house.a")})
    assert circles(tree.graph()) == ["house.a -> house.b -> house.a"]


def test_a_module_that_imports_itself(plant: Plant) -> None:
    tree = plant({"house/a.py": "from house.a import b\n"})
    assert circles(tree.graph()) == ["house.a -> house.a"]


def test_a_long_circle_across_folders(plant: Plant) -> None:
    tree = plant(
        {
            "house/up/a.py": "from house.low.b import b\n",
            "house/low/b.py": "from house.low import c\n",
            "house/low/c.py": TYPED.format("house.up.a"),
        }
    )
    assert circles(tree.graph()) == ["house.low.b -> house.low.c -> house.up.a -> house.low.b"]


def test_each_circle_is_told(plant: Plant) -> None:
    tree = plant(
        {
            "house/a.py": "import house.b\n",
            "house/b.py": "import house.a\nimport house.c\n",
            "house/c.py": LATE.format("house.d"),
            "house/d.py": "import house.c\n",
        }
    )
    assert circles(tree.graph()) == ["house.a -> house.b -> house.a", "house.c -> house.d -> house.c"]


def test_a_folder_that_its_own_file_imports(plant: Plant) -> None:
    tree = plant({"house/low/__init__.py": "import house.low.a\n", "house/low/a.py": "from house.low import z\n"})
    assert circles(tree.graph()) == ["house.low -> house.low.a -> house.low"]


def test_two_ways_down_and_a_folder_that_offers_its_files_are_no_circle(plant: Plant) -> None:
    tree = plant(
        {
            "house/a.py": "import house.b\nfrom house import low\n",
            "house/b.py": "from house.low.c import c\n",
            "house/low/__init__.py": "from house.low.c import c\nfrom house.low.d import d\n",
            "house/low/c.py": "from house.low import d\n",
            "house/low/d.py": "import json\n",
        }
    )
    assert circles(tree.graph()) == []
    assert tree.graph()["house.a"] == {"house.b", "house.low"}


# what hides an import


@pytest.mark.parametrize(
    "text",
    [
        "from . import b\n",
        "from .b import b\n",
        "import importlib\nimportlib.import_module('house.b')\n",
        "from importlib import import_module\n",
        "from importlib import import_module as late\n",
        "__import__('house.b')\n",
    ],
)
def test_imports_that_hide_where_they_lead_are_refused(plant: Plant, text: str) -> None:
    with pytest.raises(ValueError, match=r"house/a\.py:\d an? (relative )?import .*hides"):
        plant({"house/a.py": text, "house/b.py": ""})


@pytest.mark.parametrize(
    ("text", "is_told"),
    [
        ("def f() -> None:\n    import json\n", True),
        ("def f() -> None:\n    import json  # noqa: PLC0415\n", True),
        ("async def f() -> None:\n    from json import loads  # noqa: PLC0415 -\n", True),
        ("# ruff: noqa: PLC0415\ndef f() -> None:\n    import json\n", True),
        ("class A:\n    def f(self) -> None:\n        import json  # slow\n", True),
        ("def f() -> None:\n    with g():\n        if h:\n            import json\n", True),
        ("def f() -> None:\n    import json  # noqa: PLC0415 - slow\n", False),
        ("# ruff: noqa: PLC0415, PLR0917 - so that --help is quick\ndef f() -> None:\n    import json\n", False),
        ("class A:\n    import json\n", False),
    ],
)
def test_late_imports_say_why(plant: Plant, text: str, is_told: bool) -> None:
    told = rules.late_without_reason(plant({"house/a.py": text}))
    assert [line.partition(":")[0] for line in told] == ["house/a.py"] * is_told


def test_names_that_processes_are_started_by_exist(plant: Plant) -> None:
    text = 'A = ["-m", "house.there", "house.gone", "house.gone:app", "housekeeping", "house.gone and more"]\n'
    tree = plant({"yard/a.py": text, "house/there.py": ""})
    assert rules.names_of_nothing(tree, ("house", "yard")) == ["yard/a.py names house.gone, which is not there"] * 2


# rooms

ROOMS = {"yard": "nothing", "yard.up": "house.up leaves", "house": "nothing", "house.up": "house.low leaves"}
ROOMS |= {"house.low": "leaves"}
LEAVES = {"yard.leaf": "nothing", "house.wide": "house.leaf", "house.leaf": "nothing"}
GOOD = {
    "yard/leaf.py": "",
    "yard/up/a.py": "import house.up.a\nimport yard.leaf\nimport house.leaf\n",
    "house/leaf.py": "",
    "house/wide.py": "import house.leaf\n",
    "house/up/a.py": "import house.low.a\nimport house.leaf\n",
    "house/low/a.py": "import house.low.b\nimport house.wide\n",
    "house/low/b.py": "",
}


def held(tree: Tree, rooms: dict[str, str] = ROOMS, leaves: dict[str, str] = LEAVES) -> Rooms:
    return Rooms(tree, rooms, leaves, ("yard", "house"))


def test_a_house_in_order(plant: Plant) -> None:
    rooms = held(plant(GOOD))
    assert rooms.wrong_ways() == rooms.circles() == rooms.uphill() == rooms.never_used() == []
    assert rooms.without_a_room() == rooms.without_modules() == []


@WAYS
@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("house/low/b.py", "house.up.a"),  # up
        ("yard/up/b.py", "house.low.a"),  # past a room
        ("house/up/b.py", "yard.up.a"),  # to another package
        ("house/leaf.py", "house.wide"),  # a leaf to one above it
        ("house/wide.py", "house.low.b"),  # a leaf to a room
        ("house/__init__.py", "house.up.a"),
    ],
)
def test_an_import_the_wrong_way(plant: Plant, way: str, path: str, target: str) -> None:
    told = held(plant({**GOOD, path: way.format(target)})).wrong_ways()
    assert told == [f"{path}:{way[: way.index('import {}')].count(chr(10)) + 1} imports {target}"]


def test_leaves_of_one_package_are_not_for_another(plant: Plant) -> None:
    """All but those of the lowest, which are for everybody."""
    tree = plant({**GOOD, "house/up/b.py": "import yard.leaf\n", "yard/up/b.py": "import house.wide\n"})
    assert held(tree).wrong_ways() == ["house/up/b.py:1 imports yard.leaf"]


def test_rooms_that_know_each_other_without_a_circle_of_modules(plant: Plant) -> None:
    tree = plant({**GOOD, "house/low/c.py": "import house.up.b\n", "house/up/b.py": ""})
    assert circles(tree.graph()) == []
    assert held(tree).circles() == ["house.low -> house.up -> house.low"]


def test_files_in_no_room(plant: Plant) -> None:
    told = held(plant({**GOOD, "house/loose.py": "", "house/new/a.py": ""})).without_a_room()
    assert told == ["house/loose.py", "house/new/__init__.py", "house/new/a.py"]


def test_rooms_that_are_gone(plant: Plant) -> None:
    tree = plant(GOOD)
    assert held(tree, rooms={**ROOMS, "house.gone": "nothing"}).without_modules() == ["house.gone"]
    assert held(tree, rooms={**ROOMS, "house.up": "house.gone leaves"}).without_modules() == ["house.gone"]
    assert held(tree, leaves={**LEAVES, "house.blown": "nothing"}).without_modules() == ["house.blown"]


def test_what_the_table_allows_for_nobody(plant: Plant) -> None:
    rooms = {**ROOMS, "yard.up": "house.up house.low leaves", "house": "leaves"}
    told = held(plant(GOOD), rooms=rooms).never_used()
    assert told == ["yard.up does not import house.low", "house does not import leaves"]


def test_a_table_that_reads_uphill(plant: Plant) -> None:
    told = held(plant(GOOD), rooms={**ROOMS, "house.low": "yard.up leaves"}).uphill()
    assert told == ["house.low may import yard.up, which stands above it"]


def test_a_leaf_stands_on_ground_and_on_no_other_room(plant: Plant) -> None:
    on_ground = held(plant(GOOD), rooms={**ROOMS, "house.low": "nothing"}, leaves={**LEAVES, "house.leaf": "house.low"})
    assert on_ground.uphill() == []
    on_a_room = held(plant(GOOD), leaves={**LEAVES, "house.leaf": "house.low"})
    assert on_a_room.uphill() == ["house.leaf may import house.low, which stands above it"]


def test_a_leaf_of_one_room(plant: Plant) -> None:
    assert held(plant(GOOD)).leaves_of_one_room() == ["yard.leaf", "house.wide"]
    more = {**GOOD, "yard/__init__.py": "import yard.leaf\n", "house/up/b.py": "import house.wide\n"}
    assert held(plant(more)).leaves_of_one_room() == []


# libraries


@WAYS
@pytest.mark.parametrize("library", ["ray", "ray.exceptions"])
def test_a_stray_library(plant: Plant, way: str, library: str) -> None:
    tree = plant({"house/low/a.py": way.format(library), "house/low/b.py": way.format(library), "yard/rays.py": ""})
    told = rules.strays(tree, {"ray": ("house.low.a", "yard")})
    assert [line.partition(":")[0] for line in told] == ["house/low/b.py"]
    assert rules.strays(tree, {"ray": ("house.low",)}) == rules.strays(tree, {"sqlite3": ()}) == []


def test_a_folder_is_not_the_folders_in_it(plant: Plant) -> None:
    tree = plant({"house/low/a.py": "import ray\n"})
    assert rules.strays(tree, {"ray": ("house",)}) == ["house/low/a.py:1 imports ray"]


def test_rooms_of_a_library_that_are_gone_or_do_without_it(plant: Plant) -> None:
    tree = plant({"house/low/a.py": "import ray\n", "house/up/a.py": "import json\n"})
    told = rules.libraries_not_used(tree, {"ray": ("house.low", "house.low.a", "house.up", "house.gone", "house")})
    assert told == [f"{place} does not import ray" for place in ("house.up", "house.gone", "house")]


# words


def test_a_row_in_words() -> None:
    assert rules.spoken("house.low yard.up leaves", "house.up") == "low, yard.up, leaves"
    assert rules.spoken("nothing", "house") == "nothing"


@pytest.mark.parametrize(
    ("docstring", "about"),
    [
        ("One sentence. Another one.\n\nMore.", "One sentence."),
        ("One sentence that goes on\nfor two lines. More.", "One sentence that goes on for two lines."),
        ("A line without a stop\n\nMore.", "A line without a stop"),
        ("Reads house.low and more: a.b.", "Reads house.low and more: a.b."),
        ("", ""),
    ],
)
def test_what_a_module_is_about(plant: Plant, docstring: str, about: str) -> None:
    tree = plant({"house/a.py": f'"""{docstring}"""\n'})
    assert tree.modules["house.a"].about == about


# names of files

FILES = ("web/app.py", "web/api/users.py", "tests/test_a.py", "docs/decisions/0041-keys.md", "LICENSE")


@pytest.mark.parametrize(
    "text",
    [
        "see `web/app.py`, web/api/users.py and (web/api).",
        "pytest tests/test_a.py, or tests/test_*.py; see web/api/*.",
        "docs/decisions/0041 says why: docs/decisions/0041-keys.md.",
        "copy web/api/.env; made by web/new.env",
        "https://example.org/web/gone.py, other/web/gone.py, $HOME/web/gone.py, ./web/gone.py, /web/gone.py",
        "engine/gone.py is of another house",
    ],
)
def test_texts_that_name_what_is_there(text: str) -> None:
    assert Files(FILES).missing(text) == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("see `web/gone.py`.", "web/gone.py"),
        ("see web/api/gone, please", "web/api/gone"),
        ("web/app.py/users", "web/app.py/users"),
        ("tests/test_c*.py and tests/test_a.py", "tests/test_c*.py"),
        ("[why](docs/decisions/0042)", "docs/decisions/0042"),
        ("docs/decisions/0041-locks.md", "docs/decisions/0041-locks.md"),
    ],
)
def test_texts_that_name_what_is_gone(text: str, missing: str) -> None:
    assert Files(FILES).missing(text) == [missing]
