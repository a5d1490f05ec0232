"""What is wrong with an installation, in words for whoever runs it: `/readyz`, `gasinsight status` and `doctor`.

Judges the engine's own report (see `Supervisor.report`), which names the part that holds the others up: an engine that
waits for PostgreSQL is not itself broken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.metrics import REBUILDS
from engine.runtime import has_ended

REPORT_AGE_S_MAX: Final = 15.0
RECEIVE_AGE_S_MAX: Final = 180.0
ANSWER_S_MAX: Final = 3.0  # PostgreSQL has not answered for so long: it hangs,
SLOWER_THAN_LAST: Final = 2.0  # unless the last answer took about as long
SLOW_S: Final = 1.0
HELD_S_MAX: Final = 10.0
DISK_BYTES_MIN: Final = 100 * 1024 * 1024

Report = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Judgement:
    """`remark`: something that works, but badly."""

    ready: bool
    detail: str
    remark: bool = False


def judge(report: Report, age_s: float | None, database_error: str | None = None) -> dict[str, Judgement]:
    """Database, bus and engine. `report` is {} and `age_s` None when the engine never reported.

    `database_error`: what the asker itself met at the database.
    """
    engine = _engine(report, age_s)
    heard = is_heard(report, age_s)
    unheard = Judgement(False, "not known while the engine is away")
    return {
        "database": _database(report if heard else {}, database_error),
        "bus": _bus(report) if heard and report.get("state") == "running" else unheard,
        "engine": engine
        if database_error is None or heard
        else Judgement(False, "not known while the database is away"),
    }


def is_heard(report: Report, age_s: float | None) -> bool:
    """Whether it is new, and its engine lives: a successor is not what its predecessor was."""
    return age_s is not None and age_s <= REPORT_AGE_S_MAX and not has_ended(report.get("process"))


def problems(judgements: Mapping[str, Judgement]) -> list[str]:
    """What is not ready, and what works badly, each with the name of its part."""
    return [f"{part}: {each.detail}" for part, each in judgements.items() if not each.ready or each.remark]


def _database(report: Report, database_error: str | None) -> Judgement:
    retries = list(_retries(report))
    failing = max(retries, key=lambda each: each.get("failing_s") or 0.0, default={})
    waited_s = max((each.get(name) or 0.0 for each in retries for name in ("trying_s", "failing_s")), default=0.0)
    waits = f"; the engine has waited for it for {waited_s:.0f} s and keeps its messages" if waited_s >= 1 else ""
    if database_error is not None:
        return Judgement(False, f"{database_error}{waits}")
    if failing.get("failing_s"):
        return Judgement(False, f"takes no commits: {failing['error']}{waits}")
    took_s = max((each.get("took_s") or 0.0 for each in retries), default=0.0)
    if waited_s > max(ANSWER_S_MAX, SLOWER_THAN_LAST * took_s):
        return Judgement(False, f"does not answer the engine{waits}")
    if max(took_s, waited_s) > SLOW_S:
        return Judgement(True, f"is slow: a commit takes {max(took_s, waited_s):.1f} s", remark=True)
    return Judgement(True, "answers")


def _retries(report: Report) -> Iterator[Mapping[str, Any]]:
    store = report.get("store") or {}
    yield store.get("status") or {}
    yield from (commits for commits in (store.get("commits") or {}).values() if commits)


def _engine(report: Report, age_s: float | None) -> Judgement:
    if age_s is None:
        return Judgement(False, "has never reported; start `gasinsight engine`")
    if age_s > REPORT_AGE_S_MAX:
        return Judgement(False, f"last reported {age_s:.0f} s ago")
    if has_ended(report.get("process")):
        return Judgement(False, f"its process has ended, reported {age_s:.0f} s ago")
    state = str(report.get("state", "unknown"))
    wrong = [*(report.get("troubles") or ()), *_held(report)]
    free_bytes = report.get("disk_free_bytes")
    if free_bytes is not None and free_bytes < DISK_BYTES_MIN:
        wrong.insert(0, f"the disk of its data folder is full: {free_bytes / 1024**2:.0f} MB free, make room")
    if state != "running":
        wrong.insert(0, f"{state}, reported {age_s:.0f} s ago")
    remarks = "" if wrong else _rebuilt(report) + _strays(report) + _untold(report)
    said = "; ".join(wrong) or f"running, reported {age_s:.0f} s ago{remarks}"
    return Judgement(not wrong, said, remark=bool(remarks))


def _untold(report: Report) -> str:
    """A mail server that is away does not make the engine less ready."""
    return "".join(f"; {said}" for said in report.get("notifications") or ())


def _strays(report: Report) -> str:
    """Ends when they have been moved, which the engine tries every minute."""
    strays = report.get("stray_readings") or 0
    return f"; {strays} readings lie in the default partition (log: maintenance says why)" if strays else ""


def limits_reached(report: Report) -> list[str]:
    """Of what settings bound, what is full to nine tenths, in words."""
    return [
        f"{usage['used']} of {usage['most']} {usage['limit'].upper()}"
        + (f" (facility {usage['subject']})" if usage["subject"] else "")
        for usage in report.get("limits") or ()
        if usage["used"] * 10 >= usage["most"] * 9
    ]


def _rebuilt(report: Report) -> str:
    """After an upgrade to another core, or because of damage that somebody should look into."""
    counters = (report.get("metrics") or {}).get("counters", {})
    count = sum(counters.get(REBUILDS, {}).values())
    if not count:
        return ""
    return f"; it rebuilt facilities from stored readings {count:.0f} times (log: checkpoint_unreadable says why)"


def _held(report: Report) -> Iterator[str]:
    """Queues whose messages are taken but not stored."""
    for queue, reader in _readers(report).items():
        if (held_s := reader.get("held_s") or 0.0) > HELD_S_MAX:
            stopped = ", which is all it may: it receives no more" if reader.get("full") else ""
            reasons = "; ".join(dict.fromkeys((reader.get("failing") or {}).values()))
            because = f" ({reasons})" if reasons else ""
            yield f"{queue} holds {reader['held']} messages for {held_s:.0f} s{stopped}{because}"


def _bus(report: Report) -> Judgement:
    readers = _readers(report)
    if not readers:
        return Judgement(False, "no reader has reported")
    broken: dict[str, list[str]] = {}
    for queue, reader in readers.items():
        if trouble := _trouble_of(queue, reader):
            broken.setdefault(trouble, []).append(queue)
    if not broken:
        return Judgement(True, f"{len(readers)} queues are read")
    told = (f"{_named(queues, len(readers))} {trouble}" for trouble, queues in broken.items())
    return Judgement(False, "; ".join(told))


def _trouble_of(queue: str, reader: Mapping[str, Any]) -> str | None:
    """What the bus does wrong at one queue, in the same words at each."""
    if not reader.get("connected"):
        error = str(reader.get("error") or "no reason given")
        return f"not connected: {error.removeprefix(f'{queue}: ')}"
    if unsettled := reader.get("unsettled"):
        return f"not taking back what is done: {str(unsettled).removeprefix(f'{queue}: ')}"
    age_s = reader.get("last_receive_age_s")
    if age_s is not None and age_s > RECEIVE_AGE_S_MAX and not reader.get("full"):
        return f"without an answer for {age_s:.0f} s"
    return None


def _named(queues: Sequence[str], readers: int) -> str:
    return f"all {readers} queues are" if len(queues) == readers > 1 else " and ".join(queues) + " is"


def _readers(report: Report) -> Mapping[str, Mapping[str, Any]]:
    return report.get("readers") or {}
