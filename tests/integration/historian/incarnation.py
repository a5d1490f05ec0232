"""One incarnation of a facility in a process of its own, to be stopped and continued by a test.

`python -m tests.integration.historian.incarnation URL FACILITY SENSOR_NO WHERE`: loads, then commits one reading. WHERE
it stops itself (SIGSTOP): `before` the commit, `inside` its transaction with all statements sent, or amid the `copy`.
Prints one JSON line when it has loaded and one with the verdict.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

from engine.clock import SystemClock
from engine.errors import StoreUnavailable
from engine.historian import connection, group, group_commit
from engine.historian.historian import Historian
from engine.model import CommitAnswer, Outcome
from engine.settings import Settings
from tests.integration.historian.outcomes import T0_US, event, load, outcome


def say(line: object) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def stop_here() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def stop_inside_the_transaction() -> None:
    write = group.write_group

    async def write_and_stop(connection: Any, outcomes: Sequence[Outcome], *rest: Any) -> dict[str, CommitAnswer]:
        answers = await write(connection, outcomes, *rest)
        stop_here()
        return answers

    vars(group_commit)["write_group"] = write_and_stop


def stop_amid_the_copy() -> None:
    async def half_a_stream(outcomes: Sequence[Outcome]) -> AsyncIterator[bytes]:
        yield b"PGCOPY\n\xff\r\n\x00" + bytes(8)
        await asyncio.sleep(0.2)  # it is on its way
        stop_here()
        for each in outcomes:
            yield each.copy_rows
        yield b"\xff\xff"

    group._copy_stream = half_a_stream


async def main(url: str, facility_id: str, sensor_no: int, where: str) -> None:
    connection.IDLE_IN_TRANSACTION_S_MAX = 1.5
    historian = await Historian.open(url, Settings(database_url=url, group_commit_wait_ms=0), SystemClock())
    state = await load(historian, facility_id)
    say({"epoch": state.epoch})
    wanted = outcome(state, state.last_commit_no + 1, [(sensor_no, T0_US + 77, 7.0, None)], [event(sensor_no)])
    if where == "before":
        stop_here()
    elif where == "inside":
        stop_inside_the_transaction()
    else:
        stop_amid_the_copy()
    verdicts = []
    for _ in range(2):  # the second try is what a reader does after StoreUnavailable
        try:
            verdicts.append((await historian.commit(wanted)).verdict.value)
            break
        except StoreUnavailable:
            verdicts.append("unavailable")
    say({"verdicts": verdicts})


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
