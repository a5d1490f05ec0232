"""The historian's pure parts: named queries, the meaning of errors, the fold of the journal."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

import asyncpg
import pytest

from engine.historian.connection import Failure, failure_of
from engine.historian.group import expected_freq
from engine.historian.journal import fold
from engine.historian.queries import SQL, parse_queries

ENGINE = Path(__file__).parents[2] / "engine"


def test_every_query_is_used_and_every_used_one_exists() -> None:
    used = {name for path in ENGINE.rglob("*.py") for name in re.findall(r'SQL\["(\w+)"\]', path.read_text())}
    assert used == set(SQL)


def test_queries_are_split_by_name_without_their_comments() -> None:
    assert parse_queries("-- head\n-- name: a\n-- says why\nSELECT 1;\n\n-- name: b\nSELECT\n    2;\n") == {
        "a": "SELECT 1",
        "b": "SELECT\n    2",
    }


@pytest.mark.parametrize(
    ("error", "before_commit", "during_commit"),
    [
        (asyncpg.CharacterNotInRepertoireError("NUL"), Failure.CONTENT, Failure.CONTENT),
        (asyncpg.UniqueViolationError("twice"), Failure.CONTENT, Failure.CONTENT),
        (asyncpg.CheckViolationError("violates partition constraint"), Failure.MOVED, Failure.MOVED),
        (asyncpg.ProgramLimitExceededError("index row"), Failure.CONTENT, Failure.CONTENT),
        (asyncpg.exceptions._base.DataError("cannot encode"), Failure.CONTENT, Failure.UNKNOWN),
        (ValueError("contradiction"), Failure.CONTENT, Failure.UNKNOWN),
        (asyncpg.DiskFullError("full"), Failure.UNAVAILABLE, Failure.UNAVAILABLE),
        (asyncpg.UndefinedTableError("no table"), Failure.UNAVAILABLE, Failure.UNAVAILABLE),
        (asyncpg.LockNotAvailableError("lock"), Failure.UNAVAILABLE, Failure.UNAVAILABLE),
        (asyncpg.SerializationError("again"), Failure.UNAVAILABLE, Failure.UNAVAILABLE),
        (asyncpg.AdminShutdownError("going down"), Failure.UNAVAILABLE, Failure.UNKNOWN),
        (asyncpg.QueryCanceledError("timeout"), Failure.UNAVAILABLE, Failure.UNKNOWN),
        (asyncpg.ConnectionDoesNotExistError("lost"), Failure.UNAVAILABLE, Failure.UNKNOWN),
        (asyncpg.InterfaceError("closed"), Failure.UNAVAILABLE, Failure.UNKNOWN),
        (ConnectionResetError("peer"), Failure.UNAVAILABLE, Failure.UNKNOWN),
        (TimeoutError(), Failure.UNAVAILABLE, Failure.UNKNOWN),
        (ssl.SSLCertVerificationError("expired"), Failure.UNAVAILABLE, Failure.UNKNOWN),
        (asyncpg.exceptions.ClientConfigurationError("no root"), Failure.UNAVAILABLE, Failure.UNKNOWN),
    ],
)
def test_what_an_error_means(error: Exception, before_commit: Failure, during_commit: Failure) -> None:
    assert failure_of(error, committing=False) is before_commit
    assert failure_of(error, committing=True) is during_commit


def row(
    number: int,
    transition: str,
    late: bool = False,
    alarm_key: str = "1:high",
    actor: str = "system",
    reason: str = "",
    **explanation: object,
) -> dict[str, object]:
    return {
        "id": number,
        "facility_id": "f",
        "alarm_key": alarm_key,
        "sensor_no": 1,
        "rule": "high",
        "transition": transition,
        "event_time": f"at {number}",
        "priority": "low",
        "message": "too high",
        "value": 26.0,
        "limit_value": 25.0,
        "late": late,
        "actor": actor,
        "reason": reason,
        "explanation": explanation,
    }


ACTIVATION = {"message": "too high", "value": 26.0, "limit_value": 25.0}
UNACKNOWLEDGED = {"acknowledged": False, "acknowledged_at": None, "acknowledged_by": None}


def test_the_fold_keeps_the_last_word_on_each_alarm() -> None:
    rows = [row(3, "activated"), row(1, "activated"), row(2, "returned"), row(4, "returned", alarm_key="1:low")]
    high, low = fold(rows)
    assert high["told"] == {
        "active": True,
        "since": "at 3",
        "priority": "low",
        **ACTIVATION,
        **UNACKNOWLEDGED,
        "last_event_id": 3,
    }
    assert low["told"] == {"active": False, "since": "at 4", "priority": "low", "last_event_id": 4}
    assert [step["alarm_key"] for step in (high, low)] == ["1:high", "1:low"]
    assert low["if_new"] == {
        "facility_id": "f",
        "alarm_key": "1:low",
        "sensor_no": 1,
        "rule": "high",
        "active": False,
        "acknowledged": True,
        "suppression": "none",
        "latched": False,
        "since": "at 4",
        "priority": "low",
    }


def test_a_return_keeps_what_the_activation_before_it_said() -> None:
    (step,) = fold([row(3, "activated"), row(4, "returned")])
    assert step["told"] == {
        "active": False,
        "since": "at 4",
        "priority": "low",
        **ACTIVATION,
        **UNACKNOWLEDGED,
        "last_event_id": 4,
    }


@pytest.mark.parametrize(
    ("transition", "late"),
    [("late_exceedance", True), ("late_exceedance", False), ("past_excursion", False), ("returned", True)],
)
def test_history_alone_moves_nothing(transition: str, late: bool) -> None:
    assert fold([row(1, transition, late)]) == []


def test_an_alert_of_something_late_is_to_be_acknowledged_and_moves_no_condition() -> None:
    (step,) = fold([row(1, "activated", late=True, latched=True)])
    assert step["told"] == {"latched": True, **UNACKNOWLEDGED, "last_event_id": 1}
    assert step["if_new"]["active"] is False


@pytest.mark.parametrize(
    ("transition", "suppression"),
    [("shelved", "shelved"), ("suppressed", "by_design"), ("out_of_service", "out_of_service")],
)
def test_a_suppression_says_by_whom_why_and_until_when(transition: str, suppression: str) -> None:
    told = row(1, transition, actor="user:7", reason="calibration", until_us=3_600_000_000, work_order="W-12")
    (step,) = fold([told])
    assert step["told"] == {
        "suppression": suppression,
        "suppressed_at": "at 1",
        "suppressed_until": "1970-01-01T01:00:00+00:00",
        "suppressed_by": "user:7",
        "suppression_reason": "calibration",
        "work_order": "W-12",
        "last_event_id": 1,
    }


@pytest.mark.parametrize("transition", ["unshelved", "unsuppressed", "in_service"])
def test_nothing_is_left_of_a_suppression_that_ends(transition: str) -> None:
    (step,) = fold([row(1, "shelved", until_us=1, reason="r"), row(2, transition)])
    assert step["told"].pop("suppression") == "none"
    assert step["told"].pop("last_event_id") == 2
    assert set(step["told"].values()) == {None}


@pytest.mark.parametrize(
    ("transition", "said"),
    [
        ("acknowledged", {"acknowledged": True, "acknowledged_at": "at 1", "acknowledged_by": "user:7"}),
        ("assigned", {"assignee": "night shift"}),
        ("commented", {}),
        ("verdict", {}),
        ("re_alarmed", {}),
        ("reset", {"latched": False}),
        ("activated_silently", {"active": True, "since": "at 1", "priority": "low", **ACTIVATION}),
    ],
)
def test_each_transition_says_its_own_part(transition: str, said: dict[str, object]) -> None:
    (step,) = fold([row(1, transition, actor="user:7", assignee="night shift")])
    assert step["told"] == {**said, "last_event_id": 1}


def test_an_assignment_is_taken_back_by_an_empty_one() -> None:
    (step,) = fold([row(1, "assigned", assignee="ann"), row(2, "assigned", assignee="")])
    assert step["told"]["assignee"] is None


@pytest.mark.parametrize(
    ("expected_interval_s", "spelling"), [(1, "1S"), (59, "59S"), (60, "1T"), (90, "1T"), (3600, "60T")]
)
def test_expected_freq_is_spelt_as_the_contract_says(expected_interval_s: int, spelling: str) -> None:
    assert expected_freq(expected_interval_s) == spelling
