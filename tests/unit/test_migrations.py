"""The rules a migration keeps so that processes of the version before work on: expand first, contract a release later.

What is judged is the SQL that a step would run, so that it makes no difference whether it was written as SQL or as
alembic operations. Tables that the step itself makes are nobody's yet and are left out.
"""

from __future__ import annotations

import io
import re
from types import ModuleType

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import Script, ScriptDirectory

from migrations import upgrade

SCRIPTS = ScriptDirectory.from_config(upgrade.alembic_config(""))
STEPS = list(SCRIPTS.walk_revisions())

WITHOUT_WAITING = {
    r"CREATE (UNIQUE )?INDEX (?!CONCURRENTLY)": "CREATE INDEX CONCURRENTLY in an autocommit_block",
    r"DROP INDEX (?!CONCURRENTLY)": "DROP INDEX CONCURRENTLY in an autocommit_block",
    r"REINDEX (?!.*CONCURRENTLY)": "REINDEX … CONCURRENTLY in an autocommit_block",
    r"ADD (CONSTRAINT \S+ )?(CHECK|FOREIGN KEY)(?!.*NOT VALID)": "ADD … NOT VALID, then VALIDATE in a step of its own",
    r"ADD (CONSTRAINT \S+ )?(UNIQUE|PRIMARY KEY)(?!.*USING INDEX)": "a unique index CONCURRENTLY, then USING INDEX",
    r"\bSET NOT NULL": "a CHECK (… IS NOT NULL) NOT VALID, validated in a later step",
    r"\bTYPE\b": "a new column beside the old one",
    r"\b(LOCK|CLUSTER|VACUUM FULL)\b": "nothing that keeps others out",
    r"^(UPDATE|DELETE)\b": "rows are moved in small pieces by the program, not by the step",
}
ONLY_CONTRACTING = {
    r"\bDROP (?!INDEX CONCURRENTLY)": "it may be in use: drop it a release later, in a step with phase `contract`",
    r"\bRENAME\b": "older programs know the old name: add the new one beside it",
    r"\bTRUNCATE\b": "it may be in use",
    r"ADD COLUMN(?=.*NOT NULL)(?!.*DEFAULT)": "older programs do not fill it: give it a DEFAULT, or let it be NULL",
}


def problems(phase: str, sql: str) -> list[str]:
    """What is wrong with a step, each with what would be right."""
    if phase not in {"expand", "contract"}:
        return [f'phase is {phase!r}; say `phase = "expand"` or "contract"']
    rules = WITHOUT_WAITING | (ONLY_CONTRACTING if phase == "expand" else {})
    statements = [re.sub(r"--.*", "", each).strip() for each in sql.split(";\n\n")]
    own = {name for each in statements for name in re.findall(r"^CREATE (?:TABLE|SEQUENCE) (\w+)", each)}
    found, is_free, is_begun = [], False, False
    for each in statements:
        text = " ".join(each.split())
        if text in {"BEGIN", "COMMIT"}:
            is_free = text == "COMMIT"
            if is_free and is_begun:
                found.append(
                    "COMMIT in the midst: a step that gives way after it is done in part; what commits comes first"
                )
        is_begun |= text not in {"", "BEGIN", "COMMIT"} and not is_free
        if re.match(r"CREATE TABLE\b", text) or own & set(re.findall(r"(?:ON|TABLE|SEQUENCE)(?: ONLY)? (\w+)", text)):
            continue
        found += [f"{text[:80]}: {right}" for wrong, right in rules.items() if re.search(wrong, text, re.I)]
        if "CONCURRENTLY" in text and not is_free:
            found.append(f"{text[:80]}: only outside of a transaction: `with op.get_context().autocommit_block()`")
        if (name := re.search(r"CREATE .*INDEX CONCURRENTLY (\w+)", text)) and not re.search(
            rf"DROP INDEX CONCURRENTLY IF EXISTS {name[1]}\b", sql
        ):
            found.append(f"{text[:80]}: DROP INDEX CONCURRENTLY IF EXISTS first, for what an interrupted run left")
    return found


def sql_of(step: ModuleType) -> str:
    """Everything its `upgrade` would run."""
    written = io.StringIO()
    options = {"as_sql": True, "output_buffer": written, "transaction_per_migration": True}
    with Operations.context(MigrationContext.configure(dialect_name="postgresql", opts=options)):
        step.upgrade()
    return written.getvalue()


def test_there_is_one_newest_revision() -> None:
    assert SCRIPTS.get_heads() == [upgrade.newest_revision()]
    assert len(SCRIPTS.get_bases()) == 1


@pytest.mark.parametrize("step", STEPS, ids=[step.revision for step in STEPS])
def test_older_processes_work_on(step: Script) -> None:
    assert problems(getattr(step.module, "phase", ""), sql_of(step.module)) == []


BAD = [
    "ALTER TABLE sensors DROP COLUMN name",
    "DROP TABLE parked",
    "ALTER TABLE sensors RENAME COLUMN name TO title",
    "ALTER TABLE sensors ALTER COLUMN name TYPE varchar(40)",
    "ALTER TABLE sensors ALTER COLUMN location_id SET NOT NULL",
    "ALTER TABLE sensors ADD COLUMN unit text NOT NULL",
    "ALTER TABLE sensors ADD CONSTRAINT sensors_name_check CHECK (name <> '')",
    "ALTER TABLE sensors ADD FOREIGN KEY (location_id) REFERENCES locations (id)",
    "ALTER TABLE sensors ADD CONSTRAINT sensors_name_key UNIQUE (name)",
    "CREATE INDEX sensors_name_idx ON sensors (name)",
    "CREATE INDEX CONCURRENTLY sensors_name_idx ON sensors (name)",
    "UPDATE sensors SET name = ''",
    "CREATE VIEW v AS SELECT 1;\n\nCOMMIT;\n\nDROP INDEX CONCURRENTLY IF EXISTS i;\n\n"
    "CREATE INDEX CONCURRENTLY i ON sensors (name);\n\nBEGIN",
]
GOOD = [
    "ALTER TABLE sensors ADD COLUMN unit text",
    "ALTER TABLE sensors ADD COLUMN unit text NOT NULL DEFAULT ''",
    "CREATE TABLE notes (id int)",
    "CREATE TABLE notes (id int, sensor_no int);\n\nCREATE INDEX notes_sensor_no_idx ON notes (sensor_no)",
    "ALTER TABLE sensors ADD CONSTRAINT named CHECK (name <> '') NOT VALID",
    "ALTER TABLE sensors VALIDATE CONSTRAINT named",
    "COMMIT;\n\nDROP INDEX CONCURRENTLY IF EXISTS i;\n\nCREATE INDEX CONCURRENTLY i ON sensors (name);\n\nBEGIN",
]


@pytest.mark.parametrize("sql", BAD)
def test_a_step_that_breaks_or_holds_up_others_is_found(sql: str) -> None:
    assert problems("expand", sql)


@pytest.mark.parametrize("sql", GOOD)
def test_the_safe_way_is_let_through(sql: str) -> None:
    assert problems("expand", sql) == []


def test_only_a_contracting_step_removes_and_every_step_says_what_it_is() -> None:
    assert problems("contract", "ALTER TABLE sensors DROP COLUMN name") == []
    assert problems("contract", "CREATE INDEX sensors_name_idx ON sensors (name)")
    assert problems("", "CREATE TABLE notes (id int)")


def test_how_a_schema_stands_to_this_program() -> None:
    assert upgrade.age_of_schema(None) is upgrade.SchemaAge.NONE
    assert upgrade.age_of_schema(upgrade.newest_revision()) is upgrade.SchemaAge.NEWEST
    assert upgrade.age_of_schema("9999") is upgrade.SchemaAge.NEWER
