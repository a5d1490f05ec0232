"""Runs concurrent code one seeded step at a time, so that a seed replays a whole run.

Everything under test reaches the world through ports; each port call parks at the scheduler. When nothing else can
run, the scheduler picks one parked call by chance and lets it happen. Time stands still until it is chosen to move.
A `Process` is what `kill -9` or a stop signal hits: its tasks go no further, and nothing of them is cleaned up.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import random
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from engine.clock import US_PER_S

T = TypeVar("T")
START_US = 1_767_262_500 * US_PER_S  # 2026-01-01T10:15:00Z

current_process: contextvars.ContextVar[Process] = contextvars.ContextVar("current_process")


class _Sockets(selectors.DefaultSelector):
    """Does not ask the kernel while nothing is under way there; that would be most of a run's time."""

    quiet = False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.quiet and timeout is not None and timeout <= 0:
            return []
        return super().select(timeout)


class InlineLoop(asyncio.SelectorEventLoop):
    """An event loop whose executor runs the work at once in the loop's own thread: no thread decides an order.

    A task that code under test starts by itself belongs to the process that started it.
    """

    def __init__(self) -> None:
        self.sockets = _Sockets()
        self.complaints: list[str] = []
        super().__init__(self.sockets)
        self.set_exception_handler(self._complain)
        self.set_task_factory(_task_of_its_process)  # type: ignore[arg-type]

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done

    def _complain(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A task that failed while nobody was looking: in a run that is a failure like any other."""
        self.complaints.append(f"{context['message']}: {context.get('exception')!r} {context.get('task', '')}")

    def is_idle(self) -> bool:
        """Nothing is ready to run (what waits for a socket or a timer does not count)."""
        return not self._ready  # type: ignore[attr-defined]


def _task_of_its_process(
    loop: asyncio.AbstractEventLoop,
    work: Coroutine[Any, Any, Any],
    context: contextvars.Context | None = None,
) -> asyncio.Task[Any]:
    task = asyncio.Task(work, loop=loop, context=context)
    owner = (context or contextvars.copy_context()).get(current_process, None)
    if owner is not None:
        owner.tasks.add(task)
        task.add_done_callback(owner.ended)
    return task


@dataclass(eq=False)
class Process:
    """Tasks that live and die together. It is also the clock of the code that runs in it."""

    name: str
    scheduler: Scheduler
    state: str = "running"
    died: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    failures: list[BaseException] = field(default_factory=list)
    buried: bool = False

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `work` as part of this process."""
        context = contextvars.copy_context()
        context.run(current_process.set, self)
        return asyncio.get_running_loop().create_task(work, context=context)

    def kill(self) -> None:
        """Nothing of this process runs any more; what it had asked of others may still happen."""
        if self.state != "dead":
            self.state = "dead"
            self.died.set()
            self.scheduler.note(f"kill {self.name}")

    def pause(self) -> None:
        """Stop it where it stands; the others take it for dead."""
        self.state = "paused"
        self.died.set()
        self.scheduler.note(f"pause {self.name}")

    def resume(self) -> None:
        """Let a paused process go on as if no time had passed for it."""
        if self.state == "paused":
            self.state = "running"
            self.scheduler.note(f"resume {self.name}")
            self.scheduler.deliver_kept(self)

    def ended(self, task: asyncio.Task[Any]) -> None:
        """Forget a task; what it failed with stands in the trace."""
        self.tasks.discard(task)
        if not task.cancelled() and (error := getattr(task, "_exception", None)) is not None:
            self.scheduler.note(f"{self.name}: {getattr(task.get_coro(), '__qualname__', task)} raised {error!r}")

    def spawn_vital(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `work`, which nobody awaits and which may not fail: a failure ends the run."""
        task = self.spawn(work)
        task.add_done_callback(self._note_failure)
        return task

    def _note_failure(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failures.append(error)

    async def bury(self) -> None:
        """Take the tasks out of the loop at the end of a run; their ports lead nowhere by now."""
        self.state = "dead"
        self.buried = True
        for _ in range(100):  # what a task does when it is cancelled may take a few turns
            if not self.tasks:
                return
            for task in list(self.tasks):
                task.cancel()
            await asyncio.sleep(0)
        raise Stuck(f"{self.name} does not end: {self.tasks}")

    def now_us(self) -> int:
        return self.scheduler.now_us

    def monotonic_s(self) -> float:
        return (self.scheduler.now_us - START_US) / US_PER_S

    async def sleep(self, seconds: float) -> None:
        await self.scheduler.sleep(self, seconds)


@dataclass(eq=False)
class _Call:
    """Something a process asked the world for: `act` makes it happen, `answer` goes back if the process still runs."""

    owner: Process
    label: str
    act: Callable[[], Awaitable[Any]] | None
    answer: asyncio.Future[Any]
    group: str | None = None
    in_flight: bool = False


class Stuck(AssertionError):
    """The run neither ends nor moves: a deadlock, or work that never finishes."""


class Scheduler:
    """Chooses what happens next. `trace` is the whole run, one line a step."""

    def __init__(self, chance: random.Random, *, jump_chance: float = 0.0, jumps_s: tuple[float, ...] = ()) -> None:
        self.chance = chance
        self.now_us = START_US
        self.trace: list[str] = []
        self.steps = 0
        self.jumps = 0
        self.acting: list[Process] = []  # who asked for what happens right now
        self.jump_chance = jump_chance
        self._jumps_s = jumps_s
        self._calls: list[_Call] = []
        self._kept_answers: list[tuple[_Call, Any]] = []
        self._sleepers: list[tuple[int, int, Process, asyncio.Future[None]]] = []
        self._order = 0

    def note(self, line: str) -> None:
        """Add a line to the trace."""
        self.trace.append(f"{(self.now_us - START_US) / US_PER_S:9.3f} {line}")

    async def step(self, owner: Process, label: str) -> None:
        """Park here until chosen."""
        await self.call(owner, label, None)

    async def call(
        self,
        owner: Process,
        label: str,
        act: Callable[[], Awaitable[T]] | None,
        *,
        group: str | None = None,
    ) -> T:
        """Park until chosen, then `act`; calls of one `group` may be let go together, as neighbours in time.

        A call of a process that died or was paused meanwhile may still happen: it was in flight. The answer reaches
        a paused process when it goes on, a dead one never.
        """
        if owner.buried:
            raise asyncio.CancelledError
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if owner.state != "dead":
            self._calls.append(_Call(owner, label, act, answer, group))
        return await answer

    async def sleep(self, owner: Process, seconds: float) -> None:
        """Park until time has moved on by `seconds`."""
        if owner.buried:
            raise asyncio.CancelledError
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._order += 1
        due_us = self.now_us + max(0, round(seconds * US_PER_S))
        heapq.heappush(self._sleepers, (due_us, self._order, owner, woken))
        await woken

    async def run(self, finished: Callable[[], bool], *, steps_max: int, until_us: int) -> None:
        """Let things happen until `finished` says so; raises Stuck when they do not come to it."""
        for _ in range(steps_max):
            await self.settle()
            if finished():
                return
            if self.now_us > until_us:
                raise Stuck(f"not finished after {(until_us - START_US) / US_PER_S:.0f} s of the run's time")
            await self.move()
        raise Stuck(f"not finished after {steps_max} steps")

    async def move(self) -> None:
        """One step: a parked call by chance, or time when nothing else can happen."""
        self.steps += 1
        self._decide_what_died()
        ready = [call for call in self._calls if call.owner.state != "paused" or call.act is not None]
        if ready and not (self.jump_chance and self.chance.random() < self.jump_chance):
            await self._happen(self.chance.choice(ready), ready)
        elif ready:
            self.jumps += 1
            await self.advance(self.chance.choice(self._jumps_s))
        else:
            await self._wake_next()

    def outstanding(self) -> int:
        """Calls of living processes that have not happened yet."""
        return sum(call.owner.state != "dead" for call in self._calls)

    async def settle(self) -> None:
        """Let everything run that can run without the world."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, InlineLoop)
        loop.sockets.quiet = True
        await asyncio.sleep(0)
        while not loop.is_idle():
            await asyncio.sleep(0)
        loop.sockets.quiet = False

    async def _happen(self, chosen: _Call, ready: list[_Call]) -> None:
        together = [chosen]
        if chosen.group is not None:
            rest = [call for call in ready if call is not chosen and call.group == chosen.group]
            together += [call for call in rest if self.chance.random() < 0.7]
        for call in together:
            self._calls.remove(call)
            self.note(f"{call.owner.name}: {call.label}" + ("" if call.owner.state == "running" else " (in flight)"))
        self.acting = [call.owner for call in together]
        acts = [call.act() if call.act is not None else _nothing() for call in together]
        answers = await asyncio.gather(*acts, return_exceptions=True)
        self.acting = []
        for call, answer in zip(together, answers, strict=True):
            if isinstance(answer, AssertionError):
                raise answer  # a check of the harness itself: not for the code under test to handle
            self._deliver(call, answer)

    def deliver_kept(self, owner: Process) -> None:
        """Answers that came while `owner` was paused reach it now."""
        kept, self._kept_answers = self._kept_answers, []
        for call, answer in kept:
            if call.owner is owner:
                self._deliver(call, answer)
            else:
                self._kept_answers.append((call, answer))

    def _deliver(self, call: _Call, answer: Any) -> None:
        if call.owner.state == "dead" or call.answer.done():
            return
        if call.owner.state == "paused":
            self._kept_answers.append((call, answer))
            return
        if isinstance(answer, BaseException):
            call.answer.set_exception(answer)
        else:
            call.answer.set_result(answer)

    def _decide_what_died(self) -> None:
        """A request of a dead process is lost, or still on its way and happens without anybody who waits for it."""
        kept = []
        for call in self._calls:
            if call.owner.state == "dead" and not call.in_flight:
                if call.act is None or self.chance.random() < 0.5:
                    continue
                call.in_flight = True
            kept.append(call)
        self._calls = kept

    async def _wake_next(self) -> None:
        while self._sleepers:
            due_us, _, owner, woken = heapq.heappop(self._sleepers)
            if owner.state == "dead" or woken.done():
                continue
            if owner.state == "paused":
                self._order += 1
                heapq.heappush(self._sleepers, (max(due_us, self.now_us) + US_PER_S, self._order, owner, woken))
                if all(sleeper[2].state == "paused" for sleeper in self._sleepers):
                    raise Stuck("only paused processes are left")
                continue
            self.now_us = max(self.now_us, due_us)
            woken.set_result(None)
            return
        raise Stuck("nothing can happen any more")

    async def advance(self, seconds: float) -> None:
        """Move time at once, as a machine that was stopped would see it; then wake whoever is due."""
        self.now_us += round(seconds * US_PER_S)
        self.note(f"time jumps {seconds} s")
        while self._sleepers and self._sleepers[0][0] <= self.now_us:
            _, _, owner, woken = heapq.heappop(self._sleepers)
            if owner.state == "paused":
                self._order += 1
                heapq.heappush(self._sleepers, (self.now_us + US_PER_S, self._order, owner, woken))
            elif owner.state == "running" and not woken.done():
                woken.set_result(None)


async def _nothing() -> None:
    return None
