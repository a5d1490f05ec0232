"""Long work beside a running installation: it gets what processor time others leave."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

NICE: Final = 19


@contextmanager
def behind_others() -> Iterator[None]:
    """This thread, and those that begin meanwhile, get what processor time others leave: readings go before files.

    PostgreSQL waits for whoever reads slowly, so it holds back too.
    """
    before = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, max(before, NICE))
    try:
        yield
    finally:
        with suppress(PermissionError):  # who is not root cannot take it back, nor needs to: the command ends
            os.setpriority(os.PRIO_PROCESS, 0, before)
