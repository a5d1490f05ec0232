"""`python -m tests.hosts.slow_line NEAR FAR DELAY_MS LOSS`: a cable between two tap devices that is long and bad.

Each frame comes out later, in order, and some never do (a seeded choice). Prints a line when it is there, ends with its
standard input. In the place of the kernel's netem, which not every kernel has.
"""

from __future__ import annotations

import fcntl
import os
import random
import select
import struct
import sys
import time
from collections import deque
from typing import Final

TUNSETIFF: Final = 0x400454CA
IFF_TAP: Final = 0x0002
IFF_NO_PI: Final = 0x1000
FRAME_BYTES_MAX: Final = 65_536
FRAMES_MAX: Final = 10_000
"""On their way in one direction; what comes then is lost, as on a real line."""


class Direction:
    """Frames from one device to the other."""

    def __init__(self, source: int, target: int, delay_s: float, loss: float, chance: random.Random) -> None:
        self.source = source
        self._target = target
        self._delay_s = delay_s
        self._loss = loss
        self._chance = chance
        self._frames: deque[tuple[float, bytes]] = deque()

    def take(self, now_s: float) -> None:
        """Read what is there."""
        frame = os.read(self.source, FRAME_BYTES_MAX)
        if self._chance.random() >= self._loss and len(self._frames) < FRAMES_MAX:
            self._frames.append((now_s + self._delay_s, frame))

    def give(self, now_s: float) -> float | None:
        """Write what is due; seconds until the next is."""
        while self._frames and self._frames[0][0] <= now_s:
            os.write(self._target, self._frames.popleft()[1])
        return self._frames[0][0] - now_s if self._frames else None


def main() -> None:
    """Until the end of the input."""
    near, far = (_opened(name) for name in sys.argv[1:3])
    delay_s, loss, chance = float(sys.argv[3]) / 1000, float(sys.argv[4]), random.Random(1)
    directions = [Direction(near, far, delay_s, loss, chance), Direction(far, near, delay_s, loss, chance)]
    sys.stdout.write("connected\n")
    sys.stdout.flush()
    while True:
        waits = [wait_s for each in directions if (wait_s := each.give(time.monotonic())) is not None]
        readable, _, _ = select.select([near, far, sys.stdin], [], [], min(waits, default=None))
        if sys.stdin in readable:
            return
        for each in directions:
            if each.source in readable:
                each.take(time.monotonic())


def _opened(name: str) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return device


if __name__ == "__main__":
    main()
