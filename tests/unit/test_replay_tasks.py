"""Which parts of replays are begun where, and what becomes of one whose process is gone."""

from __future__ import annotations

import asyncio
from collections import Counter, deque

import pytest
from ray.exceptions import WorkerCrashedError

from engine.clock import ManualClock
from engine.cluster.replays import AT_ONCE_MAX, ReplayTasks
from engine.errors import StoreUnavailable
from engine.historian.replays import ReplayPart
from engine.placement.nodes import Node


class Table:
    """Parts that wait, and what was done with them."""

    def __init__(self, waiting: int) -> None:
        self.waiting = deque(ReplayPart("r", number, f"f{number}", 1, {}) for number in range(waiting))
        self.put = 0
        self.told: list[str] = []
        self.is_away = False

    async def begin_again(self) -> None:
        if self.is_away:
            raise StoreUnavailable("away")
        self.told.append("again")

    async def claim(self, parts_max: int) -> list[ReplayPart]:
        return [self.waiting.popleft() for _ in range(min(parts_max, len(self.waiting)))]

    async def put_back(self, part: ReplayPart) -> None:
        if self.is_away:
            raise StoreUnavailable("away")
        self.waiting.append(part)
        self.told.append(part.facility_id)

    async def sum_up(self, now_us: int) -> None: ...


class Processes:
    """Each goes on until it is told to end."""

    def __init__(self) -> None:
        self.places: Counter[str] = Counter()
        self.running: dict[str, asyncio.Future[None]] = {}

    async def run(self, part: ReplayPart, node_id: str) -> None:
        self.places[node_id] += 1
        self.running[part.facility_id] = asyncio.get_running_loop().create_future()
        try:
            await self.running[part.facility_id]
        finally:
            self.places[node_id] -= 1


def node(name: str, cpus: float, *, drained: bool = False, alive: bool = True) -> Node:
    return Node(name, name, name, alive, cpus, drained)


def tasks_of(table: Table, processes: Processes) -> ReplayTasks:
    return ReplayTasks(table, ManualClock(0), processes.run)


async def turn(tasks: ReplayTasks, nodes: list[Node]) -> None:
    await tasks.step(nodes)
    for _ in range(3):
        await asyncio.sleep(0)


async def test_a_node_has_as_many_as_processors_and_a_drained_or_lost_one_none() -> None:
    table, processes = Table(9), Processes()
    tasks = tasks_of(table, processes)
    nodes = [node("a", 2), node("b", 1), node("c", 4, drained=True), node("d", 4, alive=False)]
    await turn(tasks, nodes)
    assert +processes.places == {"a": 2, "b": 1}
    processes.running["f0"].set_result(None)
    await asyncio.sleep(0)
    await turn(tasks, nodes)
    assert +processes.places == {"a": 2, "b": 1} and len(table.waiting) == 5
    tasks.stop()


async def test_no_more_at_once_than_the_database_shall_bear() -> None:
    table, processes = Table(AT_ONCE_MAX + 1), Processes()
    tasks = tasks_of(table, processes)
    await turn(tasks, [node("a", 64), node("b", 64)])
    assert +processes.places == {"a": AT_ONCE_MAX / 2, "b": AT_ONCE_MAX / 2} and len(table.waiting) == 1
    tasks.stop()


@pytest.mark.parametrize("error", [WorkerCrashedError(), StoreUnavailable("away")])
async def test_what_ended_with_its_process_is_put_back_as_soon_as_the_database_takes_it(error: Exception) -> None:
    table, processes = Table(1), Processes()
    tasks = tasks_of(table, processes)
    await turn(tasks, [node("a", 1)])
    processes.running["f0"].set_exception(error)
    await asyncio.sleep(0)
    table.is_away = True
    with pytest.raises(StoreUnavailable):
        await turn(tasks, [node("a", 1)])
    table.is_away = False
    await turn(tasks, [node("a", 1)])
    assert table.told == ["again", "f0"] and +processes.places == {"a": 1}, "and begun again at once"
    tasks.stop()


async def test_who_begins_to_lead_begins_everything_again_once() -> None:
    table = Table(0)
    tasks = tasks_of(table, Processes())
    table.is_away = True
    with pytest.raises(StoreUnavailable):
        await tasks.step([])
    table.is_away = False
    await tasks.step([])
    await tasks.step([])
    assert table.told == ["again"]
