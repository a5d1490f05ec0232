"""Reports of a month and of a shift, as JSON, CSV and a page."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from tests.integration.web.harness import Web, web_server
from web.api import report_rows, reports
from web.contract.report_shapes import NOTE_MAX

pytestmark = pytest.mark.postgres
T0 = datetime(2026, 10, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
EVENT = """
INSERT INTO alarm_events (id, facility_id, alarm_key, sensor_no, rule, rule_version, transition, event_time,
                          recorded_at, priority, alert_type, message, explanation, late, actor, reason, command_id)
VALUES (nextval('alarm_events_id_seq'), $1, $2, $3, 'high', 1, $4, $5, $5, 'low', 'Anomaly', $6, '{}', false, $7, $8,
        $9)
RETURNING id
"""
COMMAND = """
INSERT INTO alarm_commands (command_id, facility_id, alarm_key, command, asked_at, actor, actor_name, reason,
                            work_order, verdict, about_event_id, state, refusal)
VALUES ($1, 'n', $2, $3, $4, 'user:1', 'ann', $5, $6, $7, $8, $9, '')
"""


class Plant:
    """A facility with a sensor, and what people did to its alarms."""

    def __init__(self, web: Web, number: int) -> None:
        self.web = web
        self.alarm = f"{number}:high"
        self.number = number
        self.commands = 0

    async def event(self, transition: str, at: datetime, message: str = "too high", **said: Any) -> int:
        alarm, number = said.get("alarm", self.alarm), None if "alarm" in said else self.number
        row = ("n", alarm, number, transition, at, message, said.get("actor", "system"), "", said.get("command_id"))
        found: int = await self.web.database.fetchval(EVENT, *row)
        return found

    async def command(self, command: str, at: datetime, transition: str = "", **said: Any) -> None:
        self.commands += 1
        name, state = f"c{self.commands}", said.get("state", "done")
        about = (said.get("verdict"), said.get("event_id"))
        row = (name, self.alarm, command, at, said.get("reason", ""), said.get("work_order"), *about, state)
        await self.web.database.execute(COMMAND, *row)
        if transition:
            await self.event(transition, at, "", actor="user:1", command_id=name)

    async def report(self, name: str, accept: str = "application/json", **query: Any) -> httpx.Response:
        headers = {**await self.web.admin(), "Accept": accept}
        answer = await self.web.client.get(f"/reports/{name}", headers=headers, params=query)
        assert answer.status_code == 200, answer.text
        return answer


@asynccontextmanager
async def plant(database_url: str, tmp_path: Path) -> AsyncIterator[Plant]:
    async with web_server(database_url, tmp_path) as web:
        await web.facility("n", name="<b>North</b>")
        await web.facility("s")
        made = Plant(web, await web.sensor("n1", "n"))
        await web.database.execute("UPDATE sensors SET status = 'Active'")
        yield made


def lines(report: dict[str, Any], kind: str) -> list[tuple[Any, ...]]:
    entries = [entry for entry in report["entries"] if entry["kind"] == kind]
    return [(entry["what"], entry["since"], entry["until"], entry["seconds"], entry["by"]) for entry in entries]


async def test_the_list_of_a_month_says_what_was_off_scan_inhibited_and_false(
    database_url: str, tmp_path: Path
) -> None:
    async with plant(database_url, tmp_path) as site:
        await site.web.alarm("n", site.alarm, site.number, since=T0 - 40 * 24 * HOUR)
        before = datetime(2026, 9, 30, 23, tzinfo=UTC)
        await site.command("shelve", before, "shelved", reason="calibration")
        await site.event("unshelved", before + 3 * HOUR)
        await site.command("out_of_service", T0, "out_of_service", reason="replaced", work_order="4711")
        await site.command("shelve", T0 + HOUR)  # without effect: no row of the journal
        await site.command("shelve", T0 + HOUR + timedelta(seconds=1), state="refused")
        await site.event("in_service", T0 + 26 * HOUR)
        wrong = await site.event("activated", T0 + 48 * HOUR, "gas!")
        await site.event("returned", T0 + 49 * HOUR)
        right = await site.event("activated", T0 + 50 * HOUR)
        for event_id, verdict, at in ((wrong, "true", 1), (wrong, "false", 2), (right, "false", 3), (right, "true", 4)):
            said: dict[str, Any] = {"verdict": verdict, "event_id": event_id, "reason": "a plug"}
            await site.command("verdict", T0 + 60 * HOUR + timedelta(seconds=at), **said)
        await site.web.alarm("n", "facility:silent", since=datetime(2026, 11, 1, tzinfo=UTC))
        stale = f"{site.number}:stale"
        await site.web.alarm("n", stale, site.number, since=T0 + 3 * HOUR)
        rules = '{"rules": [{"rule": "low", "enabled": false}, {"rule": "high", "limit": 3}]}'
        for settings, set_at in ((rules, T0), ("{}", T0 + HOUR)):
            await site.web.database.execute(
                "INSERT INTO sensor_rules (facility_id, sensor_id, settings, set_at, set_by, set_by_name)"
                " VALUES ('n', 'n1', $1, $2, 'user:1', 'ann')", settings, set_at
            )  # fmt: skip
        report = (await site.report("monthly", month="2026-10")).json()
        assert (report["month"], report["start"]) == ("2026-10", "2026-10-01T00:00:00")
        assert lines(report, "off_scan") == [
            ("out of service", "2026-10-10T00:00:00", "2026-10-11T02:00:00", 26 * 3600, "ann")
        ]
        assert lines(report, "inhibited") == [
            ("shelved", "2026-09-30T23:00:00", "2026-10-01T02:00:00", 2 * 3600, "ann"),
            ("rule low switched off", "2026-10-10T00:00:00", "2026-10-10T01:00:00", 3600, "ann"),
        ]
        assert lines(report, "false_alarm") == [("gas!", "2026-10-12T00:00:00", "2026-10-12T01:00:00", 3600, "ann")]
        (blind,) = lines(report, "not_reporting")
        end = datetime(2026, 11, 1, tzinfo=UTC) - timedelta(microseconds=1)
        assert blind[:3] == ("stale", "2026-10-10T03:00:00", None)
        assert blind[3] == pytest.approx((end - T0 - 3 * HOUR).total_seconds())
        assert lines(report, "forced") == [] and "forced or manual" in report["remarks"][0]
        first = next(entry for entry in report["entries"] if entry["kind"] == "off_scan")
        assert (first["why"], first["sensor_id"]) == ("replaced, work order 4711", "n1")
        september = (await site.report("monthly", month="2026-09", facility_id="n")).json()
        assert [entry["kind"] for entry in september["entries"]] == ["inhibited"]
        assert (await site.report("monthly", month="2026-10", facility_id="s")).json()["entries"] == []
        await site.web.database.execute("UPDATE sensors SET status = 'Inactive', status_changed_at = $1", T0)
        off = lines((await site.report("monthly", month="2026-10")).json(), "off_scan")
        assert [line[0] for line in off] == ["out of service", "inactive"]


async def test_a_month_has_its_figures(database_url: str, tmp_path: Path) -> None:
    async with plant(database_url, tmp_path) as site:
        for minute in range(12):
            await site.event("activated", T0 + timedelta(minutes=minute / 2))
        report = (await site.report("figures", month="2026-10")).json()
        assert (report["month"], report["figures"]["tally"]["activations"]) == ("2026-10", 12)
        table = (await site.report("figures", "text/csv", month="2026-10")).text.splitlines()
        assert table[0] == '"name","value","unit","target","met"' and len(table) == 11
        assert any(line.startswith('"most_in_10_min",12') for line in table)
        said = (await site.report("figures", "text/html", month="2026-10")).text
        assert '<td class="no">no</td>' in said and "most in 10 min" in said


async def test_the_next_shift_is_told(database_url: str, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    async with plant(database_url, tmp_path) as site:
        shelved = {"suppression": "shelved", "suppressed_at": now - HOUR, "suppressed_by": "user:1"}
        about = {"suppressed_until": now + HOUR, "suppression_reason": "calibration"}
        await site.web.alarm("n", site.alarm, site.number, since=now - 20 * HOUR, **shelved, **about)
        await site.command("shelve", now - HOUR, "shelved", reason="calibration")
        await site.web.alarm("n", "facility:silent", since=now - 2 * HOUR)
        headers = await site.web.admin()
        written = await site.web.client.post("/shift-notes/n", headers=headers, json={"note": " valve 3 sticks "})
        assert written.status_code == 200 and written.json()["note"] == "valve 3 sticks"
        report = (await site.report("handover", facility_id="n")).json()
        assert (report["counts"]["shelved"], report["counts"]["unacknowledged"]) == (1, 1)
        whats = {
            kind: [line[0] for line in lines(report, kind)] for kind in ("stands", "kept_back", "happened", "note")
        }
        assert whats == {
            "stands": ["unacknowledged: too high"],
            "kept_back": ["shelved: too high"],
            "happened": ["activated: too high", "shelved"],
            "note": ["valve 3 sticks"],
        }
        (kept,) = [entry for entry in report["entries"] if entry["kind"] == "kept_back"]
        assert (kept["by"], kept["why"], kept["seconds"]) == ("ann", "calibration", pytest.approx(3600, abs=60))
        early = {"start_date": (now - 20 * HOUR).isoformat(), "end_date": (now - 19 * HOUR).isoformat()}
        assert lines((await site.report("handover", **early)).json(), "note") == []
        assert (await site.report("handover", facility_id="s")).json()["entries"] == []


async def test_a_report_is_a_table_or_a_page_that_does_nothing(database_url: str, tmp_path: Path) -> None:
    async with plant(database_url, tmp_path) as site:
        await site.event("activated", datetime.now(UTC) - HOUR, "<script>alert(1)</script>\u202e")
        answer = await site.report("handover", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8" and "Accept" in answer.headers["Vary"]
        assert "<script" not in answer.text and "&lt;b&gt;North" in answer.text and "\u202e" not in answer.text
        (style,) = re.findall("<style>(.*?)</style>", answer.text, re.DOTALL)
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy
        assert f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" in policy
        table = (await site.report("handover", "text/csv")).text.splitlines()
        assert table[0].startswith('"kind","facility_id","facility_name"') and table[1].startswith('"happened","n"')
        assert json.loads((await site.report("handover", "*/*")).text)["entries"]


async def test_a_note_has_lines(database_url: str, tmp_path: Path) -> None:
    async with plant(database_url, tmp_path) as site:
        headers = await site.web.admin()
        for note, status in (
            ("one\r\n\n<b>two</b>\n=2+2\n", 200),
            ("one\rtwo", 422),
            ("one\n\ttwo", 422),
            ("one\u2028two", 422),
            ("one\n\x1b[2J", 422),
            ("\n \n", 422),
        ):
            answer = await site.web.client.post("/shift-notes/n", headers=headers, json={"note": note})
            assert answer.status_code == status, (note, answer.text)
        told = "one\n\n<b>two</b>\n=2+2"
        assert [
            one["note"] for one in (await site.web.client.get("/shift-notes", headers=headers)).json()["notes"]
        ] == [told]
        assert [line[0] for line in lines((await site.report("handover")).json(), "note")] == [told]
        table = (await site.report("handover", "text/csv")).text.splitlines()
        assert len(table) == 2 and '"one / <b>two</b> / =2+2"' in table[1]
        assert "<td>one<br><br>&lt;b&gt;two&lt;/b&gt;<br>=2+2</td>" in (await site.report("handover", "text/html")).text


async def test_a_report_of_more_lines_than_it_may_have_is_refused(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements = (*report_rows.OF_MONTH, report_rows.STANDING, report_rows.HAPPENED)
    assert all(f"LIMIT {report_rows.ENTRIES_MAX + 1}" in sql for sql in statements)
    async with plant(database_url, tmp_path) as site:
        for minute in range(3):
            await site.command("shelve", T0 + timedelta(minutes=minute), "shelved", reason="calibration")
        headers = await site.web.admin()
        written = await site.web.client.post("/shift-notes/n", headers=headers, json={"note": "valve 3 sticks"})
        assert written.status_code == 200
        shift = {"start_date": T0.isoformat(), "end_date": (datetime.now(UTC) + HOUR).isoformat()}
        for name, query, lines_ in (("monthly", {"month": "2026-10"}, 3), ("handover", shift, 4)):
            for most, status in ((lines_, 200), (lines_ - 1, 422)):
                monkeypatch.setattr(reports, "ENTRIES_MAX", most)
                answer = await site.web.client.get(f"/reports/{name}", headers=headers, params=query)
                assert answer.status_code == status, (name, most, answer.text)
            assert f"more than {lines_ - 1} lines" in answer.text


async def test_who_may_and_what_is_refused(database_url: str, tmp_path: Path) -> None:
    async with plant(database_url, tmp_path) as site:
        user_id, viewer, _ = await site.web.user("vera", ("n", "View"), ("s", "Edit"))
        client = site.web.client
        assert (await client.post("/shift-notes/n", headers=viewer, json={"note": "x"})).status_code == 403
        for note, status in (
            ("x" * (NOTE_MAX - 2) + "\ny", 200),
            ("x" * (NOTE_MAX - 1) + "\ny", 422),
            ("x" * NOTE_MAX, 200),
            ("x" * (NOTE_MAX + 1), 422),
            (" ", 422),
            ("\u4e2d" * NOTE_MAX, 200),
        ):
            assert (await client.post("/shift-notes/s", headers=viewer, json={"note": note})).status_code == status
        notes = (await client.get("/shift-notes", headers=viewer)).json()["notes"]
        assert [note["author"] for note in notes] == [f"user:{user_id}"] * 3 and notes[0]["note"].startswith("\u4e2d")
        assert (await client.get("/shift-notes", headers=viewer, params={"facility_id": "n"})).json() == {"notes": []}
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with site.web.database.transaction():
                await site.web.database.execute("SET LOCAL ROLE gasinsight_web; UPDATE shift_notes SET note = ''")
        for month, status in (("2026-10", 200), ("2026-13", 422), ("1969-12", 422), ("2190-01", 422), ("10-2026", 422)):
            answer = await client.get("/reports/monthly", headers=viewer, params={"month": month})
            assert answer.status_code == status, (month, answer.text)
        await site.web.database.execute("UPDATE facilities SET retired_at = now() WHERE id = 's'")
        assert (await client.post("/shift-notes/s", headers=viewer, json={"note": "x"})).status_code == 409
