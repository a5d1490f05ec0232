"""`gasinsight drain NODE`: everything leaves a node before it goes. The leading engine moves; this asks and watches."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any, Final

from engine.diagnosis import REPORT_AGE_S_MAX
from engine.errors import ClusterUnavailable, SettingsError
from engine.historian.drained import request_drain, withdraw_drain
from engine.historian.overview import read_overview
from engine.printable import escaped
from engine.runtime import effective_settings, find_database_url

POLL_S: Final = 1.0
ID_SHOWN: Final = 13

Node = dict[str, Any]


def run_drain(overrides: dict[str, object], wanted: str, *, undo: bool, as_json: bool) -> int:
    """0 when nothing of ours is on the node any more (with `undo`: when the request is withdrawn)."""
    database_url = find_database_url(effective_settings(**overrides))
    return asyncio.run(_undo(database_url, wanted, as_json) if undo else _drain(database_url, wanted, as_json))


def find_node(nodes: Sequence[Node], wanted: str) -> Node:
    """The living node with this id, beginning of an id, address or host name; raises SettingsError unless it is one."""
    living = [node for node in nodes if node["alive"]]
    found = [node for node in living if wanted in {node["node_id"], node["address"], node["hostname"]}]
    found = found or [node for node in living if node["node_id"].startswith(wanted)]
    if len(found) == 1:
        return found[0]
    shown = "; ".join(f"{node['node_id'][:ID_SHOWN]} at {node['address']} ({node['hostname']})" for node in living)
    what = f"{len(found)} nodes are called {wanted}, give the beginning of an id" if found else f"no node is {wanted}"
    raise SettingsError(f"{what}; there are: {shown or 'none'}")


def check_drainable(nodes: Sequence[Node], node: Node) -> None:
    """Raises SettingsError when nothing would be left to carry the facilities."""
    others = [each for each in nodes if each["alive"] and not each["drained"] and each is not node]
    if not others:
        raise SettingsError(
            f"{node['node_id'][:ID_SHOWN]} is the last node that can carry facilities: add another one first"
            " (`ray start --address=…`), or undo the drain of one"
        )


async def _drain(database_url: str, wanted: str, as_json: bool) -> int:
    nodes = await _nodes(database_url)
    node = find_node(nodes, wanted)
    check_drainable(nodes, node)
    node_id = node["node_id"]
    await request_drain(database_url, node_id, node["address"])
    told: tuple[object, ...] = ()
    while True:
        node = next((each for each in await _nodes(database_url) if each["node_id"] == node_id), {})
        if not node.get("alive"):
            _say(as_json, node_id, "gone", f"{node_id[:ID_SHOWN]} has gone; what was there starts elsewhere")
            return 0
        left = (node["facilities"], node["processes"], tuple(node["services"]))
        if node["drained"] and not node["processes"] and not node["services"]:
            _say(as_json, node_id, "safe", _safe(node))
            return 0
        if left != told:
            told = left
            services = f", {', '.join(node['services'])}" if node["services"] else ""
            what = f"{node['facilities']} facilities in {node['processes']} processes{services} still there"
            _say(as_json, node_id, "moving", what, facilities=node["facilities"], services=node["services"])
        await asyncio.sleep(POLL_S)


async def _undo(database_url: str, wanted: str, as_json: bool) -> int:
    node = find_node(await _nodes(database_url), wanted)
    await withdraw_drain(database_url, node["node_id"])
    _say(as_json, node["node_id"], "undone", f"{node['node_id'][:ID_SHOWN]} carries facilities again")
    return 0


def _safe(node: Node) -> str:
    text = f"nothing is on {node['node_id'][:ID_SHOWN]} any more: it may go"
    if node["head"]:
        text += "; it is Ray's head, though: without it the engine starts anew when the head is back"
    elif node["engine"]:
        text += "; the engine's own process runs there, though: end it and start it on another node"
    return text


async def _nodes(database_url: str) -> list[Node]:
    engine = (await read_overview(database_url, 0)).components.get("engine", {})
    if not engine:
        raise ClusterUnavailable("no engine has ever reported: only a running one moves facilities; start one first")
    age_s = engine["age_s"]
    if age_s > REPORT_AGE_S_MAX or engine.get("state") not in {"running", "starting"}:
        raise ClusterUnavailable(
            f"the engine is {engine.get('state', 'silent')} and last reported {age_s:.0f} s ago: only a running one"
            " moves facilities"
        )
    nodes: list[Node] = engine["nodes"]
    return nodes


def _say(as_json: bool, node_id: str, event: str, text: str, **more: object) -> None:
    line = json.dumps({"event": event, "node_id": node_id, "text": text, **more}) if as_json else escaped(text)
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
