"""A replay of what was lived gives the stored journal, row by row; with other rules, what would have been lived."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from engine.clock import US_PER_S, ManualClock
from engine.replay import stored
from engine.replay.proposed_groups import FIRST_NUMBER
from engine.replay.replaying import look, replay_facility
from engine.replay.values import Basis, Difference, FacilityResult, Period, Proposal, ReplayRefused, Wanted
from tests.conftest import database_named
from tests.fakes.messages import T0_US
from tests.integration.replay.lived import DAY_US, EITHER_IS_HOT, RULES, STEP_S, STEPS, Lived

pytestmark = pytest.mark.postgres

END_US = T0_US + STEPS * STEP_S * US_PER_S
WHOLE = Period(T0_US, END_US)
HOUR_US = 3_600 * US_PER_S
MID = STEPS // 2
Row = tuple[str, str, int | None]
JOURNAL = "SELECT alarm_key, transition, (extract(epoch FROM event_time) * 1000000)::int8 FROM alarm_events"
PROPOSED = (Proposal(sensor_id="s0", rules=RULES),)


@pytest_asyncio.fixture
async def other_url(postgres_url: str, _template: str) -> AsyncIterator[str]:
    """The database of another server."""
    name = f"other_{os.getpid()}"
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE {_template} STRATEGY FILE_COPY")
    yield database_named(postgres_url, name)
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


async def replayed(database_url: str, lived: Lived, wanted: Wanted) -> FacilityResult:
    async with stored.opened(database_url) as connection:
        known = await look(connection, [lived.facility_id], wanted)
        return await replay_facility(
            connection, known[lived.facility_id], wanted, lived.settings, lambda done, readings: None
        )


def replayed_row(each: Difference) -> Row:
    return each.alarm_key, each.transition, each.replayed_us


def stored_row(each: Difference) -> Row:
    return each.alarm_key, each.transition, each.stored_us


async def journal(database_url: str) -> list[Row]:
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch(JOURNAL)
    await connection.close()
    return [tuple(row) for row in rows]


async def test_what_was_lived_is_replayed_without_a_difference(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also over rules that come due in the midst."""
    lived = Lived(database_url, ManualClock(T0_US))
    await lived.run(planned_for=MID, with_groups=True)
    result = await replayed(database_url, lived, Wanted(WHOLE))
    told = await journal(database_url)
    assert {transition for _, transition, _ in told} >= {
        "activated", "returned", "acknowledged", "shelved", "unshelved", "past_excursion"
    }  # fmt: skip
    assert {key.partition(":")[2] for key, _, _ in told} >= {"high", "vote", "vote_degraded"}
    assert result.differences == () and result.is_same and result.remarks == ()
    assert result.alarms["same"] + result.others["same"] == len(told) > 100
    assert result.before == result.after and result.before.alarms > 10
    assert (await replayed(database_url, lived, Wanted(WHOLE))).checksum == result.checksum

    middle = Period(T0_US + DAY_US + 5 * HOUR_US, T0_US + 2 * DAY_US)
    part = await replayed(database_url, lived, Wanted(middle))
    assert part.is_same and part.begun_us is not None and T0_US < part.begun_us < middle.from_us
    assert 0 < part.readings < result.readings and part.checksum != result.checksum

    with monkeypatch.context() as pieces:
        pieces.setattr(stored, "ENTRIES_AT_ONCE", 2)  # a step of three stands in two pieces
        pieces.setattr(stored, "ROWS_AT_ONCE", 1)
        assert (await replayed(database_url, lived, Wanted(middle))).checksum == part.checksum

    silent = Period(
        T0_US + 41 * HOUR_US, T0_US + 45 * HOUR_US
    )  # in which a voter says nothing, whatever its limits are
    today = await replayed(database_url, lived, Wanted(silent, Basis.TODAY))
    degraded = [at_us or 0 for key, _, at_us in told if key.endswith(":vote_degraded")]
    assert any(silent.from_us <= at_us < silent.until_us for at_us in degraded)
    assert not any(each.rule == "vote_degraded" for each in today.differences), "today's groups are those of then"


async def test_a_proposed_limit_gives_what_a_server_that_had_it_tells(database_url: str, other_url: str) -> None:
    lived, other = Lived(database_url, ManualClock(T0_US)), Lived(other_url, ManualClock(T0_US))
    await lived.run()
    await other.run(rules_from=1)
    result = await replayed(database_url, lived, Wanted(WHOLE, Basis.TODAY, PROPOSED))
    before, after = set(await journal(database_url)), set(await journal(other_url))
    moved = [each for each in result.differences if each.kind in {"earlier", "later"}]
    added = [each for each in result.differences if each.kind == "added"]
    removed = [each for each in result.differences if each.kind == "removed"]
    assert set(map(replayed_row, added + moved)) == after - before
    assert set(map(stored_row, removed + moved)) == before - after
    assert result.alarms["removed"] + len(moved) > 3 and not result.is_same
    told = await replayed(other_url, other, Wanted(WHOLE, Basis.TODAY))
    assert told.is_same and told.after == result.after

    middle = Period(T0_US + 29 * HOUR_US, T0_US + 2 * DAY_US)
    part = await replayed(database_url, lived, Wanted(middle, Basis.TODAY, PROPOSED))
    assert part.begun_us is not None and part.begun_us < middle.from_us - DAY_US
    within = {(each.alarm_key, each.kind, each.replayed_us) for each in part.differences if each.is_alarm}
    assert within and within <= {(each.alarm_key, each.kind, each.replayed_us) for each in result.differences}

    without = await replayed(database_url, lived, Wanted(WHOLE, Basis.TODAY))
    assert without.is_same, "today's rules were those of then"


async def test_proposed_groups_give_what_a_server_that_had_them_tells(database_url: str, other_url: str) -> None:
    lived, other = Lived(database_url, ManualClock(T0_US)), Lived(other_url, ManualClock(T0_US))
    await lived.run(steps=MID)
    await other.run(steps=MID, with_groups=True)
    proposed = (Proposal("f", groups={"groups": [EITHER_IS_HOT]}),)
    period = Period(T0_US, T0_US + MID * STEP_S * US_PER_S)
    result = await replayed(database_url, lived, Wanted(period, Basis.TODAY, proposed))
    added = set(map(replayed_row, result.differences))
    assert {each.kind for each in result.differences} == {"added"}
    told = {(key.partition(":")[2], *rest) for key, *rest in await journal(other_url) if "vote" in key}
    assert told and {(key.removeprefix(f"{FIRST_NUMBER}:"), *rest) for key, *rest in added} == told

    stranger = Proposal("f", groups={"groups": [{**EITHER_IS_HOT, "members": [{"sensor_id": "x", "rules": ["high"]}]}]})
    with pytest.raises(ReplayRefused, match="has no sensor 'x' to be in a group"):
        await replayed(database_url, lived, Wanted(period, Basis.TODAY, (stranger,)))
    too_many = Proposal("f", groups={"groups": [{**EITHER_IS_HOT, "votes": 9}]})
    with pytest.raises(ReplayRefused, match="votes is 9"):
        await replayed(database_url, lived, Wanted(period, Basis.TODAY, (too_many,)))


async def execute(database_url: str, *statements: str) -> None:
    connection = await asyncpg.connect(database_url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def test_where_the_log_does_not_lead_on_it_is_said_and_the_rest_is_judged(database_url: str) -> None:
    """A state that had to be rebuilt, and a log that an older program had cut off at its checkpoint."""

    async def spoil() -> None:
        await execute(database_url, "UPDATE checkpoints SET state = 'rotten'")

    lived = Lived(database_url, ManualClock(T0_US))
    await lived.run(before={250: spoil})
    rebuilt = await replayed(database_url, lived, Wanted(WHOLE))
    assert rebuilt.differences == () and ["the state was rebuilt" in remark for remark in rebuilt.remarks] == [True]
    await execute(
        database_url,
        "DELETE FROM facility_commits WHERE commit_no <= (SELECT min(commit_no) FROM kept_checkpoints)",
    )
    since = await replayed(database_url, lived, Wanted(WHOLE))
    assert since.differences == () and since.judged_from_us is not None and since.judged_from_us > T0_US
    assert "the commit log is kept since" in since.remarks[0] and 0 < since.readings < rebuilt.readings
    await execute(database_url, "DELETE FROM kept_checkpoints")
    nothing = await replayed(database_url, lived, Wanted(WHOLE))
    assert (nothing.judged_from_us, nothing.readings, nothing.is_same) == (None, 0, False)
    assert "no commit log of it is kept" in nothing.remarks[0]


async def test_a_journal_that_was_changed_is_found_out(database_url: str) -> None:
    lived = Lived(database_url, ManualClock(T0_US))
    await lived.run()
    activated = "(SELECT min(id) FROM alarm_events WHERE transition = 'activated')"
    await execute(
        database_url,
        f"UPDATE alarm_events SET limit_value = limit_value + 1 WHERE id = {activated}",
        f"DELETE FROM alarm_events WHERE id = {activated} + 1",
    )
    result = await replayed(database_url, lived, Wanted(WHOLE))
    assert [(each.kind, each.fields) for each in result.differences] == [("changed", ("limit",)), ("added", ())]
    assert result.alarms["changed"] == 1 and not result.is_same


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Wanted(Period(END_US, T0_US)), "ends before it begins"),
        (Wanted(WHOLE, proposals=(Proposal(sensor_id="nobody", rules={}),)), "has a sensor 'nobody'"),
        (Wanted(WHOLE, proposals=(Proposal("g", None, "Pressure", {}),)), "'g' is not replayed"),
        (Wanted(WHOLE, proposals=(Proposal("f", None, "Colour", {}),)), "no type of sensors 'Colour'"),
        (Wanted(WHOLE, proposals=(Proposal(sensor_id="s", detection={"budget_days": -1}),)), "budget_days -1"),
        (Wanted(WHOLE, proposals=(Proposal(sensor_id="s", rules={"rules": [{"rule": "loud"}]}),)), "loud"),
    ],
)
async def test_what_cannot_be_replayed_is_refused_in_words(database_url: str, wanted: Wanted, said: str) -> None:
    await execute(
        database_url,
        "INSERT INTO locations (longitude, latitude) VALUES (10, 59)",
        "INSERT INTO facilities SELECT 'f', 'Alpha', 'Active', 'TankFarm', id, now() FROM locations",
        "INSERT INTO sensors (id, facility_id, name, status, type, expected_freq, signal_interval_s, installed_at,"
        " status_changed_at) VALUES ('s', 'f', 'S', 'Active', 'Temperature', '15S', 15, now(), now())",
    )
    async with stored.opened(database_url) as connection:
        with pytest.raises(ReplayRefused, match=said):
            await look(connection, ["f"], wanted)
        with pytest.raises(ReplayRefused, match="no facility 'nowhere'"):
            await look(connection, ["f", "nowhere"], Wanted(WHOLE))
