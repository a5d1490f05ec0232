"""Checks the audit log: a chain in which each row's hash covers its text and the hash of the row before.

Who may change any row can also calculate every hash after it anew, or cut rows off the end. Against that helps only a
head that was kept elsewhere: one that this machine remembers (engine.historian.audit_head), or that somebody gives.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.historian.audit_head import Head, contradiction
from engine.historian.connecting import connect
from engine.historian.connection import translated_errors
from engine.historian.queries import SQL

BEFORE_THE_FIRST = bytes(32)
ROWS_AT_ONCE = 1_000

READ_ALL = "SELECT id, entry, hash FROM audit_log ORDER BY id"
READ_LAST = "SELECT id, entry, hash FROM audit_log ORDER BY id DESC LIMIT $1"


@dataclass(frozen=True, slots=True)
class ChainCheck:
    """`head` is the last good row's hash, in hex. `problem`: the first thing that is wrong, and `row` where."""

    rows: int
    head: str
    problem: str | None = None
    row: int | None = None


class Chain:
    """Takes the rows in order of their ids, and stops at the first that does not belong."""

    def __init__(self, expected_head: str | None, remembered: Head | None = None) -> None:
        self._remembered = remembered
        self._hash_then: str | None = None
        self._expected_head = expected_head
        self._is_expected_head_seen = expected_head in {None, BEFORE_THE_FIRST.hex()}
        self._head = BEFORE_THE_FIRST
        self._rows = 0

    def broken_by(self, row: Mapping[str, Any]) -> ChainCheck | None:
        """None when the row continues the chain."""
        row_id, entry = row["id"], row["entry"]
        if row_id != self._rows + 1:
            return self._check(f"row {self._rows + 1} is missing, row {row_id} comes instead", self._rows + 1)
        expected = hashlib.sha256(self._head + entry.encode()).digest()
        if row["hash"] != expected:
            return self._check(f"row {row_id} or its hash was changed, or it was put in", row_id)
        if not entry.startswith(f'{{"id":{row_id},'):
            return self._check(f"row {row_id} holds the entry of another row", row_id)
        self._head, self._rows = expected, row_id
        self._is_expected_head_seen |= expected.hex() == self._expected_head
        if self._remembered is not None and row_id == self._remembered.rows:
            self._hash_then = expected.hex()
        return None

    def end(self) -> ChainCheck:
        """When no row is left."""
        if not self._is_expected_head_seen:
            problem = (
                f"the head {self._expected_head} is not in the chain of {self._rows} rows: rows were cut off the end, "
                "or everything was written anew"
            )
            return self._check(problem, None)
        if self._remembered is not None:
            return self._check(contradiction(self._remembered, self._rows, self._hash_then), None)
        return self._check(None, None)

    def _check(self, problem: str | None, row: int | None) -> ChainCheck:
        return ChainCheck(self._rows, self._head.hex(), problem, row)


async def verify(database_url: str, expected_head: str | None, remembered: Head | None = None) -> ChainCheck:
    """Walk the whole chain as it is at one moment; both heads must be in it."""
    chain = Chain(expected_head, remembered)
    async with translated_errors("reading the audit log"):
        connection = await connect(database_url)
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                async for row in connection.cursor(READ_ALL, prefetch=ROWS_AT_ONCE):
                    if (check := chain.broken_by(row)) is not None:
                        return check
        finally:
            await connection.close()
    return chain.end()


async def newest(connection: Any, remembered: Head | None) -> tuple[Head, str | None]:
    """The newest row, and what is wrong with it after what this machine remembers."""
    row = await connection.fetchrow(SQL["audit_newest"], 0 if remembered is None else remembered.rows)
    head = Head(row["rows"], (row["hash"] or BEFORE_THE_FIRST).hex(), row["seen_at"])
    then = None if row["hash_then"] is None else row["hash_then"].hex()
    return head, None if remembered is None else contradiction(remembered, head.rows, then)


async def read_last(database_url: str, rows_max: int) -> list[dict[str, Any]]:
    """The newest entries, oldest first, each with its hash in hex."""
    async with translated_errors("reading the audit log"):
        connection = await connect(database_url)
        try:
            rows = await connection.fetch(READ_LAST, rows_max)
        finally:
            await connection.close()
    return [{**json.loads(row["entry"]), "hash": row["hash"].hex()} for row in reversed(rows)]
