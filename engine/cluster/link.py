"""`python -m engine.cluster.link`: the child through which a web process watches facilities. Ends with its input.

Requests on standard input, chunks on standard output, each a length-prefixed pickle: ("join", address) first, then
("watch" | "unwatch", facility_id); ("chunk", LiveChunk) and ("ending", text) come back.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
from typing import Any, BinaryIO, Final

import ray
from ray.exceptions import RayError

from engine.bus.actor import INTAKE_NAME
from engine.cluster.feed import FRAME
from engine.cluster.private_ray import NAMESPACE, join_ray
from engine.errors import ClusterUnavailable, FacilityUnavailable, SettingsError
from engine.facility.actor import RayHost, host_name
from engine.facility.port import Cursor
from engine.live import LiveChunk

POLL_S: Final = 10.0
RETRY_S: Final = 0.5
FAILING_S_MAX: Final = 8.0  # then the engine has probably restarted at another address


class Link:
    """The watches of one web process."""

    def __init__(self, output: BinaryIO) -> None:
        self._output = output
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._works_at_s = asyncio.get_running_loop().time()

    def watch(self, facility_id: str) -> None:
        """Follow a facility until `unwatch`."""
        if facility_id not in self._watches:
            self._watches[facility_id] = asyncio.create_task(self._follow(facility_id))

    def unwatch(self, facility_id: str) -> None:
        """Stop following."""
        if (task := self._watches.pop(facility_id, None)) is not None:
            task.cancel()

    def send(self, kind: str, content: object) -> None:
        """Blocks while the web process does not read: the facility's ring is the buffer."""
        body = pickle.dumps((kind, content))
        self._output.write(FRAME.pack(len(body)) + body)
        self._output.flush()

    async def _follow(self, facility_id: str) -> None:
        loop = asyncio.get_running_loop()
        cursor: Cursor | None = None
        while True:
            try:
                host = await self._host_of(facility_id)
                while host is not None:
                    stood = cursor is not None
                    cursor, chunks = await host.watch(facility_id, cursor, POLL_S if stood else 0)
                    self._works_at_s = loop.time()
                    if not stood:
                        self.send("chunk", LiveChunk(facility_id, ()))  # whatever is committed from here on will come
                    for chunk in chunks:
                        self.send("chunk", chunk)
                self._works_at_s = loop.time()
            except (FacilityUnavailable, RayError, ValueError) as error:
                if loop.time() - self._works_at_s > FAILING_S_MAX:
                    self.end(f"{type(error).__name__}: {str(error)[:200]}")
            await asyncio.sleep(RETRY_S)

    async def _host_of(self, facility_id: str) -> RayHost | None:
        """Where the facility is; None: it is not known (yet)."""
        intake = ray.get_actor(INTAKE_NAME, namespace=NAMESPACE)
        slot = await intake.slot_of.remote(facility_id)
        if slot is None:
            return None
        return RayHost(ray.get_actor(host_name(slot), namespace=NAMESPACE))

    def end(self, reason: str) -> None:
        """Tell why and go; Ray's own shutdown may hang on a cluster that is gone."""
        try:
            self.send("ending", reason)
        finally:
            os._exit(0)


async def serve() -> None:
    """Follow what we are asked to follow until the input ends."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not fall between our frames
    link = Link(output)
    reader = asyncio.StreamReader(limit=64 * 1024 * 1024)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        while True:
            (size,) = FRAME.unpack(await reader.readexactly(FRAME.size))
            request: tuple[str, Any] = pickle.loads(await reader.readexactly(size))  # noqa: S301  from our parent
            kind, content = request
            if kind == "join":
                join_ray(content)
            elif kind == "watch":
                link.watch(content)
            else:
                link.unwatch(content)
    except asyncio.IncompleteReadError:
        os._exit(0)
    except (ClusterUnavailable, SettingsError) as error:
        link.end(str(error))


if __name__ == "__main__":
    asyncio.run(serve())
