"""What a reader asks of the facilities, wherever they run, and how they answer.

`engine.facility.directory.Directory` is the real one; `engine.facility.host.FacilityHost` is what runs behind it, in an
actor or in the reader's own process (fault runs).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from engine.live import LiveChunk
from engine.metrics import Snapshot
from engine.model import AlarmCommand, DeadLetter, EntityMessage, SensorActivation, SensorDeactivation

SensorMessage = SensorActivation | SensorDeactivation
Cursor = tuple[str, int]
"""Where a watcher stands: (incarnation of the publisher, number of the last chunk seen)."""


class Result(StrEnum):
    """What became of a facility's share.

    DONE         committed, parked, or rightly ignored
    REJECTED     the store refuses the content, or the core cannot take it: look for the bad message
    CRASHED      the process that held the facility died, or failed inside, while it had the share
    UNAVAILABLE  not now, and not the share's fault: store away, facility loading, actor restarting
    FENCED       another incarnation owns the facility
    GONE         there is no such facility any more, or it is retired: only the directory hears this
    """

    DONE = "done"
    REJECTED = "rejected"
    CRASHED = "crashed"
    UNAVAILABLE = "unavailable"
    FENCED = "fenced"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Answer:
    """One facility's answer; `reason` is for logs and dead letters."""

    result: Result
    reason: str = ""


DONE = Answer(Result.DONE)


@dataclass(frozen=True, slots=True)
class Share:
    """What received batches hold for one facility, in their order; committed together.

    batches   readings in the native batch format, one a received batch
    refused   bad rows of messages whose other rows are good; they are kept as dead letters with the same commit
    """

    facility_id: str
    batches: tuple[bytes, ...]
    refused: tuple[DeadLetter, ...] = ()


class Facilities(Protocol):
    """Every facility there is, found by id and started when needed."""

    def lane(self, facility_id: str) -> str:
        """Facilities of one lane share a process: what goes to them together goes in one call."""

    async def ingest(self, shares: Sequence[Share]) -> dict[str, Answer]:
        """Readings of several facilities, one share each; the answer is by facility id."""

    async def apply(self, facility_id: str, messages: Sequence[EntityMessage]) -> Answer:
        """Setups, activations and deactivations of one facility, in this order."""

    async def probe(self, facility_id: str) -> bool:
        """Whether the facility can load and commit now; settles who is at fault when a share crashes its process."""


class Host(Protocol):
    """One process with some facilities in it, as the directory and the web side call it."""

    async def ingest(self, shares: Sequence[Share]) -> dict[str, Answer]:
        """Serial for each facility, side by side for several."""

    async def apply(self, facility_id: str, messages: Sequence[SensorMessage]) -> Answer:
        """Activations and deactivations of one facility."""

    async def tick(self, facility_ids: Sequence[str], watermark_us: int) -> dict[str, Answer]:
        """Tell the facilities how far the queue has been read; loads those that are not loaded."""

    async def load(self, facility_id: str, *, again: bool = False) -> Answer:
        """Load the facility if it is not loaded; `again`: in any case, also after it was fenced."""

    async def probe(self, facility_id: str) -> Answer:
        """Whether the facility can load and commit, proved by doing it."""

    async def command(self, command: AlarmCommand) -> Answer:
        """A person's command to one of the alarms; DONE when it is decided, one way or the other."""

    async def watch(
        self, facility_id: str, cursor: Cursor | None, wait_s: float
    ) -> tuple[Cursor, tuple[LiveChunk, ...]]:
        """What was published after `cursor` (None: from now on), waiting up to `wait_s` for the first of it."""

    async def status(self) -> HostStatus:
        """Who is here and what was counted."""

    async def close(self) -> None:
        """Write checkpoints and take nothing more."""


@dataclass(frozen=True, slots=True)
class HostStatus:
    """`incarnation` differs after every restart of the process. `facilities`: id -> loaded, fenced or idle.

    `node_id`: where the process is; None where there are no nodes.
    """

    incarnation: str
    pid: int
    facilities: Mapping[str, str]
    metrics: Snapshot
    node_id: str | None = None


class HostStarter(Protocol):
    """Brings processes for facilities into being."""

    async def start(self, slot: int, node_id: str | None) -> Host:
        """The process of a slot: the living one, or a new one on this node (None: wherever)."""

    async def living(self) -> dict[int, Host]:
        """Processes that an earlier directory has started."""

    async def end(self, slot: int) -> None:
        """Kill a process that hangs; the next start finds a new one."""

    async def remove(self, slot: int) -> None:
        """End a process for good, wherever it is; the next start makes another."""
