"""For orchestrators and Prometheus: is it alive, can it work, what has it counted."""

from __future__ import annotations

from pydantic_core import to_json
from quart import Response

from engine.diagnosis import Judgement, judge, problems
from engine.metrics import labels_text
from web.auth.guard import Need
from web.contract.declare import Noun
from web.contract.shapes import Alive, Check, Readiness, ReadinessOf
from web.engine_report import Known
from web.exposition import READY, exposition
from web.serving.call import Call
from web.serving.routes import json_response
from web.serving.services import Services

noun = Noun("health", "State of the server itself")


@noun.get("/livez", Need.NOTHING, Alive, statuses=(503,))
async def livez(call: Call) -> Response | Alive:
    """503 when one of our own tasks has crashed: restart the process."""
    if call.services.background.crashed:
        return json_response(
            to_json({"status": "failing", "detail": f"crashed: {', '.join(call.services.background.crashed)}"}), 503
        )
    return Alive(status="alive")


@noun.get("/readyz", Need.NOTHING, Readiness, statuses=(503,))
async def readyz(call: Call, query: ReadinessOf) -> Response:
    """Web server, database, bus and engine, each by name; 503 when one is not ready, or the one that `part` names.

    Answers within seconds whatever is away.
    """
    judged = _judged(call.services, await call.services.reports.read())
    asked = {name: each for name, each in judged.items() if query.part in {None, name}}
    is_ready = all(each.ready for each in asked.values())
    readiness = Readiness(
        status="ready" if is_ready else "not ready",
        detail="; ".join(problems(asked)) or "all parts work",
        checks={name: Check(ready=each.ready, detail=each.detail) for name, each in asked.items()},
    )
    return json_response(readiness.model_dump_json().encode(), 200 if is_ready else 503)


PROBES = (livez, readyz)
"""What an orchestrator asks, and must be told however many others ask."""


@noun.get("/metrics", Need.NOTHING, str)
async def metrics(call: Call) -> Response:
    """Prometheus text: the engine's counters as it last stored them, and this process' own."""
    own = call.services.metrics.snapshot()
    known = await call.services.reports.read()
    judged = _judged(call.services, known)
    own["gauges"][READY] = {labels_text(part=name): float(each.ready) for name, each in judged.items()}
    own["gauges"]["gasinsight_database_up"] = {"": 0.0 if known.database_error else 1.0}
    engine = known.report.get("metrics") or {}
    return Response(exposition([engine, own]), content_type="text/plain; version=0.0.4; charset=utf-8")


def _judged(services: Services, known: Known) -> dict[str, Judgement]:
    """The parts in the order in which a request meets them; of several web processes the one that was asked."""
    return {"web": _own(services), **judge(known.report, known.age_s, known.database_error)}


def _own(services: Services) -> Judgement:
    if crashed := services.background.crashed:
        return Judgement(False, f"has crashed: {', '.join(crashed)}; its log says why")
    if (waits_for := services.preparation.waits_for) is not None:
        return Judgement(False, f"is starting: {waits_for}")
    return Judgement(True, "answers")
