"""`make chaos`: one run, a line of progress, a report, an exit status."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from tests.chaos.driver import Judgement, Options, run_chaos
from tests.chaos.report import print_report, write_report

KILLS_A_MINUTE = 9
MINUTES_MIN = 0.5
PROGRESS_LINE_EVERY = 30


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--rate", type=float, default=600.0, help="readings a second")
    parser.add_argument("--kills", type=int, help=f"blows in all; default: {KILLS_A_MINUTE} a minute")
    parser.add_argument("--beside", action="store_true", help="exports and an import go on meanwhile")
    parser.add_argument("--report", type=Path, help="folder for report.json and report.html")
    parser.add_argument("--json", action="store_true", help="the result as JSON on standard output")
    given = parser.parse_args()
    if given.minutes < MINUTES_MIN or given.rate < 1 or (given.kills is not None and given.kills < 1):
        parser.error(f"at least {MINUTES_MIN} minutes, one reading a second and one blow")
    logging.getLogger("azure").setLevel(logging.CRITICAL)
    kills = given.kills or round(given.minutes * KILLS_A_MINUTE)
    options = Options(given.seed, given.minutes, given.rate, kills, beside=given.beside)
    screen = _Screen()
    try:
        judgement = asyncio.run(_until_stopped(options, screen))
    except asyncio.CancelledError:
        screen.say("stopped; everything it started has ended")
        return 130
    if given.report is not None:
        screen.say(f"the report is {write_report(judgement.result, given.report)}")
    _print(judgement, given.json)
    return 0 if judgement.result.good else 1


async def _until_stopped(options: Options, screen: _Screen) -> Judgement:
    """Ctrl-C and SIGTERM end the run in good order."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await run_chaos(options, screen.say, screen.progress)


class _Screen:
    """To standard error: a line that is written over on a terminal, now and then a line elsewhere."""

    def __init__(self) -> None:
        self._told = 0
        self._open = False

    def say(self, text: str) -> None:
        """A line of its own."""
        sys.stderr.write(("\n" if self._open else "") + f"  {text}\n")
        sys.stderr.flush()
        self._open = False

    def progress(self, text: str) -> None:
        """How it stands now."""
        self._told += 1
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[2K  {text}")
            sys.stderr.flush()
            self._open = True
        elif self._told % PROGRESS_LINE_EVERY == 0:
            self.say(text)


def _print(judgement: Judgement, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(asdict(judgement.result)) + "\n")
    else:
        print_report(judgement.result)
    for line in judgement.result.problems:
        sys.stderr.write(f"  WRONG: {line}\n")
    if judgement.folder is not None:
        sys.stderr.write(f"  logs and ledger are kept in {judgement.folder}\n")


if __name__ == "__main__":
    sys.exit(main())
