"""Where processes are put, moved and kept, with nodes that are only values."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from engine.commands import drain
from engine.commands.drain import check_drainable, find_node
from engine.errors import ClusterUnavailable, SettingsError
from engine.facility.directory import Directory
from engine.facility.mover import STEADY_S_MIN
from engine.facility.port import Answer, Result, Share
from engine.historian.overview import Overview
from engine.placement.nodes import Node, homes, least_loaded, next_move, processes_max
from tests.fakes.messages import activation, batch, setup
from tests.unit.test_directory import Starter, directory_of
from tests.unit.test_directory import starter as starter  # noqa: PLC0414  a fixture

A, B, C = (Node(name, f"10.0.0.{number}", name, alive=True) for number, name in enumerate("abc"))


def test_actors_live_on_nodes_with_cpus_that_are_not_drained_and_in_need_on_any() -> None:
    bare, drained, dead = replace(A, cpus=0.0), replace(B, drained=True), replace(C, alive=False)
    assert homes([bare, B, dead]) == [B]
    assert homes([bare, drained, dead]) == [bare]
    assert homes([drained, dead]) == [drained]
    assert homes([dead]) == []


def test_the_least_loaded_node_is_chosen() -> None:
    assert least_loaded([A, B, C], {"a": 2, "b": 1, "c": 1}) == "b"
    assert least_loaded([], {}) is None


def test_four_processes_a_core_and_then_facilities_share() -> None:
    assert processes_max([]) is None
    assert processes_max([A]) == 4
    assert processes_max([replace(A, cpus=2.0), B]) == 12
    assert processes_max([replace(A, cpus=0.0)]) == 4, "where nothing else is, a node carries what one core does"


@pytest.mark.parametrize(("per_host", "slots"), [(1, [0, 1, 2, 3, 0, 1, 2, 3, 0]), (2, [0, 0, 1, 1, 2, 2, 3, 3, 0])])
async def test_facilities_share_processes_when_there_are_as_many_as_the_cores_carry(
    starter: Starter, per_host: int, slots: list[int]
) -> None:
    directory = directory_of(starter, per_host=per_host)
    directory.arrange([A])
    directory.add_known("abcdefghi")
    assert [directory.slot_of(name) for name in "abcdefghi"] == slots
    directory.arrange([A, B])
    directory.add_known("j")
    assert directory.slot_of("j") == 4, "another node carries another process"


def test_drained_nodes_are_emptied_before_anything_is_balanced() -> None:
    places = {0: ("a", 1), 1: ("b", 1), 2: ("b", 1), 3: ("b", 1)}
    assert next_move([replace(A, drained=True), B, C], places, balance=True) == (0, "c")
    assert next_move([A, B, C], places, balance=False) is None


def test_balancing_comes_to_an_end() -> None:
    places = {number: ("a", weight) for number, weight in enumerate((5, 3, 3, 2, 1, 1))}
    moves = 0
    while move := next_move([A, B, C], places, balance=True):
        places[move[0]] = (move[1], places[move[0]][1])
        moves += 1
    carried = [sum(weight for node, weight in places.values() if node == name) for name in "abc"]
    assert moves <= len(places)
    assert carried == [5, 5, 5]


async def _settled() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def _with_facilities(starter: Starter, names: str) -> Directory:
    directory = directory_of(starter, per_host=1)
    directory.arrange([A, B])
    for name in names:
        await directory.apply(name, [setup(name)])
    return directory


def nodes_of(starter: Starter) -> list[str]:
    return sorted(host.node_id for host in starter.hosts.values() if host.node_id)


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        ({}, "no engine has ever reported: only a running one moves facilities"),
        ({"state": "running", "age_s": 61.0}, "the engine is running and last reported 61 s ago"),
        ({"state": "stopped", "age_s": 1.0}, "the engine is stopped and last reported 1 s ago"),
    ],
)
async def test_a_drain_needs_an_engine_that_runs(
    engine: dict[str, object], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def overview(url: str, facilities: int) -> Overview:
        return Overview("", {"engine": engine} if engine else {}, [], {})

    monkeypatch.setattr(drain, "read_overview", overview)
    with pytest.raises(ClusterUnavailable, match=said):
        await drain._nodes("")


async def test_new_processes_are_spread_and_a_lost_node_is_left_at_once(starter: Starter) -> None:
    directory = await _with_facilities(starter, "wxyz")
    assert nodes_of(starter) == ["a", "a", "b", "b"]
    directory.arrange([replace(A, alive=False), B])
    await _settled()
    assert nodes_of(starter) == ["b"] * 4
    assert {node for node, _ in directory.places().values()} == {"b"}


async def test_what_was_on_a_lost_node_is_spread_over_the_others(starter: Starter) -> None:
    directory = directory_of(starter, per_host=1)
    directory.arrange([A, B, C])
    for name in "uvwxyz":
        await directory.apply(name, [setup(name)])
    assert nodes_of(starter) == ["a", "a", "b", "b", "c", "c"]
    directory.arrange([replace(A, alive=False), B, C])
    await _settled()
    assert nodes_of(starter) == ["b", "b", "b", "c", "c", "c"]


async def test_a_process_that_hangs_while_it_loads_elsewhere_holds_calls_back_for_a_bounded_time(
    starter: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = await _with_facilities(starter, "f")

    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    with monkeypatch.context() as hanging:
        hanging.setattr("engine.facility.mover.START_S_MAX", 0.01)
        hanging.setattr(starter.kind, "load", hang)
        directory.arrange([replace(A, drained=True), B])
        await asyncio.sleep(0.1)
    async with asyncio.timeout(1):
        answers = await directory.apply("f", [activation()])
    assert answers.result is Result.DONE


async def test_a_node_that_joins_gets_its_share_once_things_are_steady(starter: Starter) -> None:
    directory = await _with_facilities(starter, "uvwxyz")
    directory.arrange([A, B, C])
    await _settled()
    assert "c" not in nodes_of(starter)
    await starter.clock.advance(STEADY_S_MIN + 1)
    for _ in range(5):
        directory.arrange([A, B, C])
        await _settled()
    assert nodes_of(starter) == ["a", "a", "b", "b", "c", "c"]


async def test_a_move_loses_nothing_and_holds_calls_back_meanwhile(starter: Starter) -> None:
    directory = await _with_facilities(starter, "f")
    await directory.apply("f", [activation()])
    directory.arrange([replace(A, drained=True), B])
    answers = await directory.ingest([Share("f", (batch(("s", 1, "21")),))])
    assert answers == {"f": Answer(Result.DONE)}
    assert nodes_of(starter) == ["b"]
    assert list(starter.historian.readings.values()) == ["21"]


async def test_a_process_that_cannot_finish_stays_where_it_is(
    starter: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.facility.mover.QUIET_S_MAX", 0.01)
    directory = await _with_facilities(starter, "f")

    async def hang(*_: object) -> dict[str, Answer]:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(starter.hosts[0], "ingest", hang)
    stuck = asyncio.create_task(directory.ingest([Share("f", (batch(("s", 1, "21")),))]))
    await _settled()
    directory.arrange([replace(A, drained=True), B])
    await asyncio.sleep(0.1)
    assert nodes_of(starter) == ["a"]
    stuck.cancel()


ROW = {"node_id": "0a1b2c", "address": "10.0.0.1", "hostname": "left", "alive": True, "drained": False}
OTHER = {**ROW, "node_id": "0a9999", "hostname": "right"}


def test_a_node_is_found_by_whatever_names_only_it() -> None:
    assert find_node([ROW, OTHER], "0a1b") == ROW
    assert find_node([ROW, OTHER], "right") == OTHER
    with pytest.raises(SettingsError, match=r"2 nodes are called 10\.0\.0\.1"):
        find_node([ROW, OTHER], "10.0.0.1")
    with pytest.raises(SettingsError, match="no node is there; there are: 0a1b2c at"):
        find_node([ROW], "there")


def test_the_last_node_cannot_be_drained() -> None:
    check_drainable([ROW, OTHER], ROW)
    with pytest.raises(SettingsError, match="is the last node that can carry facilities"):
        check_drainable([ROW, {**OTHER, "drained": True}], ROW)
