"""Which nodes the leader takes for lost, with a network of names: it answers, refuses or is silent."""

from __future__ import annotations

from collections.abc import Sequence
from unittest.mock import Mock

import pytest

from engine.placement import ray_nodes
from engine.placement.ray_nodes import Watchtower


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> dict[str, BaseException | None]:
    """What a node does when it is called; None: it answers. Ray itself takes every one for alive."""
    does: dict[str, BaseException | None] = {}

    async def call(address: str, _: int) -> tuple[Mock, Mock]:
        if (trouble := does[address]) is not None:
            raise trouble
        return Mock(), Mock()

    def listed() -> list[dict[str, object]]:
        common = {"Alive": True, "NodeManagerPort": 1, "NodeManagerHostname": "", "Resources": {}}
        return [{"NodeID": name, "NodeManagerAddress": name, **common} for name in does]

    monkeypatch.setattr("engine.placement.ray_nodes.asyncio.open_connection", call)
    monkeypatch.setattr(ray_nodes, "_listed", listed)
    return does


async def seen(tower: Watchtower, times: int) -> Sequence[bool]:
    return [(await tower.look([]))[0].alive for _ in range(times)]


@pytest.mark.parametrize(
    ("trouble", "looks_before_it_is_lost"),
    [(ConnectionRefusedError(), 2), (TimeoutError(), 3)],
    ids=["refuses", "silent"],
)
async def test_a_node_that_answered_is_lost_after_some_looks_and_found_again(
    trouble: BaseException, looks_before_it_is_lost: int, network: dict[str, BaseException | None]
) -> None:
    network["a"] = None
    tower = Watchtower()
    assert await seen(tower, 1) == [True]
    network["a"] = trouble
    assert await seen(tower, 4) == [number < looks_before_it_is_lost for number in range(1, 5)]
    network["a"] = None
    assert await seen(tower, 1) == [True]


@pytest.mark.parametrize("trouble", [ConnectionRefusedError(), TimeoutError()], ids=["refuses", "silent"])
async def test_a_node_that_has_never_answered_carries_nothing_until_it_does(
    trouble: BaseException, network: dict[str, BaseException | None]
) -> None:
    network["a"] = trouble
    tower = Watchtower()
    assert await seen(tower, 2) == [False, False]
    network["a"] = None
    assert await seen(tower, 1) == [True]
