"""What the examples ask on the command line alike, and how they say what is in the way."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from engine.errors import GasInSightError
from engine.notebook import Database, Server


def options_of(about: str | None, *arguments: tuple[str, dict[str, object]]) -> argparse.Namespace:
    """Its `source` is the database itself, or the server that was named."""
    parser = argparse.ArgumentParser(description=about)
    for name, words in arguments:
        parser.add_argument(name, **words)  # type: ignore[arg-type]
    parser.add_argument("--server", metavar="URL", help="default: the database itself")
    parser.add_argument("--key", default=os.environ.get("GASINSIGHT_API_KEY", ""), help="an API key of the server")
    found = parser.parse_args()
    found.source = Server(found.server, found.key) if found.server else Database()
    return found


def run(example: Callable[[], None]) -> None:
    """A database or server that does not give what is asked for is told in a sentence."""
    try:
        example()
    except GasInSightError as error:
        sys.exit(str(error))
