"""Groups of every kind in a running facility: their alarms come, are journaled, live over restarts and rebuilds; and
what is seen when a third of the sensors is cut off.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from engine.client import GroupFirst
from engine.model import SensorType
from tests.integration.cluster.hall import Hall, hall_of

pytestmark = pytest.mark.postgres

DETECTORS = tuple(f"t{number}" for number in range(10))
CUT_OFF = ("t0", "t3", "t6")
STATES = {
    "asked": SensorType.VALVE_STATUS,
    "valve": SensorType.VALVE_STATUS,
    "compressor": SensorType.COMPRESSOR_STATUS,
}
WORDS = {"asked": "Open", "valve": "Open", "compressor": "Running"}
CALM = dict.fromkeys(DETECTORS, "21.5") | WORDS


@pytest_asyncio.fixture
async def hall(database_url: str, tmp_path: Path) -> AsyncIterator[Hall]:
    sensors = dict.fromkeys(DETECTORS, SensorType.TEMPERATURE) | STATES
    async with hall_of(database_url, tmp_path, sensors) as made:
        await made.say(CALM)
        yield made


def members(*names: str) -> list[dict[str, Any]]:
    return [{"sensor_id": name, "rules": ["high"]} for name in names]


async def lives(hall: Hall, look: Callable[[], Awaitable[Any]]) -> Any:
    """What is seen, the same after another process took the facility over, and after it was rebuilt."""
    seen = await look()
    await hall.restart()
    assert await look() == seen, "from the checkpoint and the log"
    await hall.rebuild()
    assert await look() == seen, "from the readings and the journal"
    return seen


async def test_a_valve_that_does_not_obey(hall: Hall) -> None:
    await hall.set_groups(
        [{"name": "V-12", "kind": "discrepancy", "commanded": "asked", "reported": "valve", "on_delay_s": 15}]
    )
    hall.alarm = f"{hall.numbers['V-12']}:discrepancy"
    await hall.say({"asked": "Closed", "valve": "Open"})
    assert await hall.shown("V-12") == {}, "it has time to move"
    await hall.say({"asked": "Closed", "valve": "Open"})

    assert await lives(hall, lambda: hall.shown("V-12")) == {"discrepancy": "unacknowledged"}
    (entry,) = [entry async for entry in hall.gis.alarms.journal(alarm_id=hall.alarm)]
    assert "commanded 'Closed', reported 'Open'" in entry.message.replace('"', "'")
    for _ in range(2):
        await hall.say({"asked": "Closed", "valve": "I/O Timeout"})
    assert await hall.shown("V-12") == {"discrepancy": "unacknowledged", "input_unknown": "unacknowledged"}
    await hall.say({"asked": "Closed", "valve": "Closed"})
    assert await hall.shown("V-12") == dict.fromkeys(("discrepancy", "input_unknown"), "returned_unacknowledged")
    assert await hall.told() == ["activated", "returned"]


async def test_a_combination_is_an_alarm_of_its_own(hall: Hall) -> None:
    both = {"all": [{"sensor_id": "t0", "rule": "high"}, {"sensor_id": "valve", "is": "Open"}]}
    await hall.set_groups([{"name": "hot and open", "kind": "combination", "when": both}])
    hall.alarm = f"{hall.numbers['hot and open']}:combination"
    await hall.say({"t0": "21.5", "valve": "Open"})
    assert await hall.shown("hot and open") == {}
    await hall.say({"t0": "26", "valve": "Open"})
    assert (await hall.gis.alarms.acknowledge("f", hall.alarm)).is_done
    assert await lives(hall, lambda: hall.shown("hot and open")) == {"combination": "acknowledged"}
    await hall.say({"t0": "26", "valve": "Closed"})
    assert await hall.shown("hot and open") == {}
    assert await hall.told() == ["activated", "acknowledged", "returned"]


async def test_the_first_of_a_trip_is_marked(hall: Hall) -> None:
    await hall.set_groups([{"name": "Trip", "kind": "first_out", "members": members("t0", "t1")}])
    hall.alarm = f"{hall.numbers['Trip']}:first_out"
    await hall.say({"t1": "26"}, seconds=1)
    await hall.say({"t0": "26"}, seconds=1)
    assert await lives(hall, lambda: hall.shown("Trip")) == {"first_out": "acknowledged"}, "it is told to nobody"
    (entry,) = [entry async for entry in hall.gis.alarms.journal(alarm_id=hall.alarm)]
    assert entry.message.endswith("first out is t1 (high)")
    assert entry.explanation is not None and entry.explanation.group is not None
    assert entry.explanation.group.first == GroupFirst(sensor_id="t1", rule="high")
    for _ in range(6):
        await hall.say(CALM)
    assert await hall.shown("Trip") == {}
    assert await hall.told() == ["activated_silently", "returned"]


async def test_what_rests_by_design_is_told_when_it_rests_no_longer(hall: Hall) -> None:
    hall.alarm = f"{(await hall.sensor_numbers())['t0']}:low"
    rest = {
        "name": "stopped",
        "while": {"sensor_id": "compressor", "is": "Stopped"},
        "alarms": [{"sensor_id": "t0", "rules": ["low"]}],
    }
    await hall.set_groups(rests=[rest])
    await hall.say({"compressor": "Stopped"})
    await hall.say({"t0": "15"})
    alerts = await hall.gis.recent_alerts()
    await hall.restart()
    assert await hall.state() == "by_design"
    await hall.say({"compressor": "Running"})
    assert await hall.state() == "unacknowledged"
    assert len(await hall.gis.recent_alerts()) == len(alerts) + 1, "told now"
    assert await hall.told() == ["suppressed", "activated_silently", "unsuppressed", "activated"]
    entries = [entry async for entry in hall.gis.alarms.journal(alarm_id=hall.alarm)]
    assert [entry.reason for entry in entries if "suppressed" in entry.transition] == [
        "by design: stopped is so",
        "by design: stopped is no longer so",
    ]


async def test_a_third_of_the_sensors_is_cut_off(hall: Hall) -> None:
    """Nothing clears, each silence is told, and the votes are seen to be degraded."""
    votes = {f"hall {number}": DETECTORS[3 * number : 3 * number + 3] for number in range(3)}
    await hall.set_groups(
        [
            *({"name": name, "kind": "vote", "votes": 2, "members": members(*of)} for name, of in votes.items()),
            {"name": "hot", "kind": "combination", "when": {"sensor_id": "t0", "rule": "high"}},
            {"name": "pair", "kind": "discrepancy", "commanded": "t3", "reported": "t4", "limit": 3},
            {"name": "Trip", "kind": "first_out", "members": members("t6", "t7")},
        ]
    )
    before = CALM | {"t0": "26", "t1": "26", "t3": "26", "t6": "26"}
    await hall.say(before)
    await hall.tick()
    last = [entry async for entry in hall.gis.alarms.journal(facility_id="f")][-1].id
    left = {name: value for name, value in before.items() if name not in CUT_OFF}
    for _ in range(8):
        await hall.say(left)
        await hall.tick()

    journal = [entry async for entry in hall.gis.alarms.journal(facility_id="f")]
    told = sorted((entry.rule, entry.sensor_id) for entry in journal if entry.id > last)
    unseen = [("input_unknown", None)] * 2 + [("stale", name) for name in CUT_OFF] + [("vote_degraded", None)] * 3
    assert told == unseen, "and no alarm has ended"

    async def seen() -> dict[str, dict[str, str]]:
        return {name: await hall.shown(name) for name in hall.numbers}

    assert await lives(hall, seen) == {
        "hall 0": {"vote": "unacknowledged", "vote_degraded": "unacknowledged"},
        "hall 1": {"vote_degraded": "unacknowledged"},
        "hall 2": {"vote_degraded": "unacknowledged"},
        "hot": {"combination": "unacknowledged", "input_unknown": "unacknowledged"},
        "pair": {"discrepancy": "unacknowledged", "input_unknown": "unacknowledged"},
        "Trip": {"first_out": "acknowledged"},
    }
    for _ in range(6):
        await hall.say(CALM)
    for name, states in (await seen()).items():
        assert set(states.values()) <= {"returned_unacknowledged"}, f"{name} is whole again"
