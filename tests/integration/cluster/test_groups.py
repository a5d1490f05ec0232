"""Several sensors together in a running facility: from what people set to what they see, over restarts and rebuilds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from engine.client import Unusable
from engine.model import SensorType
from tests.integration.cluster.hall import Hall, hall_of

pytestmark = pytest.mark.postgres

VOTERS = ("v0", "v1", "v2")
CALM = ["21.5"] * 3
TWO_OF_THREE = {
    "name": "Hall 2",
    "kind": "vote",
    "votes": 2,
    "off_delay_s": 0,
    "members": [{"sensor_id": name, "rules": ["high"]} for name in VOTERS],
}


@pytest_asyncio.fixture
async def hall(database_url: str, tmp_path: Path) -> AsyncIterator[Hall]:
    async with hall_of(database_url, tmp_path, dict.fromkeys(VOTERS, SensorType.TEMPERATURE)) as made:
        await read_all(made, CALM)
        await made.set_groups([TWO_OF_THREE])
        made.alarm = f"{made.numbers['Hall 2']}:vote"
        yield made


async def read_all(hall: Hall, values: list[str]) -> None:
    """One reading of each detector, at the same time."""
    await hall.say(dict(zip(VOTERS, values, strict=True)))


async def test_a_vote_lives_as_any_alarm_over_restarts(hall: Hall) -> None:
    assert await hall.shown("Hall 2") == {}
    await read_all(hall, ["26", "21.5", "21.5"])
    assert await hall.shown("Hall 2") == {}, "one of three is no vote"
    await read_all(hall, ["26", "26", "21.5"])
    assert await hall.shown("Hall 2") == {"vote": "unacknowledged"}
    entry = [entry async for entry in hall.gis.alarms.journal(alarm_id=hall.alarm)][-1]
    assert entry.message.startswith("Hall 2 in ") and entry.reason == "voted: v0, v1; out: none"
    (alert,) = await hall.gis.recent_alerts(1)
    assert alert.explanation is not None and alert.explanation == entry.explanation
    group = alert.explanation.group
    assert group is not None and (group.name, group.votes, group.need, group.of) == ("Hall 2", 2, 2, 3)
    states = [(member.sensor_id, member.state) for member in group.members]
    assert states == [("v0", "voting"), ("v1", "voting"), ("v2", "not_voting")]
    await hall.restart()
    assert await hall.state() == "unacknowledged"
    done = await hall.gis.alarms.acknowledge("f", hall.alarm, "on my way")
    assert done.is_done and await hall.state() == "acknowledged"
    await hall.rebuild()
    assert await hall.state() == "acknowledged", "rebuilt from the journal"
    for _ in range(6):
        await read_all(hall, CALM)
    assert await hall.state() == "normal"
    assert await hall.told() == ["activated", "acknowledged", "returned"]


async def test_who_leaves_the_vote_is_seen_and_ends_nothing(hall: Hall) -> None:
    await read_all(hall, ["26", "26", "21.5"])
    numbers = await hall.sensor_numbers()
    own = [f"{numbers[name]}:high" for name in VOTERS]
    for alarm in own[:2]:
        await hall.gis.alarms.out_of_service("f", alarm, "calibration")
    assert await hall.shown("Hall 2") == {"vote": "unacknowledged", "vote_degraded": "unacknowledged"}
    await hall.gis.alarms.out_of_service("f", own[2], "calibration")
    assert await hall.shown("Hall 2") == dict.fromkeys(("vote", "vote_degraded", "vote_lost"), "unacknowledged")
    degraded = hall.alarm.replace("vote", "vote_degraded")
    entries = [entry async for entry in hall.gis.alarms.journal(alarm_id=degraded)]
    assert [entry.transition for entry in entries] == ["activated"] * 3, "each is news"
    assert entries[-1].reason == "voted: none; out: v0 (out_of_service), v1 (out_of_service), v2 (out_of_service)"
    for alarm in own:
        await hall.gis.alarms.return_to_service("f", alarm)
    await read_all(hall, ["26", "26", "21.5"])
    assert await hall.shown("Hall 2") == {
        "vote": "unacknowledged",
        **dict.fromkeys(("vote_degraded", "vote_lost"), "returned_unacknowledged"),
    }


async def test_a_group_that_is_set_no_more_ends_its_alarms(hall: Hall) -> None:
    await read_all(hall, ["26", "26", "21.5"])
    await hall.gis.alarms.acknowledge("f", hall.alarm)
    await hall.set_groups()
    await read_all(hall, ["26", "26", "21.5"])
    assert await hall.shown("Hall 2") == {}
    assert await hall.told() == ["activated", "acknowledged", "returned"]


async def test_what_was_read_can_be_set_again_and_what_cannot_be_says_why(hall: Hall) -> None:
    groups = hall.gis.groups
    rest = {
        "name": "stopped",
        "while": {"not": {"sensor_id": "v1", "above": 2}},
        "alarms": [{"sensor_id": "v0", "rules": ["low"]}],
    }
    await groups.set_for_facility("f", [TWO_OF_THREE], [rest])
    before = await groups.of_facility("f")
    assert await groups.set_for_facility("f", before.groups, before.rests) == before
    assert [version.set_by_name for version in before.versions] == ["edith", "edith"]
    with pytest.raises(Unusable, match="votes is 4"):
        await groups.set_for_facility("f", [{**TWO_OF_THREE, "votes": 4}])
    assert await groups.of_facility("f") == before
