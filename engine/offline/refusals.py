"""What cannot be scored is refused in one sentence, also where polars would end the program in words of its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl

from engine.errors import GasInSightError

STDERR = 2


class FrameRefused(GasInSightError, ValueError):
    """A frame that cannot be scored: what is wrong with it and what would be right."""


@contextmanager
def refusing(doing: str) -> Iterator[None]:
    """What polars or the disk raises in this block is a FrameRefused that begins with `doing`.

    A panic of polars is no Exception, and its hook writes to the standard error of the process before Python hears of
    it: what is written there meanwhile is held back, and passed on unless it was a panic.
    """
    with tempfile.TemporaryFile() as held:
        before = os.dup(STDERR)
        os.dup2(held.fileno(), STDERR)
        panicked = False
        try:
            yield
        except pl.exceptions.PanicException as error:
            panicked = True
            raise FrameRefused(f"{doing}: polars, which reads it, fails on it ({_first_line(error)})") from error
        except OSError as error:
            raise FrameRefused(f"{doing}: {error.strerror or _first_line(error)}") from error
        except MemoryError as error:
            raise FrameRefused(f"{doing}: it is too large for this machine's memory") from error
        except pl.exceptions.PolarsError as error:
            raise FrameRefused(f"{doing}: {_first_line(error)}") from error
        finally:
            os.dup2(before, STDERR)
            os.close(before)
            if not panicked:
                held.seek(0)
                os.write(STDERR, held.read())


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:300]
