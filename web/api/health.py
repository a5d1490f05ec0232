"""For orchestrators and Prometheus: is it alive, can it work, what has it counted."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import to_json
from quart import Response

from engine.errors import StoreUnavailable
from web.auth.guard import Need
from web.declare import Call, Noun, json_response
from web.exposition import exposition
from web.shapes import Alive, Check, Readiness

noun = Noun("health", "State of the server itself")

STATUS_AGE_S_MAX = 15.0
RECEIVE_AGE_S_MAX = 180.0

READ_STATUS = """
SELECT component, state, extract(epoch FROM clock_timestamp() - updated_at)::float8 AS age_s FROM engine_status
"""


@noun.get("/livez", Need.NOTHING, Alive, statuses=(503,))
async def livez(call: Call) -> Response | Alive:
    """503 when one of our own tasks has crashed: restart the process."""
    if call.services.background.crashed:
        return json_response(
            to_json({"status": "failing", "detail": f"crashed: {', '.join(call.services.background.crashed)}"}), 503
        )
    return Alive(status="alive")


@noun.get("/readyz", Need.NOTHING, Readiness, statuses=(503,))
async def readyz(call: Call) -> Response:
    """Database, bus and engine, each by name; 503 when one is not ready."""
    checks = await _checks(call)
    missing = [f"{name}: {check.detail}" for name, check in checks.items() if not check.ready]
    readiness = Readiness(
        status="not ready" if missing else "ready", detail="; ".join(missing) or "all parts work", checks=checks
    )
    return json_response(readiness.model_dump_json().encode(), 503 if missing else 200)


@noun.get("/metrics", Need.NOTHING, str)
async def metrics(call: Call) -> Response:
    """Prometheus text: the engine's counters as it last stored them, and this process' own."""
    own = call.services.metrics.snapshot()
    up = 1.0
    snapshots: list[dict[str, Any]] = []
    try:
        for row in await call.services.database.rows(READ_STATUS):
            snapshots.append(_state(row).get("metrics") or {})
    except StoreUnavailable:
        up = 0.0
    own["gauges"]["gasinsight_database_up"] = {"": up}
    return Response(exposition([*snapshots, own]), content_type="text/plain; version=0.0.4; charset=utf-8")


async def _checks(call: Call) -> dict[str, Check]:
    try:
        rows = await call.services.database.rows(READ_STATUS)
    except StoreUnavailable as error:
        unknown = Check(ready=False, detail="not known while the database is away")
        return {"database": Check(ready=False, detail=str(error)), "bus": unknown, "engine": unknown}
    status = {row["component"]: (_state(row), row["age_s"]) for row in rows}
    state, age_s = status.get("engine", ({}, None))
    engine = _engine_check(state, age_s)
    return {
        "database": Check(ready=True, detail="answers"),
        "bus": _bus_check(state) if engine.ready else Check(ready=False, detail="not known while the engine is away"),
        "engine": engine,
    }


def _engine_check(state: dict[str, Any], age_s: float | None) -> Check:
    if age_s is None:
        return Check(ready=False, detail="has never reported; start `gasinsight engine`")
    if age_s > STATUS_AGE_S_MAX:
        return Check(ready=False, detail=f"last reported {age_s:.0f} s ago")
    name = str(state.get("state", "unknown"))
    return Check(ready=name == "running", detail=f"{name}, reported {age_s:.0f} s ago")


def _bus_check(state: dict[str, Any]) -> Check:
    readers: dict[str, dict[str, Any]] = state.get("readers") or {}
    if not readers:
        return Check(ready=False, detail="no reader has reported")
    broken = []
    for queue, reader in readers.items():
        age_s = reader.get("last_receive_age_s")
        if not reader.get("connected"):
            broken.append(f"{queue} is not connected: {reader.get('error') or 'no reason given'}")
        elif age_s is not None and age_s > RECEIVE_AGE_S_MAX:
            broken.append(f"{queue} last received {age_s:.0f} s ago")
    return Check(ready=not broken, detail="; ".join(broken) or f"{len(readers)} queues are read")


def _state(row: Any) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(row["state"])
    return state
