"""The nodes of the Ray cluster: what Ray says of them, and whether they answer, which is known much sooner.

Ray takes a node for dead after its health checks have failed for a while (15 s with its defaults). A node whose raylet
refuses connections will not come back, so nobody has to wait for that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import Any, Final

import ray
from ray.exceptions import ActorUnschedulableError, RayActorError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from engine.errors import ClusterUnavailable
from engine.placement.nodes import Node

ANSWER_S_MAX: Final = 1.0
DOUBTS_MAX: Final = 6
ACTOR_GONE: Final = (RayActorError, ActorUnschedulableError)
LIST_S_MAX: Final = 10.0
NAME_CHECKS_MAX: Final = 50
NAME_CHECK_S: Final = 0.1

ACTOR_OPTIONS: Final[dict[str, Any]] = {
    "num_cpus": 0,
    "max_restarts": -1,
    "max_task_retries": 0,
    "lifetime": "detached",
}


class Watchtower:
    """Looks at the nodes now and then; one is lost when it refuses us twice in a row, or is silent three times.

    A machine that is only slow is silent at most; should it be taken for lost by mistake, it gets its share again. One
    that has never answered us is not counted on: who begins to lead may do so because it is gone.
    """

    def __init__(self) -> None:
        self._doubts: dict[str, int] = {}

    async def look(self, drained: Collection[str]) -> list[Node]:
        """All nodes that ever were, those of `drained` marked. Raises ClusterUnavailable when Ray does not say."""
        try:
            found = await asyncio.wait_for(asyncio.to_thread(_listed), LIST_S_MAX)
        except TimeoutError:
            raise ClusterUnavailable(f"Ray has not listed its nodes for {LIST_S_MAX:g} s") from None
        alive = await asyncio.gather(*(self._lives(node) for node in found))
        return [
            Node(
                node_id=node["NodeID"],
                address=node["NodeManagerAddress"],
                hostname=node["NodeManagerHostname"],
                alive=lives,
                cpus=node["Resources"].get("CPU", 0.0),
                drained=node["NodeID"] in drained,
                head="node:__internal_head__" in node["Resources"],
            )
            for node, lives in zip(found, alive, strict=True)
        ]

    async def _lives(self, node: dict[str, Any]) -> bool:
        if not node["Alive"]:
            return False
        node_id = node["NodeID"]
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                _, writer = await asyncio.open_connection(node["NodeManagerAddress"], node["NodeManagerPort"])
            writer.close()
            self._doubts[node_id] = 0
        except TimeoutError:
            self._doubts[node_id] = self._doubts.get(node_id, DOUBTS_MAX) + DOUBTS_MAX // 3
        except OSError:
            self._doubts[node_id] = self._doubts.get(node_id, DOUBTS_MAX) + DOUBTS_MAX // 2
        return self._doubts[node_id] < DOUBTS_MAX


def placed(name: str, namespace: str, node_id: str | None) -> dict[str, Any]:
    """Options of one of our actors: found if it lives, made on this node and no other.

    With a soft affinity Ray has put actors elsewhere although the node was there. Should the node be gone, the actor
    fails (ACTOR_GONE), and the leader, who knows, starts it where it can be.
    """
    options = {**ACTOR_OPTIONS, "name": name, "namespace": namespace, "get_if_exists": True}
    if node_id is not None:
        options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node_id, soft=False)
    return options


def own_node() -> str:
    """The node this process runs on."""
    return str(ray.get_runtime_context().get_node_id())


def actor_names(namespace: str) -> set[str]:
    """Of the named actors that Ray knows, also of those it cannot reach."""
    named = ray.util.list_named_actors(all_namespaces=True)
    return {each["name"] for each in named if each["namespace"] == namespace}


def remove_actors(names: Collection[str], namespace: str) -> None:
    """End named actors for good, also where the node does not answer. Soon the names are free, mostly on return."""
    for name in names:
        try:
            ray.kill(ray.get_actor(name, namespace=namespace), no_restart=True)
        except ValueError:  # gone already
            continue
    for _ in range(NAME_CHECKS_MAX):
        if actor_names(namespace).isdisjoint(names):
            return
        time.sleep(NAME_CHECK_S)


def _listed() -> list[dict[str, Any]]:
    nodes: Any = ray.nodes
    found: list[dict[str, Any]] = nodes()
    return found
