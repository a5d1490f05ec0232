"""`python -m engine.processes.burial`: the undertaker's process. Imports next to nothing, to be there at once."""

from __future__ import annotations

import signal
import sys

from engine.processes.process_table import end_session


def main() -> None:
    """Take orders until they end, and then do what is left of them."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sessions: set[int] = set()
    for order in sys.stdin.buffer:
        session = int(order[1:])
        if order.startswith(b"+"):
            sessions.add(session)
        else:
            sessions.discard(session)
    for session in sessions:
        end_session(session)


if __name__ == "__main__":
    main()
