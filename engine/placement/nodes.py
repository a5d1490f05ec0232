"""The nodes of the cluster as plain values, and where an actor should be. Ray's side: `engine.placement.ray_nodes`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

PROCESSES_PER_CPU: Final = 4
"""More of them than this cost memory, about 110 MB each, and do no more work."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node as of now.

    alive    Ray says so, and it answers
    drained  somebody asked for everything to leave it
    head     Ray's head runs there
    """

    node_id: str
    address: str
    hostname: str
    alive: bool
    cpus: float = 1.0
    drained: bool = False
    head: bool = False


def homes(nodes: Iterable[Node]) -> list[Node]:
    """Nodes that actors may be put on.

    A node without CPUs (often the head, or a node that only brings a program to the cluster) carries actors only when
    there is no other; a drained one only when it is the last.
    """
    living = [node for node in nodes if node.alive]
    wanted = [node for node in living if not node.drained] or living
    return [node for node in wanted if node.cpus > 0] or wanted


def processes_max(nodes: Iterable[Node]) -> int | None:
    """How many processes of facilities there may be on these nodes; None while no node is known."""
    cpus = [max(1.0, node.cpus) for node in homes(nodes)]
    return int(PROCESSES_PER_CPU * sum(cpus)) if cpus else None


def least_loaded(nodes: Iterable[Node], carried: Mapping[str, int]) -> str | None:
    """The home with the least on it; None while no node is known (Ray decides then)."""
    found = sorted(homes(nodes), key=lambda node: (carried.get(node.node_id, 0), node.node_id))
    return found[0].node_id if found else None


def next_move(nodes: Sequence[Node], places: Mapping[int, tuple[str, int]], *, balance: bool) -> tuple[int, str] | None:
    """The next process to move, and the node to move it to; None when all is well. `places`: number -> (node, weight).

    Off drained and unsuitable nodes first. Balancing moves only what makes the difference between two nodes smaller, so
    that it comes to an end.
    """
    allowed = {node.node_id for node in homes(nodes)}
    carried = carried_by(places.values())
    target = least_loaded(nodes, carried)
    if target is None:
        return None
    for number, (node_id, _) in sorted(places.items()):
        if node_id not in allowed:
            return number, target
    if not balance:
        return None
    fullest = max(allowed, key=lambda node_id: (carried[node_id], node_id))
    return _lightening(places, fullest, target, carried[fullest] - carried[target])


def carried_by(places: Collection[tuple[str, int]]) -> Counter[str]:
    """Weight on each node."""
    carried: Counter[str] = Counter()
    for node_id, weight in places:
        carried[node_id] += weight
    return carried


def _lightening(
    places: Mapping[int, tuple[str, int]], fullest: str, target: str, difference: int
) -> tuple[int, str] | None:
    movable = [(weight, number) for number, (node_id, weight) in places.items() if node_id == fullest]
    fitting = [(abs(weight - difference / 2), number) for weight, number in movable if 0 < weight < difference]
    return (min(fitting)[1], target) if fitting else None
