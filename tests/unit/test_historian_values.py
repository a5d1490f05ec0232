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
    used = {
        name for path in (ENGINE / "historian").glob("*.py") for name in re.findall(r'SQL\["(\w+)"\]', path.read_text())
    }
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


def row(number: int, transition: str, late: bool = False, alarm_key: str = "1:high") -> dict[str, object]:
    return {
        "id": number,
        "facility_id": "f",
        "alarm_key": alarm_key,
        "sensor_no": 1,
        "rule": "high",
        "transition": transition,
        "event_time": number * 10,
        "priority": "low",
        "late": late,
    }


def test_the_fold_keeps_the_last_word_on_each_alarm() -> None:
    rows = [row(3, "activated"), row(1, "activated"), row(2, "returned"), row(4, "returned", alarm_key="1:low")]
    assert fold(rows) == [
        ("f", "1:high", 1, "high", True, False, "low", 30, 3),
        ("f", "1:low", 1, "high", False, None, "low", 40, 4),
    ]


def test_a_return_keeps_what_the_activation_before_it_said_about_acknowledgement() -> None:
    assert fold([row(1, "activated"), row(2, "returned")]) == [("f", "1:high", 1, "high", False, False, "low", 20, 2)]


@pytest.mark.parametrize(("transition", "late"), [("late_exceedance", True), ("activated", True), ("shelved", False)])
def test_history_alone_moves_nothing(transition: str, late: bool) -> None:
    assert fold([row(1, transition, late)]) == []


@pytest.mark.parametrize(
    ("expected_interval_s", "spelling"), [(1, "1S"), (59, "59S"), (60, "1T"), (90, "1T"), (3600, "60T")]
)
def test_expected_freq_is_spelt_as_the_contract_says(expected_interval_s: int, spelling: str) -> None:
    assert expected_freq(expected_interval_s) == spelling
