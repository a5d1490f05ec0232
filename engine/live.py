"""What the web side sees of the engine: live values, and nothing of Ray. Real: `engine.cluster.feed.ClusterFeed`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

LiveFrame = tuple[str, int, bytes]
"""(sensor_id, tracked_at_us, the JSON text frame of the wire contract, encoded once for everybody)."""


@dataclass(frozen=True, slots=True)
class LiveChunk:
    """Readings of one facility, in the order they were committed.

    snapshot   these are the latest values of the facility's sensors, sent after its actor was (re)loaded or when the
               watcher fell behind; a value may have been sent before
    skipped    how many frames this watcher did not get because it fell behind
    """

    facility_id: str
    frames: tuple[LiveFrame, ...]
    snapshot: bool = False
    skipped: int = 0


class LiveFeed(Protocol):
    """Where live values come from."""

    def watch(self, facility_id: str) -> AsyncIterator[LiveChunk]:
        """Committed readings from now on, without end. The first chunk, perhaps empty, says that the watch stands.

        Raises ClusterUnavailable when the engine cannot be reached; the caller watches again after a pause. A facility
        that is not known (yet) gives nothing until it is.
        """
