"""`gasinsight replay`: what it says, and its exit status."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from engine.clock import ManualClock
from tests.fakes.messages import T0_US
from tests.integration.gasinsight import gasinsight
from tests.integration.replay.lived import RULES, Lived

pytestmark = pytest.mark.postgres

PERIOD = ("--from", "2026-01-01", "--to", "2026-01-03")


async def test_it_says_zero_differences_or_which(database_url: str, tmp_path: Path) -> None:
    await Lived(database_url, ManualClock(T0_US)).run()
    proposed, broken = tmp_path / "proposed.json", tmp_path / "broken.json"
    proposed.write_text(json.dumps([{"sensor_id": "s0", "rules": RULES}]))
    broken.write_text(json.dumps([{"sensor_id": "s0", "rule": RULES}]))
    words = ("replay", "--facility", "f", *PERIOD)
    runs = await asyncio.gather(
        *(
            asyncio.to_thread(gasinsight, *words, *more, database_url=database_url)
            for more in ((), ("--rules", str(proposed), "--json"), ("--rules", str(broken)), ("--facility", "g"))
        )
    )
    same, other, refused, unknown = runs
    assert same.returncode == 0, same.stdout + same.stderr
    assert "f: the stored journal exactly" in same.stdout and "zero differences" in same.stdout
    events = [json.loads(line) for line in other.stdout.splitlines()]
    assert other.returncode == 1, other.stderr
    assert events[0]["event"] == "facility" and events[0]["alarms"]["removed"] > 0
    assert len([each for each in events if each["event"] == "difference"]) == events[-1]["differences"] > 0
    assert events[-1]["readings_per_s"] > 0
    assert (refused.returncode, unknown.returncode) == (2, 2)
    assert "proposal 1 is no object with" in refused.stderr and "there is no facility 'g'" in unknown.stderr
