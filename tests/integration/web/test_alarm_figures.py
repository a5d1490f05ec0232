"""Alarm figures: equal to a slow computation from the journal, quick over a month, and of what one may view only."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.web.harness import Web, web_server
from tests.integration.web.slow_figures import Row, moment, slow_figures
from web.api import alarm_figures
from web.api.alarm_figures import RANGE_MAX
from web.figures.lives import READ, ROWS_MAX

pytestmark = pytest.mark.postgres
T0 = datetime(2026, 10, 1, tzinfo=UTC)
MOVES = ("activated", "activated_silently", "acknowledged")
SPREADS = ("acknowledged_after", "stood")
COLUMNS = (
    "id", "facility_id", "alarm_key", "sensor_no", "rule", "rule_version", "transition", "event_time", "recorded_at",
    "priority", "alert_type", "message", "explanation", "late", "actor", "reason",
)  # fmt: skip
FOLD = """
INSERT INTO alarms (facility_id, alarm_key, sensor_no, rule, active, acknowledged, suppression, latched, priority,
                    since, last_event_id)
SELECT DISTINCT ON (facility_id, alarm_key) facility_id, alarm_key, sensor_no, rule, false, true, 'none', false, 'low',
       event_time, id
  FROM alarm_events ORDER BY facility_id, alarm_key, id DESC
"""


async def store(web: Web, journal: list[Row], sensor_no: int | None = None) -> None:
    """As rows of the journal and of the present."""
    rows = [
        (place, *row.alarm, sensor_no, row.alarm[1].rpartition(":")[2], place, row.transition, row.at, row.at,
         row.priority, "Anomaly", "", "{}", row.late, "system", "")
        for place, row in enumerate(journal, 1)
    ]  # fmt: skip
    await web.database.copy_records_to_table("alarm_events", records=rows, columns=COLUMNS)
    await web.database.execute(FOLD)
    await web.database.execute("ANALYZE alarm_events")


def lived(seed: int, days: float) -> list[Row]:
    """Alarms of two facilities: calm ones, ones that chatter, that stand for days, that are shelved; and floods."""
    chance = random.Random(seed)
    journal = [row for place in range(18) for row in life(chance, place, T0 + timedelta(days=days))]
    return sorted(journal, key=lambda row: row.at)


def life(chance: random.Random, place: int, end: datetime) -> Iterator[Row]:
    """Of one alarm."""
    alarm = ("ns"[place % 2], f"{place}:high")
    priority = chance.choice(("low", "low", "low", "medium", "high", "critical"))
    rest_s = (3 * 3600, 8 * 3600, 30 * 3600)[place % 3]
    stands_s = (25, 1800, 40 * 3600)[place % 3]
    at = T0 + timedelta(seconds=chance.uniform(0, rest_s))
    while at < end:
        for transition in happens(chance):
            if at < end:
                yield Row(alarm, at, transition, priority, transition == "past_excursion")
            at += timedelta(seconds=chance.expovariate(1 / stands_s) if transition in MOVES else 1)
        is_again = place % 3 == 0 and chance.random() < 0.8
        at += timedelta(seconds=chance.uniform(1, 20) if is_again else chance.expovariate(1 / rest_s))


def happens(chance: random.Random) -> Iterator[str]:
    """From the beginning of an alarm to its end and beyond."""
    if chance.random() < 0.1:
        yield "activated_silently"
        if chance.random() < 0.5:
            yield "activated"
    else:
        yield "activated"
        if chance.random() < 0.1:
            yield "re_alarmed"
    if chance.random() < 0.5:
        yield "acknowledged"
    yield "returned"
    if chance.random() < 0.3:
        yield "acknowledged"
    if chance.random() < 0.1:
        yield "past_excursion"


async def figures(web: Web, headers: dict[str, str] | None = None, **query: Any) -> list[dict[str, Any]]:
    answer = await web.client.get("/alarm-figures", headers=headers or await web.admin(), params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["figures"]
    return found


def known(values: dict[str, float | None]) -> dict[str, float]:
    """With a number that is none of these in the place of what nobody can say."""
    return {name: -1.0 if value is None else value for name, value in values.items()}


def compare(found: dict[str, Any], slow: dict[str, Any]) -> None:
    assert found["tally"] == slow["tally"]
    measures = {one["name"]: one["value"] for one in found["measures"]}
    for what, wanted in ((measures, slow["measures"]), *((found[name], slow[name]) for name in SPREADS)):
        assert known(what) == pytest.approx(known(wanted), rel=1e-9)
    assert [(one["day"], one["activations"], one["stale"]) for one in found["days"]] == [
        (one["day"], one["activations"], one["stale"]) for one in slow["days"]
    ]
    assert [one["flood_s"] for one in found["days"]] == pytest.approx([one["flood_s"] for one in slow["days"]])
    offenders = [((one["facility_id"], one["alarm_id"]), one["activations"]) for one in found["offenders"]]
    assert offenders == slow["offenders"]
    floods = [(moment(one["began"]), one["ended"] and moment(one["ended"])) for one in found["floods"]]
    if len(floods) < 20:
        assert sorted(floods) == slow["floods"]


async def test_figures_equal_a_slow_computation_over_a_hundred_random_ranges(database_url: str, tmp_path: Path) -> None:
    journal, chance, days = lived(7, 3.5), random.Random(11), 3.5
    assert any(row.late for row in journal) and len(journal) > 1000
    async with web_server(database_url, tmp_path) as web:
        for facility_id in "ns":
            await web.facility(facility_id)
        await store(web, journal)
        headers = await web.admin()
        floods = stale = 0
        for _ in range(100):
            start = T0 + timedelta(seconds=chance.uniform(0, days * 86400))
            end = start + timedelta(seconds=chance.choice((chance.uniform(60, 7200), chance.uniform(7200, 86400))))
            of: str | None = chance.choice(("n", "s", None))
            query = {"start_date": start.isoformat(), "end_date": end.isoformat()}
            some = [row for row in journal if of in {None, row.alarm[0]}]
            (found,) = await figures(web, headers, **query, **({"facility_id": of} if of else {}))
            compare(found, slow_figures(some, start, end))
            floods += len(found["floods"])
            stale += len(found["stale"])
        assert floods > 20 and stale > 20, "what the ranges were to show was not there"
        (both,) = await figures(web, headers, facility_id=["n", "s"], start_date=T0.isoformat())
        (every,) = await figures(web, headers, start_date=T0.isoformat())
        assert both["tally"] == every["tally"]


async def test_a_month_of_five_thousand_sensors_is_counted_whole(database_url: str, tmp_path: Path) -> None:
    chance, journal = random.Random(3), []
    for place in range(5000):
        alarm = ("n", f"{place}:high")
        for _ in range(5):
            at = T0 + timedelta(seconds=chance.uniform(0, 30 * 86400))
            for transition in ("activated", "acknowledged", "returned"):
                journal.append(Row(alarm, at, transition, "low", late=False))
                at += timedelta(seconds=chance.uniform(60, 600))
    journal.sort(key=lambda row: row.at)
    async with web_server(database_url, tmp_path) as web:
        await web.facility("n")
        await store(web, journal)
        headers = await web.admin()
        month = {"start_date": T0.isoformat(), "end_date": (T0 + timedelta(days=30)).isoformat()}
        (found,) = await figures(web, headers, **month)
        assert found["tally"]["activations"] == 25_000


async def test_windows_roll_to_now_and_an_offender_is_named(database_url: str, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    async with web_server(database_url, tmp_path) as web:
        await web.facility("n")
        number = await web.sensor("n1", "n")
        alarm = ("n", f"{number}:high")
        ages_s = (20 * 86400, 3700, 300, 280, 260)
        told = [Row(alarm, now - timedelta(seconds=age_s), "activated", "low", late=False) for age_s in ages_s]
        await store(web, told, number)
        found = await figures(web)
        assert [(one["window"], one["tally"]["activations"]) for one in found] == [("10m", 3), ("24h", 4), ("30d", 5)]
        (day,) = await figures(web, window="24h")
        assert day["window"] == "24h" and day["measures"] == found[1]["measures"]
        (worst,) = day["offenders"]
        assert (worst["sensor_id"], worst["sensor_name"], worst["is_chattering"]) == ("n1", "Sensor n1", True)
        (stale,) = day["stale"]
        assert stale["standing_s"] == pytest.approx(86400)
        met = {one["name"]: one["met"] for one in day["measures"]}
        assert (met["chattering"], met["stale_on_a_day"], met["top_ten_share"]) == (False, True, None)


async def test_a_range_with_more_rows_than_are_read_is_refused(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert READ.rstrip().endswith(f"LIMIT {ROWS_MAX + 1}"), "one more than may be, to see that there are too many"
    rows = [Row(("n", "1:high"), T0 + timedelta(minutes=n), "activated", "low", late=False) for n in range(5)]
    async with web_server(database_url, tmp_path) as web:
        await web.facility("n")
        await store(web, rows)
        for most, status in ((5, 200), (4, 422)):
            monkeypatch.setattr(alarm_figures, "ROWS_MAX", most)
            asked = {"start_date": "2026-10-01", "end_date": "2026-10-01"}
            answer = await web.client.get("/alarm-figures", headers=await web.admin(), params=asked)
            assert answer.status_code == status, answer.text
        assert "more than 4 rows" in answer.text


async def test_one_sees_figures_of_what_one_may_view_and_wrong_ranges_are_told(
    database_url: str, tmp_path: Path
) -> None:
    async with web_server(database_url, tmp_path) as web:
        for facility_id in "ns":
            await web.facility(facility_id)
        rows = [Row((each, "1:high"), T0, "activated", "low", late=False) for each in "nss"]
        await store(web, rows)
        _, viewer, _ = await web.user("vera", ("n", "View"))
        range_: dict[str, Any] = {"start_date": "2026-10-01", "end_date": "2026-10-01"}
        assert (await figures(web, viewer, **range_))[0]["tally"]["activations"] == 1
        assert (await figures(web, **range_))[0]["tally"]["activations"] == 3
        for facility_ids, status in ((["s"], 403), (["n", "s"], 403), (["absent"], 404), (["n"], 200)):
            answer = await web.client.get("/alarm-figures", headers=viewer, params={"facility_id": facility_ids})
            assert answer.status_code == status, (facility_ids, answer.text)
        end = T0 + RANGE_MAX
        over = end + timedelta(microseconds=1)
        for query, status in (
            ({"start_date": T0.isoformat(), "end_date": end.isoformat()}, 200),
            ({"start_date": T0.isoformat(), "end_date": over.isoformat()}, 422),
            ({"start_date": "2026-10-02", "end_date": "2026-10-01"}, 422),
            ({"end_date": "2026-10-01"}, 422),
            ({"start_date": "2026-10-01", "window": "24h"}, 422),
            ({"window": "1h"}, 422),
        ):
            answer = await web.client.get("/alarm-figures", headers=viewer, params=query)
            assert answer.status_code == status, (query, answer.text)
