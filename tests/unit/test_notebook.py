"""What a query says about times and ids, and what a row may know of alarms."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.exports.datasets import ALARMS, UTC_TIME, schema_of
from engine.exports.selection import WHOLE_US
from engine.notebook import labelled
from engine.notebook.pushdown import about_only, time_bounds

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
T0 = datetime(2026, 11, 20, tzinfo=UTC)
tracked = pl.col("tracked_at")


def us(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def at(minute: int) -> datetime:
    return T0 + timedelta(minutes=minute)


# --- what a predicate says --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("predicate", "start_us", "end_us"),
    [
        (tracked >= at(1), us(at(1)), WHOLE_US[1]),
        (tracked > at(1), us(at(1)) + 1, WHOLE_US[1]),
        (tracked <= at(1), WHOLE_US[0], us(at(1)) + 1),
        (tracked < at(1), WHOLE_US[0], us(at(1))),
        (tracked == at(1), us(at(1)), us(at(1)) + 1),
        (tracked.is_between(at(1), at(2)), us(at(1)), us(at(2)) + 1),
        (tracked.is_between(at(1), at(2), closed="left"), us(at(1)), us(at(2))),
        (tracked >= pl.datetime(2026, 11, 20, 0, 1, time_zone="UTC"), us(at(1)), WHOLE_US[1]),
        ((tracked >= at(1)) & (tracked < at(9)) & (pl.col("value") > 3) & (tracked < at(5)), us(at(1)), us(at(5))),
        ((tracked >= at(1)) | (tracked < at(0)), *WHOLE_US),
        (tracked.dt.hour() == 3, *WHOLE_US),
        (pl.col("value") > 3, *WHOLE_US),
    ],
)
def test_bounds_are_those_of_the_comparison(predicate: pl.Expr, start_us: int, end_us: int) -> None:
    assert time_bounds(predicate, "tracked_at") == (start_us, end_us)


minutes = st.integers(0, 30).map(at)
comparisons = st.one_of(
    st.builds(
        lambda name, moment: getattr(tracked, name)(moment),
        st.sampled_from(["__ge__", "__gt__", "__le__", "__lt__", "__eq__", "__ne__"]),
        minutes,
    ),
    st.builds(
        lambda one, other, closed: tracked.is_between(one, other, closed=closed),
        minutes,
        minutes,
        st.sampled_from(["both", "left", "right", "none"]),
    ),
    st.just(pl.col("value") > 0),
    st.just(tracked.dt.minute() % 2 == 0),
)
predicates = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds(lambda one, other: one & other, inner, inner),
        st.builds(lambda one, other: one | other, inner, inner),
        st.builds(lambda one: ~one, inner),
    ),
    max_leaves=6,
)
ROWS = pl.DataFrame(
    {"tracked_at": [at(minute) for minute in range(31)], "value": [float(n % 3 - 1) for n in range(31)]},
    schema_overrides={"tracked_at": UTC_TIME},
)


@given(predicates)
def test_no_row_that_meets_the_predicate_lies_outside_of_its_bounds(predicate: pl.Expr) -> None:
    start_us, end_us = time_bounds(predicate, "tracked_at")
    found = ROWS.filter(predicate)["tracked_at"].to_physical()
    assert all(start_us <= time_us < end_us for time_us in found)


def test_conditions_about_ids_are_found_among_others() -> None:
    one, other = pl.col("sensor_id").is_in(["a", "b"]), pl.col("facility_id").str.starts_with("n")
    found = about_only((tracked >= at(1)) & one & (pl.col("value") > 1) & other, {"sensor_id", "facility_id"})
    assert len(found) == 2
    assert any(condition.meta.eq(one) for condition in found)
    assert about_only(one | (pl.col("value") > 1), {"sensor_id"}) == []


# --- labels -----------------------------------------------------------------------------------------------------------


def journal(*rows: tuple[str, str | None, str, str, datetime, datetime]) -> pl.DataFrame:
    """facility, sensor, rule, transition, event_time, recorded_at"""
    schema = schema_of(ALARMS.columns)
    filled = [
        dict.fromkeys(schema)
        | {
            "id": number,
            "facility_id": facility_id,
            "sensor_id": sensor_id,
            "rule": rule,
            "transition": transition,
            "event_time": event_time,
            "recorded_at": recorded_at,
            "priority": "high",
        }
        for number, (facility_id, sensor_id, rule, transition, event_time, recorded_at) in enumerate(rows, 1)
    ]
    return pl.DataFrame(filled, schema=schema)


def readings(sensor_id: str = "s", facility_id: str = "f", count: int = 10) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "facility_id": [facility_id] * count,
            "sensor_id": [sensor_id] * count,
            "tracked_at": [at(n) for n in range(count)],
            "value": [float(n) for n in range(count)],
        },
        schema_overrides={"tracked_at": UTC_TIME},
    )


def in_alarm(frame: pl.DataFrame) -> list[int]:
    return [row for row, stood in enumerate(frame["in_alarm"]) if stood]


def test_a_row_carries_an_alarm_from_when_it_was_known_and_looking_back_from_when_it_was_so() -> None:
    alarms = journal(
        ("f", "s", "high", "activated", at(2), at(4)),
        ("f", "s", "high", "returned", at(5), at(7)),
    )
    then = labelled(readings(), alarms)
    assert in_alarm(then) == [4, 5, 6]
    assert then["alarms"][4].to_list() == [
        {"rule": "high", "priority": "high", "since": at(2), "known_since": at(4), "id": 1, "verdict": None}
    ]
    assert in_alarm(labelled(readings(), alarms, as_of=at(60))) == [2, 3, 4]
    assert in_alarm(labelled(readings(), alarms, as_of=at(6))) == [2, 3, 4, 5, 6, 7, 8, 9], "its end was not known yet"
    assert in_alarm(labelled(readings(), alarms, as_of=at(3))) == []


def test_a_row_carries_the_verdict_that_was_known_at_its_time_and_looking_back_the_last() -> None:
    told = journal(
        ("f", "s", "high", "activated", at(1), at(1)),
        ("f", "s", "high", "verdict", at(4), at(4)),
        ("f", "s", "high", "verdict", at(6), at(7)),
        ("f", "s", "high", "verdict", at(2), at(3)),
    )
    given, about = pl.Series([None, "true", "false", "expected"]), pl.Series([None, 1, 1, 9], dtype=pl.Int64)
    alarms = told.with_columns(given.alias("verdict"), about.alias("about_id"))

    def verdicts(as_of: datetime | None = None) -> list[str | None]:
        found = labelled(readings(), alarms, as_of=as_of)
        return [alarm["verdict"] for alarms in found["alarms"].to_list() for alarm in alarms]

    assert verdicts() == [None] * 3 + ["true"] * 3 + ["false"] * 3
    assert verdicts(at(60)) == ["false"] * 9
    assert verdicts(at(6)) == ["true"] * 9, "the second was not recorded yet"
    assert verdicts(at(3)) == [None] * 9
    older = labelled(readings(), told.drop("verdict", "about_id"))
    assert older["alarms"].to_list()[5][0]["verdict"] is None


def test_no_row_changes_with_what_is_recorded_after_it() -> None:
    """However much the journal grows, what a row carries point in time stays."""
    rows = [
        ("f", "s", rule, transition, at(minute), at(minute + delay))
        for minute, (rule, transition, delay) in enumerate(
            [("high", "activated", 0), ("low", "activated", 3), ("high", "returned", 2), ("low", "returned", 0)] * 2
        )
    ]
    whole = labelled(readings(count=12), journal(*rows))
    for minute in range(12):
        known = journal(*rows).filter(pl.col("recorded_at") <= at(minute))
        part = labelled(readings(count=12), known)
        assert part.head(minute + 1).equals(whole.head(minute + 1)), minute


def test_an_alarm_is_of_its_sensor_and_one_of_a_facility_of_all_its_sensors() -> None:
    rows = pl.concat([readings("s"), readings("t"), readings("u", "g")])
    alarms = journal(
        ("f", "s", "high", "activated", at(1), at(1)),
        ("f", None, "facility_anomaly", "activated", at(5), at(5)),
    )
    found = labelled(rows, alarms)
    assert found.drop("alarms", "in_alarm").equals(rows)
    assert in_alarm(found) == [*range(1, 10), *range(15, 20)]
    assert [alarm["rule"] for alarm in found["alarms"][7]] == ["high", "facility_anomaly"]


def test_without_alarms_every_row_says_none() -> None:
    found = labelled(readings(), journal())
    assert found["in_alarm"].to_list() == [False] * 10
    assert found["alarms"].to_list() == [[]] * 10
    assert labelled(readings(), journal(("f", "s", "high", "activated", at(1), at(1)))).schema == found.schema


def test_any_order_of_rows_keeps_it() -> None:
    rows = readings().sample(fraction=1, shuffle=True, seed=3)
    alarms = journal(("f", "s", "high", "activated", at(4), at(4)))
    found = labelled(rows, alarms)
    assert found.drop("alarms", "in_alarm").equals(rows)
    assert found.filter("in_alarm")["value"].min() == 4
