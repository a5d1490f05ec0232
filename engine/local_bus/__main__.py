"""`python -m engine.local_bus --data-dir DIR --queue NAME ...`: the local bus as a process of its own.

Ends on SIGTERM and SIGINT with everything on disk. The key comes from the environment (GASINSIGHT_BUS_KEY), where other
users of the machine do not see it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

from engine.errors import BAD_SETTINGS_STATUS, GasInSightError, SettingsError
from engine.local_bus.server import LocalBus
from engine.local_bus.tls import (
    RENEW_EVERY_S,
    TLS_PORT,
    ServerTls,
    TlsOptions,
    load_certificate,
    server_tls,
)
from engine.printable import escaped, escaped_lines
from engine.private_files import PRIVATE_UMASK

PR_SET_PDEATHSIG = 1
# The SQLite thread asks for the interpreter a few times a group; the default of 5 ms would be most of its latency.
SWITCH_INTERVAL_S = 0.0005

_logger = logging.getLogger(__name__)


class Lines(logging.Formatter):
    """A message is one line, whatever a client called its links; a traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """As of a Formatter."""
        return escaped(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the library's name
        """As of a Formatter."""
        return escaped_lines(super().formatException(ei))


def main() -> int:
    options = _options().parse_args()
    os.umask(PRIVATE_UMASK)
    log = logging.StreamHandler()
    log.setFormatter(Lines("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[log])
    if options.parent_death:
        _die_with_parent()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        asyncio.run(_serve(options))
    except (GasInSightError, OSError) as error:
        print(escaped_lines(f"the local bus does not start: {error}"), file=sys.stderr)  # noqa: T201 - a command's own word
        return BAD_SETTINGS_STATUS if isinstance(error, SettingsError) else 1
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m engine.local_bus", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True, help="where the messages are kept")
    parser.add_argument("--queue", action="append", required=True, metavar="NAME", help="a queue; give it for each")
    parser.add_argument("--port", type=int, default=5672, help="0 takes a free one and prints it")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--lock-s", type=float, default=60.0, help="how long a received message stays locked")
    parser.add_argument("--parent-death", action="store_true", help="end when the process that started this one ends")
    parser.add_argument("--tls", action="store_true", help="listen on --tls-port too, with a certificate of its own")
    parser.add_argument("--tls-name", action="append", default=[], help="a name for it beside those of loopback")
    parser.add_argument("--tls-certificate", type=Path, help="a given one instead: PEM, its chain behind it")
    parser.add_argument("--tls-key", type=Path, help="its key, if it is not in the same file")
    parser.add_argument("--tls-port", type=int, default=TLS_PORT)
    return parser


async def _serve(options: argparse.Namespace) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    asked = None
    if options.tls:
        names = tuple(options.tls_name)
        asked = TlsOptions(names, options.tls_certificate, options.tls_key, options.tls_port)
    tls = server_tls(asked, options.data_dir) if asked else None
    bus = LocalBus(
        options.data_dir,
        options.queue,
        options.port,
        host=options.host,
        key=os.environ.get("GASINSIGHT_BUS_KEY") or None,
        lock_s=options.lock_s,
        tls=tls.context if tls else None,
        tls_port=options.tls_port,
    )
    await bus.start()
    with contextlib.suppress(OSError):  # the disk of our log is full; the bus is needed all the more
        print(f"local bus listens on {options.host}:{bus.port}", flush=True)  # noqa: T201 - read by whoever started it
    renewing = asyncio.create_task(_renew(tls, asked, options.data_dir)) if tls and asked else None
    await stopping.wait()
    if renewing is not None:
        renewing.cancel()
    await bus.stop()


async def _renew(tls: ServerTls, asked: TlsOptions, data_dir: Path) -> None:
    """For ever: a bus runs for longer than a certificate."""
    while True:
        await asyncio.sleep(RENEW_EVERY_S)
        try:
            trust, is_new = load_certificate(tls.context, asked, data_dir)
            if is_new:
                _logger.warning("local bus: there is a new authority, every hub must be given %s", trust)
        except SettingsError as error:
            _logger.warning("local bus: goes on with the certificate it has: %s", error)


def _die_with_parent() -> None:
    """Ask Linux for SIGTERM at the parent's end; the parent may have gone before the question."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit("the process that started the local bus is gone")


if __name__ == "__main__":
    sys.exit(main())
