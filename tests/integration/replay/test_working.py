"""One part of a replay as its process works at it: what is told of each way in which it can end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from engine.clock import ManualClock
from engine.errors import StoreUnavailable
from engine.historian.replays import ReplayPart
from engine.replay import working
from engine.replay.working import FAILED_INSIDE, work
from engine.settings import Settings
from tests.fakes.messages import T0_US
from tests.integration.replay.lived import DAY_US, Lived

pytestmark = pytest.mark.postgres
SETTINGS = Settings(_env_file=None)
DAY = {"from_us": T0_US, "until_us": T0_US + DAY_US, "basis": "then", "proposals": []}
NOWHERE = "postgresql://127.0.0.1:1/none"


class Heard:
    """What the process tells."""

    def __init__(self, *, is_wanted: bool = True) -> None:
        self._is_wanted = is_wanted
        self.told: list[tuple[float, int]] = []
        self.result: Mapping[str, Any] | None = None
        self.problem: str | None = None

    async def tell(self, part: ReplayPart, progress: float, readings: int) -> bool:
        self.told.append((progress, readings))
        return self._is_wanted

    async def end(self, part: ReplayPart, result: Mapping[str, Any], readings: int) -> None:
        self.result = result

    async def fail(self, part: ReplayPart, problem: str) -> None:
        self.problem = problem


def part_of(facility_id: str, **wanted: Any) -> ReplayPart:
    return ReplayPart("r", 1, facility_id, 1, DAY | wanted)


async def test_how_far_it_is_and_what_came_of_it(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await Lived(database_url, ManualClock(T0_US)).run(steps=100)
    monkeypatch.setattr(working, "TELL_S", 0.005)
    heard = Heard()
    await work(part_of("f"), heard, database_url, SETTINGS)
    assert heard.result is not None and heard.problem is None
    assert heard.result["is_same"] and heard.result["readings"] == heard.told[-1][1] > 100
    assert [progress for progress, _ in heard.told] == sorted(progress for progress, _ in heard.told)

    unwanted = Heard(is_wanted=False)
    await work(part_of("f"), unwanted, database_url, SETTINGS)
    assert (len(unwanted.told), unwanted.result, unwanted.problem) == (1, None, None)


async def test_what_cannot_be_replayed_fails_with_its_sentence(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, broken = Heard(), Heard()
    await work(part_of("gone"), gone, database_url, SETTINGS)
    assert gone.problem == "there is no facility 'gone' any more" and gone.result is None
    await work(part_of("f", proposals="nonsense"), broken, database_url, SETTINGS)
    assert broken.problem is not None and broken.problem.startswith("proposals are a JSON list")
    inside = Heard()
    monkeypatch.setattr(working, "replay_facility", None)
    await Lived(database_url, ManualClock(T0_US)).run(steps=2)
    await work(part_of("f"), inside, database_url, SETTINGS)
    assert inside.problem == FAILED_INSIDE, "the reason is the log's to tell"


async def test_a_database_that_is_away_is_no_answer() -> None:
    heard = Heard()
    with pytest.raises(StoreUnavailable):
        await work(part_of("f"), heard, NOWHERE, SETTINGS)
    assert (heard.result, heard.problem) == (None, None)
