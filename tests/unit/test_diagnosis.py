"""What an operator is told: the part that is to blame, by name, in words, and nothing when all is well."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from engine import runtime
from engine.clock import ManualClock
from engine.cluster.historians import HistorianWatch
from engine.commands.doctor import check_limits
from engine.diagnosis import judge, problems
from engine.metrics import REBUILDS
from engine.retries import Retries

READER: dict[str, Any] = {
    "connected": True,
    "last_receive_age_s": 0.4,
    "error": None,
    "held": 12,
    "held_s": 0.1,
    "full": False,
    "unsettled": None,
    "failing": {},
}
USAGE = {"limit": "sensors_per_facility_max", "most": 20, "subject": "f"}
WELL = {"took_s": 0.01, "trying_s": None, "failing_s": None, "error": None}


def report(**changes: Any) -> dict[str, Any]:
    commits = {**WELL, "waiting": 0, **changes.pop("commits", {})}
    reader = {**READER, **changes.pop("reader", {})}
    readers = {"sensor-data-queue": reader, "facility-setup-queue": READER}
    store = {"status": WELL, "commits": {"0": commits}}
    return {"state": "running", "readers": readers, "store": store, "troubles": [], **changes}


def told(state: dict[str, Any], age_s: float | None = 1.0, error: str | None = None) -> str:
    """Through JSON, as it travels."""
    return " | ".join(problems(judge(json.loads(json.dumps(state)), age_s, error)))


def test_nothing_is_said_when_all_is_well() -> None:
    judged = judge(report(), 1.0)
    assert all(each.ready for each in judged.values())
    assert not told(report())


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (
            report(commits={"failing_s": 14.2, "error": "ConnectionRefusedError: [Errno 111]"}),
            "database: takes no commits: ConnectionRefusedError: [Errno 111]; the engine has waited for it for 14 s",
        ),
        (report(commits={"trying_s": 7.0}), "database: does not answer the engine; the engine has waited for it for 7"),
        (
            report(commits={"failing_s": 3.0, "error": "DiskFullError: No space left on device"}),
            "database: takes no commits: DiskFullError: No space left on device",
        ),
        (report(commits={"took_s": 2.13}), "database: is slow: a commit takes 2.1 s"),
        (
            report(reader={"connected": False, "error": "no route"}),
            "bus: sensor-data-queue is not connected: no route",
        ),
        (
            report(reader={"unsettled": "database or disk is full"}),
            "bus: sensor-data-queue is not taking back what is done: database or disk is full",
        ),
        (
            report(reader={"held": 1000, "held_s": 21.0, "full": True}),
            "engine: sensor-data-queue holds 1000 messages for 21 s, which is all it may: it receives no more",
        ),
        (
            report(troubles=["process 3 (north) has not answered for 12 s"]),
            "engine: process 3 (north) has not answered for 12 s",
        ),
        (report(commits={"took_s": 4.2, "trying_s": 4.0}), "database: is slow: a commit takes 4.2 s"),
        (
            {
                **report(),
                "readers": {name: {**READER, "connected": False, "error": f"{name}: refused"} for name in "ab"},
            },
            "bus: all 2 queues are not connected: refused",
        ),
        (report(disk_free_bytes=4096), "engine: the disk of its data folder is full: 0 MB free, make room"),
        ({"state": "starting"}, "engine: starting"),
    ],
)
def test_the_culprit_is_named(state: dict[str, Any], words: str) -> None:
    assert words in told(state)


def test_a_slow_database_is_a_remark_and_no_reason_to_leave() -> None:
    assert judge(report(commits={"took_s": 2.1}), 1.0)["database"].ready


def test_readings_without_a_day_of_their_own_are_a_remark_until_they_have_one() -> None:
    hit = report(stray_readings=7)
    assert judge(hit, 1.0)["engine"].ready
    assert "7 readings lie in the default partition" in told(hit)
    assert told(report(stray_readings=0)) == told(report())


def test_rebuilt_facilities_are_a_remark_too() -> None:
    rebuilt = report(metrics={"counters": {REBUILDS: {"": 3}}})
    assert judge(rebuilt, 1.0)["engine"].ready
    assert "rebuilt facilities from stored readings 3 times" in told(rebuilt)


def test_an_engine_that_waits_for_the_database_is_not_blamed_for_it() -> None:
    judged = judge(report(commits={"failing_s": 5.0, "error": "away"}), 1.0, "PostgreSQL has not answered for 5 s")
    assert {name: each.ready for name, each in judged.items()} == {"database": False, "bus": True, "engine": True}


def test_an_old_report_speaks_for_nobody() -> None:
    assert "engine: last reported 60 s ago" in told(report(commits={"failing_s": 9.0, "error": "old"}), 60.0)
    assert "old" not in told(report(commits={"failing_s": 9.0, "error": "old"}), 60.0)
    assert "engine: has never reported" in told({}, None)
    assert "engine: not known while the database is away" in told({}, None, "away")


def test_a_report_ends_with_its_engine() -> None:
    """However new it is: what comes up after it has yet to say that it is ready."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here = runtime.this_process()
    gone = {**here, "pid": ended.pid}
    recycled = {**here, "started_ticks": -1}
    for process in (gone, recycled):
        judged = judge(report(process=process), 0.1)
        assert not judged["engine"].ready and "its process has ended, reported 0 s ago" in judged["engine"].detail
        assert not judged["bus"].ready
    elsewhere = {**gone, "pids_of": "another machine's"}
    for alive in (here, elsewhere, None):
        assert all(each.ready for each in judge(report(process=alive), 0.1).values())


def test_a_zombie_has_ended() -> None:
    """Its pid is not free as long as nobody has asked how it ended."""
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    assert child.stdin is not None
    process = {**runtime.this_process(), "pid": child.pid, "started_ticks": runtime._started_ticks(child.pid)}
    assert not runtime.has_ended(process)
    child.stdin.close()
    deadline_s = time.monotonic() + 20
    while not runtime.has_ended(process):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    child.wait()


def test_a_historian_that_was_not_heard_yet_is_a_trouble() -> None:
    assert HistorianWatch(0, ManualClock()).trouble() == (
        "historian-0, which writes to PostgreSQL, is starting (0 s by now)"
    )


async def test_failing_counts_from_the_first_failure_until_something_works() -> None:
    clock = ManualClock()
    retries = Retries(clock)
    for _ in range(3):
        retries.began()
        await clock.advance(2)
        retries.failed("refused\nagain")
        await clock.advance(1)
    assert retries.status() == {"took_s": None, "trying_s": None, "failing_s": 9.0, "error": "refused again"}
    retries.began()
    await clock.advance(0.5)
    assert retries.status()["trying_s"] == 0.5
    retries.worked()
    assert retries.status() == {"took_s": 0.5, "trying_s": None, "failing_s": None, "error": None}


def test_the_report_is_kept_beside_the_database(tmp_path: Path) -> None:
    assert runtime.read_report(tmp_path) == ({}, None)
    runtime.write_report(tmp_path, report())
    found, age_s = runtime.read_report(tmp_path)
    assert found == report() and age_s is not None and age_s < 60
    (tmp_path / runtime.REPORT_NAME).write_text("{")
    assert runtime.read_report(tmp_path) == ({}, None)


def test_the_report_is_kept_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    runtime.write_report(tmp_path, report(troubles=["one", "two"]))
    size = (tmp_path / runtime.REPORT_NAME).stat().st_size
    monkeypatch.setattr(runtime, "_write_private", full)
    runtime.write_report(tmp_path, report())
    assert runtime.read_report(tmp_path)[0] == report()
    assert (tmp_path / runtime.REPORT_NAME).stat().st_size == size


def test_the_doctor_tells_of_a_limit_that_is_nearly_reached_and_not_before() -> None:
    assert check_limits(report(limits=[{**USAGE, "used": 17}])).grade == "ok"
    near = check_limits(report(limits=[{**USAGE, "used": 18}]))
    assert (near.grade, near.found) == ("warning", "18 of 20 SENSORS_PER_FACILITY_MAX (facility f)")
    assert check_limits({}).grade == "ok", "an engine of another version says nothing of them"
