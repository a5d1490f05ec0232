"""The rules of docs/ARCHITECTURE.md that a program can check: who may import what, no cycles, clean lock files."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("engine", "native", "web", "migrations")

# library -> the only files that may import it (patterns of PurePosixPath.match, from the right)
ONLY_IN = {
    "ray": (
        "engine/*/actor.py",
        "engine/facility/directory.py",
        "engine/cluster/*.py",
        "engine/placement/ray_nodes.py",
    ),
    "asyncpg": ("engine/historian/*.py", "engine/embedded/*.py", "migrations/*.py", "web/*.py", "web/*/*.py"),
    "azure": ("engine/bus/service_bus.py", "engine/hub/simulator.py", "engine/bus/queue_lengths.py"),
    "polars": ("engine/export/*.py", "engine/client/frames.py", "engine/offline/*.py", "native/*.py"),
    "alembic": ("migrations/*.py", "migrations/versions/*.py"),
    "quart": ("web/*.py", "web/*/*.py"),
    "sqlite3": ("engine/local_bus/*.py",),
}
LEAVES = ("engine.model", "engine.errors", "engine.clock", "engine.settings")
LEAVES_MAY_IMPORT = {"engine.errors"}
LAYERS = {"native": 0, "engine": 1, "migrations": 1, "web": 2}


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Dotted names that a file imports, wherever in it: TYPE_CHECKING and functions hide no circle."""
    tree = ast.parse(path.read_text(), filename=str(path))
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where a name comes from"
            found.add(node.module or "")
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def test_libraries_stay_in_their_rooms() -> None:
    strays = [
        f"{path.relative_to(ROOT)} imports {library}"
        for path in sources()
        for library, rooms in ONLY_IN.items()
        if any(name.split(".")[0] == library for name in imports(path))
        and not any(PurePosixPath(path.relative_to(ROOT)).match(room) for room in rooms)
    ]
    assert not strays


def test_imports_point_one_way() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources()
        for name in imports(path)
        if name.split(".")[0] in LAYERS and LAYERS[name.split(".")[0]] > LAYERS[path.relative_to(ROOT).parts[0]]
    ]
    assert not wrong


def test_what_is_shipped_needs_no_checkout() -> None:
    """A wheel has the packages and nothing else: none of them imports, or starts by its name, what lies beside them."""
    beside = {path.name for path in ROOT.iterdir() if any(path.glob("*.py"))} - set(PACKAGES)
    assert {"bench", "scripts"} <= beside
    beside.add("tests")
    module = re.compile(rf"[\"']({'|'.join(sorted(beside))})(\.\w+)+[\"']")
    needed = [
        path.relative_to(ROOT).as_posix()
        for path in sources()
        if module.search(path.read_text()) or {name.split(".")[0] for name in imports(path)} & beside
    ]
    assert needed == []


@pytest.mark.parametrize("leaf", LEAVES)
def test_leaves_import_nothing_of_ours(leaf: str) -> None:
    ours = {name for name in imports(ROOT / (leaf.replace(".", "/") + ".py")) if name.split(".")[0] in PACKAGES}
    modules = {name for name in ours if name in LEAVES or name.rpartition(".")[0] not in LEAVES}
    assert modules <= LEAVES_MAY_IMPORT


def test_web_reaches_actors_only_through_the_cluster() -> None:
    inside = re.compile(r"engine\.(facility|historian\.actor|bus\.reader)")
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted((ROOT / "web").rglob("*.py"))
        for name in imports(path)
        if inside.match(name)
    ]
    assert not wrong


def test_the_client_can_be_lifted_out() -> None:
    """Another project may copy the folder: it needs three libraries, polars for frames, and nothing else of ours."""
    allowed = set(sys.stdlib_module_names) | {"httpx", "pydantic", "websockets"}
    strays = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted((ROOT / "engine/client").glob("*.py"))
        for name in imports(path)
        if name.split(".")[0] not in allowed | ({"polars"} if path.name == "frames.py" else set())
        and not name.startswith("engine.client")
    ]
    assert not strays


def test_the_facility_does_no_input_or_output() -> None:
    path = ROOT / "engine/facility/facility.py"
    allowed_roots = {
        "native",
        "engine",
        "__future__",
        "collections",
        "dataclasses",
        "typing",
        "json",
        "asyncio",
        "enum",
    }
    roots = {name.split(".")[0] for name in imports(path)}
    assert roots <= allowed_roots | {"structlog", "contextlib", "concurrent", "functools", "itertools"}
    assert not any(name.startswith(("engine.historian.historian", "engine.cluster")) for name in imports(path))


def test_there_is_no_import_cycle() -> None:
    modules = {module_name(path): path for path in sources()}
    graph = {
        name: {target for target in imports(path) if target in modules and target != name}
        for name, path in modules.items()
    }
    finished: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, "import cycle: " + " -> ".join((*trail[trail.index(name) :], name))
        if name in finished:
            return
        for target in sorted(graph[name]):
            walk(target, (*trail, name))
        finished.add(name)

    for name in sorted(graph):
        walk(name, ())


def test_pyo3_lives_in_the_python_face() -> None:
    users = [
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "native/src").rglob("*.rs"))
        if re.search(r"^\s*(pub )?use (pyo3|numpy)\b|\bpyo3::", path.read_text(), re.MULTILINE)
    ]
    assert users
    assert all(user.startswith("native/src/python") for user in users)


def test_lock_files_name_the_public_registries_only() -> None:
    python_hosts = set(re.findall(r"https?://([^/\"]+)", (ROOT / "uv.lock").read_text()))
    assert python_hosts == {"pypi.org", "files.pythonhosted.org"}
    rust_sources = set(re.findall(r'^source = "([^"]+)"', (ROOT / "Cargo.lock").read_text(), re.MULTILINE))
    assert rust_sources == {"registry+https://github.com/rust-lang/crates.io-index"}


def test_tracked_files_name_no_path_of_one_machine() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    home = re.compile(r"(?<![\w.])/(?:home|root|Users)/\w")
    strays = []
    for name in listed.stdout.splitlines():
        if name.endswith((".lock", ".js", ".css", ".png")) or "vendor/" in name:
            continue
        path = ROOT / name
        if path.exists() and home.search(path.read_text(encoding="utf-8", errors="ignore")):
            strays.append(name)
    assert not strays


def test_handlers_ask_the_database_of_their_caller() -> None:
    """Row-level security holds only there; these few ask for what no caller may see."""
    beyond = {
        "auth.py",  # who signs in, with the hash of the password
        "oidc.py",  # the same
        "records.py",  # which rollups are stale
    }
    asking = {path.name for path in (ROOT / "web/api").glob("*.py") if "services.database" in path.read_text()}
    assert asking == beyond
