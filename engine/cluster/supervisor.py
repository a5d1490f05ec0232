"""The engine's own process: leads, keeps the actors alive, does the housekeeping, tells the database how things are.

One engine of a database leads; a second one waits and takes over when the first is gone. Ray restarts what dies; the
supervisor starts it working again, adds up the metrics and writes `engine_status` every two seconds.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import partial
from typing import Any, Final

import ray
import structlog
from ray.exceptions import RayError

from engine import runtime
from engine.bus.actor import INTAKE_NAME
from engine.clock import Clock, pause
from engine.cluster.commands import Commands
from engine.cluster.historians import HistorianWatch
from engine.cluster.private_ray import NAMESPACE, kill_leftovers
from engine.cluster.replay_task import run_on_ray
from engine.cluster.replays import ReplayTasks
from engine.cluster.services import Services
from engine.cluster.strays import StrayWatch, maintain
from engine.errors import ClusterUnavailable, SettingsError, StoreError, StoreUnavailable
from engine.facility.port import Answer
from engine.historian.actor import historian_name
from engine.historian.audit_head import read_head, remember
from engine.historian.historian import Historian
from engine.historian.notifications import COMMANDS, CONFIGURATION, News
from engine.historian.port import LeadershipPort, Usage
from engine.metrics import ACTOR_RESTARTS, DEAD_LETTERS_GONE, LIMIT_MOST, LIMIT_USED, Ledger, Metrics
from engine.model import AlarmCommand
from engine.notify.deliverer import Deliverer
from engine.placement.nodes import Node
from engine.placement.ray_nodes import Watchtower, own_node
from engine.retries import Retries
from engine.settings import Settings

STATUS_S: Final = 2.0
LOOK_S: Final = 1.0
CHECK_S: Final = 0.5
ANSWER_S_MAX: Final = 15.0
STOP_S_MAX: Final = 9.0
LEAD_RETRY_S: Final = 2.0
ROLLUP_S: Final = 15.0
LIMITS_S: Final = 10.0
SWEEP_S: Final = 60.0
PURGE_S: Final = 2.0
PURGE_PAUSE_S: Final = 0.25
HOURLY_S: Final = 3600.0
SILENT_CHECKS_MAX: Final = 4

log = structlog.get_logger()


class Supervisor:
    """Runs between a started Ray and its end. `stopping` is set by whoever receives the signal."""

    def __init__(
        self, settings: Settings, historian: Historian, clock: Clock, ray_address: str, stopping: asyncio.Event
    ) -> None:
        self._settings = settings
        self._historian = historian
        self._clock = clock
        self._ray_address = ray_address
        self._started_at_s = time.time()
        self._metrics = Metrics()
        self._ledger = Ledger()
        self._leadership: LeadershipPort | None = None
        self._services = Services(settings)
        self._watchtower = Watchtower()
        self._own_node = own_node()
        self._nodes: list[Node] = []
        self._seen_alive: set[str] = set()
        self._drained: list[str] = []
        self._superseded = False
        self._intake_incarnation: str | None = None
        self._intake_status: dict[str, Any] = {}
        self._silent_checks = 0
        self._strays = StrayWatch(historian, self._metrics)
        self._news: News | None = None
        self._commands = Commands(historian, clock, self._command)
        self._notifications = Deliverer(historian.outbox, settings, clock, self._metrics)
        self._replays = ReplayTasks(historian.replays, clock, partial(run_on_ray, settings))
        self._limits: list[Usage] = []
        self._state = "starting"
        self._stopping = stopping
        self._writing_status = Retries(clock)
        self._historians = [HistorianWatch(number, clock) for number in range(settings.historian_actors)]

    async def run(self) -> None:
        """Lead until told to stop, or until another engine has taken over."""
        await self._become_leader()
        if self._stopping.is_set():
            return
        kill_leftovers()
        await self._hear_from_the_beginning()
        await self._look()
        self._services.start(self._nodes, self._own_node)
        duties = [
            self._every(LOOK_S, self._keep_places),
            self._every(CHECK_S, self._keep_intake),
            self._every(STATUS_S, self._file_report),
            self._every(STATUS_S, self._write_status),
            *(self._every(STATUS_S, each.look) for each in self._historians),
            self._every(CHECK_S, self._keep_leadership),
            self._every(ROLLUP_S, self._roll_up),
            self._every(LIMITS_S, self._keep_limits),
            self._every(SWEEP_S, self._sweep),
            self._every(PURGE_S, self._purge),
            self._every(SWEEP_S, self._remember_audit),
            self._every(SWEEP_S, self._strays.look),
            self._every(HOURLY_S, self._keep_house),
            self._every(CHECK_S, self._follow_changes),
            self._every(LOOK_S, self._apply_planned_rules),
            self._every(CHECK_S, self._follow_commands),
            self._every(CHECK_S, self._notifications.step),
            self._every(LIMITS_S, self._notifications.look),
            self._every(LOOK_S, self._replay),
        ]
        tasks = [asyncio.create_task(duty) for duty in duties]
        stop = asyncio.create_task(self._stopping.wait())
        done, _ = await asyncio.wait({stop, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        self._state = "stopping"
        for task in (stop, *tasks):
            task.cancel()
        self._notifications.stop()
        self._replays.stop()
        await asyncio.gather(stop, *tasks, return_exceptions=True)
        await self._stop_actors()
        for task in done - {stop}:
            task.result()

    async def _become_leader(self) -> None:
        waiting = False
        while not self._stopping.is_set():
            try:
                self._leadership = await self._historian.try_lead()
            except StoreUnavailable as error:
                log.warning("waiting_for_the_store", error=str(error))
            if self._leadership is not None:
                log.info("leading")
                return
            if not waiting:
                waiting = True
                log.info("waiting_to_lead")
            await pause(self._stopping, LEAD_RETRY_S)

    async def _keep_leadership(self) -> None:
        """Lead again after the database was away; make room when another engine leads by then."""
        if self._leadership is not None and self._leadership.held:
            return
        self._leadership = await self._historian.try_lead()
        if self._leadership is None:
            log.error("another_engine_leads")
            self._superseded = True
            self._stopping.set()

    async def _remember_audit(self) -> None:
        """Keep the end of the audit log outside of the database; what contradicts it is told, and not remembered."""
        url = self._settings.postgresql_url
        assert url is not None
        try:
            remembered = read_head(self._settings.data_dir, url)
            head, problem = await self._historian.newest_audit(remembered)
            if problem is not None:
                log.critical("audit_log_broken", problem=problem)
            elif remembered is None or head.rows != remembered.rows:
                remember(self._settings.data_dir, url, head)
        except SettingsError as error:
            log.error("audit_head_not_kept", error=str(error))

    async def _look(self) -> None:
        """The nodes as they are. Which ones are drained is remembered while the database is away."""
        try:
            self._drained = await self._historian.drained_nodes()
        except StoreUnavailable as error:
            log.info("drained_nodes_not_read", error=str(error))
        self._nodes = await self._watchtower.look(self._drained)
        self._seen_alive |= {node.node_id for node in self._nodes if node.alive}

    async def _keep_places(self) -> None:
        """Everything on nodes that live and are not drained, facilities spread over them."""
        await self._look()
        await self._services.keep(self._nodes)
        await asyncio.wait_for(self._intake.arrange.remote(self._nodes), ANSWER_S_MAX)

    @property
    def _intake(self) -> Any:
        return self._services.intake

    async def _keep_intake(self) -> None:
        """Ask the readers how they are; start them after every restart of their process."""
        try:
            status = await asyncio.wait_for(self._intake.status.remote(), ANSWER_S_MAX)
            if not status["running"]:
                await self._intake.arrange.remote(self._nodes)  # before it starts any process
                await self._intake.start.remote()
        except (RayError, TimeoutError) as error:
            await self._intake_silent(error)
            return
        self._silent_checks = 0
        if self._intake_incarnation not in {None, status["incarnation"]}:
            self._metrics.add(ACTOR_RESTARTS, kind="intake")
            log.warning("intake_restarted", pid=status["pid"])
        self._intake_incarnation = status["incarnation"]
        self._intake_status = status
        self._ledger.put("intake", status["incarnation"], status["metrics"])
        for slot, host in status["hosts"].items():
            if host is not None:
                self._ledger.put(f"host {slot}", host.incarnation, host.metrics)
        if any("fenced" in host.facilities.values() for host in status["hosts"].values() if host is not None):
            await self._intake.reclaim_fenced.remote()

    async def _intake_silent(self, error: Exception) -> None:
        """A process that is gone comes back by itself; one that hangs is ended so that it can."""
        self._intake_status = {}
        log.warning("intake_silent", error=f"{type(error).__name__}: {str(error)[:200]}")
        if isinstance(error, TimeoutError):
            self._silent_checks += 1
            if self._silent_checks >= SILENT_CHECKS_MAX:
                self._silent_checks = 0
                ray.kill(self._intake, no_restart=False)
        else:
            self._services.find(INTAKE_NAME)

    async def _file_report(self) -> None:
        """Beside the database, so that it can be read while that is away; a disk that is full must not stop us."""
        try:
            runtime.write_report(self._settings.data_dir, self.report())
        except OSError as error:
            log.warning("report_not_filed", error=str(error))

    async def _write_status(self) -> None:
        self._ledger.put("supervisor", "", self._metrics.snapshot())
        with self._writing_status.one():
            await self._historian.write_engine_status("engine", self.report())

    def report(self) -> dict[str, Any]:
        """How everything is; `engine.diagnosis` puts it into words."""
        status = self._intake_status
        hosts = status.get("hosts", {})
        facilities = {each: state for host in hosts.values() if host for each, state in host.facilities.items()}
        works = bool(status.get("running"))
        if self._state != "stopping":
            self._state = "running" if works else "starting"
        return {
            "state": self._state,
            "process": runtime.this_process(),
            "ray_address": self._ray_address,
            "namespace": NAMESPACE,
            "started_at": self._started_at_s,
            "readers": status.get("readers", {}),
            "watermark_us": status.get("watermark_us"),
            "facilities": sum(state == "loaded" for state in facilities.values()),
            "actors": len(hosts),
            "store": {
                "status": self._writing_status.status(),
                "commits": {str(number): each.commits for number, each in enumerate(self._historians)},
            },
            "troubles": self._troubles(),
            "notifications": self._notifications.troubles,
            "limits": [asdict(usage) for usage in self._limits],
            "stray_readings": self._strays.readings,
            "disk_free_bytes": shutil.disk_usage(self._settings.data_dir).free,
            "restarting": [slot for slot, host in hosts.items() if host is None],
            "metrics": self._ledger.total(),
            "nodes": [self._node_status(node) for node in self._nodes if node.node_id in self._seen_alive],
        }

    def _node_status(self, node: Node) -> dict[str, Any]:
        """`engine`: this process runs there."""
        places: dict[int, tuple[str, int]] = self._intake_status.get("places", {})
        here = [facilities for node_id, facilities in places.values() if node_id == node.node_id]
        return {
            "node_id": node.node_id,
            "address": node.address,
            "hostname": node.hostname,
            "alive": node.alive,
            "drained": node.drained,
            "facilities": sum(here),
            "processes": len(here),
            "services": [name for name, node_id in self._services.places.items() if node_id == node.node_id],
            "head": node.head,
            "engine": node.node_id == self._own_node,
        }

    def _troubles(self) -> list[str]:
        """Processes of ours that do not answer or keep dying, in words."""
        historians = (each.trouble() for each in self._historians)
        return [*filter(None, historians), *self._intake_status.get("troubles", ())]

    async def _roll_up(self) -> None:
        handled = 1
        while handled:
            handled = await self._historian.rollup_pass()

    async def _keep_limits(self) -> None:
        for limit, gone in (await self._historian.bound_dead_letters()).items():
            self._metrics.add(DEAD_LETTERS_GONE, gone, reason=limit)
        self._limits = await self._historian.review_limits()
        for usage in self._limits:
            self._metrics.gauge(LIMIT_USED, usage.used, limit=usage.limit)
            self._metrics.gauge(LIMIT_MOST, usage.most, limit=usage.limit)

    async def _purge(self) -> None:
        """With pauses between the pieces, so that commits come first."""
        while await self._historian.purge_removed():
            await self._clock.sleep(PURGE_PAUSE_S)

    async def _sweep(self) -> None:
        """Parked rows that were missed by their parents are rare; their facilities load again."""
        if facility_ids := await self._historian.sweep():
            log.info("parked_rows_swept", facilities=facility_ids)
            await self._intake.reload.remote(facility_ids)

    async def _hear_from_the_beginning(self) -> None:
        """Before any facility loads, so that no change falls between the two; nor what came due while nobody led."""
        try:
            self._news = await self._open_news(CONFIGURATION)
            await self._apply_planned_rules()
        except StoreUnavailable as error:
            log.info("changes_not_heard_yet", error=str(error))

    async def _apply_planned_rules(self) -> None:
        """What was filed to hold from a moment on holds, as if somebody had set it now."""
        for each in await self._historian.apply_planned_rules():
            if each.refusal is None:
                log.info("planned_rules_hold", facility_id=each.facility_id, subject=each.subject)
            else:
                log.error(
                    "planned_rules_refused",
                    facility_id=each.facility_id,
                    subject=each.subject,
                    planned_id=each.planned_id,
                    refusal=each.refusal,
                )

    async def _open_news(self, channel: str) -> News:
        assert self._settings.postgresql_url is not None
        return await News.open(self._settings.postgresql_url, self._settings, channel)

    async def _follow_changes(self) -> None:
        """Facilities whose name or sensors were changed over REST load again. Ends with its database connection.

        What was changed while nobody listened is told by loading all.
        """
        was_heard = self._news is not None
        news, self._news = self._news or await self._open_news(CONFIGURATION), None
        try:
            if not was_heard:
                await self._intake.reload.remote(await self._historian.facility_ids())
            while True:
                await self._intake.reload.remote(sorted(await news.next()))
        finally:
            news.close()

    async def _follow_commands(self) -> None:
        """What people ask of alarms is carried to their facilities. Ends with its database connection."""
        news = await self._open_news(COMMANDS)
        try:
            await self._commands.carry(news)
        finally:
            news.close()

    async def _command(self, command: AlarmCommand) -> Answer:
        answer: Answer = await self._intake.command.remote(command)
        return answer

    async def _replay(self) -> None:
        await self._replays.step(self._nodes)

    async def _keep_house(self) -> None:
        await maintain(self._historian)
        await self._historian.outbox.keep_house(self._clock.now_us())
        await self._historian.replays.forget(self._clock.now_us())
        moved = await self._historian.move_refused()
        expired = await self._historian.expire_parked()
        await self._historian.forget_drained([node.node_id for node in self._nodes if node.alive])
        log.info(
            "housekeeping",
            parked_expired=expired,
            refused_moved=moved,
        )

    async def _every(self, seconds: float, duty: Callable[[], Awaitable[None]]) -> None:
        """Do it now and then. What is away comes back; anything else is ours and ends the engine."""
        while True:
            try:
                await duty()
            except (StoreError, RayError, ClusterUnavailable, TimeoutError) as error:
                log.warning("duty_failed", duty=duty.__name__, error=f"{type(error).__name__}: {str(error)[:200]}")
                await self._clock.sleep(seconds)
            await self._clock.sleep(seconds)

    async def _stop_actors(self) -> None:
        """Readers first, then the facilities' checkpoints, then the historians; a bounded time.

        A superseded engine leaves a shared Ray alone: what bears these names there is the next leader's by now.
        """
        if self._superseded and not self._settings.ray_is_private:
            return
        try:
            async with asyncio.timeout(STOP_S_MAX):
                await self._intake.stop.remote()
                for number in range(self._settings.historian_actors):
                    await ray.get_actor(historian_name(number), namespace=NAMESPACE).close.remote()
                if not self._superseded:
                    await self._historian.write_engine_status("engine", {**self.report(), "state": "stopped"})
        except (RayError, StoreError, TimeoutError, ValueError) as error:
            log.warning("not_stopped_in_good_order", error=f"{type(error).__name__}: {str(error)[:200]}")
        kill_leftovers()
        if self._leadership is not None:
            await self._leadership.release()
